use expect_test::{Expect, expect, expect_file};

use super::*;
use domain::Fact;

const HEAD: &str = "format = 1\nname = \"test\"\neffective_from = 2026-01-01T00:00:00Z\n";

/// What is wrong with a policy of one file that says this below its head.
#[track_caller]
fn wrong(body: &str, told: Expect) {
    wrong_files(&[(MAIN_FILE, &format!("{HEAD}{body}"))], told);
}

#[track_caller]
fn wrong_files(files: &[(&str, &str)], told: Expect) {
    told.assert_eq(&parse(files).unwrap_err().to_string());
}

fn right(body: &str) -> Policy {
    parse(&[(MAIN_FILE, &format!("{HEAD}{body}"))]).unwrap().policy
}

#[test]
fn what_is_written_is_what_is_meant() {
    let policy = right(
        r#"
        [terms]
        start_within = "30d"
        finish_within = "48h"
        check_in_within = "30d"
        grace = "0s"
        running_play = "4h"
        not_before = 2026-01-01T00:00:00Z
        hard_end = 2026-12-31 23:00:00+01:00
        end_with_availability = true
        renewals_max = 5
        renew_before_end = "7d"
        renew_after_end = "90d"

        [[gates]]
        id = "plans"
        plans = ["standard", "premium"]
        of = { tags = ["kids"] }
        when = { territories = ["DE"] }

        [[caps]]
        id = "devices"
        counts = "devices_holding"
        limit = { standard = 2, premium = 6, otherwise = 1 }

        [[caps]]
        id = "titles"
        counts = "acquisitions_and_renewals"
        per = ["title", "profile"]
        window = { calendar = "month", zone = "europe/berlin" }
        limit = 3
        of = { tags = ["kids"], device_classes = ["phone", "tv"] }
        when = { plans = ["standard"], territories = ["DE"] }

        [partners.aurora-pictures]
        gates = [{ id = "closed", closed = true }]

        [series."northern/tales".terms]
        renewals_max = 0

        [[titles."10.5240/7791".caps]]
        id = "titles"
        counts = "renewals"
        window = { rolling = "365d" }
        limit = { standard = 0, premium = 1 }
        "#,
    );
    expect_file!["tests/meant.txt"].assert_eq(&format!("{policy:#?}\n"));
}

#[test]
fn the_demo_policy_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/examples/demo");
    let policy = load_dir(&folder).unwrap_or_else(|errors| panic!("{errors}")).policy;
    assert_eq!(policy.name, "demo");
}

/// Every example of the guide is a policy.
#[test]
fn the_guide_is_true() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policy.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let mut examples = 0;
    for block in guide.split("```toml\n").skip(1) {
        let example = block.split("```").next().unwrap();
        let head = if example.starts_with("format") { "" } else { HEAD };
        if let Err(errors) = parse(&[(MAIN_FILE, &format!("{head}{example}"))]) {
            panic!("{errors}\nin\n{example}");
        }
        examples += 1;
    }
    assert!(examples >= 8, "{examples}");
}

/// Each kind of rule that was collected is in the guide's last table, once, and every word of the
/// language that the table names is shown in an example.
#[test]
fn the_guide_shows_where_each_kind_of_rule_is_written() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policy.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let (_, table) = guide.split_once("## Everything that services ask for").unwrap();
    let kinds = [("C", 13), ("W", 8), ("E", 9), ("T", 16), ("D", 11), ("G", 7), ("A", 8), ("H", 6)];
    let mut expected: Vec<String> = kinds
        .iter()
        .flat_map(|(letter, last)| (1..=*last).map(move |number| format!("{letter}{number}")))
        .collect();
    let examples = guide_lines().join("\n");
    let mut told = Vec::new();
    for row in table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| |")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let [ids, _, place] = cells[..] else { panic!("{row}") };
        told.extend(ids.split(',').map(|id| id.trim().to_owned()));
        for code in place.split('`').skip(1).step_by(2) {
            let word = |c: char| c.is_ascii_lowercase() || c == '_';
            let named = code.split(|c| !word(c)).find(|word| !word.is_empty()).unwrap();
            let elsewhere = ["frees_at", "carnet"].contains(&named);
            assert!(elsewhere || examples.contains(named), "`{named}` is in no example: {row}");
        }
    }
    told.sort();
    expected.sort();
    assert_eq!(told, expected);
}

#[test]
fn the_smallest_policy() {
    let policy = right("");
    assert_eq!(policy.default, domain::policy::Rules::default());
    assert_eq!(policy.effective_from.to_string(), "2026-01-01T00:00:00.000Z");
}

