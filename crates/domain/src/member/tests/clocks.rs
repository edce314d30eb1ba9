use super::world::*;
use crate::member::*;
use crate::policy::{Beginning, TermsPatch};
use crate::time::{Duration, Timestamp};

/// The end from what is known and its clock, and the latest that may be playing.
#[track_caller]
fn check(
    terms: &TermsPatch,
    first_play: Option<Timestamp>,
    end: Option<(Timestamp, Clock)>,
    may_play_until: Timestamp,
) {
    let facts = crate::facts::Facts::new(
        &Default::default(),
        crate::facts::DeviceClass::Phone,
        &title_facts("studio"),
    );
    let beginning = Beginning { number: 1, at: DAY_0, from: DAY_0, begun_at: None };
    let mut running = term::RunningTerm::new(terms.promise(beginning, &facts));
    running.first_play = first_play;
    assert_eq!((running.end(), running.may_play_until()), (end, may_play_until));
}

#[test]
fn start_within_governs_only_until_the_first_play_finish_within_only_after_it() {
    check(&rental(), None, Some((day(30), Clock::Start)), day(32) - Duration::from_millis(1));
    check(&rental(), Some(day(3)), Some((day(5), Clock::Finish)), day(5));
    // A store clock alone ends nothing once play has started, so nobody knows when play ends.
    let store_only = TermsPatch { finish_within: None, ..rental() };
    check(&store_only, None, Some((day(30), Clock::Start)), Timestamp::MAX);
    check(&store_only, Some(day(3)), None, Timestamp::MAX);
    let play_only = TermsPatch { start_within: None, ..rental() };
    check(&play_only, None, None, Timestamp::MAX);
    check(&play_only, Some(day(3)), Some((day(5), Clock::Finish)), day(5));
}

#[test]
fn may_play_until_includes_grace_and_running_play_bounded_by_check_in_and_hard_dates() {
    let generous = TermsPatch {
        grace: Some(Duration::hours(24)),
        running_play: Some(Duration::hours(4)),
        ..rental()
    };
    check(&generous, Some(day(3)), Some((day(5), Clock::Finish)), day(6) + Duration::hours(4));
    let check_in = TermsPatch { check_in_within: Some(Duration::days(5)), ..generous.clone() };
    check(&check_in, Some(day(3)), Some((day(5), Clock::CheckIn)), day(5));
    check(&check_in, None, Some((day(5), Clock::CheckIn)), day(5));
    let hard = TermsPatch { hard_end: Some(day(4)), ..check_in };
    check(&hard, Some(day(3)), Some((day(4), Clock::HardEnd)), day(4));
}

#[test]
fn a_silent_end_frees_the_slot_when_no_device_can_still_be_playing() {
    // An unwatched license of day 0 (store 30 d, play 48 h) frees its slot on day 32, because it
    // may have been started offline just before day 30.
    let mut world = World::new(policy(rental(), vec![active_cap(1)]));
    world.acquired(DAY_0, "a", "film");
    let other = world.acquire("b", "other");
    let refused = world.refuse(day(31), other.clone());
    let frees_at = day(32) - Duration::from_millis(1);
    assert_eq!(refused.retry_at, Some(frees_at));
    world.accept(frees_at, other);
}

#[test]
fn may_play_until_is_the_maximum_over_all_its_leases_terms() {
    // The device may have missed the answer of a renewal that shortened the term.
    let mut world = World::new(policy(rental(), vec![]));
    let id = world.acquired(DAY_0, "a", "film");
    world.policy.default.terms.start_within = Some(Duration::days(1));
    world.accept(day(1), renew("a", &id, 1));
    assert_eq!(world.license(&id).ends_at(), day(2));
    assert_eq!(world.license(&id).may_play_until(), day(32) - Duration::from_millis(1));
}

#[test]
fn a_hard_end_follows_availability_where_the_terms_say_so() {
    let ends = TermsPatch { end_with_availability: Some(true), ..rental() };
    let mut world = World::new(policy(ends, vec![]));
    let leaving =
        crate::facts::TitleFacts { available_until: Some(day(10)), ..title_facts("studio") };
    let command = world.acquire_of("a", "film", leaving.clone());
    world.accept(DAY_0, command);
    let id = license("l1");
    assert_eq!(world.license(&id).term().end(), Some((day(10), Clock::HardEnd)));

    world.policy.default.terms.end_with_availability = None;
    let command = world.acquire_of("b", "film", leaving);
    world.accept(DAY_0, command);
    assert_eq!(world.license(&license("l2")).ends_at(), day(30));
}

#[test]
fn a_term_over_at_birth_is_refused() {
    let mut world = World::new(policy(TermsPatch { hard_end: Some(day(1)), ..rental() }, vec![]));
    let command = world.acquire("a", "film");
    let mut in_time = world.clone();
    assert_eq!(codes(&world.refuse(day(1), command.clone())), [Code::TermOverAtBirth]);
    in_time.accept(day(1).just_before(), command);
}

#[test]
fn time_of_a_decision_is_the_later_of_now_and_the_members_last_event() {
    let mut world = World::new(policy(rental(), vec![yearly_cap(1)]));
    world.acquired(day(10), "a", "film");
    let back = world.acquire("b", "other");
    let decision = world.ask(&world.request(day(5), vec![back]));
    assert_eq!(decision.at, day(10), "a decision never goes back in time");
    assert_eq!(decision.events[0].at, day(10));
}

#[test]
fn rule_changes_do_not_rewrite_what_was_promised() {
    let mut world = World::new(policy(rental(), vec![]));
    let id = world.acquired(DAY_0, "a", "film");
    world.policy.default.terms.start_within = Some(Duration::days(1));
    assert_eq!(world.license(&id).ends_at(), day(30));
    // "renewals take the new terms"
    world.accept(day(5), renew("a", &id, 1));
    assert_eq!(world.license(&id).ends_at(), day(6));
}
