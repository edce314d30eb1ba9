use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::Poll;

use domain::member::{CheckedIn, Code, Holding};
use store::ReadError;
use store::memory::MemoryStore;

use super::*;
use crate::testing::*;
use crate::{Decided, Options};

const MEMBERS: u64 = 6;
const DEVICES: [&str; 3] = ["phone", "tablet", "laptop"];
const TITLES: [&str; 3] = ["film", "other", "third"];

fn title(id: &str) -> TitleId {
    TitleId::new(id).unwrap()
}

fn warrant() -> Warrant {
    Warrant { actor: "olga".to_owned(), reason: "rights ended".to_owned() }
}

fn order(id: &str, of: &str, at: Timestamp) -> Order {
    Order { id: id.to_owned(), title: title(of), warrant: warrant(), at, key: None }
}

#[track_caller]
fn withdraw_title(engine: &Engine, order: Order) -> Withdrawal {
    match block_on(engine.withdrawals().order(order)).unwrap() {
        Answered::Ordered(withdrawal) => withdrawal,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn walk_to_its_end(engine: &Engine, at: Timestamp) {
    for _ in 0..1_000 {
        if block_on(engine.withdrawals().step(engine, at)).unwrap() == Step::Idle {
            return;
        }
    }
    panic!("the walk does not end");
}

fn refusal(decided: &Decided) -> Option<Code> {
    match &decided.decision.answer {
        Answer::Refused(refused) => refused.findings.first().map(|finding| finding.code),
        _ => None,
    }
}

fn open(store: &MemoryStore) -> Engine {
    let engine = engine(Arc::new(store.clone()));
    block_on(engine.withdrawals().read()).unwrap();
    engine
}

fn acquired_by(engine: &Engine, of: &str, device: &str, title: &str, license: &str) -> Decided {
    decide(engine, of, request(at(1), vec![acquire(device, title, license)])).unwrap()
}

#[test]
fn a_withdrawn_title_ends_for_all_and_nobody_acquires_it() {
    let store = MemoryStore::new();
    let engine = open(&store);
    for of in ["ana", "ben"] {
        decide(&engine, of, request(at(0), vec![register("phone"), register("tablet")])).unwrap();
        acquired_by(&engine, of, "phone", "film", &format!("{of}-1"));
        acquired_by(&engine, of, "tablet", "film", &format!("{of}-2"));
        acquired_by(&engine, of, "phone", "other", &format!("{of}-3"));
    }
    decide(&engine, "cyd", request(at(0), vec![register("phone")])).unwrap();
    withdraw_title(&engine, order("w-1", "film", at(10)));

    // From before the walk's first step, by the clock of a caller who is a little behind as well.
    let late = decide(&engine, "cyd", request(at(9), vec![acquire("phone", "film", "cyd-1")]));
    assert_eq!(refusal(&late.unwrap()), Some(Code::TitleNoLongerAvailable));
    let ask = request(at(11), vec![acquire("phone", "film", "cyd-1")]);
    let (eligibility, _) = block_on(engine.eligibility(&member("cyd"), ask)).unwrap();
    assert!(eligibility.refused.is_some(), "the button knows it too");

    walk_to_its_end(&engine, at(12));
    let ended = engine.withdrawals().get("w-1").unwrap();
    assert_eq!((ended.state(), ended.finished_at), (State::Done, Some(at(12))));
    let Progress { members, licenses, failures, events } = ended.progress;
    assert_eq!((members, licenses, failures), (2, 4, 0));
    assert!(events >= store.events().unwrap() - 4, "all but the walk's own");
    for of in ["ana", "ben"] {
        let (_, state) = block_on(engine.member(&member(of))).unwrap();
        let open: Vec<_> = state.licenses.values().filter(|l| l.closed.is_none()).collect();
        assert_eq!(open.len(), 1, "{open:?}");
        assert_eq!(open[0].title, title("other"));
    }
}

fn check_in(device: &str, licenses: &[&str]) -> Command {
    let holding = |id: &&str| Holding { license: LicenseId::new(id).unwrap(), started: false };
    let holdings = licenses.iter().map(holding).collect();
    Command::CheckIn { device: device.parse().unwrap(), holdings }
}

fn renew(license: &str) -> Command {
    let Command::Acquire { device, title_facts, license, .. } = acquire("phone", "film", license)
    else {
        unreachable!()
    };
    Command::Renew { device, license, term: 1, title_facts, automatic: false }
}

/// Ana has two films on her phone and one of them on her tablet, and it is withdrawn at 10 s.
fn before_the_walk(store: &MemoryStore) -> Engine {
    let engine = open(store);
    decide(&engine, "ana", request(at(0), vec![register("phone"), register("tablet")])).unwrap();
    acquired_by(&engine, "ana", "phone", "film", "l-1");
    acquired_by(&engine, "ana", "phone", "other", "l-2");
    acquired_by(&engine, "ana", "tablet", "film", "l-3");
    withdraw_title(&engine, order("w-1", "film", at(10)));
    engine
}

fn checked_in(decided: &Decided) -> &CheckedIn {
    match &decided.decision.answer {
        Answer::Accepted { outcomes, .. } => match &outcomes[..] {
            [.., Outcome::CheckedIn(checked_in)] => checked_in,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn ids(ids: &[&str]) -> Vec<LicenseId> {
    ids.iter().map(|id| LicenseId::new(id).unwrap()).collect()
}

/// The walk that comes afterwards has nothing to do for Ana, and counts what ended for her.
#[track_caller]
fn the_walk_finds_it_done(store: &MemoryStore, engine: &Engine) {
    let before = stored(store, "ana");
    walk_to_its_end(engine, at(100));
    assert_eq!(stored(store, "ana"), before, "nothing is left to be done");
    let Progress { members, licenses, failures, .. } =
        engine.withdrawals().get("w-1").unwrap().progress;
    assert_eq!((members, licenses, failures), (1, 2, 0));
}

/// Found by the simulation: what ends first moves the decision behind the instant of its request.
#[test]
fn what_is_decided_after_an_end_is_decided_by_the_policy_of_then() {
    let store = MemoryStore::new();
    let engine = before_the_walk(&store);
    let from = POLICY.replace("2020-01-01T00:00:00Z", "2026-05-28T20:26:49Z");
    let new = loaded(&from);
    assert_eq!(new.policy.effective_from, at(9));
    block_on(engine.policies().publish(new.clone())).unwrap();
    // By a clock that stands before the withdrawal, and before the policy.
    let decided = acquired_by(&engine, "ana", "phone", "third", "l-5");
    assert_eq!(decided.decision.at, at(10));
    let cited = decided.decision.events.iter().find_map(|event| match &event.body {
        EventBody::Acquired(acquired) => Some(&acquired.policy),
        _ => None,
    });
    assert_eq!(cited, Some(&new.policy.version));
}

/// Found by the simulation: the walk may begin on a node whose clock stands a little behind.
#[test]
fn nothing_ends_before_it_was_ordered() {
    let engine = before_the_walk(&MemoryStore::new());
    walk_to_its_end(&engine, at(9));
    let (_, ana) = block_on(engine.member(&member("ana"))).unwrap();
    let of_film = ana.past.values().filter(|license| license.title == title("film"));
    let ended: Vec<_> = of_film.map(|license| license.closed.unwrap().at).collect();
    assert_eq!(ended, [at(10), at(10)]);
}

/// Long after the state has forgotten by which key the licenses ended.
#[test]
fn what_ended_days_before_the_walk_is_counted() {
    const DAY: i64 = 86_400;
    let store = MemoryStore::new();
    let engine = before_the_walk(&store);
    decide(&engine, "ana", request(at(11), vec![check_in("phone", &["l-1"])])).unwrap();
    // What a withdrawal before this one ended is none of it.
    decide(&engine, "cyd", request(at(0), vec![register("phone")])).unwrap();
    acquired_by(&engine, "cyd", "phone", "other", "l-4");
    withdraw_title(&engine, order("w-2", "other", at(11)));
    decide(&engine, "cyd", request(at(12), vec![check_in("phone", &["l-4"])])).unwrap();
    block_on(engine.withdrawals().lift("w-2", warrant(), at(13))).unwrap();
    withdraw_title(&engine, order("w-3", "other", at(14)));
    let before = stored(&store, "ana");
    walk_to_its_end(&engine, at(4 * DAY));
    assert_eq!(stored(&store, "ana"), before + 1, "of the other title, which was open");
    let counted = |id: &str| {
        let Progress { members, licenses, .. } = engine.withdrawals().get(id).unwrap().progress;
        (members, licenses)
    };
    assert_eq!((counted("w-1"), counted("w-3")), ((1, 2), (1, 1)));
}

#[test]
fn a_device_hears_of_the_end_when_it_checks_in_before_the_walk_is_there() {
    let store = MemoryStore::new();
    let engine = before_the_walk(&store);
    let ask = || vec![check_in("phone", &["l-1", "l-2"])];
    let heard = decide(&engine, "ana", keyed("k-1", at(11), ask())).unwrap();
    let CheckedIn { held, ended, .. } = checked_in(&heard);
    assert_eq!((held, ended), (&ids(&["l-2"]), &ids(&["l-1"])));
    let kinds: Vec<_> = heard.decision.events.iter().map(|event| &event.body).collect();
    assert!(
        matches!(kinds[..], [EventBody::TitleWithdrawn { .. }, EventBody::CheckedIn { .. }]),
        "{kinds:?}"
    );
    let again = decide(&engine, "ana", keyed("k-1", at(12), ask())).unwrap();
    assert_eq!(checked_in(&again), checked_in(&heard), "a retry hears the same");
    assert!(again.decision.events.is_empty());
    the_walk_finds_it_done(&store, &engine);
}

#[test]
fn the_end_comes_first_in_a_list_and_with_a_refusal_as_well() {
    let store = MemoryStore::new();
    let engine = before_the_walk(&store);
    // By the clock of a caller who is a little behind.
    let list = vec![acquire("phone", "third", "l-4"), check_in("phone", &["l-1"])];
    let listed = decide(&engine, "ana", request(at(9), list)).unwrap();
    assert_eq!(checked_in(&listed).ended, ids(&["l-1"]), "its place went to another title");
    assert!(listed.decision.events.iter().all(|event| event.at == at(10)));
    the_walk_finds_it_done(&store, &engine);

    let store = MemoryStore::new();
    let engine = before_the_walk(&store);
    let renewed = decide(&engine, "ana", request(at(11), vec![renew("l-1")])).unwrap();
    assert_eq!(refusal(&renewed), Some(Code::LicenseClosed), "what has ended is not renewed");
    let again = decide(&engine, "ana", request(at(12), vec![acquire("phone", "film", "l-5")]));
    assert_eq!(refusal(&again.unwrap()), Some(Code::TitleNoLongerAvailable));
    the_walk_finds_it_done(&store, &engine);
}

#[test]
fn a_retry_of_what_was_acquired_before_brings_no_lease_after_the_order() {
    let store = MemoryStore::new();
    let engine = open(&store);
    decide(&engine, "ana", request(at(0), vec![register("phone")])).unwrap();
    let ask = || vec![acquire("phone", "film", "l-1")];
    decide(&engine, "ana", keyed("k-1", at(1), ask())).unwrap();
    withdraw_title(&engine, order("w-1", "film", at(10)));
    let again = decide(&engine, "ana", keyed("k-1", at(11), ask())).unwrap();
    assert!(matches!(again.decision.answer, Answer::Accepted { repeated: true, .. }));
    let license = again.member.license(&LicenseId::new("l-1").unwrap()).unwrap();
    assert!(!license.held(at(11)), "a lease is made for what is held");
}

#[test]
fn whoever_looks_finds_it_ended_and_nothing_is_recorded_for_that() {
    let store = MemoryStore::new();
    let engine = before_the_walk(&store);
    let before = stored(&store, "ana");
    let (version, state) = block_on(engine.member(&member("ana"))).unwrap();
    assert_eq!((version, stored(&store, "ana")), (before, before));
    let closed = |id: &str| state.license(&LicenseId::new(id).unwrap()).unwrap().closed;
    assert_eq!(closed("l-1").map(|closed| closed.at), Some(at(10)), "since it was ordered");
    assert_eq!(closed("l-2"), None);
    // Reporting and giving back ask for no license: they leave it to the walk.
    decide(&engine, "ana", request(at(11), vec![release("l-2")])).unwrap();
    assert_eq!(stored(&store, "ana"), before + 1);
    block_on(engine.withdrawals().lift("w-1", warrant(), at(12))).unwrap();
    let (_, state) = block_on(engine.member(&member("ana"))).unwrap();
    let license = state.license(&LicenseId::new("l-1").unwrap()).unwrap();
    assert_eq!(license.closed, None, "it had not ended when that was lifted");
}

#[test]
fn a_key_that_somebody_took_keeps_nothing_from_ending() {
    let store = MemoryStore::new();
    let engine = before_the_walk(&store);
    decide(&engine, "ana", keyed("withdrawal:w-1", at(11), vec![release("l-2")])).unwrap();
    let heard = decide(&engine, "ana", request(at(12), vec![check_in("phone", &["l-1"])])).unwrap();
    assert_eq!(checked_in(&heard).ended, ids(&["l-1"]));
}

#[test]
fn asking_again_is_asking_for_the_same_and_a_lifted_title_comes_back() {
    let store = MemoryStore::new();
    let engine = open(&store);
    decide(&engine, "ana", request(at(0), vec![register("phone")])).unwrap();
    acquired_by(&engine, "ana", "phone", "film", "l-1");
    let keyed = |id: &str, of: &str| Order {
        key: Some(IdempotencyKey::new("k-1").unwrap()),
        ..order(id, of, at(10))
    };
    let ask = |engine: &Engine, order: Order| block_on(engine.withdrawals().order(order)).unwrap();
    let first = withdraw_title(&engine, keyed("w-1", "film"));
    assert_eq!(ask(&engine, order("w-2", "film", at(11))), Answered::Known(first.clone()));
    assert_eq!(ask(&engine, keyed("w-3", "film")), Answered::Known(first));
    assert_eq!(ask(&engine, keyed("w-4", "other")), Answered::KeyReused);
    assert_eq!(engine.withdrawals().list().len(), 1);
    assert_eq!(block_on(engine.withdrawals().lift("none", warrant(), at(12))).unwrap(), None);

    let lifted = block_on(engine.withdrawals().lift("w-1", warrant(), at(12))).unwrap().unwrap();
    assert_eq!((lifted.state(), lifted.lifted), (State::Lifted, Some((at(12), warrant()))));
    let again = block_on(engine.withdrawals().lift("w-1", warrant(), at(20))).unwrap().unwrap();
    assert_eq!(again.lifted.unwrap().0, at(12), "what was lifted stays lifted since then");
    walk_to_its_end(&engine, at(13));
    let (_, state) = block_on(engine.member(&member("ana"))).unwrap();
    assert!(state.licenses.values().all(|l| l.closed.is_none()), "the walk had not begun");
    assert!(matches!(ask(&engine, keyed("w-5", "film")), Answered::Known(_)), "a late retry");
    let engine = open(&store);
    decide(&engine, "ben", request(at(14), vec![register("phone")])).unwrap();
    assert_eq!(refusal(&acquired_by(&engine, "ben", "phone", "film", "l-2")), None);

    withdraw_title(&engine, order("w-6", "film", at(15)));
    walk_to_its_end(&engine, at(16));
    assert_eq!(engine.withdrawals().get("w-6").unwrap().progress.licenses, 2);
    assert_eq!(engine.withdrawals().get("w-1").unwrap().state(), State::Lifted);
}

#[test]
fn a_title_that_ended_is_withdrawn_before_any_other_answer_also_when_nobody_knows() {
    use Fault::{AnswerLost, QuestionLost, WrittenLate};
    for faults in [[AnswerLost; 1].as_slice(), &[QuestionLost], &[WrittenLate, QuestionLost]] {
        let store = FaultyStore::new();
        let engine = engine(Arc::new(store.clone()));
        store.fail(&faults.iter().copied().map(Some).collect::<Vec<_>>());
        withdraw_title(&engine, order("w-1", "film", at(10)));
        walk_to_its_end(&engine, at(11));
        let stored = open(&store.inner);
        assert_eq!(stored.withdrawals().list(), engine.withdrawals().list(), "{faults:?}");
        assert_eq!(stored.withdrawals().list().len(), 1);
    }
    // Told that it is not known, and it was recorded all the same: the next one finds out.
    let store = FaultyStore::new();
    let engine = engine(Arc::new(store.clone()));
    store.fail(&[Some(WrittenLate)]);
    store.fail(&[Some(QuestionLost); ATTEMPTS_MAX]);
    block_on(engine.withdrawals().order(order("w-1", "film", at(10)))).unwrap_err();
    withdraw_title(&engine, order("w-2", "other", at(11)));
    let ids: Vec<String> = engine.withdrawals().list().into_iter().map(|one| one.id).collect();
    assert_eq!(ids, ["w-1", "w-2"]);
}

#[test]
fn what_cannot_be_read_is_counted_and_stops_nobody_else() {
    let store = MemoryStore::new();
    let engine = open(&store);
    for of in ["ana", "ben"] {
        decide(&engine, of, request(at(0), vec![register("phone")])).unwrap();
        acquired_by(&engine, of, "phone", "film", &format!("{of}-1"));
    }
    let of_ana = crate::folded::stream(&member("ana")).unwrap();
    block_on(store.append(&of_ana, 2, vec![b"not an event".to_vec()])).unwrap();
    let engine = open(&store);
    withdraw_title(&engine, order("w-1", "film", at(10)));
    walk_to_its_end(&engine, at(11));
    let failed = engine.withdrawals().get("w-1").unwrap();
    assert_eq!(failed.state(), State::Failed);
    assert_eq!((failed.progress.licenses, failed.progress.failures), (1, 2), "{failed:?}");
    let again = withdraw_title(&engine, order("w-2", "film", at(12)));
    assert_eq!(again.state(), State::Running, "asked again, it is walked again");
}

#[test]
fn a_walk_that_does_not_go_on_says_why_and_goes_on_by_itself() {
    let store = FaultyStore::new();
    let engine = engine(Arc::new(store.clone()));
    decide(&engine, "ana", request(at(0), vec![register("phone")])).unwrap();
    acquired_by(&engine, "ana", "phone", "film", "l-1");
    withdraw_title(&engine, order("w-1", "film", at(10)));
    assert_eq!(engine.withdrawals().stalled(), None);
    let step = |seconds| block_on(engine.withdrawals().step(&engine, at(seconds)));
    let damaged = EngineError::Corrupt("block 7".to_owned());
    store.state.lock().unwrap().feed_fails = Some(ReadError::Unavailable("no answer".to_owned()));
    step(11).unwrap_err();
    store.state.lock().unwrap().feed_fails = Some(ReadError::Corrupt("block 7".to_owned()));
    step(12).unwrap_err();
    let stalled = Stall { since: at(11), error: damaged };
    assert_eq!(engine.withdrawals().stalled(), Some(stalled), "the last why, since the first");
    assert_eq!(engine.withdrawals().get("w-1").unwrap().state(), State::Running);
    store.state.lock().unwrap().feed_fails = None;
    assert_eq!(step(13), Ok(Step::Walked));
    assert_eq!(engine.withdrawals().stalled(), None);
    walk_to_its_end(&engine, at(14));
    assert_eq!(engine.withdrawals().get("w-1").unwrap().progress.licenses, 1);
}

#[test]
fn a_busy_engine_is_waited_for() {
    let store = MemoryStore::new();
    let policies = Arc::clone(engine(Arc::new(store.clone())).policies());
    let options = Options { in_flight_max: 0, ..Options::default() };
    let engine = Engine::new(Arc::new(store), policies, options);
    withdraw_title(&engine, order("w-1", "film", at(10)));
    let step = || block_on(engine.withdrawals().step(&engine, at(11)));
    assert_eq!([step(), step()], [Ok(Step::Waiting), Ok(Step::Waiting)]);
}

type Deciding = Pin<Box<dyn Future<Output = Result<Decided, EngineError>>>>;

/// Writes whenever somebody waits for it.
#[track_caller]
fn drive<T>(store: &QueuedStore, future: impl Future<Output = T>) -> T {
    let mut future: Pin<Box<dyn Future<Output = T>>> = Box::pin(future);
    for _ in 0..1_000 {
        if let Poll::Ready(value) = poll_once(&mut future) {
            return value;
        }
        store.write_one();
    }
    panic!("never ready");
}

fn engine_on(store: &QueuedStore) -> Engine {
    let policies = Arc::clone(engine(Arc::new(store.inner.clone())).policies());
    Engine::new(Arc::new(store.clone()), policies, Options::default())
}

/// More members in one part of the feed than may be decided on at once.
#[test]
fn a_walk_goes_through_a_door_for_one() {
    let store = QueuedStore::default();
    let before = engine(Arc::new(store.inner.clone()));
    let members = ["ana", "ben", "cyd", "dan"];
    for of in members {
        decide(&before, of, request(at(0), vec![register("phone")])).unwrap();
    }
    for of in members {
        acquired_by(&before, of, "phone", "film", &format!("{of}-1"));
    }
    let options = Options { in_flight_max: 1, ..Options::default() };
    let policies = Arc::clone(before.policies());
    let engine = Engine::new(Arc::new(store.clone()), policies, options);
    drive(&store, engine.withdrawals().order(order("w-1", "film", at(10)))).unwrap();
    while drive(&store, engine.withdrawals().step(&engine, at(12))).unwrap() != Step::Finished {}
    let Progress { members, licenses, .. } = engine.withdrawals().get("w-1").unwrap().progress;
    assert_eq!((members, licenses), (4, 4));
}

/// An acquisition that was decided, and is about to be sent to the store, when its title is withdrawn.
fn overtaken(store: &QueuedStore, engine: &Engine) -> Deciding {
    let ana = member("ana");
    let register = request(at(0), vec![register("phone")]);
    drive(store, engine.decide(&ana, register)).unwrap();
    let (of, ask) = (engine.clone(), request(at(1), vec![acquire("phone", "film", "l-1")]));
    let mut deciding: Deciding = Box::pin(async move { of.decide(&ana, ask).await });
    while Arc::strong_count(&engine.withdrawals().titles()) == 2 {
        assert!(poll_once(&mut deciding).is_pending());
    }
    drive(store, engine.withdrawals().order(order("w-1", "film", at(10)))).unwrap();
    deciding
}

#[test]
fn a_walk_begins_when_nobody_is_left_who_was_not_told() {
    let store = QueuedStore::default();
    let engine = engine_on(&store);
    let acquiring = overtaken(&store, &engine);
    let step = || drive(&store, engine.withdrawals().step(&engine, at(11))).unwrap();
    assert_eq!([step(), step()], [Step::Waiting, Step::Waiting]);
    let acquired = drive(&store, acquiring).unwrap();
    assert_eq!(refusal(&acquired), None, "it was first");
    while step() != Step::Finished {}
    assert_eq!(engine.withdrawals().get("w-1").unwrap().progress.licenses, 1);
}

#[test]
fn a_walk_also_finds_what_nobody_waits_for_any_more() {
    let store = QueuedStore::default();
    let engine = engine_on(&store);
    let mut acquiring = overtaken(&store, &engine);
    assert!(poll_once(&mut acquiring).is_pending());
    drop(acquiring); // its events are on their way all the same
    let step = || drive(&store, engine.withdrawals().step(&engine, at(11))).unwrap();
    while step() != Step::Finished {}
    assert_eq!(engine.withdrawals().get("w-1").unwrap().progress.licenses, 1);
}

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

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// What somebody waits for.
enum Told {
    Asked { title: &'static str, withdrawn: Option<u64>, decided: Result<Decided, EngineError> },
    Ordered { title: &'static str, answered: Result<Answered, EngineError> },
    Lifted(Result<Option<Withdrawal>, EngineError>),
    Stepped(Result<Step, EngineError>),
}

type Telling = Pin<Box<dyn Future<Output = Told>>>;

/// One process on the store, and everybody who waits for it.
struct Process {
    store: QueuedStore,
    engine: Engine,
    /// Whether it may go away.
    waiting: Vec<(bool, Telling)>,
}

struct World {
    random: Random,
    disk: MemoryStore,
    seconds: i64,
    made: u64,
    /// Acknowledged, and nobody has asked to lift it since; by the number of the acknowledgement.
    withdrawn: BTreeMap<&'static str, u64>,
    lifting: u64,
    told: BTreeMap<String, Progress>,
    finished: u64,
    refused: u64,
    given: u64,
}

impl World {
    fn start(&mut self) -> Process {
        self.lifting = 0;
        // What was in the queue of the process before is lost.
        let mut store = QueuedStore::default();
        store.inner = self.disk.clone();
        let engine = engine_on(&store);
        block_on(engine.withdrawals().read()).unwrap();
        Process { store, engine, waiting: Vec::new() }
    }

    fn now(&mut self) -> Timestamp {
        self.seconds += 1;
        at(self.seconds)
    }

    fn id(&mut self, of: &str) -> String {
        self.made += 1;
        format!("{of}-{}", self.made)
    }

    fn ask(&mut self, process: &mut Process) {
        let (engine, now) = (process.engine.clone(), self.now());
        let of = member(&format!("m{}", self.random.below(MEMBERS)));
        let (device, title) = (self.random.pick(&DEVICES), self.random.pick(&TITLES));
        let (license, withdrawn) = (self.id("l"), self.withdrawn.get(title).copied());
        let mut commands = vec![acquire(device, title, &license)];
        if self.random.below(3) == 0 {
            commands.insert(0, register(device));
        }
        match self.random.below(5) {
            0 => commands = vec![release(&format!("l-{}", self.random.below(self.made)))],
            1 => commands = vec![check_in(device, &[])],
            _ => {}
        }
        process.waiting.push((
            true,
            Box::pin(async move {
                let decided = engine.decide(&of, request(now, commands)).await;
                Told::Asked { title, withdrawn, decided }
            }),
        ));
    }

    fn order(&mut self, process: &mut Process) {
        let (engine, title) = (process.engine.clone(), self.random.pick(&TITLES));
        let order = order(&self.id("w"), title, self.now());
        process.waiting.push((
            false,
            Box::pin(async move {
                Told::Ordered { title, answered: engine.withdrawals().order(order).await }
            }),
        ));
    }

    fn lift(&mut self, process: &mut Process) {
        let (engine, now) = (process.engine.clone(), self.now());
        let list = engine.withdrawals().list();
        let Some(last) = list.last().filter(|last| last.lifted.is_none()) else { return };
        let id = last.id.clone();
        self.withdrawn.remove(last.title.as_str());
        self.lifting += 1;
        process.waiting.push((
            false,
            Box::pin(
                async move { Told::Lifted(engine.withdrawals().lift(&id, warrant(), now).await) },
            ),
        ));
    }

    fn step(&mut self, process: &mut Process) {
        let (engine, now) = (process.engine.clone(), self.now());
        process.waiting.push((
            true,
            Box::pin(async move { Told::Stepped(engine.withdrawals().step(&engine, now).await) }),
        ));
    }

    /// Somebody is asked, or a member goes away.
    fn go_on(&mut self, process: &mut Process) {
        if process.waiting.is_empty() {
            return;
        }
        let which = self.random.below(process.waiting.len() as u64) as usize;
        if process.waiting[which].0 && self.random.below(40) == 0 {
            drop(process.waiting.swap_remove(which));
            return;
        }
        let Poll::Ready(told) = poll_once(&mut process.waiting[which].1) else { return };
        drop(process.waiting.swap_remove(which));
        match told {
            Told::Asked { title, withdrawn, decided } => {
                let code = decided.as_ref().ok().and_then(refusal);
                self.refused += u64::from(code == Some(Code::TitleNoLongerAvailable));
                // Unless it was lifted meanwhile.
                let all_along = withdrawn.is_some_and(|n| self.withdrawn.get(title) == Some(&n));
                let given = decided.as_ref().map(given).unwrap_or_default();
                assert!(!all_along || !given.iter().any(|of| of.as_str() == title), "{title}");
                self.given += given.len() as u64;
            }
            Told::Ordered { title, answered } => {
                // Whoever lifts it at the same time may be the second of the two.
                if answered.is_ok() && self.lifting == 0 {
                    self.made += 1;
                    self.withdrawn.entry(title).or_insert(self.made);
                }
            }
            Told::Lifted(lifted) => {
                lifted.unwrap();
                self.lifting -= 1;
            }
            Told::Stepped(step) => self.finished += u64::from(step == Ok(Step::Finished)),
        }
        self.progress_never_goes_back(&process.engine);
    }

    fn progress_never_goes_back(&mut self, engine: &Engine) {
        for known in engine.withdrawals().list() {
            let before = self.told.insert(known.id, known.progress).unwrap_or_default();
            let (now, kinds) = (known.progress, ["events", "members", "licenses"]);
            let pairs = [
                (before.events, now.events),
                (before.members, now.members),
                (before.licenses, now.licenses),
            ];
            for (kind, (before, now)) in kinds.into_iter().zip(pairs) {
                assert!(before <= now, "{kind} went back from {before} to {now}");
            }
        }
    }
}

/// The titles that the answer brings leases of.
fn given(decided: &Decided) -> Vec<TitleId> {
    let Answer::Accepted { outcomes, .. } = &decided.decision.answer else { return Vec::new() };
    let licenses = outcomes.iter().flat_map(|outcome| match outcome {
        Outcome::Held { license, .. } => std::slice::from_ref(license),
        Outcome::CheckedIn(checked_in) => &checked_in.held,
        _ => &[],
    });
    licenses.map(|id| decided.member.license(id).unwrap().title.clone()).collect()
}

/// What the members' streams say that each withdrawal ended: members and licenses.
fn ended(disk: &MemoryStore) -> BTreeMap<String, (u64, u64)> {
    let mut ended: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for n in 0..MEMBERS {
        let stream = crate::folded::stream(&member(&format!("m{n}"))).unwrap();
        let slice = block_on(disk.read(&stream, 0, None)).unwrap();
        let mut open: BTreeMap<LicenseId, TitleId> = BTreeMap::new();
        for recorded in &slice.events {
            let event = decoded(recorded.version, recorded.body.as_deref().unwrap()).unwrap();
            match event.body {
                EventBody::Acquired(acquired) => {
                    open.insert(acquired.license, acquired.title);
                }
                EventBody::Released { license, .. } => drop(open.remove(&license)),
                EventBody::TitleWithdrawn { title } => {
                    let key = event.cause.idempotency.unwrap().key;
                    let id = key.as_str().strip_prefix("withdrawal:").unwrap().to_owned();
                    let before = open.len();
                    open.retain(|_, of| *of != title);
                    let (members, licenses) = ended.entry(id).or_default();
                    *members += 1;
                    *licenses += (before - open.len()) as u64;
                }
                _ => {}
            }
        }
    }
    ended
}

fn live(seed: u64) -> World {
    let mut world = World {
        random: Random(seed),
        disk: MemoryStore::new(),
        seconds: 0,
        made: 0,
        withdrawn: BTreeMap::new(),
        lifting: 0,
        told: BTreeMap::new(),
        finished: 0,
        refused: 0,
        given: 0,
    };
    let mut process = world.start();
    for _ in 0..3_000 {
        match world.random.below(100) {
            0..12 => world.ask(&mut process),
            12 => world.order(&mut process),
            13 if world.random.below(4) == 0 => world.lift(&mut process),
            14..24 => world.step(&mut process),
            24..40 => drop(process.store.write_one()),
            // A crash, between any two steps of anybody.
            40 if world.random.below(3) == 0 => process = world.start(),
            _ => world.go_on(&mut process),
        }
    }
    drop(process);
    // Nobody asks any more, and the walk ends.
    let mut process = world.start();
    for _ in 0..20_000 {
        if process.waiting.is_empty() {
            world.step(&mut process);
        }
        process.store.write_one();
        world.go_on(&mut process);
        let list = process.engine.withdrawals().list();
        if list.iter().all(|known| known.state() != State::Running) {
            break;
        }
    }
    let list = process.engine.withdrawals().list();
    assert!(list.iter().all(|known| matches!(known.state(), State::Done | State::Lifted)));
    let titles = Titles::withdrawn(&list);
    for n in 0..MEMBERS {
        let engine = engine(Arc::new(world.disk.clone()));
        let (_, state) = block_on(engine.member(&member(&format!("m{n}")))).unwrap();
        let left = state.licenses.values().chain(state.past.values());
        let left = left.filter(|l| l.closed.is_none() && titles.0.contains_key(&l.title)).count();
        assert_eq!(left, 0, "licenses of withdrawn titles of `m{n}`");
    }
    let ended = ended(&world.disk);
    for known in list {
        let (members, licenses) = ended.get(&known.id).copied().unwrap_or_default();
        let told = (known.progress.members, known.progress.licenses);
        match known.state() {
            State::Done => assert_eq!(told, (members, licenses), "of `{}`", known.id),
            _ => assert!(told.0 <= members && told.1 <= licenses, "of `{}`", known.id),
        }
    }
    world
}

/// Members acquire and release, titles are withdrawn and lifted, callers go away, and the process
/// ends between any two steps: nobody is missed, nothing is counted twice, no progress goes back.
#[test]
fn a_withdrawal_comes_to_its_end_whatever_happens() {
    let seed: u64 =
        std::env::var("CARNET_SEED").ok().map_or_else(rand::random, |seed| seed.parse().unwrap());
    println!("CARNET_SEED={seed} brings this back");
    let (mut finished, mut refused, mut licenses, mut given) = (0, 0, 0, 0);
    for number in 0..60 {
        let world = live(seed.wrapping_add(number));
        finished += world.finished;
        refused += world.refused;
        given += world.given;
        licenses += world.told.values().map(|told| told.licenses).sum::<u64>();
    }
    println!(
        "{finished} walks, {licenses} licenses ended, {refused} refused for it, {given} given"
    );
    let enough = [finished, licenses, refused, given].into_iter().all(|count| count > 60);
    assert!(enough, "too little happens here");
}
