//! What holds for all policies and histories. Histories are made of requests, so that every
//! member in them could have come about.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::world::*;
use crate::facts::{DeviceClass, Fact, MemberFacts, TitleFacts};
use crate::ids::{DeviceId, LicenseId, Plan, ProfileId, SeriesId, Tag, Territory, TitleId};
use crate::member::*;
use crate::policy::*;
use crate::time::{CalendarUnit, Duration, Timestamp, Zone, anniversary_period, calendar_period};

#[derive(Debug, Clone)]
pub(super) enum Deed {
    Acquire {
        on: &'static str,
        title: u8,
    },
    Renew {
        nth: usize,
        automatic: bool,
    },
    Release {
        by: Option<&'static str>,
        nth: usize,
    },
    CheckIn {
        on: &'static str,
        started: bool,
    },
    Play {
        nth: usize,
        hours_ago: i64,
    },
    Remove {
        on: &'static str,
    },
    Register {
        on: &'static str,
    },
    /// The policy allows one less of everything from now on.
    Tighten,
    /// Other facts from now on.
    Become(MemberFacts),
    /// What changes around the member.
    Around(Command),
    Revoke {
        nth: usize,
    },
}

fn devices() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "d"])
}

fn member_facts() -> impl Strategy<Value = MemberFacts> {
    (
        prop::option::of(prop::sample::select(vec!["ana", "ben"])),
        prop::option::of(prop::sample::select(vec!["basic", "premium"])),
        prop::option::of(prop::sample::select(vec!["DE", "US"])),
        prop::option::of(0i64..400),
        (prop::option::of(0u32..4), prop::option::of(-60i64..60)),
    )
        .prop_map(|(profile, plan, territory, since, (streams, elsewhere))| MemberFacts {
            profile: profile.map(|id| ProfileId::new(id).unwrap()),
            plan: plan.map(|id| Plan::new(id).unwrap()),
            territory: territory.map(|id| Territory::new(id).unwrap()),
            member_since: since.map(|days| DAY_0 - Duration::days(days)),
            concurrent_streams: streams,
            elsewhere_at: elsewhere.map(|days| DAY_0 + Duration::days(days)),
            ..MemberFacts::default()
        })
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        8 => (devices(), 0u8..4).prop_map(|(on, title)| Deed::Acquire { on, title }),
        3 => (any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(i, automatic)| Deed::Renew { nth: i.index(1_000), automatic }),
        2 => (prop::option::of(prop::sample::select(vec!["a", "b", "c"])), any::<prop::sample::Index>())
            .prop_map(|(by, i)| Deed::Release { by, nth: i.index(1_000) }),
        2 => (devices(), any::<bool>()).prop_map(|(on, started)| Deed::CheckIn { on, started }),
        3 => (any::<prop::sample::Index>(), -30i64..900)
            .prop_map(|(i, hours_ago)| Deed::Play { nth: i.index(1_000), hours_ago }),
        2 => devices().prop_map(|on| Deed::Remove { on }),
        2 => devices().prop_map(|on| Deed::Register { on }),
        1 => Just(Deed::Tighten),
        1 => member_facts().prop_map(Deed::Become),
        2 => around().prop_map(Deed::Around),
        1 => any::<prop::sample::Index>().prop_map(|i| Deed::Revoke { nth: i.index(1_000) }),
    ]
}

fn warrant() -> Warrant {
    Warrant { actor: "kim".to_owned(), reason: "asked".to_owned() }
}

fn around() -> impl Strategy<Value = Command> {
    let exception = |name: &str| crate::ids::ExceptionId::new(name).unwrap();
    let grant = (0u8..3, 0u8..4, 0u32..3, 0i64..60).prop_map(move |(id, cap, amount, until)| {
        let allowance = Allowance { rule: rule(&format!("cap-{cap}")), amount, until: day(until) };
        let exception = exception(&id.to_string());
        Command::GrantException { exception, allowance, warrant: warrant() }
    });
    let end = (0u8..3).prop_map(move |id| Command::EndException {
        exception: exception(&id.to_string()),
        warrant: warrant(),
    });
    prop_oneof![
        3 => Just(Command::ChangeMember),
        1 => Just(Command::LapseMembership),
        3 => Just(Command::ResumeMembership { warrant: None }),
        1 => devices().prop_map(|on| Command::Revoke {
            target: Target::Device(device(on)),
            warrant: warrant(),
        }),
        1 => (0u8..4).prop_map(|n| Command::WithdrawTitle { title: title(&n.to_string()) }),
        3 => grant,
        1 => end,
    ]
}

fn tag(name: &str) -> Tag {
    Tag::new(name).unwrap()
}

/// Two of one series, one alone, one of which little is known.
fn facts_of(title: u8) -> TitleFacts {
    let (partner, series, tags): (_, Option<&str>, &[&str]) = match title {
        0 => ("s", Some("saga"), &["x"]),
        1 => ("s", Some("saga"), &["x", "y"]),
        2 => ("t", None, &["y"]),
        _ => ("t", None, &[]),
    };
    TitleFacts {
        series: series.map(|id| SeriesId::new(id).unwrap()),
        tags: tags.iter().map(|name| tag(name)).collect(),
        ..title_facts(partner)
    }
}

