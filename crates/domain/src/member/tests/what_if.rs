//! The past asked again.

use proptest::prelude::*;

use super::properties::{Deed, a_policy, history, run};
use super::world::*;
use crate::facts::DeviceClass;
use crate::ids::LicenseId;
use crate::member::what_if::{Compared, Question, Reason, Verdict, what_if};
use crate::member::*;
use crate::policy::*;
use crate::time::{Duration, Timestamp};

fn asked_again(world: &World, draft: &Policy, since: Timestamp) -> (Vec<Compared>, Member) {
    let horizon = world.member.history.horizon();
    let question = Question { draft, since, until: Timestamp::MAX, horizon };
    let mut compared = vec![];
    let member = what_if(&world.events, &question, |one| compared.push(one));
    (compared, member)
}

/// Answers in order, with a word for each: was, would be.
fn answers(compared: &[Compared]) -> Vec<(&'static str, &'static str)> {
    let word = |verdict: &Verdict| match verdict {
        Verdict::Accepted => "accepted",
        Verdict::Refused(_) => "refused",
        Verdict::Moot => "moot",
    };
    compared.iter().map(|one| (word(&one.was), word(&one.would_be))).collect()
}

fn same(member: &Member) -> Member {
    // A replay has no idempotency keys, and records refusals that were not recorded twice.
    Member { remembered: Default::default(), refusals: vec![], ..member.clone() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn an_unchanged_policy_answers_the_past_as_it_was_answered(
        policy in a_policy(),
        history in history(),
        since in prop_oneof![3 => Just(0i64), 1 => 0i64..40],
    ) {
        let history: Vec<_> =
            history.into_iter().filter(|(_, deed)| !matches!(deed, Deed::Tighten)).collect();
        let world = run(policy, &history, |_, _, _| Ok(()))?;
        // The first devices came before there were rules.
        let since = day(since) + Duration::from_millis(1);
        let (compared, member) = asked_again(&world, &world.policy, since);
        for one in &compared {
            prop_assert_eq!(&one.was, &one.would_be, "{:?}", one);
            prop_assert!(!one.other_terms, "{:?}", one);
        }
        prop_assert_eq!(same(&member), same(&world.member));
    }
}

#[test]
fn a_download_that_would_have_been_refused_uses_up_no_quota_later() {
    let mut world = World::new(policy(rental(), vec![]));
    let first = world.acquired(day(1), "a", "film");
    world.accept(day(2), release("a", &first));
    world.acquired(day(3), "b", "film");
    world.acquired(day(367), "c", "film");
    let draft = policy(rental(), vec![yearly_cap(1)]);
    let (compared, member) = asked_again(&world, &draft, day(1));
    // Were the second one counted, the third would be refused as well.
    assert_eq!(
        answers(&compared),
        [("accepted", "accepted"), ("accepted", "refused"), ("accepted", "accepted")]
    );
    let reason = Reason { code: Code::CapReached, rule: Some(rule("yearly")) };
    assert_eq!(compared[1].would_be, Verdict::Refused(vec![reason]));
    assert_eq!(member.licenses.len(), 1);
}

#[test]
fn what_was_done_with_a_license_that_would_not_be_there_is_moot() {
    let mut world = World::new(policy(rental(), vec![]));
    world.acquired(day(1), "a", "film");
    let second = world.acquired(day(2), "b", "film");
    world.accept(day(3), renew("b", &second, 1));
    world.accept(day(4), played("b", 1, &second, 2, day(4)));
    world.accept(day(5), release("b", &second));
    let draft = policy(rental(), vec![yearly_cap(1)]);
    let (compared, member) = asked_again(&world, &draft, day(1));
    assert_eq!(
        answers(&compared),
        [("accepted", "accepted"), ("accepted", "refused"), ("accepted", "moot")]
    );
    assert_eq!(member.license(&second), None);
}

#[test]
fn what_was_refused_and_would_be_accepted_goes_on_from_there() {
    let mut world = World::new(policy(rental(), vec![yearly_cap(0)]));
    let ask = world.acquire("a", "film");
    world.refuse(day(1), ask);
    world.policy = policy(rental(), vec![]);
    // Under the draft the device holds it already, and this license is the earlier one.
    let license = world.acquired(day(2), "a", "film");
    world.accept(day(3), renew("a", &license, 1));
    let (compared, member) = asked_again(&world, &policy(rental(), vec![]), day(1));
    assert_eq!(
        answers(&compared),
        [("refused", "accepted"), ("accepted", "accepted"), ("accepted", "accepted")]
    );
    assert_eq!(member.license(&license), None);
    let held: Vec<_> = member.licenses.values().map(License::renewals).collect();
    assert_eq!(held, [1], "what was done with it is done with the one that would be held");
}

/// `film` is over since day 31, and what the member acquires on day 450 makes it forgotten.
fn years() -> (World, LicenseId) {
    let mut world = World::new(policy(rental(), vec![]));
    let film = world.acquired(day(1), "a", "film");
    world.acquired(day(450), "a", "other");
    assert_eq!(codes(&world.refuse(day(451), renew("a", &film, 1))), [Code::LicenseUnknown]);
    let with_more = vec![renew("a", &film, 1), world.acquire("a", "more")];
    world.refuse_all(day(452), with_more);
    (world, film)
}

/// Found by the simulation, in worlds where years pass.
#[test]
fn what_was_forgotten_when_it_was_asked_for_is_forgotten_again() {
    let (world, _) = years();
    let (compared, member) = asked_again(&world, &world.policy, day(1));
    assert_eq!(
        answers(&compared)[2..],
        [("refused", "refused"), ("refused", "refused")],
        "{compared:#?}"
    );
    assert!(compared.iter().all(|one| one.was == one.would_be));
    assert_eq!(same(&member), same(&world.member));
}

#[test]
fn what_was_forgotten_before_more_was_remembered_is_forgotten_when_asked_again() {
    let (mut world, film) = years();
    // With the service stopped.
    world.member = world.events.iter().fold(Member::remembering(Duration::days(800)), evolve);
    world.accept(day(453), renew("a", &film, 1));
    let with_less = vec![renew("a", &film, 3), world.acquire("a", "more")];
    assert_eq!(codes(&world.refuse_all(day(454), with_less)), [Code::TermUnknown]);
    let (compared, member) = asked_again(&world, &world.policy, day(1));
    assert_eq!(compared.len(), 6);
    assert!(compared.iter().all(|one| one.was == one.would_be), "{compared:#?}");
    assert_eq!(same(&member), same(&world.member));
}

#[test]
fn what_was_forgotten_and_would_not_have_been_is_asked_for() {
    let (world, _) = years();
    let longer = TermsPatch { start_within: Some(Duration::days(440)), ..rental() };
    let (compared, _) = asked_again(&world, &policy(longer, vec![]), day(1));
    assert_eq!(answers(&compared)[2..], [("refused", "accepted"), ("refused", "accepted")]);
}

#[test]
fn what_would_never_have_been_there_is_moot_for_ever() {
    let (world, _) = years();
    let (compared, _) = asked_again(&world, &policy(rental(), vec![yearly_cap(0)]), day(1));
    assert_eq!(
        answers(&compared),
        [
            ("accepted", "refused"),
            ("accepted", "refused"),
            ("refused", "moot"),
            ("refused", "refused")
        ]
    );
}

#[test]
fn what_a_device_did_that_would_not_have_been_registered_is_moot() {
    let mut world = World::new(policy(rental(), vec![]));
    world.accept(day(1), register("d", DeviceClass::Phone, "d"));
    let film = world.acquired(day(2), "d", "film");
    world.accept(day(3), renew("d", &film, 1));
    world.accept(day(4), check_in("d", &[(&film, false)]));
    world.accept(day(5), Command::RemoveDevice { device: device("d") });
    world.accept(day(6), Command::RemoveDevice { device: device("c") });
    world.accept(day(7), register("d", DeviceClass::Phone, "d"));
    world.acquired(day(8), "d", "film");
    let registered = cap("three", Counts::DevicesRegistered, &[], Window::Now, 3);
    let (compared, _) = asked_again(&world, &policy(rental(), vec![registered]), day(1));
    assert_eq!(
        answers(&compared),
        [
            ("accepted", "refused"),
            ("accepted", "moot"),
            ("accepted", "moot"),
            ("accepted", "moot"),
            ("accepted", "accepted"),
            ("accepted", "accepted"),
            ("accepted", "accepted")
        ]
    );
}

#[test]
fn other_clocks_are_told_and_only_what_was_asked_since_is_asked_again() {
    let mut world = World::new(policy(rental(), vec![]));
    world.acquired(day(1), "a", "one");
    world.acquired(day(5), "a", "two");
    let shorter = TermsPatch { start_within: Some(Duration::days(7)), ..rental() };
    let (compared, _) = asked_again(&world, &policy(shorter, vec![]), day(5));
    assert_eq!(answers(&compared), [("accepted", "accepted")]);
    assert!(compared[0].other_terms);
    assert_eq!(compared[0].titles, [(title("two"), title_facts("studio").partner)]);
}

#[test]
fn a_list_is_asked_again_as_a_list() {
    let mut world = World::new(policy(rental(), vec![active_cap(1)]));
    let first = world.acquired(day(1), "a", "one");
    let next = world.acquire("a", "two");
    let pair = Request {
        idempotency: Some(Idempotency { key: "k".parse().unwrap(), body_digest: [0; 32] }),
        ..world.request(day(2), vec![release("a", &first), next])
    };
    assert!(matches!(world.ask(&pair).answer, Answer::Accepted { .. }));
    let (compared, _) = asked_again(&world, &world.policy, day(2));
    assert_eq!(compared[0].commands.len(), 2, "decided together");
    assert_eq!(answers(&compared), [("accepted", "accepted")]);
}

/// Found by the simulation: the second was lost, and with it that keys were given twice.
#[test]
fn what_a_list_acquires_and_asks_for_once_more_is_asked_for_once_more() {
    for key in [None, Some("k".parse().unwrap())] {
        let mut world = World::new(policy(rental(), vec![]));
        let twice = vec![world.acquire("a", "film"), world.acquire("a", "film")];
        let request = world.request(day(1), twice);
        let idempotency = key.map(|key| Idempotency { key, body_digest: [0; 32] });
        let outcomes = match world.ask(&Request { idempotency, ..request }).answer {
            Answer::Accepted { outcomes, .. } => outcomes,
            other => panic!("{other:?}"),
        };
        let Outcome::Held { license, .. } = &outcomes[0] else { panic!("{outcomes:?}") };
        world.accept(day(2), Command::DrmFailed { license: license.clone(), term: 1 });
        // Keys were given all the same: what was downloaded was downloaded.
        world.accept(day(3), release("a", license));
        let (compared, member) = asked_again(&world, &world.policy, day(1));
        assert_eq!(compared[0].commands.len(), 2);
        assert_eq!(same(&member), same(&world.member));
    }
}

#[test]
fn a_term_that_was_not_given_is_named_as_it_was() {
    let none = TermsPatch { renewals_max: Some(0), ..rental() };
    let mut world = World::new(policy(none, vec![]));
    let id = world.acquired(day(1), "a", "film");
    // The second is answered as if the first had been given: term 2 is there then, and 3 is not.
    let twice = world.request(day(2), vec![renew("a", &id, 1), renew("a", &id, 3)]);
    assert!(matches!(world.ask(&twice).answer, Answer::Refused(_)));
    let (compared, _) = asked_again(&world, &world.policy, day(2));
    assert_eq!(compared[0].was, compared[0].would_be);
    let Verdict::Refused(reasons) = &compared[0].was else { panic!("{:?}", compared[0]) };
    assert_eq!(reasons[1].code, Code::TermUnknown);
}
