//! Starting, stopping, and being asked too much.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use domain::Timestamp;
use serde_json::json;

use crate::world::{Answer, Client, DAY_MS, HOUR_MS, SERVICE_KEY, Setup, World};

#[test]
fn a_member_is_the_same_after_a_restart() {
    let mut world = World::new();
    let id = world.signed_in("ana", "standard", "phone").download("film");
    let before = world.call("GET", "/v1/operator/members/ana").token(&world.operator()).send();
    let timeline = world.timeline("ana");
    world.restart();
    let after = world.call("GET", "/v1/operator/members/ana").token(&world.operator()).send();
    assert_eq!(after.json, before.json);
    assert_eq!(world.timeline("ana"), timeline);
    assert_eq!(after.json["licenses"][0]["id"], id);
}

/// Load shedding before collapse: 503 with `Retry-After`, and nothing recorded.
#[test]
fn more_than_can_be_answered_is_turned_away_at_the_door() {
    let world = World::with(Setup { in_flight_max: 0, ..Setup::default() });
    let ana = world.stranger_with_device("ana", "standard", "phone");
    let answer = ana.register();
    assert_eq!((answer.status, answer.code()), (503, "overloaded"), "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("1"));
    let metrics = world.call("GET", "/metrics").send().text;
    assert!(!metrics.contains("carnet_engine_overloaded 0"), "{metrics}");
    // Streaming goes on when the ledger is down.
    let path = "/v1/titles/film/playback-context?intent=stream&device=phone";
    let context = ana.call("GET", path).send();
    assert_eq!(context.status, 200);
    let grant = context.json["grant"].as_str().unwrap();
    let kid = crate::world::kid_base64url(crate::world::VIDEO_KID);
    let license =
        world.call("POST", "/v1/drm/clear-key").token(grant).json(&json!({ "kids": [kid] }));
    assert_eq!(license.send().status, 200);
    let ready = world.call("GET", "/readyz").send();
    assert_eq!((ready.status, &ready.json["checks"][0]["ok"]), (503, &json!(false)));
}

/// "A wall clock that jumps is reported (log, metric); a decision never goes back in time."
#[test]
fn a_clock_that_jumps_back_is_reported_and_decisions_do_not_follow_it() {
    let mut world = World::new();
    world.signed_in("ana", "standard", "phone");
    let registered_at = world.now().to_string();
    world.set_wall_clock_by_ms(-HOUR_MS);
    // While it runs, the service's time goes on; a later start begins with the clock as it is.
    world.restart();
    let body = json!({
        "facts": { "plan": "standard", "territory": "DE" },
        "commands": [{ "do": "acquire", "device": "phone", "title": "film" }],
    });
    let call = world.call("POST", "/v1/service/members/ana/commands").token(SERVICE_KEY);
    let answer = call.key("k").json(&body).send();
    assert_eq!(answer.json["at"], registered_at, "{answer:?}");
    let metrics = world.call("GET", "/metrics").send().text;
    assert!(metrics.lines().any(|line| line == "carnet_clock_behind_total 1"), "{metrics}");
}

#[track_caller]
fn metric(world: &World, line: &str) {
    let metrics = world.call("GET", "/metrics").send().text;
    assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
}

/// Neither proofs nor grants nor tokens of honest devices are refused, and nothing is let in twice.
#[test]
fn a_wall_clock_that_is_set_back_turns_no_device_away() {
    let world = World::new();
    let ana = world.signed_in("ana", "premium", "phone");
    let context = "/v1/titles/film/playback-context?intent=stream&device=phone";
    let play = || {
        let answer = ana.call("GET", context).send();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("carnet-time"), Some(&*world.now().to_string()));
        let kid = crate::world::kid_base64url(crate::world::VIDEO_KID);
        let challenge = json!({ "kids": [kid] });
        let grant = answer.json["grant"].as_str().unwrap();
        let license = world.call("POST", "/v1/drm/clear-key").token(grant).json(&challenge).send();
        assert_eq!(license.status, 200, "{license:?}");
    };
    play();
    let token = ana.token();
    let url = format!("http://{}/v1/downloads", world.address);
    let proof = ana.key.proof("GET", &url, &token, world.now());
    let show = || world.call("GET", "/v1/downloads").token(&token).header("dpop", &proof).send();
    assert_eq!(show().status, 200);
    for (set_by_ms, passed_ms) in [(-HOUR_MS, 10), (0, HOUR_MS), (-DAY_MS, 10), (0, HOUR_MS)] {
        world.set_wall_clock_by_ms(set_by_ms);
        world.pass_ms(passed_ms);
        play();
        assert_eq!(show().status, 401, "a proof came back");
    }
    metric(&world, r#"carnet_clock_jumps_total{direction="back"} 2"#);
    metric(&world, &format!("carnet_clock_off_ms {}", DAY_MS + HOUR_MS));
}

/// A server that began with a clock a day ahead goes on by it, and takes today's tokens.
#[test]
fn a_wall_clock_that_is_set_right_turns_no_device_away_either() {
    let mut world = World::new();
    world.set_wall_clock_by_ms(DAY_MS);
    world.restart();
    let ana = world.stranger_with_device("ana", "premium", "phone");
    assert_eq!(ana.register().code(), "token_expired");
    world.set_wall_clock_by_ms(-DAY_MS);
    let told = told_time(&ana.register());
    assert_eq!(told, world.now() + domain::Duration::from_millis(DAY_MS));
    assert_eq!(downloads_at(&ana, told).status, 200);
}

#[test]
fn a_wall_clock_that_is_set_forward_is_followed_when_it_stays_there() {
    let mut world = World::new();
    world.set_wall_clock_by_ms(-HOUR_MS);
    world.restart();
    world.set_wall_clock_by_ms(HOUR_MS);
    let ana = world.stranger_with_device("ana", "premium", "phone");
    let told = told_time(&ana.register());
    assert_eq!(told + domain::Duration::from_millis(HOUR_MS), world.now());
    assert_eq!(downloads_at(&ana, told).status, 200);
    world.pass_ms(60_000);
    world.state().watch_clock();
    assert_eq!(ana.register().status, 201);
    metric(&world, r#"carnet_clock_jumps_total{direction="forward"} 1"#);
    metric(&world, "carnet_clock_off_ms 0");
}

/// What a device sets its clock by when its proof was refused.
#[track_caller]
fn told_time(refused: &Answer) -> Timestamp {
    assert_eq!(refused.code(), "proof_time", "{refused:?}");
    refused.header("carnet-time").unwrap().parse().unwrap()
}

fn downloads_at(ana: &Client<'_>, at: Timestamp) -> Answer {
    let token = ana.token();
    let call = ana.world.call("GET", "/v1/downloads").token(&token);
    let proof = ana.key.proof("GET", &call.url(), &token, at);
    call.header("dpop", &proof).send()
}

#[test]
fn a_catalogue_is_swapped_while_requests_go_on() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let id = ana.download("film");
    let line = r#"{"id":"new","partner":"p","downloadable":true,"availability":[{"territories":["*"]}],"name":"New","runtime_seconds":1,"manifests":{"dash":"/m.mpd"},"key_ids":{"video":"00112233445566778899aabbccddeeff"}}"#;
    let catalogue = playback::Catalogue::read("new.jsonl", line.as_bytes()).unwrap();
    world.state().catalogue.store(std::sync::Arc::new(catalogue));
    let listed = ana.call("GET", "/v1/catalogue").send();
    assert_eq!(listed.json["titles"].as_array().unwrap().len(), 1);
    assert_eq!(ana.acquire("film-2", "k").code(), "title_unknown");
    assert_eq!(ana.renew(&id, 1, "k-2").code(), "title_unknown");
    // What is held stays held.
    assert_eq!(ana.status(&id).json["status"], "ready");
    assert_eq!(ana.acquire("new", "k-3").status, 201);
}

/// Readiness goes away first; what still comes is answered, and then nobody is let in.
#[test]
fn a_process_that_stops_is_not_ready_before_it_closes() {
    let mut world = World::with(Setup { unready_for: Duration::from_secs(3), ..Setup::default() });
    assert_eq!(world.call("GET", "/readyz").send().status, 200);
    world.ask_to_stop();
    let stopping = loop {
        let ready = world.call("GET", "/readyz").send();
        if ready.status != 200 {
            break ready;
        }
    };
    let running = stopping.json["checks"].as_array().unwrap().last().unwrap();
    assert_eq!((stopping.status, &running["name"]), (503, &json!("running")), "{stopping:?}");
    assert_eq!(world.call("GET", "/healthz").send().status, 200, "nobody is to kill it");
    let ana = world.signed_in("ana", "standard", "phone");
    ana.download("film");
    drop(ana);
    world.stop();
    assert!(TcpStream::connect(&world.address).is_err());
    world.restart();
    assert_eq!(world.timeline_types("ana"), ["device_registered", "acquired"]);
}

#[test]
fn a_request_that_never_comes_whole_is_answered_all_the_same() {
    let request_timeout = Duration::from_millis(200);
    let world = World::with(Setup { request_timeout, ..Setup::default() });
    let mut stream = TcpStream::connect(&world.address).unwrap();
    let head = "POST /v1/licenses HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\n{";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 503");
}
