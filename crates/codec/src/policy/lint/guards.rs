//! Guards that never hold, or always do: tried with every combination of values that could make a
//! difference to them, and without the facts that may be absent.

use std::collections::{BTreeMap, BTreeSet};

use domain::policy::{Asked, Guard, GuardFact, Of, Operand, Rules, Value, When};
use domain::{
    Account, DeviceClass, Fact, InvalidId, MemberFacts, PartnerId, Plan, ProfileId, RuleId,
    SecurityLevel, SeriesId, Tag, Territory, Timestamp, TitleFacts, TitleId,
};

use super::{Chain, Kind, Lint, Scope, some_title};

/// Where more would have to be tried, nothing is said.
const TRIES_MAX: usize = 10_000;

/// A rule as far as its guard goes.
struct Guarded<'a> {
    of: &'a Of,
    when: &'a When,
    needs: &'a [Fact],
    of_devices: bool,
}

impl Lint {
    pub(super) fn guards(&mut self, chain: &Chain, rules: &Rules) {
        let Rules { terms: _, tighten, gates, caps } = rules;
        let tighten = tighten.iter().map(|it| {
            let guarded =
                Guarded { of: &it.of, when: &it.when, needs: &it.needs, of_devices: false };
            (Kind::Tightening, &it.id, guarded)
        });
        let gates = gates.iter().map(|it| {
            let of_devices = it.condition.is_of_devices();
            (
                Kind::Gate,
                &it.id,
                Guarded { of: &it.of, when: &it.when, needs: &it.needs, of_devices },
            )
        });
        let caps = caps.iter().map(|it| {
            let of_devices = it.counts.is_of_devices();
            (
                Kind::Cap,
                &it.id,
                Guarded { of: &it.of, when: &it.when, needs: &it.needs, of_devices },
            )
        });
        for (kind, id, rule) in tighten.chain(gates).chain(caps) {
            let found = rule.when.guard.as_ref().and_then(|guard| rule.found(chain, guard));
            if let Some(message) = found {
                self.note(&chain.scope, kind, RuleId::as_str(id), message);
            }
        }
    }
}

impl Guarded<'_> {
    fn found(&self, chain: &Chain, guard: &Guard) -> Option<String> {
        let mut passing =
            Passing { needs: self.needs.iter().copied().collect(), ..Passing::default() };
        if let Some(found) = self.of(&passing, guard, "") {
            return Some(found);
        }
        passing.select(self.of, self.when);
        if let Some(found) = self.of(&passing, guard, ", of what `of` and `when` select") {
            return Some(found);
        }
        let of = match &chain.scope {
            Scope::AllTitles => None,
            Scope::Partner(id) => Some((GuardFact::Partner, id.as_str())),
            Scope::Series(id) => Some((GuardFact::Series, id.as_str())),
            Scope::Title(id) => Some((GuardFact::Title, id.as_str())),
        };
        if let Some((fact, id)) = of {
            passing.only(fact, [id.to_owned()].into_iter());
            let of = format!(", of what is for {}", chain.scope);
            if let Some(found) = self.of(&passing, guard, &of) {
                return Some(found);
            }
        }
        if self.of_devices {
            return None; // no gate is asked
        }
        for (what, gates) in chain.passing() {
            let fact = GATES.iter().find(|(gate, _)| *gate == what).map(|(_, fact)| *fact);
            for (_, names) in gates {
                let fact = fact?;
                passing.only(fact, names.iter().cloned());
                // Who does not tell it is refused.
                passing.needs.extend(fact.may_be_absent());
            }
        }
        let never = passing.tried(guard)?.is_never();
        never.then(|| format!("{NEVER}, of what the gates let pass"))
    }

    /// What is wrong with it, of that much.
    fn of(&self, passing: &Passing, guard: &Guard, of: &str) -> Option<String> {
        let tried = passing.tried(guard)?;
        let asks = guard.operands().into_iter().filter_map(GuardFact::may_be_absent);
        // Where the rule does not apply without a fact, asking for the fact makes a difference.
        let selects_by_absence = asks.into_iter().any(|fact| self.needs.contains(&fact));
        if tried.is_never() {
            Some(format!("{NEVER}{of}"))
        } else if !tried.holds {
            Some(format!(
                "applies only where a fact of its `guard` is absent: it never holds where they are \
                 known{of}"
            ))
        } else if !tried.fails && !selects_by_absence {
            Some(format!("its `guard` always holds{of}; leave it out"))
        } else {
            None
        }
    }
}

