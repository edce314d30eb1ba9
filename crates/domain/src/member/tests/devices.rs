use super::world::*;
use crate::facts::DeviceClass;
use crate::member::*;
use crate::policy::*;
use crate::time::Duration;

#[test]
fn a_device_is_a_key_and_another_key_under_a_used_id_is_refused() {
    let mut world = World::new(policy(rental(), vec![]));
    let again = world.accept(day(1), register("a", DeviceClass::Phone, "a"));
    assert_eq!(again, Outcome::DeviceRegistered { device: device("a"), already: true });
    let other_key = register("a", DeviceClass::Phone, "another-key");
    assert_eq!(codes(&world.refuse(day(1), other_key.clone())), [Code::DeviceKeyMismatch]);
    world.accept(day(2), Command::RemoveDevice { device: device("a") });
    assert_eq!(codes(&world.refuse(day(2), other_key)), [Code::DeviceKeyMismatch]);
}

#[test]
fn removing_a_device_closes_its_licenses_and_frees_their_slots_at_once() {
    let mut world = World::new(policy(rental(), vec![active_cap(2)]));
    let (film, other) = (world.acquired(DAY_0, "a", "film"), world.acquired(DAY_0, "a", "other"));
    let outcome = world.accept(day(1), Command::RemoveDevice { device: device("a") });
    let closed = vec![film.clone(), other];
    assert_eq!(outcome, Outcome::DeviceRemoved { device: device("a"), closed });
    assert_eq!(world.active(day(1)), 0);
    world.acquired(day(1), "b", "film");
    world.acquired(day(1), "b", "other");
    assert_eq!(codes(&world.refuse(day(1), renew("a", &film, 1))), [Code::DeviceRemoved]);
    // Doing it twice changes nothing.
    let outcome = world.accept(day(2), Command::RemoveDevice { device: device("a") });
    assert_eq!(outcome, Outcome::DeviceRemoved { device: device("a"), closed: vec![] });
}

#[test]
fn the_key_and_its_report_sequence_survive_a_removal() {
    let mut world = World::new(policy(rental(), vec![]));
    let id = world.acquired(DAY_0, "a", "film");
    world.accept(day(1), played("a", 1, &id, 1, day(1)));
    world.accept(day(2), Command::RemoveDevice { device: device("a") });
    // "a removed key may still upload and release"
    let outcome = world.accept(day(3), played("a", 2, &id, 1, day(2)));
    assert_eq!(outcome, Outcome::PlaysRecorded { counted: 1, repeated: 0, unknown: 0 });
    world.accept(day(3), release("a", &id));
    // "the same key may come back and counts as the same device"
    world.accept(day(4), register("a", DeviceClass::Phone, "a"));
    let outcome = world.accept(day(4), played("a", 2, &id, 1, day(2)));
    assert_eq!(outcome, Outcome::PlaysRecorded { counted: 0, repeated: 1, unknown: 0 });
    assert_eq!(world.license(&id).closed.map(|c| c.why), Some(ClosedWhy::DeviceRemoved));
}

#[test]
fn a_device_nobody_registered_is_refused_everything() {
    let mut world = World::new(policy(rental(), vec![]));
    let id = world.acquired(DAY_0, "a", "film");
    let acquire = world.acquire("x", "film");
    for command in [
        acquire,
        renew("x", &id, 1),
        release("x", &id),
        check_in("x", &[]),
        played("x", 1, &id, 1, DAY_0),
        Command::RemoveDevice { device: device("x") },
    ] {
        assert_eq!(codes(&world.refuse(DAY_0, command)), [Code::DeviceUnknown]);
    }
}

const REGISTRATIONS: Counts = events(&[CountedKind::DeviceRegistered]);
const SWAPS: Counts = events(&[CountedKind::DeviceSwapped]);
const REMOVALS: Counts = events(&[CountedKind::DeviceRemoved]);

fn remove(id: &str) -> Command {
    Command::RemoveDevice { device: device(id) }
}

