//! What holds for all policies and histories. Histories are made of requests, so that every
//! member in them could have come about.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::world::*;
use crate::ids::LicenseId;
use crate::member::*;
use crate::policy::*;
use crate::time::{CalendarUnit, Duration, Timestamp, Zone};

#[derive(Debug, Clone)]
enum Deed {
    Acquire {
        on: &'static str,
        title: u8,
    },
    Renew {
        nth: usize,
    },
    Release {
        nth: usize,
    },
    CheckIn {
        on: &'static str,
        started: bool,
    },
    Play {
        nth: usize,
        hours_ago: i64,
    },
    Remove {
        on: &'static str,
    },
    Register {
        on: &'static str,
    },
    /// The policy allows one less of everything from now on.
    Tighten,
}

fn devices() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c"])
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        8 => (devices(), 0u8..4).prop_map(|(on, title)| Deed::Acquire { on, title }),
        3 => any::<prop::sample::Index>().prop_map(|i| Deed::Renew { nth: i.index(1_000) }),
        2 => any::<prop::sample::Index>().prop_map(|i| Deed::Release { nth: i.index(1_000) }),
        2 => (devices(), any::<bool>()).prop_map(|(on, started)| Deed::CheckIn { on, started }),
        3 => (any::<prop::sample::Index>(), -30i64..900)
            .prop_map(|(i, hours_ago)| Deed::Play { nth: i.index(1_000), hours_ago }),
        1 => devices().prop_map(|on| Deed::Remove { on }),
        1 => devices().prop_map(|on| Deed::Register { on }),
        1 => Just(Deed::Tighten),
    ]
}

fn a_cap() -> impl Strategy<Value = Cap> {
    let per = prop::collection::btree_set(
        prop::sample::select(vec![ScopeKey::Title, ScopeKey::Partner, ScopeKey::Device]),
        0..2,
    );
    let counted = prop_oneof![
        Just((Counts::ActiveLicenses, Window::Now)),
        Just((Counts::DevicesHolding, Window::Now)),
        (any::<bool>(), 1i64..60).prop_map(|(renewals, days)| {
            let counts = Counts::Events { acquisitions: true, renewals };
            (counts, Window::Rolling(Duration::days(days)))
        }),
        any::<bool>().prop_map(|week| {
            let unit = if week { CalendarUnit::Week } else { CalendarUnit::Month };
            (ACQUISITIONS, Window::Calendar(unit, Zone::named("America/New_York").unwrap()))
        }),
    ];
    (counted, per, 0u32..4).prop_map(|((counts, window), per, limit)| {
        let per: Vec<ScopeKey> = per.into_iter().collect();
        cap("cap", counts, &per, window, limit)
    })
}

fn a_policy() -> impl Strategy<Value = Policy> {
    let terms = (
        prop::option::of(1i64..20),
        prop::option::of(1i64..200),
        prop::option::of(1i64..15),
        0i64..30,
        prop::option::of(1i64..10),
    )
        .prop_map(|(start, finish, check_in, grace, before)| TermsPatch {
            start_within: start.map(Duration::days),
            finish_within: finish.map(Duration::hours),
            check_in_within: check_in.map(Duration::days),
            grace: Some(Duration::hours(grace)),
            renew_before_end: before.map(Duration::days),
            ..TermsPatch::default()
        });
    (terms, prop::collection::vec(a_cap(), 0..4)).prop_map(|(terms, caps)| {
        let caps = caps.into_iter().enumerate();
        let named = |(i, c): (usize, Cap)| Cap { id: rule(&format!("cap-{i}")), ..c };
        policy(terms, caps.map(named).collect())
    })
}

fn history() -> impl Strategy<Value = Vec<(i64, Deed)>> {
    prop::collection::vec((0i64..72, deed()), 1..40)
}