const NEVER: &str = "can never apply: its `guard` never holds";

const GATES: [(&str, GuardFact); 5] = [
    ("plans", GuardFact::Plan),
    ("territories", GuardFact::Territory),
    ("device_classes", GuardFact::DeviceClass),
    ("security_levels", GuardFact::SecurityLevel),
    ("accounts", GuardFact::Account),
];

/// What a rule is asked about at all.
#[derive(Default)]
struct Passing {
    /// Which texts a fact can be; what is not named can be any.
    names: BTreeMap<GuardFact, BTreeSet<String>>,
    /// The title has one of these; empty: any or none.
    tags: BTreeSet<String>,
    /// Without these it is not asked.
    needs: BTreeSet<Fact>,
}

/// What a guard said of all that was tried.
#[derive(Default)]
struct Tried {
    holds: bool,
    fails: bool,
    /// It hung on a fact that is absent.
    open: bool,
}

impl Tried {
    fn is_never(&self) -> bool {
        !self.holds && !self.open
    }
}

impl Passing {
    fn select(&mut self, of: &Of, when: &When) {
        let When { plans, territories, security_levels, accounts, guard: _ } = when;
        let names = |of: &[&str]| of.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let classes: Vec<&str> = of.classes.iter().map(|class| class.name()).collect();
        let listed: [(GuardFact, Vec<&str>); 5] = [
            (GuardFact::Plan, plans.iter().map(Plan::as_str).collect()),
            (GuardFact::Territory, territories.iter().map(Territory::as_str).collect()),
            (GuardFact::SecurityLevel, security_levels.iter().map(SecurityLevel::as_str).collect()),
            (GuardFact::Account, accounts.iter().map(Account::as_str).collect()),
            (GuardFact::DeviceClass, classes),
        ];
        for (fact, listed) in listed.iter().filter(|(_, listed)| !listed.is_empty()) {
            self.only(*fact, names(listed).into_iter());
        }
        self.tags = of.tags.iter().map(|tag| tag.as_str().to_owned()).collect();
    }

    fn only(&mut self, fact: GuardFact, names: impl Iterator<Item = String>) {
        let names: BTreeSet<String> = names.collect();
        let passing = self.names.entry(fact).or_insert_with(|| names.clone());
        passing.retain(|name| names.contains(name));
    }

    /// What the guard says of all that passes; `None` when that is too much to try.
    fn tried(&self, guard: &Guard) -> Option<Tried> {
        let mut parts = Parts::default();
        parts.collect(guard)?;
        let axes = parts.axes(self);
        let tries = axes.iter().try_fold(1_usize, |n, (_, values)| n.checked_mul(values.len()))?;
        // Nothing is left to be asked about where gates refuse all that is selected, which is told elsewhere.
        if tries == 0 || tries > TRIES_MAX {
            return None;
        }
        let needs_a_tag = !self.tags.is_empty() && self.tags.is_subset(&parts.tags);
        let mut tried = Tried::default();
        'tries: for mut nth in 0..tries {
            let mut one = One::default();
            for (axis, values) in &axes {
                if let Some(value) = values.get(nth % values.len())?
                    && one.set(axis, value).is_none()
                {
                    continue 'tries;
                }
                nth /= values.len();
            }
            if needs_a_tag && !one.facts.tags.iter().any(|tag| self.tags.contains(tag.as_str())) {
                continue;
            }
            match one.said(guard) {
                Some(true) => tried.holds = true,
                Some(false) => tried.fails = true,
                None => tried.open = true,
            }
        }
        Some(tried)
    }
}

/// What of a guard makes a difference.
#[derive(Default)]
struct Parts {
    /// Each with what it is compared with.
    facts: BTreeMap<GuardFact, BTreeSet<Value>>,
    /// Whether facts are compared with each other: then what one is compared with matters to all.
    crossed: bool,
    tags: BTreeSet<String>,
}

enum Axis {
    Fact(GuardFact),
    /// Whether the title has it: a number.
    Tag(String),
}