#[test]
fn a_file_that_is_not_toml() {
    wrong(
        "[terms\ngrace = \"1h\"",
        expect!["policy.toml, line 4: is not TOML: unclosed table, expected `]`"],
    );
    wrong(
        "grace = 1h\nname = \"again\"\n[terms]\n[terms]\n",
        expect![[r#"
        policy.toml, line 4: is not TOML: string values must be quoted, expected literal string
        policy.toml, line 5: is not TOML: duplicate key
        policy.toml, line 7: is not TOML: duplicate key"#]],
    );
}

#[test]
fn what_a_policy_needs() {
    wrong_files(&[], expect!["policy.toml: is missing; it holds the rules for all titles"]);
    wrong_files(
        &[(MAIN_FILE, "")],
        expect![[r#"
        policy.toml, line 1: `effective_from` is missing; write `effective_from = 2026-01-01T00:00:00Z`
        policy.toml, line 1: `format` is missing; write `format = 1` at the top
        policy.toml, line 1: `name` is missing; name the policy, like `name = "winter"`"#]],
    );
    wrong_files(
        &[("partners.toml", "format = 1")],
        expect!["policy.toml: is missing; it holds the rules for all titles"],
    );
    wrong_files(
        &[(MAIN_FILE, "format = 2\nrules = 1\n")],
        expect![
            "policy.toml, line 1, field `format`: `2` is not a format this program reads; write `format = 1`, or run a newer carnet"
        ],
    );
    wrong_files(
        &[(MAIN_FILE, "format = 1\nname = \"\"\neffective_from = 2026-01-01T00:00:00\n")],
        expect![[r#"
            policy.toml, line 2, field `name`: a name has 1 to 100 characters on one line
            policy.toml, line 3, field `effective_from`: `2026-01-01T00:00:00` is not an instant; write date, time and offset, like `2026-01-01T00:00:00Z`"#]],
    );
    wrong_files(
        &[(MAIN_FILE, "format = \"1\"\nname = 3\neffective_from = \"2026-01-01T00:00:00Z\"\n")],
        expect![[r#"
            policy.toml, line 1, field `format`: is a string, and should be a whole number: the format of this file
            policy.toml, line 2, field `name`: is an integer, and should be the policy's name
            policy.toml, line 3, field `effective_from`: is a string, and should be an instant without quotes; write date, time and offset, like `2026-01-01T00:00:00Z`"#]],
    );
}

#[test]
fn unknown_names_are_refused_with_what_was_meant() {
    wrong(
        r#"
        terns = 1
        [terms]
        finish_withing = "1h"
        deadline = "1h"
        [[gates]]
        id = "g"
        plan = ["standard"]
        [[caps]]
        id = "c"
        counts = "acquisition"
        per = ["member"]
        limit = 1
        window = { roling = "30d" }
        of = { classes = ["phone"] }
        when = { plans = ["a"], territory = ["DE"] }
        [[caps]]
        id = "d"
        counts = "downloads"
        limit = { standard = 1, otherwize = 2 }
        of = { device_classes = ["phones", "fridge"] }
        [partners.aurora]
        cap = []
        "#,
        expect![[r#"
            policy.toml, line 5, field `terns`: `terns` is not a known field; did you mean `terms`?
            policy.toml, line 7, field `terms.finish_withing`: `finish_withing` is not a known field; did you mean `finish_within`?
            policy.toml, line 8, field `terms.deadline`: `deadline` is not a known field; known here: `auto_renew_every`, `check_in_within`, `delete_at_end`, `end_with_availability`, `end_within`, `finish_anchor`, `finish_within`, `grace`, `hard_end`, `not_before`, `release_frees`, `renew_after_end`, `renew_before_end`, `renew_from`, `renewals_max`, `running_play`, `start_within`
            policy.toml, line 9, field `gates[0]`: a gate has a condition; write `plans`, `territories`, `not_territories`, `device_classes`, `security_levels`, `accounts`, `concurrent_streams`, `not_elsewhere_for`, `maturity`, `downloadable` or `closed`
            policy.toml, line 11, field `gates[0].plan`: `plan` is not a known field; did you mean `plans`?
            policy.toml, line 14, field `caps[0].counts`: `acquisition` is not something that is counted; did you mean `acquisitions`?
            policy.toml, line 15, field `caps[0].per[0]`: `member` is not a scope; known are `profile`, `device`, `device_class`, `partner`, `series`, `title`, `tag`
            policy.toml, line 17, field `caps[0].window`: a window is of one kind: `rolling`, `calendar`, `anniversary`, `first_use`, `min_interval`, `lifetime`; write `window = { rolling = "30d" }` or `window = { calendar = "month", zone = "Europe/Berlin" }`
            policy.toml, line 17, field `caps[0].window.roling`: `roling` is not a known field; did you mean `rolling`?
            policy.toml, line 18, field `caps[0].of.classes`: `classes` is not a known field; known here: `device_classes`, `tags`
            policy.toml, line 19, field `caps[0].when.territory`: `territory` is not a known field; did you mean `territories`?
            policy.toml, line 22, field `caps[1].counts`: `downloads` is not something that is counted; known are `active_licenses`, `devices_holding`, `distinct_titles`, `devices_registered`, `acquisitions`, `renewals`, `first_plays`, `plays`, `device_registrations`, `device_swaps`, `device_removals`, `acquisitions_and_renewals`
            policy.toml, line 23, field `caps[1].limit.otherwize`: `otherwize` would be a plan of that name; did you mean `otherwise`?
            policy.toml, line 24, field `caps[1].of.device_classes[0]`: `phones` is not a device class; did you mean `phone`?
            policy.toml, line 24, field `caps[1].of.device_classes[1]`: `fridge` is not a device class; known are `phone`, `tablet`, `tv`, `desktop`, `web`
            policy.toml, line 26, field `partners.aurora.cap`: `cap` is not a known field; did you mean `caps`?"#]],
    );
}

#[test]
fn lengths_and_instants() {
    wrong(
        r#"
        [terms]
        start_within = "1 month"
        finish_within = 48
        check_in_within = "0s"
        grace = "4000d"
        hard_end = 2026-12-31
        not_before = 2026-01-01T00:00:00Z
        renewals_max = -1
        renew_before_end = "99999999999999999999d"
        end_with_availability = "yes"
        "#,
        expect![[r#"
            policy.toml, line 6, field `terms.start_within`: `1 month` is not a length of time; write a number and a unit, like `30d`, `48h`, `90m` or `10s`
            policy.toml, line 7, field `terms.finish_within`: is an integer, and should be a length of time; write a number and a unit, like `30d`, `48h`, `90m` or `10s`
            policy.toml, line 8, field `terms.check_in_within`: a clock of no length is over at once; use a gate with `closed = true`
            policy.toml, line 9, field `terms.grace`: is longer than ten years; leave the field out where nothing ends it
            policy.toml, line 10, field `terms.hard_end`: `2026-12-31` is not an instant; write date, time and offset, like `2026-01-01T00:00:00Z`
            policy.toml, line 12, field `terms.renewals_max`: `-1` is out of range; write a number from 0 to 1000000
            policy.toml, line 13, field `terms.renew_before_end`: `99999999999999999999d` is not a length of time; write a number and a unit, like `30d`, `48h`, `90m` or `10s`
            policy.toml, line 14, field `terms.end_with_availability`: is a string, and should be `true` or `false`"#]],
    );
    wrong(
        "[terms]\nnot_before = 2026-02-01T00:00:00Z\nhard_end = 2026-02-01T01:00:00+01:00\n",
        expect![
            "policy.toml, line 6, field `terms.hard_end`: is not after `not_before` (2026-02-01T00:00:00.000Z); no play fits between"
        ],
    );
    wrong(
        "[terms]\n[partners.aurora]\n",
        expect![[r#"
            policy.toml, line 4, field `terms`: says nothing; set a term or remove the table
            policy.toml, line 5, field `partners.aurora`: says nothing; give it `terms`, `tighten`, `gates` or `caps`, or remove it"#]],
    );
}

// "A policy with a longer window is refused at load."
#[test]
fn windows() {
    wrong(
        r#"
        [[caps]]
        id = "too-long"
        counts = "acquisitions"
        limit = 1
        window = { rolling = "401d" }
        [[caps]]
        id = "none"
        counts = "renewals"
        limit = 1
        [[caps]]
        id = "of-what-is-true-now"
        counts = "active_licenses"
        limit = 1
        window = { rolling = "30d" }
        [[caps]]
        id = "both"
        counts = "acquisitions"
        limit = 1
        window = { rolling = "30d", zone = "Europe/Berlin" }
        [[caps]]
        id = "whose-calendar"
        counts = "acquisitions"
        limit = 1
        window = { calendar = "month" }
        [[caps]]
        id = "odd-calendar"
        counts = "acquisitions"
        limit = 1
        window = { calendar = "months", zone = "Europe/Berlim" }
        [[caps]]
        id = "far-away"
        counts = "acquisitions"
        limit = 1
        window = { calendar = "fortnight", zone = "Atlantis" }
        [[caps]]
        id = "nothing"
        counts = "acquisitions"
        limit = 1
        window = { rolling = "0s" }
        [[caps]]
        id = "text"
        counts = "acquisitions"
        limit = 1
        window = "30d"
        "#,
        expect![[r#"
            policy.toml, line 9, field `caps[0].window.rolling`: a member's state remembers 400d, and this window is 401d; write at most `400d` or `lifetime = true`, or raise what is remembered with the service stopped: `carnet store raise-horizon DIR 401d`
            policy.toml, line 10, field `caps[1]`: `renewals` are counted in a window; add `window = { rolling = "30d" }` or `window = { calendar = "month", zone = "Europe/Berlin" }`
            policy.toml, line 18, field `caps[2].window`: `active_licenses` counts what is true now; remove the window, or count `acquisitions`
            policy.toml, line 23, field `caps[3].window.zone`: a window `rolling` is the same in every zone; leave `zone` out
            policy.toml, line 28, field `caps[4].window.calendar`: `zone` is missing; name the zone whose calendar it is, like `zone = "Europe/Berlin"`
            policy.toml, line 33, field `caps[5].window.calendar`: `months` is not a calendar period; did you mean `month`?
            policy.toml, line 33, field `caps[5].window.zone`: `Europe/Berlim` is not a time zone; did you mean `Europe/Berlin`?
            policy.toml, line 38, field `caps[6].window.calendar`: `fortnight` is not a calendar period; known are `day`, `week`, `month`, `year`
            policy.toml, line 38, field `caps[6].window.zone`: `Atlantis` is not a time zone; write an IANA name, like `Europe/Berlin`
            policy.toml, line 43, field `caps[7].window.rolling`: a window of no length counts nothing; write how far back to count
            policy.toml, line 48, field `caps[8].window`: is a string, and should be a table: `window = { rolling = "30d" }` or `window = { calendar = "month", zone = "Europe/Berlin" }`"#]],
    );
    assert_eq!(domain::policy::HORIZON.to_string(), "400d");
    right(
        "[[caps]]\nid = \"c\"\ncounts = \"renewals\"\nlimit = 1\nwindow = { rolling = \"400d\" }",
    );
}

/// "A policy with a longer window is refused at load, naming the command that raises the horizon"
#[test]
fn a_store_that_remembers_more_takes_longer_windows() {
    let text = |days: u32| {
        format!(
            "format = 1\nname = \"x\"\neffective_from = 2026-01-01T00:00:00Z\n[[caps]]\nid = \"c\"\n\
             counts = \"renewals\"\nlimit = 1\nwindow = {{ rolling = \"{days}d\" }}\n"
        )
    };
    let load = |days, horizon| parse_within(&[(MAIN_FILE, &text(days))], Duration::days(horizon));
    let loaded = load(800, 800).unwrap();
    assert_eq!(loaded.policy.reach(), Duration::days(800));
    let refused = load(801, 800).unwrap_err().to_string();
    assert!(refused.contains("remembers 800d") && refused.contains("store raise-horizon DIR 801d"));
    assert!(load(3_661, 9_999).unwrap_err().to_string().contains("at most 3660d"));
    assert!(parse(&[(MAIN_FILE, &text(800))]).is_err(), "where nobody raised it");
    assert_eq!(parse_source(&loaded.source), Ok(loaded), "what was published is read again");
}

#[test]
fn limits() {
    wrong(
        r#"
        [[caps]]
        id = "a"
        counts = "active_licenses"
        limit = 0
        [[caps]]
        id = "b"
        counts = "active_licenses"
        limit = 1000001
        [[caps]]
        id = "c"
        counts = "active_licenses"
        limit = { otherwise = 3 }
        [[caps]]
        id = "d"
        counts = "active_licenses"
        limit = { "my plan" = 3, premium = "many" }
        [[caps]]
        id = "e"
        counts = "active_licenses"
        limit = 1.5
        [[caps]]
        id = "f"
        counts = "active_licenses"
        [[caps]]
        id = "g"
        counts = "devices_holding"
        per = ["device"]
        limit = {}
        "#,
        expect![[r#"
            policy.toml, line 8, field `caps[0].limit`: a cap of 0 refuses always; use a gate with `closed = true`
            policy.toml, line 12, field `caps[1].limit`: `1000001` is out of range; write a number from 0 to 1000000
            policy.toml, line 16, field `caps[2].limit`: names no plan; write the limit as a number, or one for each plan
            policy.toml, line 20, field `caps[3].limit."my plan"`: `my plan` is not a plan: an id is printable ASCII without blanks, character 3 is not
            policy.toml, line 20, field `caps[3].limit.premium`: is a string, and should be a whole number: up to how many
            policy.toml, line 24, field `caps[4].limit`: is a float, and should be a whole number: up to how many
            policy.toml, line 25, field `caps[5]`: `limit` is missing; say up to how many, like `limit = 3` or `limit = { standard = 2, otherwise = 1 }`
            policy.toml, line 31, field `caps[6].per`: devices counted per `device` are never more than one; leave it out
            policy.toml, line 32, field `caps[6].limit`: names no plan; write the limit as a number, or one for each plan"#]],
    );
}

#[test]
fn gates() {
    wrong(
        r#"
        [[gates]]
        id = "none"
        when = { plans = ["standard"] }
        [[gates]]
        id = "two"
        plans = ["standard"]
        closed = true
        [[gates]]
        id = "no"
        downloadable = false
        [[gates]]
        id = "empty"
        territories = []
        [[gates]]
        id = "twice"
        not_territories = ["DE", "FR", "DE"]
        of = {}
        when = {}
        [[gates]]
        id = "text"
        plans = "standard"
        [[gates]]
        id = "odd"
        territories = ["Bosnia and Herzegovina", 3]
        "#,
        expect![[r#"
            policy.toml, line 5, field `gates[0]`: a gate has a condition; write `plans`, `territories`, `not_territories`, `device_classes`, `security_levels`, `accounts`, `concurrent_streams`, `not_elsewhere_for`, `maturity`, `downloadable` or `closed`
            policy.toml, line 11, field `gates[1].closed`: a gate has one condition; make a second gate of this one
            policy.toml, line 14, field `gates[2].downloadable`: says nothing when `false`; write `true` or remove the gate
            policy.toml, line 17, field `gates[3].territories`: names nothing; list at least one of territories or leave the field out
            policy.toml, line 20, field `gates[4].not_territories[2]`: is listed twice; leave one out
            policy.toml, line 21, field `gates[4].of`: selects nothing; give it `tags` or `device_classes`, or remove it
            policy.toml, line 22, field `gates[4].when`: selects nothing; give it `plans`, `territories`, `security_levels` or `accounts`, or remove it
            policy.toml, line 25, field `gates[5].plans`: is a string, and should be a list of plans: `["standard"]`
            policy.toml, line 28, field `gates[6].territories[0]`: `Bosnia and Herzegovina` is not a territory: an id is printable ASCII without blanks, character 7 is not
            policy.toml, line 28, field `gates[6].territories[1]`: is an integer, and should be a territory"#]],
    );
    wrong(
        "gates = 1\n[caps]\nid = \"c\"\n",
        expect![[r#"
        policy.toml, line 4, field `gates`: is an integer, and should be a list of tables; begin each with `[[gates]]`
        policy.toml, line 5, field `caps`: is a table, and should be a list of tables; begin each with `[[caps]]`"#]],
    );
}

#[test]
fn gates_by_what_is_told_from_elsewhere() {
    let policy = right(
        r#"
        [[gates]]
        id = "streams"
        concurrent_streams = { premium = 4, otherwise = 0 }
        if_absent = { concurrent_streams = "allow", plan = "refuse" }
        [[gates]]
        id = "apart"
        not_elsewhere_for = "90d"
        if_absent = "allow"
        [[caps]]
        id = "renewals"
        counts = "renewals"
        window = { anniversary = "year", zone = "UTC", of = "license" }
        limit = 6
        "#,
    );
    let told: Vec<_> = policy.default.gates.iter().map(|it| (&it.condition, &it.needs)).collect();
    expect![[r#"
        [(ConcurrentStreams(Limit { otherwise: Some(0), by: Plan({"premium": 4}) }), [ConcurrentStreams]), (NotElsewhereFor(90d), [ElsewhereAt])]"#]]
    .assert_eq(&format!("{told:?}"));
    let window = &policy.default.caps[0].window;
    assert_eq!(format!("{window:?}"), "Anniversary(License, Year, UTC)");
}

#[test]
fn what_is_told_from_elsewhere_cannot_be_asked_everywhere() {
    wrong(
        r#"
        [[gates]]
        id = "a"
        concurrent_streams = { by = "plans", premium = 4 }
        [[gates]]
        id = "b"
        concurrent_stream = 2
        [[gates]]
        id = "c"
        not_elsewhere_for = "0d"
        of = { tags = ["new"] }
        if_absent = { elsewhere = "allow" }
        [[gates]]
        id = "d"
        concurrent_streams = { premium = 4 }
        if_absent = "allow"
        [[caps]]
        id = "e"
        counts = "acquisitions_and_renewals"
        window = { anniversary = "month", zone = "UTC", of = "license" }
        limit = 1
        [[caps]]
        id = "f"
        counts = "renewals"
        window = { anniversary = "month", zone = "UTC", of = "licence" }
        limit = 1
        [[caps]]
        id = "g"
        counts = "renewals"
        window = { rolling = "1d", of = "license" }
        limit = 1
        [partners.aurora]
        gates = [{ id = "h", not_elsewhere_for = "1d" }]
        "#,
        expect![[r#"
            policy.toml, line 7, field `gates[0].concurrent_streams.by`: `plans` is not what a limit goes by; did you mean `plan`?
            policy.toml, line 8, field `gates[1]`: a gate has a condition; write `plans`, `territories`, `not_territories`, `device_classes`, `security_levels`, `accounts`, `concurrent_streams`, `not_elsewhere_for`, `maturity`, `downloadable` or `closed`
            policy.toml, line 10, field `gates[1].concurrent_stream`: `concurrent_stream` is not a known field; did you mean `concurrent_streams`?
            policy.toml, line 13, field `gates[2].not_elsewhere_for`: keeps nobody apart; write for how long a device has to be with nobody else
            policy.toml, line 14, field `gates[2].of`: a device that comes has no tags; leave `tags` out
            policy.toml, line 15, field `gates[2].if_absent.elsewhere`: `elsewhere` is not a known field; did you mean `elsewhere_at`?
            policy.toml, line 19, field `gates[3].if_absent`: `allow` is not what the absence of `plan` can mean here; write `refuse` or `does_not_apply`
            policy.toml, line 23, field `caps[0].window.of`: only a renewal is of a license that has a day of its own; count `renewals` and nothing else, or leave `of` out
            policy.toml, line 28, field `caps[1].window.of`: `licence` is not what an anniversary is of; did you mean `license`?
            policy.toml, line 33, field `caps[2].window.of`: only an `anniversary` is of anything; leave `of` out
            policy.toml, line 36, field `partners.aurora.gates[0]`: a device comes without a title; ask this in the rules for all titles"#]],
    );
}

#[test]
fn ids_are_used_once_at_a_level_and_for_one_kind_of_rule() {
    wrong(
        r#"
        [[gates]]
        id = "a"
        closed = true
        [[caps]]
        id = "a"
        counts = "active_licenses"
        limit = 1
        [[caps]]
        id = "b"
        counts = "active_licenses"
        limit = 1
        [[caps]]
        id = "b"
        counts = "active_licenses"
        limit = 2
        [[caps]]
        counts = "active_licenses"
        limit = 2
        [[caps]]
        id = "with blank"
        counts = "active_licenses"
        limit = 2
        [[partners.aurora.gates]]
        id = "b"
        closed = true
        [partners."aurora pictures".terms]
        grace = "1h"
        [titles.".."]
        [series]
        x = 1
        "#,
        expect![[r#"
            policy.toml, line 9, field `caps[0].id`: `a` is a gate in policy.toml, line 6, and a cap here; give one of them another id
            policy.toml, line 17, field `caps[2].id`: `b` is used in line 13 of the same level; give one of them another id
            policy.toml, line 20, field `caps[3]`: `id` is missing; name it, like `id = "downloads-per-month"`
            policy.toml, line 24, field `caps[4].id`: `with blank` is not an id: an id is printable ASCII without blanks, character 5 is not
            policy.toml, line 28, field `partners.aurora.gates[0].id`: `b` is a cap in policy.toml, line 13, and a gate here; give one of them another id
            policy.toml, line 30, field `partners."aurora pictures"`: `aurora pictures` is not the id of a partner: an id is printable ASCII without blanks, character 7 is not
            policy.toml, line 32, field `titles.".."`: `..` is not the id of a title: `.` and `..` are not ids
            policy.toml, line 34, field `series.x`: is an integer, and should be a table with `terms`, `tighten`, `gates` and `caps`"#]],
    );
    // A narrower rule takes the place of a wider one by bearing its id.
    right(
        "[[gates]]\nid = \"a\"\nclosed = true\n[[partners.x.gates]]\nid = \"a\"\nplans = [\"p\"]",
    );
}

#[test]
fn partners_may_have_files_of_their_own() {
    let main = format!("{HEAD}[partners.aurora.terms]\ngrace = \"1h\"\n");
    let other = "format = 1\n[partners.tidewater.terms]\ngrace = \"2h\"\n";
    let policy = parse(&[("tidewater.toml", other), (MAIN_FILE, &main)]).unwrap().policy;
    assert_eq!(policy.partners.len(), 2);

    wrong_files(
        &[
            (MAIN_FILE, &main),
            (
                "z.toml",
                "format = 1\nname = \"z\"\n[partners.aurora.terms]\ngrace = \"3h\"\n[[caps]]",
            ),
            ("broken.toml", "["),
        ],
        expect![[r#"
            broken.toml, line 1: is not TOML: unquoted keys cannot be empty, expected letters, numbers, `-`, `_`
            z.toml, line 2, field `name`: `name` belongs in `policy.toml`; another file holds `partners`, `series`, `titles` and `texts`
            z.toml, line 3, field `partners.aurora`: a partner has one table; the other is in policy.toml, line 4
            z.toml, line 5, field `caps`: `caps` belongs in `policy.toml`; another file holds `partners`, `series`, `titles` and `texts`"#]],
    );
}

/// Whatever is in a file: an answer, and no panic, in the stack that a thread of the service has.
#[test]
fn hostile_files_are_refused() {
    let nested = expect![
        "policy.toml, line 1: has more than 16 brackets open inside each other; close those opened before, nothing is nested so deep"
    ];
    let dotted = expect![
        "policy.toml, line 1: has a name of more than 16 parts; nothing is named so, leave dots out"
    ];
    let refused = |text: &str, told: &Expect| {
        told.assert_eq(&parse(&[(MAIN_FILE, text)]).unwrap_err().to_string());
    };
    refused(&"[".repeat(4 << 20), &nested);
    refused(&format!("a = {}", "[".repeat(100_000)), &nested);
    refused(&format!("a = {}", "{b=[".repeat(100_000)), &nested);
    refused(&format!("[{}a]", "a.".repeat(50_000)), &dotted);
    refused(&".".repeat(100_000), &dotted);
    let deep = format!("{}a", "a.".repeat(78));
    refused(&format!("{}1{}", format!("{deep} = {{").repeat(80), "}".repeat(80)), &dotted);
    wrong_files(
        &[(MAIN_FILE, &"[\n".repeat(100_000))],
        expect![
            "policy.toml, line 17: has more than 16 brackets open inside each other; close those opened before, nothing is nested so deep"
        ],
    );
    // Brackets and dots in texts and comments are none.
    let text = format!("a = \"{0}\" # {0}\n", "[.".repeat(20));
    wrong(
        &text,
        expect![
            "policy.toml, line 4, field `a`: `a` is not a known field; known here: `caps`, `downgrade`, `effective_from`, `format`, `gates`, `lapse`, `name`, `partners`, `series`, `terms`, `texts`, `tighten`, `titles`"
        ],
    );
    let bom = format!("\u{feff}{HEAD}");
    assert!(parse(&[(MAIN_FILE, &bom)]).is_ok(), "as some editors save it");
    wrong_files(
        &[(MAIN_FILE, HEAD), ("a\nb.toml", "format = 1")],
        expect![[r#"a\nb.toml: has a control character in its name; rename it"#]],
    );
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(body in "([a-z_.\\[\\]{}=\" \n0-9-]|format|terms|caps|gates|limit = |\\PC){0,60}") {
        let _ = parse(&[(MAIN_FILE, &format!("{HEAD}{body}"))]);
    }

    /// Lines of the guide in any order: every word of the language, mostly in the wrong place.
    #[test]
    fn whatever_is_wrong_has_a_file_and_a_line(
        picked in proptest::collection::vec(proptest::prelude::any::<proptest::sample::Index>(), 0..60),
    ) {
        let lines = guide_lines();
        let picked: Vec<&str> = picked.iter().map(|at| lines[at.index(lines.len())].as_str()).collect();
        if let Err(errors) = parse(&[(MAIN_FILE, &format!("{HEAD}{}", picked.join("\n")))]) {
            for error in errors.errors {
                proptest::prop_assert!(error.line.is_some(), "{error}");
            }
        }
    }
}

fn guide_lines() -> Vec<String> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policy.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let blocks = guide.split("```toml\n").skip(1).filter_map(|block| block.split("```").next());
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

/// What is wrong with a rule is told at once, whatever else is wrong with it.
#[test]
fn one_mistake_hides_no_other() {
    wrong(
        r#"
        [[caps]]
        id = "a"
        counts = "aquisitions"
        per = "device"
        window = "month"
        limit = { territory = { DE = 25, otherwise = 15 } }
        [[caps]]
        id = "b"
        counts = ["acquisitions", "renewals"]
        window = { anniversary = "month", zone = "Berlin", of = "license" }
        limit = 6
        "#,
        expect![[r#"
            policy.toml, line 7, field `caps[0].counts`: `aquisitions` is not something that is counted; did you mean `acquisitions`?
            policy.toml, line 8, field `caps[0].per`: is a string, and should be a list of scopes: `["device"]`
            policy.toml, line 9, field `caps[0].window`: is a string, and should be a table: `window = { rolling = "30d" }` or `window = { calendar = "month", zone = "Europe/Berlin" }`
            policy.toml, line 10, field `caps[0].limit.territory`: is a table by territory; write it as `limit` itself, with `by = "territory"` in it
            policy.toml, line 14, field `caps[1].window.of`: only a renewal is of a license that has a day of its own; count `renewals` and nothing else, or leave `of` out
            policy.toml, line 14, field `caps[1].window.zone`: `Berlin` is not a time zone; write an IANA name, like `Europe/Berlin`"#]],
    );
}

#[test]
fn at_most_fifty_problems_are_told() {
    let body: String = (0..70).map(|n| format!("field-number-{n} = 1\n")).collect();
    let errors = parse(&[(MAIN_FILE, &format!("{HEAD}{body}"))]).unwrap_err();
    assert_eq!((errors.errors.len(), errors.untold), (ERRORS_MAX, 20));
    assert!(errors.to_string().ends_with("\nand 20 more"), "{errors}");
}

/// Of so many mistakes as a file can hold, what is told is as short.
#[test]
fn a_large_file_that_is_not_toml_is_told_where_it_begins_to_be_none() {
    let broken = "=\n".repeat(400_000);
    wrong(
        &broken,
        expect![
            "policy.toml, line 4: is not TOML: unquoted keys cannot be empty, expected letters, numbers, `-`, `_`"
        ],
    );
}

/// In a moment, however long they are.
#[test]
fn long_lists_and_long_names_are_read() {
    let plans: Vec<String> = (0..60_000).map(|n| format!("\"p{n}\"")).collect();
    let gate = format!("[[gates]]\nid = \"a\"\nplans = [{}, \"p59999\"]\n", plans.join(","));
    wrong(
        &gate,
        expect![
            "policy.toml, line 6, field `gates[0].plans[60000]`: is listed twice; leave one out"
        ],
    );
    let name = "a".repeat(300_000);
    let errors = parse(&[(MAIN_FILE, &format!("{HEAD}{name} = 1\n[partners.{name}]\nb = 1\n"))]);
    let errors = errors.unwrap_err();
    assert_eq!(errors.errors.len(), 2);
    for error in errors.errors {
        assert!(error.to_string().len() < 2_000, "{}", error.to_string().len());
    }
}

// "A policy version is the hash of content, time-zone data and evaluation semantics."
#[test]
fn a_version_is_of_the_content() {
    let loaded = |text: &str| parse(&[(MAIN_FILE, text)]).unwrap();
    let version = |text: &str| loaded(text).policy.version.as_str().to_owned();
    let first = version(HEAD);
    assert!(first.starts_with("p1-") && first.len() == 35, "{first}");
    assert_eq!(first, version(&HEAD.replace('\n', "\r\n")), "line ends of another editor");
    assert_ne!(first, version(&format!("{HEAD}# a comment\n")));
    let more = ("more.toml", "format = 1\n");
    let in_two = parse(&[(MAIN_FILE, HEAD), more]).unwrap();
    assert_ne!(first, in_two.policy.version.as_str());
    assert_eq!(in_two, parse(&[more, (MAIN_FILE, HEAD)]).unwrap(), "in whatever order they come");
}

#[test]
fn a_stored_source_is_the_policy_again() {
    let files = [
        (MAIN_FILE, HEAD),
        ("a b.toml", "format = 1\n# file 3 policy.toml\n"),
        ("z.toml", "format = 1\n[partners.aurora.terms]\ngrace = \"1h\""),
    ];
    let loaded = parse(&files).unwrap();
    assert_eq!(parse_source(&loaded.source).unwrap(), loaded);
    for cut in 0..loaded.source.len() {
        assert!(parse_source(&loaded.source[..cut]).is_err(), "cut at {cut}");
    }
    for damaged in ["", "carnet policy 2\n", "carnet policy 1\nfile 99999999999999999999 a\n"] {
        expect!["stored policy: is not a policy as this program stores it; load its files again"]
            .assert_eq(&parse_source(damaged).unwrap_err().to_string());
    }
}

#[test]
fn a_directory_is_read_as_far_as_it_is_policy() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write(MAIN_FILE, HEAD.as_bytes());
    write("README.md", b"not a policy");
    write(".policy.toml.swp", b"an editor's");
    write(".#policy.toml", b"an editor's");
    std::fs::create_dir(folder.path().join("old")).unwrap();
    assert_eq!(load_dir(folder.path()).unwrap(), parse(&[(MAIN_FILE, HEAD)]).unwrap());

    write("latin.toml", b"format = 1\n# caf\xe9\n");
    expect!["latin.toml, line 2: is not UTF-8; save the file as UTF-8"]
        .assert_eq(&load_dir(folder.path()).unwrap_err().to_string());

    std::fs::remove_file(folder.path().join("latin.toml")).unwrap();
    write("large.toml", &vec![b'\n'; (1 << 20) + 1]);
    expect!["large.toml: has more than 1048576 bytes; split it into several"]
        .assert_eq(&load_dir(folder.path()).unwrap_err().to_string());

    std::fs::remove_file(folder.path().join("large.toml")).unwrap();
    for n in 0..33 {
        write(&format!("{n}.toml"), &vec![b'\n'; 1 << 20]);
    }
    let error = load_dir(folder.path()).unwrap_err().to_string();
    let told =
        "more than 33554432 bytes in all; say what is the same for many titles of their partner";
    assert!(error.contains(told), "{error}");

    let missing = folder.path().join("gone");
    let error = load_dir(&missing).unwrap_err().to_string();
    assert!(error.contains("gone: cannot be read: "), "{error}");
}

#[test]
fn every_window_every_count_and_every_limit() {
    let policy = right(
        r#"
        [[caps]]
        id = "union"
        counts = ["acquisitions", "first_plays"]
        per = ["tag"]
        window = { lifetime = true }
        limit = { by = "tag", new = 1, otherwise = 3 }
        warn_at_left = 1
        [[caps]]
        id = "anniversary"
        counts = "plays"
        window = { anniversary = "month", zone = "Europe/Berlin" }
        limit = { by = "territory", DE = 25 }
        [[caps]]
        id = "again"
        counts = "device_registrations"
        per = ["device"]
        window = { min_interval = "90d" }
        [[caps]]
        id = "swaps"
        counts = "device_swaps"
        window = { first_use = "14d" }
        limit = { by = "device_class", phone = 2, otherwise = 1 }
        [[caps]]
        id = "titles"
        counts = "distinct_titles"
        limit = 25
        [[caps]]
        id = "titles-in-a-year"
        counts = "distinct_titles"
        window = { rolling = "365d" }
        limit = 25
        [[caps]]
        id = "devices"
        counts = "devices_registered"
        limit = 6
        idle_after = "180d"
        "#,
    );
    let told: Vec<String> = policy
        .default
        .caps
        .iter()
        .map(|cap| {
            let (counts, per, idle) = (cap.counts.name(), &cap.per, &cap.idle_after);
            let (window, limit, warn) = (&cap.window, &cap.limit, &cap.warn_at_left);
            format!("{counts} {per:?} {window:?} {limit:?} {idle:?} {warn:?}")
        })
        .collect();
    expect![[r#"
        acquisitions_and_first_plays [Tag] Lifetime Limit { otherwise: Some(3), by: Tag({"new": 1}) } None Some(1)
        plays [] Anniversary(Member, Month, Europe/Berlin) Limit { otherwise: None, by: Territory({"DE": 25}) } None None
        device_registrations [Device] Rolling(90d) Limit { otherwise: Some(1), by: Plan({}) } None None
        device_swaps [] FirstUse(14d) Limit { otherwise: Some(1), by: Class({Phone: 2}) } None None
        distinct_titles [] Now Limit { otherwise: Some(25), by: Plan({}) } None None
        distinct_titles [] Rolling(365d) Limit { otherwise: Some(25), by: Plan({}) } None None
        devices_registered [] Now Limit { otherwise: Some(6), by: Plan({}) } Some(180d) None"#]].assert_eq(&told.join("\n"));
}

#[test]
fn what_cannot_be_counted_so() {
    wrong(
        r#"
        [[caps]]
        id = "a"
        counts = ["acquisitions", "plays", "first_plays", "device_swaps"]
        window = { rolling = "1d" }
        limit = 1
        [[caps]]
        id = "b"
        counts = ["plays", "first_plays"]
        window = { rolling = "1d", first_use = "1d" }
        limit = 1
        [[caps]]
        id = "c"
        counts = "devices_registered"
        per = ["device", "title", "profile"]
        of = { tags = ["new"] }
        window = { rolling = "1d" }
        limit = { by = "device_class", phones = 1 }
        [[caps]]
        id = "d"
        counts = "device_removals"
        window = { min_interval = "1d" }
        limit = 2
        idle_after = "1d"
        [[caps]]
        id = "e"
        counts = "distinct_titles"
        per = ["title"]
        window = { lifetime = false }
        limit = { by = "colour", red = 1 }
        [[caps]]
        id = "f"
        counts = "device_swaps"
        window = { anniversary = "month" }
        limit = 1
        [[caps]]
        id = "h"
        counts = "active_licenses"
        limit = { standard = 0, premium = 0 }
        [[caps]]
        id = "i"
        counts = "active_licenses"
        limit = 2
        warn_at_left = 2
        [partners.aurora]
        caps = [{ id = "g", counts = "devices_registered", limit = 1 }]
        "#,
        expect![[r#"
            policy.toml, line 7, field `caps[0].counts[3]`: `device_swaps` is not something that is counted together with others; known are `acquisitions`, `renewals`, `first_plays`, `plays`
            policy.toml, line 12, field `caps[1].counts`: a first play is a play too, and would count twice; leave one of them out
            policy.toml, line 13, field `caps[1].window`: a window is of one kind: `rolling`, `calendar`, `anniversary`, `first_use`, `min_interval`, `lifetime`; write `window = { rolling = "30d" }` or `window = { calendar = "month", zone = "Europe/Berlin" }`
            policy.toml, line 18, field `caps[2].per`: `devices_registered` are of no title and cannot be counted per `title`; leave it out
            policy.toml, line 18, field `caps[2].per`: a device is the member's, and no profile's; leave `profile` out
            policy.toml, line 18, field `caps[2].per`: devices counted per `device` are never more than one; leave it out
            policy.toml, line 19, field `caps[2].of`: a device that comes or goes has no tags; leave `tags` out
            policy.toml, line 20, field `caps[2].window`: `devices_registered` counts what is true now; remove the window, or count `device_registrations`
            policy.toml, line 21, field `caps[2].limit.phones`: `phones` is not a device_class: known are `phone`, `tablet`, `tv`, `desktop`, `web`
            policy.toml, line 26, field `caps[3].limit`: once in a `min_interval` is a limit of 1 already; leave it out
            policy.toml, line 27, field `caps[3].idle_after`: only `devices_holding` and `devices_registered` leave idle devices out
            policy.toml, line 31, field `caps[4].per`: titles counted per `title` are never more than one; leave it out
            policy.toml, line 32, field `caps[4].window.lifetime`: says nothing when `false`; write `true`, or another window
            policy.toml, line 33, field `caps[4].limit.by`: `colour` is not what a limit goes by; known are `plan`, `territory`, `device_class`, `tag`
            policy.toml, line 37, field `caps[5].window.anniversary`: `zone` is missing; name the zone whose calendar it is, like `zone = "Europe/Berlin"`
            policy.toml, line 39, field `caps[6]`: every limit is 0: it refuses always; use a gate with `closed = true`
            policy.toml, line 43, field `caps[7]`: `warn_at_left` is no less than the limit: it warns always
            policy.toml, line 49, field `partners.aurora.caps[0].counts`: devices come and go without a title; count them in the rules for all titles"#]],
    );
}

// "everything else may only tighten, and is refused at load for fields that have no order"
#[test]
fn what_tightens_and_what_cannot() {
    let policy = right(
        r#"
        [terms]
        finish_anchor = "title"
        end_within = "14d"
        renew_from = "end"
        auto_renew_every = "1d"
        [[tighten]]
        id = "t"
        of = { tags = ["new"] }
        when = { security_levels = ["L3"], accounts = ["extra"] }
        finish_within = "24h"
        "#,
    );
    let (terms, [tighten]) = (&policy.default.terms, &policy.default.tighten[..]) else {
        panic!("{policy:?}")
    };
    assert_eq!(terms.finish_anchor, Some(domain::policy::FinishAnchor::Title));
    assert_eq!(terms.renew_from, Some(domain::policy::RenewFrom::End));
    assert_eq!(terms.end_within, "14d".parse().ok());
    assert_eq!(terms.auto_renew_every, "1d".parse().ok());
    assert_eq!(tighten.terms.finish_within, "24h".parse().ok());
    assert_eq!(tighten.when.security_levels, ["L3".parse().unwrap()]);
    assert_eq!(tighten.when.accounts, ["extra".parse().unwrap()]);
    wrong(
        r#"
        [terms]
        finish_anchor = "member"
        [[tighten]]
        id = "t"
        renew_from = "now"
        end_with_availability = false
        [[tighten]]
        id = "u"
        when = { plans = ["ads"] }
        [[tighten]]
        finish_whithin = "1d"
        [[gates]]
        id = "t"
        closed = true
        "#,
        expect![[r#"
            policy.toml, line 6, field `terms.finish_anchor`: `member` is not one of the words for it; known are `term`, `license`, `title`
            policy.toml, line 9, field `tighten[0].renew_from`: neither `now` nor `end` is the tighter one; set it in the terms of a partner, series or title
            policy.toml, line 10, field `tighten[0].end_with_availability`: does not tighten; write `true`, or leave it out
            policy.toml, line 11, field `tighten[1]`: tightens nothing; set a term, like `finish_within = "24h"`
            policy.toml, line 14, field `tighten[2]`: `id` is missing; name it, like `id = "downloads-per-month"`
            policy.toml, line 14, field `tighten[2]`: tightens nothing; set a term, like `finish_within = "24h"`
            policy.toml, line 15, field `tighten[2].finish_whithin`: `finish_whithin` is not a known field; did you mean `finish_within`?
            policy.toml, line 17, field `gates[0].id`: `t` is a tightening in policy.toml, line 8, and a gate here; give one of them another id"#]],
    );
}

// "`policy check` points at each"
#[test]
fn where_a_rule_leaves_absence_unsaid_is_known() {
    let text = r#"
        [[gates]]
        id = "plans"
        plans = ["premium"]
        when = { territories = ["DE"] }
        [[gates]]
        id = "maturity"
        maturity = true
        if_absent = { maturity_limit = "allow" }
        [[gates]]
        id = "streams"
        concurrent_streams = { premium = 4 }
        [[gates]]
        id = "apart"
        not_elsewhere_for = "90d"
        [[gates]]
        id = "levels"
        security_levels = ["L1"]
        [[gates]]
        id = "accounts"
        accounts = ["owner"]
        if_absent = "allow"
        [[caps]]
        id = "said"
        counts = "active_licenses"
        per = ["profile"]
        limit = { standard = 2 }
        if_absent = "does_not_apply"
        [[caps]]
        id = "unsaid"
        counts = "acquisitions"
        per = ["profile"]
        window = { anniversary = "month", zone = "Europe/Berlin" }
        limit = { by = "territory", DE = 2 }
        [[tighten]]
        id = "ads"
        when = { plans = ["ads"] }
        finish_within = "1d"
        if_absent = "refuse"
        "#;
    let loaded = parse(&[(MAIN_FILE, &format!("{HEAD}{text}"))]).unwrap();
    let told: Vec<String> = loaded.unsaid.iter().map(ToString::to_string).collect();
    expect![[r#"
        policy.toml, line 5, field `gates[0]`: `plans` does not say in `if_absent` what happens without `plan`; it refuses
        policy.toml, line 5, field `gates[0]`: `plans` does not say in `if_absent` what happens without `territory`; it applies, at its strictest
        policy.toml, line 9, field `gates[1]`: `maturity` does not say in `if_absent` what happens without `maturity_rating`; it refuses
        policy.toml, line 13, field `gates[2]`: `streams` does not say in `if_absent` what happens without `plan`; it applies, at its strictest
        policy.toml, line 13, field `gates[2]`: `streams` does not say in `if_absent` what happens without `concurrent_streams`; it refuses
        policy.toml, line 16, field `gates[3]`: `apart` does not say in `if_absent` what happens without `elsewhere_at`; it refuses
        policy.toml, line 19, field `gates[4]`: `levels` does not say in `if_absent` what happens without `security_level`; it refuses
        policy.toml, line 32, field `caps[1]`: `unsaid` does not say in `if_absent` what happens without `profile`; it counts what every profile did
        policy.toml, line 32, field `caps[1]`: `unsaid` does not say in `if_absent` what happens without `territory`; it applies, at its strictest
        policy.toml, line 32, field `caps[1]`: `unsaid` does not say in `if_absent` what happens without `member_since`; it counts as far back as such a period can reach"#]].assert_eq(&told.join("\n"));
    let rules = &loaded.policy.default;
    let gates: Vec<_> = rules.gates.iter().map(|gate| &gate.needs[..]).collect();
    assert_eq!(gates, [&[][..], &[Fact::MaturityLimit], &[], &[], &[], &[Fact::Account]]);
    assert_eq!(rules.caps[0].needs, [Fact::Profile, Fact::Plan]);
    assert_eq!((&rules.caps[1].needs[..], &rules.tighten[0].needs[..]), (&[][..], &[][..]));
}

#[test]
fn absence_means_what_the_rule_can_do() {
    wrong(
        r#"
        [[gates]]
        id = "a"
        plans = ["premium"]
        if_absent = "does_not_apply"
        [[gates]]
        id = "b"
        closed = true
        if_absent = "allow"
        [[gates]]
        id = "c"
        plans = ["premium"]
        when = { territories = ["DE"] }
        if_absent = "allow"
        [[caps]]
        id = "d"
        counts = "active_licenses"
        limit = 1
        if_absent = { plan = "refuse", plans = "refuse" }
        [[caps]]
        id = "e"
        counts = "active_licenses"
        per = ["profile"]
        limit = 1
        if_absent = "ignore"
        "#,
        expect![[r#"
            policy.toml, line 8, field `gates[0].if_absent`: `does_not_apply` is not what the absence of `plan` can mean here; write `refuse` or `allow`
            policy.toml, line 12, field `gates[1].if_absent`: the rule goes by no fact that could be absent; leave it out
            policy.toml, line 17, field `gates[2].if_absent`: `allow` is not what the absence of `territory` can mean here; write `refuse` or `does_not_apply`
            policy.toml, line 22, field `caps[0].if_absent.plan`: the rule does not go by `plan`; leave it out
            policy.toml, line 22, field `caps[0].if_absent.plans`: `plans` is not a known field; did you mean `plan`?
            policy.toml, line 28, field `caps[1].if_absent`: `ignore` is not what absence can mean; known are `refuse`, `allow`, `does_not_apply`"#]],
    );
}

#[test]
fn what_a_changed_membership_does() {
    let policy = right(
        "[downgrade]\nkeep = \"first_registered\"\nnotice = \"7d\"\n[lapse]\nend_within = \"0s\"\n\
         [terms]\nrelease_frees = \"when_confirmed\"\ndelete_at_end = true\n",
    );
    let downgrade = policy.downgrade.unwrap();
    assert_eq!(downgrade.keep, domain::policy::Keep::FirstRegistered);
    assert_eq!(downgrade.notice, "7d".parse().unwrap());
    assert_eq!(policy.lapse_ends_within, "0s".parse().ok());
    let frees = domain::policy::ReleaseFrees::WhenConfirmed;
    assert_eq!(policy.default.terms.release_frees, Some(frees));
    assert_eq!(policy.default.terms.delete_at_end, Some(true));
    assert_eq!((right("").downgrade, right("").lapse_ends_within), (None, None));
    wrong(
        "[downgrade]\nkeep = \"newest\"\n[lapse]\nwithin = \"9999d\"\n",
        expect![[r#"
        policy.toml, line 4, field `downgrade`: `notice` is missing; say how long the others have, like `notice = "7d"`
        policy.toml, line 5, field `downgrade.keep`: `newest` is not one of the words for it; known are `last_seen`, `first_registered`
        policy.toml, line 6, field `lapse`: `end_within` is missing; say after how long all licenses end, like `"0s"`
        policy.toml, line 7, field `lapse.within`: `within` is not a known field; known here: `end_within`"#]],
    );
    wrong_files(
        &[(MAIN_FILE, HEAD), ("a.toml", "format = 1\n[lapse]\nend_within = \"3d\"\n")],
        expect![
            "a.toml, line 2, field `lapse`: `lapse` belongs in `policy.toml`; another file holds `partners`, `series`, `titles` and `texts`"
        ],
    );
}

#[test]
fn terms_that_contradict_those_for_all_titles() {
    wrong(
        r#"
        [terms]
        not_before = 2026-06-01T00:00:00Z
        [partners.aurora.terms]
        hard_end = 2026-03-01T00:00:00Z
        [titles.film.terms]
        hard_end = 2026-03-01T00:00:00Z
        not_before = 2026-01-01T00:00:00Z
        [series.saga.terms]
        hard_end = 2026-09-01T00:00:00Z
        "#,
        expect![
            "policy.toml, line 7, field `partners.aurora.terms`: together with the terms for all titles, `not_before` (2026-06-01T00:00:00.000Z) leaves no play before `hard_end` (2026-03-01T00:00:00.000Z); set both here"
        ],
    );
}