/// The next request of a history, if the deed finds what it is about.
fn command(world: &mut World, sequence: u64, at: Timestamp, deed: &Deed) -> Option<Command> {
    let ids: Vec<LicenseId> =
        world.member.licenses.keys().chain(world.member.past.keys()).cloned().collect();
    let pick = |nth: &usize| ids.get(nth % ids.len().max(1)).cloned();
    Some(match deed {
        Deed::Acquire { on, title } => {
            let partner = if *title < 2 { "s" } else { "t" };
            world.acquire_of(on, &title.to_string(), title_facts(partner))
        }
        Deed::Renew { nth } => {
            let id = pick(nth)?;
            let license = world.license(&id);
            let on = license.device.as_str().to_owned();
            let facts = license.facts.title.clone();
            Command::Renew {
                device: device(&on),
                term: license.term().term.number,
                license: id,
                title_facts: Some(facts),
            }
        }
        Deed::Release { nth } => release("a", &pick(nth)?),
        Deed::CheckIn { on, started } => {
            let holdings: Vec<_> = ids.iter().map(|id| (id, *started)).collect();
            check_in(on, &holdings)
        }
        Deed::Play { nth, hours_ago } => {
            let id = pick(nth)?;
            let license = world.license(&id);
            let (on, term) = (license.device.as_str().to_owned(), license.term().term.number);
            played(&on, sequence, &id, term, at - Duration::hours(hours_ago.max(&0).to_owned()))
        }
        Deed::Remove { on } => Command::RemoveDevice { device: device(on) },
        Deed::Register { on } => register(on, crate::facts::DeviceClass::Phone, on),
        Deed::Tighten => {
            for cap in &mut world.policy.default.caps {
                cap.limit.otherwise = cap.limit.otherwise.map(|limit| limit.saturating_sub(1));
            }
            return None;
        }
    })
}

/// Runs a history and shows each request, the world before it, and what was decided.
fn run(
    policy: Policy,
    history: &[(i64, Deed)],
    mut each: impl FnMut(&World, &Request, &Decision) -> Result<(), TestCaseError>,
) -> Result<World, TestCaseError> {
    let mut world = World::new(policy);
    let mut at = DAY_0;
    for (sequence, (hours, deed)) in (1..).zip(history) {
        at = at + Duration::hours(*hours);
        let Some(command) = command(&mut world, sequence, at, deed) else { continue };
        let before = world.clone();
        let request = world.request(at, vec![command]);
        let decision = world.ask(&request);
        each(&before, &request, &decision)?;
    }
    Ok(world)
}

fn passes(world: &World, request: &Request, at: Timestamp) -> bool {
    let request = Request { at, ..request.clone() };
    matches!(decide(&world.member, &request, &world.policy).answer, Answer::Accepted { .. })
}

