//! Tries a scenario: asks the ledger everything that is told, and hands on what it answers.

mod compare;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::member::{
    Allowance, Answer, Command, Decision, Holding, License, Outcome as Done, PlayReport, Target,
    Warrant,
};
use domain::policy::HORIZON;
use domain::{
    DeviceClass, DeviceId, ExceptionId, KeyThumbprint, LicenseId, Member, MemberFacts, Policy,
    Request, RuleId, Timestamp, TitleId, decide, evolve,
};

use super::sentence::{Befalls, Clause, Deed, FactChange, Sentence, TitleDeed};
use super::{CatalogueEntry, Outcome, Row, Scenario, changed};

/// What becomes of the scenario under this policy.
pub fn run(scenario: &Scenario, policy: &Policy) -> Outcome {
    let mut world = World::new(scenario, policy);
    match world.tell() {
        Err((line, message)) => Outcome::Impossible { line, message },
        Ok(rows) if rows.iter().all(|row| row.same) => Outcome::Passed,
        Ok(rows) => Outcome::Failed(rows),
    }
}

struct World<'a> {
    scenario: &'a Scenario,
    policy: &'a Policy,
    start: Timestamp,
    facts: MemberFacts,
    /// As the catalogue has them now.
    titles: BTreeMap<TitleId, Arc<CatalogueEntry>>,
    member: Member,
    /// Of the last sentence.
    at: Timestamp,
    licenses: u32,
    exceptions: u32,
    /// The last exception of each rule.
    excepted: BTreeMap<RuleId, ExceptionId>,
    sequences: BTreeMap<DeviceId, u64>,
    /// What earlier commands of the same request ask for.
    asked: BTreeMap<(DeviceId, TitleId), LicenseId>,
    /// What each device keeps: until it gives it back, or hears that it is over.
    copies: BTreeMap<DeviceId, BTreeSet<LicenseId>>,
}

