use super::world::*;
use crate::facts::{DeviceClass, TitleFacts};
use crate::ids::{PartnerId, Plan, ProfileId, Tag, Territory};
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
        // One device at a time, and one title on at most two devices.
        (cap("exclusive", ActiveLicenses, &[Title], Window::Now, 1), &copies, 1),
        (cap("copies", DevicesHolding, &[Title], Window::Now, 2), &copies, 2),
        (cap("titles", Counts::DistinctTitles, &[], Window::Now, 1), &copies, 3),
        (cap("titles", Counts::DistinctTitles, &[], Window::Now, 3), &films, 3),
        (cap("titles", Counts::DistinctTitles, &[], month(), 2), &films, 2),
        (cap("titles", Counts::DistinctTitles, &[Partner], month(), 1), &studios, 2),
        (cap("ever", ACQUISITIONS, &[Title], Window::Lifetime, 2), &copies, 2),
        (cap("period", ACQUISITIONS, &[], Window::FirstUse(Duration::days(14)), 3), &films, 3),
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
    devices.limit =
        Limit { otherwise: None, by: LimitBy::Plan([(plan("s"), 1), (plan("p"), 2)].into()) };
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
        automatic: false,
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
    let used = |told: &Eligibility| told.caps[1].used;
    assert_eq!(used(&told), 1, "what it holds takes the place of nothing");
    // What has ended and may still be playing is replaced.
    let command = world.acquire("a", "film");
    let told = eligibility(&world.member, &world.request(day(31), vec![command]), &world.policy);
    assert_eq!((told.holding.as_ref(), used(&told)), (None, 0));
}

fn plays() -> Counts {
    events(&[CountedKind::Played])
}

#[test]
fn a_cap_on_plays_is_asked_where_a_term_opens() {
    let year = || Window::Rolling(Duration::days(365));
    let first = events(&[CountedKind::FirstPlayed]);
    let either = events(&[CountedKind::Acquired, CountedKind::FirstPlayed]);
    let world = |counts, limit| {
        let cap = cap("c", counts, &[ScopeKey::Title], year(), limit);
        let mut world = World::new(policy(rental(), vec![cap]));
        let id = world.acquired(DAY_0, "a", "film");
        world.accept(day(2), played("a", 1, &id, 1, day(2)));
        world.accept(day(2), played("a", 2, &id, 1, day(1)));
        (world, id)
    };
    // Two plays, one of which was the first; it turned out to be the earlier one.
    let (mut played_twice, id) = world(plays(), 2);
    let refused = played_twice.refuse(day(3), renew("a", &id, 1));
    assert_eq!(codes(&refused), [Code::CapReached]);
    assert_eq!(refused.retry_at, Some(day(366)));
    let (mut played_first, id) = world(first, 1);
    let copy = played_first.acquire("b", "film");
    let refused = played_first.refuse(day(3), copy);
    let counted = refused.findings[0].cap.as_ref().unwrap();
    assert_eq!(counted.contributors[0].at, day(1), "counted once, at its earliest");
    assert_eq!((counted.used, counted.contributors.len()), (1, 1));
    let (mut room, _) = world(first, 2);
    room.accept(day(3), renew("a", &id, 1));
    let (mut both, id) = world(either, 2);
    let copy = both.acquire("b", "film");
    assert_eq!(codes(&both.refuse(day(3), copy)), [Code::CapReached]);
    assert_eq!(codes(&both.refuse(day(3), renew("a", &id, 1))), [Code::CapReached]);
}

#[test]
fn a_period_of_first_use_is_opened_by_the_first_and_again_by_the_first_after_its_end() {
    let window = Window::FirstUse(Duration::days(14));
    let mut world = World::new(policy(rental(), vec![cap("c", ACQUISITIONS, &[], window, 2)]));
    world.acquired(day(1), "a", "1");
    world.acquired(day(14), "a", "2");
    let third = world.acquire("a", "3");
    let refused = world.refuse(day(14), third.clone());
    assert_eq!(refused.retry_at, Some(day(15)));
    let period = refused.findings[0].cap.as_ref().unwrap().window;
    assert_eq!(period, Some((day(1), day(15))));
    world.refuse(day(15).just_before(), third);
    // A rolling window would still hold the one of day 14. The next opens when it is used.
    world.acquired(day(20), "a", "3");
    world.acquired(day(20), "a", "4");
    let fifth = world.acquire("a", "5");
    assert_eq!(world.refuse(day(30), fifth).retry_at, Some(day(34)));
}

