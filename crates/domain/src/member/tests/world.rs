//! A member, a policy and a clock to ask with. Times are days after [`DAY_0`], ids are short
//! names, and every request is folded into the member as it is answered.

use std::sync::Arc;

use crate::facts::{DeviceClass, MemberFacts, TitleFacts};
use crate::ids::*;
use crate::member::*;
use crate::policy::*;
use crate::time::{Duration, Timestamp};

pub(crate) const DAY_0: Timestamp = Timestamp::from_millis(1_767_225_600_000); // 2026-01-01

pub(crate) fn day(n: i64) -> Timestamp {
    DAY_0 + Duration::days(n)
}

pub(crate) fn hour(n: i64) -> Timestamp {
    DAY_0 + Duration::hours(n)
}

pub(crate) fn device(id: &str) -> DeviceId {
    DeviceId::new(id).unwrap()
}

pub(crate) fn title(id: &str) -> TitleId {
    TitleId::new(id).unwrap()
}

pub(crate) fn license(id: &str) -> LicenseId {
    LicenseId::new(id).unwrap()
}

pub(crate) fn rule(id: &str) -> RuleId {
    RuleId::new(id).unwrap()
}

pub(crate) fn policy(terms: TermsPatch, caps: Vec<Cap>) -> Policy {
    Policy {
        version: PolicyVersion::new("p1").unwrap(),
        name: "test".to_owned(),
        effective_from: Timestamp::MIN,
        default: Rules { terms, caps, ..Rules::default() },
        partners: [].into(),
        series: [].into(),
        titles: [].into(),
        downgrade: None,
        lapse_ends_within: None,
    }
}

/// Start within 30 days, finish within 48 hours.
pub(crate) fn rental() -> TermsPatch {
    TermsPatch {
        start_within: Some(Duration::days(30)),
        finish_within: Some(Duration::hours(48)),
        ..TermsPatch::default()
    }
}

pub(crate) fn cap(id: &str, counts: Counts, per: &[ScopeKey], window: Window, limit: u32) -> Cap {
    Cap {
        id: rule(id),
        counts,
        per: per.to_vec(),
        of: Of::default(),
        when: When::default(),
        window,
        limit: Limit::constant(limit),
        idle_after: None,
        warn_at_left: None,
        needs: vec![],
    }
}

pub(crate) const ACQUISITIONS: Counts = events(&[CountedKind::Acquired]);
pub(crate) const RENEWALS_TOO: Counts = events(&[CountedKind::Acquired, CountedKind::Renewed]);

pub(crate) const fn events(kinds: &[CountedKind]) -> Counts {
    Counts::Events(Kinds::of(kinds))
}

pub(crate) fn active_cap(limit: u32) -> Cap {
    cap("active", Counts::ActiveLicenses, &[], Window::Now, limit)
}

pub(crate) fn yearly_cap(limit: u32) -> Cap {
    let window = Window::Rolling(Duration::days(365));
    cap("yearly", ACQUISITIONS, &[ScopeKey::Title], window, limit)
}

pub(crate) fn title_facts(partner: &str) -> TitleFacts {
    TitleFacts {
        partner: PartnerId::new(partner).unwrap(),
        series: None,
        tags: Arc::from([]),
        maturity_rating: None,
        downloadable: true,
        offered: true,
        available_from: None,
        available_until: None,
    }
}

/// One member and everything that ever happened to it.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) policy: Policy,
    pub(crate) facts: MemberFacts,
    pub(crate) member: Member,
    pub(crate) events: Vec<Event>,
    made: u32,
}

impl World {
    /// Two phones `a` and `b`, a tablet `c`, registered before there were rules.
    pub(crate) fn new(policy: Policy) -> Self {
        let mut world = Self {
            policy: self::policy(TermsPatch::default(), vec![]),
            facts: MemberFacts::default(),
            member: Member::default(),
            events: vec![],
            made: 0,
        };
        for (id, class) in
            [("a", DeviceClass::Phone), ("b", DeviceClass::Phone), ("c", DeviceClass::Tablet)]
        {
            world.accept(DAY_0, register(id, class, id));
        }
        Self { policy, ..world }
    }

    pub(crate) fn request(&self, at: Timestamp, commands: Vec<Command>) -> Request {
        Request { at, idempotency: None, facts: self.facts.clone(), commands }
    }

