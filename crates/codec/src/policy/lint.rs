//! What a policy says that has no effect, or cannot have been meant.
//!
//! Everything here is allowed, and decided as it is written: these are hints. What is at another
//! level is compared only where it is sure to be for the same titles: a series and a title are
//! of a partner that the policy does not know.

mod guards;
mod terms;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::policy::{Limit, Rules, Window};
use domain::{PartnerId, TitleFacts, TitleId};

use super::facet::{Direction, Facet, GUARD, Order, Said, direction, limit_rows, said, table};
use super::places::{Kind, Place, Places, Scope, levels};
use super::{Loaded, PolicyError};

/// Everything that looks wrong, in the order of the files.
pub fn lint(loaded: &Loaded) -> Vec<PolicyError> {
    let mut lint = Lint { places: Places::of(loaded), found: Vec::new() };
    let between = terms::Between::of(&loaded.policy);
    let default = (&Scope::AllTitles, &loaded.policy.default);
    for (scope, rules) in levels(&loaded.policy) {
        let chain = Chain::new(default, (&scope, rules));
        lint.passing(&chain);
        lint.shadows(&chain);
        lint.itself(&chain);
        lint.repeats(&chain);
        lint.guards(&chain, rules);
        terms::lint(&mut lint, &loaded.policy, (&scope, rules), &between);
    }
    lint.found.sort();
    lint.found.dedup();
    lint.found
}

struct Lint {
    places: Places,
    found: Vec<PolicyError>,
}

impl Lint {
    fn note(&mut self, scope: &Scope, kind: Kind, name: &str, message: String) {
        if let Some(Place { file, line, field }) = self.places.get(scope, kind, name).cloned() {
            self.found.push(PolicyError { file, line: Some(line), column: None, field, message });
        }
    }

    fn place(&self, rule: &Standing) -> String {
        let place = self.places.get(&rule.scope, rule.said.kind, &rule.said.name);
        place.map_or_else(String::new, |place| format!(" ({place})"))
    }
}

/// A rule and the level at which it stands.
struct Standing {
    scope: Scope,
    said: Said,
}

/// What is asked about a title of this level, as far as that is known.
struct Chain {
    scope: Scope,
    /// Without terms, and without what a narrower rule of the same id replaces.
    rules: Vec<Standing>,
    /// What it replaces.
    replaced: Vec<Standing>,
}

impl Chain {
    fn new(default: (&Scope, &Rules), own: (&Scope, &Rules)) -> Self {
        let standing = |(scope, rules): (&Scope, &Rules)| -> Vec<Standing> {
            let said = said(rules).into_iter().filter(|said| said.kind != Kind::Term);
            said.map(|said| Standing { scope: scope.clone(), said }).collect()
        };
        let scope = own.0.clone();
        let mut rules = standing(own);
        let mut replaced = Vec::new();
        if scope != Scope::AllTitles {
            for wider in standing(default) {
                let same = |own: &Standing| {
                    (own.said.kind, &own.said.name) == (wider.said.kind, &wider.said.name)
                };
                let is_replaced = rules.iter().any(same);
                if is_replaced { &mut replaced } else { &mut rules }.push(wider);
            }
        }
        Self { scope, rules, replaced }
    }

    fn own(&self) -> impl Iterator<Item = &Standing> {
        self.rules.iter().filter(|rule| rule.scope == self.scope)
    }

    /// What passes the gates that are always asked, by what they go by, and which gate it is that
    /// says so.
    fn passing(&self) -> BTreeMap<&'static str, Vec<(&Standing, &BTreeSet<String>)>> {
        let mut passing: BTreeMap<&'static str, Vec<_>> = BTreeMap::new();
        for gate in self.rules.iter().filter(|rule| rule.said.kind == Kind::Gate) {
            if let Some((Order::Lets(what, names), true)) =
                gate.said.condition().zip(Some(gate.said.is_always_asked()))
            {
                passing.entry(what).or_default().push((gate, names));
            }
        }
        passing
    }
}

impl Said {
    fn facet(&self, name: &str) -> Option<&Facet> {
        self.facets.iter().find(|facet| facet.name == name)
    }

    fn condition(&self) -> Option<&Order> {
        self.facet("condition").map(|facet| &facet.order)
    }

    fn limit(&self) -> Option<&Limit> {
        self.facets.iter().find_map(|facet| match &facet.order {
            Order::Limit(limit) => Some(limit),
            _ => None,
        })
    }

    /// What the rule is about, and of that which names.
    fn about(&self) -> impl Iterator<Item = (&'static str, &BTreeSet<String>)> {
        self.facets.iter().filter_map(|facet| match &facet.order {
            Order::About(names) if !names.is_empty() => Some((facet.name, names)),
            _ => None,
        })
    }