/// Counted again from the events alone, by a reader who knows nothing of indexes.
fn naive_count(world: &World, cap: &Cap, about: &Acquired, at: Timestamp) -> usize {
    let same = |other: &Acquired| {
        cap.per.iter().all(|key| match key {
            ScopeKey::Title => other.title == about.title,
            ScopeKey::Partner => other.facts.title.partner == about.facts.title.partner,
            ScopeKey::Device => other.device == about.device,
            _ => unreachable!("not made here"),
        })
    };
    let mut acquired: BTreeMap<&LicenseId, &Acquired> = BTreeMap::new();
    let mut counted = 0;
    for event in &world.events {
        let (id, renewal) = match &event.body {
            EventBody::Acquired(a) => {
                acquired.insert(&a.license, a);
                (&a.license, false)
            }
            EventBody::Renewed(r) => (&r.license, true),
            _ => continue,
        };
        let in_window = match &cap.window {
            Window::Rolling(length) => event.at > at - *length,
            Window::Calendar(unit, zone) => {
                event.at >= crate::time::calendar_period(*unit, zone, at).0
            }
            Window::Now => false,
        };
        let kind = match cap.counts {
            Counts::Events { acquisitions, renewals } => {
                if renewal {
                    renewals
                } else {
                    acquisitions
                }
            }
            _ => false,
        };
        counted += usize::from(in_window && kind && same(acquired[id]));
    }
    let active = || {
        let all = world.member.licenses.iter().chain(&world.member.past);
        all.filter(|(id, license)| license.active(at) && same(acquired[id])).map(|(_, l)| l)
    };
    match cap.counts {
        Counts::ActiveLicenses => active().count(),
        Counts::DevicesHolding => active().map(|l| &l.device).collect::<BTreeSet<_>>().len(),
        Counts::Events { .. } => counted,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_decision_exceeds_a_cap(policy in a_policy(), history in history()) {
        run(policy, &history, |before, _, decision| {
            let mut after = before.clone();
            after.fold(&decision.events);
            for event in &decision.events {
                let EventBody::Acquired(acquired) = &event.body else { continue };
                for cap in &after.policy.default.caps {
                    // A limit that was lowered stays exceeded by what is held; nothing adds to it.
                    let before = naive_count(before, cap, acquired, decision.at);
                    let most = before.max(cap.limit.of(None) as usize);
                    let used = naive_count(&after, cap, acquired, decision.at);
                    prop_assert!(used <= most, "{used} of {most}: {cap:?}");
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_same_request_at_retry_at_succeeds_and_a_millisecond_earlier_does_not(
        policy in a_policy(),
        history in history(),
    ) {
        run(policy, &history, |before, request, decision| {
            let Answer::Refused(refused) = &decision.answer else { return Ok(()) };
            if let Some(retry_at) = refused.retry_at {
                prop_assert!(passes(before, request, retry_at), "{refused:#?}");
                prop_assert!(!passes(before, request, retry_at.just_before()), "{refused:#?}");
            } else {
                // Where nothing is said no waiting helps: a year of days is tried.
                for days in 1..366 {
                    let at = decision.at + Duration::days(days);
                    prop_assert!(!passes(before, request, at), "{days} days: {refused:#?}");
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn with_a_cap_alone_the_same_holds_for_its_frees_at(
        policy in a_policy(),
        history in history(),
    ) {
        run(policy, &history, |before, request, decision| {
            let Answer::Refused(refused) = &decision.answer else { return Ok(()) };
            for finding in refused.findings.iter().filter(|f| f.cap.is_some()) {
                let mut alone = before.clone();
                alone.policy.default.caps.retain(|cap| Some(&cap.id) == finding.rule.as_ref());
                // Other clocks of a renewal are not this cap's.
                alone.policy.default.terms.renew_before_end = None;
                let Some(frees_at) = finding.frees_at else { continue };
                prop_assert!(passes(&alone, request, frees_at), "{finding:#?}");
                prop_assert!(!passes(&alone, request, frees_at.just_before()), "{finding:#?}");
            }
            Ok(())
        })?;
    }

    #[test]
    fn performing_a_remedy_makes_the_request_succeed(policy in a_policy(), history in history()) {
        run(policy, &history, |before, request, decision| {
            let Answer::Refused(refused) = &decision.answer else { return Ok(()) };
            for remedy in &refused.remedies {
                let mut world = before.clone();
                for RemedyAction::Release { license, .. } in &remedy.actions {
                    let release = Command::Release { by: None, license: license.clone() };
                    world.accept(decision.at, release);
                }
                prop_assert!(passes(&world, request, decision.at), "{remedy:#?}");
            }
            Ok(())
        })?;
    }

    #[test]
    fn may_play_until_never_moves_later_without_a_renewal_or_a_check_in(
        policy in a_policy(),
        history in history(),
    ) {
        run(policy, &history, |before, request, decision| {
            let mut after = before.clone();
            after.fold(&decision.events);
            let moved_by = matches!(
                request.commands[0], Command::Renew { .. } | Command::CheckIn { .. }
            );
            for (id, license) in before.member.licenses.iter().filter(|_| !moved_by) {
                if let Some(then) = after.member.license(id) {
                    prop_assert!(then.may_play_until() <= license.may_play_until());
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn events_go_forward_in_time_and_folding_them_gives_the_member(
        policy in a_policy(),
        history in history(),
    ) {
        let world = run(policy, &history, |_, _, _| Ok(()))?;
        for pair in world.events.windows(2) {
            prop_assert!(pair[0].at <= pair[1].at);
        }
        prop_assert_eq!(&world.events.iter().fold(Member::default(), evolve), &world.member);
    }

    #[test]
    fn acquiring_twice_never_makes_two_licenses(policy in a_policy(), history in history()) {
        run(policy, &history, |before, request, decision| {
            let mut after = before.clone();
            after.fold(&decision.events);
            let Command::Acquire { device, title, .. } = &request.commands[0] else { return Ok(()) };
            let all = after.member.licenses.values().chain(after.member.past.values());
            let open = all.filter(|l| {
                l.closed.is_none() && l.device == *device && l.title == *title
            });
            prop_assert!(open.count() <= 1);
            Ok(())
        })?;
    }
}