fn zone() -> Zone {
    Zone::named("America/New_York").unwrap()
}

fn unit() -> impl Strategy<Value = CalendarUnit> {
    use CalendarUnit::{Day, Month, Week, Year};
    prop::sample::select(vec![Day, Week, Month, Year])
}

fn window() -> impl Strategy<Value = Window> {
    prop_oneof![
        3 => (1i64..60).prop_map(|days| Window::Rolling(Duration::days(days))),
        2 => unit().prop_map(|unit| Window::Calendar(unit, zone())),
        1 => unit().prop_map(|unit| Window::Anniversary(Since::Member, unit, zone())),
        1 => (1i64..60).prop_map(|days| Window::FirstUse(Duration::days(days))),
        1 => Just(Window::Lifetime),
    ]
}

fn limit() -> impl Strategy<Value = Limit> {
    let table = (0u8..4, 0u32..3, 0u32..3).prop_map(|(by, one, other)| match by {
        0 => LimitBy::Plan([("basic".parse().unwrap(), one), ("x".parse().unwrap(), other)].into()),
        1 => LimitBy::Territory([("DE".parse().unwrap(), one)].into()),
        2 => LimitBy::Class([(DeviceClass::Phone, one), (DeviceClass::Tv, other)].into()),
        _ => LimitBy::Tag([(tag("x"), one), (tag("y"), other)].into()),
    });
    prop_oneof![
        3 => (0u32..4).prop_map(Limit::constant),
        1 => (table, 0u32..4).prop_map(|(by, otherwise)| Limit { otherwise: Some(otherwise), by }),
    ]
}

/// Any guard, of the facts that histories have and of one that they never do.
fn a_guard() -> impl Strategy<Value = Guard> {
    let text = |text: &str| Operand::Constant(Value::Text(text.to_owned()));
    let of_texts = prop::sample::select(vec![
        (GuardFact::Plan, "basic"),
        (GuardFact::Territory, "DE"),
        (GuardFact::Profile, "ana"),
        (GuardFact::DeviceClass, "phone"),
        (GuardFact::Partner, "s"),
        (GuardFact::Series, ""),
        (GuardFact::Title, "1"),
        (GuardFact::Account, "owner"),
    ]);
    let how = prop::sample::select(Comparison::ALL.to_vec());
    let part = prop_oneof![
        4 => (of_texts, any::<bool>()).prop_map(move |((fact, value), equal)| Guard::Compare {
            left: Operand::Fact(fact),
            how: if equal { Comparison::Equal } else { Comparison::NotEqual },
            right: text(value),
        }),
        1 => (how, 0i64..400).prop_map(|(how, days)| Guard::Compare {
            left: Operand::Fact(GuardFact::MemberSince),
            how,
            right: Operand::Constant(Value::Time(DAY_0 - Duration::days(days))),
        }),
        1 => Just(Guard::InTags(text("x"))),
        1 => Just(Guard::In(Operand::Fact(GuardFact::Plan), vec![text("basic"), text("x")])),
    ];
    part.prop_recursive(2, 6, 3, |part| {
        let parts = prop::collection::vec(part.clone(), 1..3);
        prop_oneof![
            parts.clone().prop_map(Guard::All),
            parts.prop_map(Guard::Any),
            part.prop_map(|part| Guard::Not(Box::new(part))),
        ]
    })
}

/// Who a rule is for.
fn a_when() -> impl Strategy<Value = When> {
    let guard = prop::option::weighted(0.3, a_guard());
    (prop::bool::weighted(0.2), guard).prop_map(|(of_plan, guard)| {
        let plans = if of_plan { vec!["basic".parse().unwrap()] } else { vec![] };
        When { plans, guard, ..When::default() }
    })
}

