//! What a rule says, facet by facet, in words and so that two policies can be compared.
//!
//! Every field of every kind of rule has its place here: one that is forgotten does not compile.

use std::collections::{BTreeMap, BTreeSet};

use domain::Fact;
use domain::member::CountedKind;
use domain::policy::{
    Cap, Condition, Counts, Downgrade, FinishAnchor, Gate, Keep, Limit, LimitBy, Of, Policy,
    ReleaseFrees, RenewFrom, Rules, ScopeKey, Since, TermsPatch, Tighten, When, Window,
};
use domain::time::CalendarUnit;

use super::guard;
use super::places::{Kind, Scope};
use super::texts::Texts;

/// A term, or a gate, cap or tightening, as one level of a policy says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) kind: Kind,
    /// The field of the terms, or the id.
    pub(super) name: String,
    pub(super) facets: Vec<Facet>,
}

/// One thing that a rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facet {
    pub(super) name: &'static str,
    /// Nothing when the rule leaves it out.
    pub(super) words: Option<String>,
    pub(super) order: Order,
}

/// What makes it tighter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// The less, the tighter.
    Less(i64),
    /// The more, the tighter.
    More(i64),
    /// What it is about; the more, the tighter, and empty is everything.
    About(BTreeSet<String>),
    /// What passes, of which kind; the more, the looser.
    Lets(&'static str, BTreeSet<String>),
    /// What is kept out or counted, of which kind; the more, the tighter.
    Bars(&'static str, BTreeSet<String>),
    /// Nothing passes.
    Shut,
    Window(Window),
    Limit(Limit),
    /// This, and neither way is the tighter one.
    Just(Option<String>),
}

impl Facet {
    /// Whether it is the `per` of a cap that counts these titles apart from others anyway.
    pub(super) fn splits_by(&self, scope: &Scope) -> bool {
        let Order::Lets(PER, keys) = &self.order else { return false };
        let key = match scope {
            Scope::AllTitles => return false,
            Scope::Partner(_) => ScopeKey::Partner,
            Scope::Series(_) => ScopeKey::Series,
            Scope::Title(_) => ScopeKey::Title,
        };
        keys.contains(key.name()) || keys.contains(ScopeKey::Title.name())
    }
}

const PER: &str = "per";
pub(super) const GUARD: &str = "guard";

/// In which way something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    Tighter,
    Looser,
    /// Neither, or both.
    Different,
}

impl Direction {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tighter => "tighter",
            Self::Looser => "looser",
            Self::Different => "different",
        }
    }

    /// Of two changes together.
    pub(super) fn and(self, other: Self) -> Self {
        if self == other { self } else { Self::Different }
    }

    fn when(tighter: bool, looser: bool) -> Self {
        match (tighter, looser) {
            (true, false) => Self::Tighter,
            (false, true) => Self::Looser,
            _ => Self::Different,
        }
    }
}

/// From the one to the other; `None` when they are the same.
pub(super) fn direction(old: &Order, new: &Order) -> Option<Direction> {
    use Order::{About, Bars, Less, Lets, Limit, More, Shut, Window};
    if old == new {
        return None;
    }
    let grows =
        |old: &BTreeSet<String>, new: &BTreeSet<String>| (old.is_subset(new), new.is_subset(old));
    let (tighter, looser) = match (old, new) {
        (Less(old), Less(new)) => (new < old, new > old),
        (More(old), More(new)) => (new > old, new < old),
        (About(old), About(_)) if old.is_empty() => (false, true),
        (About(_), About(new)) if new.is_empty() => (true, false),
        (About(old), About(new)) => grows(old, new),
        (Bars(of, old), Bars(other, new)) if of == other => grows(old, new),
        (Lets(of, old), Lets(other, new)) if of == other => grows(new, old),
        (_, Shut) => (true, false),
        (Shut, _) => (false, true),
        (Window(old), Window(new)) => (reaches(new, old), reaches(old, new)),
        (Limit(old), Limit(new)) => return limits(old, new),
        _ => (false, false),
    };
    Some(Direction::when(tighter, looser))
}

