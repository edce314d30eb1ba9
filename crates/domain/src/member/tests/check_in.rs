use super::world::*;
use crate::member::*;
use crate::policy::TermsPatch;
use crate::time::Duration;

fn every_five_days() -> TermsPatch {
    TermsPatch { check_in_within: Some(Duration::days(5)), ..rental() }
}

#[track_caller]
fn checked_in(outcome: Outcome) -> CheckedIn {
    match outcome {
        Outcome::CheckedIn(checked_in) => checked_in,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_check_in_moves_its_own_clock_only() {
    let mut world = World::new(policy(every_five_days(), vec![]));
    let id = world.acquired(DAY_0, "a", "film");
    let before = world.license(&id).clone();
    assert_eq!(before.term().end(), Some((day(5), Clock::CheckIn)));
    let answer = checked_in(world.accept(day(4), check_in("a", &[(&id, false)])));
    assert_eq!(answer.held, std::slice::from_ref(&id));
    let mut expected = before;
    expected.terms[0].check_in_by = Some(day(9));
    assert_eq!(*world.license(&id), expected);
}

#[test]
fn what_lapsed_for_want_of_a_check_in_is_revived_only_if_it_fits_the_active_caps_then() {
    let mut world = World::new(policy(every_five_days(), vec![active_cap(1)]));
    let lapsed = world.acquired(DAY_0, "a", "film");
    let mut room = world.clone();
    assert_eq!(world.active(day(5)), 0);
    let other = world.acquired(day(6), "b", "other");

    let answer = checked_in(world.accept(day(7), check_in("a", &[(&lapsed, false)])));
    assert_eq!(answer, CheckedIn { lapsed: vec![lapsed.clone()], ..Default::default() });
    assert!(!world.license(&lapsed).held(day(7)));

    // With room it comes back, also where the device does not mention it.
    let answer = checked_in(room.accept(day(7), check_in("a", &[])));
    assert_eq!(answer.held, std::slice::from_ref(&lapsed));
    assert!(room.license(&lapsed).held(day(7)));

    // Later, when the other one is gone, the same check-in revives it too.
    world.accept(day(8), release("b", &other));
    let answer = checked_in(world.accept(day(8), check_in("a", &[(&lapsed, false)])));
    assert_eq!(answer.held, [lapsed]);
}

#[test]
fn of_two_that_lapsed_only_as_many_come_back_as_fit() {
    let mut world = World::new(policy(every_five_days(), vec![active_cap(2)]));
    let first = world.acquired(DAY_0, "a", "film");
    let second = world.acquired(DAY_0, "a", "other");
    world.acquired(day(6), "b", "third");
    let answer = checked_in(world.accept(day(7), check_in("a", &[])));
    assert_eq!((answer.held, answer.lapsed), (vec![first], vec![second]));
    assert_eq!(world.active(day(7)), 2);
}

#[test]
fn silence_never_releases() {
    let mut world = World::new(policy(rental(), vec![]));
    let id = world.acquired(DAY_0, "a", "film");
    let answer = checked_in(world.accept(day(1), check_in("a", &[])));
    assert_eq!(answer.held, std::slice::from_ref(&id));
    assert_eq!(world.license(&id).closed, None);
}

#[test]
fn never_started_after_start_by_closes_for_good_and_a_play_reported_later_still_counts() {
    let mut world = World::new(policy(rental(), vec![active_cap(1)]));
    let id = world.acquired(DAY_0, "a", "film");
    // Before start_by it may still be started.
    world.accept(day(30).just_before(), check_in("a", &[(&id, false)]));
    assert_eq!(world.license(&id).closed, None);

    let answer = checked_in(world.accept(day(30), check_in("a", &[(&id, false)])));
    assert_eq!(answer.ended, std::slice::from_ref(&id));
    assert_eq!(world.license(&id).closed.map(|c| c.why), Some(ClosedWhy::NeverStarted));
    world.acquired(day(30), "b", "other");

    let outcome = world.accept(day(31), played("a", 1, &id, 1, day(29)));
    assert_eq!(outcome, Outcome::PlaysRecorded { counted: 1, repeated: 0, unknown: 0 });
    assert_eq!(world.license(&id).term().first_play, Some(day(29)));
    assert!(world.license(&id).closed.is_some());
}

#[test]
fn never_started_waits_for_earlier_leases_that_may_still_be_playing() {
    let mut world = World::new(policy(rental(), vec![]));
    let id = world.acquired(DAY_0, "a", "film");
    world.policy.default.terms.start_within = Some(Duration::days(1));
    world.accept(day(1), renew("a", &id, 1));
    world.accept(day(3), check_in("a", &[(&id, false)]));
    assert_eq!(world.license(&id).closed, None, "the first lease may be played until day 32");
    world.accept(day(32), check_in("a", &[(&id, false)]));
    assert_eq!(world.license(&id).closed.map(|c| c.why), Some(ClosedWhy::NeverStarted));
}

#[test]
fn a_device_hears_which_of_its_licenses_have_ended_but_not_of_what_it_may_be_playing() {
    let mut world = World::new(policy(rental(), vec![]));
    let (film, other) = (world.acquired(DAY_0, "a", "film"), world.acquired(DAY_0, "a", "other"));
    let elsewhere = world.acquired(DAY_0, "b", "film");
    world.accept(day(1), release("b", &other));
    let unknown = license("never-heard-of");
    let holdings = [(&film, true), (&other, false), (&elsewhere, false), (&unknown, false)];
    // Day 31: the film may have been started in time; its plays are not uploaded yet.
    let answer = checked_in(world.accept(day(31), check_in("a", &holdings)));
    assert_eq!(answer.ended, [other, elsewhere, unknown]);
    let answer = checked_in(world.accept(day(33), check_in("a", &[(&film, true)])));
    assert_eq!(answer.ended, [film]);
}
