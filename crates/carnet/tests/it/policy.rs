//! `carnet policy …` from outside.

use std::fs;
use std::path::{Path, PathBuf};

use expect_test::{Expect, expect};

use crate::process::{output, stderr};

const POLICY: &str = r#"format = 1
name = "test"
effective_from = 2026-03-01T12:00:00Z

[terms]
start_within = "30d"
finish_within = "48h"

[[caps]]
id = "devices"
counts = "devices_holding"
limit = { premium = 2, otherwise = 1 }
"#;

const SCENARIO: &str = r#"format = 1
member = { plan = "basic" }
devices = { phone = "phone", tablet = "tablet" }
titles = { film = { partner = "aurora" } }

[[scenario]]
name = "one device at a time"
given = ["+0d phone acquires film"]
when = "+1d tablet acquires film"
then = { refused = [{ rule = "devices", limit = 1, used = 1 }] }
"#;

struct Directory(tempfile::TempDir);

impl Directory {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The exit code and what was said, with the directory as `DIR` and the version as `VERSION`.
    fn said(&self, arguments: &[&str], path: &Path) -> String {
        let arguments = [&["policy"], arguments, &[path.to_str().unwrap()]].concat();
        let output = output(&arguments);
        let stdout = String::from_utf8(output.stdout.clone()).unwrap();
        let said = format!("{}\n{stdout}{}", output.status.code().unwrap(), stderr(&output));
        without_versions(&said.replace(self.0.path().to_str().unwrap(), "DIR"))
    }
}

/// Without the digits of versions.
fn without_versions(text: &str) -> String {
    let parts: Vec<&str> = text.split("p1-").collect();
    let rest = parts[1..].iter().map(|part| &part[32..]);
    std::iter::once(parts[0]).chain(rest).collect::<Vec<_>>().join("VERSION")
}

#[track_caller]
fn tested(policy: &str, scenario: &str, told: Expect) {
    let directory = Directory::new(&[("policy.toml", policy), ("a.scenario.toml", scenario)]);
    told.assert_eq(&directory.said(&["test"], directory.0.path()));
}

