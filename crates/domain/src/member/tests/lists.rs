use super::world::*;
use crate::member::*;
use crate::policy::{Counts, TermsPatch, Window};
use crate::time::Duration;

#[test]
fn a_list_is_decided_together_each_as_if_those_before_it_had_happened() {
    let mut world = World::new(policy(rental(), vec![active_cap(1)]));
    let held = world.acquired(DAY_0, "a", "film");
    // The pair fits where the acquire alone would not.
    let next = world.acquire("a", "next");
    let decision = world.ask(&world.request(day(1), vec![release("a", &held), next]));
    let Answer::Accepted { outcomes, .. } = decision.answer else { panic!() };
    assert_eq!(outcomes.len(), 2);
    assert_eq!(decision.events.len(), 2);
    assert_eq!(decision.events[1].cause.command, 1);
}

#[test]
fn a_list_is_appended_whole_or_not_at_all_and_refused_as_one_event() {
    let mut world = World::new(policy(rental(), vec![active_cap(1)]));
    let (first, second) = (world.acquire("a", "film"), world.acquire("a", "other"));
    let refused = world.refuse_all(day(1), vec![first.clone(), second.clone()]);
    assert_eq!(world.active(day(1)), 0);
    let EventBody::Refused(recorded) = &world.events.last().unwrap().body else { panic!() };
    assert_eq!(recorded.commands, [first, second]);

    // "contributors inside the list named by index"
    let [finding] = &refused.findings[..] else { panic!("{refused:#?}") };
    let cap = finding.cap.as_ref().unwrap();
    assert_eq!((finding.command, cap.used, cap.limit), (1, 1, 1));
    assert_eq!(cap.contributors[0].in_list, Some(0));
    // The list itself is what is too long: no waiting and no releasing helps.
    assert_eq!((refused.retry_at, refused.remedies.len()), (None, 0));
}

#[test]
fn a_list_has_one_retry_at_and_remedies_for_the_whole() {
    let mut world = World::new(policy(rental(), vec![active_cap(2)]));
    let old = world.acquired(DAY_0, "a", "film");
    let new = world.acquired(day(1), "a", "other");
    let list = vec![world.acquire("b", "third"), world.acquire("b", "fourth")];
    let refused = world.refuse_all(day(2), list.clone());
    assert_eq!(refused.findings.iter().map(|f| f.command).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(refused.retry_at, Some(day(33) - Duration::from_millis(1)));
    let [remedy] = &refused.remedies[..] else { panic!("{:#?}", refused.remedies) };
    let named: Vec<_> = remedy
        .actions
        .iter()
        .map(|action| match action {
            RemedyAction::Release { license, .. } => license.clone(),
            RemedyAction::RemoveDevice { .. } => panic!("{action:?}"),
        })
        .collect();
    assert_eq!(named, [old.clone(), new.clone()]);

    let mut waited = world.clone();
    assert!(matches!(
        waited.ask(&waited.request(refused.retry_at.unwrap(), list.clone())).answer,
        Answer::Accepted { .. }
    ));
    world.accept(day(2), release("a", &old));
    world.accept(day(2), release("a", &new));
    assert!(matches!(world.ask(&world.request(day(2), list)).answer, Answer::Accepted { .. }));
}

#[test]
fn a_check_in_ahead_in_the_list_moves_only_what_has_not_lapsed_by_then() {
    let devices = cap("devices", Counts::DevicesHolding, &[], Window::Now, 1);
    let terms = TermsPatch { check_in_within: Some(Duration::days(5)), ..TermsPatch::default() };
    let mut world = World::new(policy(terms, vec![devices]));
    world.acquired(DAY_0, "c", "film");
    let list = vec![check_in("c", &[]), world.acquire("a", "film")];
    let refused = world.refuse_all(day(1), list.clone());
    // The tablet's download lapses on day 5, and the phone is not among the caps of its revival.
    assert_eq!(refused.retry_at, None, "the check-in revives it first, whenever it comes");

    let (acquire, check_in) = (list[1].clone(), list[0].clone());
    let refused = world.refuse_all(day(1), vec![acquire, check_in]);
    assert_eq!(refused.retry_at, Some(day(5)));
}

#[test]
fn a_list_with_a_check_in_passes_once_nothing_can_be_revived_any_more() {
    let terms = TermsPatch { check_in_within: Some(Duration::days(4)), ..rental() };
    let mut world = World::new(policy(terms, vec![active_cap(1)]));
    world.acquired(DAY_0, "a", "film");
    let list = vec![check_in("a", &[]), world.acquire("a", "other")];
    // Each check-in would revive it for four days more, until it had to be started.
    assert_eq!(world.refuse_all(day(1), list).retry_at, Some(day(30)));
}

#[test]
fn what_was_acquired_a_moment_before_the_list_frees_as_it_would_without_it() {
    let ten_days = Window::Rolling(Duration::days(10));
    let one = cap("acquisitions", ACQUISITIONS, &[], ten_days, 1);
    let mut world = World::new(policy(rental(), vec![one]));
    let held = world.acquired(DAY_0, "a", "film");
    let list = vec![renew("a", &held, 1), world.acquire("b", "other")];
    let refused = world.refuse_all(DAY_0, list);
    let [finding] = &refused.findings[..] else { panic!("{refused:#?}") };
    assert_eq!(finding.cap.as_ref().unwrap().contributors[0].in_list, None);
    assert_eq!((finding.frees_at, refused.retry_at), (Some(day(10)), Some(day(10))));
}
