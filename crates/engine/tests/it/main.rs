//! The engine on the store that ships: what it answered is there after opening again, and many
//! callers at once leave nothing out.

#![expect(clippy::unwrap_used, reason = "a test")]

mod what_if;

use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Waker};

use codec::policy::{Loaded, parse};
use domain::member::{Answer, Command, Held, Outcome};
use domain::{
    DeviceClass, DeviceId, IdempotencyKey, KeyThumbprint, LicenseId, MemberFacts, MemberId,
    PartnerId, Request, Timestamp, TitleFacts, TitleId,
};
use engine::{Decided, Engine, Options, Policies};
use futures::executor::block_on;
use futures::future::join_all;
use store::EventStore;
use store_embedded::EmbeddedStore;

fn policy() -> Loaded {
    let text = r#"
format = 1
name = "test"
effective_from = 2020-01-01T00:00:00Z
[terms]
start_within = "30d"
finish_within = "48h"
[[caps]]
id = "five-at-once"
counts = "active_licenses"
limit = 5
"#;
    parse(&[("policy.toml", text)]).unwrap()
}

fn open(directory: &Path) -> Arc<dyn EventStore> {
    Arc::new(EmbeddedStore::open(directory, &store_embedded::Options::default()).unwrap())
}

fn engine(store: &Arc<dyn EventStore>) -> Engine {
    let policies = block_on(Policies::open(Arc::clone(store), policy())).unwrap();
    let options = Options { snapshot_every: 4, ..Options::default() };
    Engine::new(Arc::clone(store), Arc::new(policies), options)
}

fn member(n: usize) -> MemberId {
    MemberId::new(&format!("member-{n}")).unwrap()
}

fn request(seconds: usize, command: Command) -> Request {
    let at = Timestamp::from_millis(1_780_000_000_000 + 1_000 * seconds as i64);
    Request { at, idempotency: None, facts: MemberFacts::default(), commands: vec![command] }
}

fn register() -> Request {
    let command = Command::RegisterDevice {
        device: DeviceId::new("phone").unwrap(),
        class: DeviceClass::Phone,
        key: KeyThumbprint::new("key").unwrap(),
        name: "phone".to_owned(),
    };
    request(0, command)
}

fn acquire(seconds: usize, title: usize, license: &str) -> Request {
    let title_facts = TitleFacts {
        partner: PartnerId::new("studio").unwrap(),
        series: None,
        tags: Arc::default(),
        maturity_rating: None,
        downloadable: true,
        offered: true,
        available_from: None,
        available_until: None,
    };
    let command = Command::Acquire {
        device: DeviceId::new("phone").unwrap(),
        title: TitleId::new(&format!("title-{title}")).unwrap(),
        title_facts: Some(title_facts),
        license: LicenseId::new(license).unwrap(),
    };
    let mut request = request(seconds, command);
    let key = IdempotencyKey::new(&format!("key-{title}")).unwrap();
    request.idempotency = Some(engine::idempotency(key, &request.commands));
    request
}

fn accepted(decided: &Decided) -> bool {
    matches!(decided.decision.answer, Answer::Accepted { .. })
}

#[test]
fn what_was_answered_is_there_after_opening_again() {
    let directory = tempfile::tempdir().unwrap();
    let ana = member(0);
    let before = {
        let store = open(directory.path());
        let engine = engine(&store);
        block_on(engine.decide(&ana, register())).unwrap();
        for n in 1..=5 {
            assert!(accepted(
                &block_on(engine.decide(&ana, acquire(n, n, &format!("l-{n}")))).unwrap()
            ));
        }
        block_on(engine.member(&ana)).unwrap()
    };
    let store = open(directory.path());
    let engine = engine(&store);
    assert_eq!(block_on(engine.member(&ana)).unwrap(), before);
    let again = block_on(engine.decide(&ana, acquire(9, 1, "l-again"))).unwrap();
    let expected =
        Outcome::Held { license: LicenseId::new("l-1").unwrap(), term: 1, how: Held::Acquired };
    assert_eq!(
        again.decision.answer,
        Answer::Accepted { outcomes: vec![expected], repeated: true },
        "idempotency survives a restart"
    );
    let sixth = block_on(engine.decide(&ana, acquire(9, 6, "l-6"))).unwrap();
    assert!(matches!(sixth.decision.answer, Answer::Refused(_)), "and so do counts");
}

/// Two engines on one store, as two nodes would be: together they grant what one may.
#[test]
fn many_callers_at_once_never_exceed_a_cap_and_lose_nothing() {
    const MEMBERS: usize = 20;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let engines = [engine(&store), engine(&store)];
    let ids: Vec<MemberId> = (0..MEMBERS).map(member).collect();
    for id in &ids {
        block_on(engines[0].decide(id, register())).unwrap();
    }
    let asked = (0..8 * MEMBERS).map(|n| {
        let (id, node) = (&ids[n % MEMBERS], &engines[n / MEMBERS % 2]);
        node.decide(id, acquire(n, n / MEMBERS, &format!("l-{n}")))
    });
    let answers = block_on(join_all(asked));
    for (n, id) in ids.iter().enumerate() {
        let of_member = answers.iter().skip(n).step_by(MEMBERS);
        assert_eq!(of_member.filter(|answer| accepted(answer.as_ref().unwrap())).count(), 5);
        let [a, b] = engines.each_ref().map(|node| block_on(node.member(id)).unwrap());
        assert_eq!(a, b);
        assert_eq!(a.1.licenses.len(), 5);
    }
}

/// The store's writer goes on with what was sent when nobody waits for it any more.
#[test]
fn a_caller_who_went_away_is_told_the_same_when_it_asks_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let engine = engine(&store);
    let ana = member(0);
    block_on(engine.decide(&ana, register())).unwrap();
    for n in 0..50 {
        let title = 1 + n % 5;
        let mut asking = Box::pin(engine.decide(&ana, acquire(n, title, &format!("l-{n}"))));
        let _ = asking.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(asking);
        let again = acquire(n, title, &format!("again-{n}"));
        assert!(accepted(&block_on(engine.decide(&ana, again)).unwrap()));
    }
    let (version, state) = block_on(engine.member(&ana)).unwrap();
    assert_eq!((version, state.licenses.len()), (6, 5), "each counts once");
}
