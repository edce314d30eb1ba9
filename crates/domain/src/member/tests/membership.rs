use super::world::*;
use crate::facts::DeviceClass;
use crate::ids::{ExceptionId, LicenseId, Plan};
use crate::member::*;
use crate::policy::*;
use crate::time::{Duration, Timestamp};

fn warrant() -> Warrant {
    Warrant { actor: "kim".to_owned(), reason: "ticket 7".to_owned() }
}

fn revoke(target: Target) -> Command {
    Command::Revoke { target, warrant: warrant() }
}

fn grant(id: &str, rule_id: &str, amount: u32, until: Timestamp) -> Command {
    let exception = ExceptionId::new(id).unwrap();
    let allowance = Allowance { rule: rule(rule_id), amount, until };
    Command::GrantException { exception, allowance, warrant: warrant() }
}

/// Six devices on premium, two on standard; what is too much has a week.
fn plans(counts: Counts, keep: Keep) -> World {
    let plan = |id| Plan::new(id).unwrap();
    let by = LimitBy::Plan([(plan("premium"), 6), (plan("standard"), 2)].into());
    let cap =
        Cap { limit: Limit { otherwise: None, by }, ..cap("devices", counts, &[], Window::Now, 0) };
    let mut world = World::new(policy(rental(), vec![cap]));
    world.policy.downgrade = Some(Downgrade { keep, notice: Duration::days(7) });
    world.facts.plan = Plan::new("premium").ok();
    world
}

fn leaving(outcome: Outcome) -> Vec<(String, Timestamp, bool)> {
    let Outcome::MemberChanged { leaving } = outcome else { panic!("{outcome:?}") };
    leaving.into_iter().map(|one| (one.device.to_string(), one.at, one.removed)).collect()
}

// "what a downgrade from six devices to two does is policy: which devices stay, with how much
// notice"
#[test]
fn a_downgrade_gives_notice_to_the_devices_that_were_not_seen_for_longest() {
    let mut world = plans(Counts::DevicesHolding, Keep::LastSeen);
    let ids = ["a", "b", "c"].map(|on| world.acquired(DAY_0, on, "film"));
    world.accept(day(2), check_in("c", &[]));
    world.accept(day(3), check_in("a", &[]));
    world.facts.plan = Plan::new("standard").ok();
    let mut kept = world.clone();
    kept.policy.downgrade = None;
    assert_eq!(leaving(kept.accept(day(4), Command::ChangeMember)), [], "nothing is taken away");

    let noticed = world.accept(day(4), Command::ChangeMember);
    assert_eq!(leaving(noticed), [("b".to_owned(), day(11), false)]);
    let cut = world.license(&ids[1]);
    assert_eq!(cut.term().end(), Some((day(11), Clock::HardEnd)));
    assert_eq!((cut.may_play_until(), cut.term().hard_end()), (day(11), Some(day(11))));
    assert_eq!(world.license(&ids[0]).ends_at(), day(30), "the others stay");

    // Nothing new for the device that leaves; what it holds it may be given again.
    assert_eq!(codes(&world.refuse(day(5), renew("b", &ids[1], 1))), [Code::DeviceLeaving]);
    let other = world.acquire("b", "other");
    let refused = world.refuse(day(5), other.clone());
    assert_eq!(codes(&refused), [Code::DeviceLeaving]);
    let again = world.acquire("b", "film");
    let mut seen = world.clone();
    assert!(matches!(seen.accept(day(5), again), Outcome::Held { how: Held::Reissued, .. }));
    let noticed = leaving(seen.accept(day(6), Command::ChangeMember));
    assert_eq!(noticed, [("c".to_owned(), day(13), false)], "now that was not seen for longest");

    // Notice that was given runs on; then the slot is free.
    let noticed = world.accept(day(6), Command::ChangeMember);
    assert_eq!(leaving(noticed), [("b".to_owned(), day(11), false)]);
    world.accept(day(7), release("a", &ids[0]));
    world.refuse(day(11).just_before(), other.clone());
    world.accept(day(11), other);
}

