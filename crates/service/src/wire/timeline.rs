//! What operators see: everything that happened to a member, and where it left the member.

use domain::member::{
    Command as DomainCommand, Event, EventBody as DomainBody, License as DomainLicense, Target,
    Term as DomainTerm, Warrant,
};
use domain::{Facts as DomainFacts, LicenseId, Member, MemberId, Timestamp};
use engine::viewing::Viewed;
use serde::Serialize;
use utoipa::ToSchema;

use crate::wire::command::{MemberFacts, TitleFacts};
use crate::wire::device::{Class, DeviceEntry};
use crate::wire::license::License;
use crate::wire::membership::{Exception, Leaving};
use crate::wire::refusal::Refusal;
use crate::wire::scalar::{
    Device, Exception as ExceptionRef, Instant, Key, License as LicenseRef, Member as MemberRef,
    Policy, Rule, Title,
};
use crate::words::Names;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TimelineAnswer {
    pub events: Vec<TimelineEvent>,
    /// Ask again with `after` set to this, when it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TimelineEvent {
    /// Its position in the member's history, from 1.
    pub version: u64,
    pub at: Instant,
    /// Of the request that it follows from, when it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Position in that request's list of commands.
    pub command: u16,
    #[serde(flatten)]
    pub body: EventBody,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum EventBody {
    DeviceRegistered {
        device: Device,
        class: Class,
        key: Key,
        name: String,
    },
    DeviceRemoved {
        device: Device,
    },
    Acquired {
        license: LicenseRef,
        device: Device,
        title: Title,
        term: Term,
        /// This device's ended license for the title, closed by acquiring anew.
        #[serde(skip_serializing_if = "Option::is_none")]
        replaces: Option<LicenseRef>,
        /// The caps it was counted under.
        caps: Vec<Rule>,
        policy: Policy,
        facts: Facts,
    },
    Reissued {
        license: LicenseRef,
        term: u32,
        policy: Policy,
        facts: Facts,
    },
    Renewed {
        license: LicenseRef,
        term: Term,
        caps: Vec<Rule>,
        /// Nobody asked: the app renewed by itself.
        automatic: bool,
        policy: Policy,
        facts: Facts,
    },
    Released {
        license: LicenseRef,
        /// Absent: a service did.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<Device>,
        /// What the acquisition had counted was given back.
        returned: bool,
        /// It counts until its own device confirms, or can no longer play.
        waits: bool,
        /// What said whether it waits; absent where its own device released it.
        #[serde(skip_serializing_if = "Option::is_none")]
        policy: Option<Policy>,
    },
    NeverStarted {
        license: LicenseRef,
    },
    CheckedIn {
        device: Device,
        moved: Vec<Moved>,
        facts: MemberFacts,
        policy: Policy,
    },
    PlaysRecorded {
        device: Device,
        /// First and last, inclusive.
        sequences: Vec<(u64, u64)>,
        plays: Vec<Play>,
    },
    DrmFailed {
        license: LicenseRef,
        term: u32,
    },
    Refused {
        commands: Vec<Asked>,
        facts: MemberFacts,
        refusal: Refusal,
    },
    /// Another plan or territory.
    MemberChanged {
        facts: MemberFacts,
        policy: Policy,
        /// The devices that have notice.
        leaving: Vec<Leaving>,
    },
    MembershipLapsed {
        policy: Policy,
        /// When all licenses end; absent: each by its own clocks.
        #[serde(skip_serializing_if = "Option::is_none")]
        ends_at: Option<Instant>,
    },
    /// With an actor: what was revoked is given back, and a lapse stays what it is.
    MembershipResumed {
        #[serde(skip_serializing_if = "Option::is_none")]
        actor: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Without license and device: the member.
    Revoked {
        #[serde(skip_serializing_if = "Option::is_none")]
        license: Option<LicenseRef>,
        #[serde(skip_serializing_if = "Option::is_none")]
        device: Option<Device>,
        actor: String,
        reason: String,
    },
    TitleWithdrawn {
        title: Title,
    },
    ExceptionGranted {
        exception: ExceptionRef,
        rule: Rule,
        amount: u32,
        until: Instant,
        actor: String,
        reason: String,
    },
    ExceptionEnded {
        exception: ExceptionRef,
        actor: String,
        reason: String,
    },
}

/// Everything that a policy could ask about, as it was when this was decided.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Facts {
    #[serde(flatten)]
    pub member: MemberFacts,
    pub class: Class,
    pub title: TitleFacts,
}

/// What was promised for one term.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Term {
    pub number: u32,
    pub started_at: Instant,
    /// The play before this term that its finish clock runs from, where that is anchored wider than
    /// the term.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun_at: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_by: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_within_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_in_within_ms: Option<i64>,
    pub grace_ms: i64,
    pub running_play_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hard_end: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renew_before_end_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renew_after_end_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewals_max: Option<u32>,
    /// The device deletes its copy when the term has ended.
    pub delete_at_end: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Moved {
    pub license: LicenseRef,
    pub term: u32,
    pub check_in_by: Instant,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Play {
    pub sequence: u64,
    pub license: LicenseRef,
    pub term: u32,
    /// Corrected for the device's clock.
    pub occurred_at: Instant,
    /// By the device's own clock.
    pub device_at: Instant,
}

/// A command that was refused.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Asked {
    #[serde(rename = "do")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<LicenseRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub term: Option<u32>,
    /// A renewal that nobody asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub automatic: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Title>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title_facts: Option<TitleFacts>,
    /// Of an exception: what it was to be made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<ExceptionRef>,
    /// Who asked, where that is recorded, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl TimelineEvent {
    pub(crate) fn new(version: u64, event: Event, names: Names<'_>) -> Self {
        let Event { at, cause, body } = event;
        Self {
            version,
            at: at.into(),
            idempotency_key: cause.idempotency.map(|idempotency| idempotency.key.to_string()),
            command: cause.command,
            body: EventBody::new(body, at, names),
        }
    }
}

impl EventBody {
    #[expect(clippy::too_many_lines, reason = "one match over the kinds of events")]
    fn new(body: DomainBody, at: Timestamp, names: Names<'_>) -> Self {
        use crate::wire::scalar::Id;
        let rules = |caps: &[domain::RuleId]| caps.iter().map(Rule::from).collect();
        match body {
            DomainBody::DeviceRegistered { device, class, key, name, .. } => {
                Self::DeviceRegistered {
                    device: Id(device),
                    class: class.into(),
                    key: Id(key),
                    name,
                }
            }
            DomainBody::DeviceRemoved { device, .. } => Self::DeviceRemoved { device: Id(device) },
            DomainBody::Acquired(acquired) => Self::Acquired {
                license: Id(acquired.license),
                device: Id(acquired.device),
                title: Id(acquired.title),
                term: Term::new(&acquired.term),
                replaces: acquired.replaces.map(Id),
                caps: rules(&acquired.caps),
                policy: Id(acquired.policy),
                facts: Facts::new(&acquired.facts),
            },
            DomainBody::Reissued { license, term, facts, policy } => Self::Reissued {
                license: Id(license),
                term,
                policy: Id(policy),
                facts: Facts::new(&facts),
            },
            DomainBody::Renewed(renewed) => Self::Renewed {
                license: Id(renewed.license),
                term: Term::new(&renewed.term),
                caps: rules(&renewed.caps),
                automatic: renewed.automatic,
                policy: Id(renewed.policy),
                facts: Facts::new(&renewed.facts),
            },
            DomainBody::Released { license, by, returned, waits, policy } => Self::Released {
                license: Id(license),
                by: by.map(Id),
                returned,
                waits,
                policy: policy.map(Id),
            },
            DomainBody::NeverStarted { license } => Self::NeverStarted { license: Id(license) },
            DomainBody::CheckedIn { device, moved, facts, policy } => Self::CheckedIn {
                facts: (&facts).into(),
                policy: Id(policy),
                device: Id(device),
                moved: moved
                    .into_iter()
                    .map(|moved| Moved {
                        license: Id(moved.license),
                        term: moved.term,
                        check_in_by: moved.check_in_by.into(),
                    })
                    .collect(),
            },
            DomainBody::PlaysRecorded { device, sequences, plays } => Self::PlaysRecorded {
                device: Id(device),
                sequences,
                plays: plays.into_iter().map(Play::new).collect(),
            },
            DomainBody::DrmFailed { license, term } => {
                Self::DrmFailed { license: Id(license), term }
            }
            DomainBody::Refused(refused) => Self::Refused {
                commands: refused.commands.iter().map(Asked::new).collect(),
                facts: (&refused.facts).into(),
                refusal: Refusal::new(&refused, at, names),
            },
            DomainBody::MemberChanged { facts, policy, leaving } => Self::MemberChanged {
                facts: (&facts).into(),
                policy: Id(policy),
                leaving: leaving.iter().map(Leaving::from).collect(),
            },
            DomainBody::MembershipLapsed { policy, ends_at } => {
                Self::MembershipLapsed { policy: Id(policy), ends_at: ends_at.map(Instant) }
            }
            DomainBody::MembershipResumed { warrant } => {
                let (actor, reason) = warrant.map(|by| (by.actor, by.reason)).unzip();
                Self::MembershipResumed { actor, reason }
            }
            DomainBody::Revoked { target, warrant: Warrant { actor, reason } } => {
                let (license, device) = match target {
                    Target::License(license) => (Some(Id(license)), None),
                    Target::Device(device) => (None, Some(Id(device))),
                    Target::Member => (None, None),
                };
                Self::Revoked { license, device, actor, reason }
            }
            DomainBody::TitleWithdrawn { title } => Self::TitleWithdrawn { title: Id(title) },
            DomainBody::ExceptionGranted { exception, allowance, warrant } => {
                Self::ExceptionGranted {
                    exception: Id(exception),
                    rule: Id(allowance.rule),
                    amount: allowance.amount,
                    until: allowance.until.into(),
                    actor: warrant.actor,
                    reason: warrant.reason,
                }
            }
            DomainBody::ExceptionEnded { exception, warrant: Warrant { actor, reason } } => {
                Self::ExceptionEnded { exception: Id(exception), actor, reason }
            }
        }
    }
}

impl Facts {
    fn new(facts: &DomainFacts) -> Self {
        let DomainFacts { member, class, title } = facts;
        Self { member: member.into(), class: (*class).into(), title: title.into() }
    }
}

impl Term {
    fn new(term: &DomainTerm) -> Self {
        let ms = domain::Duration::as_millis;
        Self {
            number: term.number,
            started_at: term.started_at.into(),
            begun_at: term.begun_at.map(Instant),
            start_by: term.start_by.map(Instant),
            finish_within_ms: term.finish_within.map(ms),
            check_in_within_ms: term.check_in_within.map(ms),
            grace_ms: ms(term.grace),
            running_play_ms: ms(term.running_play),
            not_before: term.not_before.map(Instant),
            hard_end: term.hard_end.map(Instant),
            renew_before_end_ms: term.renew_before_end.map(ms),
            renew_after_end_ms: term.renew_after_end.map(ms),
            renewals_max: term.renewals_max,
            delete_at_end: term.delete_at_end,
        }
    }
}

impl Play {
    fn new(play: domain::member::Play) -> Self {
        use crate::wire::scalar::Id;
        Self {
            sequence: play.sequence,
            license: Id(play.license),
            term: play.term,
            occurred_at: play.occurred_at.into(),
            device_at: play.device_at.into(),
        }
    }
}

impl Asked {
    fn new(command: &DomainCommand) -> Self {
        let asked = |kind, device: Option<&domain::DeviceId>| Self {
            kind,
            device: device.map(Device::from),
            ..Self::default()
        };
        let by = |kind, warrant: &Warrant| Self {
            actor: Some(warrant.actor.clone()),
            reason: Some(warrant.reason.clone()),
            ..asked(kind, None)
        };
        let facts = |facts: &Option<domain::TitleFacts>| facts.as_ref().map(TitleFacts::from);
        match command {
            DomainCommand::RegisterDevice { device, .. } => asked("register_device", Some(device)),
            DomainCommand::RemoveDevice { device } => asked("remove_device", Some(device)),
            DomainCommand::Acquire { device, title, title_facts, .. } => Self {
                title: Some(title.into()),
                title_facts: facts(title_facts),
                ..asked("acquire", Some(device))
            },
            DomainCommand::Renew { device, license, term, title_facts, automatic } => Self {
                license: Some(license.into()),
                term: Some(*term),
                automatic: *automatic,
                title_facts: facts(title_facts),
                ..asked("renew", Some(device))
            },
            DomainCommand::Release { by, license } => {
                Self { license: Some(license.into()), ..asked("release", by.as_ref()) }
            }
            DomainCommand::CheckIn { device, .. } => asked("check_in", Some(device)),
            DomainCommand::RecordPlays { device, .. } => asked("record_plays", Some(device)),
            DomainCommand::DrmFailed { license, term } => Self {
                license: Some(license.into()),
                term: Some(*term),
                ..asked("drm_failed", None)
            },
            DomainCommand::ChangeMember => asked("change_member", None),
            DomainCommand::LapseMembership => asked("lapse_membership", None),
            DomainCommand::ResumeMembership { warrant: None } => asked("resume_membership", None),
            DomainCommand::ResumeMembership { warrant: Some(warrant) } => {
                by("resume_membership", warrant)
            }
            DomainCommand::Revoke { target, warrant } => {
                let asked = by("revoke", warrant);
                match target {
                    Target::License(id) => Self { license: Some(id.into()), ..asked },
                    Target::Device(id) => Self { device: Some(id.into()), ..asked },
                    Target::Member => asked,
                }
            }
            DomainCommand::WithdrawTitle { title } => {
                Self { title: Some(title.into()), ..asked("withdraw_title", None) }
            }
            DomainCommand::GrantException { exception: _, allowance, warrant } => {
                Self { rule: Some((&allowance.rule).into()), ..by("grant_exception", warrant) }
            }
            DomainCommand::EndException { exception, warrant } => {
                Self { exception: Some(exception.into()), ..by("end_exception", warrant) }
            }
        }
    }
}

/// A member as of now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberAnswer {
    pub member: MemberRef,
    /// How many events there are.
    pub version: u64,
    /// Of the last event.
    pub last_at: Instant,
    /// Nothing is acquired or renewed since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lapsed_at: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Instant>,
    /// What support allowed beyond the rules; over ones may be among them.
    pub exceptions: Vec<Exception>,
    pub devices: Vec<DeviceEntry>,
    /// Those that count, or could count again.
    pub licenses: Vec<LicenseState>,
    /// Closed, or over for good.
    pub past: Vec<LicenseState>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LicenseState {
    #[serde(flatten)]
    pub license: License,
    pub acquired_at: Instant,
    /// How often content keys may have been given.
    pub deliveries: u32,
    /// Of the latest term.
    pub facts: Facts,
}

impl MemberAnswer {
    pub(crate) fn new(id: &MemberId, version: u64, member: &Member, at: Timestamp) -> Self {
        let state = |(id, license): (&LicenseId, &DomainLicense)| LicenseState {
            license: License::new(id, license, at),
            acquired_at: license.acquired_at.into(),
            deliveries: license.deliveries,
            facts: Facts::new(&license.facts),
        };
        let device = |(id, device): (&domain::DeviceId, &domain::member::Device)| {
            DeviceEntry::new(id, device, (licenses_on(member, id, at), at), false)
        };
        Self {
            member: id.into(),
            version,
            last_at: member.last_at.into(),
            lapsed_at: member.lapsed_at.map(Instant),
            revoked_at: member.revoked_at.map(Instant),
            exceptions: member.exceptions.iter().map(|(id, it)| Exception::new(id, it)).collect(),
            devices: member.devices.iter().map(device).collect(),
            licenses: member.licenses.iter().map(state).collect(),
            past: member.past.iter().map(state).collect(),
        }
    }
}

/// How many licenses the device holds.
pub(crate) fn licenses_on(member: &Member, device: &domain::DeviceId, at: Timestamp) -> usize {
    member.licenses.values().filter(|license| license.device == *device && license.held(at)).count()
}

/// Raw session events, as devices told them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ViewingAnswer {
    pub events: Vec<ViewedEvent>,
    /// Ask again with `after` set to this, when it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ViewedEvent {
    /// Of the upload that brought it.
    pub version: u64,
    pub device: Device,
    pub received_at: Instant,
    pub sequence: u64,
    pub session: String,
    pub title: Title,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<LicenseRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub term: Option<u32>,
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Corrected for the device's clock.
    pub occurred_at: Instant,
    /// By the device's own clock.
    pub device_at: Instant,
    /// How far that clock stood below the highest time it had seen, by the device's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_behind_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position_ms: Option<u64>,
}

impl From<Viewed> for ViewedEvent {
    fn from(viewed: Viewed) -> Self {
        use crate::wire::scalar::Id;
        let Viewed { version, device, received_at, event } = viewed;
        let (license, term) = event.license.unzip();
        Self {
            version,
            device: Id(device),
            received_at: received_at.into(),
            sequence: event.sequence,
            session: event.session,
            title: Id(event.title),
            license: license.map(Id),
            term,
            kind: event.what.name(),
            occurred_at: event.occurred_at.into(),
            device_at: event.device_at.into(),
            clock_behind_ms: event.clock_behind_ms,
            position_ms: event.position_ms,
        }
    }
}