#[test]
fn billing_months_turn_on_the_members_own_day() {
    let window =
        Window::Anniversary(Since::Member, CalendarUnit::Month, Zone::named("UTC").unwrap());
    let mut world = World::new(policy(rental(), vec![cap("c", ACQUISITIONS, &[], window, 1)]));
    world.facts.member_since = Some(DAY_0 - Duration::days(1)); // 31 December
    world.acquired(day(20), "a", "1");
    let second = world.acquire("a", "2");
    assert_eq!(world.refuse(day(21), second.clone()).retry_at, Some(day(30)), "31 January");
    // Where it is not known the strictest is taken: as far back as any such month reaches.
    world.facts.member_since = None;
    assert_eq!(world.refuse(day(30), second.clone()).retry_at, Some(day(52)));
    world.facts.member_since = Some(DAY_0 - Duration::days(1));
    world.accept(day(30), second);
}

// "Resets on the member's or the lease's own day; days 29-31 clamp"
#[test]
fn renewals_turn_on_the_day_on_which_the_license_was_acquired() {
    let window =
        Window::Anniversary(Since::License, CalendarUnit::Month, Zone::named("UTC").unwrap());
    let renewals = events(&[CountedKind::Renewed]);
    let mut world = World::new(policy(rental(), vec![cap("c", renewals, &[], window, 1)]));
    // From the 31st of January to the 28th of February, and from there to the 31st of March.
    let license = world.acquired(day(30), "a", "1");
    world.accept(day(31), renew("a", &license, 1));
    let again = renew("a", &license, 2);
    assert_eq!(world.refuse(day(57), again.clone()).retry_at, Some(day(58)), "28 February");
    world.accept(day(58), again);
    let third = renew("a", &license, 3);
    assert_eq!(world.refuse(day(60), third.clone()).retry_at, Some(day(89)), "31 March");
    // What is left is told of the license's own month too.
    let outcome = world.accept(day(89), third.clone());
    let facts = world.request(day(89), vec![third]).facts;
    let told = standing(&world.member, &facts, &outcome, &world.policy, day(89));
    assert_eq!(told[0].window, Some((day(89), day(119))), "30 April");
}

// "with tallies beyond it for lifetime caps"
#[test]
fn a_cap_for_life_counts_what_is_long_forgotten() {
    let ever = cap("ever", ACQUISITIONS, &[ScopeKey::Partner], Window::Lifetime, 160);
    let mut world = World::new(policy(rental(), vec![ever]));
    for n in 0..160 {
        world.acquired(day(n * 11), "a", &n.to_string());
    }
    let entries = world.member.history.entries(CountedKind::Acquired).len();
    assert!(entries < 160, "{entries} are remembered one by one");
    let next = world.acquire("a", "next");
    let refused = world.refuse(day(3_000), next);
    let counted = refused.findings[0].cap.as_ref().unwrap();
    assert_eq!((counted.used, counted.contributors.len()), (160, entries));
    assert_eq!((counted.window, refused.retry_at), (None, None));
    let other = world.acquire_of("a", "next", title_facts("other"));
    world.accept(day(3_000), other);
}