#[test]
fn scenarios_beside_a_policy_are_tried() {
    tested(
        POLICY,
        SCENARIO,
        expect![[r#"
            0
            1 of 1 scenarios pass under policy VERSION
        "#]],
    );
    tested(
        &POLICY.replace("otherwise = 1", "otherwise = 2"),
        SCENARIO,
        expect![[r#"
        1
        a.scenario.toml, line 6: one device at a time
                  expected                               found
        > answer  refused by `devices`, limit 1, used 1  accepted

        error: 1 of 1 scenarios failed under policy VERSION
    "#]],
    );
    tested(
        POLICY,
        &SCENARIO.replace("limit = 1", "limit = 3"),
        expect![[r#"
        1
        a.scenario.toml, line 6: one device at a time
                          expected                    found
          answer          refused                     refused
        > refused by (1)  `devices`, limit 3, used 1  `devices` (cap_reached), limit 1, used 1, frees 2026-04-02T11:59:59.999Z (+32d-1ms)

        error: 1 of 1 scenarios failed under policy VERSION
    "#]],
    );
    tested(
        POLICY,
        &SCENARIO.replace("phone acquires", "fone acquires"),
        expect![[r#"
        1
        error: a.scenario.toml, line 8, field `scenario[0]`: no device is called `fone`; add it to `devices`, like `fone = "phone"`
    "#]],
    );
    tested(
        POLICY,
        "format = 1\nscenario = []\n",
        expect![[r#"
        1
        error: `DIR` has no scenarios; write some in a file whose name ends with `.scenario.toml`
    "#]],
    );
}

#[test]
fn one_file_of_scenarios_is_tried_with_the_policy_beside_it_or_with_another() {
    let loose = POLICY.replace("otherwise = 1", "otherwise = 2");
    let directory = Directory::new(&[("policy.toml", POLICY), ("a.scenario.toml", SCENARIO)]);
    let draft = Directory::new(&[("policy.toml", &loose)]);
    let file = directory.path("a.scenario.toml");
    let code = |said: &str| said.chars().next().unwrap();
    assert_eq!(code(&directory.said(&["test"], &file)), '0');
    let draft = draft.path("");
    assert_eq!(code(&directory.said(&["test", "--policy", draft.to_str().unwrap()], &file)), '1');
    assert_eq!(code(&directory.said(&["test"], &directory.path("b.scenario.toml"))), '1');
}

#[test]
fn a_policy_is_no_scenarios_and_scenarios_are_no_policy() {
    let directory = Directory::new(&[("policy.toml", POLICY), ("a.scenario.toml", SCENARIO)]);
    expect![[r#"
        1
        error: `DIR/policy.toml` is not a file of scenarios, whose name ends with `.scenario.toml`; name the directory, or one of those
    "#]]
    .assert_eq(&directory.said(&["test"], &directory.path("policy.toml")));
    expect![[r#"
        1
        error: `DIR/a.scenario.toml` has scenarios and no policy; `carnet policy test` tries them
    "#]]
    .assert_eq(&directory.said(&["check"], &directory.path("a.scenario.toml")));
}

#[test]
fn a_policy_is_checked_for_what_has_no_effect_and_what_is_left_unsaid() {
    let twice =
        format!("{POLICY}\n[[caps]]\nid = \"twin\"\ncounts = \"devices_holding\"\nlimit = 9\n");
    let directory = Directory::new(&[("policy.toml", &twice), ("a.scenario.toml", "no policy")]);
    let file = directory.path("policy.toml");
    expect![[r#"
        0
        warning: policy.toml, line 14, field `caps[1]`: never refuses anything that `devices` (policy.toml, line 9) does not already
        note: policy.toml, line 9, field `caps[0]`: `devices` does not say in `if_absent` what happens without `plan`; it applies, at its strictest
        `DIR` can be used, and has 1 warning: policy VERSION
    "#]].assert_eq(&directory.said(&["check"], directory.0.path()));
    expect![[r#"
        1
        warning: policy.toml, line 14, field `caps[1]`: never refuses anything that `devices` (policy.toml, line 9) does not already
        note: policy.toml, line 9, field `caps[0]`: `devices` does not say in `if_absent` what happens without `plan`; it applies, at its strictest
        error: `DIR/policy.toml` can be used, and has 1 warning
    "#]].assert_eq(&directory.said(&["check", "--strict"], &file));
    let directory = Directory::new(&[("winter.toml", "format = 1\nname = \"winter\"\n")]);
    expect![[r#"
        1
        error: winter.toml, line 1: `effective_from` is missing; write `effective_from = 2026-01-01T00:00:00Z`
    "#]].assert_eq(&directory.said(&["check"], &directory.path("winter.toml")));
}

#[test]
fn what_changes_is_told_and_has_an_exit_code() {
    let loose = POLICY.replace("otherwise = 1", "otherwise = 2").replace("48h", "24h");
    let old = Directory::new(&[("policy.toml", POLICY)]);
    let new = Directory::new(&[("policy.toml", &loose)]);
    let (old_path, new_path) = (old.path(""), new.path(""));
    let old_path = old_path.to_str().unwrap();
    expect![[r#"
        3
        from `test` (VERSION) to `test` (VERSION), effective from 2026-03-01T12:00:00.000Z

        for all titles
          tighter: term `finish_within` changed (policy.toml, line 7)
            2d -> 1d, tighter
          looser: cap `devices` changed (policy.toml, line 9)
            limit for others: 1 -> 2, looser

        changes: 2, of which 1 tighter, 1 looser, 0 neither or both
    "#]]
    .assert_eq(&old.said(&["diff", old_path], &new_path));
    let same = old.said(&["diff", old_path], Path::new(old_path));
    assert!(same.starts_with('0') && same.contains("nothing changes"), "{same}");
    let json = output(&["policy", "diff", "--json", old_path, new_path.to_str().unwrap()]);
    assert_eq!(json.status.code(), Some(3));
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["changes"][0]["name"], "finish_within");
    assert_eq!(json["changes"][0]["direction"], "tighter");
    assert_eq!(json["changes"][1]["says"][0]["new"], "2");
    let nowhere = old.said(&["diff", old_path], &old.path("nowhere"));
    assert!(nowhere.starts_with('1'), "{nowhere}");
}

#[test]
fn what_holds_for_a_request_is_told_with_its_lines() {
    let own = "[partners.aurora.terms]\nfinish_within = \"24h\"\n\n[[partners.aurora.caps]]\n\
               id = \"devices\"\ncounts = \"devices_holding\"\nlimit = 3\n";
    let directory =
        Directory::new(&[("policy.toml", POLICY), ("studios.toml", &format!("format = 1\n{own}"))]);
    let ask = ["explain", "--partner", "aurora", "--plan", "premium", "--class", "tablet"];
    expect![[r#"
        0
        title `-` of partner `aurora` on a tablet, plan `premium`, territory unknown, under policy VERSION

        terms
          start_within 30d
            by all titles (policy.toml, line 6)
          finish_within 1d
            by partner `aurora` (studios.toml, line 3)
            instead of 2d by all titles (policy.toml, line 7)

        caps
          devices: up to 3, asked when acquiring, renewing
            counts: devices_holding; limit: 3
            by partner `aurora` (studios.toml, line 5)
            instead of the one by all titles (policy.toml, line 9)
    "#]].assert_eq(&directory.said(&ask, directory.0.path()));
    let json = output(
        &[&["policy"], &ask[..], &["--json", directory.path("").to_str().unwrap()]].concat(),
    );
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["terms"][1]["value"], "1d");
    assert_eq!(json["terms"][1]["from"]["place"]["file"], "studios.toml");
    assert_eq!(json["caps"][0]["limit"], 3);
    assert_eq!(json["caps"][0]["instead_of"][0]["scope"], "all titles");
    let unknown = output(&["policy", "explain", "--class", "fone", "nowhere"]);
    assert_eq!(unknown.status.code(), Some(2));
}
