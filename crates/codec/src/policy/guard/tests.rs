use expect_test::{ExpectFile, expect, expect_file};

use domain::policy::{Guard, Policy};

use super::{BYTES_MAX, words};
use crate::policy::{MAIN_FILE, parse};

mod meaning;

const HEAD: &str = "format = 1\nname = \"test\"\neffective_from = 2026-01-01T00:00:00Z\n";

fn gated(guard: &str) -> String {
    format!("{HEAD}[[gates]]\nid = \"a\"\nclosed = true\nguard = '''{guard}'''\n")
}

fn load(guard: &str) -> Result<Policy, String> {
    let loaded = parse(&[(MAIN_FILE, &gated(guard))]).map_err(|errors| errors.to_string())?;
    Ok(loaded.policy)
}

fn guard(text: &str) -> Guard {
    let mut policy = load(text).unwrap_or_else(|errors| panic!("{text}: {errors}"));
    policy.default.gates.remove(0).when.guard.unwrap()
}

/// Of each guard, what it is read as, or what is wrong with it.
#[track_caller]
fn read(guards: &[&str], told: ExpectFile) {
    let (head, field) = ("policy.toml, line 7, ", ", field `gates[0].guard`: ");
    let lines: Vec<String> = guards
        .iter()
        .map(|guard| match load(guard) {
            Ok(policy) => words(policy.default.gates[0].when.guard.as_ref().unwrap()),
            Err(errors) => {
                let told = errors.replace('\n', "\n    ").replace(head, "").replace(field, ": ");
                format!("{guard}\n    {told}")
            }
        })
        .collect();
    told.assert_eq(&format!("{}\n", lines.join("\n")));
}

#[test]
fn what_a_guard_may_say() {
    read(
        &[
            r#"member.plan == "ads""#,
            r#"'ads' != member.plan"#,
            r#"member.plan in ["ads", 'basic'] && !("new" in title.tags)"#,
            "title.maturity_rating > member.maturity_limit || title.maturity_rating >= 18",
            "member.maturity_limit <= -1",
            r#"member.since < timestamp("2026-01-01T00:00:00+01:00") && title.available_until < timestamp('2026-12-31T00:00:00Z')"#,
            r#"title.series == "" || title.partner == title.series"#,
            r#"(member.account == "a" && (member.plan == "b" && member.plan == "c")) || device.class == "tv""#,
            r#"!(title.id == "a") && device.security_level in ["L1", member.plan] // why"#,
            r#"member.concurrent_streams > 2 && device.elsewhere_at < timestamp("2026-01-01T00:00:00Z")"#,
            r#"member.profile in title.tags && member.territory != "D\"\\E""#,
            r#"member.plan == "\x61\u0064\163" && member.account != r"a\b""#,
            "title.maturity_rating in [0x10, 010, - 5, --5]",
            r#"member.since > timestamp("2026-01-01t00:00:00.5z")"#,
            "member.plan == 'a' // || member.plan == 'b'",
            "!!(member.plan in [member.account, 'a', 'a'])",
        ],
        expect_file!["tests/may_say.txt"],
    );
}

#[test]
fn what_is_outside() {
    read(
        &[
            "",
            "member.plan = 'ads'",
            "member.plan == 'ads' and member.territory == 'DE'",
            "member.plan == 'ads' &&",
            "member.plan ==",
            "member.plan.startsWith('a')",
            "size(title.tags) > 2",
            "title.tags.exists(tag, tag == 'new')",
            "title.tags.all(tag, tag == 'new')",
            "has(member.plan)",
            "has(member)",
            "member.plan == 'ads' ? true : false",
            "title.tags[0] == 'new'",
            "title.tags.contains('new')",
            "'new' in [title.tags[0]]",
            "member.since > now() - duration('30d')",
            "member.since < now",
            "member['plan'] == 'ads'",
            "title.maturity_rating + 1 > 16",
            "-title.maturity_rating > 16",
            "title.maturity_rating > -(-9223372036854775808)",
            "title.maturity_rating > 16.5",
            "title.maturity_rating > 16u",
            "title.maturity_rating > '16'",
            "title.maturity_rating > 99999999999999999999",
            "title.maturity_rating in [16, '18']",
            "member.plan > 'ads'",
            "member.plan",
            "true",
            "member.plan == null",
            "member.plan == true",
            "member.plan == {}",
            "member.plan == b'ads'",
            "member.plan == plan.Plan{}",
            "member.plann == 'ads'",
            "plan == 'ads'",
            "member.class == 'tv'",
            "weather == 'fine'",
            "device.class == 'fone'",
            "member.plan == 'a b'",
            "member.plan == ''",
            "'' in title.tags",
            "member.plan == member.plan",
            "1 == 1",
            "1 in [1, 2]",
            "member.plan in []",
            "member.plan in 'ads'",
            "member.plan in member.territory",
            "title.tags == ['new']",
            "title.tags in title.tags",
            "16 in title.tags",
            "member.streams > 2",
            "member_since > member.membership_since",
            "member.level == 'L1'",
            "['new'] == 'new'",
            "member.since > timestamp('yesterday')",
            "member.since > timestamp(1)",
            "member.since > '2026-01-01T00:00:00Z'",
            "member.since > now()",
            "duration('1h') > duration('2h')",
            "!member.plan",
            "!member.plan == 'ads'",
            "(member.plan == 'ads') == (member.account == 'owner')",
            "title.tags.map(tag, tag) == 'new'",
            "((((((((((((((((((((((((((((((((member.plan == 'ads'))))))))))))))))))))))))))))))))",
        ],
        expect_file!["tests/outside.txt"],
    );
}

