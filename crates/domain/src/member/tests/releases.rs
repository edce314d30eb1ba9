use super::world::*;
use crate::member::*;

#[test]
fn any_device_of_a_member_may_release_any_of_the_members_licenses() {
    let mut world = World::new(policy(rental(), vec![active_cap(1)]));
    let id = world.acquired(DAY_0, "a", "film");
    let outcome = world.accept(day(1), release("b", &id));
    assert_eq!(outcome, Outcome::Released { license: id, already: false });
    world.acquired(day(1), "b", "other");
}

#[test]
fn release_after_expiry_twice_or_for_an_unknown_license_is_acknowledged_and_changes_nothing() {
    let mut world = World::new(policy(rental(), vec![yearly_cap(1)]));
    let id = world.acquired(DAY_0, "a", "film");
    world.accept(day(60), release("a", &id));
    let events = world.events.len();
    for id in [id, license("never-heard-of")] {
        let outcome = world.accept(day(61), release("a", &id));
        assert_eq!(outcome, Outcome::Released { license: id, already: true });
    }
    assert_eq!(world.events.len(), events);
    // "frees active caps and never issue caps"
    let again = world.acquire("b", "film");
    assert_eq!(codes(&world.refuse(day(61), again)), [Code::CapReached]);
}
