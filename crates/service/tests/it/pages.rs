//! What is not the API: pages, media, documents, numbers; and what surrounds every answer.

use serde_json::json;
use service::openapi_json;

use crate::world::{DAY_MS, Setup, World};

#[test]
fn health_readiness_and_metrics() {
    let world = World::new();
    assert_eq!(world.call("GET", "/healthz").send().text, "ok\n");
    let ready = world.call("GET", "/readyz").send();
    assert_eq!((ready.status, &ready.json["ready"]), (200, &json!(true)), "{ready:?}");
    let names: Vec<&str> = ready.json["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["store", "policy", "issuer_keys", "content_keys", "catalogue", "running"]);

    let ana = world.signed_in("ana", "standard", "phone");
    ana.download("film");
    ana.acquire("stream-only", "k");
    let metrics = world.call("GET", "/metrics").send();
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    for line in [
        r#"carnet_http_request_duration_seconds_count{route="/v1/licenses",method="POST",status="201"} 1"#,
        r#"carnet_http_request_duration_seconds_count{route="/v1/licenses",method="POST",status="403"} 1"#,
        r#"carnet_outcomes_total{outcome="acquired"} 1"#,
        r#"carnet_refusal_findings_total{code="title_not_downloadable"} 1"#,
        "carnet_http_requests_in_flight 1",
        "carnet_engine_events_appended 3",
    ] {
        assert!(metrics.text.lines().any(|found| found == line), "{line}\n{}", metrics.text);
    }
    for secret in ["ana", "phone\"", "film"] {
        assert!(!metrics.text.contains(secret), "`{secret}` is in the metrics");
    }
}

#[test]
fn without_a_policy_in_effect_it_is_not_ready() {
    let mut world = World::new();
    world.set_wall_clock_by_ms(-365 * DAY_MS);
    world.restart();
    let ready = world.call("GET", "/readyz").send();
    assert_eq!(ready.status, 503);
    let policy = &ready.json["checks"][1];
    assert_eq!((&policy["name"], &policy["ok"]), (&json!("policy"), &json!(false)));
    assert!(policy["problem"].as_str().unwrap().contains("publish one"), "{policy}");
}

#[test]
fn the_openapi_document_is_served_and_its_paths_exist() {
    let world = World::new();
    let served = world.call("GET", "/openapi.json").send();
    assert_eq!(served.text, openapi_json());
    assert_eq!(served.json["openapi"], "3.1.0");
    let paths = served.json["paths"].as_object().unwrap();
    for (path, operations) in paths {
        for method in operations.as_object().unwrap().keys() {
            let method: &'static str = match method.as_str() {
                "get" => "GET",
                "post" => "POST",
                "delete" => "DELETE",
                other => panic!("`{other}` of {path}"),
            };
            let path = path.replace(['{', '}'], "");
            let answer = world.call(method, &path).send();
            assert!(
                !["no_such_route", "method_not_allowed"].contains(&answer.code()),
                "{method} {path}: {answer:?}"
            );
        }
    }
}

#[test]
fn pages_are_kept_from_loading_anything_else() {
    let world = World::new();
    let page = world.call("GET", "/").send();
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    for directive in ["default-src 'self'", "script-src 'self';", "frame-ancestors 'none'"] {
        assert!(policy.contains(directive), "{policy}");
    }
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    for path in ["/../Cargo.toml", "/%2e%2e/Cargo.toml", "/assets/../../Cargo.toml", "/.git/config"]
    {
        assert_eq!(world.call("GET", path).send().status, 404, "{path}");
    }
}

