use std::path::Path;

use expect_test::{Expect, expect};

use super::*;
use crate::policy::{MAIN_FILE, load_dir, parse};

const HEAD: &str = "format = 1\nname = \"test\"\neffective_from = 2026-01-01T00:00:00Z\n";

const BEFORE: &str = r#"
[terms]
start_within = "30d"
finish_within = "48h"

[[gates]]
id = "plans"
plans = ["standard", "premium"]

[[gates]]
id = "gone"
closed = true
of = { tags = ["new"] }

[[caps]]
id = "devices"
counts = "devices_holding"
limit = { standard = 2, premium = 6 }

[[caps]]
id = "yearly"
counts = "acquisitions"
per = ["title"]
window = { rolling = "365d" }
limit = 2

[partners.a.terms]
finish_within = "24h"

[[partners.a.caps]]
id = "active"
counts = "active_licenses"
limit = 10
"#;

fn loaded(text: &str) -> Loaded {
    parse(&[(MAIN_FILE, &format!("{HEAD}{text}"))]).unwrap_or_else(|errors| panic!("{errors}"))
}

fn told(changes: &[Change]) -> String {
    let mut lines = Vec::new();
    for change in changes {
        let Change { scope, kind, name, what, direction, facets, old, new, except } = change;
        let line = |place: &Option<Place>| place.as_ref().map(|place| place.line);
        lines.push(format!(
            "{scope}: {} `{name}` {}, {} {:?} -> {:?}",
            kind.name(),
            what.name(),
            direction.name(),
            line(old),
            line(new)
        ));
        for FacetChange { name, old, new, direction } in facets {
            lines.push(format!("  {name}: {old:?} -> {new:?} {}", direction.name()));
        }
        for scope in except {
            lines.push(format!("  but not for {scope}"));
        }
    }
    lines.join("\n")
}

