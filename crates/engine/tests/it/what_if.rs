//! A million events asked again.

use std::collections::BTreeMap;
use std::sync::Arc;

use codec::encode_event;
use domain::member::{Command, Holding, License, PlayReport};
use domain::{
    DeviceClass, DeviceId, Duration, LicenseId, Member, MemberFacts, Policy, Request, Timestamp,
    TitleFacts, decide, evolve,
};
use engine::what_if::{self, Go, WhatIf};
use futures::executor::block_on;
use store::memory::MemoryStore;
use store::{EventStore, StreamId};

const MEMBERS: usize = 2_000;
const EVENTS_EACH: usize = 500;

const POLICY: &str = r#"
format = 1
name = "a year of everything"
effective_from = 2020-01-01T00:00:00Z
[terms]
start_within = "20d"
finish_within = "48h"
check_in_within = "9d"
grace = "3h"
renewals_max = 3
renew_before_end = "15d"
renew_after_end = "60d"
[[gates]]
id = "territories"
territories = ["DE", "NO"]
[[caps]]
id = "on-a-device"
counts = "active_licenses"
per = ["device"]
limit = 12
[[caps]]
id = "devices"
counts = "devices_holding"
limit = { premium = 3, otherwise = 2 }
[[caps]]
id = "a-title-in-a-year"
counts = "acquisitions"
per = ["title"]
window = { calendar = "year", zone = "Europe/Berlin" }
limit = 12
[[caps]]
id = "in-a-month"
counts = "acquisitions_and_renewals"
window = { rolling = "30d" }
limit = 40
[[caps]]
id = "of-the-saga-at-home"
counts = "acquisitions"
per = ["series"]
window = { rolling = "20d" }
limit = 3
guard = 'title.series == "saga" && !(member.plan == "premium" || member.territory == "US")'
[[tighten]]
id = "lent-to-tablets"
guard = 'device.class == "tablet" && member.territory in ["DE", "NO"]'
start_within = "9d"
[partners.aurora.terms]
finish_within = "24h"
[[partners.aurora.caps]]
id = "of-aurora"
counts = "active_licenses"
limit = 8
"#;

/// Numbers that are a function of the seed alone (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        of.get(self.below(of.len() as u64) as usize).unwrap()
    }
}

fn title_facts(title: u64) -> TitleFacts {
    TitleFacts {
        partner: if title.is_multiple_of(3) { "aurora" } else { "borders" }.parse().unwrap(),
        series: title.is_multiple_of(5).then(|| "saga".parse().unwrap()),
        tags: Arc::default(),
        maturity_rating: None,
        downloadable: true,
        offered: true,
        available_from: None,
        available_until: None,
    }
}

fn register(device: &str) -> Command {
    Command::RegisterDevice {
        device: device.parse().unwrap(),
        class: if device == "tablet" { DeviceClass::Tablet } else { DeviceClass::Phone },
        key: device.parse().unwrap(),
        name: device.to_owned(),
    }
}

const DEVICES: [&str; 4] = ["phone", "tablet", "old-phone", "laptop"];

fn command(member: &Member, n: usize, at: Timestamp, random: &mut Random) -> Command {
    let device: DeviceId = random.pick(&DEVICES).parse().unwrap();
    let licenses: Vec<(&LicenseId, &License)> =
        member.licenses.iter().chain(member.past.iter()).collect();
    let any = (!licenses.is_empty()).then(|| *random.pick(&licenses));
    match (random.below(20), any) {
        (0, _) => register(device.as_str()),
        (1, _) => Command::RemoveDevice { device },
        (2..=4, _) => Command::CheckIn {
            holdings: licenses
                .iter()
                .map(|(id, _)| Holding { license: (*id).clone(), started: random.below(2) == 0 })
                .collect(),
            device,
        },
        (5..=7, Some((id, license))) => Command::Renew {
            device: license.device.clone(),
            license: id.clone(),
            term: license.term().term.number,
            title_facts: Some(license.facts.title.clone()),
            automatic: false,
        },
        (8..=10, Some((id, _))) => Command::Release { by: None, license: id.clone() },
        (11..=12, Some((id, license))) => Command::RecordPlays {
            device: license.device.clone(),
            sequences: vec![(n as u64, n as u64)],
            plays: vec![PlayReport {
                sequence: n as u64,
                license: id.clone(),
                term: license.term().term.number,
                occurred_at: at - Duration::hours(random.below(60) as i64),
                device_at: at,
            }],
        },
        _ => {
            let title = random.below(40);
            Command::Acquire {
                device,
                title: format!("title-{title}").parse().unwrap(),
                title_facts: Some(title_facts(title)),
                license: format!("lic-{n}").parse().unwrap(),
            }
        }
    }
}

/// A year in a member's life: the bodies of its events.
fn life(policy: &Policy, seed: u64) -> Vec<Vec<u8>> {
    let mut random = Random(seed);
    let plan = *random.pick(&["premium", "basic"]);
    let mut member = Member::default();
    let mut bodies = Vec::with_capacity(EVENTS_EACH);
    let mut at = Timestamp::from_millis(1_780_000_000_000);
    for n in 0.. {
        at = at + Duration::minutes(1 + random.below(2_000) as i64);
        let commands = match DEVICES.get(n) {
            Some(device) => vec![register(device)],
            None => vec![command(&member, n, at, &mut random)],
        };
        let facts = MemberFacts {
            plan: Some(plan.parse().unwrap()),
            territory: Some(random.pick(&["DE", "DE", "DE", "NO", "US"]).parse().unwrap()),
            ..MemberFacts::default()
        };
        // With a key, as the service demands one of whatever is recorded.
        let key = format!("key-{n}").parse().unwrap();
        let idempotency = Some(engine::idempotency(key, &commands));
        let decision = decide(&member, &Request { at, idempotency, facts, commands }, policy);
        for event in &decision.events {
            bodies.push(encode_event(event));
            member = evolve(member, event);
        }
        if bodies.len() >= EVENTS_EACH {
            break;
        }
    }
    bodies
}

#[test]
fn with_an_unchanged_policy_a_million_events_are_answered_as_they_were() {
    let seed: u64 =
        std::env::var("CARNET_SEED").ok().map_or_else(rand::random, |seed| seed.parse().unwrap());
    println!("CARNET_SEED={seed} brings this back");
    let policy = codec::policy::parse(&[("policy.toml", POLICY)]).unwrap().policy;
    let store = MemoryStore::new();
    let mut events = 0;
    for number in 0..MEMBERS {
        let bodies = life(&policy, seed.wrapping_add(number as u64));
        events += bodies.len() as u64;
        let stream = StreamId::new(&format!("member:m-{number}")).unwrap();
        block_on(store.append(&stream, 0, bodies)).unwrap();
    }
    let what_if = WhatIf {
        draft: Arc::new(policy),
        since: Timestamp::MIN,
        until: Timestamp::MAX,
        partner: None,
        threads: 2,
    };
    let mut kinds = BTreeMap::new();
    let mut visit = |kind, difference: &what_if::Difference| {
        kinds.entry(kind).or_insert_with(|| difference.clone());
    };
    let report = what_if::run(&store, &what_if, &mut |_| Go::On, &mut visit).unwrap();
    assert!(kinds.is_empty(), "{kinds:#?}");
    assert!(report.is_unchanged());
    assert_eq!((report.members, report.events), (MEMBERS as u64, events));
    assert!(events >= 1_000_000 && report.requests > events / 2, "{events} {}", report.requests);
}
