//! Reads a guard: an expression in a subset of CEL, held by a check of our own.
//!
//! A library parses all of CEL. Of that a guard may say comparisons of declared facts and
//! constants, `in`, `&&`, `||` and `!`: every other part is named and refused here, so that what a
//! guard costs and what it can be are known when the policy is loaded.

mod words;

use std::cell::OnceCell;
use std::sync::Arc;

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, Expr, LiteralValue, SelectExpr, SourceInfo};
use cel::parser::{Expression, ParseErrors, PrattParser};
use domain::policy::{Comparison, Guard, GuardFact, Operand, Value};
use domain::{DeviceClass, Tag, Timestamp};

pub(super) use self::words::{conjuncts, words};
use super::read::{Node, nearest};

/// The longest guard in bytes. With the depth it bounds what the parser takes of the stack.
const BYTES_MAX: usize = 1_000;
/// How deep parentheses and negations may be nested.
const DEPTH_MAX: u16 = 24;
/// So many facts and constants may stand in one.
const OPERANDS_MAX: usize = 64;

const MAY_SAY: &str = "a guard compares facts with `==`, `!=`, `<`, `<=`, `>`, `>=` and `in`, \
     and joins comparisons with `&&`, `||` and `!`";
const TAGS: &str = "title.tags";
const ONE_VALUE: &str = "a list is only asked for one value, like `\"new\" in title.tags`";

/// Which values a fact or constant is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Time,
}

/// By the name in a guard.
const FACTS: [(&str, GuardFact, Kind); GuardFact::ALL.len()] = [
    ("member.plan", GuardFact::Plan, Kind::Text),
    ("member.territory", GuardFact::Territory, Kind::Text),
    ("member.profile", GuardFact::Profile, Kind::Text),
    ("member.account", GuardFact::Account, Kind::Text),
    ("member.since", GuardFact::MemberSince, Kind::Time),
    ("member.maturity_limit", GuardFact::MaturityLimit, Kind::Number),
    ("member.concurrent_streams", GuardFact::ConcurrentStreams, Kind::Number),
    ("device.class", GuardFact::DeviceClass, Kind::Text),
    ("device.security_level", GuardFact::SecurityLevel, Kind::Text),
    ("device.elsewhere_at", GuardFact::ElsewhereAt, Kind::Time),
    ("title.id", GuardFact::Title, Kind::Text),
    ("title.partner", GuardFact::Partner, Kind::Text),
    ("title.series", GuardFact::Series, Kind::Text),
    ("title.maturity_rating", GuardFact::MaturityRating, Kind::Number),
    ("title.available_from", GuardFact::AvailableFrom, Kind::Time),
    ("title.available_until", GuardFact::AvailableUntil, Kind::Time),
];

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Number => "a number",
            Self::Time => "an instant",
        }
    }
}

/// The guard, or `None` with everything noted that is wrong with it.
pub(super) fn guard(node: &Node<'_>) -> Option<Guard> {
    let text = node.text("an expression, like `\"new\" in title.tags`")?;
    if text.trim().is_empty() {
        node.note(format!("says nothing; {MAY_SAY}"));
        return None;
    }
    if text.len() > BYTES_MAX {
        node.note(format!("has {} bytes; write at most {BYTES_MAX}", text.len()));
        return None;
    }
    if let Some((at, other)) = text.char_indices().find(|(_, c)| !c.is_ascii()) {
        let other = other.escape_debug();
        node.note_within(text, at, format!("`{other}` is not ASCII; ids and a guard are"));
        return None;
    }
    let expression = match parsed(text) {
        Ok(expression) => expression,
        Err(errors) => {
            let first = errors.errors.first();
            let (at, message) = first.map_or(((1, 1), ""), |error| (error.pos, &error.msg));
            let at = offset(text, at);
            let (before, rest) = text.split_at_checked(at).unwrap_or((text, ""));
            node.note_within(text, at, unreadable(message, before, rest));
            return None;
        }
    };
    let reader = Reader { node, text, places: OnceCell::new() };
    let guard = reader.condition(&expression)?;
    let operands = operands(&guard);
    if operands > OPERANDS_MAX {
        node.note(format!(
            "has {operands} facts and constants; write at most {OPERANDS_MAX}, or make several \
             rules of it"
        ));
    }
    Some(guard)
}

fn parsed(text: &str) -> Result<Expression, ParseErrors> {
    PrattParser::new().max_recursion_depth(DEPTH_MAX).parse(text)
}