#[test]
fn what_cannot_be_read() {
    read(
        &[
            "((((((((((((((((((((((((((((((((member.plan == 'ads')",
            "!(!(!(!(!(!(!(!(!(!(!(!(!(!(!(!(!(!(!(!(!(!(!(!(!(!(member.plan == 'a'))))))))))))))))))))))))))",
            "member.plan == 'ads' || )",
            "member.plan == 'ads' || (member.plan == 'b'",
            "member.plan == 'ads' & member.plan == 'b'",
            "member.plan == 'ads",
            "member.plan === 'ads'",
            "member.plan not in ['ads']",
            "member.plan == 'ads' OR member.plan == 'b'",
            "title.maturity_rating => 18 && title.maturity_rating =< 21",
            "title.maturity_rating > 0x8000000000000000",
            "12 < title.maturity_rating < 18",
            "// all of them",
            "member.plan == 'é'",
            "member.plan == 'ads'\u{200b}",
            "member.plan == '\\u00e9'",
            "member.`plan` == 'ads'",
            ".member.plan == 'ads'",
            "if == 'ads'",
            "'new' in title.tags == true",
            "member.since > timestamp('2026-01-01T00:00:00')",
            "member.since > timestamp('2026-01-01T00:00:00.0009Z')",
            "member.since > timestamp('2026-01-01T00:00:60Z')",
            "member.since > timestamp('2026-01-01T00:00:00-08:00[Europe/Berlin]')",
            "member.since > timestamp('20260101T000060Z')",
            "member.since > timestamp('2026-01-01T00:00Z')",
            "member.since > timestamp('2026-01-01T00:00:00+0100')",
            "member.plan <> 'ads'",
            "member.since > 2026-01-01T00:00:00Z",
            "not (member.plan == 'ads')",
        ],
        expect_file!["tests/unreadable.txt"],
    );
}