/// One device and one thing that it does.
#[derive(Clone, Copy)]
enum Wish<'a> {
    Device(&'a DeviceId, &'a Deed),
    Title(&'a DeviceId, &'a TitleId, &'a TitleDeed),
    Befalls(&'a Befalls),
}

/// A line, and why what it tells cannot have happened.
type Trouble = (usize, String);

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, policy: &'a Policy) -> Self {
        let start = scenario.start.unwrap_or(policy.effective_from);
        Self {
            scenario,
            policy,
            start,
            facts: changed(&MemberFacts::default(), &scenario.member, start),
            titles: scenario.titles.clone(),
            member: Member::remembering(HORIZON.max(policy.reach())),
            at: start,
            licenses: 0,
            exceptions: 0,
            excepted: BTreeMap::new(),
            sequences: BTreeMap::new(),
            asked: BTreeMap::new(),
            copies: BTreeMap::new(),
        }
    }

    fn tell(&mut self) -> Result<Vec<Row>, Trouble> {
        self.live()?;
        let request = self.asked_for()?;
        let decision = self.decided(&request);
        Ok(self.compare(&request, &decision))
    }

    /// Everything that is given.
    fn live(&mut self) -> Result<(), Trouble> {
        let Scenario { line, devices, given, .. } = self.scenario;
        for (device, class) in devices {
            let register = Deed::Register { class: *class, key: None };
            let request = self.request(&[Wish::Device(device, &register)], &[]);
            self.happened(&request).map_err(|why| (*line, format!("`{device}`: {why}")))?;
        }
        for said in given {
            self.pass_time(said)?;
            let wishes = wishes(said);
            let together = if said.clauses.len() > 1 { wishes.len() } else { 1 };
            for _ in 0..said.times {
                for wishes in wishes.chunks(together.max(1)) {
                    let request = self.request(wishes, &said.facts);
                    let why = |why| (said.line, format!("`{}`: {why}", said.text));
                    self.happened(&request).map_err(why)?;
                }
            }
        }
        Ok(())
    }

    fn asked_for(&mut self) -> Result<Request, Trouble> {
        let when = &self.scenario.when;
        self.pass_time(when)?;
        let asked = wishes(when);
        if asked.is_empty() || when.times != 1 {
            return Err((when.line, format!("`{}` does not ask once", when.text)));
        }
        Ok(self.request(&asked, &when.facts))
    }

    fn pass_time(&mut self, said: &Sentence) -> Result<(), Trouble> {
        let at = said.at.on(self.start);
        if at < self.at {
            let message = format!("`{}` happened before what is told above it", said.text);
            return Err((said.line, message));
        }
        self.at = at;
        for clause in &said.clauses {
            match clause {
                Clause::MemberHas(facts) | Clause::Befalls(Befalls::Changes(facts)) => {
                    self.facts = changed(&self.facts, facts, self.start);
                }
                Clause::CatalogueHas(titles, changes) => {
                    for title in titles {
                        let entry = self.titles.entry(title.clone());
                        entry.and_modify(|entry| *entry = Arc::new(entry.changed(changes)));
                    }
                }
                Clause::Does(..) | Clause::DoesWith(..) | Clause::Befalls(_) => {}
            }
        }
        Ok(())
    }

    fn request(&mut self, wishes: &[Wish<'_>], facts: &[FactChange]) -> Request {
        self.asked.clear();
        let commands = wishes.iter().map(|wish| self.command(*wish)).collect();
        let facts = changed(&self.facts, facts, self.start);
        Request { at: self.at, idempotency: None, facts, commands }
    }

    fn decided(&mut self, request: &Request) -> Decision {
        let decision = decide(&self.member, request, self.policy);
        let member = std::mem::take(&mut self.member);
        self.member = decision.events.iter().fold(member, evolve);
        if let Answer::Accepted { outcomes, .. } = &decision.answer {
            for (command, outcome) in request.commands.iter().zip(outcomes) {
                self.keep(command, outcome);
            }
        }
        decision
    }

    /// What comes of an answer on the device that asked.
    fn keep(&mut self, command: &Command, outcome: &Done) {
        match (command, outcome) {
            (
                Command::Acquire { device, .. } | Command::Renew { device, .. },
                Done::Held { license, .. },
            ) => {
                self.copies.entry(device.clone()).or_default().insert(license.clone());
            }
            (Command::Release { by: Some(device), license }, _) => {
                self.copies.entry(device.clone()).or_default().remove(license);
            }
            (Command::CheckIn { device, .. }, Done::CheckedIn(heard)) => {
                let copies = self.copies.entry(device.clone()).or_default();
                copies.retain(|license| !heard.ended.contains(license));
            }
            _ => {}
        }
    }

    /// What is given has to be allowed, or it cannot have happened.
    fn happened(&mut self, request: &Request) -> Result<(), String> {
        let outcomes = match self.decided(request).answer {
            Answer::Refused(refused) => {
                let told: Vec<_> = refused.findings.iter().map(|one| self.finding(one)).collect();
                return Err(format!("cannot be given: it is refused by {}", told.join(" and ")));
            }
            Answer::Accepted { outcomes, .. } => outcomes,
            Answer::KeyReused => Vec::new(),
        };
        let nothing = outcomes.iter().any(|outcome| match outcome {
            Done::Released { already, .. } => *already,
            Done::PlaysRecorded { unknown, .. } => *unknown > 0,
            _ => false,
        });
        if nothing { Err("there is no such copy".to_owned()) } else { Ok(()) }
    }

    fn command(&mut self, wish: Wish<'_>) -> Command {
        match wish {
            Wish::Befalls(befalls) => self.befalls(befalls),
            Wish::Device(device, Deed::Register { class, key }) => {
                register(device, *class, key.as_ref())
            }
            Wish::Device(device, Deed::Leave) => Command::RemoveDevice { device: device.clone() },
            Wish::Device(device, Deed::CheckIn) => {
                Command::CheckIn { device: device.clone(), holdings: self.holdings(device) }
            }
            Wish::Title(device, title, TitleDeed::Acquire) => {
                self.licenses += 1;
                let license = license_id(self.licenses);
                self.asked.insert((device.clone(), title.clone()), license.clone());
                Command::Acquire {
                    device: device.clone(),
                    title: title.clone(),
                    title_facts: self.title_facts(title),
                    license,
                }
            }
            Wish::Title(device, title, TitleDeed::Renew { automatic }) => {
                let (license, held) = self.license(device, title).unzip();
                Command::Renew {
                    device: device.clone(),
                    license: license.cloned().unwrap_or_else(no_license),
                    term: held.map_or(1, |held| held.term().term.number),
                    title_facts: self.title_facts(title),
                    automatic: *automatic,
                }
            }
            Wish::Title(device, title, TitleDeed::GetNoKeys) => {
                let asked = self.asked.get(&(device.clone(), title.clone())).cloned();
                let (known, held) = self.license(device, title).unzip();
                Command::DrmFailed {
                    license: asked.or(known.cloned()).unwrap_or_else(no_license),
                    term: held.map_or(1, |held| held.term().term.number),
                }
            }
            Wish::Title(device, title, TitleDeed::Play) => self.play(device, title, self.at),
            Wish::Title(device, title, TitleDeed::Report(played_at)) => {
                self.play(device, title, played_at.on(self.start))
            }
            Wish::Title(device, title, TitleDeed::Release(of)) => {
                let of = of.as_ref().unwrap_or(device);
                let asked = self.asked.get(&(of.clone(), title.clone())).cloned();
                let known = || self.license(of, title).map(|(id, _)| id.clone());
                let license = asked.or_else(known).unwrap_or_else(no_license);
                Command::Release { by: Some(device.clone()), license }
            }
        }
    }

    fn befalls(&mut self, befalls: &Befalls) -> Command {
        let warrant = || Warrant { actor: "operator".to_owned(), reason: "scenario".to_owned() };
        let revoke = |target| Command::Revoke { target, warrant: warrant() };
        let copy = |device, title| {
            let license = self.license(device, title).map(|(id, _)| id.clone());
            license.unwrap_or_else(no_license)
        };
        match befalls {
            Befalls::Changes(_) => Command::ChangeMember,
            Befalls::Lapses => Command::LapseMembership,
            Befalls::Resumes => Command::ResumeMembership { warrant: None },
            Befalls::RevokesMember => revoke(Target::Member),
            Befalls::RevokesDevice(device) => revoke(Target::Device(device.clone())),
            Befalls::RevokesCopy(title, device) => revoke(Target::License(copy(device, title))),
            Befalls::ReleasesCopy(title, device) => {
                Command::Release { by: None, license: copy(device, title) }
            }
            Befalls::Withdraws(title) => Command::WithdrawTitle { title: title.clone() },
            Befalls::EndsException(rule) => Command::EndException {
                exception: self.excepted.get(rule).cloned().unwrap_or_else(|| exception_id(0)),
                warrant: warrant(),
            },
            Befalls::Allows { rule, amount, until } => {
                self.exceptions += 1;
                self.excepted.insert(rule.clone(), exception_id(self.exceptions));
                let until = until.on(self.start);
                Command::GrantException {
                    exception: exception_id(self.exceptions),
                    allowance: Allowance { rule: rule.clone(), amount: *amount, until },
                    warrant: warrant(),
                }
            }
        }
    }

    fn title_facts(&self, title: &TitleId) -> Option<domain::TitleFacts> {
        self.titles.get(title).map(|entry| entry.facts(self.start))
    }

    /// A device names what it has, and says truly what it played.
    fn holdings(&self, device: &DeviceId) -> Vec<Holding> {
        let started = |id: &LicenseId| {
            let terms = self.member.license(id).map(|license| license.terms.as_slice());
            terms.unwrap_or_default().iter().any(|running| running.first_play.is_some())
        };
        let copies = self.copies.get(device).into_iter().flatten();
        copies.map(|id| Holding { license: id.clone(), started: started(id) }).collect()
    }

    /// Under the term that ran then.
    fn play(&mut self, device: &DeviceId, title: &TitleId, played_at: Timestamp) -> Command {
        let (license, held) = self.license(device, title).unzip();
        let terms = held.map(|held| held.terms.as_slice()).unwrap_or_default();
        let ran = terms.iter().rev().find(|running| running.term.started_at <= played_at);
        let (license, term) = (license.cloned(), ran.map_or(1, |running| running.term.number));
        let sequence = self.sequences.entry(device.clone()).or_default();
        *sequence += 1;
        let report = PlayReport {
            sequence: *sequence,
            license: license.unwrap_or_else(no_license),
            term,
            occurred_at: played_at,
            device_at: played_at,
        };
        Command::RecordPlays {
            device: device.clone(),
            sequences: vec![(*sequence, *sequence)],
            plays: vec![report],
        }
    }

    /// The newest that this device has or had for the title; one that is open before one that is
    /// closed.
    fn license(&self, device: &DeviceId, title: &TitleId) -> Option<(&LicenseId, &License)> {
        let licenses = self.member.licenses.iter().chain(&self.member.past);
        licenses
            .filter(|(_, it)| it.device == *device && it.title == *title)
            .max_by_key(|(id, it)| (it.closed.is_none(), it.acquired_at, *id))
    }
}

