use super::world::*;
use crate::ids::IdempotencyKey;
use crate::member::*;
use crate::time::Timestamp;

fn keyed(world: &World, at: Timestamp, body: u8, command: Command) -> Request {
    keyed_list(world, at, body, vec![command])
}

fn keyed_list(world: &World, at: Timestamp, body: u8, commands: Vec<Command>) -> Request {
    let key = IdempotencyKey::new("key").unwrap();
    let idempotency = Some(Idempotency { key, body_digest: [body; 32] });
    Request { idempotency, ..world.request(at, commands) }
}

#[test]
fn a_retry_repeats_the_decision_and_counts_once() {
    let mut world = World::new(policy(rental(), vec![yearly_cap(1)]));
    let command = world.acquire("a", "film");
    let first = world.ask(&keyed(&world, day(1), 1, command));
    // The id generated for the retry is another one, and is not used.
    let command = world.acquire("a", "film");
    let retry = world.ask(&keyed(&world, day(2), 1, command));
    let Answer::Accepted { outcomes, repeated: false } = first.answer else { panic!() };
    assert_eq!(retry.answer, Answer::Accepted { outcomes, repeated: true });
    assert_eq!(retry.events, []);
}

#[test]
fn a_retry_repeats_the_decision_even_when_the_license_has_gone() {
    let mut world = World::new(policy(rental(), vec![]));
    let command = world.acquire("a", "film");
    world.ask(&keyed(&world, day(1), 1, command.clone()));
    world.accept(day(1), release("a", &license("l1")));
    let retry = world.ask(&keyed(&world, day(1), 1, command));
    let held = Outcome::Held { license: license("l1"), term: 1, how: Held::Acquired };
    assert_eq!(retry.answer, Answer::Accepted { outcomes: vec![held], repeated: true });
    assert!(world.license(&license("l1")).closed.is_some(), "nothing came back to life");
}

#[test]
fn another_body_under_the_key_is_refused_and_changes_nothing() {
    let mut world = World::new(policy(rental(), vec![]));
    let command = world.acquire("a", "film");
    world.ask(&keyed(&world, day(1), 1, command));
    let other = world.acquire("a", "other");
    let decision = world.ask(&keyed(&world, day(1), 2, other));
    assert_eq!((decision.answer, decision.events), (Answer::KeyReused, vec![]));
}

#[test]
fn refusals_are_decided_again() {
    let mut world = World::new(policy(rental(), vec![active_cap(1)]));
    let held = world.acquired(DAY_0, "a", "film");
    let command = world.acquire("b", "other");
    let request = keyed(&world, day(1), 1, command);
    assert!(matches!(world.ask(&request).answer, Answer::Refused(_)));
    world.accept(day(1), release("a", &held));
    assert!(matches!(world.ask(&request).answer, Answer::Accepted { repeated: false, .. }));
}

#[test]
fn keys_bind_for_the_documented_time_and_no_longer() {
    let mut world = World::new(policy(rental(), vec![]));
    let command = world.acquire("a", "film");
    world.ask(&keyed(&world, DAY_0, 1, command));
    let other = world.acquire("a", "other");
    let until = DAY_0 + IDEMPOTENCY_KEPT;
    let decision = world.ask(&keyed(&world, until.just_before(), 2, other.clone()));
    assert_eq!(decision.answer, Answer::KeyReused);
    let decision = world.ask(&keyed(&world, until, 2, other.clone()));
    assert!(matches!(decision.answer, Answer::Accepted { repeated: false, .. }));
    let decision = world.ask(&keyed(&world, until, 2, other));
    assert!(matches!(decision.answer, Answer::Accepted { repeated: true, .. }));
    assert_eq!(world.member.remembered.len(), 1);
}

#[test]
fn a_drm_step_that_failed_lets_a_release_return_what_the_acquisition_had_counted() {
    let mut world = World::new(policy(rental(), vec![yearly_cap(1)]));
    let id = world.acquired(DAY_0, "a", "film");
    world.accept(DAY_0, Command::DrmFailed { license: id.clone(), term: 1 });
    world.accept(DAY_0, release("a", &id));
    world.acquired(DAY_0, "b", "film");
}

#[test]
fn only_that_no_grant_having_been_given() {
    // Asked again after the failure, and given: nothing is returned.
    let mut world = World::new(policy(rental(), vec![yearly_cap(1)]));
    let id = world.acquired(DAY_0, "a", "film");
    world.accept(DAY_0, Command::DrmFailed { license: id.clone(), term: 1 });
    let again = world.acquire("a", "film");
    world.accept(DAY_0, again);
    world.accept(DAY_0, release("a", &id));
    let command = world.acquire("b", "film");
    assert_eq!(codes(&world.refuse(DAY_0, command)), [Code::CapReached]);
}

#[test]
fn a_retry_of_an_undelivered_acquisition_delivers_it() {
    let mut world = World::new(policy(rental(), vec![yearly_cap(1)]));
    let command = world.acquire("a", "film");
    let request = keyed(&world, DAY_0, 1, command);
    world.ask(&request);
    world.accept(DAY_0, Command::DrmFailed { license: license("l1"), term: 1 });
    // The retry brings a grant, so it is recorded before anybody gets one.
    let retry = world.ask(&request);
    assert!(matches!(retry.events[..], [Event { body: EventBody::Reissued { .. }, .. }]));
    world.accept(DAY_0, release("a", &license("l1")));
    let command = world.acquire("b", "film");
    assert_eq!(codes(&world.refuse(DAY_0, command)), [Code::CapReached]);
}

#[test]
fn a_retry_of_a_list_repeats_every_outcome_of_it() {
    let mut world = World::new(policy(rental(), vec![active_cap(1)]));
    let held = world.acquired(DAY_0, "a", "film");
    let next = world.acquire("b", "next");
    let list = vec![release("a", &held), next, release("a", &license("never-heard-of"))];
    let first = world.ask(&keyed_list(&world, day(1), 1, list.clone()));
    let Answer::Accepted { outcomes, repeated: false } = first.answer else { panic!() };
    let retry = world.ask(&keyed_list(&world, day(2), 1, list));
    assert_eq!(retry.answer, Answer::Accepted { outcomes, repeated: true });
    assert_eq!(retry.events, []);
}
