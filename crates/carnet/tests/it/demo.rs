//! The demo as somebody finds it who has just started it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::process::Carnet;
use crate::world::Client;

#[test]
fn the_demo_starts_says_where_it_is_and_keeps_its_keys_to_itself() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("demo");
    let mut carnet = Carnet::demo(&data, &[]);
    carnet.wait_for_words("api documentation: http://");
    let operator = carnet.wait_for_words("operator token: ");
    assert!(operator.contains(&carnet.url("/demo/operator-token")), "{operator}");
    carnet.wait_for_words("Stop with Ctrl-C");

    let nobody = Client::new(&carnet, String::new());
    let members = nobody.get("/demo/members").unwrap().body;
    let ids: Vec<_> = members.as_array().unwrap().iter().map(|member| &member["id"]).collect();
    assert_eq!(ids, ["ana", "ben"]);
    assert_eq!(nobody.get("/readyz").unwrap().status, 200);
    assert_eq!(nobody.get("/openapi.json").unwrap().body["openapi"], "3.1.0");
    for secret in ["master.key", "content-keys.json", "signing/active.pem", "identity/active.pem"] {
        let mode = fs::metadata(data.join("keys").join(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{secret} can be read by others");
    }
    assert!(carnet.stop().success());
}

#[test]
fn the_demo_keeps_what_it_had_between_runs() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("demo");
    let signing_keys = |carnet: &Carnet| {
        let nobody = Client::new(carnet, String::new());
        nobody.get("/.well-known/carnet/jwks.json").unwrap().body
    };
    let carnet = Carnet::demo(&data, &[]);
    let before = signing_keys(&carnet);
    carnet.kill();
    let carnet = Carnet::demo(&data, &[]);
    assert_eq!(signing_keys(&carnet), before);
}

#[test]
fn the_development_identity_provider_exists_only_in_the_demo() {
    let world = crate::world::World::new(1);
    let carnet = world.serve();
    let nobody = Client::new(&carnet, String::new());
    assert_eq!(nobody.get("/demo/members").unwrap().status, 404);
    assert_eq!(nobody.get("/demo/jwks.json").unwrap().status, 404);
}
