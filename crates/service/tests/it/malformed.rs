//! Bad input: a clear error that names the field and the remedy, and nothing recorded.

use serde_json::{Value, json};

use crate::world::{Answer, Client, SERVICE_KEY, World};

#[track_caller]
fn check(answer: &Answer, status: u16, field: &str, message: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    let error = &answer.json["errors"][0];
    assert_eq!(error["field"], field, "{answer:?}");
    let found = error["message"].as_str().unwrap();
    assert!(found.contains(message), "`{found}` says nothing of `{message}`");
}

fn post(ana: &Client<'_>, path: &str, body: &str) -> Answer {
    ana.call("POST", path).key("k").bytes("application/json", body.as_bytes().to_vec()).send()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_malformed_body_names_its_field() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let acquire = "/v1/licenses";
    let events = "/v1/devices/phone/session-events";
    let check_in = "/v1/devices/phone/check-in";
    let event = |field: &str, value: &str| {
        let mut event = json!({
            "sequence": 1, "session": "s", "title": "film", "type": "start",
            "device_at": "2026-03-01T12:00:00Z",
        });
        event[field] = serde_json::from_str(value).unwrap();
        json!({ "sent_at": "2026-03-01T12:00:00Z", "events": [event] }).to_string()
    };
    for (path, body, field, message) in [
        (acquire, "", "body", "EOF"),
        (acquire, "{", "body", "EOF"),
        (acquire, "[]", "body", "expected struct AcquireBody"),
        (acquire, "\u{feff}{}", "body", "expected value"),
        (acquire, r#"{"device":"phone"}"#, "body", "missing field `title`"),
        (acquire, r#"{"device":7,"title":"film"}"#, "device", "expected a text"),
        (acquire, r#"{"device":"a b","title":"film"}"#, "device", "printable ASCII without blanks"),
        (acquire, r#"{"device":"phone","title":""}"#, "title", "at least one character"),
        (acquire, r#"{"device":"phone","title":".."}"#, "title", "are not ids"),
        (
            acquire,
            r#"{"device":"phone","title":"film","plan":"premium"}"#,
            "plan",
            "unknown field `plan`",
        ),
        (acquire, r#"{"device":"phone","title":"film"} {}"#, "body", "something follows"),
        (
            acquire,
            r#"{"device":"phone","title":"film","title":"film-2"}"#,
            "body",
            "duplicate field",
        ),
        (
            acquire,
            r#"{"device":"phone","title":"film","challenge":{"system":"x"}}"#,
            "challenge",
            "missing field `body`",
        ),
        ("/v1/licenses/lic_x/renew", r#"{"device":"phone","term":-1}"#, "term", "invalid value"),
        (
            "/v1/licenses/lic_x/renew",
            r#"{"device":"phone","term":4294967296}"#,
            "term",
            "invalid value",
        ),
        (
            "/v1/licenses/lic_x/renew",
            r#"{"device":"phone","term":1,"automatic":"yes"}"#,
            "automatic",
            "expected a boolean",
        ),
        ("/v1/licenses/lic_x/release", "{}", "body", "missing field `device`"),
        (
            check_in,
            r#"{"holdings":[{"license":"l","started":"no"}]}"#,
            "holdings[0].started",
            "expected a boolean",
        ),
        (
            check_in,
            r#"{"holdings":[{"license":"l","started":true},{"license":" "}]}"#,
            "holdings[1].license",
            "printable ASCII",
        ),
        (events, r#"{"sent_at":"yesterday","events":[]}"#, "sent_at", "an instant is written like"),
        (events, r#"{"sent_at":1772366400,"events":[]}"#, "sent_at", "expected a text"),
        (events, &event("sequence", "0"), "events[0].sequence", "begin with 1"),
        (events, &event("sequence", "-1"), "events[0].sequence", "invalid value"),
        (events, &event("session", "\"\""), "events[0].session", "1 to 128 bytes"),
        (events, &event("type", "\"seek\""), "events[0].type", "unknown variant `seek`"),
        (
            events,
            &event("device_at", "\"2026-13-01T00:00:00Z\""),
            "events[0].device_at",
            "an instant is written like",
        ),
        (events, &event("license", "\"lic\""), "events[0].term", "come together"),
        (events, &event("term", "1"), "events[0].term", "come together"),
        (events, &event("position_ms", "1.5"), "events[0].position_ms", "expected u64"),
    ] {
        let answer = post(&ana, path, body);
        check(&answer, 400, field, message);
        assert_eq!(answer.code(), "invalid_request");
    }
    let deep = format!("{{\"device\":{}", "[".repeat(100_000));
    check(&post(&ana, acquire, &deep), 400, "device", "expected a text");
    assert_eq!(world.timeline_types("ana"), ["device_registered"], "nothing is recorded");
}

#[test]
fn bodies_and_lists_are_bounded() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let huge = format!(r#"{{"device":"phone","title":"{}"}}"#, "x".repeat(300_000));
    let answer = post(&ana, "/v1/licenses", &huge);
    assert_eq!((answer.status, answer.code()), (413, "body_too_large"), "{answer:?}");

    let event = json!({
        "sequence": 1, "session": "s", "title": "film", "type": "stop", "device_at": world.now().to_string(),
    });
    let answer = ana.upload(world.now(), &Value::Array(vec![event; 501]));
    check(&answer, 400, "events", "send at most 500");

    let holding = json!({ "license": "l", "started": false });
    let answer = ana.check_in(&Value::Array(vec![holding; 1_001]));
    check(&answer, 400, "holdings", "send at most 1000");

    let command = json!({ "do": "remove_device", "device": "d" });
    for n in [0, 51] {
        let body = json!({ "commands": vec![command.clone(); n] });
        let call = world.call("POST", "/v1/service/members/ana/commands").token(SERVICE_KEY);
        check(&call.key("k").json(&body).send(), 400, "commands", "send 1 to 50 commands");
    }
    let long = "n".repeat(101);
    let body = json!({ "device": "d", "name": long, "class": "web", "jwk": ana.key.jwk() });
    check(
        &ana.call("POST", "/v1/devices").json(&body).send(),
        400,
        "name",
        "at most 100 characters",
    );
}

#[test]
fn headers_paths_and_queries_are_checked() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let body = json!({ "device": "phone", "title": "film" });
    let acquire = || ana.call("POST", "/v1/licenses").json(&body);
    check(&acquire().send(), 400, "header.idempotency-key", "send an `Idempotency-Key`");
    check(
        &acquire().key(&"k".repeat(129)).send(),
        400,
        "header.idempotency-key",
        "at most 128 bytes",
    );
    check(&acquire().key("two words").send(), 400, "header.idempotency-key", "without blanks");

    let text = ana.call("POST", "/v1/licenses").key("k").bytes("text/plain", b"{}".to_vec()).send();
    assert_eq!((text.status, text.code()), (415, "not_json"));

    for (path, field, message) in [
        ("/v1/licenses/a%20b", "path.license", "printable ASCII"),
        ("/v1/licenses/%ff", "path.license", "UTF-8"),
        ("/v1/licenses/%2e%2e", "path.license", "are not ids"),
        ("/v1/titles/film/playback-context?device=phone", "query", "missing field `intent`"),
        (
            "/v1/titles/film/playback-context?intent=rent&device=phone",
            "query.intent",
            "unknown variant `rent`",
        ),
        ("/v1/titles/film/eligibility?device=a%20b", "query.device", "printable ASCII"),
        ("/v1/titles/film/eligibility?device=phone&plan=x", "query.plan", "unknown field `plan`"),
        ("/v1/titles/film/eligibility", "query", "missing field `device`"),
    ] {
        check(&ana.call("GET", path).send(), 400, field, message);
    }
    let operator = world.operator();
    for (path, message) in [
        ("/v1/operator/members/ana/timeline?limit=0", "1 to 1000"),
        ("/v1/operator/members/ana/timeline?limit=1001", "1 to 1000"),
        ("/v1/operator/members/ana/viewing?limit=ten", "it is not a whole number"),
    ] {
        check(&world.call("GET", path).token(&operator).send(), 400, "query.limit", message);
    }
}

#[test]
fn unknown_paths_and_methods_are_problems_too() {
    let world = World::new();
    for path in ["/v1/nothing", "/v2/licenses", "/v1/licenses/x/y/z", "/nothing.html"] {
        let answer = world.call("GET", path).send();
        assert_eq!((answer.status, answer.code()), (404, "no_such_route"), "{path}");
    }
    let answer = world.call("DELETE", "/v1/catalogue").send();
    assert_eq!((answer.status, answer.code()), (405, "method_not_allowed"));
    assert!(answer.header("allow").unwrap().contains("GET"));
    let answer = world.call("POST", "/nothing").json(&json!({})).send();
    assert_eq!((answer.status, answer.code()), (404, "no_such_route"));
}

#[test]
fn a_service_command_names_its_position_and_what_is_wrong() {
    let world = World::new();
    let send = |command: Value| {
        let body = json!({ "commands": [{ "do": "release", "license": "l" }, command] });
        let call = world.call("POST", "/v1/service/members/ana/commands").token(SERVICE_KEY);
        call.key("k").json(&body).send()
    };
    for (command, field, message) in [
        (json!({ "do": "steal" }), "commands[1]", "unknown variant `steal`"),
        (json!({ "device": "d" }), "commands[1]", "missing field `do`"),
        (json!({ "do": "acquire", "device": "d" }), "commands[1]", "missing field `title`"),
        (
            json!({ "do": "acquire", "device": "d", "title": "t", "at": 1 }),
            "commands[1]",
            "unknown field `at`",
        ),
        (
            json!({ "do": "register_device", "device": "d", "name": "n", "class": "phone" }),
            "commands[1].jwk",
            "one of `jwk` and `key_thumbprint`",
        ),
        (
            json!({ "do": "register_device", "device": "d", "name": "n", "class": "phone", "key_thumbprint": "x" }),
            "commands[1].key_thumbprint",
            "43 characters",
        ),
    ] {
        let answer = send(command);
        assert_eq!(answer.status, 400);
        let found = answer.json["errors"][0]["field"].as_str().unwrap();
        assert!(found.starts_with(field), "{answer:?}");
        assert!(answer.text.contains(message), "{answer:?}");
    }
    for (name, value, message) in [
        ("age", json!(7), "unknown field `age`"),
        ("maturity_limit", json!(-1), "invalid value"),
        ("maturity_limit", json!(65_536), "invalid value"),
        ("member_since", json!("2026-03-01"), "an instant is written like"),
        ("concurrent_streams", json!(-1), "invalid value"),
        ("elsewhere_at", json!("never"), "an instant is written like"),
        ("account", json!("two words"), "printable ASCII without blanks"),
    ] {
        let facts = json!({ name: value });
        let body = json!({ "facts": facts, "commands": [{ "do": "release", "license": "l" }] });
        let call = world.call("POST", "/v1/service/members/ana/commands").token(SERVICE_KEY);
        check(&call.key("k").json(&body).send(), 400, &format!("facts.{name}"), message);
    }
}