/// Of a line and a column, as the parser counts them.
fn offset(text: &str, (line, column): (isize, isize)) -> usize {
    let before = |number| usize::try_from(number).unwrap_or(0).saturating_sub(1);
    let lines = text.split_inclusive('\n').take(before(line));
    (lines.map(str::len).sum::<usize>() + before(column)).min(text.len())
}

/// What the parser says, without the list of everything that it would have taken instead.
fn unreadable(message: &str, before: &str, rest: &str) -> String {
    if message.contains("recursion limit") {
        return format!(
            "is nested too deep; write at most {DEPTH_MAX} parentheses and negations inside each \
             other, or make several rules of it"
        );
    }
    let shape = |c: char| if c.is_ascii_digit() { '0' } else { c };
    if before.chars().map(shape).collect::<String>().ends_with("0000-00-") {
        return "cannot be read as an expression: an instant is written like \
                `timestamp(\"2026-01-01T00:00:00Z\")`"
            .to_owned();
    }
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let message = message.split(" expecting ").next().unwrap_or_default();
    let message = message.lines().next().unwrap_or_default().replace("'<EOF>'", "the end");
    let message = message.replace('\'', "`");
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '=' | '<' | '>');
    let wrong = rest.split(|c| !word(c)).next().unwrap_or_default().to_lowercase();
    // Half of it is read.
    let wrong = if before.ends_with('<') && wrong == ">" { "<>".to_owned() } else { wrong };
    let meant = MEANT.iter().find(|(known, _)| *known == wrong);
    let meant = meant.map(|(_, meant)| format!("did you mean `{meant}`?"));
    format!(
        "cannot be read as an expression: {message}; {}",
        meant.unwrap_or_else(|| MAY_SAY.to_owned())
    )
}

const MEANT: [(&str, &str); 7] = [
    ("=", "=="),
    ("=>", ">="),
    ("=<", "<="),
    ("<>", "!="),
    ("and", "&&"),
    ("or", "||"),
    ("not", "!(…)"),
];

fn operands(guard: &Guard) -> usize {
    match guard {
        Guard::All(parts) | Guard::Any(parts) => parts.iter().map(operands).sum(),
        Guard::Not(not) => operands(not),
        Guard::Compare { .. } | Guard::InTags(_) => 2,
        Guard::In(_, list) => 1 + list.len(),
    }
}

/// Reads one guard, and notes what is outside of what it may say.
struct Reader<'a, 'n> {
    node: &'n Node<'a>,
    text: &'n str,
    /// Where its parts begin: found out when something is wrong with one.
    places: OnceCell<Option<Arc<SourceInfo>>>,
}

impl Reader<'_, '_> {
    /// Told where what is meant begins.
    fn note<T>(&self, at: &Expression, message: String) -> Option<T> {
        self.node.note_within(self.text, self.start(at).unwrap_or(0), message);
        None
    }

    /// The parser tells places of what it cannot read, and of that alone. Its parts are numbered as they
    /// are read, so the same text with a mistake behind it has the same numbers.
    fn start(&self, at: &Expression) -> Option<usize> {
        let places = self.places.get_or_init(|| {
            let mistaken = parsed(&format!("{}\n)", self.text)).err()?;
            mistaken.errors.into_iter().next()?.source_info
        });
        let place = |at: &Expression| Some(places.as_ref()?.offset_for(at.id)?.0);
        let start = std::iter::successors(Some(at), |at| first_part(at)).filter_map(place).min();
        usize::try_from(start?).ok()
    }

    fn condition(&self, at: &Expression) -> Option<Guard> {
        match &at.expr {
            Expr::Call(call) => self.call(at, call),
            Expr::Literal(LiteralValue::Boolean(_)) => {
                self.note(at, "says nothing by itself; leave it out".to_owned())
            }
            _ => {
                let (_, kind) = self.operand(at)?;
                self.note(at, format!("{} is no condition; {MAY_SAY}", kind.name()))
            }
        }
    }

