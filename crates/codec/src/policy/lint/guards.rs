//! Guards that never hold, or always do: tried with every combination of values that could make a
//! difference to them.

use std::collections::{BTreeMap, BTreeSet};

use domain::policy::{Asked, Guard, GuardFact, Of, Operand, Rules, Value, When};
use domain::{
    Account, DeviceClass, InvalidId, MemberFacts, PartnerId, Plan, ProfileId, RuleId,
    SecurityLevel, SeriesId, Tag, Territory, Timestamp, TitleFacts, TitleId,
};

use super::{Chain, Kind, Lint, some_title};

/// Where more would have to be tried, nothing is said.
const TRIES_MAX: usize = 4_000;

impl Lint {
    pub(super) fn guards(&mut self, chain: &Chain, rules: &Rules) {
        let Rules { terms: _, tighten, gates, caps } = rules;
        let tighten = tighten.iter().map(|it| (Kind::Tightening, &it.id, &it.of, &it.when, false));
        let gates = gates
            .iter()
            .map(|it| (Kind::Gate, &it.id, &it.of, &it.when, it.condition.is_of_devices()));
        let caps =
            caps.iter().map(|it| (Kind::Cap, &it.id, &it.of, &it.when, it.counts.is_of_devices()));
        for (kind, id, of, when, of_devices) in tighten.chain(gates).chain(caps) {
            let found =
                when.guard.as_ref().and_then(|guard| found(chain, guard, of, when, of_devices));
            if let Some(message) = found {
                self.note(&chain.scope, kind, RuleId::as_str(id), message);
            }
        }
    }
}

fn found(chain: &Chain, guard: &Guard, of: &Of, when: &When, of_devices: bool) -> Option<String> {
    const NEVER: &str = "its `guard` never holds where its facts are known";
    let anything = Passing::default();
    let (holds, fails) = anything.tried(guard)?;
    if !holds {
        return Some(format!("can never apply: {NEVER}"));
    }
    if !fails {
        return Some("its `guard` always holds; leave it out".to_owned());
    }
    let mut selected = Passing::of(of, when);
    if !selected.tried(guard)?.0 {
        return Some(format!("can never apply: {NEVER}, of what `of` and `when` select"));
    }
    if of_devices {
        return None; // no gate is asked
    }
    for (what, gates) in chain.passing() {
        let fact = GATES.iter().find(|(gate, _)| *gate == what).map(|(_, fact)| *fact);
        for (_, names) in gates {
            selected.only(fact?, names.iter().cloned());
        }
    }
    let passes = selected.tried(guard)?.0;
    (!passes).then(|| format!("can never apply: {NEVER}, of what the gates let pass"))
}

const GATES: [(&str, GuardFact); 5] = [
    ("plans", GuardFact::Plan),
    ("territories", GuardFact::Territory),
    ("device_classes", GuardFact::DeviceClass),
    ("security_levels", GuardFact::SecurityLevel),
    ("accounts", GuardFact::Account),
];

/// Which texts a fact can be; what is not named can be any.
#[derive(Default)]
struct Passing(BTreeMap<GuardFact, BTreeSet<String>>);

impl Passing {
    fn of(of: &Of, when: &When) -> Self {
        let mut passing = Self::default();
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
            passing.only(*fact, names(listed).into_iter());
        }
        passing
    }

    fn only(&mut self, fact: GuardFact, names: impl Iterator<Item = String>) {
        let names: BTreeSet<String> = names.collect();
        let passing = self.0.entry(fact).or_insert_with(|| names.clone());
        passing.retain(|name| names.contains(name));
    }

    /// Whether the guard holds of anything, and whether it fails of anything; `None` when that is
    /// too much to try.
    fn tried(&self, guard: &Guard) -> Option<(bool, bool)> {
        let mut parts = Parts::default();
        parts.collect(guard)?;
        let axes: Vec<(Axis, Vec<Value>)> = parts.axes(&self.0);
        let tries = axes.iter().try_fold(1_usize, |n, (_, values)| n.checked_mul(values.len()))?;
        if tries > TRIES_MAX {
            return None;
        }
        let (mut holds, mut fails) = (false, false);
        'tries: for mut nth in 0..tries {
            let mut one = One::default();
            for (axis, values) in &axes {
                if one.set(axis, values.get(nth % values.len())?).is_none() {
                    continue 'tries;
                }
                nth /= values.len();
            }
            let said = one.holds(guard);
            holds |= said;
            fails |= !said;
        }
        Some((holds, fails))
    }
}

