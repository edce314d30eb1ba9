//! Doing everything twice: a lost answer costs a member nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::world::{Client, DAY_MS, HOUR_MS, VIDEO_KID, World, claims, kid_base64url};

/// "A retry of an accepted command gets the *same decision* and counts once, whatever crashed in
/// between; grants and signatures are made afresh."
#[test]
fn a_retry_gets_the_same_decision_across_a_restart() {
    let mut world = World::new();
    let (first, key) = {
        let ana = world.signed_in("ana", "standard", "phone");
        (ana.acquire("film", "once"), ana.key)
    };
    assert_eq!(first.status, 201);
    world.restart();
    world.pass_ms(HOUR_MS);
    let ana = Client {
        world: &world,
        member: "ana".to_owned(),
        plan: "standard".to_owned(),
        territory: "DE".to_owned(),
        claims: json!({}),
        device: "phone".to_owned(),
        class: "phone".to_owned(),
        key,
    };
    let second = ana.acquire("film", "once");
    assert_eq!(second.status, 200);
    assert_eq!(second.json["decision"]["repeated"], true);
    assert_eq!(second.json["decision"]["outcome"], "acquired");
    assert_eq!(second.json["license"]["id"], first.json["license"]["id"]);
    assert_eq!(second.json["license"]["ends_at"], first.json["license"]["ends_at"]);
    assert_ne!(second.json["lease"], first.json["lease"]);
    assert_ne!(claims(&second.json["grant"])["jti"], claims(&first.json["grant"])["jti"]);
    assert_eq!(world.timeline_types("ana"), ["device_registered", "acquired"]);

    // Facts, times and generated ids are not part of what a key is bound to.
    let mut elsewhere = ana;
    elsewhere.territory = "FR".to_owned();
    assert_eq!(elsewhere.acquire("film", "once").json["decision"]["repeated"], true);
}

/// "Another body under the key is 422."
#[test]
fn another_body_under_a_key_is_refused() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    ana.acquire("film", "once");
    let answer = ana.acquire("film-2", "once");
    assert_eq!((answer.status, answer.code()), (422, "idempotency_key_reused"));
    let id = ana.acquire("film", "once").json["license"]["id"].as_str().unwrap().to_owned();
    assert_eq!(ana.renew(&id, 1, "once").code(), "idempotency_key_reused");
    assert_eq!(world.timeline_types("ana"), ["device_registered", "acquired"]);
    // Keys are forgotten after 48 hours, and not before 24.
    world.pass_ms(DAY_MS);
    assert_eq!(ana.acquire("film-2", "once").status, 422);
    world.pass_ms(DAY_MS);
    assert_eq!(ana.acquire("film-2", "once").status, 201);
}

/// "A lease and a grant come with it only while the license is live, for its current term."
#[test]
fn a_retry_brings_no_lease_for_what_is_over_and_the_current_one_for_what_was_renewed() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let id = ana.acquire("film", "first").json["license"]["id"].as_str().unwrap().to_owned();
    world.pass_ms(14 * DAY_MS);
    let ana_again = ana.renew(&id, 1, "renew");
    assert_eq!(ana_again.status, 200, "{ana_again:?}");
    let repeated = ana.renew(&id, 1, "renew");
    assert_eq!(
        repeated.json["decision"],
        json!({
            "outcome": "renewed", "repeated": true, "at": world.now().to_string(),
        })
    );
    assert_eq!(claims(&repeated.json["lease"])["term"], 2);
    ana.release(&id);
    let over = ana.renew(&id, 1, "renew");
    assert_eq!(over.status, 200);
    assert_eq!(over.json["decision"]["repeated"], true);
    assert_eq!(over.json["license"]["status"], "returned");
    for name in ["lease", "grant", "drm"] {
        assert!(over.json.get(name).is_none(), "{name} for a license that was given back");
    }
}

/// The first answer may have given the keys, although the retry cannot.
#[test]
fn a_drm_step_that_fails_in_a_retry_returns_nothing() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let good = json!({ "kids": [kid_base64url(VIDEO_KID)] });
    let bad = json!({ "kids": [kid_base64url(&"ee".repeat(16))] });
    let first = ana.acquire_with_challenge("film", "once", &good);
    assert!(first.json["drm"].is_object(), "{first:?}");
    let second = ana.acquire_with_challenge("film", "once", &bad);
    assert_eq!(second.json["decision"]["repeated"], true);
    assert_eq!(second.json["drm_error"]["code"], "key_not_granted");
    ana.release(first.json["license"]["id"].as_str().unwrap());
    assert_eq!(world.timeline("ana").last().unwrap()["returned"], false);
}

#[test]
fn two_at_once_under_one_key_are_one() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let ids: Vec<String> = std::thread::scope(|scope| {
        let one = || {
            let answer = ana.acquire("film", "once");
            answer.json["license"]["id"].as_str().unwrap().to_owned()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(world.timeline_types("ana"), ["device_registered", "acquired"]);
}

/// A client that goes away does not cut a decision off.
#[test]
fn a_request_whose_client_left_is_decided_all_the_same() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let token = ana.token();
    // Whether a request was begun before its client had left is a race, so there are several.
    let deadline = Instant::now() + Duration::from_secs(60);
    for n in 0.. {
        if n >= 20 && world.timeline("ana").len() >= 2 {
            break;
        }
        assert!(Instant::now() < deadline, "nothing was decided");
        let body = json!({ "device": "phone", "title": "film" }).to_string();
        let url = format!("http://{}/v1/licenses", world.address);
        let proof = ana.key.proof("POST", &url, &token, world.now());
        let mut stream = TcpStream::connect(&world.address).unwrap();
        write!(
            stream,
            "POST /v1/licenses HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\
             dpop: {proof}\r\nidempotency-key: left-{n}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            world.address,
            body.len(),
        )
        .unwrap();
        drop(stream);
    }
    let types = world.timeline_types("ana");
    assert_eq!(types[..2], ["device_registered", "acquired"]);
    assert!(types[2..].iter().all(|kind| kind == "reissued"), "{types:?}");
}

#[test]
fn what_was_accepted_is_answered_before_a_stop() {
    let mut world = World::new();
    let (address, request) = {
        let ana = world.signed_in("ana", "standard", "phone");
        let token = ana.token();
        let body = json!({ "device": "phone", "title": "film" }).to_string();
        let url = format!("http://{}/v1/licenses", world.address);
        let proof = ana.key.proof("POST", &url, &token, world.now());
        let head = format!(
            "POST /v1/licenses HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\
             dpop: {proof}\r\nidempotency-key: k\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            world.address,
            body.len(),
        );
        (world.address.clone(), (head, body))
    };
    let mut stream = TcpStream::connect(address).unwrap();
    // The request is under way: its head is there and its body is not.
    stream.write_all(request.0.as_bytes()).unwrap();
    while !world.call("GET", "/metrics").send().text.contains("carnet_http_requests_in_flight 2") {
        std::thread::sleep(Duration::from_millis(5));
    }
    let client = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        stream.write_all(request.1.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    world.stop();
    let answer = client.join().unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}