/// Any cap that can be written.
fn a_cap() -> impl Strategy<Value = Cap> {
    use ScopeKey::{Device, DeviceClass, Partner, Profile, Series, Tag, Title};
    let scopes = prop::sample::select(vec![Title, Partner, Device, Profile, Series, Tag]);
    let of_titles = prop::sample::subsequence(CountedKind::OF_TITLES.to_vec(), 1..=3);
    let of_devices = prop::sample::select(vec![
        CountedKind::DeviceRegistered,
        CountedKind::DeviceSwapped,
        CountedKind::DeviceRemoved,
    ]);
    let counted = prop_oneof![
        3 => Just((Counts::ActiveLicenses, Window::Now)),
        3 => Just((Counts::DevicesHolding, Window::Now)),
        1 => Just((Counts::DistinctTitles, Window::Now)),
        1 => window().prop_map(|window| (Counts::DistinctTitles, window)),
        6 => (of_titles, window()).prop_map(|(kinds, window)| (events(&kinds), window)),
        1 => unit().prop_map(|unit| {
            let window = Window::Anniversary(Since::License, unit, zone());
            (events(&[CountedKind::Renewed]), window)
        }),
    ];
    let of_licenses = (
        counted,
        prop::collection::btree_set(scopes, 0..2),
        prop::option::weighted(0.2, Just(vec![tag("x")])),
    );
    let counted = prop_oneof![
        1 => Just((Counts::DevicesRegistered, Window::Now)),
        2 => (of_devices, window()).prop_map(|(kind, window)| (events(&[kind]), window)),
    ];
    let scopes = prop::sample::select(vec![Device, DeviceClass]);
    let of_devices = (counted, prop::collection::btree_set(scopes, 0..2), Just(None));
    let what = prop_oneof![4 => of_licenses.boxed(), 1 => of_devices.boxed()];
    let selects = (prop::bool::weighted(0.2), a_when());
    let idle_days = prop::option::weighted(0.2, 1i64..20);
    (what, limit(), idle_days, any::<bool>(), selects).prop_map(
        |(((counts, window), per, tags), limit, idle_days, lenient, (of_class, when))| {
            let per: Vec<ScopeKey> = per.into_iter().collect();
            let classes = if of_class { vec![crate::facts::DeviceClass::Phone] } else { vec![] };
            // What a device that comes or goes cannot be asked is not asked of it.
            let when = match &when.guard {
                Some(guard) if counts.is_of_devices() && guard.is_of_titles() => {
                    When { guard: None, ..when }
                }
                _ => when,
            };
            let by_plan =
                when.facts().contains(&Fact::Plan) || matches!(limit.by, LimitBy::Plan(_));
            let of_holders = matches!(counts, Counts::DevicesHolding | Counts::DevicesRegistered);
            Cap {
                of: Of { tags: tags.unwrap_or_default(), classes },
                when,
                idle_after: idle_days.filter(|_| of_holders).map(Duration::days),
                limit,
                needs: if by_plan && lenient { vec![Fact::Plan] } else { vec![] },
                ..cap("cap", counts, &per, window, 0)
            }
        },
    )
}

/// Any terms that can be written.
fn terms() -> impl Strategy<Value = TermsPatch> {
    let days = |most: i64| prop::option::weighted(0.4, (1..most).prop_map(Duration::days));
    let hours = |most: i64| prop::option::of((1..most).prop_map(Duration::hours));
    let instant = || prop::option::weighted(0.15, (0i64..90).prop_map(day));
    let rarely = |most: i64| prop::option::weighted(0.15, (1..most).prop_map(Duration::days));
    let anchor =
        prop::sample::select(vec![FinishAnchor::Term, FinishAnchor::License, FinishAnchor::Title]);
    let from = prop::sample::select(vec![RenewFrom::Now, RenewFrom::End]);
    (
        (days(20), hours(200), days(15), rarely(40), hours(30), hours(6)),
        (instant(), instant(), prop::option::of(any::<bool>()), prop::option::of(0u32..4)),
        (days(10), days(30), prop::option::of(anchor), prop::option::of(from), rarely(20)),
        (prop::bool::weighted(0.3), prop::option::of(any::<bool>())),
    )
        .prop_map(|(lengths, dates, renewals, (waits, delete_at_end))| {
            let (start_within, finish_within, check_in_within, end_within, grace, run) = lengths;
            let (not_before, hard_end, end_with_availability, renewals_max) = dates;
            let (before, after, finish_anchor, renew_from, auto_renew_every) = renewals;
            TermsPatch {
                start_within,
                finish_within,
                finish_anchor,
                check_in_within,
                end_within,
                grace,
                running_play: run,
                not_before,
                hard_end,
                end_with_availability,
                renewals_max,
                renew_before_end: before,
                renew_after_end: after,
                renew_from,
                auto_renew_every,
                release_frees: waits.then_some(ReleaseFrees::WhenConfirmed),
                delete_at_end,
            }
        })
}

fn a_gate() -> impl Strategy<Value = Gate> {
    let listed = prop::sample::select(vec![
        Condition::Plans(vec!["premium".parse().unwrap()]),
        Condition::Territories(vec!["DE".parse().unwrap()]),
        Condition::NotTerritories(vec!["US".parse().unwrap()]),
        Condition::Classes(vec![DeviceClass::Phone]),
        Condition::Maturity,
    ]);
    let condition = prop_oneof![
        3 => listed,
        1 => limit().prop_map(Condition::ConcurrentStreams),
        1 => (1i64..60).prop_map(|days| Condition::NotElsewhereFor(Duration::days(days))),
    ];
    (condition, a_when(), any::<bool>()).prop_map(|(condition, when, lenient)| {
        let needs = if lenient { condition.facts().into_iter().collect() } else { vec![] };
        Gate { id: rule("gate"), of: Of::default(), when, condition, needs }
    })
}

