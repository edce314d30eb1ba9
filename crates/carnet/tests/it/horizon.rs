//! A store is made to remember more, and takes policies that ask further back.

use std::process::Output;

use crate::process::{output, stderr};
use crate::world::{POLICY, World, title};

/// One download in two years.
const LONG: &str = r#"
[[caps]]
id = "one-in-two-years"
counts = "acquisitions"
window = { rolling = "730d" }
limit = 1
"#;

fn raise(world: &World, horizon: &str) -> Output {
    let store = world.path("data/ledger");
    output(&["store", "raise-horizon", store.to_str().unwrap(), horizon])
}

#[test]
fn a_policy_that_asks_further_back_names_the_command_that_raises_the_horizon() {
    let world = World::new(2);
    let carnet = world.serve();
    let client = world.client(&carnet, "ana");
    client.register("phone");
    assert_eq!(client.acquire(&title(0), "a").unwrap().status, 201);
    let busy = raise(&world, "730d");
    assert!(!busy.status.success(), "somebody has it open: {}", stderr(&busy));
    carnet.stop();

    world.write("policy/policy.toml", &format!("{POLICY}{LONG}"));
    let refused = world.command().output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let told = stderr(&refused);
    assert!(told.contains("policy.toml, line 12, field `caps[0].window.rolling`"), "{told}");
    assert!(told.contains("carnet store raise-horizon DIR 730d"), "{told}");
    let policy = world.path("policy");
    let check = |more: &[&str]| {
        output(&[&["policy", "check", policy.to_str().unwrap()], more].concat()).status.code()
    };
    assert_eq!((check(&[]), check(&["--horizon", "730d"])), (Some(1), Some(0)));

    let raised = raise(&world, "730d");
    let told = String::from_utf8(raised.stdout.clone()).unwrap();
    assert!(told.contains("remembers 730d; it was 400d"), "{told} {}", stderr(&raised));
    assert!(told.contains("1 members are folded anew"), "{told}");
    let lowered = raise(&world, "500d");
    assert!(stderr(&lowered).contains("not lowered"), "{}", stderr(&lowered));

    let carnet = world.serve();
    let second = world.client(&carnet, "ana").acquire(&title(1), "b").unwrap();
    assert_eq!(second.status, 403, "{}", second.body);
    assert_eq!(second.body["refusal"]["findings"][0]["rule"], "one-in-two-years");
    carnet.stop();
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let world = World::new(1);
    let raised = raise(&world, "730d");
    assert!(stderr(&raised).contains("is not a directory"), "{}", stderr(&raised));
    assert!(!world.path("data/ledger").exists());
}
