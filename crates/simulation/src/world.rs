//! The world: nodes, callers, a disk and a clock, one thread, and a seed that says what moves
//! next.

mod asking;
mod imagining;
mod nodes;
mod operating;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use codec::decode_event;
use codec::policy::{Loaded, parse_within};
use domain::member::EventBody;
use domain::policy::HORIZON;
use domain::{Duration, Event, Member, MemberId, Request, Timestamp, evolve};
use engine::withdrawals::{Answered, Step, Withdrawal};
use engine::{Decided, Engine, EngineError};
use store::{EventStore, StreamId, Version};

use crate::auditor::Auditor;
use crate::client::{Account, Intent};
use crate::disk::{Commit, Disk, Faults, ready};
use crate::operators::{Asking, Operators, Stood};
use crate::random::Random;
use crate::rules::{DAY_MS, HOUR_MS, REACH_DAYS, Rules};
use crate::{Report, Sabotage};

/// Where there is more than one.
const NODES: usize = 2;
const MEMBERS: usize = 3;
const TASKS_MAX: usize = 12;
const ATTEMPTS_MAX: u32 = 8;
/// A caller gives up on a request for less than its key is remembered.
const PATIENCE_MS: i64 = 20 * HOUR_MS;
/// 2026-11-02T00:00:00Z: a world begins within a year of it.
const EARLIEST: i64 = 1_793_577_600_000;
const POLLS_MAX: usize = 1_000_000;

pub(crate) struct World {
    random: Random,
    disk: Disk,
    nodes: Vec<Node>,
    operators: Operators,
    accounts: Vec<Account>,
    tasks: Vec<Task>,
    /// Asked before, and to be asked again.
    waiting: Vec<Intent>,
    auditor: Auditor,
    /// What the events of each member say.
    members: BTreeMap<String, Member>,
    /// Published, oldest first.
    policies: Vec<Loaded>,
    next: Option<Rules>,
    /// How many messages move in a step.
    haste: u64,
    began_at: i64,
    /// Years pass, and windows reach as far back as is remembered.
    long: bool,
    /// How far back that is.
    horizon: Duration,
    now: i64,
    /// Instants at which a refusal said that something changes.
    told: Vec<i64>,
    intents: usize,
    trace: DefaultHasher,
    pub(crate) report: Report,
}

struct Node {
    engine: Engine,
    /// Its clock is wrong by so much.
    skew: i64,
    keeping: Pin<Box<dyn Future<Output = ()>>>,
}

struct Task {
    node: usize,
    what: What,
    future: Pin<Box<dyn Future<Output = Outcome>>>,
}

enum What {
    Asking(Intent, Box<Request>, Stood),
    /// Of a member who had so many events when it began.
    Looking(usize, usize, Stood),
    Operating(Asking),
    Walking,
}

enum Outcome {
    Decided(Result<Decided, EngineError>),
    Member(Result<(Version, Arc<Member>), EngineError>),
    Ordered(Result<Answered, EngineError>),
    Lifted(Result<Option<Withdrawal>, EngineError>),
    Walked(Result<Step, EngineError>),
}

/// What was found, and breaks a promise.
type Verdict = Result<(), String>;

fn poll_once<T>(future: &mut Pin<Box<dyn Future<Output = T>>>) -> Poll<T> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn loaded(rules: &Rules, horizon: Duration) -> Result<Loaded, String> {
    parse_within(&[("policy.toml", &rules.policy())], horizon)
        .map_err(|errors| format!("the policy: {errors}"))
}