#[test]
fn a_membership_that_has_room_again_takes_notice_back() {
    let mut world = plans(Counts::DevicesHolding, Keep::FirstRegistered);
    let ids = ["a", "b", "c"].map(|on| world.acquired(DAY_0, on, "film"));
    world.facts.plan = Plan::new("standard").ok();
    let noticed = world.accept(day(1), Command::ChangeMember);
    assert_eq!(leaving(noticed), [("c".to_owned(), day(8), false)]);
    let mut late = world.clone();
    world.facts.plan = Plan::new("premium").ok();
    assert_eq!(leaving(world.accept(day(2), Command::ChangeMember)), []);
    assert_eq!(world.license(&ids[2]).ends_at(), day(30));
    world.accept(day(2), renew("c", &ids[2], 1));
    // What has ended stays ended, and may be renewed.
    late.facts.plan = Plan::new("premium").ok();
    late.accept(day(9), Command::ChangeMember);
    assert_eq!(late.license(&ids[2]).ends_at(), day(8));
    late.accept(day(9), renew("c", &ids[2], 1));
    assert_eq!(late.license(&ids[2]).ends_at(), day(39));
}

#[test]
fn where_registrations_are_counted_the_device_itself_leaves() {
    let mut world = plans(Counts::DevicesRegistered, Keep::LastSeen);
    world.accept(day(1), check_in("a", &[]));
    world.accept(day(2), check_in("c", &[]));
    let held = world.acquired(day(1), "b", "film");
    world.accept(day(3), check_in("a", &[]));
    world.accept(day(3), check_in("c", &[]));
    world.facts.plan = Plan::new("standard").ok();
    let noticed = world.accept(day(4), Command::ChangeMember);
    assert_eq!(leaving(noticed), [("b".to_owned(), day(11), true)]);
    let fourth = register("d", DeviceClass::Tv, "d");
    let refused = world.refuse(day(5), fourth.clone());
    let frees: Vec<_> = refused.findings[0].cap.as_ref().unwrap().contributors.clone();
    assert_eq!(frees.iter().find(|one| one.device == device("b")).unwrap().frees_at, Some(day(11)));
    let gone = world.acquire("b", "other");
    assert_eq!(codes(&world.refuse(day(11), gone)), [Code::DeviceRemoved]);
    assert!(!world.license(&held).held(day(11)));
    assert_eq!(
        codes(&world.refuse(day(11), register("b", DeviceClass::Phone, "b"))),
        [Code::CapReached]
    );
    world.accept(day(12), Command::RemoveDevice { device: device("a") });
    world.accept(day(12), register("b", DeviceClass::Phone, "b"));
    let back = world.acquire("b", "other");
    world.accept(day(12), back);
}

/// Which device would ask for more is not known where a membership changes.
#[test]
fn a_downgrade_takes_away_what_is_too_much_whatever_device_asks() {
    use DeviceClass::{Phone, Tablet, Tv};
    let by_class = |limits: &[(DeviceClass, u32)]| Limit {
        otherwise: None,
        by: LimitBy::Class(limits.iter().copied().collect()),
    };
    let phones_ask = Guard::Compare {
        left: Operand::Fact(GuardFact::DeviceClass),
        how: Comparison::Equal,
        right: Operand::Constant(Value::Text("phone".to_owned())),
    };
    let others_ask = Guard::Not(Box::new(phones_ask.clone()));
    let (phones_ask, others_ask) = (Some(phones_ask), Some(others_ask));
    let of_class = [ScopeKey::DeviceClass].as_slice();
    let (one, none) = (Limit::constant(1), Limit::constant(0));
    let differing = by_class(&[(Phone, 1), (Tablet, 2)]);
    for (limit, guard, of, per, expected) in [
        (differing.clone(), None, vec![], &[][..], vec!["c"]),
        (by_class(&[(Phone, 2), (Tablet, 1)]), None, vec![], &[], vec!["c"]),
        (by_class(&[(Tv, 3)]), None, vec![], &[], vec![]),
        (differing, None, vec![Phone], &[], vec!["b"]),
        (by_class(&[(Phone, 1)]), None, vec![], of_class, vec!["b", "c"]),
        (one.clone(), phones_ask.clone(), vec![], &[], vec![]),
        (one.clone(), phones_ask.clone(), vec![Phone], &[], vec!["b"]),
        (one, phones_ask, vec![], of_class, vec!["b"]),
        (none.clone(), others_ask.clone(), vec![], &[], vec![]),
        (none, others_ask, vec![Tablet, Tv], &[], vec!["c"]),
    ] {
        let (of, when) = (Of { tags: vec![], classes: of }, When { guard, ..When::default() });
        let cap = cap("devices", Counts::DevicesRegistered, per, Window::Now, 0);
        let cap = Cap { limit, of, when, ..cap };
        let mut world = World::new(policy(rental(), vec![cap.clone()]));
        let (keep, notice) = (Keep::FirstRegistered, Duration::days(7));
        world.policy.downgrade = Some(Downgrade { keep, notice });
        let noticed = leaving(world.accept(day(1), Command::ChangeMember));
        let found: Vec<&str> = noticed.iter().map(|(device, ..)| device.as_str()).collect();
        assert_eq!(found, expected, "{cap:#?}");
    }
}