#[test]
fn per_tag_each_tag_is_counted_by_itself() {
    let cap = cap("c", ACQUISITIONS, &[ScopeKey::Tag], Window::Rolling(Duration::days(30)), 1);
    let mut world = World::new(policy(rental(), vec![cap]));
    let tag = |name: &str| Tag::new(name).unwrap();
    let tagged = |tags: &[&str]| TitleFacts {
        tags: tags.iter().map(|name| tag(name)).collect(),
        ..title_facts("s")
    };
    for (n, tags) in [(1, &["drama"][..]), (3, &["new"]), (4, &[]), (4, &[])] {
        let command = world.acquire_of("a", &format!("{n}{tags:?}").replace('"', ""), tagged(tags));
        world.accept(day(n), command);
    }
    let both = world.acquire_of("a", "both", tagged(&["drama", "new", "kids"]));
    let refused = world.refuse(day(5), both);
    assert_eq!(refused.findings.len(), 1);
    assert_eq!(refused.findings[0].cap.as_ref().unwrap().tag, Some(tag("new")), "frees last");
    assert_eq!(refused.retry_at, Some(day(33)));
}

#[test]
fn a_title_in_no_series_is_in_no_count_per_series() {
    let cap = cap("c", ACQUISITIONS, &[ScopeKey::Series], Window::Lifetime, 1);
    let mut world = World::new(policy(rental(), vec![cap]));
    assert_eq!(fits(&mut world, &[("a", "1", "s"), ("a", "2", "s"), ("a", "3", "s")]), 3);
}

#[test]
fn whose_profile_is_not_known_counts_as_everyones() {
    let cap = cap("c", ACQUISITIONS, &[ScopeKey::Profile], Window::Lifetime, 2);
    let mut world = World::new(policy(rental(), vec![cap]));
    for (profile, title) in [("ana", "1"), ("ben", "2")] {
        world.facts.profile = ProfileId::new(profile).ok();
        world.acquired(DAY_0, "a", title);
    }
    let third = world.acquire("a", "3");
    world.facts.profile = None;
    world.refuse(DAY_0, third.clone());
    world.facts.profile = ProfileId::new("ben").ok();
    world.accept(DAY_0, third);
}

#[test]
fn limits_by_territory_class_and_tag() {
    let by = |by| Limit { otherwise: Some(1), by };
    let tag = |name: &str| Tag::new(name).unwrap();
    let granted = |limit: Limit, territory: Option<&str>, on, tags: &[&str]| {
        let mut active = active_cap(0);
        active.limit = limit;
        let mut world = World::new(policy(rental(), vec![active]));
        world.facts.territory = territory.map(|id| Territory::new(id).unwrap());
        let tags: std::sync::Arc<[Tag]> = tags.iter().map(|name| tag(name)).collect();
        let all = (0..9).take_while(|n| {
            let facts = TitleFacts { tags: tags.clone(), ..title_facts("s") };
            let command = world.acquire_of(on, &n.to_string(), facts);
            let decision = world.ask(&world.request(DAY_0, vec![command]));
            matches!(decision.answer, Answer::Accepted { .. })
        });
        all.count()
    };
    let territories = || by(LimitBy::Territory([(Territory::new("DE").unwrap(), 3)].into()));
    assert_eq!(granted(territories(), Some("DE"), "a", &[]), 3);
    assert_eq!(granted(territories(), Some("US"), "a", &[]), 1);
    assert_eq!(granted(territories(), None, "a", &[]), 1, "the smallest");
    let classes = || by(LimitBy::Class([(DeviceClass::Tablet, 4)].into()));
    assert_eq!((granted(classes(), None, "a", &[]), granted(classes(), None, "c", &[])), (1, 4));
    let tags = || by(LimitBy::Tag([(tag("x"), 2), (tag("y"), 5)].into()));
    for (of, limit) in [(&["x"][..], 2), (&["y"], 5), (&["y", "x", "z"], 2), (&["z"], 1), (&[], 1)]
    {
        assert_eq!(granted(tags(), None, "a", of), limit, "{of:?}");
    }
}