pub(super) fn a_policy() -> impl Strategy<Value = Policy> {
    let tighten = (prop::option::of(terms()), a_when()).prop_map(|(terms, when)| {
        terms.map(|terms| Tighten {
            id: rule("tighten"),
            of: Of::default(),
            when,
            terms,
            needs: vec![],
        })
    });
    let caps = prop::collection::vec(a_cap(), 0..4);
    let gates = prop::option::weighted(0.2, a_gate());
    let downgrade =
        prop::option::of((any::<bool>(), 0i64..10).prop_map(|(seen, days)| Downgrade {
            keep: if seen { Keep::LastSeen } else { Keep::FirstRegistered },
            notice: Duration::days(days),
        }));
    let lapse = prop::option::of((0i64..10).prop_map(Duration::days));
    // Where each cap stands: of three, one is of a partner, a series or a title.
    let levels = prop::collection::vec(0u8..9, 4);
    let around = (downgrade, lapse, levels);
    (terms(), tighten, caps, gates, around).prop_map(|(terms, tighten, caps, gates, around)| {
        let caps = caps.into_iter().enumerate();
        let named = |(i, c): (usize, Cap)| Cap { id: rule(&format!("cap-{i}")), ..c };
        let mut policy = policy(terms, caps.map(named).collect());
        policy.default.tighten = tighten.into_iter().collect();
        policy.default.gates = gates.into_iter().collect();
        let (downgrade, lapse_ends_within, levels) = around;
        (policy.downgrade, policy.lapse_ends_within) = (downgrade, lapse_ends_within);
        for (cap, level) in std::mem::take(&mut policy.default.caps).into_iter().zip(levels) {
            let narrow = level < 3 && !cap.counts.is_of_devices();
            let rules = match level {
                0 if narrow => policy.partners.entry("s".parse().unwrap()).or_default(),
                1 if narrow => policy.series.entry("saga".parse().unwrap()).or_default(),
                2 if narrow => policy.titles.entry(title("0")).or_default(),
                _ => &mut policy.default,
            };
            rules.caps.push(cap);
        }
        policy
    })
}

pub(super) fn history() -> impl Strategy<Value = Vec<(i64, Deed)>> {
    prop::collection::vec((0i64..72, deed()), 1..40)
}

/// The next request of a history, if the deed finds what it is about.
fn command(world: &mut World, sequence: u64, at: Timestamp, deed: &Deed) -> Option<Command> {
    let ids: Vec<LicenseId> =
        world.member.licenses.keys().chain(world.member.past.keys()).cloned().collect();
    let pick = |nth: &usize| ids.get(nth % ids.len().max(1)).cloned();
    Some(match deed {
        Deed::Acquire { on, title } => world.acquire_of(on, &title.to_string(), facts_of(*title)),
        Deed::Renew { nth, automatic } => {
            let id = pick(nth)?;
            let license = world.license(&id);
            let on = license.device.as_str().to_owned();
            let facts = license.facts.title.clone();
            Command::Renew {
                device: device(&on),
                term: license.term().term.number,
                license: id,
                title_facts: Some(facts),
                automatic: *automatic,
            }
        }
        Deed::Release { by, nth } => Command::Release { by: by.map(device), license: pick(nth)? },
        Deed::Around(command) => command.clone(),
        Deed::Revoke { nth } => {
            Command::Revoke { target: Target::License(pick(nth)?), warrant: warrant() }
        }
        Deed::CheckIn { on, started } => {
            let holdings: Vec<_> = ids.iter().map(|id| (id, *started)).collect();
            check_in(on, &holdings)
        }
        Deed::Play { nth, hours_ago } => {
            let id = pick(nth)?;
            let license = world.license(&id);
            let (on, term) = (license.device.as_str().to_owned(), license.term().term.number);
            played(&on, sequence, &id, term, at - Duration::hours(hours_ago.max(&0).to_owned()))
        }
        Deed::Remove { on } => Command::RemoveDevice { device: device(on) },
        Deed::Register { on } => {
            let class = if *on == "c" { DeviceClass::Tablet } else { DeviceClass::Phone };
            register(on, class, on)
        }
        Deed::Tighten => {
            for cap in every_cap(&mut world.policy) {
                cap.limit.otherwise = cap.limit.otherwise.map(|limit| limit.saturating_sub(1));
            }
            return None;
        }
        Deed::Become(facts) => {
            world.facts = facts.clone();
            return None;
        }
    })
}

fn every_level(policy: &mut Policy) -> impl Iterator<Item = &mut Rules> {
    let Policy { default, partners, series, titles, .. } = policy;
    let narrow = partners.values_mut().chain(series.values_mut()).chain(titles.values_mut());
    std::iter::once(default).chain(narrow)
}

fn every_cap(policy: &mut Policy) -> impl Iterator<Item = &mut Cap> {
    every_level(policy).flat_map(|rules| &mut rules.caps)
}

/// The caps that something is counted under: one of a partner counts per partner, and so on.
fn caps_of(policy: &Policy, thing: &Thing) -> Vec<Cap> {
    let mut caps = policy.default.caps.clone();
    let Some((title, facts)) = &thing.title else { return caps };
    let series = facts.series.as_ref().and_then(|series| policy.series.get(series));
    for (rules, key) in [
        (policy.partners.get(&facts.partner), ScopeKey::Partner),
        (series, ScopeKey::Series),
        (policy.titles.get(title), ScopeKey::Title),
    ] {
        for cap in rules.into_iter().flat_map(|rules| &rules.caps) {
            let mut cap = cap.clone();
            cap.per.push(key);
            caps.push(cap);
        }
    }
    caps
}