    fn call(&self, at: &Expression, call: &CallExpr) -> Option<Guard> {
        let CallExpr { func_name, target: None, args } = call else {
            return self.outside(at, &call.func_name);
        };
        let comparison = COMPARISONS.iter().find(|(name, _)| *name == func_name);
        match (func_name.as_str(), args.as_slice(), comparison) {
            (op::LOGICAL_AND, _, _) => {
                let parts = self.parts(args)?;
                Some(Guard::All(flat(parts, |part| match part {
                    Guard::All(parts) => Ok(parts),
                    other => Err(other),
                })))
            }
            (op::LOGICAL_OR, _, _) => {
                let parts = self.parts(args)?;
                Some(Guard::Any(flat(parts, |part| match part {
                    Guard::Any(parts) => Ok(parts),
                    other => Err(other),
                })))
            }
            (op::LOGICAL_NOT, [not], _) => Some(Guard::Not(Box::new(self.condition(not)?))),
            (op::IN, [item, list], _) => self.within(at, item, list),
            (_, [left, right], Some((_, how))) => self.comparison(at, left, *how, right),
            _ => self.outside(at, func_name),
        }
    }

    /// All are read before the first mistake ends it.
    fn parts(&self, parts: &[Expression]) -> Option<Vec<Guard>> {
        let parts: Vec<Option<Guard>> = parts.iter().map(|part| self.condition(part)).collect();
        parts.into_iter().collect()
    }

    fn comparison(
        &self,
        at: &Expression,
        left: &Expression,
        how: Comparison,
        right: &Expression,
    ) -> Option<Guard> {
        let (left, right) = (self.operand(left), self.operand(right));
        let (left, right) = (left?, right?);
        let equality = matches!(how, Comparison::Equal | Comparison::NotEqual);
        if left.1 == Kind::Text && right.1 == Kind::Text && !equality {
            return self.note(at, "texts have no order; compare them with `==` or `in`".to_owned());
        }
        self.comparable(at, &left, &right)?;
        Some(Guard::Compare { left: left.0, how, right: right.0 })
    }

    fn within(&self, at: &Expression, item: &Expression, list: &Expression) -> Option<Guard> {
        let item = self.operand(item);
        if path(list).as_deref() == Some(TAGS) {
            let (item, kind) = item?;
            if kind != Kind::Text {
                return self.note(at, format!("a tag is a text, and this is {}", kind.name()));
            }
            self.is_an_id(at, &item)?;
            return Some(Guard::InTags(item));
        }
        let Expr::List(list) = &list.expr else {
            return self.note(
                at,
                format!(
                    "`in` asks for one of a list, like `[\"AT\", \"DE\"]`, or for one of `{TAGS}`"
                ),
            );
        };
        if list.elements.is_empty() {
            return self.note(at, "the list is empty: nothing is in it".to_owned());
        }
        let elements: Vec<_> = list.elements.iter().map(|one| self.operand(one)).collect();
        let (item, elements) = (item?, elements.into_iter().collect::<Option<Vec<_>>>()?);
        for element in &elements {
            self.comparable(at, &item, element)?;
        }
        Some(Guard::In(item.0, elements.into_iter().map(|(element, _)| element).collect()))
    }

    /// Whether comparing the two says anything.
    fn comparable(
        &self,
        at: &Expression,
        left: &(Operand, Kind),
        right: &(Operand, Kind),
    ) -> Option<()> {
        let told = |(operand, kind): &(Operand, Kind)| {
            format!("`{}` is {}", words::operand(operand), kind.name())
        };
        if left.1 != right.1 {
            return self.note(
                at,
                format!("{} and {}; compare what is of one kind", told(left), told(right)),
            );
        }
        if left.0 == right.0 {
            return self.note(at, format!("compares `{}` with itself", words::operand(&left.0)));
        }
        match (&left.0, &right.0) {
            (Operand::Constant(_), Operand::Constant(_)) => {
                self.note(at, "compares two constants; compare a fact".to_owned())
            }
            (Operand::Fact(fact), constant @ Operand::Constant(_))
            | (constant @ Operand::Constant(_), Operand::Fact(fact)) => {
                self.possible(at, *fact, constant)
            }
            (Operand::Fact(_), Operand::Fact(_)) => Some(()),
        }
    }

    /// Whether the fact can be that at all.
    fn possible(&self, at: &Expression, fact: GuardFact, constant: &Operand) -> Option<()> {
        let Operand::Constant(Value::Text(text)) = constant else { return Some(()) };
        match fact {
            GuardFact::Series if text.is_empty() => Some(()),
            GuardFact::DeviceClass if DeviceClass::named(text).is_none() => {
                let known = DeviceClass::ALL.map(DeviceClass::name);
                let meant = nearest(text, known.into_iter());
                let known = format!("known are `{}`", known.join("`, `"));
                self.note(at, format!("`{text}` is not a device class; {}", meant.unwrap_or(known)))
            }
            _ => self.is_an_id(at, constant),
        }
    }

