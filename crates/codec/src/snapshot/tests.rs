use std::collections::BTreeSet;
use std::path::Path;

use domain::member::{
    Allowance, Command, Holding, Idempotency, PlayReport, Request, Target, Warrant,
};
use domain::policy::{
    Cap, Counts, Downgrade, Keep, Limit, Of, Policy, Rules, TermsPatch, When, Window,
};
use domain::{
    DeviceClass, Duration, Event, KeyThumbprint, MemberFacts, Timestamp, TitleFacts, decide, evolve,
};
use expect_test::expect;
use minicbor::bytes::ByteVec;
use proptest::prelude::*;
use ring::digest::{SHA256, digest};

use super::*;
use crate::event::{Kind, decode_event, encode_event};

/// One request: after how long, by which device, what, about which title or license.
type Step = (u64, u8, u8, u8);

fn step() -> impl Strategy<Value = Step> {
    let hours = prop_oneof![0_u64..48, 200_u64..2_000];
    (hours, 0_u8..3, 0_u8..13, 0_u8..8)
}

fn policy() -> Policy {
    let terms = TermsPatch {
        start_within: Some(Duration::days(30)),
        finish_within: Some(Duration::hours(48)),
        check_in_within: Some(Duration::days(20)),
        ..TermsPatch::default()
    };
    let cap = Cap {
        id: "devices".parse().unwrap(),
        counts: Counts::DevicesHolding,
        per: vec![],
        of: Of::default(),
        when: When::default(),
        window: Window::Now,
        limit: Limit::constant(2),
        idle_after: None,
        warn_at_left: None,
        needs: vec![],
    };
    Policy {
        version: "draft".parse().unwrap(),
        name: "draft".to_owned(),
        effective_from: Timestamp::MIN,
        default: Rules { terms, caps: vec![cap], ..Rules::default() },
        partners: [].into(),
        series: [].into(),
        titles: [].into(),
        downgrade: Some(Downgrade { keep: Keep::LastSeen, notice: Duration::days(7) }),
        lapse_ends_within: Some(Duration::days(3)),
    }
}

/// A member who lived through all of this, and what happened.
fn lived(steps: &[Step]) -> (Member, Vec<Event>) {
    let policy = policy();
    let mut at = Timestamp::from_millis(1_770_000_000_125);
    let (mut member, mut events) = (Member::default(), Vec::new());
    for (number, (hours, by, what, which)) in steps.iter().enumerate() {
        at = at + Duration::hours(i64::try_from(*hours).unwrap());
        let key = IdempotencyKey::new(&format!("key-{number}")).unwrap();
        let request = Request {
            at,
            idempotency: (which % 2 == 0).then_some(Idempotency { key, body_digest: [*what; 32] }),
            facts: MemberFacts { plan: Some("basic".parse().unwrap()), ..MemberFacts::default() },
            commands: vec![command(number, *by, *what, *which, at)],
        };
        let happened = decide(&member, &request, &policy).events;
        member = happened.iter().fold(member, evolve);
        events.extend(happened);
    }
    (member, events)
}

/// What changes around a member.
fn around(which: u8, license: LicenseId, device: DeviceId) -> Command {
    let warrant = Warrant { actor: "kim".to_owned(), reason: "asked".to_owned() };
    match which {
        0 => Command::ChangeMember,
        1 => Command::LapseMembership,
        2 => Command::ResumeMembership { warrant: None },
        3 => {
            let allowance = Allowance {
                rule: "devices".parse().unwrap(),
                amount: 1,
                until: Timestamp::from_millis(1_790_000_000_000),
            };
            Command::GrantException { exception: "x".parse().unwrap(), allowance, warrant }
        }
        4 => Command::Revoke { target: Target::License(license), warrant },
        5 => Command::WithdrawTitle { title: "title-5".parse().unwrap() },
        6 => Command::EndException { exception: "x".parse().unwrap(), warrant },
        _ => Command::Revoke { target: Target::Device(device), warrant },
    }
}

fn command(number: usize, by: u8, what: u8, which: u8, at: Timestamp) -> Command {
    let device = DeviceId::new(&format!("device-{by}")).unwrap();
    let license = LicenseId::new(&format!("license-{which}")).unwrap();
    let title_facts = Some(TitleFacts {
        partner: "aurora-pictures".parse().unwrap(),
        series: None,
        tags: ["new".parse().unwrap()].into(),
        maturity_rating: None,
        downloadable: true,
        offered: true,
        available_from: None,
        available_until: None,
    });
    match what {
        0 => Command::RegisterDevice {
            device,
            class: DeviceClass::Tv,
            key: KeyThumbprint::new(&format!("key-{by}")).unwrap(),
            name: "Wohnzimmer".to_owned(),
        },
        1 => Command::RemoveDevice { device },
        2 => Command::Renew { device, license, term: 1, title_facts, automatic: which % 2 == 1 },
        3 => Command::Release { by: Some(device), license },
        4 => Command::CheckIn { device, holdings: vec![Holding { license, started: false }] },
        5 => {
            let sequence = number as u64;
            let play = PlayReport { sequence, license, term: 1, occurred_at: at, device_at: at };
            Command::RecordPlays {
                device,
                sequences: vec![(sequence, sequence)],
                plays: vec![play],
            }
        }
        6 => Command::DrmFailed { license, term: 1 },
        12 => around(which, license, device),
        _ => Command::Acquire {
            device,
            title: TitleId::new(&format!("title-{which}")).unwrap(),
            title_facts,
            license,
        },
    }
}

