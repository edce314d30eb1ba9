use super::world::*;
use crate::facts::{DeviceClass, TitleFacts};
use crate::ids::{Plan, Territory};
use crate::member::*;
use crate::policy::*;
use crate::time::Duration;

fn gate(id: &str, condition: Condition) -> Gate {
    Gate { id: rule(id), of: Of::default(), when: When::default(), condition, needs: vec![] }
}

#[test]
fn a_refusal_names_all_failing_caps_and_gates_in_the_documented_order() {
    let devices = cap("devices", Counts::DevicesHolding, &[], Window::Now, 1);
    let mut world = World::new(policy(rental(), vec![yearly_cap(1), devices]));
    world.policy.default.gates = vec![
        gate("plan", Condition::Plans(vec![Plan::new("premium").unwrap()])),
        gate("territory", Condition::Territories(vec![Territory::new("DE").unwrap()])),
        gate("class", Condition::Classes(vec![DeviceClass::Phone])),
        gate("downloadable", Condition::Downloadable),
    ];
    world.facts.plan = Plan::new("premium").ok();
    world.facts.territory = Territory::new("DE").ok();
    world.acquired(DAY_0, "a", "film");

    world.facts.plan = Plan::new("basic").ok();
    world.facts.territory = None; // absent is not allowed
    let facts =
        TitleFacts { downloadable: false, available_from: Some(day(9)), ..title_facts("studio") };
    let command = world.acquire_of("c", "film", facts);
    let refused = world.refuse(day(1), command);
    let found: Vec<_> =
        refused.findings.iter().map(|f| (f.code, f.rule.as_ref().map(|r| r.as_str()))).collect();
    assert_eq!(
        found,
        [
            (Code::TitleNotYetAvailable, None),
            (Code::TitleNotDownloadable, Some("downloadable")),
            (Code::PlanNotAllowed, Some("plan")),
            (Code::TerritoryNotAllowed, Some("territory")),
            (Code::DeviceClassNotAllowed, Some("class")),
            (Code::CapReached, Some("yearly")),
            (Code::CapReached, Some("devices")),
        ]
    );
    assert_eq!(refused.retry_at, None, "no waiting opens a gate");
    assert_eq!(refused.remedies, []);
}

#[test]
fn a_title_that_is_not_downloadable_is_refused_also_where_no_gate_says_so() {
    let mut world = World::new(policy(rental(), vec![]));
    for (facts, code) in [
        (TitleFacts { downloadable: false, ..title_facts("s") }, Code::TitleNotDownloadable),
        (TitleFacts { offered: false, ..title_facts("s") }, Code::TitleNotOffered),
        (
            TitleFacts { available_until: Some(DAY_0), ..title_facts("s") },
            Code::TitleNoLongerAvailable,
        ),
    ] {
        let command = world.acquire_of("a", "film", facts);
        assert_eq!(codes(&world.refuse(DAY_0, command)), [code]);
    }
    let command = Command::Acquire {
        device: device("a"),
        title: title("nowhere"),
        title_facts: None,
        license: license("x"),
    };
    assert_eq!(codes(&world.refuse(DAY_0, command)), [Code::TitleUnknown]);
}

#[test]
fn what_opens_by_itself_says_when() {
    let mut world = World::new(policy(rental(), vec![]));
    let facts = TitleFacts { available_from: Some(day(9)), ..title_facts("studio") };
    let command = world.acquire_of("a", "film", facts);
    assert_eq!(world.refuse(day(1), command.clone()).retry_at, Some(day(9)));
    world.refuse(day(9).just_before(), command.clone());
    world.accept(day(9), command);
}

#[test]
fn refusals_are_recorded_with_all_facts_and_findings_an_identical_one_only_once_in_ten_minutes() {
    let mut world = World::new(policy(rental(), vec![yearly_cap(1)]));
    world.facts.plan = Plan::new("basic").ok();
    world.acquired(DAY_0, "a", "film");
    let minutes = |n| day(1) + Duration::minutes(n);
    let recorded = |world: &mut World, at, on: &str| {
        let command = world.acquire(on, "film"); // a new license id each time
        let before = world.events.len();
        let refused = world.refuse(at, command);
        assert_eq!(refused.facts.plan, world.facts.plan);
        world.events.len() - before
    };
    assert_eq!(recorded(&mut world, minutes(0), "b"), 1);
    assert_eq!(recorded(&mut world, minutes(9), "b"), 0, "answered and not recorded again");
    assert_eq!(recorded(&mut world, minutes(9), "c"), 1, "another device");
    world.facts.plan = Plan::new("premium").ok();
    assert_eq!(recorded(&mut world, minutes(9), "b"), 1, "other facts");
    world.facts.plan = Plan::new("basic").ok();
    assert_eq!(recorded(&mut world, minutes(10), "b"), 1, "ten minutes later");
}

#[test]
fn remedies_are_complete_sets_of_releases_after_which_the_request_passes() {
    let devices = cap("devices", Counts::DevicesHolding, &[], Window::Now, 2);
    let mut world = World::new(policy(rental(), vec![devices]));
    let on_a = [world.acquired(DAY_0, "a", "film"), world.acquired(DAY_0, "a", "other")];
    let on_b = world.acquired(DAY_0, "b", "film");
    let command = world.acquire("c", "film");
    let refused = world.refuse(day(1), command.clone());
    let named: Vec<Vec<_>> = refused
        .remedies
        .iter()
        .map(|remedy| {
            let license = |action: &RemedyAction| match action {
                RemedyAction::Release { license, .. } => license.clone(),
                RemedyAction::RemoveDevice { .. } => panic!("{action:?}"),
            };
            remedy.actions.iter().map(license).collect()
        })
        .collect();
    assert_eq!(named, [vec![on_b], on_a.to_vec()], "fewest actions first");
    for remedy in &refused.remedies {
        let mut world = world.clone();
        for command in performed(remedy) {
            world.accept(day(1), command);
        }
        world.accept(day(1), command.clone());
    }
}