#[test]
fn as_many_devices_are_registered_as_the_cap_says_and_the_one_not_seen_for_longest_goes_first() {
    let registered = cap("c", Counts::DevicesRegistered, &[], Window::Now, 3);
    let mut world = World::new(policy(rental(), vec![registered]));
    world.accept(day(1), check_in("a", &[]));
    world.accept(day(2), check_in("c", &[]));
    let fourth = register("d", DeviceClass::Tv, "d");
    let refused = world.refuse(day(3), fourth.clone());
    let counted = refused.findings[0].cap.as_ref().unwrap();
    assert_eq!((counted.used, counted.limit), (3, 3));
    assert!(counted.contributors.iter().all(|one| one.license.is_none() && one.title.is_none()));
    let ways: Vec<_> = refused.remedies.iter().flat_map(|remedy| remedy.actions.clone()).collect();
    let remove_each = ["a", "b", "c"].map(|id| RemedyAction::RemoveDevice { device: device(id) });
    assert_eq!(ways, remove_each);
    world.accept(day(3), register("a", DeviceClass::Phone, "a")); // registered already
    world.accept(day(3), remove("b"));
    world.accept(day(3), fourth);
}

#[test]
fn a_device_may_join_again_only_once_in_an_interval() {
    let window = Window::Rolling(Duration::days(90));
    let again = cap("c", REGISTRATIONS, &[ScopeKey::Device], window, 1);
    let mut world = World::new(policy(rental(), vec![again]));
    world.accept(day(10), remove("a"));
    let back = register("a", DeviceClass::Phone, "a");
    assert_eq!(world.refuse(day(10), back.clone()).retry_at, Some(day(90)));
    world.accept(day(10), register("new", DeviceClass::Phone, "new"));
    world.accept(day(90), back);
}

#[test]
fn a_registration_is_a_swap_where_a_removal_left_a_place() {
    let swaps = cap("c", SWAPS, &[], Window::Rolling(Duration::days(30)), 1);
    let mut world = World::new(policy(rental(), vec![swaps]));
    world.accept(day(1), register("d", DeviceClass::Tv, "d")); // one more, and no swap
    world.accept(day(1), remove("a"));
    world.accept(day(1), remove("b"));
    world.accept(day(2), register("e", DeviceClass::Tv, "e"));
    let second = register("f", DeviceClass::Tv, "f");
    assert_eq!(world.refuse(day(3), second.clone()).retry_at, Some(day(32)));
    world.accept(day(32), second);
    world.accept(day(32), register("g", DeviceClass::Tv, "g")); // no place is free any more
}

#[test]
fn so_many_removals_in_a_window() {
    let removals = cap("c", REMOVALS, &[], Window::Rolling(Duration::days(60)), 1);
    let mut world = World::new(policy(rental(), vec![removals]));
    world.accept(day(1), remove("a"));
    let refused = world.refuse(day(2), remove("b"));
    assert_eq!((refused.retry_at, refused.remedies.len()), (Some(day(61)), 0));
    world.accept(day(2), remove("a")); // removed already
    world.accept(day(61), remove("b"));
    // In one list the first is counted before the second, and does not free by waiting.
    let mut world = World::new(world.policy);
    let refused = world.refuse_all(day(1), vec![remove("a"), remove("b")]);
    let counted = refused.findings[0].cap.as_ref().unwrap();
    assert_eq!((refused.findings[0].command, refused.retry_at), (1, None));
    assert_eq!(counted.contributors[0].in_list, Some(0));
}

#[test]
fn what_a_cap_forbids_is_no_remedy() {
    let registered = cap("c", Counts::DevicesRegistered, &[], Window::Now, 3);
    let removals = cap("r", REMOVALS, &[], Window::Rolling(Duration::days(60)), 1);
    let mut world = World::new(policy(rental(), vec![registered, removals]));
    let (fourth, fifth) =
        (register("d", DeviceClass::Tv, "d"), register("e", DeviceClass::Tv, "e"));
    assert_eq!(world.refuse(day(1), fourth.clone()).remedies.len(), 3);
    world.accept(day(1), remove("a"));
    world.accept(day(1), fourth);
    assert_eq!(world.refuse(day(2), fifth).remedies, [], "no device can be removed before day 61");
}