/// What a member is likely to live through first: devices are registered, titles acquired.
fn beginning() -> Vec<Step> {
    vec![(0, 0, 0, 0), (1, 1, 0, 1), (1, 2, 0, 2), (1, 0, 7, 0), (5, 1, 7, 1)]
}

/// What makes the rest of all kinds happen.
fn every_kind() -> Vec<Step> {
    vec![
        (1, 0, 6, 0),   // the DRM step failed,
        (1, 0, 7, 0),   // asked again,
        (1, 0, 5, 0),   // played
        (1, 0, 3, 0),   // and released
        (1, 1, 2, 1),   // renewed
        (1, 1, 4, 1),   // and checked in
        (1, 0, 7, 3),   // acquired,
        (1, 0, 6, 3),   // nothing given,
        (1, 0, 3, 3),   // and given back
        (1, 1, 7, 4),   // acquired
        (800, 1, 4, 4), // and never started
        (1, 0, 7, 5),
        (1, 1, 7, 0),
        (1, 2, 7, 2),  // one device too many
        (1, 1, 1, 0),  // removed
        (1, 0, 12, 0), // the plan changed,
        (1, 0, 12, 1), // the membership lapsed
        (1, 0, 12, 2), // and resumed
        (1, 0, 12, 3), // allowed more,
        (1, 0, 12, 6), // and no longer
        (1, 0, 12, 5), // withdrawn
        (1, 2, 12, 7), // and revoked
    ]
}

proptest! {
    #[test]
    fn a_snapshot_is_the_member(steps in prop::collection::vec(step(), 0..60)) {
        let (member, _) = lived(&[beginning(), steps].concat());
        prop_assert_eq!(decode_snapshot(&encode_snapshot(&member)).unwrap(), member);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        steps in prop::collection::vec(step(), 0..20),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let mut bytes = encode_snapshot(&lived(&[beginning(), steps].concat()).0);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let _ = decode_snapshot(&bytes);
        prop_assert!(decode_snapshot(&bytes[..at]).is_err());
    }
}

#[test]
fn facts_are_shared_after_reading_as_they_were_before() {
    let (member, _) = lived(&beginning());
    let read = decode_snapshot(&encode_snapshot(&member)).unwrap();
    let entry = &read.history.entries(CountedKind::Acquired)[0];
    assert!(Arc::ptr_eq(&entry.facts, &read.licenses[&entry.license].facts));
    assert_eq!(decode_snapshot(&encode_snapshot(&Member::default())).unwrap(), Member::default());
}

/// The stored events of a life give these bytes under this fingerprint. When this fails because
/// the reducer or a shape changed: raise `REDUCER_VERSION`, then `UPDATE_EXPECT=1`. A kind of event
/// that is new comes with a life of its own, written like the fixtures of events.
#[test]
fn a_reducer_that_changed_has_another_fingerprint() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let newest = folder.join("life.2.events");
    if std::env::var("CARNET_FIXTURES").is_ok_and(|wish| wish == "write") && !newest.exists() {
        let (_, events) = lived(&[beginning(), every_kind()].concat());
        let kinds: BTreeSet<Kind> = events.iter().map(Kind::of).collect();
        assert_eq!(kinds, BTreeSet::from(Kind::ALL));
        let events: Vec<ByteVec> = events.iter().map(|e| encode_event(e).into()).collect();
        std::fs::write(&newest, minicbor::to_vec(events).unwrap()).unwrap();
    }
    let fingerprint = reducer_fingerprint(domain::policy::HORIZON);
    let mut told = format!("version {REDUCER_VERSION}\n{fingerprint:016x}\n");
    for path in [folder.join("life.events"), newest] {
        let stored = std::fs::read(&path).unwrap();
        let events: Vec<ByteVec> = minicbor::decode(&stored).unwrap();
        let events = events.iter().map(|bytes| decode_event(bytes).unwrap());
        let member = events.fold(Member::default(), |member, event| evolve(member, &event));
        let hash = digest(&SHA256, &encode_snapshot(&member));
        told.push_str(&format!("{hash:?}\n"));
    }
    expect![[r#"
        version 7
        1e9a97c02ea19496
        SHA256:36295ff497d1e9e8ac100236664748bbef5476ce60ccfc2eb3214f63519cb4ac
        SHA256:42829d7fb142021b6a215c4fef23e45247d4b0496b7adb398bf70f3639e6bfe8
    "#]]
    .assert_eq(&told);
}