impl Parts {
    /// `None` where a fact is looked for among the tags, which could be any.
    fn collect(&mut self, guard: &Guard) -> Option<()> {
        match guard {
            Guard::All(parts) | Guard::Any(parts) => {
                parts.iter().try_for_each(|part| self.collect(part))
            }
            Guard::Not(not) => self.collect(not),
            Guard::Compare { left, right, .. } => {
                self.compared(left, right);
                Some(())
            }
            Guard::In(item, list) => {
                list.iter().for_each(|one| self.compared(item, one));
                Some(())
            }
            Guard::InTags(Operand::Constant(Value::Text(tag))) => {
                self.tags.insert(tag.clone());
                Some(())
            }
            Guard::InTags(_) => None,
        }
    }

    fn compared(&mut self, one: &Operand, other: &Operand) {
        match (one, other) {
            (Operand::Fact(one), Operand::Fact(other)) => {
                self.crossed = true;
                self.facts.entry(*one).or_default();
                self.facts.entry(*other).or_default();
            }
            (Operand::Fact(fact), Operand::Constant(value))
            | (Operand::Constant(value), Operand::Fact(fact)) => {
                self.facts.entry(*fact).or_default().insert(value.clone());
            }
            (Operand::Constant(_), Operand::Constant(_)) => {}
        }
    }

    /// Of each fact every constant that there is, what lies around it, as many others as there are
    /// facts that could be told apart, and, where it may be absent, nothing.
    fn axes(&self, passing: &Passing) -> Vec<(Axis, Vec<Option<Value>>)> {
        let named = self.facts.keys().filter_map(|fact| possible(*fact, passing)).flatten();
        let all = self.facts.values().flatten().cloned().chain(named.map(Value::Text)).collect();
        let n = if self.crossed { self.facts.len() } else { 1 };
        let fact = |(fact, own): (&GuardFact, &BTreeSet<Value>)| {
            let constants = if self.crossed { &all } else { own };
            let values = values(*fact, constants, passing, n);
            let absent = fact.may_be_absent().filter(|fact| !passing.needs.contains(fact));
            let values = values.into_iter().map(Some).chain(absent.map(|_| None));
            (Axis::Fact(*fact), values.collect())
        };
        let tag =
            |tag: &String| (Axis::Tag(tag.clone()), [0, 1].map(Value::Number).map(Some).to_vec());
        self.facts.iter().map(fact).chain(self.tags.iter().map(tag)).collect()
    }
}

/// All that the fact can be, where that is a list.
fn possible(fact: GuardFact, passing: &Passing) -> Option<BTreeSet<String>> {
    let classes = || DeviceClass::ALL.iter().map(|class| class.name().to_owned()).collect();
    let passing = passing.names.get(&fact).cloned();
    passing.or_else(|| (fact == GuardFact::DeviceClass).then(classes))
}

fn values(fact: GuardFact, constants: &BTreeSet<Value>, passing: &Passing, n: usize) -> Vec<Value> {
    match fact {
        GuardFact::MemberSince
        | GuardFact::ElsewhereAt
        | GuardFact::AvailableFrom
        | GuardFact::AvailableUntil => {
            let bounds = [Timestamp::MIN.as_millis(), Timestamp::MAX.as_millis()];
            let times = constants.iter().filter_map(|value| match value {
                Value::Time(at) => Some(at.as_millis()),
                _ => None,
            });
            let time = |ms| Value::Time(Timestamp::from_millis(ms));
            around(times, bounds, n).into_iter().map(time).collect()
        }
        GuardFact::MaturityLimit | GuardFact::MaturityRating | GuardFact::ConcurrentStreams => {
            let numbers = constants.iter().filter_map(|value| match value {
                Value::Number(number) => Some(*number),
                _ => None,
            });
            let most = match fact {
                GuardFact::ConcurrentStreams => u32::MAX.into(),
                _ => u16::MAX.into(),
            };
            around(numbers, [0, most], n).into_iter().map(Value::Number).collect()
        }
        _ => texts(constants, possible(fact, passing), n),
    }
}

fn texts(constants: &BTreeSet<Value>, possible: Option<BTreeSet<String>>, n: usize) -> Vec<Value> {
    let text = |value: &Value| match value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    };
    let constants: BTreeSet<String> = constants.iter().filter_map(text).collect();
    let (named, others): (Vec<String>, Vec<String>) = match possible {
        Some(possible) => possible.into_iter().partition(|name| constants.contains(name)),
        None => {
            let fresh = (0..).map(|n| format!("other-{n}"));
            let fresh = fresh.filter(|name| !constants.contains(name)).take(n).collect();
            (constants.into_iter().collect(), fresh)
        }
    };
    named.into_iter().chain(others.into_iter().take(n)).map(Value::Text).collect()
}

