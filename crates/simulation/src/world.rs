//! The world: nodes, callers, a disk and a clock, one thread, and a seed that says what moves
//! next.

mod operating;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use codec::decode_event;
use codec::policy::{Loaded, parse_within};
use domain::member::what_if::{Question, what_if};
use domain::member::{Answer, EventBody, License};
use domain::policy::HORIZON;
use domain::{Duration, Event, Member, MemberId, Request, Timestamp, decide, evolve};
use engine::withdrawals::{Answered, Step, Withdrawal};
use engine::{Decided, Engine, EngineError, Options, Policies};
use store::{EventStore, StreamId, Version};

use crate::auditor::Auditor;
use crate::client::{Account, Intent};
use crate::disk::{Commit, Disk, Faults, ready};
use crate::operators::{Asking, Operators, Stood};
use crate::probe::probe;
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
    Looking(usize, usize),
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
            900..905 => self.operate()?,
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

    /// An unchanged policy would have answered everything as it was answered.
    fn ask_again(&self, member: &MemberId, events: &[Event]) -> Verdict {
        let [Loaded { policy, .. }] = self.policies.as_slice() else { return Ok(()) };
        let rules = self.auditor.in_effect(self.now).map(|(_, rules)| rules);
        if self.horizon != HORIZON && rules.is_some_and(Rules::reckons_from_first_use) {
            return Ok(()); // from what was the oldest before the horizon was raised, no event says
        }
        let (since, until, horizon) = (Timestamp::MIN, Timestamp::MAX, self.horizon);
        let question = Question { draft: policy, since, until, horizon };
        let mut different = None;
        what_if(events, &question, |compared| {
            if compared.was != compared.would_be || compared.other_terms {
                different.get_or_insert(compared);
            }
        });
        different.map_or(Ok(()), |compared| {
            Err(format!("{member}: asked again, it would be answered differently: {compared:?}"))
        })
    }

    fn note(&mut self, what: &impl std::fmt::Debug) {
        format!("{} {what:?}", self.now).hash(&mut self.trace);
    }

    fn start(&mut self, number: usize) -> Result<Node, String> {
        let policy = self.policies.last().cloned().ok_or("no policy")?;
        let policies = loop {
            let store = self.disk.reached_by(number);
            let opening = Box::pin(Policies::open(store, policy.clone()));
            match self.drive(opening)? {
                Ok(policies) => break policies,
                Err(EngineError::Unavailable(_)) => {}
                Err(error) => return Err(format!("policies: {error}")),
            }
        };
        let options = Options {
            cached_bytes_max: *self.random.pick(&[0, 8 << 10, 64 << 20]).unwrap_or(&0),
            in_flight_max: *self.random.pick(&[3, 64, 64]).unwrap_or(&3),
            snapshot_every: *self.random.pick(&[1, 5, 64]).unwrap_or(&1),
            ..Options::default()
        };
        let store = self.disk.reached_by(number);
        let policies = Arc::new(policies);
        let engine = loop {
            let (store, policies) = (Arc::clone(&store), Arc::clone(&policies));
            match self.drive(Box::pin(Engine::open(store, policies, options.clone())))? {
                Ok(engine) => break engine,
                Err(EngineError::Unavailable(_)) => {}
                Err(error) => return Err(format!("the engine: {error}")),
            }
        };
        let keeper = engine.clone();
        let keeping = Box::pin(async move { keeper.keep_snapshots().await });
        let skew = self.random.within(-2_000, 2_000);
        Ok(Node { engine, skew, keeping })
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

    /// Asks a copy of the member what might be asked next, and has the answers audited: by
    /// themselves, members come by rare cases rarely.
    fn imagine(&mut self, member: &str) -> Verdict {
        let ledger = self.auditor.ledger(member).ok_or("no ledger")?;
        let asking = self.accounts.iter().find(|account| account.id.as_str() == member);
        let rare = ledger.has_early_lease_that_outlasts();
        let worth_it = rare || self.random.permille(200);
        let Some(asking) = asking.filter(|_| worth_it) else { return Ok(()) };
        let mut state = self.members.get(member).cloned().unwrap_or_default();
        let mut events = Vec::new();
        let turns = ledger.instants();
        for _ in 0..if rare { 12 } else { 4 } {
            let last_at = state.last_at.as_millis();
            let turn = self.random.pick(&turns).map(|turn| turn - self.random.within(0, 1));
            let soon = last_at + self.random.within(0, 5 * DAY_MS);
            let at = turn.filter(|turn| (last_at..=soon).contains(turn)).unwrap_or(soon);
            let version = self.auditor.in_effect(at).map(|(version, _)| version);
            let in_effect = |loaded: &&Loaded| Some(loaded.policy.version.as_str()) == version;
            let policy = self.policies.iter().find(in_effect).ok_or("no policy was in effect")?;
            let (facts, commands) = asking.imagined(&mut self.random, self.began_at);
            let at = Timestamp::from_millis(at);
            let request = Request { at, idempotency: None, facts, commands };
            let decision = decide(&state, &request, &policy.policy);
            state = decision.events.iter().fold(state, evolve);
            events.extend(decision.events);
        }
        self.auditor.imagined(member, &events)
    }

    fn probe(&mut self, member: &str, refused: &domain::member::Refused) -> Verdict {
        if !self.random.permille(300) {
            return Ok(());
        }
        self.report.probes += 1;
        let cited = |loaded: &&Loaded| loaded.policy.version == refused.policy;
        let policy = self.policies.iter().find(cited).ok_or("an unknown policy was cited")?;
        let ledger = self.auditor.ledger(member).ok_or("no ledger")?;
        let state = self.members.get(member).ok_or("no member")?;
        probe(state, &ledger.instants(), refused, &policy.policy, &mut self.random)
    }

    fn ask(&mut self) {
        if self.tasks.len() >= TASKS_MAX {
            return;
        }
        let again = self.random.permille(500) && !self.waiting.is_empty();
        let mut intent = if again {
            let at = self.random.index(self.waiting.len());
            self.waiting.swap_remove(at)
        } else {
            let account = self.random.index(self.accounts.len());
            let Some(asking) = self.accounts.get_mut(account) else { return };
            let commands = asking.want(&mut self.random, self.now, self.began_at);
            self.intents += 1;
            Intent::new(self.intents, account, commands, &mut self.random, self.now)
        };
        if intent.attempts >= ATTEMPTS_MAX || self.now - intent.first_asked > PATIENCE_MS {
            return; // gives up
        }
        intent.attempts += 1;
        self.report.requests += 1;
        self.report.retries += u64::from(intent.attempts > 1);
        let node = self.random.index(self.nodes.len());
        let (Some(at), Some(account)) = (self.nodes.get(node), self.accounts.get(intent.account))
        else {
            return;
        };
        let commands = intent.commands(&mut self.random);
        let request = Request {
            at: Timestamp::from_millis(self.now + at.skew),
            idempotency: intent.key.clone().map(|key| engine::idempotency(key, &commands)),
            facts: account.facts.clone(),
            commands,
        };
        let (engine, member, asked) = (at.engine.clone(), account.id.clone(), request.clone());
        let future = Box::pin(async move { Outcome::Decided(engine.decide(&member, asked).await) });
        let stood = self.operators.begins(&request.commands);
        let what = What::Asking(intent, Box::new(request), stood);
        self.tasks.push(Task { node, what, future });
    }

    fn look(&mut self) {
        if self.tasks.len() < TASKS_MAX {
            let node = self.random.index(self.nodes.len());
            let account = self.random.index(self.accounts.len());
            self.start_looking(node, account);
        }
    }

    fn start_looking(&mut self, node: usize, account: usize) {
        let (Some(at), Some(looked_at)) = (self.nodes.get(node), self.accounts.get(account)) else {
            return;
        };
        let (engine, member) = (at.engine.clone(), looked_at.id.clone());
        let known = self.auditor.ledger(member.as_str()).map_or(0, |ledger| ledger.events.len());
        let future = Box::pin(async move { Outcome::Member(engine.member(&member).await) });
        self.tasks.push(Task { node, what: What::Looking(account, known), future });
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
            (What::Looking(account, known), Outcome::Member(Ok((version, member)))) => {
                self.looked(account, known, version, &member)
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
                Outcome::Walked(Err(error))
                | Outcome::Ordered(Err(error))
                | Outcome::Lifted(Err(error)),
            ) if !matches!(error, EngineError::Overloaded { .. } | EngineError::Unavailable(_)) => {
                Err(format!("operators: {error}"))
            }
            _ => Ok(()),
        }
    }

    fn answered(
        &mut self,
        intent: Intent,
        request: &Request,
        answer: Result<Decided, EngineError>,
    ) -> Verdict {
        let decision = match answer {
            Ok(decided) => decided.decision,
            Err(error @ (EngineError::Overloaded { .. } | EngineError::Unavailable(_))) => {
                self.note(&error);
                self.report.unanswered += 1;
                self.waiting.push(intent);
                return Ok(());
            }
            Err(error) => return Err(format!("{error}: {request:?}")),
        };
        self.note(&decision);
        let Some(account) = self.accounts.get_mut(intent.account) else { return Ok(()) };
        self.auditor.answered(account.id.as_str(), intent.number, request, &decision)?;
        // The last mile may lose an answer too, and a device may ask again for no reason.
        let again = match &decision.answer {
            Answer::Accepted { outcomes, .. } => {
                self.report.accepted += 1;
                let lost = self.random.permille(100);
                if !lost {
                    account.heard(&request.commands, outcomes, self.now, &mut self.random);
                }
                lost || self.random.permille(100)
            }
            Answer::Refused(_) => {
                self.report.refused += 1;
                self.random.permille(100)
            }
            Answer::KeyReused => return Err(format!("a key was never reused: {request:?}")),
        };
        if again {
            self.waiting.push(intent);
        }
        Ok(())
    }

    /// What a node believes is what was recorded, and not less than there was when it was asked.
    fn looked(&self, account: usize, known: usize, version: Version, member: &Member) -> Verdict {
        let id = self.accounts.get(account).map(|account| account.id.as_str()).unwrap_or_default();
        let version = usize::try_from(version).unwrap_or(usize::MAX);
        let events = self.auditor.ledger(id).map_or(&[][..], |ledger| &ledger.events);
        let seen = events.get(..version).ok_or_else(|| format!("{id} is ahead of the store"))?;
        if version < known {
            return Err(format!("{id} was seen at version {version}, and had {known} before"));
        }
        let newest = self.members.get(id).filter(|_| seen.len() == events.len());
        let folded = || seen.iter().fold(Member::remembering(self.horizon), evolve);
        let told = newest.map_or_else(|| Cow::Owned(folded()), Cow::Borrowed);
        if *told != *member && !self.ended_only(&told, member) {
            return Err(format!("{id} at version {version} is not what its events say"));
        }
        Ok(())
    }

    /// Whether a node believes what was recorded, and beside it only that licenses of titles that
    /// operators withdrew have ended: that is seen before the walk has recorded it.
    fn ended_only(&self, told: &Member, member: &Member) -> bool {
        let ordered = |license: &License| self.operators.ever_ordered(&license.title);
        let beside = |member: &Member| {
            let mut beside = Member { last_at: Timestamp::MIN, ..member.clone() };
            beside.licenses.retain(|_, license| !ordered(license));
            beside.past.retain(|_, license| !ordered(license));
            beside.remembered.retain(|_, _| false);
            beside
        };
        let mut open = member.licenses.iter().filter(|(_, license)| license.closed.is_none());
        beside(told) == beside(member)
            && open.all(|(id, license)| told.license(id) == Some(license))
    }

    fn poll_keepers(&mut self) {
        for node in &mut self.nodes {
            let _ = poll_once(&mut node.keeping);
        }
    }

    fn caller_goes_away(&mut self) {
        if self.tasks.is_empty() {
            return;
        }
        let at = self.random.index(self.tasks.len());
        if let What::Asking(intent, ..) = self.tasks.swap_remove(at).what {
            self.waiting.push(intent);
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

    fn clock_jumps(&mut self) {
        let at = self.random.index(self.nodes.len());
        let reach = if self.random.permille(700) { 2 * HOUR_MS } else { 3 * DAY_MS };
        let skew = self.random.within(-reach, reach);
        if let Some(node) = self.nodes.get_mut(at) {
            node.skew = skew;
        }
    }

    fn facts_change(&mut self) {
        let at = self.random.index(self.accounts.len());
        if let Some(account) = self.accounts.get_mut(at) {
            account.change_facts(&mut self.random);
        }
    }

    /// The store stops itself: nothing is recorded until somebody starts again.
    fn sync_fails(&mut self) {
        if self.random.permille(300) {
            self.disk.sync_fails();
            self.report.failed_syncs += 1;
        }
    }

    /// A node dies in the middle of everything, and comes back with nothing but the disk.
    fn crash(&mut self) -> Verdict {
        let dying = self.random.index(self.nodes.len());
        self.die(dying)?;
        self.come_back(dying)
    }

    fn die(&mut self, dying: usize) -> Verdict {
        self.report.crashes += 1;
        let (died, alive) =
            std::mem::take(&mut self.tasks).into_iter().partition(|t| t.node == dying);
        self.tasks = alive;
        let died: Vec<Task> = died;
        for task in died {
            if let What::Asking(intent, ..) = task.what {
                self.waiting.push(intent);
            }
        }
        self.disk.node_died(dying, &mut self.random);
        self.disk.open_again(&mut self.random);
        if self.nodes.len() == 1 {
            // Nobody else is there to hear what is still on its way.
            self.disk.comes_to_rest(&mut self.random);
        }
        self.commits()
    }

    fn come_back(&mut self, node: usize) -> Verdict {
        let started = self.start(node)?;
        if let Some(node) = self.nodes.get_mut(node) {
            *node = started;
        }
        Ok(())
    }

    /// With every node stopped, as `carnet store raise-horizon` does it: after a year of forgetting.
    fn raise_horizon(&mut self) -> Verdict {
        if self.horizon != HORIZON || self.now < self.began_at + 450 * DAY_MS {
            return Ok(());
        }
        for node in 0..self.nodes.len() {
            self.die(node)?;
        }
        self.disk.comes_to_rest(&mut self.random);
        self.commits()?;
        let store: Arc<dyn EventStore> = Arc::new(self.disk.durable().clone());
        let raised = engine::raise_horizon(&*store, RAISED);
        // Cut off, or not: what is not folded now is folded when it is asked for.
        let folded = match self.random.permille(500) {
            true => engine::fold_anew(&store, &mut |_| {}),
            false => Ok(0),
        };
        raised.and(folded).map_err(|error| format!("raising the horizon: {error}"))?;
        (self.horizon, self.report.horizon_raises) = (RAISED, 1);
        self.auditor.remembers(RAISED.as_millis());
        for (id, member) in &mut self.members {
            let events = self.auditor.ledger(id).map_or(&[][..], |ledger| &ledger.events);
            *member = events.iter().fold(Member::remembering(RAISED), evolve);
        }
        (0..self.nodes.len()).try_for_each(|node| self.come_back(node))
    }

    /// Published on one node, heard of by the others, in effect for all from one instant on.
    fn change_policy(&mut self) -> Verdict {
        if !self.random.permille(200) || self.disk.stopped() {
            return Ok(());
        }
        if self.long && self.horizon == HORIZON {
            return Ok(()); // its windows reach back further
        }
        let Some(mut rules) = self.next.take() else { return Ok(()) };
        self.settle()?;
        rules.effective_from = self.now + self.random.within(0, 5 * DAY_MS);
        let policy = loaded(&rules, self.horizon)?;
        for number in 0..self.nodes.len() {
            while let Some(node) = self.nodes.get(number) {
                let policies = Arc::clone(node.engine.policies());
                let policy = policy.clone();
                let telling = Box::pin(async move {
                    if number == 0 {
                        policies.publish(policy).await
                    } else {
                        policies.refresh().await
                    }
                });
                match self.drive(telling)? {
                    Ok(()) => break,
                    Err(EngineError::Unavailable(_)) => {}
                    Err(error) => return Err(format!("publishing: {error}")),
                }
            }
        }
        self.auditor.published(policy.policy.version.as_str(), rules);
        self.policies.push(policy);
        self.report.policy_changes += 1;
        Ok(())
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
