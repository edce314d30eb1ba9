use super::world::*;
use crate::facts::{DeviceClass, TitleFacts};
use crate::ids::{Account, Plan, RuleId, SecurityLevel, Tag, Territory};
use crate::member::*;
use crate::policy::*;
use crate::time::Duration;

fn anchored(anchor: FinishAnchor) -> World {
    World::new(policy(TermsPatch { finish_anchor: Some(anchor), ..rental() }, vec![]))
}

/// Takes the film to `a`, plays it on day 1 and tells so at once.
fn begun(anchor: FinishAnchor) -> (World, crate::ids::LicenseId) {
    let mut world = anchored(anchor);
    let id = world.acquired(DAY_0, "a", "film");
    world.accept(day(1), played("a", 1, &id, 1, day(1)));
    (world, id)
}

// "its clock anchored at the term, at the license, or at member and title, so that a renewal, a
// second copy or a new download does not reopen it"
#[test]
fn the_finish_clock_is_anchored_at_the_term_the_license_or_the_title() {
    for (anchor, renewed_until, copy_until) in [
        (FinishAnchor::Term, day(32), day(32)),
        (FinishAnchor::License, day(3), day(32)),
        (FinishAnchor::Title, day(3), day(3)),
    ] {
        let (mut world, id) = begun(anchor);
        world.accept(day(2), renew("a", &id, 1));
        assert_eq!(world.license(&id).ends_at(), renewed_until, "{anchor:?}");
        let copy = world.acquired(day(2), "b", "film");
        assert_eq!(world.license(&copy).ends_at(), copy_until, "{anchor:?}");
    }
}

#[test]
fn a_term_that_is_over_at_birth_is_refused() {
    let (mut world, id) = begun(FinishAnchor::License);
    let refused = world.refuse(day(3), renew("a", &id, 1));
    assert_eq!((codes(&refused), refused.retry_at), (vec![Code::TermOverAtBirth], None));
    world.acquired(day(3), "a", "film"); // a new license has a clock of its own

    let (mut world, id) = begun(FinishAnchor::Title);
    world.accept(day(3).just_before(), renew("a", &id, 1));
    for (on, title_id, over) in [("a", "film", true), ("b", "film", true), ("b", "other", false)] {
        let command = world.acquire(on, title_id);
        let decision = world.ask(&world.request(day(3), vec![command]));
        assert_eq!(matches!(decision.answer, Answer::Refused(_)), over, "{on} {title_id}");
    }
}

#[test]
fn only_plays_recorded_before_the_renewal_carry_over() {
    let mut world = anchored(FinishAnchor::License);
    let id = world.acquired(DAY_0, "a", "film");
    world.accept(day(2), renew("a", &id, 1));
    world.accept(day(3), played("a", 1, &id, 1, day(1)));
    assert_eq!(world.license(&id).ends_at(), day(32), "as it was promised");
    assert_eq!(codes(&world.refuse(day(4), renew("a", &id, 2))), [Code::TermOverAtBirth]);
}

#[test]
fn a_first_play_that_moves_earlier_moves_the_anchor_of_later_copies() {
    let mut world = anchored(FinishAnchor::Title);
    let id = world.acquired(DAY_0, "a", "film");
    for (sequence, hours) in [(1, 30), (2, 26), (3, 28)] {
        world.accept(hour(31), played("a", sequence, &id, 1, hour(hours)));
    }
    let copy = world.acquired(hour(32), "b", "film");
    assert_eq!(world.license(&copy).ends_at(), hour(26 + 48));
}

#[test]
fn a_plain_period_ends_so_long_after_it_began_whatever_was_played() {
    let terms = TermsPatch { end_within: Some(Duration::days(14)), ..TermsPatch::default() };
    let mut world = World::new(policy(terms, vec![]));
    let id = world.acquired(DAY_0, "a", "film");
    world.accept(day(9), played("a", 1, &id, 1, day(9)));
    assert_eq!(world.license(&id).term().end(), Some((day(14), Clock::HardEnd)));
    assert_eq!(world.license(&id).may_play_until(), day(14));
    world.accept(day(10), renew("a", &id, 1));
    assert_eq!(world.license(&id).ends_at(), day(24), "from now");
}

