use super::world::*;
use crate::facts::{DeviceClass, Fact, MemberFacts, TitleFacts};
use crate::ids::{Account, Plan, SecurityLevel, Territory};
use crate::member::*;
use crate::policy::*;
use crate::time::{CalendarUnit, Duration, Zone};

fn gate(condition: Condition) -> Gate {
    let (of, when) = (Of::default(), When::default());
    Gate { id: rule("gate"), of, when, condition, needs: vec![] }
}

/// What the gate answers, with these facts.
fn asked(gate: &Gate, facts: &MemberFacts, rating: Option<u16>) -> Vec<Code> {
    let mut world = World::new(policy(rental(), vec![]));
    world.policy.default.gates = vec![gate.clone()];
    world.facts = facts.clone();
    let title = TitleFacts { maturity_rating: rating, ..title_facts("s") };
    let command = world.acquire_of("a", "film", title);
    match world.ask(&world.request(DAY_0, vec![command])).answer {
        Answer::Accepted { .. } => vec![],
        Answer::Refused(refused) => codes(&refused),
        Answer::KeyReused => panic!(),
    }
}

// "Every use of a fact says what absence means; the default is the strict one"
#[test]
fn a_gate_without_its_fact_refuses_unless_it_says_otherwise() {
    let none = MemberFacts::default;
    let l1 = || MemberFacts { security_level: SecurityLevel::new("L1").ok(), ..none() };
    let extra = || MemberFacts { account: Account::new("extra").ok(), ..none() };
    let premium = || MemberFacts { plan: Plan::new("premium").ok(), ..none() };
    let de = || MemberFacts { territory: Territory::new("DE").ok(), ..none() };
    let in_de = vec![Territory::new("DE").unwrap()];
    for (condition, open, shut, code) in [
        (
            Condition::SecurityLevels(vec!["L1".parse().unwrap()]),
            l1(),
            MemberFacts { security_level: SecurityLevel::new("L3").ok(), ..none() },
            Code::SecurityLevelNotAllowed,
        ),
        (
            Condition::Accounts(vec!["owner".parse().unwrap()]),
            MemberFacts { account: Account::new("owner").ok(), ..none() },
            extra(),
            Code::AccountNotAllowed,
        ),
        (
            Condition::Plans(vec!["premium".parse().unwrap()]),
            premium(),
            MemberFacts { plan: Plan::new("ads").ok(), ..none() },
            Code::PlanNotAllowed,
        ),
        (
            Condition::NotTerritories(in_de),
            MemberFacts { territory: Territory::new("US").ok(), ..none() },
            de(),
            Code::TerritoryNotAllowed,
        ),
    ] {
        let strict = gate(condition.clone());
        let lenient = Gate { needs: condition.facts().into_iter().collect(), ..strict.clone() };
        for (gate, without) in [(&strict, vec![code]), (&lenient, vec![])] {
            assert_eq!(asked(gate, &open, None), [], "{condition:?}");
            assert_eq!(asked(gate, &shut, None), [code], "{condition:?}");
            assert_eq!(asked(gate, &none(), None), without, "{condition:?}");
        }
    }
}

#[test]
fn a_profile_takes_no_title_that_is_rated_higher_than_it_may_see() {
    let limit = |limit| MemberFacts { maturity_limit: limit, ..MemberFacts::default() };
    let refused = vec![Code::MaturityNotAllowed];
    let mut gate = gate(Condition::Maturity);
    for (limited, rating, code) in
        [(12, 12, vec![]), (12, 13, refused.clone()), (0, 0, vec![]), (18, 16, vec![])]
    {
        assert_eq!(asked(&gate, &limit(Some(limited)), Some(rating)), code);
    }
    assert_eq!(asked(&gate, &limit(None), Some(0)), refused);
    assert_eq!(asked(&gate, &limit(Some(18)), None), refused);
    // A profile without a limit is a grown-up's; a title without a rating stays out.
    gate.needs = vec![Fact::MaturityLimit];
    assert_eq!(asked(&gate, &limit(None), Some(18)), []);
    assert_eq!(asked(&gate, &limit(Some(18)), None), refused);
}

