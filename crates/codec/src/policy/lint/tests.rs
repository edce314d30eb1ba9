use std::path::Path;

use expect_test::{Expect, expect};

use super::*;
use crate::policy::{MAIN_FILE, load_dir, parse};

const HEAD: &str = "format = 1\nname = \"test\"\neffective_from = 2026-01-01T00:00:00Z\n";

/// What is told of a policy of one file that says this below its head.
#[track_caller]
fn told(body: &str, told: Expect) {
    let loaded = parse(&[(MAIN_FILE, &format!("{HEAD}{body}"))]).unwrap_or_else(|e| panic!("{e}"));
    let found: Vec<String> = lint(&loaded).iter().map(ToString::to_string).collect();
    told.assert_eq(&found.join("\n"));
}

#[test]
fn the_examples_say_nothing_in_vain() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/examples");
    for example in std::fs::read_dir(examples).unwrap() {
        let example = example.unwrap().path();
        let found = lint(&load_dir(&example).unwrap());
        assert!(found.is_empty(), "{example:?}: {found:#?}");
    }
}

#[test]
fn clocks_that_never_govern() {
    told(
        r#"
        [terms]
        start_within = "30d"
        finish_within = "48h"
        hard_end = 2026-01-20T00:00:00Z
        [partners.a.terms]
        hard_end = 2025-12-31T00:00:00Z
        [series.s.terms]
        end_within = "14d"
        check_in_within = "14d"
        [titles.t.terms]
        finish_anchor = "title"
        end_within = "1d"
        "#,
        expect![[r#"
            policy.toml, line 6, field `terms.start_within`: `start_within` never governs: `hard_end` leaves 19d at most from `effective_from` on
            policy.toml, line 10, field `partners.a.terms.hard_end`: is not after `effective_from` (2026-01-01T00:00:00.000Z): nothing is downloaded
            policy.toml, line 12, field `series.s.terms.end_within`: `start_within` never governs: `end_within` ends the term before
            policy.toml, line 13, field `series.s.terms.check_in_within`: `check_in_within` never governs: `end_within` ends the term before
            policy.toml, line 16, field `titles.t.terms.end_within`: `start_within` never governs: `end_within` ends the term before"#]],
    );
}

#[test]
fn terms_of_no_use() {
    told(
        r#"
        [terms]
        check_in_within = "30d"
        finish_anchor = "license"
        grace = "1d"
        renewals_max = 0
        renew_after_end = "90d"
        [partners.a.terms]
        renewals_max = 1
        check_in_within = "30d"
        [series.s.terms]
        grace = "1d"
        renewals_max = 0
        "#,
        expect![[r#"
            policy.toml, line 7, field `terms.finish_anchor`: there is no `finish_within` that it could anchor
            policy.toml, line 8, field `terms.grace`: there is no `finish_within` that it could follow
            policy.toml, line 10, field `terms.renew_after_end`: `renew_after_end` is of no use: with `renewals_max = 0` nothing is renewed
            policy.toml, line 13, field `partners.a.terms.check_in_within`: says what all titles say already; remove it
            policy.toml, line 15, field `series.s.terms.grace`: says what all titles say already; remove it
            policy.toml, line 15, field `series.s.terms.grace`: there is no `finish_within` that it could follow
            policy.toml, line 16, field `series.s.terms.renewals_max`: `renew_after_end` is of no use: with `renewals_max = 0` nothing is renewed"#]],
    );
}

#[test]
fn what_gates_never_let_through() {
    told(
        r#"
        [[gates]]
        id = "plans"
        plans = ["standard", "premium"]
        [[gates]]
        id = "no-tv"
        device_classes = ["phone", "tablet"]
        [[caps]]
        id = "basic-only"
        counts = "active_licenses"
        when = { plans = ["basic"] }
        limit = { basic = 2, premium = 3, otherwise = 1 }
        [[caps]]
        id = "tv"
        counts = "active_licenses"
        of = { device_classes = ["tv"] }
        limit = 3
        [[caps]]
        id = "devices"
        counts = "devices_registered"
        of = { device_classes = ["tv"] }
        limit = 3
        [[tighten]]
        id = "basic-terms"
        when = { plans = ["basic"] }
        end_within = "1d"
        [[partners.a.gates]]
        id = "basic-again"
        plans = ["basic"]
        [[partners.b.gates]]
        id = "plans"
        plans = ["basic"]
        [[partners.b.caps]]
        id = "fine"
        counts = "active_licenses"
        when = { plans = ["basic"] }
        limit = 2
        "#,
        expect![[r#"
            policy.toml, line 11, field `caps[0]`: `basic` in `limit` is never used: gate `plans` (policy.toml, line 5) refuses that plan
            policy.toml, line 11, field `caps[0]`: can never apply: `when.plans` names only what gate `plans` (policy.toml, line 5) refuses
            policy.toml, line 16, field `caps[1]`: can never apply: `of.device_classes` names only what gate `no-tv` (policy.toml, line 8) refuses
            policy.toml, line 26, field `tighten[0]`: can never apply: `when.plans` names only what gate `plans` (policy.toml, line 5) refuses
            policy.toml, line 30, field `partners.a.gates[0]`: nobody passes both it and gate `plans` (policy.toml, line 5): downloads are closed here"#]],
    );
}

#[test]
fn caps_that_another_makes_superfluous() {
    told(
        r#"
        [[caps]]
        id = "all"
        counts = "active_licenses"
        limit = 10
        [[caps]]
        id = "on-a-device"
        counts = "active_licenses"
        per = ["device"]
        limit = 10
        [[caps]]
        id = "fewer-on-a-device"
        counts = "active_licenses"
        per = ["device"]
        limit = 5
        [[caps]]
        id = "devices"
        counts = "devices_holding"
        limit = { premium = 12, otherwise = 10 }
        [[caps]]
        id = "once"
        counts = "acquisitions"
        per = ["title"]
        window = { min_interval = "30d" }
        [[caps]]
        id = "twice-a-week"
        counts = "acquisitions"
        per = ["title"]
        of = { tags = ["new"] }
        window = { rolling = "7d" }
        limit = 2
        [[caps]]
        id = "both"
        counts = "acquisitions_and_renewals"
        per = ["title"]
        window = { rolling = "31d" }
        limit = 2
        [[caps]]
        id = "twin"
        counts = "acquisitions"
        per = ["title"]
        window = { min_interval = "30d" }
        [[partners.a.caps]]
        id = "warns"
        counts = "active_licenses"
        limit = 20
        warn_at_left = 15
        [[partners.a.caps]]
        id = "of-a"
        counts = "active_licenses"
        limit = 10
        "#,
        expect![[r#"
            policy.toml, line 9, field `caps[1]`: never refuses anything that `all` (policy.toml, line 5) does not already
            policy.toml, line 19, field `caps[3]`: never refuses anything that `all` (policy.toml, line 5) does not already
            policy.toml, line 28, field `caps[5]`: never refuses anything that `once` (policy.toml, line 23) does not already
            policy.toml, line 41, field `caps[7]`: never refuses anything that `once` (policy.toml, line 23) does not already
            policy.toml, line 51, field `partners.a.caps[1]`: never refuses anything that `all` (policy.toml, line 5) does not already"#]],
    );
}

#[test]
fn gates_and_tightenings_that_another_makes_superfluous() {
    told(
        r#"
        [[gates]]
        id = "dach"
        territories = ["AT", "CH", "DE"]
        [[gates]]
        id = "wide"
        territories = ["AT", "CH", "DE", "US"]
        [[gates]]
        id = "not-us"
        not_territories = ["US", "CA"]
        [[gates]]
        id = "not-at"
        not_territories = ["AT"]
        [[gates]]
        id = "premium"
        plans = ["premium"]
        when = { plans = ["premium"] }
        [[gates]]
        id = "ads"
        plans = ["premium"]
        when = { plans = ["ads"] }
        [[gates]]
        id = "lenient"
        plans = ["premium"]
        if_absent = "allow"
        [[gates]]
        id = "strict"
        plans = ["premium", "standard"]
        [[titles.t.gates]]
        id = "closed"
        closed = true
        [[titles.t.gates]]
        id = "moot"
        accounts = ["owner"]
        [[tighten]]
        id = "one"
        end_within = "1d"
        finish_within = "4h"
        [[tighten]]
        id = "two"
        of = { tags = ["new"] }
        end_within = "2d"
        "#,
        expect![[r#"
            policy.toml, line 8, field `gates[1]`: never refuses anything that `dach` (policy.toml, line 5) does not already
            policy.toml, line 11, field `gates[2]`: never refuses anything that `dach` (policy.toml, line 5) does not already
            policy.toml, line 17, field `gates[4]`: lets everything pass that `when.plans` selects; remove it, or widen `when.plans`
            policy.toml, line 21, field `gates[5]`: can never apply: `when.plans` names only what gate `strict` (policy.toml, line 29) refuses
            policy.toml, line 21, field `gates[5]`: refuses everything that `when.plans` selects; say so with `closed = true`
            policy.toml, line 35, field `titles.t.gates[1]`: never refuses anything that `closed` (policy.toml, line 32) does not already
            policy.toml, line 42, field `tighten[1]`: tightens nothing that `one` (policy.toml, line 38) does not already"#]],
    );
}

#[test]
fn what_replaces_a_wider_rule_and_says_the_same() {
    told(
        r#"
        [[gates]]
        id = "plans"
        plans = ["premium"]
        [[caps]]
        id = "active"
        counts = "active_licenses"
        limit = 10
        [[caps]]
        id = "yearly"
        counts = "acquisitions"
        per = ["title"]
        window = { rolling = "365d" }
        limit = 2
        [[partners.a.gates]]
        id = "plans"
        plans = ["premium"]
        [[partners.a.caps]]
        id = "active"
        counts = "active_licenses"
        limit = 10
        [[partners.a.caps]]
        id = "yearly"
        counts = "acquisitions"
        per = ["title"]
        window = { rolling = "365d" }
        limit = 2
        "#,
        expect![[r#"
            policy.toml, line 18, field `partners.a.gates[0]`: says what the one of all titles (policy.toml, line 5) says already; remove it
            policy.toml, line 21, field `partners.a.caps[0]`: says what the one of all titles (policy.toml, line 8) says, and takes its place: it counts among partner `a` only; if both are meant, give it another id
            policy.toml, line 25, field `partners.a.caps[1]`: says what the one of all titles (policy.toml, line 12) says already; remove it"#]],
    );
}

#[test]
fn guards_that_never_or_always_hold() {
    let guarded = [
        // Never, always.
        "member.plan == 'a' && member.plan == 'b'",
        "title.maturity_rating > 16 && title.maturity_rating < 17",
        "title.maturity_rating < 0",
        "'new' in title.tags && !('new' in title.tags)",
        "member.since < timestamp('2026-01-01T00:00:00Z') && member.since > timestamp('2026-01-01T00:00:00Z')",
        "member.account == 'a' && title.series == 'b' && title.series == member.account",
        "title.maturity_rating > member.maturity_limit && member.maturity_limit > title.maturity_rating",
        "title.available_from != title.available_until || title.available_until == title.available_from",
        "device.class in ['phone', 'tablet', 'tv', 'desktop', 'web']",
        "title.series == '' && title.partner == 'a' && title.partner == 'b'",
        "title.series != '' || title.series == member.plan || member.plan != title.series",
        // Of what the rule selects, and of what the gates let pass.
        "member.account == 'extra'",
        "member.plan == 'basic'",
        "member.plan in ['basic', 'a'] && device.class == 'tv'",
        // Sometimes, and too much to try.
        "title.maturity_rating > 16 && title.maturity_rating < 18",
        "title.maturity_rating > member.maturity_limit || member.plan == 'premium'",
        "title.series == '' && member.plan != 'ads' && !('new' in title.tags)",
        "member.plan in title.tags && !(member.plan in title.tags)",
        "member.concurrent_streams > 70000",
    ];
    let caps = guarded.iter().enumerate().map(|(n, guard)| {
        format!(
            "[[tighten]]\nid = \"{n}\"\nrenewals_max = {n}\nwhen = {{ accounts = [\"owner\", \"a\"] }}\nguard = \"{guard}\"\n"
        )
    });
    told(
        &format!(
            "[[gates]]\nid = \"plans\"\nplans = [\"premium\", \"ads\", \"a\"]\n\
             [[gates]]\nid = \"classes\"\ndevice_classes = [\"phone\", \"web\"]\n{}",
            caps.collect::<String>()
        ),
        expect![[r#"
            policy.toml, line 10, field `tighten[0]`: applies only where a fact of its `guard` is absent: it never holds where they are known
            policy.toml, line 15, field `tighten[1]`: applies only where a fact of its `guard` is absent: it never holds where they are known
            policy.toml, line 20, field `tighten[2]`: applies only where a fact of its `guard` is absent: it never holds where they are known
            policy.toml, line 25, field `tighten[3]`: can never apply: its `guard` never holds
            policy.toml, line 30, field `tighten[4]`: applies only where a fact of its `guard` is absent: it never holds where they are known
            policy.toml, line 35, field `tighten[5]`: applies only where a fact of its `guard` is absent: it never holds where they are known
            policy.toml, line 40, field `tighten[6]`: applies only where a fact of its `guard` is absent: it never holds where they are known
            policy.toml, line 45, field `tighten[7]`: its `guard` always holds; leave it out
            policy.toml, line 50, field `tighten[8]`: its `guard` always holds; leave it out
            policy.toml, line 55, field `tighten[9]`: can never apply: its `guard` never holds
            policy.toml, line 60, field `tighten[10]`: its `guard` always holds; leave it out
            policy.toml, line 65, field `tighten[11]`: applies only where a fact of its `guard` is absent: it never holds where they are known, of what `of` and `when` select
            policy.toml, line 70, field `tighten[12]`: can never apply: its `guard` never holds, of what the gates let pass
            policy.toml, line 75, field `tighten[13]`: can never apply: its `guard` never holds, of what the gates let pass"#]],
    );
}

#[test]
fn what_a_tightening_does_not_tighten() {
    told(
        r#"
        [terms]
        start_within = "30d"
        finish_within = "48h"
        [[tighten]]
        id = "looser"
        finish_within = "90d"
        grace = "6h"
        [[tighten]]
        id = "the-same"
        finish_within = "2d"
        [[tighten]]
        id = "where-a-partner-is-looser"
        start_within = "40d"
        [[tighten]]
        id = "what-no-level-says"
        when = { plans = ["ads"] }
        renewals_max = 3
        [partners.aurora.terms]
        start_within = "60d"
        [[titles.film.tighten]]
        id = "at-a-title"
        start_within = "60d"
        [[titles.film.tighten]]
        id = "what-no-level-says"
        grace = "1h"
        "#,
        expect![[r#"
            policy.toml, line 8, field `tighten[0]`: tightens nothing: the terms are as tight at every level, and nothing is loosened by a tightening
            policy.toml, line 12, field `tighten[1]`: tightens nothing: the terms are as tight at every level, and nothing is loosened by a tightening
            policy.toml, line 24, field `titles.film.tighten[0]`: tightens nothing that `where-a-partner-is-looser` (policy.toml, line 15) does not already
            policy.toml, line 24, field `titles.film.tighten[0]`: tightens nothing: the terms are as tight at every level, and nothing is loosened by a tightening"#]],
    );
}

/// What may be absent, and what a rule is asked about at all, belong to what a guard can say.
#[test]
fn what_a_guard_says_of_what_its_rule_is_asked_about() {
    told(
        r#"
        [[gates]]
        id = "classes"
        device_classes = ["phone", "web"]
        [[tighten]]
        id = "by-what-other-lists-say"
        when = { plans = ["a", "b", "c", "d"], accounts = ["d"] }
        guard = "member.plan == member.account"
        renewals_max = 1
        [[tighten]]
        id = "by-what-another-fact-can-be"
        when = { plans = ["aurora"] }
        guard = "title.partner == member.plan"
        renewals_max = 2
        [[tighten]]
        id = "by-a-class"
        guard = "device.class == member.account"
        renewals_max = 3
        [[tighten]]
        id = "never-without"
        guard = "member.plan == 'a' && member.plan == 'b'"
        if_absent = "does_not_apply"
        renewals_max = 4
        [[tighten]]
        id = "where-it-is-known"
        guard = "member.account == 'a' || member.account != 'a'"
        if_absent = "does_not_apply"
        renewals_max = 5
        [[tighten]]
        id = "always-beside-when"
        when = { plans = ["ads"] }
        guard = "member.plan == 'ads' || member.territory == 'DE'"
        renewals_max = 6
        [[tighten]]
        id = "never-beside-tags"
        of = { tags = ["new"] }
        guard = "!('new' in title.tags)"
        renewals_max = 7
        [[tighten]]
        id = "of-two-tags"
        of = { tags = ["new", "uhd"] }
        guard = "!('new' in title.tags)"
        renewals_max = 8
        [[tighten]]
        id = "of-many-values"
        guard = """
          member.territory in ["AT", "BE", "CH", "DE", "DK", "ES", "FI", "FR", "GB", "IT", "NL"]
          && member.account in ["owner", "extra", "kids"] && !(member.account == "extra")
          && title.partner in ["a", "b", "c", "d"] && member.plan == "ads" && member.plan == "basic"
        """
        renewals_max = 9
        "#,
        expect![[r#"
            policy.toml, line 22, field `tighten[3]`: can never apply: its `guard` never holds
            policy.toml, line 32, field `tighten[5]`: its `guard` always holds, of what `of` and `when` select; leave it out
            policy.toml, line 37, field `tighten[6]`: can never apply: its `guard` never holds, of what `of` and `when` select
            policy.toml, line 47, field `tighten[8]`: applies only where a fact of its `guard` is absent: it never holds where they are known"#]],
    );
}

#[test]
fn what_a_guard_says_of_the_level_that_it_stands_at() {
    told(
        r#"
        [[partners.aurora.tighten]]
        id = "its-own"
        guard = "title.partner == 'aurora' && member.plan == 'ads'"
        renewals_max = 1
        [[partners.aurora.tighten]]
        id = "its-own-always"
        guard = "title.partner == 'aurora'"
        renewals_max = 2
        [[partners.aurora.tighten]]
        id = "anothers"
        guard = "title.partner == 'tidewater' && member.plan == 'ads'"
        renewals_max = 3
        "#,
        expect![[r#"
            policy.toml, line 9, field `partners.aurora.tighten[1]`: its `guard` always holds, of what is for partner `aurora`; leave it out
            policy.toml, line 13, field `partners.aurora.tighten[2]`: can never apply: its `guard` never holds, of what is for partner `aurora`"#]],
    );
}

/// A guard is a selection: what has none is asked wherever what has one is.
#[test]
fn what_a_guard_makes_superfluous() {
    told(
        r#"
        [[caps]]
        id = "all"
        counts = "acquisitions"
        window = { rolling = "30d" }
        limit = 5
        [[caps]]
        id = "guarded"
        counts = "acquisitions"
        window = { rolling = "30d" }
        limit = 5
        guard = 'member.plan == "ads"'
        [[caps]]
        id = "guarded-more"
        counts = "acquisitions"
        window = { rolling = "30d" }
        limit = 4
        guard = '"new" in title.tags && member.plan == "ads"'
        [[caps]]
        id = "guarded-most"
        counts = "acquisitions"
        window = { rolling = "30d" }
        limit = 4
        guard = '("new" in title.tags && member.plan == "ads") && title.partner == "a"'
        [[gates]]
        id = "no-gate-for-all"
        plans = ["premium"]
        guard = 'device.class == "tv"'
        [[gates]]
        id = "basic"
        plans = ["basic"]
        "#,
        expect![[r#"
            policy.toml, line 10, field `caps[1]`: can never apply: its `guard` never holds, of what the gates let pass
            policy.toml, line 10, field `caps[1]`: never refuses anything that `all` (policy.toml, line 5) does not already
            policy.toml, line 16, field `caps[2]`: can never apply: its `guard` never holds, of what the gates let pass
            policy.toml, line 22, field `caps[3]`: can never apply: its `guard` never holds, of what the gates let pass
            policy.toml, line 22, field `caps[3]`: never refuses anything that `guarded-more` (policy.toml, line 16) does not already"#]],
    );
}

#[test]
fn a_period_that_something_else_opens_is_another_period() {
    told(
        r#"
        [[caps]]
        id = "all"
        counts = "acquisitions"
        window = { first_use = "3d" }
        limit = 1
        [[caps]]
        id = "of-a-partner"
        counts = "acquisitions"
        window = { first_use = "3d" }
        per = ["partner"]
        limit = 1
        [[partners.a.caps]]
        id = "of-partner-a"
        counts = "acquisitions"
        window = { first_use = "3d" }
        limit = 1
        "#,
        expect![[""]],
    );
}
