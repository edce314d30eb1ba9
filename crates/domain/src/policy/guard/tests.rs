use std::sync::Arc;

use super::*;
use crate::ids::{PartnerId, Plan, Tag};

fn title_facts() -> TitleFacts {
    TitleFacts {
        partner: PartnerId::new("aurora").unwrap(),
        series: None,
        tags: Arc::from([Tag::new("new").unwrap()]),
        maturity_rating: Some(16),
        downloadable: true,
        offered: true,
        available_from: None,
        available_until: None,
    }
}

/// Asked of a member of whom the plan is known and nothing else.
fn holds(guard: &Guard) -> Option<bool> {
    let member = MemberFacts { plan: Plan::new("ads").ok(), ..MemberFacts::default() };
    let (id, title) = (TitleId::new("t").unwrap(), title_facts());
    let title = Some((&id, &title));
    guard.holds(&Asked { member: &member, class: DeviceClass::Tv, title })
}

fn text(text: &str) -> Operand {
    Operand::Constant(Value::Text(text.to_owned()))
}

fn is(fact: GuardFact, value: &str) -> Guard {
    Guard::Compare { left: Operand::Fact(fact), how: Comparison::Equal, right: text(value) }
}

#[test]
fn each_comparison_holds_where_it_says() {
    let rating = Operand::Fact(GuardFact::MaturityRating);
    let told = |how| {
        [15, 16, 17].map(|number| {
            let right = Operand::Constant(Value::Number(number));
            holds(&Guard::Compare { left: rating.clone(), how, right }).unwrap()
        })
    };
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    assert_eq!(told(Equal), [false, true, false]);
    assert_eq!(told(NotEqual), [true, false, true]);
    assert_eq!(told(Less), [false, false, true]);
    assert_eq!(told(LessOrEqual), [false, true, true]);
    assert_eq!(told(Greater), [true, false, false]);
    assert_eq!(told(GreaterOrEqual), [true, true, false]);
}

#[test]
fn what_is_in_a_list_or_is_a_tag() {
    let plan = || Operand::Fact(GuardFact::Plan);
    let territory = || Operand::Fact(GuardFact::Territory);
    assert_eq!(holds(&Guard::In(plan(), vec![text("basic"), text("ads")])), Some(true));
    assert_eq!(holds(&Guard::In(plan(), vec![text("basic")])), Some(false));
    // What is found is found, whatever the rest of the list may be.
    assert_eq!(holds(&Guard::In(plan(), vec![territory(), plan()])), Some(true));
    assert_eq!(holds(&Guard::In(plan(), vec![territory(), text("basic")])), None);
    assert_eq!(holds(&Guard::In(territory(), vec![text("DE")])), None);
    assert_eq!(holds(&Guard::InTags(text("new"))), Some(true));
    assert_eq!(holds(&Guard::InTags(text("uhd"))), Some(false));
    assert_eq!(holds(&Guard::InTags(territory())), None);
}

/// Whatever an absent fact could be, a guard that is decided without it stays so.
#[test]
fn an_absent_fact_leaves_open_only_what_hangs_on_it() {
    let yes = || is(GuardFact::Plan, "ads");
    let no = || is(GuardFact::Plan, "basic");
    let open = || is(GuardFact::Territory, "DE");
    let all = |one, other| holds(&Guard::All(vec![one, other]));
    let any = |one, other| holds(&Guard::Any(vec![one, other]));
    assert_eq!([all(yes(), open()), all(open(), no())], [None, Some(false)]);
    assert_eq!([any(yes(), open()), any(open(), no())], [Some(true), None]);
    assert_eq!([all(yes(), yes()), any(no(), no())], [Some(true), Some(false)]);
    assert_eq!(holds(&Guard::Not(Box::new(open()))), None);
    assert_eq!(holds(&Guard::Not(Box::new(no()))), Some(true));
}

#[test]
fn what_the_catalogue_leaves_open_is_known() {
    let from = Operand::Fact(GuardFact::AvailableFrom);
    let until = Operand::Fact(GuardFact::AvailableUntil);
    let now = Operand::Constant(Value::Time(Timestamp::from_millis(0)));
    let before = Guard::Compare { left: from, how: Comparison::Less, right: now.clone() };
    let after = Guard::Compare { left: until, how: Comparison::Greater, right: now };
    assert_eq!([holds(&before), holds(&after)], [Some(true); 2]);
    assert_eq!(holds(&is(GuardFact::Series, "")), Some(true));
}

/// Where a device comes or goes there is no title to ask.
#[test]
fn without_a_title_what_is_asked_of_it_is_open() {
    let member = MemberFacts::default();
    let asked = Asked { member: &member, class: DeviceClass::Tv, title: None };
    for fact in GuardFact::ALL {
        let guard = Guard::In(Operand::Fact(fact), vec![Operand::Fact(fact)]);
        assert_eq!(guard.is_of_titles(), fact.is_of_titles());
        assert_eq!(guard.holds(&asked).is_some(), fact == GuardFact::DeviceClass, "{fact:?}");
    }
    let tags = Guard::Not(Box::new(Guard::InTags(text("new"))));
    assert!(tags.is_of_titles() && tags.holds(&asked).is_none());
}
