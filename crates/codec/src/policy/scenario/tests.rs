use expect_test::{Expect, expect, expect_file};

use super::*;
use domain::Policy;

use crate::policy::{self, MAIN_FILE};

const POLICY: &str = r#"
format = 1
name = "test"
effective_from = 2026-03-01T12:00:00Z
downgrade = { keep = "last_seen", notice = "7d" }

[terms]
start_within = "30d"
finish_within = "48h"
check_in_within = "60d"

[[gates]]
id = "plans"
plans = ["basic", "premium"]

[[caps]]
id = "devices"
counts = "devices_holding"
limit = { premium = 3, otherwise = 1 }
warn_at_left = 0

[[caps]]
id = "titles"
counts = "acquisitions_and_renewals"
per = ["title"]
window = { rolling = "365d" }
limit = 3
"#;

const HEAD: &str = r#"
format = 1
member = { plan = "basic" }
devices = { phone = "phone", tablet = "tablet" }
titles = { film = { partner = "aurora" }, "t1..t3" = { partner = "tidewater", tags = ["new"] } }
"#;

#[track_caller]
fn outcome(scenario: &str) -> Outcome {
    outcome_under(POLICY, scenario)
}

#[track_caller]
fn outcome_under(policy: &str, scenario: &str) -> Outcome {
    let text = format!("{HEAD}[[scenario]]\nname = \"one\"\n{scenario}");
    let scenarios = parse(&[("a.scenario.toml", &text)]).unwrap_or_else(|e| panic!("{e}"));
    let policy = policy::parse(&[(MAIN_FILE, policy)]).unwrap().policy;
    run(scenarios.first().unwrap(), &policy)
}

/// In the stack that a thread has.
#[test]
fn what_is_nested_deeper_than_a_scenario_is_not_read() {
    let told = |text: &str| parse(&[("a.scenario.toml", text)]).unwrap_err().to_string();
    let deep = format!("{}a = {{", "a.".repeat(78));
    expect!["a.scenario.toml, line 1: has a name of more than 16 parts; nothing is named so, leave dots out"].assert_eq(&told(&format!("{}1{}", deep.repeat(80), "}".repeat(80))));
    expect!["a.scenario.toml, line 3: has more than 16 brackets open inside each other; close those opened before, nothing is nested so deep"].assert_eq(&told(&format!("format = 1\n\ntitles = {}", "[".repeat(100_000))));
}

#[test]
fn a_drm_step_that_fails_and_an_exception_that_ends() {
    // Nothing was given: what was counted comes back.
    passes(
        r#"given = [
            "+0d phone acquires film and gets no keys for film",
            "+0d phone releases film",
            "+0d phone acquires film",
            "+1d phone renews film",
            "+2d phone releases film",
        ]
        when = "+3d phone acquires film"
        then = { accepted = true, left = { titles = 0 } }"#,
    );
    passes(
        r#"given = [
            "+0d phone acquires film",
            "+1d operator allows 1 more of devices until +30d",
            "+2d operator ends exception of devices",
        ]
        when = "+3d tablet acquires t1"
        then = { refused = [{ rule = "devices", limit = 1, used = 1 }] }"#,
    );
}

#[track_caller]
fn passes(scenario: &str) {
    assert_eq!(outcome(scenario), Outcome::Passed);
}

#[track_caller]
fn fails(scenario: &str, told: Expect) {
    let told_of = |row: &Row| {
        let sign = if row.same { ' ' } else { '!' };
        format!("{sign} {} | {} | {}", row.what, row.expected, row.found)
    };
    let found = match outcome(scenario) {
        Outcome::Passed => "passed".to_owned(),
        Outcome::Failed(rows) => rows.iter().map(told_of).collect::<Vec<_>>().join("\n"),
        Outcome::Impossible { line, message } => format!("line {line}: {message}"),
    };
    told.assert_eq(&found);
}

#[track_caller]
fn wrong(text: &str, told: Expect) {
    told.assert_eq(&parse(&[("a.scenario.toml", text)]).unwrap_err().to_string());
}

