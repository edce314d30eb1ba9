//! What is written to the log, and what never is.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::world::{SERVICE_KEY, VIDEO_KID, World, kid_base64url};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Other tests of this process are in it too: what is looked for is this test's own.
#[test]
fn requests_are_logged_by_id_and_route_and_nothing_that_is_secret_or_personal() {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_writer(move || writer.clone())
        .json()
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let world = World::new();
    let ana = world.signed_in("a-private-person", "standard", "a-private-phone");
    let challenge = json!({ "kids": [kid_base64url(VIDEO_KID)] });
    let held = ana.acquire_with_challenge("10.5240/77|x", "a-private-key", &challenge);
    let token = ana.token();
    let proof = ana.key.proof("GET", "http://h/v1/catalogue", &token, world.now());
    let refused = world
        .call("GET", "/v1/catalogue?a-private-query=1")
        .token(&token)
        .header("dpop", &proof)
        .header("x-request-id", "the-one-to-look-for")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .send();
    assert_eq!(refused.status, 401);
    let path = "/v1/service/members/a-private-person/commands";
    let body = json!({ "commands": [{ "do": "release", "license": "a-private-license" }] });
    world.call("POST", path).token(SERVICE_KEY).key("k").json(&body).send();
    let grant = ana.acquire("film", "another").json["grant"].clone();

    let log = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    let line = log.lines().find(|line| line.contains("the-one-to-look-for")).unwrap();
    assert!(line.contains(r#""route":"/v1/catalogue""#), "{line}");
    assert!(line.contains("0af7651916cd43dd8448eb211c80319c"), "{line}");
    let response = refused.header("traceresponse").unwrap();
    let (trace, span) = response.strip_suffix("-01").unwrap().rsplit_once('-').unwrap();
    assert_eq!(trace, "00-0af7651916cd43dd8448eb211c80319c");
    assert!(line.contains(span) && span != "b7ad6b7169203331", "{line}");
    // Every line of a request bears its ids, also where no trace came along.
    for line in log.lines().filter(|line| line.contains(r#""name":"request""#)) {
        assert!(line.contains(r#""trace_id":""#) && line.contains(r#""span_id":""#), "{line}");
    }
    assert!(log.contains(r#""code":"proof_invalid""#));
    assert!(log.contains(r#""caller":"licensing""#));
    let lease = held.json["lease"].as_str().unwrap();
    for secret in [
        token.as_str(),
        proof.as_str(),
        lease,
        grant.as_str().unwrap(),
        SERVICE_KEY,
        held.json["drm"]["body"].as_str().unwrap(),
        held.json["license"]["id"].as_str().unwrap(),
        "a-private",
        "10.5240",
    ] {
        assert!(!log.contains(secret), "`{secret}` is in the log");
    }
}