fn limits(old: &Limit, new: &Limit) -> Option<Direction> {
    let rows = limit_rows(old, new)?;
    let directions = rows.iter().map(|(_, old, new)| Direction::when(new < old, new > old));
    directions.reduce(Direction::and)
}

/// For whom a limit is another than before, and both numbers; `None` when the two limits go by
/// different facts.
pub(super) fn limit_rows(old: &Limit, new: &Limit) -> Option<Vec<(String, u32, u32)>> {
    let (by, old_table) = table(&old.by);
    let (other_by, new_table) = table(&new.by);
    if by != other_by && !old_table.is_empty() && !new_table.is_empty() {
        return None;
    }
    let by = if old_table.is_empty() { other_by } else { by };
    let names: BTreeSet<&String> = old_table.keys().chain(new_table.keys()).collect();
    let of = |limit: &Limit, table: &BTreeMap<String, u32>, name: &String| {
        table.get(name).copied().or(limit.otherwise).unwrap_or(0)
    };
    let mut rows: Vec<(String, u32, u32)> = names
        .iter()
        .map(|name| {
            (format!("{by} `{name}`"), of(old, &old_table, name), of(new, &new_table, name))
        })
        .collect();
    let others = if names.is_empty() { "" } else { "others" };
    rows.push((others.to_owned(), old.otherwise.unwrap_or(0), new.otherwise.unwrap_or(0)));
    rows.retain(|(_, old, new)| old != new);
    Some(rows)
}

/// Whether the one window holds all that the other does, whenever that is.
pub(super) fn reaches(one: &Window, other: &Window) -> bool {
    use Window::{Anniversary, Calendar, FirstUse, Lifetime, Now, Rolling};
    match (one, other) {
        (Now, Now) => true,
        (Now, _) | (_, Now) => false,
        (Lifetime, _) => true,
        (_, Lifetime) => false,
        (Rolling(one), Rolling(other) | FirstUse(other)) => one >= other,
        (Rolling(one), Calendar(unit, _) | Anniversary(_, unit, _)) => *one >= unit.longest(),
        (Calendar(one, zone), Calendar(other, other_zone)) => {
            zone == other_zone && holds(*one, *other)
        }
        (Anniversary(of, one, zone), Anniversary(other_of, other, other_zone)) => {
            of == other_of
                && zone == other_zone
                && (one == other || (*one, *other) == (YEAR, MONTH))
        }
        (FirstUse(one), FirstUse(other)) => one == other,
        _ => false,
    }
}

const YEAR: CalendarUnit = CalendarUnit::Year;
const MONTH: CalendarUnit = CalendarUnit::Month;

/// A week may lie in two months.
fn holds(one: CalendarUnit, other: CalendarUnit) -> bool {
    use CalendarUnit::{Day, Month, Week, Year};
    one == other
        || matches!((one, other), (_, Day) | (Year, Month)) && !matches!(one, Day | Week)
        || (one, other) == (Week, Day)
}

/// Everything that a level says.
pub(super) fn said(rules: &Rules) -> Vec<Said> {
    let Rules { terms, tighten, gates, caps } = rules;
    let terms = term_facets(terms).into_iter().filter(|facet| facet.words.is_some());
    let terms = terms.map(|facet| Said {
        kind: Kind::Term,
        name: facet.name.to_owned(),
        facets: vec![facet],
    });
    let rule = |kind, name: &domain::RuleId, facets| Said { kind, name: name.to_string(), facets };
    terms
        .chain(tighten.iter().map(|it| rule(Kind::Tightening, &it.id, tighten_facets(it))))
        .chain(gates.iter().map(|it| rule(Kind::Gate, &it.id, gate_facets(it))))
        .chain(caps.iter().map(|it| rule(Kind::Cap, &it.id, cap_facets(it))))
        .collect()
}

