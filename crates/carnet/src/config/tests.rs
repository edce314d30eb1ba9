use std::fs;

use drm::content_keys::MasterKey;

use super::*;

const OPERATIONS: &str = include_str!("../../../../docs/operations.md");

fn example() -> &'static str {
    let (_, rest) = OPERATIONS.split_once("```toml\n").unwrap();
    rest.split_once("```").unwrap().0
}

fn read(text: &str) -> anyhow::Result<File> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("carnet.toml");
    fs::write(&path, text).unwrap();
    parse(&path)
}

fn complaint(text: &str) -> String {
    let complaint = format!("{:#}", read(text).unwrap_err());
    let (_, tail) = complaint.split_once("carnet.toml`").expect("the file is named");
    tail.to_owned()
}

#[test]
fn the_example_of_the_documentation_is_one() {
    let file = read(example()).unwrap();
    assert_eq!(file.issuers.len(), 1);
    assert_eq!(file.api_keys[0].name, "checkout");
    assert_eq!(file.engine.in_flight_max, Some(2048));
    assert_eq!(file.limits, Limits::default(), "what it says are the defaults");
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let with = |from: &str, to: &str| {
        assert!(example().contains(from), "{from}");
        complaint(&example().replace(from, to))
    };
    expect_test::expect![", line 11, `cors_orgins`: unknown field `cors_orgins`, expected one of `issuer`, `listen`, `public_url`, `data`, `policy`, `catalogue`, `media`, `signing_keys`, `content_keys`, `proofs`, `cors_origins`, `issuers`, `api_keys`, `engine`, `limits`"].assert_eq(&with("cors_origins", "cors_orgins"));
    expect_test::expect![", line 10, `proofs`: unknown variant `sometimes`, expected one of `required`, `when_registered`, `off`"].assert_eq(&with("\"required\"", "\"sometimes\""));
    expect_test::expect![", line 2, `listen`: invalid socket address syntax"]
        .assert_eq(&with("\"0.0.0.0:8080\"", "\"8080\""));
    expect_test::expect![[
        r#", line 15, `audiences`: invalid type: string "carnet", expected a sequence"#
    ]]
    .assert_eq(&with("audiences = [\"carnet\"]", "audiences = \"carnet\""));
    expect_test::expect![", line 25: unclosed table, expected `]`"]
        .assert_eq(&with("[engine]", "[engine"));
    expect_test::expect![", line 34, `proof_window_seconds`: nothing would work with `0`: leave it out for the default"].assert_eq(&with("window_seconds = 60", "window_seconds = 0"));
    expect_test::expect![[
        r#", line 32, `unready_seconds`: invalid type: string "2s", expected u32"#
    ]]
    .assert_eq(&with("unready_seconds = 2", "unready_seconds = \"2s\""));
}

/// In the stack that a thread has.
#[test]
fn a_file_that_is_none_is_refused_before_it_is_parsed() {
    expect_test::expect![", line 2: has more than 16 brackets open inside each other; close those opened before, nothing is nested so deep"].assert_eq(&complaint(&format!("\nissuers = {}", "[".repeat(100_000))));
    let deep = format!("{}a = {{", "a.".repeat(78));
    expect_test::expect![
        ", line 1: has a name of more than 16 parts; nothing is named so, leave dots out"
    ]
    .assert_eq(&complaint(&format!("{}1{}", deep.repeat(80), "}".repeat(80))));
    expect_test::expect![" has more than 1048576 bytes, as no configuration has; check the path"]
        .assert_eq(&complaint(&"\n".repeat((1 << 20) + 1)));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("carnet.toml");
    fs::write(&path, b"\n# caf\xe9").unwrap();
    let error = parse(&path).unwrap_err().to_string();
    assert!(error.ends_with(", line 2: is not UTF-8; save the file as UTF-8"), "{error}");
}

/// `carnet serve --help` names every setting with its default, as the documentation does.
#[test]
fn the_help_names_every_limit_with_its_default() {
    let arguments = <crate::arguments::Arguments as clap::CommandFactory>::command();
    let serve = arguments.find_subcommand("serve").unwrap();
    let help = serve.clone().render_long_help().to_string();
    let (_, limits) = example().split_once("[limits]").unwrap();
    for line in limits.lines().skip(1).filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_once(" = ").unwrap();
        let value = rest.split_whitespace().next().unwrap();
        assert!(help.contains(&format!("{name} ({value})")), "{line}\n{help}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = load(Path::new("nowhere/carnet.toml")).unwrap_err();
    expect_test::expect!["cannot read the configuration `nowhere/carnet.toml` (docs/operations.md has an example): No such file or directory (os error 2)"].assert_eq(&format!("{error:#}"));
}

#[test]
fn paths_are_relative_to_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let signing_keys = directory.path().join("signing");
    SigningKeys::load_or_create(&signing_keys).unwrap();
    let master = MasterKey::parse(&MasterKey::generate().unwrap()).unwrap();
    let sealed = drm::content_keys::seal(r#"{"keys":[]}"#, &master).unwrap();
    fs::write(directory.path().join("content-keys.json"), sealed).unwrap();
    let text =
        example().replace("\"https://id.example.com/.well-known/jwks.json\"", "\"jwks.json\"");
    let plan = plan(read(&text).unwrap(), directory.path(), &master).unwrap();
    assert_eq!(plan.data, directory.path().join("data"));
    let KeySource::File(keys) = &plan.issuers[0].keys else { panic!("`jwks.json` is a file") };
    assert_eq!(*keys, directory.path().join("jwks.json"));
}