/// Texts decide nothing, so they are neither tighter nor looser.
#[test]
fn what_members_are_told_is_compared_word_by_word() {
    let texts = |de: &str| loaded(&format!("{BEFORE}\n[texts.de]\n{de}"));
    let old = texts(
        "cap_reached = \"{used} von {limit}\"\nplan_not_allowed = \"Nein {{so}}.\"\n\
         [texts.de.rules]\nyearly = { refused = \"Nichts mehr.\", left = \"Noch {left}.\" }\n",
    );
    let new = texts(
        "zone = \"Europe/Berlin\"\ncap_reached = [\"ab {frees_at}\", \"{used} von {limit}\"]\n\
         [texts.de.rules]\nyearly = { refused = \"Nichts mehr.\", left = \"{left} noch.\" }\n",
    );
    expect![[r#"
        all titles: text `de.cap_reached` changed, different Some(39) -> Some(40)
          says: Some("{used} von {limit}") -> Some("ab {frees_at} | {used} von {limit}") different
        all titles: text `de.plan_not_allowed` removed, different Some(40) -> None
          says: Some("Nein {{so}}.") -> None different
        all titles: text `de.rules.yearly.left` changed, different Some(42) -> Some(42)
          says: Some("Noch {left}.") -> Some("{left} noch.") different
        all titles: text `de.zone` changed, different Some(38) -> Some(39)
          says: Some("UTC") -> Some("Europe/Berlin") different"#]]
    .assert_eq(&told(&diff(&old, &new)));
    assert_eq!(diff(&old, &old), []);
}

#[track_caller]
fn changes(edits: &[(&str, &str)], expected: Expect) {
    let mut after = BEFORE.to_owned();
    for (from, to) in edits {
        assert!(after.contains(from), "{from}");
        after = after.replacen(from, to, 1);
    }
    expected.assert_eq(&told(&diff(&loaded(BEFORE), &loaded(&after))));
}

#[test]
fn what_means_the_same_is_no_change() {
    changes(
        &[("[terms]", "# a remark\n[terms]\ngrace = \"0s\"\nrenew_from = \"now\"")],
        expect![[r#""#]],
    );
}

#[test]
fn terms_change_for_whom_nobody_narrower_says_otherwise() {
    changes(
        &[("\"48h\"", "\"24h\""), ("start_within = \"30d\"\n", "")],
        expect![[r#"
        all titles: term `finish_within` changed, tighter Some(7) -> Some(6)
          finish_within: Some("2d") -> Some("1d") tighter
          but not for partner `a`
        all titles: term `start_within` removed, looser Some(6) -> None
          start_within: Some("30d") -> None looser"#]],
    );
    changes(
        &[("[partners.a.terms]\nfinish_within = \"24h\"", "")],
        expect![[r#"
        partner `a`: term `finish_within` changed, looser Some(31) -> Some(7)
          finish_within: Some("1d") -> Some("2d") looser"#]],
    );
    changes(
        &[("[terms]", "[terms]\ngrace = \"6h\"\nrenew_from = \"end\"")],
        expect![[r#"
        all titles: term `grace` added, looser None -> Some(6)
          grace: None -> Some("6h") looser
        all titles: term `renew_from` added, different None -> Some(7)
          renew_from: None -> Some("end") different"#]],
    );
}

#[test]
fn rules_come_go_and_change() {
    changes(
        &[
            ("\"standard\", \"premium\"", "\"premium\", \"ads\", \"standard\""),
            ("[[gates]]\nid = \"gone\"\nclosed = true\nof = { tags = [\"new\"] }", ""),
            ("standard = 2, premium = 6", "standard = 3, premium = 5, otherwise = 1"),
            ("365d", "366d"),
        ],
        expect![[r#"
            all titles: gate `gone` removed, looser Some(13) -> None
              condition: Some("closed") -> None looser
              of.tags: Some("new") -> None looser
            all titles: gate `plans` changed, looser Some(9) -> Some(9)
              condition: Some("plans premium, standard") -> Some("plans ads, premium, standard") looser
            all titles: cap `devices` changed, different Some(18) -> Some(15)
              limit for plan `premium`: Some("6") -> Some("5") tighter
              limit for plan `standard`: Some("2") -> Some("3") looser
              limit for others: Some("0") -> Some("1") looser
            all titles: cap `yearly` changed, tighter Some(23) -> Some(20)
              window: Some("rolling 365d") -> Some("rolling 366d") tighter"#]],
    );
    changes(
        &[
            ("per = [\"title\"]", "per = [\"title\", \"profile\"]"),
            (
                "counts = \"active_licenses\"",
                "counts = \"active_licenses\"\nof = { tags = [\"x\"] }",
            ),
            ("limit = 10", "limit = 5"),
        ],
        expect![[r#"
            all titles: cap `yearly` changed, looser Some(23) -> Some(23)
              per: Some("title") -> Some("profile, title") looser
            partner `a`: cap `active` changed, different Some(33) -> Some(33)
              limit: Some("10") -> Some("5") tighter
              of.tags: None -> Some("x") looser"#]],
    );
}

#[test]
fn a_cap_that_a_partner_makes_its_own_counts_among_its_titles() {
    let own = r#"
[[partners.a.caps]]
id = "devices"
counts = "devices_holding"
limit = { standard = 2, premium = 4 }
[[partners.a.caps]]
id = "yearly"
counts = "acquisitions"
per = ["title"]
window = { rolling = "365d" }
limit = 2
[[partners.a.caps]]
id = "active""#;
    changes(
        &[("[[partners.a.caps]]\nid = \"active\"", own)],
        expect![[r#"
        partner `a`: cap `devices` changed, different Some(18) -> Some(34)
          limit for plan `premium`: Some("6") -> Some("4") tighter
          counted among: Some("all titles") -> Some("partner `a`") looser"#]],
    );
}

#[test]
fn tightenings_are_compared_field_by_field() {
    let before =
        loaded("[[tighten]]\nid = \"t\"\nwhen = { plans = [\"ads\"] }\nend_within = \"1d\"");
    let after = loaded(
        "[[tighten]]\nid = \"t\"\nwhen = { plans = [\"ads\"] }\nend_within = \"2d\"\ngrace = \"0s\"",
    );
    expect![[r#"
        all titles: tightening `t` changed, different Some(4) -> Some(4)
          end_within: Some("1d") -> Some("2d") looser
          grace: None -> Some("0ms") tighter"#]]
    .assert_eq(&told(&diff(&before, &after)));
}

#[test]
fn the_examples_tell_what_services_changed() {
    let example = |name: &str| {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/examples");
        load_dir(&examples.join(name)).unwrap()
    };
    let spotify = diff(&example("spotify-former"), &example("spotify"));
    expect![[r#"
        all titles: gate `mini-is-mobile` added, tighter None -> Some(23)
          condition: None -> Some("device_classes phone, tablet") tighter
          when.plans: None -> Some("mini") tighter
        all titles: gate `plan-has-downloads` changed, looser Some(12) -> Some(18)
          condition: Some("plans premium") -> Some("plans mini, premium") looser
        all titles: cap `devices-with-downloads` changed, looser Some(23) -> Some(35)
          limit for plan `mini`: Some("0") -> Some("1") looser
          limit for plan `premium`: Some("3") -> Some("5") looser
        all titles: cap `tracks-on-a-device` changed, looser Some(17) -> Some(29)
          limit for plan `mini`: Some("0") -> Some("30") looser
          limit for plan `premium`: Some("3333") -> Some("10000") looser
        all titles: membership `lapse` added, tighter None -> Some(14)
          end_within: None -> Some("0ms") tighter"#]]
    .assert_eq(&told(&spotify));
    let apple = diff(&example("apple-rental-2016"), &example("apple-rental"));
    expect![[r#"
        all titles: tightening `24-hours-in-the-us` removed, looser Some(24) -> None
          finish_within: Some("1d") -> None looser
          when.territories: Some("US") -> None looser"#]]
    .assert_eq(&told(&apple));
}

/// Of each pair of windows: whether the one holds all of the other whenever that is.
#[test]
fn windows_within_windows() {
    let of = |window: &str| {
        let cap = format!("[[caps]]\nid = \"a\"\ncounts = \"plays\"\nwindow = {window}\nlimit = 1");
        loaded(&cap).policy.default.caps.remove(0).window
    };
    let names = [
        "{ lifetime = true }",
        "{ rolling = \"400d\" }",
        "{ rolling = \"7d\" }",
        "{ calendar = \"year\", zone = \"UTC\" }",
        "{ calendar = \"month\", zone = \"UTC\" }",
        "{ calendar = \"week\", zone = \"UTC\" }",
        "{ calendar = \"day\", zone = \"UTC\" }",
        "{ calendar = \"day\", zone = \"Asia/Tokyo\" }",
        "{ anniversary = \"month\", zone = \"UTC\" }",
        "{ first_use = \"7d\" }",
    ];
    let rows =
        names.map(|one| {
            let row = names.map(|other| {
                if super::super::facet::reaches(&of(one), &of(other)) { '#' } else { '.' }
            });
            row.iter().collect::<String>()
        });
    expect![[r#"
        ##########
        .#########
        ..#...##.#
        ...##.#...
        ....#.#...
        .....##...
        ......#...
        .......#..
        ........#.
        .........#"#]]
    .assert_eq(&rows.join("\n"));
}

#[test]
fn a_guard_that_asks_more_is_looser() {
    let gate = |guard: &str| loaded(&format!("[[gates]]\nid = \"g\"\nclosed = true\n{guard}\n"));
    let guards = [
        "",
        "guard = 'member.plan == \"ads\"'",
        "guard = ' \"new\" in title.tags   && member.plan == \"ads\"'",
        "guard = 'member.plan == \"ads\" && \"new\" in title.tags'",
        "guard = 'member.plan == \"ads\" || \"new\" in title.tags'",
    ];
    let changes = guards.windows(2).map(|pair| told(&diff(&gate(pair[0]), &gate(pair[1]))));
    expect![[r#"
        all titles: gate `g` changed, looser Some(4) -> Some(4)
          guard: None -> Some("member.plan == \"ads\"") looser
        --
        all titles: gate `g` changed, looser Some(4) -> Some(4)
          guard: Some("member.plan == \"ads\"") -> Some("\"new\" in title.tags && member.plan == \"ads\"") looser
        --

        --
        all titles: gate `g` changed, different Some(4) -> Some(4)
          guard: Some("member.plan == \"ads\" && \"new\" in title.tags") -> Some("member.plan == \"ads\" || \"new\" in title.tags") different"#]].assert_eq(&changes.collect::<Vec<_>>().join("\n--\n"));
    let back = diff(&gate(guards[2]), &gate(guards[1]));
    assert_eq!(back[0].direction, Direction::Tighter);
}