/// Every field of the terms, set or not.
pub(super) fn term_facets(terms: &TermsPatch) -> Vec<Facet> {
    let TermsPatch {
        start_within,
        finish_within,
        finish_anchor,
        check_in_within,
        end_within,
        grace,
        running_play,
        not_before,
        hard_end,
        end_with_availability,
        renewals_max,
        renew_before_end,
        renew_after_end,
        renew_from,
        auto_renew_every,
        release_frees,
        delete_at_end,
    } = terms;
    // Where nothing is said, nothing ends it, and nothing is given on top.
    let (never, nothing) = (i64::MAX, 0);
    let length = |length: &Option<domain::Duration>, absent: i64| {
        length.map_or(absent, domain::Duration::as_millis)
    };
    let instant = |at: &Option<domain::Timestamp>, absent: i64| {
        at.map_or(absent, domain::Timestamp::as_millis)
    };
    let renew_from = renew_from.map(renew_from_name);
    let anchor = finish_anchor.map_or(FinishAnchor::Term, |anchor| anchor) as i64;
    let frees = release_frees.map_or(ReleaseFrees::AtOnce, |frees| frees) as i64;
    let renewals = renewals_max.map_or(never, i64::from);
    let available = i64::from(*end_with_availability == Some(true));
    let deletes = i64::from(*delete_at_end == Some(true));
    vec![
        facet("start_within", start_within, Order::Less(length(start_within, never))),
        facet("finish_within", finish_within, Order::Less(length(finish_within, never))),
        facet("finish_anchor", &finish_anchor.map(anchor_name), Order::More(anchor)),
        facet("check_in_within", check_in_within, Order::Less(length(check_in_within, never))),
        facet("end_within", end_within, Order::Less(length(end_within, never))),
        facet("grace", grace, Order::Less(length(grace, nothing))),
        facet("running_play", running_play, Order::Less(length(running_play, nothing))),
        facet("not_before", not_before, Order::More(instant(not_before, i64::MIN))),
        facet("hard_end", hard_end, Order::Less(instant(hard_end, never))),
        facet("end_with_availability", end_with_availability, Order::More(available)),
        facet("renewals_max", renewals_max, Order::Less(renewals)),
        facet("renew_before_end", renew_before_end, Order::Less(length(renew_before_end, never))),
        facet("renew_after_end", renew_after_end, Order::Less(length(renew_after_end, never))),
        facet("renew_from", &renew_from, Order::Just(Some(renew_from.unwrap_or("now").to_owned()))),
        facet("release_frees", &release_frees.map(release_frees_name), Order::More(frees)),
        facet("auto_renew_every", auto_renew_every, Order::More(length(auto_renew_every, nothing))),
        facet("delete_at_end", delete_at_end, Order::More(deletes)),
    ]
}

fn anchor_name(anchor: FinishAnchor) -> &'static str {
    match anchor {
        FinishAnchor::Term => "term",
        FinishAnchor::License => "license",
        FinishAnchor::Title => "title",
    }
}

fn renew_from_name(from: RenewFrom) -> &'static str {
    match from {
        RenewFrom::Now => "now",
        RenewFrom::End => "end",
    }
}

fn release_frees_name(frees: ReleaseFrees) -> &'static str {
    match frees {
        ReleaseFrees::AtOnce => "at_once",
        ReleaseFrees::WhenConfirmed => "when_confirmed",
    }
}

