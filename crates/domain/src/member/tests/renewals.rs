use super::world::*;
use crate::member::*;
use crate::policy::*;
use crate::time::Duration;

#[test]
fn renewal_answers_in_order_of_precedence() {
    let mut world = World::new(policy(rental(), vec![]));
    let id = world.acquired(DAY_0, "a", "film");
    let unknown = license("unknown");
    for (command, code) in [
        (renew("x", &id, 1), Code::DeviceUnknown),
        (renew("a", &unknown, 1), Code::LicenseUnknown),
        (renew("b", &id, 1), Code::LicenseOfOtherDevice),
        (renew("a", &id, 2), Code::TermUnknown),
    ] {
        assert_eq!(codes(&world.refuse(day(1), command)), [code]);
    }
    world.accept(day(2), release("a", &id));
    assert_eq!(codes(&world.refuse(day(2), renew("a", &id, 1))), [Code::LicenseClosed]);
}

#[test]
fn renew_names_the_term_it_expects_and_when_a_newer_one_exists_that_one_is_reissued() {
    let mut world = World::new(policy(rental(), vec![]));
    let id = world.acquired(DAY_0, "a", "film");
    let renewed = Outcome::Held { license: id.clone(), term: 2, how: Held::Renewed };
    assert_eq!(world.accept(day(5), renew("a", &id, 1)), renewed);
    let reissued = Outcome::Held { license: id.clone(), term: 2, how: Held::Reissued };
    assert_eq!(world.accept(day(6), renew("a", &id, 1)), reissued);
    assert_eq!(world.license(&id).ends_at(), day(35));
}

#[test]
fn renewals_have_a_maximum_and_an_earliest_and_latest_moment() {
    let terms = TermsPatch {
        renewals_max: Some(1),
        renew_before_end: Some(Duration::days(7)),
        renew_after_end: Some(Duration::days(2)),
        ..rental()
    };
    let mut world = World::new(policy(terms, vec![]));
    let id = world.acquired(DAY_0, "a", "film");
    let early = world.refuse(day(23).just_before(), renew("a", &id, 1));
    assert_eq!((codes(&early), early.retry_at), (vec![Code::RenewalTooEarly], Some(day(23))));
    let mut late = world.clone();
    assert_eq!(codes(&late.refuse(day(32), renew("a", &id, 1))), [Code::RenewalTooLate]);
    world.accept(day(32).just_before(), renew("a", &id, 1)); // after expiry
    let again = world.refuse(day(60), renew("a", &id, 2));
    assert_eq!(codes(&again), [Code::RenewalsExhausted]);
}

#[test]
fn only_active_and_holder_counts_leave_the_license_itself_out() {
    let devices = cap("devices", Counts::DevicesHolding, &[], Window::Now, 1);
    let mut world = World::new(policy(rental(), vec![active_cap(1), devices]));
    let id = world.acquired(DAY_0, "a", "film");
    world.accept(day(1), renew("a", &id, 1));
    // Lapsed, and the slot is taken: renewing would be one too many.
    world.acquired(day(40), "b", "other");
    let refused = world.refuse(day(41), renew("a", &id, 2));
    assert_eq!(codes(&refused), [Code::CapReached, Code::CapReached]);
}

#[test]
fn a_cap_refuses_only_what_adds_to_it() {
    // Two devices hold; then the plan allows one. Renewing what is held adds nothing.
    let devices = cap("devices", Counts::DevicesHolding, &[], Window::Now, 2);
    let mut world = World::new(policy(rental(), vec![active_cap(2), devices]));
    let id = world.acquired(DAY_0, "a", "film");
    world.acquired(DAY_0, "b", "film");
    for cap in &mut world.policy.default.caps {
        cap.limit = Limit::constant(1);
    }
    world.accept(day(1), renew("a", &id, 1));
    let more = world.acquire("a", "other");
    let refused = world.refuse(day(1), more);
    let over: Vec<_> = refused.findings.iter().map(|f| f.rule.clone().unwrap()).collect();
    assert_eq!(over, [rule("active")], "the device holds already; the license is one more");
}

