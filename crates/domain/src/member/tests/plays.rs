use super::world::*;
use crate::member::*;
use crate::time::{Duration, Timestamp};

fn first_play(world: &World, id: &LicenseId, term: usize) -> Option<Timestamp> {
    world.license(id).terms[term - 1].first_play
}

use crate::ids::LicenseId;

#[test]
fn the_first_play_is_the_earliest_accepted_occurred_at_which_may_move_earlier_never_later() {
    let mut world = World::new(policy(rental(), vec![]));
    let id = world.acquired(DAY_0, "a", "film");
    // Played on day 3, uploaded on day 9, when the window had closed on day 5.
    world.accept(day(9), played("a", 1, &id, 1, day(3)));
    assert_eq!(world.license(&id).term().end(), Some((day(5), Clock::Finish)));
    world.accept(day(9), played("a", 2, &id, 1, day(4)));
    assert_eq!(first_play(&world, &id, 1), Some(day(3)));
    world.accept(day(9), played("a", 3, &id, 1, day(2)));
    assert_eq!(first_play(&world, &id, 1), Some(day(2)));
}

#[test]
fn occurred_at_is_clamped_into_term_start_and_receipt_a_first_play_to_just_before_start_by() {
    let mut world = World::new(policy(rental(), vec![]));
    let early = world.acquired(day(1), "a", "early");
    world.accept(day(2), played("a", 1, &early, 1, day(-400)));
    assert_eq!(first_play(&world, &early, 1), Some(day(1)));

    let future = world.acquired(day(2), "a", "future");
    world.accept(day(3), played("a", 2, &future, 1, day(400)));
    assert_eq!(first_play(&world, &future, 1), Some(day(3)));

    let late = world.acquired(day(3), "a", "late");
    world.accept(day(40), played("a", 3, &late, 1, day(39)));
    assert_eq!(first_play(&world, &late, 1), Some(day(33).just_before()));
    // Receipt before it: then it is not late at all.
    assert_eq!(world.license(&late).ends_at(), day(35).just_before());
}

#[test]
fn a_first_play_belongs_to_the_term_whose_lease_the_report_names() {
    let mut world = World::new(policy(rental(), vec![]));
    let id = world.acquired(DAY_0, "a", "film");
    world.accept(day(10), renew("a", &id, 1));
    world.accept(day(12), played("a", 1, &id, 1, day(11)));
    assert_eq!((first_play(&world, &id, 1), first_play(&world, &id, 2)), (Some(day(11)), None));
    assert_eq!(world.license(&id).ends_at(), day(40), "the second term was not started");
}

#[test]
fn uploads_in_any_order_and_any_number_of_times_give_the_same_member() {
    let mut world = World::new(policy(rental(), vec![]));
    let id = world.acquired(DAY_0, "a", "film");
    let plays = [(1, day(20)), (2, day(3)), (3, day(45)), (4, day(7))];
    let mut expected = None;
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let mut world = world.clone();
        for round in 0..2 {
            for i in order {
                let (sequence, at) = plays[i];
                let outcome = world.accept(day(50), played("a", sequence, &id, 1, at));
                let (counted, repeated) = if round == 0 { (1, 0) } else { (0, 1) };
                assert_eq!(outcome, Outcome::PlaysRecorded { counted, repeated, unknown: 0 });
            }
        }
        assert_eq!(expected.get_or_insert(world.member.clone()), &world.member);
    }
    assert_eq!(expected.unwrap().licenses[&id].terms[0].first_play, Some(day(3)));
}

#[test]
fn only_the_devices_own_licenses_can_be_played_by_it() {
    let mut world = World::new(policy(rental(), vec![]));
    let id = world.acquired(DAY_0, "a", "film");
    let outcome = world.accept(day(1), played("b", 1, &id, 1, day(1)));
    assert_eq!(outcome, Outcome::PlaysRecorded { counted: 0, repeated: 0, unknown: 1 });
    let outcome = world.accept(day(1), played("a", 1, &id, 2, day(1)));
    assert_eq!(outcome, Outcome::PlaysRecorded { counted: 0, repeated: 0, unknown: 1 });
    assert_eq!(first_play(&world, &id, 1), None);
}

#[test]
fn late_facts_may_raise_counts_and_never_revoke_what_was_promised() {
    let mut world = World::new(policy(rental(), vec![active_cap(1)]));
    let first = world.acquired(DAY_0, "a", "film");
    world.accept(day(3), played("a", 1, &first, 1, day(1)));
    // Free from day 3 on, and given to the other phone.
    let second = world.acquired(day(3), "b", "other");
    assert!(world.license(&second).held(day(3) + Duration::hours(1)));
}