#[test]
fn a_class_may_have_a_cap_of_its_own_inside_the_cap_or_none() {
    // Four phones and tablets of which two phones; browsers take no slot.
    let holding = |id, limit, classes: &[DeviceClass]| Cap {
        of: Of { tags: vec![], classes: classes.to_vec() },
        ..cap(id, Counts::DevicesHolding, &[], Window::Now, limit)
    };
    let (phone, tablet) = (DeviceClass::Phone, DeviceClass::Tablet);
    let caps = vec![holding("all", 3, &[phone, tablet]), holding("phones", 2, &[phone])];
    let mut world = World::new(policy(rental(), caps));
    for (id, class) in [("d", phone), ("e", tablet), ("w", DeviceClass::Web)] {
        world.accept(DAY_0, register(id, class, id));
    }
    let mut granted = |on: &str| {
        let command = world.acquire(on, "film");
        let decision = world.ask(&world.request(DAY_0, vec![command]));
        matches!(decision.answer, Answer::Accepted { .. })
    };
    let devices = ["a", "w", "b", "d", "c", "e"];
    let all = devices.map(&mut granted);
    assert_eq!(all, [true, true, true, false, true, false]);
}

#[test]
fn an_idle_device_stops_taking_a_slot_until_it_is_seen_again() {
    let mut holding = cap("c", Counts::DevicesHolding, &[], Window::Now, 1);
    holding.idle_after = Some(Duration::days(10));
    let mut world = World::new(policy(TermsPatch::default(), vec![holding]));
    world.acquired(DAY_0, "a", "film"); // for ever, as far as its terms go
    let other = world.acquire("b", "film");
    assert_eq!(world.refuse(day(9), other.clone()).retry_at, Some(day(10)));
    for seen in [check_in("a", &[]), world.acquire("a", "film")] {
        let mut world = world.clone();
        world.accept(day(9), seen);
        assert_eq!(world.refuse(day(10), other.clone()).retry_at, Some(day(19)));
    }
    world.accept(day(10), other);
    // Back again: what it holds stays, and what would add to it is refused.
    let more = world.acquire("a", "more");
    assert_eq!(codes(&world.refuse(day(11), more)), [Code::CapReached]);
}

// "soft thresholds that warn before they refuse", "what is left of each cap" in a yes
#[test]
fn a_yes_says_what_is_left_and_warns_when_it_is_little() {
    let mut yearly = yearly_cap(3);
    yearly.warn_at_left = Some(1);
    let mut world = World::new(policy(rental(), vec![yearly, active_cap(9)]));
    let mut told = vec![];
    for (n, on) in [(0, "a"), (1, "b"), (2, "c")] {
        let request = world.request(day(n), vec![world.clone().acquire(on, "film")]);
        let asked = eligibility(&world.member, &request, &world.policy);
        let decision = world.ask(&request);
        let Answer::Accepted { outcomes, .. } = &decision.answer else { panic!() };
        let after =
            standing(&world.member, &request.facts, &outcomes[0], &world.policy, decision.at);
        assert_eq!(after.len(), 2);
        let state = &after[0];
        assert_eq!(state.frees_at, Some(day(365)), "when the next one frees");
        told.push((asked.caps[0].left(), asked.caps[0].warns, state.left(), state.warns));
        assert!(!after[1].warns);
    }
    assert_eq!(told, [(3, false, 2, false), (2, false, 1, true), (1, true, 0, true)]);
}

#[test]
fn a_state_that_remembers_longer_counts_longer_windows() {
    let days_700 = Window::Rolling(Duration::days(700));
    let policy = policy(rental(), vec![cap("c", ACQUISITIONS, &[], days_700, 81)]);
    let used = |horizon: Duration| {
        let mut world = World::new(policy.clone());
        world.member = Member::remembering(horizon);
        world.accept(DAY_0, register("a", DeviceClass::Phone, "a"));
        for n in 0..80 {
            world.acquired(day(n), "a", &format!("t{n}"));
        }
        // What is older is forgotten when something is added.
        world.acquired(day(599), "a", "last");
        let command = world.acquire("a", "one-more");
        let answer = world.ask(&world.request(day(600), vec![command])).answer;
        matches!(answer, Answer::Refused(_))
    };
    assert!(used(Duration::days(700)), "all 81 are remembered one by one");
    assert!(!used(Duration::days(400)), "80 of them are a number here");
}