impl World {
    pub(crate) fn new(seed: u64, sabotage: Sabotage) -> Result<Self, String> {
        let mut random = Random::new(seed);
        let faults = Faults { permille: *random.pick(&[0, 20, 80, 250]).unwrap_or(&0) };
        let haste = *random.pick(&[1, 6, 6]).unwrap_or(&1);
        let began_at = EARLIEST + random.within(0, 365) * DAY_MS;
        // Withdrawals are for one node: what is sent first is written first, and nobody else decides.
        let alone = random.permille(500);
        let disk = Disk::new(faults, alone, sabotage);
        let long = random.permille(200);
        let [reach, later] =
            if long { [399, RAISED.as_millis() / DAY_MS] } else { [REACH_DAYS; 2] };
        let first = Rules::random("autumn", began_at - 100 * DAY_MS, reach, &mut random);
        let second = Rules::random("winter", NEVER_YET, later, &mut random);
        let mut auditor = Auditor::default();
        auditor.remembers(HORIZON.as_millis());
        let policy = loaded(&first, HORIZON)?;
        let told = sabotage.told(first);
        auditor.published(policy.policy.version.as_str(), told);
        let accounts =
            (0..MEMBERS).map(|number| Account::new(number, &mut random, began_at)).collect();
        let mut world = Self {
            next: Some(second),
            policies: vec![policy],
            disk,
            nodes: Vec::new(),
            operators: Operators::default(),
            accounts,
            tasks: Vec::new(),
            waiting: Vec::new(),
            auditor,
            members: BTreeMap::new(),
            haste,
            began_at,
            long,
            horizon: HORIZON,
            now: began_at,
            told: Vec::new(),
            intents: 0,
            trace: DefaultHasher::new(),
            report: Report { seed, years: long, ..Report::default() },
            random,
        };
        for node in 0..if alone { 1 } else { NODES } {
            let node = world.start(node)?;
            world.nodes.push(node);
        }
        Ok(world)
    }

    /// One thing moves.
    pub(crate) fn step(&mut self) -> Verdict {
        self.now += self.random.within(0, 20);
        if self.disk.stopped() && self.random.permille(20) {
            self.crash()?;
        }
        match self.random.below(1_000) {
            0..300 => self.poll_some_task()?,
            300..700 => self.messages_move()?,
            700..880 => self.ask(),
            880..900 => self.look(),
            900..905 => self.operate(),
            905..920 => self.walk(),
            920..930 => self.poll_keepers(),
            930..975 => self.now += self.random.within(1_000, HOUR_MS),
            975..980 => {
                let days = self.random.within(1, if self.long { 90 } else { 9 });
                self.now += self.random.within(HOUR_MS, days * DAY_MS);
            }
            980..985 => self.wait_as_told(),
            985..987 => self.caller_goes_away(),
            987..989 => self.clock_jumps(),
            989..996 => self.facts_change(),
            996..998 => self.crash()?,
            998 if self.long => self.raise_horizon()?,
            998 => self.sync_fails(),
            _ => self.change_policy()?,
        }
        Ok(())
    }

    /// Lets everything come to rest, and reads back what there is.
    pub(crate) fn finish(mut self) -> Result<Report, String> {
        self.disk.calms_down();
        self.crash()?;
        self.settle()?;
        self.operators_come_to_rest()?;
        for account in 0..self.accounts.len() {
            let Some(id) = self.accounts.get(account).map(|account| account.id.clone()) else {
                continue;
            };
            let stream = stream(&id)?;
            let recorded = ready(self.disk.durable().read(&stream, 0, None));
            let recorded = recorded.map_err(|error| error.to_string())?.events;
            let bodies: Vec<Vec<u8>> = recorded
                .iter()
                .map(|one| one.body.as_deref().unwrap_or_default().to_vec())
                .collect();
            let events = decoded(&bodies)?;
            self.auditor.read_back(id.as_str(), &events)?;
            self.ask_again(&id, &events)?;
            for node in 0..self.nodes.len() {
                self.start_looking(node, account);
            }
        }
        self.settle()?;
        self.report.trace = self.trace.finish();
        Ok(self.report)
    }

    fn note(&mut self, what: &impl std::fmt::Debug) {
        format!("{} {what:?}", self.now).hash(&mut self.trace);
    }

    /// Runs one thing to its end while nothing else moves but messages.
    fn drive<T>(&mut self, mut future: Pin<Box<dyn Future<Output = T>>>) -> Result<T, String> {
        for _ in 0..POLLS_MAX {
            if let Poll::Ready(value) = poll_once(&mut future) {
                return Ok(value);
            }
            self.move_a_message()?;
        }
        Err("an answer never came".to_owned())
    }

    fn settle(&mut self) -> Verdict {
        for _ in 0..POLLS_MAX {
            if self.tasks.is_empty() && !self.disk.busy() {
                return Ok(());
            }
            self.poll_some_task()?;
            self.move_a_message()?;
        }
        Err("a request was never answered".to_owned())
    }

    /// One at a time, so that much is under way at once; or many, so that much happens.
    fn messages_move(&mut self) -> Verdict {
        (0..self.haste).try_for_each(|_| {
            self.move_a_message()?;
            self.poll_some_task()
        })
    }

    fn move_a_message(&mut self) -> Verdict {
        self.disk.step(&mut self.random);
        self.commits()
    }