// "Concurrent streams arrive as an input fact and are never counted from download events"
#[test]
fn a_download_waits_while_more_streams_run_than_the_plan_has() {
    let streams = |streams, plan: &str| MemberFacts {
        concurrent_streams: streams,
        plan: Plan::new(plan).ok(),
        ..MemberFacts::default()
    };
    let by_plan = LimitBy::Plan([("premium".parse().unwrap(), 4)].into());
    let mut gate = gate(Condition::ConcurrentStreams(Limit { otherwise: Some(2), by: by_plan }));
    let refused = || vec![Code::TooManyStreams];
    for (running, plan, code) in [
        (Some(2), "basic", vec![]),
        (Some(3), "basic", refused()),
        (Some(4), "premium", vec![]),
        (Some(5), "premium", refused()),
        (None, "premium", refused()),
        // Without a plan the smallest number holds.
        (Some(2), "", vec![]),
        (Some(3), "", refused()),
    ] {
        assert_eq!(asked(&gate, &streams(running, plan), None), code, "{running:?} {plan}");
    }
    gate.needs = vec![Fact::ConcurrentStreams];
    assert_eq!(asked(&gate, &streams(None, "basic"), None), []);
}

// "Minimum time before a device may join again or elsewhere"
#[test]
fn a_device_joins_when_it_was_with_nobody_else_for_so_long() {
    let mut world = World::new(policy(rental(), vec![]));
    let mut apart = gate(Condition::NotElsewhereFor(Duration::days(90)));
    world.policy.default.gates = vec![apart.clone()];
    world.facts.elsewhere_at = Some(DAY_0);
    let refused = world.refuse(day(1), register("new", DeviceClass::Phone, "key-new"));
    assert_eq!(codes(&refused), [Code::DeviceElsewhere]);
    assert_eq!((refused.findings[0].frees_at, refused.retry_at), (Some(day(90)), Some(day(90))));
    world.refuse(day(90).just_before(), register("new", DeviceClass::Phone, "key-new"));
    world.accept(day(90), register("new", DeviceClass::Phone, "key-new"));
    // It is asked when a device comes: neither of what it downloads, nor when it is here already.
    world.facts.elsewhere_at = Some(day(100));
    world.accept(day(100), register("new", DeviceClass::Phone, "key-new"));
    world.acquired(day(100), "new", "film");
    world.facts.elsewhere_at = None;
    let refused = world.refuse(day(101), register("unknown", DeviceClass::Phone, "key-unknown"));
    assert_eq!((codes(&refused), refused.retry_at), (vec![Code::DeviceElsewhere], None));
    apart.needs = vec![Fact::ElsewhereAt];
    world.policy.default.gates = vec![apart];
    world.accept(day(101), register("unknown", DeviceClass::Phone, "key-unknown"));
}

/// How many are granted on one device.
fn granted(cap: Cap, facts: MemberFacts) -> usize {
    let mut world = World::new(policy(rental(), vec![cap]));
    world.facts = facts;
    let granted = (0..5).take_while(|n| {
        let command = world.acquire("a", &n.to_string());
        let decision = world.ask(&world.request(DAY_0, vec![command]));
        matches!(decision.answer, Answer::Accepted { .. })
    });
    granted.count()
}

#[test]
fn a_cap_without_a_fact_applies_at_its_strictest_or_not_at_all() {
    let month =
        Window::Anniversary(Since::Member, CalendarUnit::Month, Zone::named("UTC").unwrap());
    let plan = || Plan::new("standard").unwrap();
    let by_plan = Limit { otherwise: Some(3), by: LimitBy::Plan([(plan(), 2)].into()) };
    let selected = When { plans: vec![plan()], ..When::default() };
    for (cap, fact, strict) in [
        (Cap { when: selected, ..active_cap(1) }, Fact::Plan, 1),
        (Cap { limit: by_plan, ..active_cap(0) }, Fact::Plan, 2),
        (cap("c", ACQUISITIONS, &[ScopeKey::Profile], Window::Lifetime, 1), Fact::Profile, 1),
        (cap("c", ACQUISITIONS, &[], month, 1), Fact::MemberSince, 1),
    ] {
        assert_eq!(cap.facts().into_iter().collect::<Vec<_>>(), [fact]);
        assert_eq!(granted(cap.clone(), MemberFacts::default()), strict, "{cap:?}");
        let lenient = Cap { needs: vec![fact], ..cap };
        assert_eq!(granted(lenient, MemberFacts::default()), 5);
    }
}

#[test]
fn a_tightening_without_its_fact_tightens_or_not_at_all() {
    let when = When { plans: vec![Plan::new("ads").unwrap()], ..When::default() };
    let terms = TermsPatch { renewals_max: Some(0), ..TermsPatch::default() };
    for (needs, renewals_max) in [(vec![], Some(0)), (vec![Fact::Plan], None)] {
        let mut world = World::new(policy(rental(), vec![]));
        let (when, terms) = (when.clone(), terms.clone());
        world.policy.default.tighten =
            vec![Tighten { id: rule("t"), of: Of::default(), when, terms, needs }];
        let id = world.acquired(DAY_0, "a", "film");
        assert_eq!(world.license(&id).term().term.renewals_max, renewals_max);
    }
}

