//! Policy and catalogue follow their files; what is wrong is told, and the last good one stays.

use crate::world::{POLICY, World, catalogue, title};

#[test]
fn the_catalogue_follows_its_file_and_survives_a_bad_one() {
    let world = World::new(1);
    let mut carnet = world.serve();
    let client = world.client(&carnet, "ana");
    let titles = || client.get("/v1/catalogue").unwrap().body["titles"].as_array().unwrap().len();
    assert_eq!(titles(), 1);
    world.write("catalogue.jsonl", &catalogue(3));
    carnet.wait_for_words("catalogue loaded");
    assert_eq!(titles(), 3);
    world.write("catalogue.jsonl", &(catalogue(1) + "nonsense\n"));
    let line = carnet.wait_for_words("the last good one stays");
    assert!(line.contains("catalogue.jsonl") && line.contains("line 2"), "{line}");
    assert_eq!(titles(), 3);
}

#[test]
fn the_policy_follows_its_files_and_survives_a_bad_one() {
    let world = World::new(2);
    let mut carnet = world.serve();
    let client = world.client(&carnet, "ana");
    client.register("phone");
    assert_eq!(client.acquire(&title(0), "a").unwrap().status, 201);
    world.write("policy/policy.toml", "nonsense");
    carnet.wait_for_words("the last good version stays");
    assert_eq!(client.acquire(&title(1), "b").unwrap().status, 201);
    let cap = "[[caps]]\nid = \"one\"\ncounts = \"active_licenses\"\nlimit = 1\n";
    world.write("policy/policy.toml", &format!("{POLICY}\n{cap}"));
    carnet.wait_for_words("policy loaded");
    let device = client.get("/v1/titles/title-0/eligibility?device=tablet").unwrap();
    assert_eq!(device.body["allowed"], false, "{}", device.body);
    // At once, changed or not.
    carnet.signal("HUP");
    carnet.wait_for_words("policy loaded");
}
