//! A guard means what CEL says that it means: its words are asked of CEL's own evaluator too.

use std::collections::HashMap;
use std::sync::Arc;

use cel::{Context, Value as CelValue};
use domain::policy::{Asked, Comparison, Guard, GuardFact, Operand, Value};
use domain::{DeviceClass, MemberFacts, PartnerId, Tag, Timestamp, TitleFacts, TitleId};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

use super::{guard, words};
use crate::policy::guard::{FACTS, Kind, parsed};

const TEXTS: [&str; 5] = ["a", "b", "tv", "q\"", "\\u"];

/// What a fact may be, and what it may be compared with.
fn values(fact: GuardFact, kind: Kind) -> Vec<Value> {
    match (fact, kind) {
        (GuardFact::DeviceClass, _) => {
            DeviceClass::ALL.map(|class| Value::Text(class.name().to_owned())).to_vec()
        }
        (_, Kind::Text) => TEXTS.map(|text| Value::Text(text.to_owned())).to_vec(),
        (_, Kind::Number) => (0..4).map(Value::Number).collect(),
        (_, Kind::Time) => (0..4).map(|ms| Value::Time(Timestamp::from_millis(ms))).collect(),
    }
}

/// A fact, and something that it can be compared with.
fn pair() -> impl Strategy<Value = (Operand, Operand, Kind)> {
    (select(FACTS.to_vec()), any::<Index>(), any::<bool>()).prop_map(
        |((_, fact, kind), at, turn)| {
            let facts = FACTS.iter().filter(|(_, other, of)| *of == kind && *other != fact);
            let facts = facts.map(|(_, fact, _)| Operand::Fact(*fact));
            let others: Vec<Operand> =
                values(fact, kind).into_iter().map(Operand::Constant).chain(facts).collect();
            let (fact, other) = (Operand::Fact(fact), at.get(&others).clone());
            if turn { (fact, other, kind) } else { (other, fact, kind) }
        },
    )
}

fn leaf() -> impl Strategy<Value = Guard> {
    let compared = (pair(), select(Comparison::ALL.to_vec())).prop_map(|(pair, how)| {
        let (left, right, kind) = pair;
        let equality =
            if how == Comparison::Less { Comparison::Equal } else { Comparison::NotEqual };
        Guard::Compare { left, how: if kind == Kind::Text { equality } else { how }, right }
    });
    let listed = (select(FACTS.to_vec()), vec(any::<Index>(), 1..4)).prop_map(|(fact, list)| {
        let (_, fact, kind) = fact;
        let values = values(fact, kind);
        let list = list.iter().map(|at| Operand::Constant(at.get(&values).clone())).collect();
        Guard::In(Operand::Fact(fact), list)
    });
    let tagged = prop_oneof![
        select(TEXTS.to_vec()).prop_map(|tag| Operand::Constant(Value::Text(tag.to_owned()))),
        Just(Operand::Fact(GuardFact::Plan)),
    ];
    prop_oneof![3 => compared, 1 => listed, 1 => tagged.prop_map(Guard::InTags)]
}

/// As it is read: what is joined in the same way lies side by side.
fn guards() -> impl Strategy<Value = Guard> {
    leaf().prop_recursive(3, 12, 3, |inner| {
        let all = vec(inner.clone(), 2..4).prop_map(|parts| {
            let flat = parts.into_iter().flat_map(|part| match part {
                Guard::All(parts) => parts,
                other => vec![other],
            });
            Guard::All(flat.collect())
        });
        let any = vec(inner.clone(), 2..4).prop_map(|parts| {
            let flat = parts.into_iter().flat_map(|part| match part {
                Guard::Any(parts) => parts,
                other => vec![other],
            });
            Guard::Any(flat.collect())
        });
        prop_oneof![all, any, inner.prop_map(|not| Guard::Not(Box::new(not)))]
    })
}

#[derive(Debug, Clone)]
struct Facts {
    known: HashMap<GuardFact, Value>,
    tags: Vec<&'static str>,
}

/// Some are absent, unless `all` are there.
fn facts(all: bool) -> impl Strategy<Value = Facts> {
    let each = FACTS.map(|(_, fact, kind)| {
        let stays = all || fact.may_be_absent().is_none();
        (select(values(fact, kind)), 0..3)
            .prop_map(move |(value, third)| (stays || third > 0).then_some((fact, value)))
    });
    (each.to_vec(), subsequence(TEXTS.to_vec(), 0..=TEXTS.len())).prop_map(|(known, tags)| {
        let known = known.into_iter().flatten().collect();
        Facts { known, tags }
    })
}

impl Facts {
    fn text<T, E: std::fmt::Debug>(
        &self,
        fact: GuardFact,
        new: fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        match self.known.get(&fact)? {
            Value::Text(text) => Some(new(text).unwrap()),
            other => panic!("{fact:?} is {other:?}"),
        }
    }