/// Runs a history and shows each request, the world before it, and what was decided.
pub(super) fn run(
    policy: Policy,
    history: &[(i64, Deed)],
    mut each: impl FnMut(&World, &Request, &Decision) -> Result<(), TestCaseError>,
) -> Result<World, TestCaseError> {
    let mut world = World::new(policy);
    let mut at = DAY_0;
    for (sequence, (hours, deed)) in (1..).zip(history) {
        at = at + Duration::hours(*hours);
        let Some(command) = command(&mut world, sequence, at, deed) else { continue };
        let before = world.clone();
        let request = world.request(at, vec![command]);
        let decision = world.ask(&request);
        each(&before, &request, &decision)?;
    }
    Ok(world)
}

fn passes(world: &World, request: &Request, at: Timestamp) -> bool {
    let request = Request { at, ..request.clone() };
    matches!(decide(&world.member, &request, &world.policy).answer, Answer::Accepted { .. })
}

/// What is asked about, or was counted, told apart by everything that a cap may go by.
struct Thing {
    device: DeviceId,
    class: DeviceClass,
    profile: Option<ProfileId>,
    title: Option<(TitleId, TitleFacts)>,
    /// Of the license that is renewed, when it was acquired.
    acquired_at: Option<Timestamp>,
}

impl Thing {
    fn of(acquired: &Acquired, facts: &crate::facts::Facts) -> Self {
        Self {
            device: acquired.device.clone(),
            class: facts.class,
            profile: facts.member.profile.clone(),
            title: Some((acquired.title.clone(), facts.title.clone())),
            acquired_at: None,
        }
    }

    fn tags(&self) -> Vec<Tag> {
        self.title.as_ref().map(|(_, facts)| facts.tags.to_vec()).unwrap_or_default()
    }

    fn together(&self, other: &Self, cap: &Cap, tag: Option<&Tag>) -> bool {
        let title = |thing: &Self| thing.title.as_ref().map(|(title, _)| title.clone());
        let facts = |thing: &Self| thing.title.as_ref().map(|(_, facts)| facts.clone());
        cap.per.iter().all(|key| match key {
            ScopeKey::Title => title(self) == title(other),
            ScopeKey::Partner => facts(self).map(|f| f.partner) == facts(other).map(|f| f.partner),
            ScopeKey::Series => facts(self).map(|f| f.series) == facts(other).map(|f| f.series),
            ScopeKey::Tag => other.tags().contains(tag.unwrap()),
            ScopeKey::Device => self.device == other.device,
            ScopeKey::DeviceClass => self.class == other.class,
            ScopeKey::Profile => self.profile.is_none() || self.profile == other.profile,
        }) && (cap.of.classes.is_empty() || cap.of.classes.contains(&other.class))
            && (cap.of.tags.is_empty() || other.tags().iter().any(|tag| cap.of.tags.contains(tag)))
    }
}

/// A device that came or went.
fn gone(device: &DeviceId, class: DeviceClass, decided: &Option<Box<DeviceDecided>>) -> Thing {
    let profile = decided.as_ref().and_then(|decided| decided.facts.profile.clone());
    Thing { device: device.clone(), class, profile, title: None, acquired_at: None }
}

/// Everything that ever counted, read from the events alone.
fn happened(world: &World) -> Vec<(Timestamp, CountedKind, Thing)> {
    let mut all = vec![];
    let mut acquired: BTreeMap<&LicenseId, (&Acquired, std::sync::Arc<crate::facts::Facts>)> =
        BTreeMap::new();
    let mut classes = BTreeMap::new();
    let mut terms: BTreeMap<(&LicenseId, u32), &Term> = BTreeMap::new();
    let mut first: BTreeMap<(&LicenseId, u32), Timestamp> = BTreeMap::new();
    let mut facts_then = BTreeMap::new();
    let mut free = 0;
    for event in &world.events {
        match &event.body {
            EventBody::Acquired(a) => {
                acquired.insert(&a.license, (a, a.facts.clone()));
                terms.insert((&a.license, 1), &a.term);
                all.push((event.at, CountedKind::Acquired, Thing::of(a, &a.facts)));
            }
            EventBody::Renewed(r) => {
                let (a, facts) = acquired.get_mut(&r.license).unwrap();
                *facts = r.facts.clone();
                terms.insert((&r.license, r.term.number), &r.term);
                all.push((event.at, CountedKind::Renewed, Thing::of(a, &r.facts)));
            }
            EventBody::PlaysRecorded { plays, .. } => {
                for play in plays {
                    let (a, facts) = &acquired[&play.license];
                    let key = (&play.license, play.term);
                    all.push((play.occurred_at, CountedKind::Played, Thing::of(a, facts)));
                    if terms[&key].begun_at.is_some() {
                        continue; // its finish clock was running
                    }
                    let latest = terms[&key].start_by.map_or(Timestamp::MAX, |by| by.just_before());
                    let at = play.occurred_at.min(latest).max(terms[&key].started_at);
                    if first.get(&key).is_none_or(|first| at < *first) {
                        first.insert(key, at);
                        facts_then.insert(key, facts.clone());
                    }
                }
            }
            EventBody::DeviceRegistered { device, class, decided, .. } => {
                classes.insert(device, *class);
                all.push((event.at, CountedKind::DeviceRegistered, gone(device, *class, decided)));
                if free > 0 {
                    free -= 1;
                    all.push((event.at, CountedKind::DeviceSwapped, gone(device, *class, decided)));
                }
            }
            EventBody::DeviceRemoved { device, decided } => {
                free += 1;
                let thing = gone(device, classes[device], decided);
                all.push((event.at, CountedKind::DeviceRemoved, thing));
            }
            _ => {}
        }
    }
    for (key, at) in first {
        let thing = Thing::of(acquired[key.0].0, &facts_then[&key]);
        all.push((at, CountedKind::FirstPlayed, thing));
    }
    all.sort_by_key(|(at, ..)| *at);
    all
}

