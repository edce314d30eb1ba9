//! `carnet policy replay` from outside: over what a real server recorded.

use std::process::Output;

use serde_json::Value;

use crate::process::{output, stderr};
use crate::world::{POLICY, World, title};

const DRAFT: &str = r#"
[[caps]]
id = "one-at-a-time"
counts = "active_licenses"
limit = 1
"#;

fn replay(world: &World, more: &[&str]) -> Output {
    let (draft, store) = (world.path("draft"), world.path("data/ledger"));
    let paths = ["--draft", draft.to_str().unwrap(), "--store", store.to_str().unwrap()];
    output(&[&["policy", "replay"], &paths[..], more].concat())
}

#[test]
fn a_draft_is_tried_on_what_was_recorded() {
    let world = World::new(3);
    world.write("draft/policy.toml", &format!("{POLICY}{DRAFT}"));
    let carnet = world.serve();
    for member in ["ana", "ben"] {
        let client = world.client(&carnet, member);
        client.register("phone");
        for number in 0..if member == "ana" { 3 } else { 1 } {
            assert_eq!(client.acquire(&title(number), &format!("k-{number}")).unwrap().status, 201);
        }
    }
    let busy = replay(&world, &[]);
    assert_eq!(busy.status.code(), Some(1));
    assert!(stderr(&busy).contains("/v1/operator/replays"), "{}", stderr(&busy));
    carnet.stop();

    let told = replay(&world, &[]);
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(text.contains("2 members, 6 events; 6 requests asked again"), "{text}");
    let summary =
        "2 requests of 1 members for 2 titles of 1 partners: accepted, and would be refused";
    assert!(text.contains(summary), "{text}");
    assert!(text.contains("cap_reached `one-at-a-time`"), "{text}");
    assert!(text.contains("`ana` asked to acquire `title-1`: accepted then"), "{text}");
    assert!(text.contains("Requests that were never made are not in it"), "{text}");

    let csv = world.path("differences.csv");
    let told = replay(&world, &["--json", "-", "--csv", csv.to_str().unwrap()]);
    let report: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(report["refused_instead"]["requests"], 2);
    assert_eq!(std::fs::read_to_string(csv).unwrap().lines().count(), 3);

    world.write("draft/policy.toml", POLICY);
    let same = String::from_utf8(replay(&world, &[]).stdout).unwrap();
    assert!(same.contains("everything would have been answered as it was"), "{same}");
    let since = String::from_utf8(replay(&world, &["--since", "2999-01-01T00:00:00Z"]).stdout);
    let since = since.unwrap();
    assert!(since.contains("nothing that a policy decides was asked then"), "{since}");
    assert!(!since.contains("as it was"), "{since}");
    let nobody = String::from_utf8(replay(&world, &["--partner", "nobody"]).stdout).unwrap();
    assert!(nobody.contains("no request was about a title of the partner `nobody`"), "{nobody}");
    let never = ["--since", "2026-02-01T00:00:00Z", "--until", "2026-01-01T00:00:00Z"];
    let never = replay(&world, &never);
    assert!(stderr(&never).contains("nothing lies between"), "{}", stderr(&never));
}
