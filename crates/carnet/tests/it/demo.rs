//! The demo as somebody finds it who has just started it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::process::{Carnet, output, stderr};
use crate::world::{Client, World};

#[test]
fn the_demo_starts_says_where_it_is_and_keeps_its_keys_to_itself() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("demo");
    let mut carnet = Carnet::demo(&data, &[]);
    carnet.wait_for_words("api documentation: http://");
    let operator = carnet.wait_for_words("operator token: ");
    assert!(operator.contains(&carnet.url("/demo/operator-token")), "{operator}");
    let service = carnet.wait_for_words("service token: ");
    assert!(service.contains(&carnet.url("/demo/service-token")), "{service}");
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
    let world = World::new(1);
    let carnet = world.serve();
    let nobody = Client::new(&carnet, String::new());
    assert_eq!(nobody.get("/demo/members").unwrap().status, 404);
    assert_eq!(nobody.get("/demo/jwks.json").unwrap().status, 404);
}

/// Of everything that lies in the folder of the sample films: it is served as it is.
#[test]
fn no_content_key_of_the_sample_films_is_served() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let keys = fs::read_to_string(repository.join("demo/content-keys.json")).unwrap();
    let keys: serde_json::Value = serde_json::from_str(&keys).unwrap();
    let keys: Vec<&str> =
        keys["keys"].as_array().unwrap().iter().map(|key| key["key"].as_str().unwrap()).collect();
    assert_eq!(keys.len(), 4);

    let (media, data) = (repository.join("media"), tempfile::tempdir().unwrap());
    let media_option = ["--media", media.to_str().unwrap()];
    let carnet = Carnet::demo(data.path(), &media_option);
    let nobody = Client::new(&carnet, String::new());
    let gone = nobody.get("/media/demo-keys.json").unwrap();
    assert_eq!(gone.status, 404, "{}", gone.body);
    let mut served = 0;
    let mut folders = vec![media.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let path = entry.strip_prefix(&media).unwrap().to_str().unwrap();
            let bytes = nobody.bytes(&format!("/media/{path}")).unwrap();
            assert_eq!(bytes, fs::read(&entry).unwrap(), "{path}");
            let text = String::from_utf8_lossy(&bytes);
            assert!(keys.iter().all(|key| !text.contains(key)), "a key is in {path}");
            served += 1;
        }
    }
    assert!(served > 20, "{served}");
}

#[test]
fn a_folder_with_keys_in_it_is_not_served() {
    let directory = tempfile::tempdir().unwrap();
    let (media, data) = (directory.path(), directory.path().join("demo"));
    let arguments = ["demo", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()];
    let refused = output(&[&arguments[..], &["--media", media.to_str().unwrap()]].concat());
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused).replace(media.to_str().unwrap(), "DIR");
    expect_test::expect!["error: `--media`: everything in `DIR` is served, and `DIR/demo` lies there: keep them apart"].assert_eq(said.trim_end());

    let world = World::new(1);
    let config = fs::read_to_string(world.path("carnet.toml")).unwrap();
    world.write("carnet.toml", &format!("media = {{ directory = \".\" }}\n{config}"));
    let refused = world.command().output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("keep them apart"), "{refused:?}");
}
