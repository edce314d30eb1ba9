use std::sync::Arc;

use domain::{PartnerId, Plan, SeriesId, Tag, Territory};
use expect_test::{Expect, expect};

use super::*;
use crate::policy::{MAIN_FILE, parse};

const POLICY: &str = r#"format = 1
name = "test"
effective_from = 2026-01-01T00:00:00Z

[terms]
start_within = "30d"
finish_within = "48h"

[[tighten]]
id = "ads"
when = { plans = ["ads"] }
finish_within = "12h"
end_within = "7d"

[[gates]]
id = "plans"
plans = ["ads", "premium"]

[[gates]]
id = "title-is-downloadable"
downloadable = true

[[gates]]
id = "dach"
territories = ["DE"]
if_absent = "allow"

[[gates]]
id = "streams"
concurrent_streams = { ads = 1, premium = 4 }
if_absent = { concurrent_streams = "allow" }

[[gates]]
id = "apart"
not_elsewhere_for = "90d"

[[caps]]
id = "devices"
counts = "devices_holding"
limit = { ads = 1, premium = 6 }

[[caps]]
id = "registered"
counts = "devices_registered"
limit = 10

[[caps]]
id = "per-series"
counts = "acquisitions_and_renewals"
per = ["series"]
window = { rolling = "30d" }
limit = 5

[[caps]]
id = "new-on-tv"
counts = "active_licenses"
of = { tags = ["new"], device_classes = ["tv"] }
limit = 2

[partners.a.terms]
finish_within = "24h"

[[partners.a.gates]]
id = "plans"
plans = ["premium"]

[[partners.a.tighten]]
id = "not-guarded"
guard = 'member.plan == "ads" && device.class != "tv"'
check_in_within = "20d"

[[partners.a.tighten]]
id = "guarded"
guard = '"new" in title.tags && device.class == "tv" || title.partner == "b"'
check_in_within = "10d"

[titles.t.terms]
start_within = "2d"

[[titles.t.caps]]
id = "devices"
counts = "devices_holding"
limit = 1
"#;

fn question() -> Question {
    Question {
        title: TitleId::new("t").unwrap(),
        title_facts: TitleFacts {
            partner: PartnerId::new("a").unwrap(),
            series: None,
            tags: Arc::from([Tag::new("new").unwrap()]),
            maturity_rating: None,
            downloadable: true,
            offered: true,
            available_from: None,
            available_until: None,
        },
        member: MemberFacts { plan: Some(Plan::new("ads").unwrap()), ..MemberFacts::default() },
        class: DeviceClass::Phone,
        at: Timestamp::MIN,
    }
}

#[track_caller]
fn explained(question: &Question, expected: Expect) {
    let loaded = parse(&[(MAIN_FILE, POLICY)]).unwrap();
    let Explanation { catalogue, terms, tightenings, gates, caps } = explain(&loaded, question);
    let source = |source: &Source| {
        let line = source.place.as_ref().unwrap().line;
        let rule = source.rule.as_ref().map_or_else(String::new, |rule| format!(" by {rule}"));
        format!("{}{rule}:{line}", source.scope)
    };
    let mut lines: Vec<String> = catalogue.iter().map(|code| code.name().to_owned()).collect();
    for Term { name, value, from, instead_of } in &terms {
        let others =
            instead_of.iter().map(|(value, from)| format!(", not {value} {}", source(from)));
        lines.push(format!("{name} {value} {}{}", source(from), others.collect::<String>()));
    }
    for Rule { id, from, instead_of, verdict, .. } in tightenings.iter().chain(&gates).chain(&caps)
    {
        let others = instead_of.iter().map(|from| format!(", not {}", source(from)));
        let others = others.collect::<String>();
        lines.push(format!("{id} {}{others}: {verdict:?}", source(from)));
    }
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn each_part_names_where_it_comes_from_and_what_it_replaced() {
    explained(
        &question(),
        expect![[r#"
            start_within 2d title `t`:78, not 30d all titles:6
            finish_within 12h all titles by ads:9, not 1d partner `a`:61, not 2d all titles:7
            check_in_within 20d partner `a` by not-guarded:67
            end_within 7d all titles by ads:9
            ads all titles:9: Tightens
            not-guarded partner `a`:67: Tightens
            guarded partner `a`:72: NotAsked("its guard does not hold")
            title-is-downloadable all titles:19: Passes
            dach all titles:23: NotAsked("without `territory`")
            streams all titles:28: NotAsked("without `concurrent_streams`")
            apart all titles:33: Refuses(DeviceElsewhere)
            plans partner `a`:63, not all titles:15: Refuses(PlanNotAllowed)
            registered all titles:42: Limit(10, ["registering a device"])
            per-series all titles:47: NotAsked("the title is in no series, or has no tags")
            new-on-tv all titles:54: NotAsked("for another device class")
            devices title `t`:80, not all titles:37: Limit(1, ["acquiring", "renewing"])"#]],
    );
    let mut elsewhere = question();
    elsewhere.title = TitleId::new("other").unwrap();
    elsewhere.title_facts.partner = PartnerId::new("other").unwrap();
    elsewhere.title_facts.series = Some(SeriesId::new("s").unwrap());
    elsewhere.title_facts.downloadable = false;
    elsewhere.title_facts.offered = false;
    elsewhere.member.plan = None;
    elsewhere.member.territory = Some(Territory::new("US").unwrap());
    elsewhere.class = DeviceClass::Tv;
    explained(
        &elsewhere,
        expect![[r#"
            title_not_offered
            start_within 30d all titles:6
            finish_within 12h all titles by ads:9, not 2d all titles:7
            end_within 7d all titles by ads:9
            ads all titles:9: Tightens
            plans all titles:15: Refuses(PlanNotAllowed)
            title-is-downloadable all titles:19: Refuses(TitleNotDownloadable)
            dach all titles:23: Refuses(TerritoryNotAllowed)
            streams all titles:28: NotAsked("without `concurrent_streams`")
            apart all titles:33: Refuses(DeviceElsewhere)
            devices all titles:37: Limit(1, ["acquiring", "renewing"])
            registered all titles:42: Limit(10, ["registering a device"])
            per-series all titles:47: Limit(5, ["acquiring", "renewing"])
            new-on-tv all titles:54: Limit(2, ["acquiring", "renewing"])"#]],
    );
}

#[test]
fn a_rule_says_what_it_says() {
    let loaded = parse(&[(MAIN_FILE, POLICY)]).unwrap();
    let told: Vec<String> = explain(&loaded, &question())
        .caps
        .iter()
        .map(|rule| format!("{}: {:?}", rule.id, rule.says))
        .collect();
    expect![[r#"
        registered: [("counts", "devices_registered"), ("limit", "10")]
        per-series: [("counts", "acquisitions_and_renewals"), ("per", "series"), ("window", "rolling 30d"), ("limit", "5")]
        new-on-tv: [("counts", "active_licenses"), ("limit", "2"), ("of.tags", "new"), ("of.device_classes", "tv")]
        devices: [("counts", "devices_holding"), ("limit", "1")]"#]].assert_eq(&told.join("\n"));
}