/// What of a guard makes a difference.
#[derive(Default)]
struct Parts {
    facts: BTreeSet<GuardFact>,
    constants: BTreeSet<Value>,
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
                self.operand(left);
                self.operand(right);
                Some(())
            }
            Guard::In(item, list) => {
                [item].into_iter().chain(list).for_each(|operand| self.operand(operand));
                Some(())
            }
            Guard::InTags(Operand::Constant(Value::Text(tag))) => {
                self.tags.insert(tag.clone());
                Some(())
            }
            Guard::InTags(_) => None,
        }
    }

    fn operand(&mut self, operand: &Operand) {
        match operand {
            Operand::Fact(fact) => drop(self.facts.insert(*fact)),
            Operand::Constant(value) => drop(self.constants.insert(value.clone())),
        }
    }

    /// Every constant that there is, what lies around it, and as many others as there are facts
    /// that could be told apart.
    fn axes(&self, passing: &BTreeMap<GuardFact, BTreeSet<String>>) -> Vec<(Axis, Vec<Value>)> {
        let n = self.facts.len();
        let fact = |fact: &GuardFact| {
            let values = match fact {
                GuardFact::MemberSince
                | GuardFact::ElsewhereAt
                | GuardFact::AvailableFrom
                | GuardFact::AvailableUntil => {
                    let bounds = [Timestamp::MIN.as_millis(), Timestamp::MAX.as_millis()];
                    let times = self.constants.iter().filter_map(|value| match value {
                        Value::Time(at) => Some(at.as_millis()),
                        _ => None,
                    });
                    let time = |ms| Value::Time(Timestamp::from_millis(ms));
                    around(times, bounds, n).into_iter().map(time).collect()
                }
                GuardFact::MaturityLimit
                | GuardFact::MaturityRating
                | GuardFact::ConcurrentStreams => {
                    let numbers = self.constants.iter().filter_map(|value| match value {
                        Value::Number(number) => Some(*number),
                        _ => None,
                    });
                    let most = match fact {
                        GuardFact::ConcurrentStreams => u32::MAX.into(),
                        _ => u16::MAX.into(),
                    };
                    around(numbers, [0, most], n).into_iter().map(Value::Number).collect()
                }
                _ => self.texts(*fact, passing.get(fact), n),
            };
            (Axis::Fact(*fact), values)
        };
        let tag = |tag: &String| (Axis::Tag(tag.clone()), vec![Value::Number(0), Value::Number(1)]);
        self.facts.iter().map(fact).chain(self.tags.iter().map(tag)).collect()
    }

    fn texts(&self, fact: GuardFact, passing: Option<&BTreeSet<String>>, n: usize) -> Vec<Value> {
        let constants: BTreeSet<&str> = self
            .constants
            .iter()
            .filter_map(|value| match value {
                Value::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        let classes: BTreeSet<String>;
        let passing = match (fact, passing) {
            (GuardFact::DeviceClass, None) => {
                classes = DeviceClass::ALL.iter().map(|class| class.name().to_owned()).collect();
                Some(&classes)
            }
            (_, passing) => passing,
        };
        let (named, others): (Vec<String>, Vec<String>) = match passing {
            Some(passing) => {
                passing.iter().cloned().partition(|name| constants.contains(name.as_str()))
            }
            None => {
                let fresh = (0..).map(|n| format!("other-{n}"));
                let fresh = fresh.filter(|name| !constants.contains(name.as_str()));
                (constants.iter().map(|name| (*name).to_owned()).collect(), fresh.take(n).collect())
            }
        };
        named.into_iter().chain(others.into_iter().take(n)).map(Value::Text).collect()
    }
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

    fn holds(&self, guard: &Guard) -> bool {
        let Self { member, class, title, facts } = self;
        let title = title.as_ref().map(|id| (id, facts));
        guard.holds(&Asked { member, class: *class, title }) == Some(true)
    }
}