#[test]
fn a_list_that_registers_a_leaving_device_passes_once_that_has_left() {
    let mut world = plans(Counts::DevicesRegistered, Keep::FirstRegistered);
    world.facts.plan = Plan::new("standard").ok();
    let noticed = world.accept(day(1), Command::ChangeMember);
    assert_eq!(leaving(noticed), [("c".to_owned(), day(8), true)]);
    world.accept(day(2), Command::RemoveDevice { device: device("a") });
    let list = vec![register("c", DeviceClass::Tv, "c"), world.acquire("c", "film")];
    let refused = world.refuse_all(day(3), list.clone());
    assert_eq!((codes(&refused), refused.retry_at), (vec![Code::DeviceLeaving], Some(day(8))));
    assert_eq!(world.refuse_all(day(8).just_before(), list.clone()).retry_at, Some(day(8)));
    let request = world.request(day(8), list);
    assert!(matches!(world.ask(&request).answer, Answer::Accepted { .. }));
}

#[test]
fn a_lapsed_membership_acquires_and_renews_nothing_until_it_resumes() {
    let mut world = World::new(policy(rental(), vec![]));
    let id = world.acquired(DAY_0, "a", "film");
    let mut ending = world.clone();
    world.accept(day(1), Command::LapseMembership);
    assert_eq!(world.license(&id).ends_at(), day(30), "no word of the policy: as promised");
    let command = world.acquire("b", "film");
    assert_eq!(codes(&world.refuse(day(2), command.clone())), [Code::MembershipLapsed]);
    assert_eq!(codes(&world.refuse(day(2), renew("a", &id, 1))), [Code::MembershipLapsed]);
    let outcome = world.accept(day(2), Command::LapseMembership);
    assert_eq!(outcome, Outcome::MembershipLapsed { already: true });
    let outcome = world.accept(day(3), Command::ResumeMembership { warrant: None });
    assert_eq!(outcome, Outcome::MembershipResumed { already: false });
    world.accept(day(3), command);

    // "Lapse removes downloads", with notice.
    ending.policy.lapse_ends_within = Some(Duration::days(3));
    ending.accept(day(1), Command::LapseMembership);
    assert_eq!(ending.license(&id).ends_at(), day(4));
    let mut late = ending.clone();
    ending.accept(day(4).just_before(), Command::ResumeMembership { warrant: None });
    assert_eq!(ending.license(&id).ends_at(), day(30), "in time");
    assert_eq!(late.active(day(4)), 0);
    late.accept(day(4), Command::ResumeMembership { warrant: None });
    assert!(!late.license(&id).held(day(4)), "what ended stays ended");
    late.accept(day(4), renew("a", &id, 1));
    assert_eq!(late.license(&id).ends_at(), day(34));
}

#[test]
fn licenses_devices_and_members_are_revoked() {
    let mut world = World::new(policy(rental(), vec![active_cap(2)]));
    let film = world.acquired(DAY_0, "a", "film");
    let other = world.acquired(DAY_0, "b", "other");
    let revoked = |closed: &[&LicenseId], already| Outcome::Revoked {
        closed: closed.iter().map(|id| (*id).clone()).collect(),
        already,
    };
    let outcome = world.accept(day(1), revoke(Target::License(film.clone())));
    assert_eq!(outcome, revoked(&[&film], false));
    assert_eq!(world.license(&film).closed.map(|closed| closed.why), Some(ClosedWhy::Revoked));
    assert_eq!(world.active(day(1)), 1);
    let outcome = world.accept(day(1), revoke(Target::License(film.clone())));
    assert_eq!(outcome, revoked(&[], true));
    assert_eq!(codes(&world.refuse(day(1), renew("a", &film, 1))), [Code::LicenseClosed]);
    assert_eq!(
        codes(&world.refuse(day(1), revoke(Target::License(license("none"))))),
        [Code::LicenseUnknown]
    );

    let outcome = world.accept(day(2), revoke(Target::Device(device("b"))));
    assert_eq!(outcome, revoked(&[&other], false));
    let back = register("b", DeviceClass::Phone, "b");
    assert_eq!(codes(&world.refuse(day(2), back)), [Code::DeviceRevoked], "its key is lost");
    let command = world.acquire("b", "film");
    assert_eq!(codes(&world.refuse(day(2), command)), [Code::DeviceRevoked]);
    world.accept(day(2), played("b", 1, &other, 1, day(1))); // what it played, it still tells

    let third = world.acquired(day(3), "c", "third");
    assert_eq!(world.accept(day(4), revoke(Target::Member)), revoked(&[&third], false));
    let command = world.acquire("a", "film");
    for command in [command.clone(), register("new", DeviceClass::Tv, "new")] {
        assert_eq!(codes(&world.refuse(day(4), command)), [Code::MemberRevoked]);
    }
    let Outcome::CheckedIn(answer) = world.accept(day(4), check_in("c", &[(&third, false)])) else {
        panic!()
    };
    assert_eq!(answer.ended, [third], "devices hear of it");
    world.accept(day(5), Command::ResumeMembership { warrant: None });
    world.accept(day(5), command);
}