#[test]
fn a_renewal_runs_from_now_or_from_the_end_that_is_to_come() {
    for (from, early, late) in
        [(None, 40, 75), (Some(RenewFrom::Now), 40, 75), (Some(RenewFrom::End), 60, 75)]
    {
        let mut world = World::new(policy(TermsPatch { renew_from: from, ..rental() }, vec![]));
        let id = world.acquired(DAY_0, "a", "film");
        let mut over = world.clone();
        world.accept(day(10), renew("a", &id, 1));
        assert_eq!(world.license(&id).ends_at(), day(early), "{from:?}");
        assert_eq!(world.license(&id).term().term.started_at, day(10));
        over.accept(day(45), renew("a", &id, 1));
        assert_eq!(over.license(&id).ends_at(), day(late), "from now where it is over: {from:?}");
    }
}

#[test]
fn unattended_renewals_keep_their_distance() {
    let terms = TermsPatch { auto_renew_every: Some(Duration::days(1)), ..rental() };
    let mut world = World::new(policy(terms, vec![]));
    let id = world.acquired(DAY_0, "a", "film");
    let automatic = |term| match renew("a", &id, term) {
        Command::Renew { device, license, term, title_facts, .. } => {
            Command::Renew { device, license, term, title_facts, automatic: true }
        }
        other => other,
    };
    world.accept(hour(1), automatic(1));
    let refused = world.refuse(hour(2), automatic(2));
    assert_eq!(
        (codes(&refused), refused.retry_at),
        (vec![Code::AutoRenewalTooSoon], Some(hour(25)))
    );
    world.accept(hour(3), renew("a", &id, 2)); // somebody asked
    world.refuse(hour(25).just_before(), automatic(3));
    world.accept(hour(25), automatic(3));
}

#[test]
fn what_may_be_played_later_only_waits_for_a_term_that_reaches_it() {
    let terms = TermsPatch {
        not_before: Some(day(30)),
        end_within: Some(Duration::days(14)),
        ..TermsPatch::default()
    };
    let mut world = World::new(policy(terms, vec![]));
    let command = world.acquire("a", "film");
    let refused = world.refuse(DAY_0, command.clone());
    let reaches_at = day(16) + Duration::from_millis(1);
    assert_eq!(
        (codes(&refused), refused.retry_at),
        (vec![Code::TermOverAtBirth], Some(reaches_at))
    );
    world.refuse(day(16), command.clone());
    world.accept(reaches_at, command);
}

fn tighten(id: &str, terms: TermsPatch) -> Tighten {
    Tighten {
        id: RuleId::new(id).unwrap(),
        of: Of::default(),
        when: When::default(),
        terms,
        needs: vec![],
    }
}

fn finish(hours: i64) -> TermsPatch {
    TermsPatch { finish_within: Some(Duration::hours(hours)), ..TermsPatch::default() }
}

// "everything else may only tighten"
#[test]
fn terms_by_tag_plan_territory_class_and_security_level_tighten_and_never_loosen() {
    let mut base = policy(rental(), vec![]);
    let when = When::default;
    base.default.tighten = vec![
        Tighten {
            when: When { plans: vec![Plan::new("ads").unwrap()], ..when() },
            ..tighten("plan", finish(24))
        },
        Tighten {
            when: When { territories: vec![Territory::new("US").unwrap()], ..when() },
            ..tighten("territory", finish(23))
        },
        Tighten {
            when: When { security_levels: vec![SecurityLevel::new("L3").unwrap()], ..when() },
            ..tighten("level", finish(22))
        },
        Tighten {
            when: When { accounts: vec![Account::new("extra").unwrap()], ..when() },
            ..tighten("account", finish(21))
        },
        Tighten {
            of: Of { tags: vec![Tag::new("new").unwrap()], classes: vec![] },
            ..tighten("tag", finish(20))
        },
        Tighten {
            of: Of { tags: vec![], classes: vec![DeviceClass::Tablet] },
            ..tighten("class", finish(19))
        },
        tighten("looser", finish(100)),
    ];
    let finishes = |set: fn(&mut World, &mut TitleFacts), on| {
        let mut world = World::new(base.clone());
        let mut facts = title_facts("s");
        world.facts.plan = Plan::new("premium").ok();
        world.facts.territory = Territory::new("DE").ok();
        world.facts.security_level = SecurityLevel::new("L1").ok();
        world.facts.account = Account::new("owner").ok();
        set(&mut world, &mut facts);
        let command = world.acquire_of(on, "film", facts);
        world.accept(DAY_0, command);
        world.license(&license("l1")).term().term.finish_within.unwrap()
    };
    let hours = Duration::hours;
    assert_eq!(finishes(|_, _| {}, "a"), hours(48));
    assert_eq!(finishes(|world, _| world.facts.plan = Plan::new("ads").ok(), "a"), hours(24));
    assert_eq!(finishes(|world, _| world.facts.territory = "US".parse().ok(), "a"), hours(23));
    assert_eq!(finishes(|world, _| world.facts.security_level = "L3".parse().ok(), "a"), hours(22));
    assert_eq!(finishes(|world, _| world.facts.account = "extra".parse().ok(), "a"), hours(21));
    assert_eq!(finishes(|_, facts| facts.tags = ["new".parse().unwrap()].into(), "a"), hours(20));
    assert_eq!(finishes(|_, _| {}, "c"), hours(19));
    // A fact that is absent is no way around a rule.
    assert_eq!(finishes(|world, _| world.facts.plan = None, "a"), hours(24));
}