    /// What became durable since.
    fn commits(&mut self) -> Verdict {
        for Commit { stream, version, bodies } in self.disk.commits() {
            let Some(member) = stream.as_str().strip_prefix("member:") else { continue };
            let events = decoded(&bodies)?;
            self.note(&events);
            self.report.events += events.len() as u64;
            self.nobody_was_barred(member, &events)?;
            self.auditor.committed(member, version, &events)?;
            let nothing = || Member::remembering(self.horizon);
            let state = self.members.remove(member).unwrap_or_else(nothing);
            self.members.insert(member.to_owned(), events.iter().fold(state, evolve));
            self.imagine(member)?;
            for event in &events {
                self.met(&event.body);
                if let EventBody::Refused(refused) = &event.body {
                    let times = refused.findings.iter().filter_map(|finding| finding.frees_at);
                    self.told.extend(times.chain(refused.retry_at).map(Timestamp::as_millis));
                    self.probe(member, refused)?;
                }
            }
        }
        Ok(())
    }

    fn met(&mut self, body: &EventBody) {
        let told = format!("{body:?}");
        let kind = told.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        let refused = match body {
            EventBody::Refused(refused) => refused.findings.as_slice(),
            _ => &[],
        };
        let counts = refused.iter().filter_map(|finding| Some(finding.cap.as_ref()?.counts.name()));
        for met in counts.chain([kind.to_owned()]) {
            *self.report.met.entry(met).or_default() += 1;
        }
    }

    fn poll_some_task(&mut self) -> Verdict {
        if self.tasks.is_empty() {
            return Ok(());
        }
        let at = self.random.index(self.tasks.len());
        let Some(task) = self.tasks.get_mut(at) else { return Ok(()) };
        let Poll::Ready(outcome) = poll_once(&mut task.future) else { return Ok(()) };
        let Task { what, .. } = self.tasks.swap_remove(at);
        match (what, outcome) {
            (What::Asking(intent, request, stood), Outcome::Decided(answer)) => {
                if let Ok(decided) = &answer {
                    self.what_operators_asked_holds(&stood, &request, decided)?;
                }
                self.answered(intent, &request, answer)
            }
            (What::Looking(account, known, stood), Outcome::Member(Ok((version, member)))) => {
                self.looked(account, known, version, &member, &stood)
            }
            (What::Operating(asked), Outcome::Ordered(Ok(answered))) => {
                self.ordered(&asked, &answered)
            }
            (What::Operating(asked), Outcome::Lifted(Ok(lifted))) => {
                let lifted = lifted.is_some_and(|known| known.lifted.is_some());
                self.report.lifts += u64::from(lifted);
                self.operators.answered(&asked);
                if lifted {
                    Ok(())
                } else {
                    Err(format!("{asked:?} was answered, and nothing lifted"))
                }
            }
            (What::Walking, Outcome::Walked(Ok(Step::Finished))) => {
                self.report.walks += 1;
                self.finished()
            }
            (
                _,
                Outcome::Member(Err(error))
                | Outcome::Walked(Err(error))
                | Outcome::Ordered(Err(error))
                | Outcome::Lifted(Err(error)),
            ) if !matches!(error, EngineError::Overloaded { .. } | EngineError::Unavailable(_)) => {
                Err(format!("nothing was damaged: {error}"))
            }
            _ => Ok(()),
        }
    }

    /// Until an instant at which something changes, or just before it.
    fn wait_as_told(&mut self) {
        let skew = self.nodes.first().map_or(0, |node| node.skew);
        let when = self.random.pick(&self.told).copied().unwrap_or(0) - skew;
        if (self.now..self.now + 20 * DAY_MS).contains(&when) {
            self.now = when - self.random.within(0, 1);
        }
    }

    fn facts_change(&mut self) {
        let at = self.random.index(self.accounts.len());
        if let Some(account) = self.accounts.get_mut(at) {
            account.change_facts(&mut self.random);
        }
    }
}

/// How far back is remembered once that was raised.
const RAISED: Duration = Duration::days(800);

/// Replaced when the policy is published.
const NEVER_YET: i64 = EARLIEST + 10_000 * DAY_MS;

fn stream(member: &MemberId) -> Result<StreamId, String> {
    StreamId::new(&format!("member:{member}")).map_err(|error| error.to_string())
}

fn decoded(bodies: &[Vec<u8>]) -> Result<Vec<Event>, String> {
    let decode = |body: &Vec<u8>| decode_event(body).map_err(|error| error.to_string());
    bodies.iter().map(decode).collect()
}
