use super::world::*;
use crate::facts::{DeviceClass, TitleFacts};
use crate::ids::{PartnerId, Plan, Tag};
use crate::member::*;
use crate::policy::*;
use crate::time::{CalendarUnit, Duration, Zone};

/// On which device, which title, of which partner.
type Asked = (&'static str, &'static str, &'static str);

/// Acquires one after another; says how many were granted before the first refusal.
fn fits(world: &mut World, asked: &[Asked]) -> usize {
    asked
        .iter()
        .take_while(|(on, title_id, partner)| {
            let command = world.acquire_of(on, title_id, title_facts(partner));
            let decision = world.ask(&world.request(day(1), vec![command]));
            matches!(decision.answer, Answer::Accepted { .. })
        })
        .count()
}

#[test]
fn every_kind_of_count_refuses_exactly_at_limit_plus_one() {
    use Counts::{ActiveLicenses, DevicesHolding};
    use ScopeKey::{Device, Partner, Title};
    let year = || Window::Rolling(Duration::days(365));
    let month = || Window::Calendar(CalendarUnit::Month, Zone::named("Europe/Berlin").unwrap());
    let films = [("a", "1", "s"), ("a", "2", "t"), ("b", "3", "s"), ("b", "4", "t")];
    let copies = [("a", "1", "s"), ("b", "1", "s"), ("c", "1", "s")];
    let studios = [("a", "1", "s"), ("a", "2", "t"), ("b", "3", "s"), ("a", "4", "s")];
    let rows: &[(Cap, &[Asked], usize)] = &[
        (cap("member", ActiveLicenses, &[], Window::Now, 3), &films, 3),
        (cap("device", ActiveLicenses, &[Device], Window::Now, 1), &films, 1),
        (cap("partner", ActiveLicenses, &[Partner], Window::Now, 2), &studios, 3),
        (cap("title", ActiveLicenses, &[Title], Window::Now, 2), &copies, 2),
        (cap("holding", DevicesHolding, &[], Window::Now, 1), &films, 2),
        (cap("holding", DevicesHolding, &[], Window::Now, 2), &copies, 2),
        (cap("year", ACQUISITIONS, &[Title], year(), 2), &copies, 2),
        (cap("year", ACQUISITIONS, &[Partner], year(), 2), &studios, 3),
        (cap("month", ACQUISITIONS, &[], month(), 3), &films, 3),
        (cap("month", ACQUISITIONS, &[Device], month(), 2), &films, 4),
        (cap("both", ACQUISITIONS, &[Device, Title], month(), 1), &copies, 3),
    ];
    for (cap, asked, granted) in rows {
        let mut world = World::new(policy(rental(), vec![cap.clone()]));
        assert_eq!(fits(&mut world, asked), *granted, "{cap:?}");
    }
}

#[test]
fn rolling_windows_are_half_open_and_say_when_a_unit_frees() {
    let mut world = World::new(policy(rental(), vec![yearly_cap(2)]));
    world.acquired(day(0), "a", "film");
    world.acquired(day(100), "b", "film");
    let third = world.acquire("c", "film");
    let refused = world.refuse(day(200), third.clone());
    let finding = &refused.findings[0];
    let counted = finding.cap.as_ref().unwrap();
    assert_eq!((counted.used, counted.limit), (2, 2));
    let frees: Vec<_> = counted.contributors.iter().map(|c| c.frees_at).collect();
    assert_eq!(frees, [Some(day(365)), Some(day(465))]);
    assert_eq!((finding.frees_at, refused.retry_at), (Some(day(365)), Some(day(365))));
    world.refuse(day(365).just_before(), third.clone());
    world.accept(day(365), third);
}

#[test]
fn calendar_windows_reset_in_their_own_time_zone() {
    let kiritimati = Zone::named("Pacific/Kiritimati").unwrap();
    let window = Window::Calendar(CalendarUnit::Month, kiritimati);
    let mut world = World::new(policy(rental(), vec![cap("month", ACQUISITIONS, &[], window, 1)]));
    world.acquired(day(30), "a", "film"); // 31 January, 00:00 UTC
    let next = world.acquire("a", "other");
    // 1 February begins at 10:00 UTC on 31 January there.
    assert_eq!(world.refuse(hour(30 * 24 + 9), next.clone()).retry_at, Some(hour(30 * 24 + 10)));
    world.accept(hour(30 * 24 + 10), next);
}

#[test]
fn limits_by_plan_and_the_smallest_where_the_plan_is_not_known() {
    let mut devices = cap("devices", Counts::DevicesHolding, &[], Window::Now, 0);
    let plan = |name| Plan::new(name).unwrap();
    devices.limit = Limit { otherwise: None, by_plan: [(plan("s"), 1), (plan("p"), 2)].into() };
    for (on_plan, granted) in [(Some("s"), 1), (Some("p"), 2), (Some("other"), 0), (None, 1)] {
        let mut world = World::new(policy(rental(), vec![devices.clone()]));
        world.facts.plan = on_plan.map(plan);
        let copies = [("a", "1", "s"), ("b", "1", "s"), ("c", "1", "s")];
        assert_eq!(fits(&mut world, &copies), granted, "{on_plan:?}");
    }
}

#[test]
fn a_narrower_cap_replaces_a_wider_one_only_by_bearing_its_id() {
    let mut base = policy(rental(), vec![active_cap(3)]);
    let level = |cap: Cap| Rules { caps: vec![cap], ..Rules::default() };
    let studio = PartnerId::new("s").unwrap();
    let films = [("a", "1", "s"), ("a", "2", "s"), ("a", "3", "s"), ("a", "4", "s")];

    base.partners.insert(studio.clone(), level(active_cap(4)));
    assert_eq!(fits(&mut World::new(base.clone()), &films), 4, "replaced");

    let other = Cap { id: rule("other"), ..active_cap(4) };
    base.partners.insert(studio.clone(), level(other));
    assert_eq!(fits(&mut World::new(base.clone()), &films), 3, "both apply");

    // A cap at a partner's level counts that partner's titles only.
    let one = Cap { id: rule("one"), ..active_cap(1) };
    base.partners.insert(studio, level(one));
    let mixed = [("a", "1", "t"), ("a", "2", "s"), ("a", "3", "s")];
    assert_eq!(fits(&mut World::new(base), &mixed), 2);
}

#[test]
fn terms_combine_field_by_field_title_over_series_over_partner_over_default() {
    let mut base = policy(rental(), vec![]);
    let days = |n| TermsPatch { start_within: Some(Duration::days(n)), ..TermsPatch::default() };
    let level = |terms| Rules { terms, ..Rules::default() };
    base.partners.insert(PartnerId::new("s").unwrap(), level(days(20)));
    base.series.insert(crate::ids::SeriesId::new("saga").unwrap(), level(days(10)));
    base.titles.insert(title("special"), level(days(5)));
    let mut world = World::new(base);
    let saga = TitleFacts { series: crate::ids::SeriesId::new("saga").ok(), ..title_facts("s") };
    for (title_id, facts, ends_at) in [
        ("1", title_facts("t"), day(30)),
        ("2", title_facts("s"), day(20)),
        ("3", saga.clone(), day(10)),
        ("special", saga, day(5)),
    ] {
        let command = world.acquire_of("a", title_id, facts);
        let Outcome::Held { license, .. } = world.accept(DAY_0, command) else { panic!() };
        assert_eq!(world.license(&license).ends_at(), ends_at, "{title_id}");
        assert_eq!(world.license(&license).term().term.finish_within, Some(Duration::hours(48)));
    }
}

#[test]
fn title_facts_and_device_class_select_the_request_and_the_events_counted() {
    let mut kids = active_cap(1);
    kids.of = Of { tags: vec![Tag::new("kids").unwrap()], classes: vec![DeviceClass::Phone] };
    let mut world = World::new(policy(rental(), vec![kids]));
    let tagged = || TitleFacts { tags: [Tag::new("kids").unwrap()].into(), ..title_facts("s") };
    let on = |world: &mut World, device_id, title_id, facts| {
        let command = world.acquire_of(device_id, title_id, facts);
        matches!(world.ask(&world.request(DAY_0, vec![command])).answer, Answer::Accepted { .. })
    };
    assert!(on(&mut world, "a", "1", title_facts("s")), "not counted: no tag");
    assert!(on(&mut world, "c", "2", tagged()), "not counted: a tablet");
    assert!(on(&mut world, "a", "3", tagged()), "the first");
    assert!(!on(&mut world, "b", "4", tagged()), "one too many");
    assert!(on(&mut world, "b", "5", title_facts("s")), "not asked: no tag");
}

#[test]
fn plan_and_territory_select_the_request_only() {
    let mut strict = active_cap(1);
    strict.when.plans = vec![Plan::new("basic").unwrap()];
    let mut world = World::new(policy(rental(), vec![strict]));
    world.facts.plan = Plan::new("premium").ok();
    let premium = [("a", "1", "s"), ("a", "2", "s")];
    assert_eq!(fits(&mut world, &premium), 2);
    // What was acquired on the other plan is counted all the same.
    world.facts.plan = Plan::new("basic").ok();
    assert_eq!(fits(&mut world, &[("a", "3", "s")]), 0);
    world.facts.plan = None; // a rule is never escaped by leaving a fact out
    assert_eq!(fits(&mut world, &[("a", "3", "s")]), 0);
}

#[test]
fn an_active_license_is_matched_by_its_latest_terms_facts() {
    let mut kids = active_cap(1);
    kids.of.tags = vec![Tag::new("kids").unwrap()];
    let mut world = World::new(policy(rental(), vec![kids]));
    let id = world.acquired(DAY_0, "a", "film");
    let tagged = TitleFacts { tags: [Tag::new("kids").unwrap()].into(), ..title_facts("studio") };
    let renewed_as_tagged = Command::Renew {
        device: device("a"),
        license: id,
        term: 1,
        title_facts: Some(tagged.clone()),
    };
    world.accept(day(1), renewed_as_tagged);
    let second = world.acquire_of("a", "other", tagged);
    assert_eq!(codes(&world.refuse(day(1), second)), [Code::CapReached]);
}

#[test]
fn eligibility_tells_what_is_left_of_each_cap_and_records_nothing() {
    let mut world = World::new(policy(rental(), vec![yearly_cap(2), active_cap(5)]));
    world.acquired(DAY_0, "a", "film");
    let command = world.acquire("b", "film");
    let told = eligibility(&world.member, &world.request(day(1), vec![command]), &world.policy);
    let left: Vec<_> = told.caps.iter().map(|c| (c.rule.as_str(), c.used, c.limit)).collect();
    assert_eq!(left, [("yearly", 1, 2), ("active", 1, 5)]);
    assert_eq!(told.caps[0].frees_at, Some(day(365)));
    assert_eq!((told.refused, told.holding), (None, None));
    assert_eq!(told.term.unwrap().start_by, Some(day(31)));
    let command = world.acquire("a", "film");
    let told = eligibility(&world.member, &world.request(day(1), vec![command]), &world.policy);
    assert_eq!(told.holding, Some(license("l1")));
}