#[test]
fn an_operator_gives_back_what_was_revoked_and_not_what_lapsed() {
    let mut world = World::new(policy(rental(), vec![]));
    let resume = Command::ResumeMembership { warrant: Some(warrant()) };
    let resumed = |already| Outcome::MembershipResumed { already };
    world.accept(day(1), revoke(Target::Member));
    world.accept(day(1), Command::LapseMembership);
    assert_eq!(world.accept(day(2), resume.clone()), resumed(false));
    let EventBody::MembershipResumed { warrant: recorded } = &world.events.last().unwrap().body
    else {
        panic!()
    };
    assert_eq!(*recorded, Some(warrant()));
    let command = world.acquire("a", "film");
    assert_eq!(codes(&world.refuse(day(2), command.clone())), [Code::MembershipLapsed]);
    assert_eq!(world.accept(day(2), resume), resumed(true));
    world.accept(day(3), Command::ResumeMembership { warrant: None });
    world.accept(day(3), command);
}

// "whether a license closed from another device frees its slot at once (the default) or when its
// own device confirms or can no longer play"
#[test]
fn a_license_closed_from_elsewhere_may_count_until_its_own_device_confirms() {
    let terms = |frees| TermsPatch { release_frees: frees, ..rental() };
    let mut at_once = World::new(policy(terms(None), vec![active_cap(1)]));
    let id = at_once.acquired(DAY_0, "a", "film");
    at_once.accept(day(1), release("b", &id));
    let at_once_by_another = at_once.clone();
    at_once.acquired(day(1), "b", "film");

    let waiting = terms(Some(ReleaseFrees::WhenConfirmed));
    let mut world = World::new(policy(waiting, vec![active_cap(1)]));
    let id = world.acquired(DAY_0, "a", "film");
    let mut own = world.clone();
    own.accept(day(1), release("a", &id));
    let by_its_own = own.clone();
    own.acquired(day(1), "b", "film");

    for by in [Some(device("b")), None] {
        world.accept(day(1), Command::Release { by, license: id.clone() });
    }
    assert!(world.license(&id).waits() && !world.license(&id).held(day(1)));
    let said = |world: &World| match &world.events.last().unwrap().body {
        EventBody::Released { waits, policy, .. } => (*waits, policy.clone()),
        other => panic!("{other:?}"),
    };
    assert_eq!(said(&world), (true, Some(world.policy.version.clone())));
    assert_eq!(said(&at_once_by_another), (false, Some(world.policy.version.clone())));
    assert_eq!(said(&by_its_own).1, None, "nobody has to be asked");
    let command = world.acquire("b", "film");
    let refused = world.refuse(day(2), command.clone());
    assert_eq!(refused.retry_at, Some(day(32) - Duration::from_millis(1)), "it can no longer play");
    assert_eq!(performed(&refused.remedies[0]), [release("a", &id)], "or confirms");
    // Its device hears that it ended, and acquires the title anew beside nothing.
    let Outcome::CheckedIn(answer) = world.accept(day(2), check_in("a", &[(&id, false)])) else {
        panic!()
    };
    assert_eq!(answer.ended, std::slice::from_ref(&id));
    let mut anew = world.clone();
    anew.acquired(day(2), "a", "film");
    assert_eq!(anew.active(day(2)), 1);
    let outcome = world.accept(day(3), release("a", &id));
    assert_eq!(outcome, Outcome::Released { license: id.clone(), already: false });
    assert_eq!(world.active(day(3)), 0);
    world.accept(day(3), command);
    let outcome = world.accept(day(4), release("a", &id));
    assert_eq!(outcome, Outcome::Released { license: id, already: true });
}