/// What is said of changes around a member.
pub(super) fn said_of_members(policy: &Policy) -> Vec<Said> {
    let Policy {
        version: _,
        name: _,
        effective_from: _,
        default: _,
        partners: _,
        series: _,
        titles: _,
        downgrade,
        lapse_ends_within,
    } = policy;
    let said = |name: &str, facets| Said { kind: Kind::Membership, name: name.to_owned(), facets };
    let downgrade = downgrade.map(|Downgrade { keep, notice }| {
        let keep = match keep {
            Keep::LastSeen => "last_seen",
            Keep::FirstRegistered => "first_registered",
        };
        let keep = facet("keep", &Some(keep), Order::Just(Some(keep.to_owned())));
        said(
            "downgrade",
            vec![keep, facet("notice", &Some(notice), Order::Less(notice.as_millis()))],
        )
    });
    let lapse = lapse_ends_within.map(|within| {
        said("lapse", vec![facet("end_within", &Some(within), Order::Less(within.as_millis()))])
    });
    downgrade.into_iter().chain(lapse).collect()
}

/// What members are told in the policy's own words.
pub(super) fn said_to_members(texts: &Texts) -> Vec<Said> {
    let said = |(name, words): (String, String)| Said {
        kind: Kind::Text,
        facets: vec![facet("says", &Some(&words), Order::Just(Some(words.clone())))],
        name,
    };
    texts.written().into_iter().map(said).collect()
}

pub(super) fn tighten_facets(tighten: &Tighten) -> Vec<Facet> {
    let Tighten { id: _, of, when, terms, needs } = tighten;
    let terms = term_facets(terms).into_iter().filter(|facet| facet.words.is_some());
    terms.chain(selection(of, when, needs)).collect()
}

pub(super) fn gate_facets(gate: &Gate) -> Vec<Facet> {
    let Gate { id: _, of, when, condition, needs } = gate;
    let (words, order) = match condition {
        Condition::Plans(plans) => lets("plans", plans),
        Condition::Territories(territories) => lets("territories", territories),
        Condition::NotTerritories(territories) => {
            let names = names(territories);
            (words_of("not_territories", &names), Order::Bars("not_territories", names))
        }
        Condition::Classes(classes) => {
            let names: BTreeSet<_> = classes.iter().map(|class| class.name().to_owned()).collect();
            (words_of("device_classes", &names), Order::Lets("device_classes", names))
        }
        Condition::SecurityLevels(levels) => lets("security_levels", levels),
        Condition::Accounts(accounts) => lets("accounts", accounts),
        Condition::ConcurrentStreams(limit) => {
            (format!("concurrent_streams {}", limit_words(limit)), Order::Limit(limit.clone()))
        }
        Condition::NotElsewhereFor(length) => {
            (format!("not_elsewhere_for {length}"), Order::More(length.as_millis()))
        }
        Condition::Maturity => just("maturity"),
        Condition::Downloadable => just("downloadable"),
        Condition::Closed => ("closed".to_owned(), Order::Shut),
    };
    let condition = Facet { name: "condition", words: Some(words), order };
    std::iter::once(condition).chain(selection(of, when, needs)).collect()
}

pub(super) fn cap_facets(cap: &Cap) -> Vec<Facet> {
    let Cap { id: _, counts, per, of, when, window, limit, idle_after, warn_at_left, needs } = cap;
    let order = match counts {
        Counts::Events(kinds) => {
            let kinds = kinds.iter().map(CountedKind::name).map(str::to_owned);
            Order::Bars("events", kinds.collect())
        }
        _ => Order::Just(Some(counts.name())),
    };
    let per: BTreeSet<String> = per.iter().map(|key| key.name().to_owned()).collect();
    let idle = idle_after.map_or(i64::MAX, domain::Duration::as_millis);
    let mut facets = vec![
        Facet { name: "counts", words: Some(counts.name()), order },
        Facet { name: "per", words: join(&per), order: Order::Lets(PER, per) },
        Facet { name: "window", words: window_words(window), order: Order::Window(window.clone()) },
        Facet {
            name: "limit",
            words: Some(limit_words(limit)),
            order: Order::Limit(limit.clone()),
        },
        facet("idle_after", idle_after, Order::More(idle)),
        facet("warn_at_left", warn_at_left, Order::Just(warn_at_left.map(|left| left.to_string()))),
    ];
    facets.extend(selection(of, when, needs));
    facets
}

