use super::world::*;
use crate::facts::DeviceClass;
use crate::member::*;

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