/// Found by the simulation: what had waited until it was over waited on for ever.
#[test]
fn nothing_is_waited_for_once_the_device_has_acquired_the_title_anew() {
    let waiting = TermsPatch { release_frees: Some(ReleaseFrees::WhenConfirmed), ..rental() };
    let mut world = World::new(policy(waiting, vec![]));
    let id = world.acquired(DAY_0, "a", "film");
    world.accept(day(1), release("b", &id));
    world.acquired(day(60), "b", "other"); // by then it is over, and set aside
    world.acquired(day(61), "a", "film");
    assert!(!world.license(&id).waits());
    let outcome = world.accept(day(62), release("a", &id));
    assert_eq!(outcome, Outcome::Released { license: id, already: true });
}

// "release and acquire as one atomic pair: the pair may fit where the acquire alone would not"
#[test]
fn a_pair_of_release_and_acquire_fits_where_the_acquire_alone_would_not() {
    let mut world = World::new(policy(rental(), vec![active_cap(1)]));
    let watched = world.acquired(DAY_0, "a", "episode-1");
    let next = world.acquire("a", "episode-2");
    world.refuse(day(1), next.clone());
    let pair = vec![release("a", &watched), next];
    let decision = world.ask(&world.request(day(1), pair));
    assert!(matches!(decision.answer, Answer::Accepted { .. }));
    let kinds: Vec<_> = decision.events.iter().map(|event| &event.body).collect();
    assert!(matches!(kinds[..], [EventBody::Released { .. }, EventBody::Acquired(_)]));
    assert_eq!(world.active(day(1)), 1);
    // All or nothing: a pair that does not fit leaves what was held.
    let mut full = World::new(policy(rental(), vec![yearly_cap(1)]));
    let held = full.acquired(DAY_0, "a", "film");
    let pair = vec![release("a", &held), full.acquire("b", "film")];
    let refused = full.refuse_all(day(1), pair);
    assert_eq!(refused.findings[0].command, 1);
    assert!(full.license(&held).held(day(1)));
}

#[test]
fn a_withdrawn_title_ends_on_every_device_and_is_no_event_where_nobody_has_it() {
    let mut world = World::new(policy(rental(), vec![]));
    let on_a = world.acquired(DAY_0, "a", "film");
    let on_b = world.acquired(DAY_0, "b", "film");
    let other = world.acquired(DAY_0, "a", "other");
    let withdraw = Command::WithdrawTitle { title: title("film") };
    let outcome = world.accept(day(1), withdraw.clone());
    assert_eq!(outcome, Outcome::TitleWithdrawn { closed: vec![on_a.clone(), on_b] });
    assert_eq!(world.license(&on_a).closed.map(|closed| closed.why), Some(ClosedWhy::Withdrawn));
    assert!(world.license(&other).held(day(1)));
    let Outcome::CheckedIn(answer) = world.accept(day(2), check_in("a", &[(&on_a, true)])) else {
        panic!()
    };
    assert_eq!(answer.ended, [on_a]);
    let before = world.events.len();
    assert_eq!(world.accept(day(2), withdraw), Outcome::TitleWithdrawn { closed: vec![] });
    assert_eq!(world.events.len(), before);
}

// "an allowance beyond a cap or gate, with amount, reason, actor and end; it is an event; it shows
// in explanations"
#[test]
fn an_exception_raises_a_cap_until_it_ends_and_shows() {
    let mut world = World::new(policy(rental(), vec![active_cap(1)]));
    world.acquired(DAY_0, "a", "1");
    let second = world.acquire("a", "2");
    world.refuse(day(1), second.clone());
    world.accept(day(1), grant("x", "active", 1, day(10)));
    let told =
        eligibility(&world.member, &world.request(day(1), vec![second.clone()]), &world.policy);
    assert_eq!((told.caps[0].limit, told.caps[0].raised, told.caps[0].used), (2, 1, 1));
    world.accept(day(2), second);
    let third = world.acquire("a", "3");
    let counted = world.refuse(day(3), third.clone()).findings[0].cap.clone().unwrap();
    assert_eq!((counted.limit, counted.raised, counted.used), (2, 1, 2));
    // What was promised stays when it ends, and what would add is refused.
    let refused = world.refuse(day(10), third);
    let counted = refused.findings[0].cap.as_ref().unwrap();
    assert_eq!((counted.limit, counted.raised, counted.used), (1, 0, 2));
    assert_eq!(world.active(day(10)), 2);
}

