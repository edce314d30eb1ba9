use std::pin::Pin;
use std::task::Poll;

use domain::member::{Answer, Held, Outcome};
use store::memory::MemoryStore;

use super::*;
use crate::lanes::LANE_MAX;
use crate::testing::*;

#[track_caller]
fn outcomes(decided: &Decided) -> (&[Outcome], bool) {
    match &decided.decision.answer {
        Answer::Accepted { outcomes, repeated } => (outcomes, *repeated),
        other => panic!("not accepted: {other:?}"),
    }
}

#[track_caller]
fn held(decided: &Decided) -> (String, Held, bool) {
    let (outcomes, repeated) = outcomes(decided);
    match outcomes {
        [Outcome::Held { license, how, .. }] => (license.to_string(), *how, repeated),
        other => panic!("not held: {other:?}"),
    }
}

fn with_phone(store: Arc<dyn EventStore>) -> Engine {
    let engine = engine(store);
    decide(&engine, "ana", request(at(0), vec![register("phone")])).unwrap();
    engine
}

/// What the engine believes is what the store holds.
#[track_caller]
fn check_believes_the_store(engine: &Engine, store: &dyn EventStore, of: &str) {
    let stream = stream(&member(of)).unwrap();
    let truth = block_on(load(store, stream, HORIZON)).unwrap();
    let (version, state) = block_on(engine.member(&member(of))).unwrap();
    assert_eq!((version, &state), (truth.version, &truth.member));
}