fn wishes(said: &Sentence) -> Vec<Wish<'_>> {
    let mut wishes = Vec::new();
    for clause in &said.clauses {
        match clause {
            Clause::MemberHas(_) | Clause::CatalogueHas(..) => {}
            Clause::Befalls(befalls) => wishes.push(Wish::Befalls(befalls)),
            Clause::Does(devices, deed) => {
                wishes.extend(devices.iter().map(|device| Wish::Device(device, deed)));
            }
            Clause::DoesWith(devices, titles, deed) => {
                for device in devices {
                    wishes.extend(titles.iter().map(|title| Wish::Title(device, title, deed)));
                }
            }
        }
    }
    wishes
}

/// A device's key is its own unless a sentence says otherwise.
#[expect(clippy::expect_used, reason = "INVARIANT: an id of one kind is an id of every kind")]
fn register(device: &DeviceId, class: DeviceClass, key: Option<&KeyThumbprint>) -> Command {
    let own = || KeyThumbprint::new(device.as_str()).expect("an id");
    Command::RegisterDevice {
        device: device.clone(),
        class,
        key: key.cloned().unwrap_or_else(own),
        name: device.as_str().to_owned(),
    }
}

#[expect(clippy::expect_used, reason = "INVARIANT: a letter and digits are an id")]
fn license_id(number: u32) -> LicenseId {
    LicenseId::new(&format!("license-{number:06}")).expect("an id")
}

#[expect(clippy::expect_used, reason = "INVARIANT: a letter and digits are an id")]
fn exception_id(number: u32) -> ExceptionId {
    ExceptionId::new(&format!("exception-{number}")).expect("an id")
}

/// Known to no ledger.
fn no_license() -> LicenseId {
    license_id(0)
}

/// The rules that refuse what is asked, whatever was given having been allowed.
#[cfg(test)]
pub(crate) fn refused_by(scenario: &Scenario, policy: &Policy) -> Vec<domain::RuleId> {
    let lenient = Policy {
        default: domain::policy::Rules::default(),
        partners: BTreeMap::new(),
        series: BTreeMap::new(),
        titles: BTreeMap::new(),
        ..policy.clone()
    };
    let mut world = World::new(scenario, &lenient);
    world.live().unwrap_or_else(|(line, why)| panic!("line {line}: {why}"));
    world.policy = policy;
    let request = world.asked_for().unwrap_or_else(|(line, why)| panic!("line {line}: {why}"));
    match world.decided(&request).answer {
        Answer::Refused(refused) => refused.findings.into_iter().filter_map(|it| it.rule).collect(),
        _ => Vec::new(),
    }
}