#[test]
fn a_mistake_is_told_in_the_line_where_it_is() {
    let errors = load("\nmember.plan == 'ads'\n  && (member.teritory == 'DE'\n  || plan > 1)");
    expect![[r#"
        policy.toml, line 9, column 7, field `gates[0].guard`: `member.teritory` is not a fact; did you mean `member.territory`?
        policy.toml, line 10, column 6, field `gates[0].guard`: `plan` is not a fact; did you mean `member.plan`?"#]]
    .assert_eq(&errors.unwrap_err());
    let errors = load("member.plan == 'ads'\n  && = 'x'").unwrap_err();
    assert!(errors.starts_with("policy.toml, line 8, column 6, "), "{errors}");
    // Where the same name stood before.
    let errors = load("member.plan == 'ads' // plan\n  || member.plan > 'b'").unwrap_err();
    assert!(errors.starts_with("policy.toml, line 8, column 6, "), "{errors}");
    let errors = load("d").unwrap_err();
    assert!(errors.starts_with("policy.toml, line 7, column 12, "), "{errors}");
    let errors = load("member.plan == 'ads'\n  || member.plan == 'ä'").unwrap_err();
    assert!(errors.starts_with("policy.toml, line 8, column 22, "), "{errors}");
}

/// Another rule has the same text, without escapes.
#[test]
fn a_mistake_in_a_text_with_escapes_is_told_where_its_field_begins() {
    let escaped = "[[gates]]\nid = \"a\"\nclosed = true\nguard = \"plan == \\\"a\\\"\"\n";
    let plain = "[[gates]]\nid = \"b\"\nclosed = true\nguard = 'plan == \"a\"'\n";
    let errors = parse(&[(MAIN_FILE, &format!("{HEAD}{escaped}{plain}"))]).unwrap_err();
    expect![[r#"
        policy.toml, line 7, field `gates[0].guard`: `plan` is not a fact; did you mean `member.plan`?
        policy.toml, line 11, column 10, field `gates[1].guard`: `plan` is not a fact; did you mean `member.plan`?"#]].assert_eq(&errors.to_string());
}

#[test]
fn a_guard_is_no_longer_than_can_be_read() {
    let joined = |n: usize| vec!["member.plan=='a'"; n].join("||");
    assert!(load(&joined(32)).is_ok());
    expect!["policy.toml, line 7, field `gates[0].guard`: has 66 facts and constants; write at most 64, or make several rules of it"]
        .assert_eq(&load(&joined(33)).unwrap_err());
    expect!["policy.toml, line 7, field `gates[0].guard`: has 1798 bytes; write at most 1000"]
        .assert_eq(&load(&joined(100)).unwrap_err());
}

/// In the stack that a thread of the service has.
#[test]
fn however_a_guard_is_nested_it_is_told() {
    for (before, inner, after) in [
        ("(", "1", ")"),
        ("!(", "1", ")"),
        ("(", "", ""),
        ("[", "1", "]"),
        ("{1:", "1", "}"),
        ("-", "1", ""),
        ("a?b:", "1", ""),
        ("a==", "1", ""),
        ("a&&", "1", ""),
        ("a.", "b", ""),
        ("", "a", "[0]"),
        ("", "a", ".b()"),
        ("a(", "1", ")"),
        ("a.all(b,", "1", ")"),
        ("'a' in ['b' in ", "[]", "]"),
        ("!-", "1", ""),
        ("((1)==", "1", ")"),
        ("1+", "1", ""),
        ("a in ", "1", ""),
        ("a{b:", "1", "}"),
        ("a.b(", "1", ")"),
        ("a.map(b,", "1", ")"),
        ("a.exists(b,c).", "d", ""),
        ("?", "", ""),
        ("\\", "", ""),
    ] {
        let deep = (BYTES_MAX - inner.len()) / (before.len() + after.len());
        let text = format!("{}{inner}{}", before.repeat(deep), after.repeat(deep));
        assert!(load(&text).is_err(), "{text}");
    }
}

#[test]
fn a_guard_reads_as_its_words() {
    for text in [
        "!(member.plan == 'a' || (member.plan == 'b' && 'new' in title.tags))",
        "member.since >= timestamp('2026-01-01T00:00:00Z') && title.maturity_rating in [6, -12]",
        "title.series != '' && !(!(device.class == 'web'))",
    ] {
        assert_eq!(guard(&words(&guard(text))), guard(text), "{text}");
    }
}

/// In a moment, however long it is.
#[test]
fn what_is_too_long_is_not_read() {
    let many = vec!["'a'"; 100_000].join(",");
    for text in ["!".repeat(1 << 20), "(".repeat(1 << 20), format!("member.plan in [{many}]")] {
        let told = format!("has {} bytes; write at most 1000", text.len());
        assert!(load(&text).unwrap_err().ends_with(&told));
    }
}

#[test]
fn a_guard_asks_nothing_that_is_not_there() {
    let device_cap = "[[caps]]\nid = \"a\"\ncounts = \"device_removals\"\nlimit = 1\n\
                      window = { rolling = \"30d\" }\nguard = ";
    let load = |guard: &str| parse(&[(MAIN_FILE, &format!("{HEAD}{device_cap}'{guard}'\n"))]);
    let errors = load(r#"device.class == "tv" && !("new" in title.tags)"#).unwrap_err();
    expect!["policy.toml, line 9, field `caps[0].guard`: a device that comes or goes is of no title; ask nothing of `title` here"]
        .assert_eq(&errors.to_string());
    assert!(load(r#"device.class == "tv""#).is_ok());
    let gate = "[[gates]]\nid = \"a\"\nnot_elsewhere_for = \"90d\"\n\
                guard = 'title.partner == \"a\"'\n";
    let errors = parse(&[(MAIN_FILE, &format!("{HEAD}{gate}"))]).unwrap_err();
    assert!(errors.to_string().contains("is of no title"), "{errors}");
}

#[test]
fn what_the_absence_of_a_guards_fact_means_is_said_or_pointed_at() {
    let told = |rest: &str| {
        let guard =
            "member.profile == 'kids' || title.maturity_rating > 12 || device.class == 'tv'";
        let loaded = parse(&[(MAIN_FILE, &format!("{}{rest}", gated(guard)))]);
        match loaded {
            Ok(loaded) => {
                let told: Vec<String> = loaded.unsaid.iter().map(ToString::to_string).collect();
                format!("{:?}\n{}", loaded.policy.default.gates[0].needs, told.join("\n"))
            }
            Err(errors) => errors.to_string(),
        }
    };
    expect![[r#"
        []
        policy.toml, line 4, field `gates[0]`: `a` does not say in `if_absent` what happens without `profile`; it applies, at its strictest
        policy.toml, line 4, field `gates[0]`: `a` does not say in `if_absent` what happens without `maturity_rating`; it applies, at its strictest"#]].assert_eq(&told(""));
    expect![[r#"
        [Profile, MaturityRating]
    "#]]
    .assert_eq(&told("if_absent = \"does_not_apply\"\n"));
    expect![[r#"
        []
        policy.toml, line 4, field `gates[0]`: `a` does not say in `if_absent` what happens without `maturity_rating`; it applies, at its strictest"#]].assert_eq(&told("if_absent = { profile = \"refuse\" }\n"));
    expect![[r#"
        policy.toml, line 8, field `gates[0].if_absent`: `allow` is not what the absence of `maturity_rating` can mean here; write `refuse` or `does_not_apply`
        policy.toml, line 8, field `gates[0].if_absent`: `allow` is not what the absence of `profile` can mean here; write `refuse` or `does_not_apply`"#]].assert_eq(&told("if_absent = \"allow\"\n"));
    expect!["policy.toml, line 8, field `gates[0].if_absent.account`: the rule does not go by `account`; leave it out"].assert_eq(&told("if_absent = { account = \"refuse\" }\n"));
}