/// So far around each that so many others could be told apart.
fn around(of: impl Iterator<Item = i64>, [least, most]: [i64; 2], n: usize) -> BTreeSet<i64> {
    let far = i64::try_from(n).unwrap_or(1);
    let near = of.flat_map(|one| (-far..=far).map(move |by| one.saturating_add(by)));
    let lone = (0..=far).map(|by| least.saturating_add(by));
    near.filter(|one| (least..=most).contains(one)).chain(lone).chain([most]).collect()
}

/// One combination.
struct One {
    member: MemberFacts,
    class: DeviceClass,
    title: Option<TitleId>,
    facts: TitleFacts,
}

impl Default for One {
    fn default() -> Self {
        let (title, facts) = some_title();
        let (member, class) = (MemberFacts::default(), DeviceClass::Phone);
        Self { member, class, title: Some(title), facts }
    }
}

impl One {
    /// `None` for what no fact can be.
    fn set(&mut self, axis: &Axis, value: &Value) -> Option<()> {
        let fact = match axis {
            Axis::Tag(tag) => {
                if *value == Value::Number(1) {
                    let tags = self.facts.tags.iter().cloned().chain([Tag::new(tag).ok()?]);
                    self.facts.tags = tags.collect();
                }
                return Some(());
            }
            Axis::Fact(fact) => *fact,
        };
        match value {
            Value::Text(text) => self.set_text(fact, text),
            Value::Number(number) => {
                let rating = || u16::try_from(*number).ok();
                match fact {
                    GuardFact::MaturityLimit => self.member.maturity_limit = Some(rating()?),
                    GuardFact::ConcurrentStreams => {
                        self.member.concurrent_streams = Some(u32::try_from(*number).ok()?);
                    }
                    _ => self.facts.maturity_rating = Some(rating()?),
                }
                Some(())
            }
            Value::Time(at) => {
                match fact {
                    GuardFact::MemberSince => self.member.member_since = Some(*at),
                    GuardFact::ElsewhereAt => self.member.elsewhere_at = Some(*at),
                    GuardFact::AvailableFrom => self.facts.available_from = Some(*at),
                    _ => self.facts.available_until = Some(*at),
                }
                Some(())
            }
        }
    }

    fn set_text(&mut self, fact: GuardFact, text: &str) -> Option<()> {
        fn set<T>(
            to: &mut Option<T>,
            text: &str,
            new: fn(&str) -> Result<T, InvalidId>,
        ) -> Option<()> {
            *to = Some(new(text).ok()?);
            Some(())
        }
        let Self { member, class, title, facts } = self;
        match fact {
            GuardFact::Plan => set(&mut member.plan, text, Plan::new),
            GuardFact::Territory => set(&mut member.territory, text, Territory::new),
            GuardFact::Profile => set(&mut member.profile, text, ProfileId::new),
            GuardFact::Account => set(&mut member.account, text, Account::new),
            GuardFact::SecurityLevel => set(&mut member.security_level, text, SecurityLevel::new),
            GuardFact::DeviceClass => {
                *class = DeviceClass::named(text)?;
                Some(())
            }
            GuardFact::Title => set(title, text, TitleId::new),
            GuardFact::Partner => {
                facts.partner = PartnerId::new(text).ok()?;
                Some(())
            }
            // In no series.
            GuardFact::Series if text.is_empty() => Some(()),
            GuardFact::Series => set(&mut facts.series, text, SeriesId::new),
            GuardFact::MemberSince
            | GuardFact::MaturityLimit
            | GuardFact::ConcurrentStreams
            | GuardFact::ElsewhereAt
            | GuardFact::MaturityRating
            | GuardFact::AvailableFrom
            | GuardFact::AvailableUntil => None,
        }
    }

    fn said(&self, guard: &Guard) -> Option<bool> {
        let Self { member, class, title, facts } = self;
        let title = title.as_ref().map(|id| (id, facts));
        guard.holds(&Asked { member, class: *class, title })
    }
}