    fn is_always_asked(&self) -> bool {
        let selects = self.facets.iter().any(|facet| {
            matches!(facet.name, GUARD | "not asked without") && facet.words.is_some()
        });
        self.about().next().is_none() && !selects
    }

    /// Asked when devices come and go, as most gates are not.
    fn is_of_devices(&self) -> bool {
        let says = |name: &str, of_devices: fn(&str) -> bool| {
            self.facet(name).and_then(|facet| facet.words.as_deref()).is_some_and(of_devices)
        };
        says("counts", |it| it.starts_with("device_") || it == "devices_registered")
            || says("condition", |it| it.starts_with("not_elsewhere_for"))
    }
}

/// By what gates call it, what selections and limits call it.
const WHAT: [(&str, &str, &str); 5] = [
    ("plans", "when.plans", "plan"),
    ("territories", "when.territories", "territory"),
    ("device_classes", "of.device_classes", "device class"),
    ("security_levels", "when.security_levels", "security level"),
    ("accounts", "when.accounts", "account"),
];

impl Lint {
    /// What is for nobody whom the gates let pass.
    fn passing(&mut self, chain: &Chain) {
        let passing = chain.passing();
        for (what, about, by) in WHAT {
            let gates = passing.get(what).map(Vec::as_slice).unwrap_or_default();
            self.disjoint_gates(chain, gates);
            for rule in chain.own().filter(|rule| !rule.said.is_of_devices()) {
                for (gate, names) in gates {
                    let selected = rule.said.about().find(|(name, _)| *name == about);
                    let place = self.place(gate);
                    if let Some((_, selected)) = selected
                        && selected.is_disjoint(names)
                    {
                        let message = format!(
                            "can never apply: `{about}` names only what gate `{}`{place} refuses",
                            gate.said.name
                        );
                        self.note(&rule.scope, rule.said.kind, &rule.said.name, message);
                    }
                    let limits = rule.said.limit().map(|limit| table(&limit.by));
                    let (_, limits) = limits.filter(|(of, _)| *of == by).unwrap_or_default();
                    for name in limits.keys().filter(|name| !names.contains(*name)) {
                        let table = match rule.said.kind {
                            Kind::Gate => "concurrent_streams",
                            _ => "limit",
                        };
                        let message = format!(
                            "`{name}` in `{table}` is never used: gate `{}`{place} refuses that {by}",
                            gate.said.name
                        );
                        self.note(&rule.scope, rule.said.kind, &rule.said.name, message);
                    }
                }
            }
        }
    }

    fn disjoint_gates(&mut self, chain: &Chain, gates: &[(&Standing, &BTreeSet<String>)]) {
        for (index, (gate, names)) in gates.iter().enumerate() {
            for (other, other_names) in gates.iter().take(index) {
                // Between two of the wider level it is told there.
                let (own, other) = match (gate.scope == chain.scope, other.scope == chain.scope) {
                    (true, _) => (gate, other),
                    (false, true) => (other, gate),
                    (false, false) => continue,
                };
                if names.is_disjoint(other_names) {
                    let message = format!(
                        "nobody passes both it and gate `{}`{}: downloads are closed here",
                        other.said.name,
                        self.place(other)
                    );
                    self.note(&own.scope, own.said.kind, &own.said.name, message);
                }
            }
        }
    }

    /// What never makes a difference, because another rule is at least as tight in everything.
    fn shadows(&mut self, chain: &Chain) {
        for (index, rule) in chain.rules.iter().enumerate() {
            if rule.scope != chain.scope {
                continue;
            }
            for (position, other) in chain.rules.iter().enumerate() {
                let earlier = other.scope != rule.scope || position < index;
                let both = other.said.kind == rule.said.kind && position != index;
                // What a level's cap counts is its own.
                let alike = other.scope == rule.scope || !counts_by_what_came_before(&other.said);
                if !both || !alike || !shadows(&other.said, &rule.said) {
                    continue;
                }
                // Of two that say the same, the first stays.
                if earlier || !shadows(&rule.said, &other.said) {
                    let effect = match rule.said.kind {
                        Kind::Tightening => "tightens nothing that",
                        _ => "never refuses anything that",
                    };
                    let message = format!(
                        "{effect} `{}`{} does not already",
                        other.said.name,
                        self.place(other)
                    );
                    self.note(&rule.scope, rule.said.kind, &rule.said.name, message);
                    break;
                }
            }
        }
    }

