use store::memory::MemoryStore;

use super::*;
use crate::testing::{block_on, *};
use crate::{Engine, Policies};

/// Two acquisitions of a title in two years.
const LONG: &str = r#"
format = 1
name = "long"
effective_from = 2020-01-01T00:00:00Z
[terms]
end_within = "1d"
[[caps]]
id = "twice"
counts = "acquisitions"
per = ["device"]
window = { rolling = "730d" }
limit = 81
"#;

const DAY: i64 = 86_400;

fn store() -> Arc<dyn EventStore> {
    Arc::new(MemoryStore::new())
}

fn raise(store: &Arc<dyn EventStore>, days: i64) -> Result<Duration, EngineError> {
    raise_horizon(&**store, Duration::days(days))
}

fn long() -> codec::policy::Loaded {
    codec::policy::parse_within(&[("policy.toml", LONG)], HORIZON_MAX).unwrap()
}

#[test]
fn what_a_store_remembers_is_raised_and_never_lowered() {
    let store = store();
    assert_eq!(block_on(horizon(&*store)), Ok(HORIZON));
    assert_eq!(raise(&store, 800), Ok(HORIZON));
    assert_eq!(raise(&store, 800), Ok(Duration::days(800)), "twice does no harm");
    assert_eq!(block_on(horizon(&*store)), Ok(Duration::days(800)));
    assert!(raise(&store, 799).unwrap_err().to_string().contains("not lowered"));
    assert!(raise(&store, 3_661).unwrap_err().to_string().contains("at most 3660d"));
}

#[test]
fn raising_goes_through_lost_answers() {
    for fault in [Fault::AnswerLost, Fault::QuestionLost] {
        let store = FaultyStore::new();
        store.fail(&[Some(fault)]);
        assert_eq!(raise_horizon(&store, Duration::days(500)), Ok(HORIZON));
        assert_eq!(block_on(horizon(&store.inner)), Ok(Duration::days(500)), "{fault:?}");
    }
}

#[test]
fn a_policy_that_asks_further_back_is_not_published() {
    let store = store();
    let policies = block_on(Policies::open(Arc::clone(&store), loaded(POLICY))).unwrap();
    let refused = block_on(policies.publish(long())).unwrap_err().to_string();
    assert!(refused.contains("carnet store raise-horizon DIR 730d"), "{refused}");
    raise(&store, 730).unwrap();
    block_on(policies.publish(long())).unwrap();
    assert_eq!(policies.in_effect(at(0)).unwrap().name, "long");
}

/// A member of two years, with snapshots of a state that has forgotten the first.
#[test]
fn states_are_folded_again_with_what_they_had_forgotten() {
    let store = store();
    let engine = engine(Arc::clone(&store));
    decide(&engine, "ana", request(at(0), vec![register("phone")])).unwrap();
    let ask = |engine: &Engine, n: i64, at_day: i64| {
        let acquire = acquire("phone", &format!("film-{n}"), &format!("l-{n}"));
        let asked = request(at(at_day * DAY), vec![acquire, release(&format!("l-{n}"))]);
        decide(engine, "ana", asked).unwrap().decision.answer
    };
    (0..80).for_each(|n| drop(ask(&engine, n, n)));
    ask(&engine, 80, 600); // and the first eighty are beyond the horizon
    let keeping = Box::pin(engine.keep_snapshots());
    assert!(poll_once(&mut (keeping as _)).is_pending());
    let stream = crate::folded::stream(&member("ana")).unwrap();
    let snapshot = |days| {
        let fingerprint = reducer_fingerprint(Duration::days(days));
        block_on(store.read(&stream, 0, Some(fingerprint))).unwrap().snapshot
    };
    assert!(snapshot(400).is_some(), "or this would say nothing");

    raise(&store, 730).unwrap();
    let mut told = Vec::new();
    assert_eq!(fold_anew(&store, &mut |members| told.push(members)), Ok(1));
    assert_eq!(told, [1]);
    assert!(snapshot(730).is_some());
    let policies = Arc::new(block_on(Policies::open(Arc::clone(&store), long())).unwrap());
    let engine = block_on(Engine::open(Arc::clone(&store), policies, Options::default())).unwrap();
    assert_eq!(engine.horizon(), Duration::days(730));
    let refused = ask(&engine, 81, 601);
    assert!(matches!(refused, domain::member::Answer::Refused(_)), "81 in two years: {refused:?}");
}