    /// Plans, territories, tags and the like are all of the same shape.
    fn is_an_id(&self, at: &Expression, operand: &Operand) -> Option<()> {
        let Operand::Constant(Value::Text(text)) = operand else { return Some(()) };
        match Tag::new(text) {
            Ok(_) => Some(()),
            Err(error) => {
                self.note(at, format!("nothing is named `{}`: {error}", text.escape_debug()))
            }
        }
    }

    fn operand(&self, at: &Expression) -> Option<(Operand, Kind)> {
        match &at.expr {
            Expr::Ident(_) | Expr::Select(SelectExpr { test: false, .. }) => self.fact(at),
            Expr::Literal(literal) => self.constant(at, literal),
            Expr::Call(CallExpr { func_name, target: None, args }) => {
                match (func_name.as_str(), args.as_slice()) {
                    ("timestamp", [written]) => self.instant(at, written),
                    (op::NEGATE, [number]) => self.negative(at, number),
                    (op::LOGICAL_NOT | op::LOGICAL_AND | op::LOGICAL_OR | op::IN, _) => {
                        self.is_condition(at)
                    }
                    (name, _) if COMPARISONS.iter().any(|(known, _)| *known == name) => {
                        self.is_condition(at)
                    }
                    _ => self.outside(at, func_name),
                }
            }
            Expr::Call(call) => self.outside(at, &call.func_name),
            Expr::Select(_) => self.note(
                at,
                "`has` is not needed: the rule's `if_absent` says what absence means".to_owned(),
            ),
            Expr::List(_) => self.note(at, "a list stands behind `in` only".to_owned()),
            Expr::Comprehension(_) => self.note(at, ONE_VALUE.to_owned()),
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => self.outside(at, "{}"),
        }
    }

    fn is_condition<T>(&self, at: &Expression) -> Option<T> {
        self.note(
            at,
            "is a condition where a value should be; put what is negated, and what is joined, in \
             parentheses"
                .to_owned(),
        )
    }

    fn fact(&self, at: &Expression) -> Option<(Operand, Kind)> {
        let Some(name) = path(at) else {
            return self.note(at, format!("is no fact; facts are {}", known_facts()));
        };
        if asks_time(at) {
            return self.outside(at, &name);
        }
        if name == TAGS {
            return self
                .note(at, format!("`{TAGS}` is a list; write `\"new\" in {TAGS}` or the like"));
        }
        if let Some((_, fact, kind)) = FACTS.iter().find(|(known, ..)| *known == name) {
            return Some((Operand::Fact(*fact), *kind));
        }
        let names = || FACTS.iter().map(|(name, ..)| *name).chain([TAGS]);
        let last = name.rsplit('.').next().unwrap_or_default();
        // As the fact is called elsewhere, or nearly.
        let is_meant = |known: &&str| {
            known.strip_suffix(last).is_some_and(|rest| rest.ends_with(['.', '_']))
                || known.replace('.', "_") == last
        };
        let same = names().find(is_meant);
        let meant = same.map(|known| format!("did you mean `{known}`?"));
        let meant = meant.or_else(|| nearest(&name, names()));
        let meant = meant.unwrap_or_else(|| format!("facts are {}", known_facts()));
        self.note(at, format!("`{name}` is not a fact; {meant}"))
    }

    fn constant(&self, at: &Expression, literal: &LiteralValue) -> Option<(Operand, Kind)> {
        let number = |number: i64| Some((Operand::Constant(Value::Number(number)), Kind::Number));
        match literal {
            LiteralValue::String(text) => {
                Some((Operand::Constant(Value::Text(text.inner().to_owned())), Kind::Text))
            }
            LiteralValue::Int(int) => number(*int.inner()),
            LiteralValue::UInt(_) | LiteralValue::Double(_) => {
                self.note(at, "write a whole number, like `16`".to_owned())
            }
            LiteralValue::Boolean(_) => {
                self.note(at, "no fact is `true` or `false`; write the condition itself".to_owned())
            }
            LiteralValue::Null => self.note(
                at,
                "nothing is `null`: the rule's `if_absent` says what absence means".to_owned(),
            ),
            LiteralValue::Bytes(_) => self.outside(at, "b\"\""),
        }
    }