/// Counted again by a reader who knows nothing of indexes, for each tag where it is per tag.
fn naive_counts(world: &World, cap: &Cap, about: &Thing, at: Timestamp) -> Vec<usize> {
    let tags = about.tags();
    let tags: Vec<Option<&Tag>> = match cap.per.contains(&ScopeKey::Tag) {
        true => tags.iter().map(Some).collect(),
        false => vec![None],
    };
    tags.into_iter().map(|tag| naive_count(world, cap, about, tag, at)).collect()
}

fn naive_count(world: &World, cap: &Cap, about: &Thing, tag: Option<&Tag>, at: Timestamp) -> usize {
    let idle = |device: &DeviceId| {
        let seen = world.member.devices[device].last_seen_at;
        cap.idle_after.is_some_and(|after| at >= seen + after)
    };
    let all = || world.member.licenses.values().chain(world.member.past.values());
    let active = || {
        all().filter(|license| {
            let thing = Thing {
                device: license.device.clone(),
                class: license.facts.class,
                profile: license.facts.member.profile.clone(),
                title: Some((license.title.clone(), license.facts.title.clone())),
                acquired_at: None,
            };
            license.active(at) && about.together(&thing, cap, tag) && !idle(&license.device)
        })
    };
    let kinds = match (cap.counts, &cap.window) {
        (Counts::ActiveLicenses, _) => return active().count(),
        (Counts::DevicesHolding, _) => {
            return active().map(|l| &l.device).collect::<BTreeSet<_>>().len();
        }
        (Counts::DistinctTitles, Window::Now) => {
            return active().map(|l| &l.title).collect::<BTreeSet<_>>().len();
        }
        (Counts::DevicesRegistered, _) => {
            let registered = world.member.devices.iter().filter(|(id, device)| {
                let thing = Thing {
                    device: (*id).clone(),
                    class: device.class,
                    profile: about.profile.clone(),
                    title: None,
                    acquired_at: None,
                };
                device.registered(at) && about.together(&thing, cap, tag) && !idle(id)
            });
            return registered.count();
        }
        (Counts::DistinctTitles, _) => Kinds::of(&[CountedKind::Acquired]),
        (Counts::Events(kinds), _) => kinds,
    };
    let happened = happened(world);
    let counted: Vec<_> = happened
        .iter()
        .filter(|(_, kind, thing)| kinds.contains(*kind) && about.together(thing, cap, tag))
        .collect();
    let times: Vec<Timestamp> = counted.iter().map(|(then, ..)| *then).collect();
    let (from, inclusive) = window_start(world, (cap, about), &times, at);
    let inside = counted.iter().filter(|(then, ..)| *then > from || (inclusive && *then == from));
    match cap.counts {
        Counts::DistinctTitles => {
            let titles = inside.map(|(_, _, thing)| &thing.title.as_ref().unwrap().0);
            titles.collect::<BTreeSet<_>>().len()
        }
        _ => inside.count(),
    }
}

/// From when on a window counts, and whether that instant is inside.
fn window_start(
    world: &World,
    (cap, about): (&Cap, &Thing),
    times: &[Timestamp],
    at: Timestamp,
) -> (Timestamp, bool) {
    match &cap.window {
        Window::Rolling(length) => (at - *length, false),
        Window::Calendar(unit, zone) => (calendar_period(*unit, zone, at).0, true),
        Window::Anniversary(since, unit, zone) => match match since {
            Since::Member => world.facts.member_since,
            Since::License => about.acquired_at,
        } {
            Some(since) => (anniversary_period(*unit, zone, since, at).0, true),
            None => (at - unit.longest(), false),
        },
        Window::FirstUse(length) => {
            let mut from = None;
            for then in times {
                if from.is_none_or(|from| *then >= from + *length) {
                    from = Some(*then);
                }
            }
            (from.filter(|from| at < *from + *length).unwrap_or(Timestamp::MAX), true)
        }
        Window::Lifetime | Window::Now => (Timestamp::MIN, true),
    }
}

