//! What it says when something is wrong: which file, which line, what to do. Nothing is touched.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Output, Stdio};

use crate::process::{command, output, stderr};
use crate::world::{POLICY, World, catalogue, title};

/// Runs until it refuses to; the answer is what it said, with the world's directory as `DIR`.
fn refusal(world: &World) -> String {
    let output = world.command().output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    said(world, &output)
}

fn said(world: &World, output: &Output) -> String {
    let directory = world.path("").display().to_string();
    let errors: Vec<String> = stderr(output)
        .lines()
        // What is logged on the way is not the answer.
        .filter(|line| !line.starts_with('{'))
        .map(|line| line.replace(directory.trim_end_matches('/'), "DIR"))
        .collect();
    errors.join("\n")
}

#[test]
fn a_policy_that_is_wrong_is_named_with_line_and_remedy() {
    let world = World::new(1);
    world.write("policy/policy.toml", &POLICY.replace("\"30d\"", "\"30 suns\""));
    expect_test::expect![[r#"
        error: the policy is not usable:
        policy.toml, line 7, field `terms.start_within`: `30 suns` is not a length of time; write a number and a unit, like `30d`, `48h`, `90m` or `10s`"#]].assert_eq(&refusal(&world));
    assert!(!world.path("data").exists(), "nothing is made before everything is in order");
}

#[test]
fn a_catalogue_that_is_wrong_is_named_with_line_and_remedy() {
    let world = World::new(1);
    world.write("catalogue.jsonl", &(catalogue(1) + "{\"id\":\"x\"\n"));
    expect_test::expect![[r#"
        error: the catalogue is not usable:
        DIR/catalogue.jsonl, line 2: not a JSON object on one line: EOF while parsing an object at column 9"#]].assert_eq(&refusal(&world));
    assert!(!world.path("data").exists(), "nothing is made before everything is in order");
}

#[test]
fn a_missing_master_key_is_named_with_its_remedy() {
    let world = World::new(1);
    let output = world.command().env_remove("CARNET_MASTER_KEY").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    expect_test::expect!["error: configuration `DIR/carnet.toml`: `CARNET_MASTER_KEY` is not set: give it 32 random bytes as base64 or hex, for instance those of `openssl rand -base64 32`"].assert_eq(&said(&world, &output));
}

#[test]
fn an_address_in_use_is_named_with_its_remedy() {
    let world = World::new(1);
    let carnet = world.serve();
    let other = World::new(1);
    let config = fs::read_to_string(other.path("carnet.toml")).unwrap();
    other.write("carnet.toml", &config.replace("127.0.0.1:0", &carnet.address));
    let said = refusal(&other).replace(&carnet.address, "ADDRESS");
    expect_test::expect!["error: `ADDRESS` is in use by another process: stop it, or choose another address (`--listen` of the demo, `listen` in the configuration; port 0 takes a free one)"].assert_eq(&said);
}

#[test]
fn a_store_in_use_is_not_opened_twice() {
    let world = World::new(1);
    let _carnet = world.serve();
    expect_test::expect!["error: the store `DIR/data/ledger` was not opened: `DIR/data/ledger` is in use by another process; stop it first, one process owns a store"].assert_eq(&refusal(&world));
}

#[test]
fn a_damaged_store_is_not_opened_and_left_as_it_was_found() {
    let world = World::new(20);
    let carnet = world.serve();
    let client = world.client(&carnet, "ana");
    client.register("phone");
    for number in 0..20 {
        assert_eq!(client.acquire(&title(number), &format!("{number}")).unwrap().status, 201);
    }
    carnet.kill();
    let ledger = world.path("data/ledger");
    let wal = ledger.join("log.db-wal");
    let mut bytes = fs::read(&wal).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&wal, bytes).unwrap();

    let before = contents(&ledger);
    let said = refusal(&world);
    assert!(said.contains("DIR/data/ledger` was not opened"), "{said}");
    assert!(said.contains("restore the directory from a backup"), "{said}");
    assert_eq!(contents(&ledger), before);

    let verified = output(&["store", "verify", ledger.to_str().unwrap()]);
    assert_eq!(verified.status.code(), Some(1));
    assert_eq!(contents(&ledger), before);
}

#[test]
fn a_store_that_is_whole_is_verified() {
    let world = World::new(1);
    let carnet = world.serve();
    world.client(&carnet, "ana").register("phone");
    assert!(carnet.stop().success());
    let ledger = world.path("data/ledger");
    let verified = output(&["store", "verify", ledger.to_str().unwrap()]);
    assert!(verified.status.success(), "{verified:?}");
    let said = String::from_utf8(verified.stdout).unwrap();
    assert!(said.contains("is whole"), "{said}");
    let nowhere = output(&["store", "verify", "no-such-directory"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(stderr(&nowhere).contains("`no-such-directory` is not a directory"));
}

#[test]
fn a_policy_can_be_checked_before_it_is_used() {
    let world = World::new(1);
    let directory = world.path("policy");
    let check = || output(&["policy", "check", directory.to_str().unwrap()]);
    assert!(check().status.success());
    world.write("policy/policy.toml", &POLICY.replace("start_within", "start_witin"));
    assert_eq!(check().status.code(), Some(1));
    expect_test::expect!["error: policy.toml, line 7, field `terms.start_witin`: `start_witin` is not a known field; did you mean `start_within`?"].assert_eq(&said(&world, &check()));
}

#[test]
fn what_makes_no_sense_has_an_exit_code_of_its_own() {
    assert_eq!(output(&["serv"]).status.code(), Some(2));
    assert_eq!(output(&["demo", "--listen", "nowhere"]).status.code(), Some(2));
}

#[test]
fn content_keys_are_sealed_and_never_overwritten() {
    let world = World::new(1);
    let plain = "00112233445566778899aabbccddeeff";
    world.write("plain.json", &format!(r#"{{"keys":[{{"kid":"{plain}","key":"{plain}"}}]}}"#));
    let (input, sealed) = (world.path("plain.json"), world.path("sealed.json"));
    let seal = || {
        crate::process::command()
            .args(["keys", "seal", "--input"])
            .arg(&input)
            .arg("--output")
            .arg(&sealed)
            .env("CARNET_MASTER_KEY", "00".repeat(32))
            .output()
            .unwrap()
    };
    assert!(seal().status.success());
    let text = fs::read_to_string(&sealed).unwrap();
    assert_eq!(text.matches(plain).count(), 1, "the id, and not the key: {text}");
    assert_eq!(seal().status.code(), Some(1), "an existing file is left alone");
    assert_eq!(fs::read_to_string(&sealed).unwrap(), text);
}

fn contents(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

/// As behind `| head`.
#[test]
fn a_reader_who_has_heard_enough_is_no_bug() {
    let (stdout, stderr) = (Stdio::piped(), Stdio::piped());
    let mut child = command().arg("openapi").stdout(stdout).stderr(stderr).spawn().unwrap();
    // More than a pipe holds is yet to come.
    child.stdout.take().unwrap().read_exact(&mut [0; 1]).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), crate::process::stderr(&output)), (Some(1), String::new()));
}

#[test]
fn a_directory_that_holds_stores_is_no_store() {
    let world = World::new(1);
    world.serve().kill();
    for command_of_store in ["verify", "accept"] {
        let data = world.path("data");
        let output = command().args(["store", command_of_store]).arg(data).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        expect_test::expect![
            "error: `DIR/data` holds two stores: name `ledger` or `viewing` in it"
        ]
        .assert_eq(&said(&world, &output));
    }
    let ledger = world.path("data/ledger");
    let output = command().args(["store", "accept"]).arg(ledger).output().unwrap();
    expect_test::expect!["error: `DIR/data/ledger` has a watermark, so there is nothing to accept: `carnet store verify` says whether it is whole"].assert_eq(&said(&world, &output));
}
