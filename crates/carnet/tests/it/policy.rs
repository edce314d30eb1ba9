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
        let said = said.replace(self.0.path().to_str().unwrap(), "DIR");
        match said.find("p1-") {
            Some(at) => format!("{}VERSION{}", &said[..at], &said[at + 35..]),
            None => said,
        }
    }
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