#[test]
fn when_a_cap_frees_takes_into_account_that_exceptions_end() {
    let month = Window::Rolling(Duration::days(30));
    let mut world = World::new(policy(rental(), vec![cap("c", ACQUISITIONS, &[], month, 1)]));
    world.accept(DAY_0, grant("x", "c", 1, day(31)));
    world.acquired(DAY_0, "a", "1");
    world.acquired(day(5), "a", "2");
    // At day 30 one has freed and two are allowed; without the exception, not before day 35.
    let third = world.acquire("a", "3");
    assert_eq!(world.refuse(day(6), third.clone()).retry_at, Some(day(30)));
    let end =
        Command::EndException { exception: ExceptionId::new("x").unwrap(), warrant: warrant() };
    world.accept(day(6), end.clone());
    assert_eq!(world.refuse(day(6), third.clone()).retry_at, Some(day(35)));
    assert_eq!(codes(&world.refuse(day(6), end)), [Code::ExceptionUnknown]);
    // One that is over before anything frees helps nobody.
    world.accept(day(7), grant("y", "c", 1, day(29)));
    let refused = world.refuse(day(8), third);
    assert_eq!((refused.findings[0].frees_at, refused.retry_at), (Some(day(35)), Some(day(35))));
}

#[test]
fn an_exception_opens_a_gate_and_has_to_be_of_a_rule() {
    let mut world = World::new(policy(rental(), vec![]));
    let (of, when) = (Of::default(), When::default());
    let closed = Gate { id: rule("closed"), of, when, condition: Condition::Closed, needs: vec![] };
    world.policy.titles.insert(title("film"), Rules { gates: vec![closed], ..Rules::default() });
    let command = world.acquire("a", "film");
    world.refuse(DAY_0, command.clone());
    assert_eq!(codes(&world.refuse(DAY_0, grant("x", "clozed", 1, day(9)))), [Code::RuleUnknown]);
    assert_eq!(codes(&world.refuse(DAY_0, grant("x", "closed", 1, DAY_0))), [Code::ExceptionOver]);
    world.accept(DAY_0, grant("x", "closed", 1, day(9)));
    let again = world.acquire("b", "film");
    world.accept(day(8), command);
    world.refuse(day(9), again);
}

#[test]
fn a_retry_of_what_changed_around_a_member_is_told_what_was_decided() {
    let mut world = World::new(policy(rental(), vec![active_cap(1)]));
    let id = world.acquired(DAY_0, "a", "film");
    let exception = ExceptionId::new("x").unwrap();
    for (n, command) in [
        Command::ChangeMember,
        grant("x", "active", 1, day(9)),
        Command::EndException { exception, warrant: warrant() },
        Command::LapseMembership,
        Command::ResumeMembership { warrant: None },
        Command::WithdrawTitle { title: title("film") },
        revoke(Target::Member),
    ]
    .into_iter()
    .enumerate()
    {
        let key = crate::ids::IdempotencyKey::new(&format!("key-{n}")).unwrap();
        let mut request = world.request(day(1), vec![command]);
        request.idempotency = Some(Idempotency { key, body_digest: [0; 32] });
        let first = world.ask(&request);
        let Answer::Accepted { outcomes, repeated: false } = first.answer else { panic!() };
        let again = world.ask(&request);
        assert_eq!(again.answer, Answer::Accepted { outcomes, repeated: true });
        assert_eq!(again.events, []);
    }
    assert!(world.license(&id).closed.is_some());
}

#[test]
fn a_retry_is_told_the_exception_that_was_granted() {
    let mut world = World::new(policy(rental(), vec![active_cap(1)]));
    let key = crate::ids::IdempotencyKey::new("key").unwrap();
    let mut ask = |id: &str| {
        let mut request = world.request(day(1), vec![grant(id, "active", 1, day(9))]);
        request.idempotency = Some(Idempotency { key: key.clone(), body_digest: [0; 32] });
        world.ask(&request).answer
    };
    let exception = ExceptionId::new("first").unwrap();
    let granted = |repeated| {
        let outcomes = vec![Outcome::ExceptionGranted { exception: exception.clone() }];
        Answer::Accepted { outcomes, repeated }
    };
    assert_eq!(ask("first"), granted(false));
    // The id generated for the retry is another one, and is not used.
    assert_eq!(ask("of-the-retry"), granted(true));
}