#[test]
fn renewals_count_or_not_as_the_cap_says() {
    let year = || Window::Rolling(Duration::days(365));
    for (counts, fits) in [(ACQUISITIONS, true), (RENEWALS_TOO, false)] {
        let two = cap("two", counts, &[ScopeKey::Title], year(), 2);
        let mut world = World::new(policy(rental(), vec![two]));
        let id = world.acquired(DAY_0, "a", "film");
        world.accept(day(1), renew("a", &id, 1));
        let second = world.acquire("b", "film");
        let answer = world.ask(&world.request(day(2), vec![second])).answer;
        assert_eq!(matches!(answer, Answer::Accepted { .. }), fits, "{counts:?}");
        let again = world.ask(&world.request(day(3), vec![renew("a", &id, 2)])).answer;
        assert_eq!(matches!(again, Answer::Accepted { .. }), fits, "{counts:?}");
    }
}

#[test]
fn gates_as_they_are_now_apply_to_renewals() {
    let mut world = World::new(policy(rental(), vec![]));
    let id = world.acquired(DAY_0, "a", "film");
    world.policy.default.gates = vec![Gate {
        id: rule("closed"),
        of: Of::default(),
        when: When::default(),
        condition: Condition::Closed,
        needs: vec![],
    }];
    assert_eq!(codes(&world.refuse(day(1), renew("a", &id, 1))), [Code::TitleNotDownloadable]);
    assert!(world.license(&id).held(day(1)), "what was promised stays");
}

#[test]
fn acquiring_what_this_device_holds_reissues_it_and_no_cap_counts_that() {
    let mut world = World::new(policy(rental(), vec![yearly_cap(1), active_cap(1)]));
    let id = world.acquired(DAY_0, "a", "film");
    for n in 1..4 {
        let again = world.acquire("a", "film");
        let reissued = Outcome::Held { license: id.clone(), term: 1, how: Held::Reissued };
        assert_eq!(world.accept(day(n), again), reissued);
    }
    assert_eq!(world.license(&id).ends_at(), day(30), "under the terms it has");
    // "gates apply, caps do not"
    world.policy.default.gates = vec![Gate {
        id: rule("closed"),
        of: Of::default(),
        when: When::default(),
        condition: Condition::Closed,
        needs: vec![],
    }];
    let again = world.acquire("a", "film");
    assert_eq!(codes(&world.refuse(day(4), again)), [Code::TitleNotDownloadable]);
}

#[test]
fn acquiring_after_ends_at_decides_anew_closing_the_old_license_and_not_counting_it() {
    let mut world = World::new(policy(rental(), vec![active_cap(1)]));
    let old = world.acquired(DAY_0, "a", "film");
    // Ended on day 30, and active for two more days.
    let new = world.acquired(day(30), "a", "film");
    assert_ne!(old, new);
    assert_eq!(world.license(&old).closed.map(|c| c.why), Some(ClosedWhy::Replaced));
    assert_eq!(world.active(day(30)), 1);
    // Also when the old one was over for good and set aside.
    let newest = world.acquired(day(90), "a", "film");
    assert_eq!(codes(&world.refuse(day(91), renew("a", &new, 1))), [Code::LicenseClosed]);
    assert!(world.license(&newest).held(day(91)));
}

#[test]
fn acquiring_anew_is_one_more_even_where_the_old_license_is_still_counted() {
    let mut world = World::new(policy(rental(), vec![active_cap(2)]));
    world.acquired(DAY_0, "a", "film");
    world.acquired(day(1), "b", "other");
    for cap in &mut world.policy.default.caps {
        cap.limit = Limit::constant(1);
    }
    // The old one ended on day 30 and is active until day 32; the other one fills the cap.
    let anew = world.acquire("a", "film");
    assert_eq!(codes(&world.refuse(day(30), anew)), [Code::CapReached]);
}
