use codec::policy::texts::{Language, Topic};
use domain::member::Code;
use store::memory::MemoryStore;

use super::*;
use crate::testing::{Fault, FaultyStore, POLICY, at, block_on, engine, loaded, register, request};

fn policy(name: &str, effective_from: Timestamp) -> Loaded {
    let text = POLICY.replace("\"test\"", &format!("{name:?}"));
    loaded(&text.replace("2020-01-01T00:00:00Z", &effective_from.to_string()))
}

#[track_caller]
fn name(policies: &Policies, seconds: i64) -> String {
    policies.in_effect(at(seconds)).unwrap().name.clone()
}

#[test]
fn a_policy_is_stored_under_its_hash_before_it_is_used() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let first = policy("first", at(0));
    let policies = block_on(Policies::open(Arc::clone(&store), first.clone())).unwrap();
    let version = policies.in_effect(at(0)).unwrap().version.clone();
    assert_eq!(version, first.policy.version);
    assert_eq!(block_on(policies.source(&version)).unwrap(), Some(first.source));
    let other = PolicyVersion::new("p1-other").unwrap();
    assert_eq!(block_on(policies.source(&other)).unwrap(), None);
}

#[test]
fn a_policy_comes_into_effect_at_its_time_for_the_whole_fleet() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let here = block_on(Policies::open(Arc::clone(&store), policy("first", at(0)))).unwrap();
    let there = block_on(Policies::open(Arc::clone(&store), policy("first", at(0)))).unwrap();
    block_on(here.publish(policy("second", at(100)))).unwrap();
    block_on(there.refresh()).unwrap();
    for node in [&here, &there] {
        assert_eq!(name(node, 99), "first");
        assert_eq!(name(node, 100), "second");
    }
    assert_eq!(here.in_effect(at(-1)).unwrap_err(), EngineError::NoPolicy { at: at(-1) });
    // A restart knows what is to come, and has nothing to add when its files are the last word.
    let restarted =
        block_on(Policies::open(Arc::clone(&store), policy("second", at(100)))).unwrap();
    assert_eq!((name(&restarted, 99), name(&restarted, 100)), ("first".into(), "second".into()));
    assert_eq!(restarted.published.load().len(), 2);
}

#[test]
fn the_last_word_holds_also_when_it_is_an_earlier_version() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let policies = block_on(Policies::open(Arc::clone(&store), policy("first", at(0)))).unwrap();
    block_on(policies.publish(policy("second", at(0)))).unwrap();
    assert_eq!(name(&policies, 1), "second");
    let back = block_on(Policies::open(store, policy("first", at(0)))).unwrap();
    assert_eq!(name(&back, 1), "first");
}

#[test]
fn publishing_goes_through_lost_answers() {
    for fault in [Fault::AnswerLost, Fault::QuestionLost] {
        let store = FaultyStore::new();
        store.fail(&[Some(fault), Some(fault)]);
        let shared: Arc<dyn EventStore> = Arc::new(store.clone());
        let policies = block_on(Policies::open(shared, policy("first", at(0)))).unwrap();
        assert_eq!(name(&policies, 0), "first");
    }
    let store = FaultyStore::new();
    store.fail(&[Some(Fault::Refused)]);
    let refused = block_on(Policies::open(Arc::new(store), policy("first", at(0))));
    assert!(matches!(refused, Err(EngineError::Unavailable(_))));
}

#[test]
fn a_long_policy_is_stored_in_parts() {
    let comment = format!("# {}\n", "x".repeat(1_000));
    let long = loaded(&format!("{}{}", comment.repeat(2_000), POLICY));
    assert!(long.source.len() > EVENT_BYTES_MAX);
    let policies = block_on(Policies::open(Arc::new(MemoryStore::new()), long.clone())).unwrap();
    let source = block_on(policies.source(&long.policy.version)).unwrap();
    assert!(source == Some(long.source));
}

#[test]
fn a_stored_policy_that_cannot_be_read_decides_nothing() {
    let store = MemoryStore::new();
    block_on(store.append(&index().unwrap(), 0, vec![b"p1-gone".to_vec()])).unwrap();
    let policies = block_on(Policies::open(Arc::new(store), policy("later", at(100)))).unwrap();
    let error = policies.in_effect(at(99)).unwrap_err().to_string();
    assert!(error.contains("`p1-gone`") && error.contains("publish it again"), "{error}");
    assert_eq!(name(&policies, 100), "later");
}

#[test]
fn a_clock_that_jumps_back_brings_no_policy_back() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let engine = engine(store);
    block_on(engine.policies().publish(policy("second", at(100)))).unwrap();
    let decide = |seconds: i64, device: &str| {
        let ana = crate::testing::member("ana");
        let request = request(at(seconds), vec![register(device)]);
        block_on(engine.decide(&ana, request)).unwrap()
    };
    assert_eq!(decide(99, "tv-1").policy.name, "test");
    assert_eq!(decide(100, "tv-2").policy.name, "second");
    let back = decide(50, "tv-3");
    assert_eq!((back.policy.name.as_str(), back.decision.at), ("second", at(100)));
}

#[test]
fn the_texts_in_effect_are_those_of_the_policy_in_effect() {
    let german = |name: &str, seconds: i64| {
        let dated = POLICY.replace("2020-01-01T00:00:00Z", &at(seconds).to_string());
        loaded(&format!("{dated}\n[texts.de]\nplan_not_allowed = \"{name}\"\n"))
    };
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let policies = block_on(Policies::open(Arc::clone(&store), german("first", 0))).unwrap();
    block_on(policies.publish(german("second", 100))).unwrap();
    let said = |policies: &Policies, seconds| {
        let topic = Topic::Refused(Code::PlanNotAllowed);
        let german = [Language::new("de").unwrap()];
        let said = policies.texts(at(seconds)).say(&german, topic, None, |_| None);
        said.map(|(text, _)| text)
    };
    let restarted = block_on(Policies::open(store, german("second", 100))).unwrap();
    for policies in [&policies, &restarted] {
        assert_eq!(said(policies, -1), None);
        assert_eq!(said(policies, 99).unwrap(), "first");
        assert_eq!(said(policies, 100).unwrap(), "second");
    }
}

#[test]
fn every_version_is_listed_once_in_the_order_of_publication() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    let (first, second) = (policy("first", at(0)), policy("second", at(100)));
    let here = block_on(Policies::open(Arc::clone(&store), first.clone())).unwrap();
    let there = block_on(Policies::open(Arc::clone(&store), first.clone())).unwrap();
    block_on(here.publish(second.clone())).unwrap();
    block_on(here.publish(first.clone())).unwrap();
    let expected = [first, second].map(|loaded| {
        let version = loaded.policy.version.to_string();
        (version, Some(Arc::new(loaded.policy)))
    });
    for node in [&here, &there] {
        assert_eq!(block_on(node.versions()).unwrap(), expected, "other nodes' are among them");
    }
    // A version under which the text was stored with other time-zone data.
    let index = index().unwrap();
    let older = b"p1-older".to_vec();
    block_on(store.append(&index, 3, vec![older])).unwrap();
    let source = expected[0].1.as_ref().map(|policy| block_on(here.source(&policy.version)));
    let source = source.unwrap().unwrap().unwrap();
    let text = vec![source.into_bytes()];
    block_on(store.append(&stream("p1-older").unwrap(), 0, text)).unwrap();
    let versions = block_on(here.versions()).unwrap();
    assert_eq!(versions[2], ("p1-older".to_owned(), expected[0].1.clone()));
    assert_eq!(versions.len(), 3);
}