/// What an event added to counts.
fn added(world: &World, event: &Event) -> Option<Thing> {
    match &event.body {
        EventBody::Acquired(acquired) => Some(Thing::of(acquired, &acquired.facts)),
        EventBody::Renewed(renewed) => {
            let license = world.member.license(&renewed.license)?;
            Some(Thing {
                device: license.device.clone(),
                class: renewed.facts.class,
                profile: renewed.facts.member.profile.clone(),
                title: Some((license.title.clone(), renewed.facts.title.clone())),
                acquired_at: Some(license.acquired_at),
            })
        }
        EventBody::DeviceRegistered { device, decided, .. }
        | EventBody::DeviceRemoved { device, decided } => {
            Some(gone(device, world.member.devices[device].class, decided))
        }
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_decision_exceeds_a_cap(policy in a_policy(), history in history()) {
        run(policy, &history, |before, _, decision| {
            let mut after = before.clone();
            after.fold(&decision.events);
            for event in &decision.events {
                let Some(thing) = added(&after, event) else { continue };
                for cap in &caps_of(&after.policy, &thing) {
                    let of_title = cap.of.tags.is_empty()
                        || thing.tags().iter().any(|tag| cap.of.tags.contains(tag));
                    let in_series = !cap.per.contains(&ScopeKey::Series)
                        || thing.title.as_ref().is_some_and(|(_, facts)| facts.series.is_some());
                    let known = cap.needs.iter().all(|fact| fact.is_known(&after.facts, None));
                    // A device that was idle and is seen again is a fact, and no decision.
                    let of_devices = cap.counts.is_of_devices() == thing.title.is_none();
                    let of_class =
                        cap.of.classes.is_empty() || cap.of.classes.contains(&thing.class);
                    let plan = after.facts.plan.as_ref();
                    let of_plan = cap.when.plans.is_empty()
                        || plan.is_none_or(|plan| cap.when.plans.contains(plan));
                    let guarded = cap.when.guard.as_ref().is_some_and(|guard| {
                        let title = thing.title.as_ref().map(|(id, facts)| (id, facts));
                        let asked = Asked { member: &after.facts, class: thing.class, title };
                        guard.holds(&asked) == Some(false)
                    });
                    let asked = of_title && in_series && of_devices && known && !guarded;
                    if !asked || !of_class || !of_plan {
                        continue; // not asked of it
                    }
                    // A limit that was lowered stays exceeded by what is held; nothing adds to it.
                    let raised = after.member.allowed(&cap.id, decision.at).unwrap_or(0);
                    let limit = cap.limit.of(&after.facts, thing.class, &thing.tags()) + raised;
                    let limit = limit as usize;
                    let then = naive_counts(before, cap, &thing, decision.at);
                    let now = naive_counts(&after, cap, &thing, decision.at);
                    for (then, now) in then.into_iter().zip(now) {
                        prop_assert!(now <= then.max(limit), "{then} to {now} of {limit}: {cap:?}");
                    }
                }
            }
            Ok(())
        })?;
    }

    /// What is told of each cap is what a reader without indexes counts.
    #[test]
    fn what_is_used_is_what_happened(policy in a_policy(), history in history()) {
        let world = run(policy, &history, |_, _, _| Ok(()))?;
        let at = world.member.last_at + Duration::hours(5);
        for (on, title) in [("a", 0), ("b", 1), ("c", 2), ("a", 3)] {
            let Some(known) = world.member.devices.get(&device(on)) else { continue };
            let command = world.clone().acquire_of(on, &title.to_string(), facts_of(title));
            let told = eligibility(&world.member, &world.request(at, vec![command]), &world.policy);
            let thing = Thing {
                device: device(on),
                class: known.class,
                profile: world.facts.profile.clone(),
                title: Some((super::world::title(&title.to_string()), facts_of(title))),
                acquired_at: None,
            };
            let replaced = world.member.license_on(&device(on), &thing.title.as_ref().unwrap().0);
            if replaced.is_some() {
                continue; // active counts leave it out
            }
            for state in &told.caps {
                let caps = caps_of(&world.policy, &thing);
                let cap = caps.iter().find(|cap| cap.id == state.rule).unwrap();
                let counts = naive_counts(&world, cap, &thing, at);
                prop_assert!(
                    counts.contains(&(state.used as usize)), "{counts:?} of {cap:?}: {state:?}"
                );
            }
        }
    }

    #[test]
    fn the_same_request_at_retry_at_succeeds_and_a_millisecond_earlier_does_not(
        policy in a_policy(),
        history in history(),
    ) {
        run(policy, &history, |before, request, decision| {
            let Answer::Refused(refused) = &decision.answer else { return Ok(()) };
            if let Some(retry_at) = refused.retry_at {
                prop_assert!(passes(before, request, retry_at), "{refused:#?}");
                prop_assert!(!passes(before, request, retry_at.just_before()), "{refused:#?}");
            } else {
                // Where nothing is said no waiting helps: a day of each week of a year is tried.
                for days in (1..366).step_by(7) {
                    let at = decision.at + Duration::days(days);
                    prop_assert!(!passes(before, request, at), "{days} days: {refused:#?}");
                }
            }
            Ok(())
        })?;
    }

    /// The same of lists, which are decided as if what comes first had happened.
    #[test]
    fn a_list_at_its_retry_at_succeeds_and_a_millisecond_earlier_does_not(
        policy in a_policy(),
        history in history(),
        list in prop::collection::vec(deed(), 2..4),
    ) {
        let mut world = run(policy, &history, |_, _, _| Ok(()))?;
        let at = world.member.last_at + Duration::hours(1);
        let mut commands = vec![];
        for (sequence, deed) in (1_000..).zip(&list) {
            commands.extend(command(&mut world, sequence, at, deed));
        }
        if commands.is_empty() {
            return Ok(());
        }
        let request = world.request(at, commands);
        let decision = decide(&world.member, &request, &world.policy);
        let Answer::Refused(refused) = decision.answer else { return Ok(()) };
        if let Some(retry_at) = refused.retry_at {
            prop_assert!(passes(&world, &request, retry_at), "{refused:#?}");
            prop_assert!(!passes(&world, &request, retry_at.just_before()), "{refused:#?}");
        }
        for remedy in &refused.remedies {
            let mut world = world.clone();
            for command in performed(remedy) {
                world.accept(at, command);
            }
            prop_assert!(passes(&world, &request, at), "{remedy:#?}");
        }
    }

    #[test]
    fn with_a_cap_alone_the_same_holds_for_its_frees_at(
        policy in a_policy(),
        history in history(),
    ) {
        run(policy, &history, |before, request, decision| {
            let Answer::Refused(refused) = &decision.answer else { return Ok(()) };
            for finding in refused.findings.iter().filter(|f| f.cap.is_some()) {
                let mut alone = before.clone();
                let only = |cap: &Cap| Some(&cap.id) == finding.rule.as_ref();
                for rules in every_level(&mut alone.policy) {
                    rules.caps.retain(only);
                }
                // Other clocks of a renewal are not this cap's.
                alone.policy.default.terms = TermsPatch::default();
                alone.policy.default.tighten.clear();
                alone.policy.default.gates.clear();
                let Some(frees_at) = finding.frees_at else { continue };
                prop_assert!(passes(&alone, request, frees_at), "{finding:#?}");
                prop_assert!(!passes(&alone, request, frees_at.just_before()), "{finding:#?}");
            }
            Ok(())
        })?;
    }

    #[test]
    fn performing_a_remedy_makes_the_request_succeed(policy in a_policy(), history in history()) {
        run(policy, &history, |before, request, decision| {
            let Answer::Refused(refused) = &decision.answer else { return Ok(()) };
            for remedy in &refused.remedies {
                let mut world = before.clone();
                for command in performed(remedy) {
                    world.accept(decision.at, command);
                }
                prop_assert!(passes(&world, request, decision.at), "{remedy:#?}");
            }
            Ok(())
        })?;
    }

    #[test]
    fn may_play_until_never_moves_later_without_a_renewal_or_a_check_in(
        policy in a_policy(),
        history in history(),
    ) {
        run(policy, &history, |before, request, decision| {
            let mut after = before.clone();
            after.fold(&decision.events);
            let moved_by = matches!(
                request.commands[0],
                Command::Renew { .. }
                    | Command::CheckIn { .. }
                    // A change of the membership may lift what another one had cut.
                    | Command::ChangeMember
                    | Command::ResumeMembership { .. }
            );
            for (id, license) in before.member.licenses.iter().filter(|_| !moved_by) {
                if let Some(then) = after.member.license(id) {
                    prop_assert!(then.may_play_until() <= license.may_play_until());
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn events_go_forward_in_time_and_folding_them_gives_the_member(
        policy in a_policy(),
        history in history(),
    ) {
        let world = run(policy, &history, |_, _, _| Ok(()))?;
        for pair in world.events.windows(2) {
            prop_assert!(pair[0].at <= pair[1].at);
        }
        prop_assert_eq!(&world.events.iter().fold(Member::default(), evolve), &world.member);
    }

    #[test]
    fn acquiring_twice_never_makes_two_licenses(policy in a_policy(), history in history()) {
        run(policy, &history, |before, request, decision| {
            let mut after = before.clone();
            after.fold(&decision.events);
            let Command::Acquire { device, title, .. } = &request.commands[0] else { return Ok(()) };
            let all = after.member.licenses.values().chain(after.member.past.values());
            let open = all.filter(|l| {
                l.closed.is_none() && l.device == *device && l.title == *title
            });
            prop_assert!(open.count() <= 1);
            Ok(())
        })?;
    }

    /// Whatever an absent fact would turn out to be, what a guard said without it stays said; and
    /// with every fact known it says something.
    #[test]
    fn a_guard_says_nothing_that_an_absent_fact_could_change(
        guard in a_guard(), known in member_facts(), told in member_facts(), title in 0u8..4,
    ) {
        let facts = facts_of(title);
        let id = super::world::title(&title.to_string());
        let holds = |member: &MemberFacts| {
            guard.holds(&Asked { member, class: DeviceClass::Tv, title: Some((&id, &facts)) })
        };
        let completed = MemberFacts {
            profile: known.profile.clone().or(told.profile),
            plan: known.plan.clone().or(told.plan),
            territory: known.territory.clone().or(told.territory),
            member_since: known.member_since.or(told.member_since),
            account: "owner".parse().ok(),
            ..known.clone()
        };
        if let Some(said) = holds(&known) {
            prop_assert_eq!(holds(&completed), Some(said));
        }
        let all = completed.profile.is_some() && completed.plan.is_some()
            && completed.territory.is_some() && completed.member_since.is_some();
        prop_assert!(!all || holds(&completed).is_some());
    }
}