#[test]
fn a_term_promises_whether_the_copy_goes_with_it() {
    for (says, promised) in [(None, false), (Some(false), false), (Some(true), true)] {
        let terms = TermsPatch { delete_at_end: says, ..rental() };
        let mut world = World::new(policy(terms, vec![]));
        let id = world.acquired(DAY_0, "a", "film");
        assert_eq!(world.license(&id).term().term.delete_at_end, promised, "{says:?}");
    }
}

#[test]
fn of_each_field_the_tighter_one_holds() {
    let days = |n| Some(Duration::days(n));
    let loose = TermsPatch {
        start_within: days(30),
        grace: days(2),
        not_before: Some(day(1)),
        hard_end: Some(day(90)),
        end_with_availability: Some(false),
        renewals_max: Some(5),
        auto_renew_every: days(1),
        finish_within: days(2),
        ..TermsPatch::default()
    };
    let tight = TermsPatch {
        start_within: days(20),
        grace: days(1),
        running_play: days(1),
        check_in_within: days(3),
        end_within: days(40),
        not_before: Some(day(2)),
        hard_end: Some(day(80)),
        end_with_availability: Some(true),
        renewals_max: Some(4),
        renew_before_end: days(7),
        renew_after_end: days(9),
        auto_renew_every: days(2),
        finish_anchor: Some(FinishAnchor::License),
        finish_within: days(1),
        renew_from: None,
        release_frees: Some(ReleaseFrees::WhenConfirmed),
        delete_at_end: Some(true),
    };
    let both = |base: &TermsPatch, by: &TermsPatch| {
        let mut policy = policy(base.clone(), vec![]);
        policy.default.tighten = vec![tighten("t", by.clone())];
        let title = title("film");
        let facts = title_facts("s");
        let facts = crate::facts::Facts::new(&Default::default(), DeviceClass::Phone, &facts);
        Effective::new(&policy, &title, &facts.title).terms(&facts)
    };
    // Nothing is given on top of nothing.
    let expected = TermsPatch { running_play: None, ..tight.clone() };
    assert_eq!(both(&loose, &tight), expected);
    assert_eq!(both(&expected, &loose), expected);
}

#[test]
fn a_narrower_tightening_replaces_a_wider_one_only_by_bearing_its_id() {
    let mut base = policy(rental(), vec![]);
    base.default.tighten = vec![tighten("t", finish(10))];
    let level = |tighten| Rules { tighten: vec![tighten], ..Rules::default() };
    base.partners.insert("s".parse().unwrap(), level(tighten("t", finish(20))));
    base.partners.insert("t".parse().unwrap(), level(tighten("other", finish(20))));
    for (partner, hours) in [("s", 20), ("t", 10), ("u", 10)] {
        let mut world = World::new(base.clone());
        let command = world.acquire_of("a", "film", title_facts(partner));
        world.accept(DAY_0, command);
        let finish = world.license(&license("l1")).term().term.finish_within;
        assert_eq!(finish, Some(Duration::hours(hours)), "{partner}");
    }
}