#[test]
fn media_come_in_ranges() {
    let world = World::new();
    let whole = world.call("GET", "/media/segment.m4s").send();
    assert_eq!((whole.status, whole.text.as_str()), (200, "0123456789"));
    let part = world.call("GET", "/media/segment.m4s").header("range", "bytes=2-4").send();
    assert_eq!((part.status, part.text.as_str()), (206, "234"));
    assert_eq!(part.header("content-range"), Some("bytes 2-4/10"));
    let beyond = world.call("GET", "/media/segment.m4s").header("range", "bytes=20-30").send();
    assert_eq!(beyond.status, 416);
    for path in ["/media/none", "/media/../keys/active.pem", "/media/%2e%2e/keys/active.pem"] {
        let answer = world.call("GET", path).send();
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
}

#[test]
fn every_answer_bears_an_id_and_the_apis_tell_the_time() {
    let world = World::new();
    let given = world.call("GET", "/healthz").header("x-request-id", "from-the-proxy.7").send();
    assert_eq!(given.header("x-request-id"), Some("from-the-proxy.7"));
    assert_eq!(given.header("carnet-time"), None);
    let made = world.call("GET", "/healthz").header("x-request-id", "no good{}").send();
    assert!(!made.header("x-request-id").unwrap().contains('{'));
    let api = world.call("GET", "/v1/catalogue").token(&world.member("ana", "standard")).send();
    assert_eq!(api.header("carnet-time"), Some(world.now().to_string().as_str()));
    assert_eq!(api.header("cache-control"), Some("no-store"));
    assert!(api.header("date").is_some());
}

#[test]
fn pages_of_other_origins_are_let_in_only_when_they_are_named() {
    let preflight = |world: &World, origin: &str| {
        world
            .call("OPTIONS", "/v1/licenses")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,dpop,idempotency-key")
            .send()
    };
    let world = World::new();
    let answer = preflight(&world, "https://app.example.com");
    assert_eq!(answer.header("access-control-allow-origin"), None);

    let cors_origins = vec!["https://app.example.com".to_owned()];
    let world = World::with(Setup { cors_origins, ..Setup::default() });
    let answer = preflight(&world, "https://app.example.com");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example.com"));
    assert!(answer.header("access-control-allow-headers").unwrap().contains("dpop"));
    assert_eq!(
        preflight(&world, "https://evil.example.com").header("access-control-allow-origin"),
        None
    );
    // A problem can be read from there as well.
    let call =
        world.call("GET", "/v1/catalogue").header("origin", "https://app.example.com").send();
    assert_eq!(call.status, 401);
    assert_eq!(call.header("access-control-allow-origin"), Some("https://app.example.com"));
    assert!(call.header("access-control-expose-headers").unwrap().contains("carnet-time"));
}

#[test]
fn the_demo_signs_in_without_a_password_and_exists_only_there() {
    let world = World::with(Setup { demo: true, ..Setup::default() });
    let members = world.call("GET", "/demo/members").send();
    assert_eq!(members.json[0]["id"], "ana");
    assert_eq!(
        (&members.json[1]["id"], &members.json[1]["plan"]),
        (&json!("ben"), &json!("standard"))
    );
    let token = world.call("POST", "/demo/token").json(&json!({ "member": "ana" })).send();
    assert_eq!(token.json["expires_in"], 3_600);
    let token = token.json["access_token"].as_str().unwrap();
    assert_eq!(world.call("GET", "/v1/catalogue").token(token).send().status, 200);
    let operator = world.call("POST", "/demo/operator-token").send();
    let operator = operator.json["access_token"].as_str().unwrap();
    let path = "/v1/operator/members/ana/timeline";
    assert_eq!(world.call("GET", path).token(operator).send().status, 200);
    assert_eq!(world.call("GET", path).token(token).send().code(), "role_missing");
    let service = world.call("POST", "/demo/service-token").send();
    let service = service.json["access_token"].as_str().unwrap();
    let lapse = json!({ "commands": [{ "do": "lapse_membership" }] });
    let ask = |token: &str| {
        let call = world.call("POST", "/v1/service/members/ana/commands").token(token);
        call.key("k").json(&lapse).send()
    };
    assert_eq!(ask(service).status, 200);
    assert_eq!(ask(operator).code(), "role_missing");
    let nobody = world.call("POST", "/demo/token").json(&json!({ "member": "eve" })).send();
    assert_eq!(nobody.json["errors"][0]["field"], "member");
    let keys = world.call("GET", "/demo/jwks.json").send();
    assert!(drm::jwk::JwkSet::parse(&keys.text).is_ok());

    let world = World::new();
    for (method, path) in [
        ("GET", "/demo/members"),
        ("POST", "/demo/token"),
        ("POST", "/demo/operator-token"),
        ("POST", "/demo/service-token"),
        ("GET", "/demo/jwks.json"),
    ] {
        assert_eq!(world.call(method, path).send().status, 404, "{path}");
    }
}