    fn number<T: TryFrom<i64>>(&self, fact: GuardFact) -> Option<T> {
        match self.known.get(&fact)? {
            Value::Number(number) => T::try_from(*number).ok(),
            other => panic!("{fact:?} is {other:?}"),
        }
    }

    fn time(&self, fact: GuardFact) -> Option<Timestamp> {
        match self.known.get(&fact)? {
            Value::Time(at) => Some(*at),
            other => panic!("{fact:?} is {other:?}"),
        }
    }

    fn ours(&self, guard: &Guard) -> Option<bool> {
        let member = MemberFacts {
            plan: self.text(GuardFact::Plan, domain::Plan::new),
            territory: self.text(GuardFact::Territory, domain::Territory::new),
            profile: self.text(GuardFact::Profile, domain::ProfileId::new),
            account: self.text(GuardFact::Account, domain::Account::new),
            member_since: self.time(GuardFact::MemberSince),
            maturity_limit: self.number(GuardFact::MaturityLimit),
            concurrent_streams: self.number(GuardFact::ConcurrentStreams),
            security_level: self.text(GuardFact::SecurityLevel, domain::SecurityLevel::new),
            elsewhere_at: self.time(GuardFact::ElsewhereAt),
        };
        let title = TitleFacts {
            partner: self.text(GuardFact::Partner, PartnerId::new).unwrap(),
            series: self.text(GuardFact::Series, domain::SeriesId::new),
            tags: self.tags.iter().map(|tag| Tag::new(tag).unwrap()).collect(),
            maturity_rating: self.number(GuardFact::MaturityRating),
            downloadable: true,
            offered: true,
            available_from: self.time(GuardFact::AvailableFrom),
            available_until: self.time(GuardFact::AvailableUntil),
        };
        let class = self.text(GuardFact::DeviceClass, |name| DeviceClass::named(name).ok_or(()));
        let id = self.text(GuardFact::Title, TitleId::new).unwrap();
        guard.holds(&Asked { member: &member, class: class.unwrap(), title: Some((&id, &title)) })
    }

    /// What is absent is in none of CEL's maps; instants are numbers of milliseconds there.
    fn cels(&self, text: &str) -> Option<bool> {
        let mut context = Context::default();
        let ms = |text: Arc<String>| text.parse::<Timestamp>().unwrap().as_millis();
        context.add_function("timestamp", ms).unwrap();
        for of in ["member", "device", "title"] {
            let mut fields: HashMap<String, CelValue> = HashMap::new();
            for (name, fact, _) in FACTS {
                let Some(field) = name.strip_prefix(of).and_then(|it| it.strip_prefix('.')) else {
                    continue;
                };
                let value = self.known.get(&fact).map(|value| match value {
                    Value::Text(text) => CelValue::from(text.as_str()),
                    Value::Number(number) => CelValue::Int(*number),
                    Value::Time(at) => CelValue::Int(at.as_millis()),
                });
                fields.extend(value.map(|value| (field.to_owned(), value)));
            }
            if of == "title" {
                fields.insert("tags".to_owned(), CelValue::from(self.tags.clone()));
            }
            context.add_variable_from_value(of, fields);
        }
        match CelValue::resolve(&parsed(text).unwrap(), &context) {
            Ok(CelValue::Bool(holds)) => Some(holds),
            Ok(other) => panic!("{text} is {other:?}"),
            Err(_) => None,
        }
    }
}

proptest! {
    #[test]
    fn what_is_read_is_what_the_words_say(guard_of in guards()) {
        prop_assert_eq!(guard(&words(&guard_of)), guard_of);
    }

    #[test]
    fn a_guard_holds_where_cel_says_so(guard in guards(), facts in facts(true)) {
        let text = words(&guard);
        prop_assert_eq!(facts.ours(&guard), facts.cels(&text), "{}", text);
    }

    /// To CEL an absent fact is an error, and what is decided without it is not.
    #[test]
    fn what_hangs_on_an_absent_fact_is_open_to_cel_too(guard in guards(), facts in facts(false)) {
        let text = words(&guard);
        prop_assert_eq!(facts.ours(&guard), facts.cels(&text), "{}", text);
    }

    #[test]
    fn no_words_in_any_order_make_the_reader_panic(
        words in vec(select(vec![
            "member.plan", "title.tags", "title.maturity_rating", "timestamp(", "'a'", "\"", "1", "-",
            "!", "(", ")", "[", "]", "{", "}", ",", ".", "?", ":", "==", "in", "&&", "||", "<", "//",
            "\n", " ", "0x", "r'", "b'", "'''", "\\", "`", "has(", "exists(a,", "null", "true", "e9",
        ]), 0..40),
    ) {
        let _ = super::load(&words.concat());
        let _ = super::load(&words.join(" "));
    }
}