#[test]
fn a_cap_is_met_at_its_limit_and_refuses_beyond() {
    passes(
        r#"
        given = ["+0d phone acquires film", "+1d phone acquires t1..t3"]
        when = "+2d tablet acquires film"
        then = { refused = [{ rule = "devices", limit = 1, used = 1, frees_at = "+33d-1ms" }], retry_at = "+33d-1ms", remedies = 1 }
        "#,
    );
    passes(
        r#"
        given = ["+0d phone acquires film"]
        when = "+2d tablet acquires film with plan=premium"
        then = { accepted = true, how = "acquired", ends_at = "+32d", clock = "start", may_play_until = "+34d-1ms", left = { devices = 1, titles = 1 }, warns = [] }
        "#,
    );
    passes(
        r#"
        given = ["+0d member has plan=premium", "+0d phone acquires film"]
        when = "+33d tablet acquires film with plan=basic"
        then = { accepted = true, warns = ["devices"] }
        "#,
    );
}

#[test]
fn a_guard_says_whom_a_rule_is_for() {
    let guarded = r#"
        [[caps]]
        id = "one-new-on-basic"
        counts = "acquisitions"
        per = ["partner"]
        window = { rolling = "5d" }
        limit = 1
        guard = '"new" in title.tags && member.plan == "basic"'
        "#;
    let policy = format!("{POLICY}{guarded}");
    for (when, then) in [
        ("+1d phone acquires t2", r#"{ refused = ["one-new-on-basic"] }"#),
        ("+1d phone acquires film", "{ accepted = true, left = { devices = 0, titles = 2 } }"),
        (
            "+1d phone acquires t2 with plan=premium",
            "{ accepted = true, left = { devices = 2, titles = 2 } }",
        ),
        // Whose plan nobody told.
        ("+1d phone acquires t2 with plan=", r#"{ refused = ["plans", "one-new-on-basic"] }"#),
        // Five days after the first.
        (
            "+5d phone acquires t2",
            "{ accepted = true, left = { devices = 0, titles = 2, one-new-on-basic = 0 } }",
        ),
    ] {
        let given = "given = [\"+0d phone acquires t1\"]";
        let scenario = format!("{given}\nwhen = \"{when}\"\nthen = {then}");
        assert_eq!(outcome_under(&policy, &scenario), Outcome::Passed, "{when}");
    }
}

#[test]
fn every_deed_can_be_told() {
    passes(
        r#"
        given = [
            "+0d laptop registers as desktop keyed k1",
            "+0d phone acquires film",
            "+1d phone plays film",
            "+2d phone checks in",
            "+4d phone renews film",
            "+5d phone renews film automatically",
            "+5d phone releases film and laptop acquires t1",
            "+6d tablet releases t1 of laptop",
            "+7d laptop is removed",
        ]
        when = "+8d laptop registers as desktop keyed k1"
        then = "accepted"
        "#,
    );
    passes(
        r#"
        given = ["+0d phone acquires film"]
        when = "+9d phone reports film played +3d"
        then = { accepted = true, ends_at = "+5d", clock = "finish" }
        "#,
    );
    passes(
        r#"
        given = ["+0d phone acquires t1..t2", "+1d phone plays t1"]
        when = "+31d phone checks in"
        then = { accepted = true, held = [], ended = ["t2", "t1"], lapsed = [] }
        "#,
    );
    passes(
        r#"
        given = ["+0d phone acquires t1..t2", "+1d phone releases t1"]
        when = "+2d phone is removed"
        then = { accepted = true, closed = ["t2"] }
        "#,
    );
    passes(
        r#"
        given = ["+0d phone acquires film"]
        when = "+1d phone releases film and tablet acquires t1"
        then = "accepted"
        "#,
    );
    passes(
        r#"
        when = "+0d phone acquires film with plan="
        then = { refused = ["plan_not_allowed"], retry_at = "never" }
        "#,
    );
}

#[test]
fn what_befalls_a_member_can_be_told() {
    passes(
        r#"
        given = [
            "+0d member has plan=premium",
            "+0d phone acquires film",
            "+1d tablet acquires t1",
            "+2d operator releases film of phone",
            "+3d membership lapses",
            "+4d membership resumes",
            "+5d operator allows 2 more of devices until +20d",
            "+5d operator opens plans until +20d",
        ]
        when = "+6d member changes to plan=basic"
        then = { accepted = true, leaving = [] }
        "#,
    );
    passes(
        r#"
        given = ["+0d phone acquires film", "+1d operator allows 1 more of devices until +20d", "+1d tablet acquires film"]
        when = "+2d operator withdraws film"
        then = { accepted = true, closed = ["film", "film"] }
        "#,
    );
    passes(
        r#"
        given = ["+0d phone acquires film", "+1d operator opens plans until +20d"]
        when = "+2d operator revokes film of phone and phone acquires t1 with plan=free"
        then = { accepted = true, closed = ["film"] }
        "#,
    );
    for revoked in ["device phone", "member"] {
        passes(&format!(
            r#"
            given = ["+0d phone acquires film"]
            when = "+2d operator revokes {revoked}"
            then = {{ accepted = true, closed = ["film"] }}
            "#
        ));
    }
    passes(
        r#"
        given = ["+0d membership lapses"]
        when = "+2d phone acquires film"
        then = { refused = ["membership_lapsed"] }
        "#,
    );
}

#[test]
fn what_was_expected_stands_beside_what_was_found() {
    fails(
        r#"
        given = ["+0d phone acquires film"]
        when = "+1d tablet acquires film"
        then = { accepted = true, ends_at = "+31d" }
        "#,
        expect![
            "! answer | accepted | refused by `devices` (cap_reached), limit 1, used 1, frees 2026-04-02T11:59:59.999Z (+32d-1ms)"
        ],
    );
    fails(
        r#"
        when = "+1d tablet acquires film"
        then = { refused = ["devices"] }
        "#,
        expect!["! answer | refused by `devices` | accepted"],
    );
    fails(
        r#"
        when = "+1d tablet acquires film"
        then = { accepted = true, how = "renewed", ends_at = "+30d", clock = "finish", left = { devices = 1, titels = 2 }, warns = ["titles"], held = ["film"] }
        "#,
        expect![[r#"
              answer | accepted | accepted
            ! how | renewed | acquired
            ! ends_at | 2026-03-31T12:00:00.000Z (+30d) | 2026-04-01T12:00:00.000Z (+31d)
            ! clock | finish | start
            ! left of `devices` | 1 | 0
            ! left of `titels` | 2 | no rule of this policy
            ! warns | titles | devices
            ! held | film | none"#]],
    );
    fails(
        r#"
        given = ["+0d phone acquires film", "+1d phone releases film", "+1d phone acquires film"]
        when = "+2d tablet acquires film with territory=US plan=free"
        then = { refused = ["plans", { rule = "devices", used = 2 }, "titles"], retry_at = "+1d", remedies = 3 }
        "#,
        expect![[r#"
              answer | refused | refused
              refused by (1) | `plans` | `plans` (plan_not_allowed), frees never
            ! refused by (2) | `devices`, used 2 | `devices` (cap_reached), limit 1, used 1, frees 2026-04-03T11:59:59.999Z (+33d-1ms)
            ! refused by (3) | `titles` | -
            ! retry_at | 2026-03-02T12:00:00.000Z (+1d) | never
            ! remedies | 3 | 0"#]],
    );
}

#[test]
fn what_cannot_have_happened_is_named() {
    fails(
        r#"
        given = ["+0d phone acquires film", "+1d tablet acquires film"]
        when = "+2d phone acquires film"
        then = "accepted"
        "#,
        expect![
            "line 9: `+1d tablet acquires film`: cannot be given: it is refused by `devices` (cap_reached), limit 1, used 1, frees 2026-04-02T11:59:59.999Z (+32d-1ms)"
        ],
    );
    fails(
        r#"
        given = ["+3d phone acquires film", "+1d phone plays film"]
        when = "+2d phone acquires film"
        then = "accepted"
        "#,
        expect!["line 9: `+1d phone plays film` happened before what is told above it"],
    );
    fails(
        r#"
        given = ["+3d phone plays film"]
        when = "+4d phone acquires film"
        then = "accepted"
        "#,
        expect!["line 9: `+3d phone plays film`: there is no such copy"],
    );
    fails(
        r#"
        when = "+4d member has plan=premium"
        then = "accepted"
        "#,
        expect!["line 9: `+4d member has plan=premium` does not ask once"],
    );
}

#[test]
fn the_catalogue_changes() {
    // What is held was promised; what is asked for goes by what the catalogue says then.
    passes(
        r#"
        given = ["+0d phone acquires film", "+1d catalogue has film available_until=+10d"]
        when = "+2d phone plays film"
        then = { accepted = true, ends_at = "+4d", clock = "finish" }
        "#,
    );
    passes(
        r#"
        given = ["+0d phone acquires film", "+1d catalogue has film available_until=+10d"]
        when = "+11d phone renews film"
        then = { refused = ["title_no_longer_available"] }
        "#,
    );
    passes(
        r#"
        given = ["+0d phone acquires film", "+1d catalogue has film downloadable=false"]
        when = "+2d phone renews film"
        then = { refused = ["title_not_downloadable"] }
        "#,
    );
    passes(
        r#"
        given = [
          "+1d catalogue has t1..t3 downloadable=false offered=false maturity_rating=16",
          "+2d catalogue has t1..t3 downloadable=true offered=true maturity_rating=",
        ]
        when = "+3d phone acquires t2"
        then = "accepted"
        "#,
    );
    let by_facts = format!(
        "{POLICY}\n[[gates]]\nid = \"none\"\nclosed = true\n\
         guard = 'title.partner == \"north\" && title.series == \"saga\" && \"a\" in title.tags && !(\"new\" in title.tags)'\n"
    );
    let changed = r#"
        given = ["+1d catalogue has t1..t3 partner=north series=saga tags=a,b"]
        when = "+2d phone acquires t3"
        then = { refused = ["none"] }
    "#;
    assert_eq!(outcome_under(&by_facts, changed), Outcome::Passed);
    let back = r#"
        given = [
          "+1d catalogue has t1..t3 partner=north series=saga tags=a,b",
          "+1d catalogue has t3 series=",
          "+1d catalogue has t2 tags=",
        ]
        when = "+2d phone acquires t3 and acquires t2"
        then = "accepted"
    "#;
    assert_eq!(outcome_under(&by_facts, back), Outcome::Passed);
}

#[test]
fn what_is_not_understood_is_named_with_line_and_remedy() {
    wrong(
        "",
        expect![[r#"
        a.scenario.toml, line 1: `format` is missing; write `format = 1` at the top
        a.scenario.toml, line 1: `scenario` is missing; begin each with `[[scenario]]`"#]],
    );
    wrong(
        "format = 2",
        expect![
            "a.scenario.toml, line 1, field `format`: `2` is not a format of scenarios; write `format = 1`"
        ],
    );
    let mistakes = include_str!("tests/mistakes.scenario.toml");
    let told = parse(&[("a.scenario.toml", mistakes)]).unwrap_err();
    expect_file!["tests/mistakes.txt"].assert_eq(&format!("{told}\n"));
}

#[test]
fn times_are_told_from_the_start() {
    for (text, ms) in [("+0d", 0), ("+1d-1ms", 86_399_999), ("-1h+30m", -1_800_000)] {
        assert_eq!(text.parse(), Ok(Moment::AfterMs(ms)), "{text}");
    }
    let at = "2026-03-01T12:00:00Z";
    assert_eq!(at.parse(), Ok(Moment::At(at.parse().unwrap())));
    for text in ["", "+", "30d", "+30", "+1d+", "+1d1h", "+1d--1h", "+9223372036854775807d"] {
        assert_eq!(text.parse::<Moment>(), Err(InvalidMoment), "{text}");
    }
}

/// The guide's scenarios pass under the guide's smallest policy.
#[test]
fn the_guide_is_true() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policy.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let block = |fence: &str| guide.split(fence).nth(1).unwrap().split("```").next().unwrap();
    let policy = policy::parse(&[(MAIN_FILE, block("```toml\n"))]).unwrap().policy;
    let scenarios = parse(&[("guide", block("```toml scenario\n"))]).unwrap();
    assert!(scenarios.len() > 1);
    for scenario in scenarios {
        assert_eq!(run(&scenario, &policy), Outcome::Passed, "{}", scenario.name);
    }
}

/// Every example is a policy that answers as its scenarios say.
#[test]
fn the_examples_pass() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/examples");
    let mut failed = Vec::new();
    let mut tried = 0;
    for example in std::fs::read_dir(examples).unwrap() {
        let example = example.unwrap().path();
        let policy = policy::load_dir(&example).unwrap_or_else(|e| panic!("{example:?}: {e}"));
        let scenarios = load_dir(&example).unwrap_or_else(|e| panic!("{example:?}: {e}"));
        assert!(!scenarios.is_empty(), "{example:?} has no scenarios");
        for scenario in scenarios {
            tried += 1;
            match run(&scenario, &policy.policy) {
                Outcome::Passed => {}
                outcome => failed.push(format!("{example:?}: {}: {outcome:#?}", scenario.name)),
            }
        }
    }
    assert!(tried >= 100, "{tried}");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// With one more or one less of any cap some scenario fails: each is tried at its limit and beyond.
#[test]
fn the_examples_hold_every_cap_to_its_limit() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/examples");
    let mut loose = Vec::new();
    for example in std::fs::read_dir(examples).unwrap() {
        let example = example.unwrap().path();
        let policy = policy::load_dir(&example).unwrap().policy;
        let mut scenarios = load_dir(&example).unwrap();
        // Thousands of downloads for each change would take minutes.
        scenarios.retain(|scenario| scenario.titles.len() < 1_000);
        for (scope, rules) in policy::places::levels(&policy) {
            for cap in rules.caps.iter().filter(|cap| cap.limit.otherwise.unwrap_or(0) < 1_000) {
                for by in [1, -1] {
                    let other = with_limit(&policy, &scope, &cap.id, by);
                    if !scenarios.is_empty()
                        && scenarios.iter().all(|it| run(it, &other) == Outcome::Passed)
                    {
                        loose.push(format!("{example:?}: {scope}: {} by {by}", cap.id));
                    }
                }
            }
        }
    }
    assert!(loose.is_empty(), "{}", loose.join("\n"));
}

fn with_limit(policy: &Policy, scope: &policy::Scope, id: &RuleId, by: i64) -> Policy {
    fn moved<K>(table: &mut BTreeMap<K, u32>, by: i64) {
        table.values_mut().for_each(|limit| *limit = (i64::from(*limit) + by).max(0) as u32);
    }
    let mut policy = policy.clone();
    let rules = match scope {
        policy::Scope::AllTitles => &mut policy.default,
        policy::Scope::Partner(id) => policy.partners.get_mut(id).unwrap(),
        policy::Scope::Series(id) => policy.series.get_mut(id).unwrap(),
        policy::Scope::Title(id) => policy.titles.get_mut(id).unwrap(),
    };
    let cap = rules.caps.iter_mut().find(|cap| cap.id == *id).unwrap();
    if let Some(limit) = &mut cap.limit.otherwise {
        *limit = (i64::from(*limit) + by).max(0) as u32;
    }
    match &mut cap.limit.by {
        domain::policy::LimitBy::Plan(table) => moved(table, by),
        domain::policy::LimitBy::Territory(table) => moved(table, by),
        domain::policy::LimitBy::Class(table) => moved(table, by),
        domain::policy::LimitBy::Tag(table) => moved(table, by),
    }
    policy
}