    pub(crate) fn ask(&mut self, request: &Request) -> Decision {
        let decision = decide(&self.member, request, &self.policy);
        self.fold(&decision.events);
        decision
    }

    pub(crate) fn fold(&mut self, events: &[Event]) {
        self.member = events.iter().fold(self.member.clone(), evolve);
        self.events.extend_from_slice(events);
    }

    #[track_caller]
    pub(crate) fn accept(&mut self, at: Timestamp, command: Command) -> Outcome {
        match self.ask(&self.request(at, vec![command])).answer {
            Answer::Accepted { mut outcomes, repeated: false } => outcomes.remove(0),
            other => panic!("not accepted: {other:#?}"),
        }
    }

    #[track_caller]
    pub(crate) fn refuse(&mut self, at: Timestamp, command: Command) -> Refused {
        self.refuse_all(at, vec![command])
    }

    #[track_caller]
    pub(crate) fn refuse_all(&mut self, at: Timestamp, commands: Vec<Command>) -> Refused {
        match self.ask(&self.request(at, commands)).answer {
            Answer::Refused(refused) => *refused,
            other => panic!("not refused: {other:#?}"),
        }
    }

    pub(crate) fn acquire(&mut self, device_id: &str, title_id: &str) -> Command {
        self.acquire_of(device_id, title_id, title_facts("studio"))
    }

    pub(crate) fn acquire_of(&mut self, on: &str, title_id: &str, facts: TitleFacts) -> Command {
        self.made += 1;
        Command::Acquire {
            device: device(on),
            title: title(title_id),
            title_facts: Some(facts),
            license: license(&format!("l{}", self.made)),
        }
    }

    /// Acquires and says which license.
    #[track_caller]
    pub(crate) fn acquired(&mut self, at: Timestamp, on: &str, title_id: &str) -> LicenseId {
        let command = self.acquire(on, title_id);
        match self.accept(at, command) {
            Outcome::Held { license, how: Held::Acquired, .. } => license,
            other => panic!("not acquired: {other:?}"),
        }
    }

    pub(crate) fn license(&self, id: &LicenseId) -> &License {
        self.member.license(id).unwrap()
    }

    pub(crate) fn active(&self, at: Timestamp) -> usize {
        self.member.licenses.values().filter(|license| license.active(at)).count()
    }
}

pub(crate) fn register(id: &str, class: DeviceClass, key: &str) -> Command {
    let key = KeyThumbprint::new(key).unwrap();
    Command::RegisterDevice { device: device(id), class, key, name: id.to_owned() }
}

pub(crate) fn renew(on: &str, id: &LicenseId, term: u32) -> Command {
    let title_facts = Some(title_facts("studio"));
    Command::Renew { device: device(on), license: id.clone(), term, title_facts, automatic: false }
}

pub(crate) fn release(by: &str, id: &LicenseId) -> Command {
    Command::Release { by: Some(device(by)), license: id.clone() }
}

pub(crate) fn check_in(on: &str, holdings: &[(&LicenseId, bool)]) -> Command {
    let holdings = holdings
        .iter()
        .map(|(license, started)| Holding { license: (*license).clone(), started: *started })
        .collect();
    Command::CheckIn { device: device(on), holdings }
}

pub(crate) fn played(
    on: &str,
    sequence: u64,
    id: &LicenseId,
    term: u32,
    occurred_at: Timestamp,
) -> Command {
    let report =
        PlayReport { sequence, license: id.clone(), term, occurred_at, device_at: occurred_at };
    Command::RecordPlays {
        device: device(on),
        sequences: vec![(sequence, sequence)],
        plays: vec![report],
    }
}

pub(crate) fn codes(refused: &Refused) -> Vec<Code> {
    refused.findings.iter().map(|finding| finding.code).collect()
}

/// What the member does who takes up an offer.
pub(crate) fn performed(remedy: &Remedy) -> Vec<Command> {
    let command = |action: &RemedyAction| match action {
        RemedyAction::Release { license, device, .. } => {
            Command::Release { by: Some(device.clone()), license: license.clone() }
        }
        RemedyAction::RemoveDevice { device } => Command::RemoveDevice { device: device.clone() },
    };
    remedy.actions.iter().map(command).collect()
}