    fn negative(&self, at: &Expression, number: &Expression) -> Option<(Operand, Kind)> {
        let negated = match self.operand(number)?.0 {
            Operand::Constant(Value::Number(number)) => number.checked_neg(),
            _ => None,
        };
        match negated {
            Some(number) => Some((Operand::Constant(Value::Number(number)), Kind::Number)),
            None => self.outside(at, "-"),
        }
    }

    fn instant(&self, at: &Expression, written: &Expression) -> Option<(Operand, Kind)> {
        let text = match &written.expr {
            Expr::Literal(LiteralValue::String(text)) => text.inner(),
            _ => "",
        };
        match text.parse::<Timestamp>() {
            Ok(instant) if is_exact(text) => {
                Some((Operand::Constant(Value::Time(instant)), Kind::Time))
            }
            _ => self.note(
                at,
                "is not an instant; write date, time and offset, to the millisecond at most, like \
                 `timestamp(\"2026-01-01T00:00:00Z\")`"
                    .to_owned(),
            ),
        }
    }

    fn outside<T>(&self, at: &Expression, name: &str) -> Option<T> {
        if let Expr::Call(CallExpr { target, args, .. }) = &at.expr
            && target.as_deref().into_iter().chain(args).any(|it| path(it).as_deref() == Some(TAGS))
        {
            return self.note(at, ONE_VALUE.to_owned());
        }
        if asks_time(at) {
            return self.note(
                at,
                "a guard knows neither the time nor lengths of time: those are for terms and \
                 windows"
                    .to_owned(),
            );
        }
        let name = match name {
            op::CONDITIONAL => "?:",
            op::INDEX => "[]",
            _ => name.trim_matches(['_', '@']),
        };
        self.note(at, format!("`{name}` is outside of what a guard may say; {MAY_SAY}"))
    }
}

const COMPARISONS: [(&str, Comparison); Comparison::ALL.len()] = [
    (op::EQUALS, Comparison::Equal),
    (op::NOT_EQUALS, Comparison::NotEqual),
    (op::LESS, Comparison::Less),
    (op::LESS_EQUALS, Comparison::LessOrEqual),
    (op::GREATER, Comparison::Greater),
    (op::GREATER_EQUALS, Comparison::GreaterOrEqual),
];

/// `a && (b && c)` is `a && b && c`.
fn flat(parts: Vec<Guard>, inner: fn(Guard) -> Result<Vec<Guard>, Guard>) -> Vec<Guard> {
    parts.into_iter().flat_map(|part| inner(part).unwrap_or_else(|other| vec![other])).collect()
}

/// Whether it is written as RFC 3339 and CEL have it, and means what is written: finer than
/// milliseconds would be cut off, and a leap second be the one before.
fn is_exact(written: &str) -> bool {
    let shape: String = written
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c.to_ascii_uppercase() })
        .collect();
    let Some(rest) = shape.strip_prefix("0000-00-00T00:00:00") else { return false };
    let fractions = ["", ".0", ".00", ".000"];
    let zone = ["Z", "+00:00", "-00:00"].into_iter().find_map(|zone| rest.strip_suffix(zone));
    zone.is_some_and(|fraction| fractions.contains(&fraction)) && !written.contains(":60")
}

/// Whether it has `now` or a length of time in it.
fn asks_time(at: &Expression) -> bool {
    match &at.expr {
        Expr::Call(CallExpr { func_name, target, args }) => {
            matches!(func_name.as_str(), "now" | "duration")
                || target.as_deref().into_iter().chain(args).any(asks_time)
        }
        Expr::Ident(name) => name == "now",
        _ => false,
    }
}

fn first_part(at: &Expression) -> Option<&Expression> {
    match &at.expr {
        Expr::Call(CallExpr { target, args, .. }) => target.as_deref().or(args.first()),
        Expr::Select(select) => Some(&select.operand),
        Expr::Comprehension(comprehension) => Some(&comprehension.iter_range),
        _ => None,
    }
}

/// The name that a fact is reached by.
fn path(at: &Expression) -> Option<String> {
    match &at.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(SelectExpr { operand, field, test: false }) => {
            Some(format!("{}.{field}", path(operand)?))
        }
        _ => None,
    }
}

fn known_facts() -> String {
    let names: Vec<&str> = FACTS.iter().map(|(name, ..)| *name).chain([TAGS]).collect();
    format!("`{}`", names.join("`, `"))
}

#[cfg(test)]
mod tests;