#[test]
fn a_decision_is_recorded_before_it_is_answered() {
    let store = MemoryStore::new();
    let engine = with_phone(Arc::new(store.clone()));
    let decided = decide(&engine, "ana", request(at(1), vec![acquire("phone", "film", "l-1")]));
    assert_eq!(held(&decided.unwrap()), ("l-1".to_owned(), Held::Acquired, false));
    assert_eq!(stored(&store, "ana"), 2);
    check_believes_the_store(&engine, &store, "ana");
    let timeline = block_on(engine.timeline(&member("ana"), 0, 10)).unwrap();
    assert_eq!(timeline.iter().map(|(version, _)| *version).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(block_on(engine.timeline(&member("ana"), 0, 1)).unwrap().len(), 1);
    assert_eq!(block_on(engine.timeline(&member("ana"), 2, 9)).unwrap(), []);
}

#[test]
fn idempotency_survives_a_restart() {
    let store = MemoryStore::new();
    let ask = |n: i64| keyed("k-1", at(n), vec![acquire("phone", "film", &format!("l-{n}"))]);
    let first = decide(&with_phone(Arc::new(store.clone())), "ana", ask(1)).unwrap();
    let again = decide(&engine(Arc::new(store.clone())), "ana", ask(2)).unwrap();
    assert_eq!(held(&first), ("l-1".to_owned(), Held::Acquired, false));
    assert_eq!(held(&again), ("l-1".to_owned(), Held::Acquired, true), "the same decision");
    assert_eq!(stored(&store, "ana"), 2, "it counts once");
    let other = keyed("k-1", at(3), vec![acquire("phone", "other", "l-3")]);
    let reused = decide(&engine(Arc::new(store.clone())), "ana", other).unwrap();
    assert_eq!(reused.decision.answer, Answer::KeyReused);
    assert_eq!(stored(&store, "ana"), 2);
}

#[test]
fn two_nodes_on_one_store_never_exceed_a_cap_together() {
    let store = MemoryStore::new();
    let a = with_phone(Arc::new(store.clone()));
    let b = engine(Arc::new(store.clone()));
    let ask = |engine: &Engine, n: i64| {
        let film = acquire("phone", &format!("film-{n}"), &format!("l-{n}"));
        decide(engine, "ana", request(at(n), vec![film])).unwrap().decision.answer
    };
    assert!(matches!(ask(&a, 1), Answer::Accepted { .. }));
    assert!(matches!(ask(&b, 2), Answer::Accepted { .. }));
    // `a` has not seen what `b` did, and its append finds out.
    assert!(matches!(ask(&a, 3), Answer::Refused(_)));
    assert_eq!(a.stats().conflicts, 1);
    check_believes_the_store(&a, &store, "ana");
    check_believes_the_store(&b, &store, "ana");
}

#[test]
fn an_answer_without_an_event_is_never_from_a_stale_state() {
    let store = MemoryStore::new();
    let a = with_phone(Arc::new(store.clone()));
    let b = engine(Arc::new(store.clone()));
    block_on(b.member(&member("ana"))).unwrap();
    decide(&a, "ana", request(at(1), vec![acquire("phone", "film", "l-1")])).unwrap();
    // `b` does not know the license, and releasing what is not known records nothing.
    let released = decide(&b, "ana", request(at(2), vec![release("l-1")])).unwrap();
    assert_eq!(
        outcomes(&released).0,
        [Outcome::Released { license: domain::LicenseId::new("l-1").unwrap(), already: false }]
    );
    assert_eq!(stored(&store, "ana"), 3, "the release is recorded");
    check_believes_the_store(&a, &store, "ana");
}

#[test]
fn a_race_between_nodes_is_decided_again_on_what_is_there_then() {
    let store = FaultyStore::new();
    let a = with_phone(Arc::new(store.clone()));
    let b = engine(Arc::new(store.inner.clone()));
    // Between the decision of `a` and its append, `b` takes both slots.
    store.state.lock().unwrap().before_append.push_back(Box::new(move || {
        for n in 1..=2 {
            let film = acquire("phone", &format!("other-{n}"), &format!("other-{n}"));
            decide(&b, "ana", request(at(n), vec![film])).unwrap();
        }
    }));
    let decided = decide(&a, "ana", request(at(3), vec![acquire("phone", "film", "l-1")])).unwrap();
    assert!(matches!(decided.decision.answer, Answer::Refused(_)), "{decided:?}");
    check_believes_the_store(&a, &store, "ana");
}

#[test]
fn an_append_whose_outcome_is_unknown_is_found_out_by_reading_back() {
    use Fault::{AnswerLost, QuestionLost, WrittenLate};
    for faults in [
        vec![Some(AnswerLost)],
        vec![Some(QuestionLost)],
        vec![Some(WrittenLate)],
        vec![Some(QuestionLost), Some(AnswerLost)],
        vec![Some(WrittenLate), Some(WrittenLate)],
        vec![Some(WrittenLate), Some(QuestionLost), Some(AnswerLost)],
        vec![Some(QuestionLost); ATTEMPTS_MAX - 1],
    ] {
        let store = FaultyStore::new();
        let engine = with_phone(Arc::new(store.clone()));
        store.fail(&faults);
        // Without an idempotency key: nothing but the bytes tells whose append it was.
        let decided = decide(&engine, "ana", request(at(1), vec![acquire("phone", "film", "l-1")]));
        assert_eq!(
            held(&decided.unwrap()),
            ("l-1".to_owned(), Held::Acquired, false),
            "{faults:?}"
        );
        assert_eq!(stored(&store, "ana"), 2, "{faults:?}: recorded once");
        check_believes_the_store(&engine, &store, "ana");
    }
}

#[test]
fn an_unknown_outcome_that_another_node_overtook_is_decided_again() {
    for fault in [Fault::QuestionLost, Fault::WrittenLate] {
        let store = FaultyStore::new();
        let a = with_phone(Arc::new(store.clone()));
        let b = engine(Arc::new(store.inner.clone()));
        store.fail(&[Some(fault)]);
        let other = move || {
            let film = acquire("phone", "other", "other");
            decide(&b, "ana", request(at(1), vec![film])).unwrap();
        };
        store.state.lock().unwrap().before_append.push_back(Box::new(other));
        let film = request(at(1), vec![acquire("phone", "film", "l-1")]);
        let decided = decide(&a, "ana", film).unwrap();
        assert_eq!(held(&decided), ("l-1".to_owned(), Held::Acquired, false));
        assert_eq!(stored(&store, "ana"), 3);
        check_believes_the_store(&a, &store, "ana");
    }
}

#[test]
fn an_outcome_that_stays_unknown_is_not_answered_and_not_believed() {
    for fault in [Fault::AnswerLost, Fault::QuestionLost, Fault::WrittenLate] {
        let store = FaultyStore::new();
        let engine = with_phone(Arc::new(store.clone()));
        store.fail(&[Some(fault)]);
        store.state.lock().unwrap().reads_fail = 1;
        let ask = |n: i64| keyed("k", at(n), vec![acquire("phone", "film", &format!("l-{n}"))]);
        let lost = decide(&engine, "ana", ask(1));
        assert!(matches!(lost, Err(EngineError::Unavailable(_))), "{lost:?}");
        check_believes_the_store(&engine, &store, "ana");
        let (license, how, _) = held(&decide(&engine, "ana", ask(2)).unwrap());
        assert_eq!(
            (how, license.as_str()),
            match fault {
                Fault::AnswerLost | Fault::WrittenLate => (Held::Acquired, "l-1"),
                _ => (Held::Acquired, "l-2"),
            }
        );
        assert_eq!(stored(&store, "ana"), 2, "{fault:?}: it counts once");
        check_believes_the_store(&engine, &store, "ana");
    }
}

#[test]
fn a_store_that_loses_every_answer_is_given_up() {
    let store = FaultyStore::new();
    let engine = with_phone(Arc::new(store.clone()));
    store.fail(&[Some(Fault::QuestionLost); ATTEMPTS_MAX]);
    let lost = decide(&engine, "ana", request(at(1), vec![acquire("phone", "film", "l-1")]));
    assert!(matches!(lost, Err(EngineError::Unavailable(_))), "{lost:?}");
    check_believes_the_store(&engine, &store, "ana");
}

#[test]
fn a_failed_append_never_leaves_the_cache_ahead_of_the_store() {
    let store = FaultyStore::new();
    let engine = with_phone(Arc::new(store.clone()));
    store.fail(&[Some(Fault::Refused)]);
    let refused = decide(&engine, "ana", request(at(1), vec![acquire("phone", "film", "l-1")]));
    assert!(matches!(refused, Err(EngineError::Unavailable(_))), "{refused:?}");
    check_believes_the_store(&engine, &store, "ana");
    assert_eq!(stored(&store, "ana"), 1);
    let loads = engine.stats().loads;
    decide(&engine, "ana", request(at(2), vec![acquire("phone", "film", "l-2")])).unwrap();
    assert_eq!(engine.stats().loads, loads, "nor does it throw away what is true");
}

#[test]
fn a_request_no_store_could_keep_is_told_apart() {
    let store = MemoryStore::new();
    let engine = with_phone(Arc::new(store.clone()));
    let commands = (0..1_100).map(|n| register(&format!("device-{n}"))).collect();
    let invalid = decide(&engine, "ana", request(at(1), commands));
    assert!(matches!(invalid, Err(EngineError::Invalid(_))), "{invalid:?}");
    check_believes_the_store(&engine, &store, "ana");
}

#[test]
fn a_refusal_is_recorded_and_a_retry_of_it_is_not() {
    let store = MemoryStore::new();
    let engine = engine(Arc::new(store.clone()));
    for n in 0..3 {
        let film = acquire("phone", "film", &format!("l-{n}"));
        let decided = decide(&engine, "ana", request(at(n), vec![film])).unwrap();
        assert!(matches!(decided.decision.answer, Answer::Refused(_)));
    }
    assert_eq!(stored(&store, "ana"), 1);
}

#[test]
fn a_list_is_appended_whole_and_believed_whole() {
    let store = FaultyStore::new();
    let engine = engine(Arc::new(store.clone()));
    let list = vec![register("phone"), acquire("phone", "one", "l-1"), release("l-1")];
    decide(&engine, "ana", request(at(0), list)).unwrap();
    check_believes_the_store(&engine, &store, "ana");
    let appends = store.state.lock().unwrap().appends_seen;
    decide(&engine, "ana", request(at(1), vec![acquire("phone", "two", "l-2")])).unwrap();
    assert_eq!(store.state.lock().unwrap().appends_seen, appends + 1, "at the right version");
    check_believes_the_store(&engine, &store, "ana");
}

#[test]
fn eligibility_and_state_record_nothing() {
    let store = MemoryStore::new();
    let engine = with_phone(Arc::new(store.clone()));
    let ask = request(at(1), vec![acquire("phone", "film", "l-1")]);
    let (eligibility, _) = block_on(engine.eligibility(&member("ana"), ask)).unwrap();
    assert_eq!((eligibility.refused, eligibility.caps.len()), (None, 1));
    let (version, nobody) = block_on(engine.member(&member("nobody"))).unwrap();
    assert_eq!((version, &*nobody), (0, &Member::default()));
    assert_eq!((stored(&store, "ana"), stored(&store, "nobody")), (1, 0));
}

/// Clients go away at any moment. Whatever of the request became durable, the engine believes
/// the store, nobody is left standing in the lane, and a retry counts once.
#[test]
fn a_caller_may_go_away_at_every_await_point() {
    for writes_before_retry in [false, true] {
        for dropped_after in 0.. {
            let store = QueuedStore::default();
            let engine = with_phone(Arc::new(store.inner.clone()));
            // A node whose cache is empty, so that loading is among the await points.
            let policies = Arc::clone(engine.policies());
            let engine = Engine::new(Arc::new(store.clone()), policies, Options::default());
            let ask = |n: i64| keyed("k", at(n), vec![acquire("phone", "film", &format!("l-{n}"))]);
            let ana = member("ana");
            let mut first: Pin<Box<dyn Future<Output = _>>> = Box::pin(engine.decide(&ana, ask(1)));
            let mut completed = false;
            for poll in 0..dropped_after {
                completed = poll_once(&mut first).is_ready();
                if completed {
                    break;
                }
                // The writer is slow: nothing is written in the last step before going away.
                if poll + 1 < dropped_after {
                    store.write_one();
                }
            }
            drop(first);
            assert_eq!(engine.0.lanes.busy(), 0);
            assert_eq!(engine.stats().in_flight, 0);
            if writes_before_retry {
                while store.write_one() {}
            }
            let retried = run(&store, engine.decide(&ana, ask(2))).unwrap();
            let (_, how, _) = held(&retried);
            assert_eq!(how, Held::Acquired);
            while store.write_one() {}
            assert_eq!(stored(&store.inner, "ana"), 2, "after {dropped_after} polls: counts once");
            let stream = stream(&ana).unwrap();
            let truth = block_on(load(&store.inner, stream, HORIZON)).unwrap();
            let (version, state) = run(&store, engine.member(&ana)).unwrap();
            assert_eq!((version, &state), (truth.version, &truth.member));
            if completed {
                assert!(dropped_after > 5, "the futures had no await points");
                break;
            }
        }
    }
}

/// Polls to the end, doing the writer's work in between.
fn run<T>(store: &QueuedStore, future: impl Future<Output = T>) -> T {
    let mut future: Pin<Box<dyn Future<Output = T>>> = Box::pin(future);
    for _ in 0..1_000 {
        if let Poll::Ready(value) = poll_once(&mut future) {
            return value;
        }
        store.write_one();
    }
    panic!("never ready");
}

#[test]
fn commands_of_one_member_pass_one_behind_the_other_and_members_side_by_side() {
    let store = QueuedStore::default();
    with_phone(Arc::new(store.inner.clone()));
    let engine = engine(Arc::new(store.inner.clone()));
    let policies = Arc::clone(engine.policies());
    let engine = Engine::new(Arc::new(store.clone()), policies, Options::default());
    let (ana, bo) = (member("ana"), member("bo"));
    let ask =
        |n: i64| request(at(n), vec![acquire("phone", &format!("film-{n}"), &format!("l-{n}"))]);
    let mut asked: Vec<Pin<Box<dyn Future<Output = _>>>> = Vec::new();
    for n in 0..4 {
        asked.push(Box::pin(engine.decide(&ana, ask(n))));
    }
    asked.push(Box::pin(engine.decide(&bo, request(at(0), vec![register("tv")]))));
    let mut done = Vec::new();
    for _ in 0..1_000 {
        for (n, future) in asked.iter_mut().enumerate() {
            if done.iter().all(|(m, _)| *m != n)
                && let Poll::Ready(decided) = poll_once(future)
            {
                done.push((n, decided));
            }
        }
        store.write_one();
    }
    let order: Vec<usize> = done.iter().map(|(n, _)| *n).collect();
    assert!(order.iter().position(|n| *n == 4) < order.iter().position(|n| *n == 3), "{order:?}");
    assert_eq!(order.iter().filter(|n| **n < 4).copied().collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(engine.stats().conflicts, 0, "no race inside one process");
    let refused = |(n, decided): &(usize, Result<Decided, EngineError>)| {
        (*n, matches!(decided.as_ref().unwrap().decision.answer, Answer::Refused(_)))
    };
    let mut refused: Vec<(usize, bool)> = done.iter().map(refused).collect();
    refused.sort_unstable();
    assert_eq!(refused, [(0, false), (1, false), (2, true), (3, true), (4, false)]);
    drop(asked);
    assert_eq!(engine.0.lanes.busy(), 0);
}

#[test]
fn what_does_not_fit_is_turned_away_at_once_and_records_nothing() {
    let store = QueuedStore::default();
    let engine = engine(Arc::new(store.inner.clone()));
    let policies = Arc::clone(engine.policies());
    let options = Options { in_flight_max: 3, ..Options::default() };
    let engine = Engine::new(Arc::new(store.clone()), policies, options);
    let members: Vec<MemberId> = (0..4).map(|n| member(&format!("m-{n}"))).collect();
    let mut under_way: Vec<Pin<Box<dyn Future<Output = _>>>> = Vec::new();
    for one in &members[..3] {
        under_way.push(Box::pin(engine.decide(one, request(at(0), vec![register("tv")]))));
    }
    assert!(under_way.iter_mut().all(|future| poll_once(future).is_pending()));
    let fourth = || run(&store, engine.decide(&members[3], request(at(0), vec![register("tv")])));
    assert_eq!(fourth().unwrap_err(), EngineError::Overloaded { retry_after_seconds: 1 });
    assert_eq!(engine.stats().overloaded, 1);
    under_way.pop();
    fourth().unwrap();
    assert_eq!(engine.stats().in_flight, 2);
}

#[test]
fn one_members_storm_is_not_everybodys_outage() {
    let store = QueuedStore::default();
    let engine = engine(Arc::new(store.inner.clone()));
    let policies = Arc::clone(engine.policies());
    let engine = Engine::new(Arc::new(store.clone()), policies, Options::default());
    let (ana, bo) = (member("ana"), member("bo"));
    let mut under_way: Vec<Pin<Box<dyn Future<Output = _>>>> = Vec::new();
    for _ in 0..LANE_MAX {
        under_way.push(Box::pin(engine.decide(&ana, request(at(0), vec![register("tv")]))));
    }
    assert!(under_way.iter_mut().all(|future| poll_once(future).is_pending()));
    let turned_away = run(&store, engine.decide(&ana, request(at(0), vec![register("tv")])));
    assert!(matches!(turned_away, Err(EngineError::Overloaded { .. })), "{turned_away:?}");
    run(&store, engine.decide(&bo, request(at(0), vec![register("tv")]))).unwrap();
    drop(under_way);
    assert_eq!(engine.0.lanes.busy(), 0);
}

#[test]
fn the_cache_is_bounded_and_what_it_forgets_comes_back_from_the_store() {
    let store = MemoryStore::new();
    let options = Options { cached_bytes_max: 64 << 10, ..Options::default() };
    let engine = engine_with(Arc::new(store.clone()), options);
    for n in 0..500 {
        decide(&engine, &format!("m-{n}"), request(at(0), vec![register("tv")])).unwrap();
    }
    let stats = engine.stats();
    assert!(stats.cached_bytes <= 64 << 10 && stats.cached_members > 0, "{stats:?}");
    for n in (0..500).step_by(50) {
        check_believes_the_store(&engine, &store, &format!("m-{n}"));
    }
    assert!(engine.stats().loads > stats.loads);
}

#[test]
fn snapshots_are_kept_when_due_and_shorten_loading() {
    let store = FaultyStore::new();
    let options = Options { snapshot_every: 4, ..Options::default() };
    let engine = engine_with(Arc::new(store.clone()), options);
    let keeper = engine.clone();
    let mut keeping: Pin<Box<dyn Future<Output = ()>>> = Box::pin(keeper.keep_snapshots());
    for n in 0..9 {
        let device = register(&format!("tv-{n}"));
        decide(&engine, "ana", request(at(n), vec![device])).unwrap();
        assert!(poll_once(&mut keeping).is_pending());
    }
    let stream = stream(&member("ana")).unwrap();
    let read = store.read(&stream, 0, Some(codec::reducer_fingerprint(HORIZON)));
    let slice = block_on(read).unwrap();
    assert_eq!((slice.snapshot.map(|kept| kept.version), slice.events.len()), (Some(8), 1));
    assert_eq!(store.state.lock().unwrap().snapshots_put, 2, "every fourth event");
    let by_snapshot = block_on(load(&store, stream.clone(), HORIZON)).unwrap();
    let by_events = {
        let mut folded = Folded::nothing(stream.clone(), HORIZON);
        folded.follow(&block_on(store.read(&stream, 0, None)).unwrap().events).unwrap();
        folded
    };
    assert_eq!((by_snapshot.version, &by_snapshot.member), (9, &by_events.member));
}

#[test]
fn a_damaged_snapshot_is_no_loss() {
    let store = MemoryStore::new();
    with_phone(Arc::new(store.clone()));
    let stream = stream(&member("ana")).unwrap();
    let fingerprint = codec::reducer_fingerprint(HORIZON);
    let damaged = store::Snapshot { version: 1, fingerprint, body: vec![0xff; 9].into() };
    block_on(store.put_snapshot(&stream, damaged)).unwrap();
    let (version, state) = block_on(engine(Arc::new(store)).member(&member("ana"))).unwrap();
    assert_eq!((version, state.devices.len()), (1, 1));
}

#[test]
fn an_unknown_newer_event_stops_the_stream_and_is_never_dropped() {
    let store = MemoryStore::new();
    let engine = with_phone(Arc::new(store.clone()));
    let stream = stream(&member("ana")).unwrap();
    block_on(store.append(&stream, 1, vec![vec![2, 0, 0]])).unwrap();
    for _ in 0..2 {
        let stopped = decide(&engine, "ana", request(at(1), vec![register("tv")]));
        let Err(EngineError::Corrupt(why)) = stopped else { panic!("{stopped:?}") };
        assert!(why.contains("version 2") && why.contains("run a newer carnet"), "{why}");
    }
    assert!(matches!(block_on(engine.member(&member("ana"))), Err(EngineError::Corrupt(_))));
    assert_eq!(stored(&store, "ana"), 2, "nothing was recorded behind it");
}