fn selection(of: &Of, when: &When, needs: &[Fact]) -> Vec<Facet> {
    let Of { tags, classes } = of;
    let When { plans, territories, security_levels, accounts, guard } = when;
    let about = |name, names: BTreeSet<String>| Facet {
        name,
        words: join(&names),
        order: Order::About(names),
    };
    let needs: BTreeSet<String> = needs.iter().map(|fact| fact.name().to_owned()).collect();
    vec![
        about("of.tags", names(tags)),
        about("of.device_classes", classes.iter().map(|class| class.name().to_owned()).collect()),
        about("when.plans", names(plans)),
        about("when.territories", names(territories)),
        about("when.security_levels", names(security_levels)),
        about("when.accounts", names(accounts)),
        // What has to hold beside the rest: the more, the fewer requests it is for.
        Facet {
            name: GUARD,
            words: guard.as_ref().map(guard::words),
            order: Order::Lets(
                GUARD,
                guard.iter().flat_map(guard::conjuncts).map(guard::words).collect(),
            ),
        },
        Facet { name: "not asked without", words: join(&needs), order: Order::Lets("", needs) },
    ]
}

fn facet<T: ToString>(name: &'static str, value: &Option<T>, order: Order) -> Facet {
    Facet { name, words: value.as_ref().map(T::to_string), order }
}

fn just(word: &str) -> (String, Order) {
    (word.to_owned(), Order::Just(Some(word.to_owned())))
}

fn lets<T: ToString>(what: &'static str, of: &[T]) -> (String, Order) {
    let names = names(of);
    (words_of(what, &names), Order::Lets(what, names))
}

fn names<T: ToString>(of: &[T]) -> BTreeSet<String> {
    of.iter().map(T::to_string).collect()
}

fn words_of(what: &str, names: &BTreeSet<String>) -> String {
    format!("{what} {}", join(names).unwrap_or_default())
}

fn join(names: &BTreeSet<String>) -> Option<String> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn window_words(window: &Window) -> Option<String> {
    let unit = |unit: &CalendarUnit| match unit {
        CalendarUnit::Day => "day",
        CalendarUnit::Week => "week",
        CalendarUnit::Month => "month",
        CalendarUnit::Year => "year",
    };
    Some(match window {
        Window::Now => return None,
        Window::Rolling(length) => format!("rolling {length}"),
        Window::Calendar(of, zone) => format!("calendar {} in {}", unit(of), zone.name()),
        Window::Anniversary(since, of, zone) => {
            let since = match since {
                Since::Member => "",
                Since::License => " of the license",
            };
            format!("anniversary {}{since} in {}", unit(of), zone.name())
        }
        Window::FirstUse(length) => format!("first use {length}"),
        Window::Lifetime => "lifetime".to_owned(),
    })
}

/// By what a limit goes, and its numbers.
pub(super) fn table(by: &LimitBy) -> (&'static str, BTreeMap<String, u32>) {
    fn named<K: ToString>(table: &BTreeMap<K, u32>) -> BTreeMap<String, u32> {
        table.iter().map(|(name, number)| (name.to_string(), *number)).collect()
    }
    match by {
        LimitBy::Plan(table) => ("plan", named(table)),
        LimitBy::Territory(table) => ("territory", named(table)),
        LimitBy::Class(table) => {
            let named = table.iter().map(|(class, number)| (class.name().to_owned(), *number));
            ("device class", named.collect())
        }
        LimitBy::Tag(table) => ("tag", named(table)),
    }
}

fn limit_words(limit: &Limit) -> String {
    let (by, table) = table(&limit.by);
    let mut numbers: Vec<String> = table.iter().map(|(name, n)| format!("{name} {n}")).collect();
    match limit.otherwise {
        Some(number) if numbers.is_empty() => return number.to_string(),
        Some(number) => numbers.push(format!("otherwise {number}")),
        None => {}
    }
    format!("by {by}: {}", numbers.join(", "))
}