#[test]
fn gates_are_not_asked_where_a_device_comes() {
    let mut world = World::new(policy(rental(), vec![]));
    world.policy.default.gates = vec![gate(Condition::Closed)];
    world.accept(DAY_0, register("tv", DeviceClass::Tv, "tv"));
}

fn guard(fact: GuardFact, how: Comparison, value: Value) -> When {
    let guard = Guard::Compare { left: Operand::Fact(fact), how, right: Operand::Constant(value) };
    When { guard: Some(guard), ..When::default() }
}

fn of_plan(plan: &str) -> When {
    guard(GuardFact::Plan, Comparison::NotEqual, Value::Text(plan.to_owned()))
}

// "A listed fact that is absent matches, so that a rule is never escaped by leaving a fact out"
#[test]
fn a_guard_says_when_a_gate_a_cap_or_a_tightening_holds() {
    let plan = |plan: &str| MemberFacts { plan: Plan::new(plan).ok(), ..MemberFacts::default() };
    let none = MemberFacts::default();
    let closed = |needs| Gate { when: of_plan("premium"), needs, ..gate(Condition::Closed) };
    let shut = vec![Code::TitleNotDownloadable];
    assert_eq!(asked(&closed(vec![]), &plan("premium"), None), []);
    assert_eq!(asked(&closed(vec![]), &plan("ads"), None), shut);
    assert_eq!(asked(&closed(vec![]), &none, None), shut);
    assert_eq!(asked(&closed(vec![Fact::Plan]), &none, None), []);

    let one = |needs| Cap { when: of_plan("premium"), needs, ..active_cap(1) };
    assert_eq!(one(vec![]).facts().into_iter().collect::<Vec<_>>(), [Fact::Plan]);
    assert_eq!(granted(one(vec![]), plan("premium")), 5);
    assert_eq!(granted(one(vec![]), plan("ads")), 1);
    assert_eq!(granted(one(vec![]), none.clone()), 1);
    assert_eq!(granted(one(vec![Fact::Plan]), none), 5);

    for (asked, renewals_max) in [("ads", Some(0)), ("premium", None)] {
        let mut world = World::new(policy(rental(), vec![]));
        world.facts = plan(asked);
        let terms = TermsPatch { renewals_max: Some(0), ..TermsPatch::default() };
        let (of, when) = (Of::default(), of_plan("premium"));
        world.policy.default.tighten =
            vec![Tighten { id: rule("t"), of, when, terms, needs: vec![] }];
        let id = world.acquired(DAY_0, "a", "film");
        assert_eq!(world.license(&id).term().term.renewals_max, renewals_max);
    }
}

// "guards select the request only": what was acquired without the guard holding is counted too.
#[test]
fn a_guard_selects_the_request_and_not_what_is_counted() {
    let rated = guard(GuardFact::MaturityRating, Comparison::GreaterOrEqual, Value::Number(16));
    let mut world = World::new(policy(rental(), vec![Cap { when: rated, ..active_cap(1) }]));
    let rated = |rating| TitleFacts { maturity_rating: Some(rating), ..title_facts("s") };
    for (n, rating) in ["1", "2"].into_iter().zip([6, 12]) {
        let command = world.acquire_of("a", n, rated(rating));
        world.accept(DAY_0, command);
    }
    let command = world.acquire_of("a", "3", rated(16));
    let refused = world.refuse(DAY_0, command);
    assert_eq!(refused.findings[0].cap.as_ref().map(|cap| (cap.used, cap.limit)), Some((2, 1)));
}

/// Which title it would be asked about is not known where a membership changes.
#[test]
fn a_cap_guarded_by_titles_takes_no_device_away() {
    for (when, leaving) in [
        (guard(GuardFact::Partner, Comparison::Equal, Value::Text("s".to_owned())), 0),
        (of_plan("premium"), 1),
    ] {
        let holders = Cap { when, ..cap("c", Counts::DevicesHolding, &[], Window::Now, 1) };
        let mut world = World::new(policy(rental(), vec![]));
        let notice = crate::time::Duration::days(1);
        world.policy.downgrade = Some(Downgrade { keep: Keep::LastSeen, notice });
        world.acquired(DAY_0, "a", "1");
        world.acquired(DAY_0, "b", "2");
        world.policy.default.caps = vec![holders];
        let decision = world.ask(&world.request(day(1), vec![Command::ChangeMember]));
        let [Event { body: EventBody::MemberChanged { leaving: found, .. }, .. }] =
            &decision.events[..]
        else {
            panic!("{:?}", decision.events)
        };
        assert_eq!(found.len(), leaving);
    }
}