    /// Gates that select by what they decide by.
    fn itself(&mut self, chain: &Chain) {
        for rule in chain.own().filter(|rule| rule.said.kind == Kind::Gate) {
            let Some(Order::Lets(what, names)) = rule.said.condition() else { continue };
            let about = WHAT.iter().find(|(gate, ..)| gate == what).map(|(_, about, _)| *about);
            let Some((about, selected)) = rule.said.about().find(|(name, _)| Some(*name) == about)
            else {
                continue;
            };
            let message = if selected.is_subset(names) {
                format!(
                    "lets everything pass that `{about}` selects; remove it, or widen `{about}`"
                )
            } else if selected.is_disjoint(names) {
                format!("refuses everything that `{about}` selects; say so with `closed = true`")
            } else {
                continue;
            };
            self.note(&rule.scope, rule.said.kind, &rule.said.name, message);
        }
    }

    /// What takes the place of a wider rule and says the same.
    fn repeats(&mut self, chain: &Chain) {
        for wider in &chain.replaced {
            let same = chain.own().find(|own| own.said == wider.said);
            let Some(own) = same else { continue };
            let place = self.place(wider);
            let splits = own.said.facets.iter().any(|facet| facet.splits_by(&chain.scope));
            let message = if own.said.kind == Kind::Cap && !splits {
                format!(
                    "says what the one of all titles{place} says, and takes its place: it counts \
                     among {} only; if both are meant, give it another id",
                    chain.scope
                )
            } else {
                format!("says what the one of all titles{place} says already; remove it")
            };
            self.note(&own.scope, own.said.kind, &own.said.name, message);
        }
    }
}

/// What of a cap says what is counted.
const COUNTED: [&str; 6] =
    ["counts", "per", "window", "idle_after", "of.tags", "of.device_classes"];

/// Counted once, however often they are used.
const THINGS: [&str; 3] = ["devices_holding", "distinct_titles", "devices_registered"];

/// Whether a cap that counts more than another may count less at some moment: a device or title that
/// is counted already adds nothing, and another first event opens another period.
fn counts_by_what_came_before(cap: &Said) -> bool {
    let counts = cap.facet("counts").and_then(|facet| facet.words.as_deref());
    let window = cap.facet("window").map(|facet| &facet.order);
    counts.is_some_and(|counts| THINGS.contains(&counts))
        || matches!(window, Some(Order::Window(Window::FirstUse(_))))
}

/// Whether whatever the second does, the first does already.
fn shadows(first: &Said, second: &Said) -> bool {
    if first.is_of_devices() != second.is_of_devices() {
        return false;
    }
    // A renewal under other facts may take a license from one count to another: it adds to the
    // second where it does not add to the first.
    let of_now = second.kind == Kind::Cap
        && second.facet("window").is_none_or(|window| window.words.is_none());
    let only_the_same = counts_by_what_came_before(first);
    second.facets.iter().all(|facet| {
        let Some(other) = first.facet(facet.name) else { return false };
        match (&other.order, &facet.order) {
            (one, two) if only_the_same && COUNTED.contains(&facet.name) => one == two,
            (one, two) if of_now && facet.name == "of.tags" => one == two,
            (Order::Lets(_, one), Order::Lets(_, two)) if of_now && facet.name == "per" => {
                let stays = |key: &String| matches!(&**key, "device" | "device_class" | "title");
                one.is_subset(two) && two.difference(one).all(stays)
            }
            // A cap that warns does something before it would refuse.
            _ if facet.name == "warn_at_left" => facet.words.is_none(),
            (Order::Limit(one), Order::Limit(two)) => no_looser(one, two),
            (Order::Lets("territories", let_in), Order::Bars("not_territories", barred)) => {
                let_in.is_disjoint(barred)
            }
            // Each device or title that is counted has a license.
            _ if facet.name == "counts"
                && other.words.as_deref() == Some("active_licenses")
                && second.facet("window").is_some_and(|window| window.words.is_none()) =>
            {
                let counted = facet.words.as_deref();
                matches!(counted, Some("active_licenses" | "devices_holding" | "distinct_titles"))
            }
            (one, two) => direction(one, two).is_none_or(|it| it == Direction::Looser),
        }
    })
}

/// Whether the first number is at most the second, for everybody.
fn no_looser(one: &Limit, two: &Limit) -> bool {
    // Without the fact that it goes by, the smallest holds.
    let smallest =
        |limit: &Limit| table(&limit.by).1.into_values().chain(limit.otherwise).min().unwrap_or(0);
    smallest(one) <= smallest(two)
        && limit_rows(one, two).is_some_and(|rows| rows.iter().all(|(_, one, two)| one <= two))
}

/// A title of which nothing is special, for questions that are not about one.
#[expect(clippy::expect_used, reason = "INVARIANT: a word is an id")]
fn some_title() -> (TitleId, TitleFacts) {
    let facts = TitleFacts {
        partner: PartnerId::new("partner").expect("an id"),
        series: None,
        tags: Arc::from([]),
        maturity_rating: None,
        downloadable: true,
        offered: true,
        available_from: None,
        available_until: None,
    };
    (TitleId::new("title").expect("an id"), facts)
}

#[cfg(test)]
mod tests;
