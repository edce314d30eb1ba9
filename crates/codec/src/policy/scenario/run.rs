//! Tries a scenario: asks the ledger everything that is told, and hands on what it answers.

mod compare;

use std::collections::BTreeMap;

use domain::member::{Answer, Command, Decision, Holding, License, Outcome as Done, PlayReport};
use domain::{
    DeviceClass, DeviceId, KeyThumbprint, LicenseId, Member, MemberFacts, Policy, Request,
    Timestamp, TitleId, decide, evolve,
};

use super::sentence::{Clause, Deed, FactChange, Sentence, TitleDeed};
use super::{Outcome, Row, Scenario, changed};

/// What becomes of the scenario under this policy.
pub fn run(scenario: &Scenario, policy: &Policy) -> Outcome {
    let start = scenario.start.unwrap_or(policy.effective_from);
    let mut world = World {
        scenario,
        policy,
        start,
        facts: changed(&MemberFacts::default(), &scenario.member, start),
        member: Member::default(),
        at: start,
        licenses: 0,
        sequences: BTreeMap::new(),
    };
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
    member: Member,
    /// Of the last sentence.
    at: Timestamp,
    licenses: u32,
    sequences: BTreeMap<DeviceId, u64>,
}

/// One device and one thing that it does.
#[derive(Clone, Copy)]
enum Wish<'a> {
    Device(&'a DeviceId, &'a Deed),
    Title(&'a DeviceId, &'a TitleId, &'a TitleDeed),
}

/// A line, and why what it tells cannot have happened.
type Trouble = (usize, String);

impl<'a> World<'a> {
    fn tell(&mut self) -> Result<Vec<Row>, Trouble> {
        let Scenario { line, devices, given, when, .. } = self.scenario;
        for (device, class) in devices {
            let request = self.request(vec![register(device, *class, None)], &[]);
            self.happened(&request).map_err(|why| (*line, format!("`{device}`: {why}")))?;
        }
        for said in given {
            self.pass_time(said)?;
            let wishes = wishes(said);
            let together = if said.clauses.len() > 1 { wishes.len() } else { 1 };
            for wishes in wishes.chunks(together.max(1)) {
                let commands = wishes.iter().map(|wish| self.command(*wish)).collect();
                let request = self.request(commands, &said.facts);
                let why = |why| (said.line, format!("`{}`: {why}", said.text));
                self.happened(&request).map_err(why)?;
            }
        }
        self.pass_time(when)?;
        let commands: Vec<_> = wishes(when).into_iter().map(|wish| self.command(wish)).collect();
        if commands.is_empty() {
            return Err((when.line, format!("`{}` asks for nothing", when.text)));
        }
        let request = self.request(commands, &when.facts);
        let decision = self.decided(&request);
        Ok(self.compare(&request, &decision))
    }

    fn pass_time(&mut self, said: &Sentence) -> Result<(), Trouble> {
        let at = said.at.on(self.start);
        if at < self.at {
            let message = format!("`{}` happened before what is told above it", said.text);
            return Err((said.line, message));
        }
        self.at = at;
        for clause in &said.clauses {
            if let Clause::MemberHas(facts) = clause {
                self.facts = changed(&self.facts, facts, self.start);
            }
        }
        Ok(())
    }

    fn request(&self, commands: Vec<Command>, facts: &[FactChange]) -> Request {
        let facts = changed(&self.facts, facts, self.start);
        Request { at: self.at, idempotency: None, facts, commands }
    }

    fn decided(&mut self, request: &Request) -> Decision {
        let decision = decide(&self.member, request, self.policy);
        let member = std::mem::take(&mut self.member);
        self.member = decision.events.iter().fold(member, evolve);
        decision
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

    fn command(&mut self, wish: Wish<'a>) -> Command {
        match wish {
            Wish::Device(device, Deed::Register { class, key }) => {
                register(device, *class, key.as_ref())
            }
            Wish::Device(device, Deed::Leave) => Command::RemoveDevice { device: device.clone() },
            Wish::Device(device, Deed::CheckIn) => {
                Command::CheckIn { device: device.clone(), holdings: self.holdings(device) }
            }
            Wish::Title(device, title, TitleDeed::Acquire) => {
                self.licenses += 1;
                Command::Acquire {
                    device: device.clone(),
                    title: title.clone(),
                    title_facts: self.title_facts(title),
                    license: license_id(self.licenses),
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
            Wish::Title(device, title, TitleDeed::Play) => self.play(device, title, self.at),
            Wish::Title(device, title, TitleDeed::Report(played_at)) => {
                self.play(device, title, played_at.on(self.start))
            }
            Wish::Title(device, title, TitleDeed::Release(of)) => {
                let of = of.as_ref().unwrap_or(device);
                let license = self.license(of, title).map(|(id, _)| id.clone());
                Command::Release {
                    by: Some(device.clone()),
                    license: license.unwrap_or_else(no_license),
                }
            }
        }
    }

    fn title_facts(&self, title: &TitleId) -> Option<domain::TitleFacts> {
        self.scenario.titles.get(title).map(|entry| entry.facts(self.start))
    }

    /// A device names what it has, and says truly what it played.
    fn holdings(&self, device: &DeviceId) -> Vec<Holding> {
        let licenses = self.member.licenses.iter().chain(&self.member.past);
        let held = licenses.filter(|(_, it)| it.device == *device && it.closed.is_none());
        let started = |it: &License| it.terms.iter().any(|running| running.first_play.is_some());
        held.map(|(id, it)| Holding { license: id.clone(), started: started(it) }).collect()
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
            Clause::MemberHas(_) => {}
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

/// Known to no ledger.
fn no_license() -> LicenseId {
    license_id(0)
}
