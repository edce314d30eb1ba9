use store::memory::MemoryStore;

use super::*;
use crate::testing::{acquire, at, decide, engine, loaded, register, release, request};

const ONE_A_YEAR: &str = r#"
format = 1
name = "draft"
effective_from = 2020-01-01T00:00:00Z
[terms]
start_within = "30d"
finish_within = "48h"
[[caps]]
id = "two-per-device"
counts = "active_licenses"
per = ["device"]
limit = 2
[[caps]]
id = "once-a-year"
counts = "acquisitions"
per = ["title"]
window = { rolling = "365d" }
limit = 1
"#;

fn what_if(draft: &str, partner: Option<&str>) -> WhatIf {
    WhatIf {
        draft: Arc::new(loaded(draft).policy),
        since: Timestamp::MIN,
        until: Timestamp::MAX,
        partner: partner.map(|partner| PartnerId::new(partner).unwrap()),
        threads: 2,
    }
}

fn asked(store: &dyn EventStore, what_if: &WhatIf) -> (Report, Vec<(Kind, Difference)>) {
    let (mut told, mut seen) = (Progress::default(), vec![]);
    let mut progress = |now: Progress| {
        assert!(now.members > told.members && now.events >= told.events);
        told = now;
        Go::On
    };
    let mut visit = |kind, difference: &Difference| seen.push((kind, difference.clone()));
    let report = run(store, what_if, &mut progress, &mut visit).unwrap();
    assert_eq!((report.members, report.events), (told.members, told.events));
    (report, seen)
}

/// Of three members one downloads a film again after deleting it.
fn history() -> MemoryStore {
    let store = MemoryStore::new();
    let engine = engine(Arc::new(store.clone()));
    for (member, again) in [("ana", true), ("ben", false), ("cy", false)] {
        let ask = |n, command| {
            decide(&engine, member, request(at(n), vec![command])).unwrap();
        };
        ask(0, register("phone"));
        ask(1, acquire("phone", "film", "l-1"));
        if again {
            ask(2, release("l-1"));
            ask(3, acquire("phone", "film", "l-2"));
        }
        ask(4, acquire("phone", "other", "l-3"));
        ask(5, acquire("phone", "third", "l-4"));
    }
    store
}

#[test]
fn an_unchanged_policy_changes_nothing() {
    let (report, seen) = asked(&history(), &what_if(crate::testing::POLICY, None));
    assert!(report.is_unchanged(), "{report:#?}");
    assert_eq!((report.members, report.events, report.requests), (3, 14, 13));
    assert_eq!(seen, []);
}

#[test]
fn a_draft_is_told_with_all_its_consequences() {
    let (report, seen) = asked(&history(), &what_if(ONE_A_YEAR, None));
    let refused = &report.refused_instead;
    assert_eq!((refused.requests, refused.members), (1, 1));
    assert_eq!(refused.titles.keys().map(TitleId::as_str).collect::<Vec<_>>(), ["film"]);
    assert_eq!(
        refused.reasons.keys().map(|it| it.rule.as_ref().unwrap().as_str()).next(),
        Some("once-a-year")
    );
    // The slot of what would have been refused is free for the third title.
    let accepted = &report.accepted_instead;
    assert_eq!((accepted.requests, accepted.members), (1, 1));
    assert_eq!(accepted.titles.keys().map(TitleId::as_str).collect::<Vec<_>>(), ["third"]);
    assert_eq!(accepted.examples[0].member.as_str(), "ana");
    let kinds: Vec<Kind> = seen.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [Kind::RefusedInstead, Kind::AcceptedInstead]);
}

#[test]
fn only_the_requests_about_a_partner_are_compared() {
    let of = |partner| asked(&history(), &what_if(ONE_A_YEAR, Some(partner))).0;
    assert_eq!(of("nobody").requests, 0);
    assert!(of("nobody").is_unchanged());
    let ours = history();
    let partner = {
        let (_, seen) = asked(&ours, &what_if(ONE_A_YEAR, None));
        seen[0].1.compared.titles[0].1.clone()
    };
    assert_eq!(of(partner.as_str()).refused_instead.requests, 1);
}

#[test]
fn a_replay_can_be_stopped_and_damage_is_no_report() {
    let store = history();
    let what_if = what_if(ONE_A_YEAR, None);
    let stopped = run(&store, &what_if, &mut |_| Go::Stop, &mut |_, _| ());
    assert!(matches!(stopped, Err(EngineError::Unavailable(why)) if why.contains("stopped")));
    let stream = crate::folded::stream(&crate::testing::member("dora")).unwrap();
    block_on(store.append(&stream, 0, vec![vec![0xff]])).unwrap();
    let damaged = run(&store, &what_if, &mut |_| Go::On, &mut |_, _| ());
    let whose = |why: &str| why.starts_with("the stream `member:dora`, version 1: ");
    assert!(matches!(&damaged, Err(EngineError::Corrupt(why)) if whose(why)), "{damaged:?}");
}
