//! A refusal: what was asked, of whom, and all that stood in the way.

use domain::member::{self, Command as DomainCommand, RemedyAction};
use domain::{DeviceId, ExceptionId, LicenseId, RuleId, Tag, TitleId};
use minicbor::{CborLen, Decode, Encode};

use super::around::{Allowance, Target, Warrant};
use super::facts::{MemberFacts, TitleFacts};
use super::scalar::{At, Class, Counts, Key, Policy, Reason, Scope, list, nothing, off, optional};
use crate::event::DecodeError;

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) struct Refused<'b> {
    #[b(0)]
    commands: Vec<Command<'b>>,
    #[b(1)]
    facts: MemberFacts<'b>,
    #[b(2)]
    policy: Policy<'b>,
    #[b(3)]
    findings: Vec<Finding<'b>>,
    #[n(4)]
    retry_at: Option<i64>,
    #[b(5)]
    #[cbor(skip_if = "Vec::is_empty")]
    remedies: Vec<Remedy<'b>>,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
enum Command<'b> {
    #[n(0)]
    RegisterDevice {
        #[b(0)]
        device: &'b str,
        #[n(1)]
        class: Class,
        #[b(2)]
        key: Key<'b>,
        #[b(3)]
        name: &'b str,
    },
    #[n(1)]
    RemoveDevice {
        #[b(0)]
        device: &'b str,
    },
    #[n(2)]
    Acquire {
        #[b(0)]
        device: &'b str,
        #[b(1)]
        title: &'b str,
        #[b(2)]
        title_facts: Option<TitleFacts<'b>>,
        #[b(3)]
        license: &'b str,
    },
    #[n(3)]
    Renew {
        #[b(0)]
        device: &'b str,
        #[b(1)]
        license: &'b str,
        #[n(2)]
        term: u32,
        #[b(3)]
        title_facts: Option<TitleFacts<'b>>,
        #[n(4)]
        #[cbor(skip_if = "off")]
        automatic: bool,
    },
    #[n(4)]
    Release {
        #[b(0)]
        by: Option<&'b str>,
        #[b(1)]
        license: &'b str,
    },
    #[n(5)]
    CheckIn {
        #[b(0)]
        device: &'b str,
        #[b(1)]
        #[cbor(skip_if = "Vec::is_empty")]
        holdings: Vec<Holding<'b>>,
    },
    #[n(6)]
    RecordPlays {
        #[b(0)]
        device: &'b str,
        #[n(1)]
        #[cbor(skip_if = "Vec::is_empty")]
        sequences: Vec<(u64, u64)>,
        #[b(2)]
        #[cbor(skip_if = "Vec::is_empty")]
        plays: Vec<PlayReport<'b>>,
    },
    #[n(7)]
    DrmFailed {
        #[b(0)]
        license: &'b str,
        #[n(1)]
        term: u32,
    },
    #[n(8)]
    ChangeMember,
    #[n(9)]
    LapseMembership,
    #[n(10)]
    ResumeMembership {
        #[b(0)]
        warrant: Option<Warrant<'b>>,
    },
    #[n(11)]
    Revoke {
        #[b(0)]
        target: Target<'b>,
        #[b(1)]
        warrant: Warrant<'b>,
    },
    #[n(12)]
    WithdrawTitle {
        #[b(0)]
        title: &'b str,
    },
    #[n(13)]
    GrantException {
        #[b(0)]
        exception: &'b str,
        #[b(1)]
        allowance: Allowance<'b>,
        #[b(2)]
        warrant: Warrant<'b>,
    },
    #[n(14)]
    EndException {
        #[b(0)]
        exception: &'b str,
        #[b(1)]
        warrant: Warrant<'b>,
    },
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
struct Holding<'b> {
    #[b(0)]
    license: &'b str,
    #[n(1)]
    started: bool,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
struct PlayReport<'b> {
    #[n(0)]
    sequence: u64,
    #[b(1)]
    license: &'b str,
    #[n(2)]
    term: u32,
    #[n(3)]
    occurred_at: i64,
    #[n(4)]
    device_at: i64,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
struct Finding<'b> {
    #[n(0)]
    #[cbor(skip_if = "nothing")]
    command: u16,
    #[n(1)]
    reason: Reason,
    #[b(2)]
    rule: Option<&'b str>,
    #[b(3)]
    cap: Option<CapFinding<'b>>,
    #[n(4)]
    frees_at: Option<i64>,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
struct CapFinding<'b> {
    #[n(0)]
    counts: Counts,
    #[n(1)]
    #[cbor(skip_if = "Vec::is_empty")]
    per: Vec<Scope>,
    #[n(2)]
    limit: u32,
    #[n(3)]
    used: u32,
    #[n(4)]
    window: Option<(i64, i64)>,
    #[b(5)]
    #[cbor(skip_if = "Vec::is_empty")]
    contributors: Vec<Contributor<'b>>,
    #[b(6)]
    tag: Option<&'b str>,
    #[n(7)]
    #[cbor(skip_if = "nothing")]
    raised: u32,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
struct Contributor<'b> {
    #[n(0)]
    at: i64,
    #[b(1)]
    license: Option<&'b str>,
    #[b(2)]
    title: Option<&'b str>,
    #[b(3)]
    device: &'b str,
    #[n(4)]
    frees_at: Option<i64>,
    #[n(5)]
    in_list: Option<u16>,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
struct Remedy<'b> {
    #[b(0)]
    actions: Vec<Action<'b>>,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
enum Action<'b> {
    #[n(0)]
    Release {
        #[b(0)]
        license: &'b str,
        #[b(1)]
        device: &'b str,
        #[b(2)]
        title: &'b str,
    },
    #[n(1)]
    RemoveDevice {
        #[b(0)]
        device: &'b str,
    },
}

impl<'b> Refused<'b> {
    pub(crate) fn of(refused: &'b member::Refused, at: At) -> Self {
        let member::Refused { commands, facts, policy, findings, retry_at, remedies } = refused;
        Self {
            commands: commands.iter().map(|command| Command::of(command, at)).collect(),
            facts: MemberFacts::of(facts, at),
            policy: Policy::of(policy),
            findings: findings.iter().map(|finding| Finding::of(finding, at)).collect(),
            retry_at: retry_at.map(|retry_at| at.to(retry_at)),
            remedies: remedies.iter().map(Remedy::of).collect(),
        }
    }

    pub(crate) fn into_domain(self, at: At) -> Result<member::Refused, DecodeError> {
        let Self { commands, facts, policy, findings, retry_at, remedies } = self;
        Ok(member::Refused {
            commands: list(commands, |command| command.into_domain(at))?,
            facts: facts.into_domain(at)?,
            policy: policy.into_domain()?,
            findings: list(findings, |finding| finding.into_domain(at))?,
            retry_at: optional(retry_at, |retry_at| at.instant(retry_at))?,
            remedies: list(remedies, Remedy::into_domain)?,
        })
    }
}

impl<'b> Command<'b> {
    fn of(command: &'b DomainCommand, at: At) -> Self {
        match command {
            DomainCommand::RegisterDevice { device, class, key, name } => Self::RegisterDevice {
                device: device.as_str(),
                class: (*class).into(),
                key: Key::of(key),
                name,
            },
            DomainCommand::RemoveDevice { device } => {
                Self::RemoveDevice { device: device.as_str() }
            }
            DomainCommand::Acquire { device, title, title_facts, license } => Self::Acquire {
                device: device.as_str(),
                title: title.as_str(),
                title_facts: title_facts.as_ref().map(|facts| TitleFacts::of(facts, at)),
                license: license.as_str(),
            },
            DomainCommand::Renew { device, license, term, title_facts, automatic } => Self::Renew {
                device: device.as_str(),
                license: license.as_str(),
                term: *term,
                title_facts: title_facts.as_ref().map(|facts| TitleFacts::of(facts, at)),
                automatic: *automatic,
            },
            DomainCommand::Release { by, license } => {
                Self::Release { by: by.as_ref().map(DeviceId::as_str), license: license.as_str() }
            }
            DomainCommand::CheckIn { device, holdings } => Self::CheckIn {
                device: device.as_str(),
                holdings: holdings.iter().map(Holding::of).collect(),
            },
            DomainCommand::RecordPlays { device, sequences, plays } => Self::RecordPlays {
                device: device.as_str(),
                sequences: sequences.clone(),
                plays: plays.iter().map(|play| PlayReport::of(play, at)).collect(),
            },
            DomainCommand::DrmFailed { license, term } => {
                Self::DrmFailed { license: license.as_str(), term: *term }
            }
            DomainCommand::ChangeMember => Self::ChangeMember,
            DomainCommand::LapseMembership => Self::LapseMembership,
            DomainCommand::ResumeMembership { warrant } => {
                Self::ResumeMembership { warrant: warrant.as_ref().map(Warrant::of) }
            }
            DomainCommand::Revoke { target, warrant } => {
                Self::Revoke { target: Target::of(target), warrant: Warrant::of(warrant) }
            }
            DomainCommand::WithdrawTitle { title } => Self::WithdrawTitle { title: title.as_str() },
            DomainCommand::GrantException { exception, allowance, warrant } => {
                Self::GrantException {
                    exception: exception.as_str(),
                    allowance: Allowance::of(allowance, at),
                    warrant: Warrant::of(warrant),
                }
            }
            DomainCommand::EndException { exception, warrant } => {
                Self::EndException { exception: exception.as_str(), warrant: Warrant::of(warrant) }
            }
        }
    }

    fn into_domain(self, at: At) -> Result<DomainCommand, DecodeError> {
        let title = |facts: Option<TitleFacts<'b>>| optional(facts, |facts| facts.into_domain(at));
        Ok(match self {
            Self::RegisterDevice { device, class, key, name } => DomainCommand::RegisterDevice {
                device: DeviceId::new(device)?,
                class: class.into(),
                key: key.into_domain()?,
                name: name.to_owned(),
            },
            Self::RemoveDevice { device } => {
                DomainCommand::RemoveDevice { device: DeviceId::new(device)? }
            }
            Self::Acquire { device, title: id, title_facts, license } => DomainCommand::Acquire {
                device: DeviceId::new(device)?,
                title: TitleId::new(id)?,
                title_facts: title(title_facts)?,
                license: LicenseId::new(license)?,
            },
            Self::Renew { device, license, term, title_facts, automatic } => DomainCommand::Renew {
                device: DeviceId::new(device)?,
                license: LicenseId::new(license)?,
                term,
                title_facts: title(title_facts)?,
                automatic,
            },
            Self::Release { by, license } => DomainCommand::Release {
                by: by.map(DeviceId::new).transpose()?,
                license: LicenseId::new(license)?,
            },
            Self::CheckIn { device, holdings } => DomainCommand::CheckIn {
                device: DeviceId::new(device)?,
                holdings: list(holdings, Holding::into_domain)?,
            },
            Self::RecordPlays { device, sequences, plays } => DomainCommand::RecordPlays {
                device: DeviceId::new(device)?,
                sequences,
                plays: list(plays, |play| play.into_domain(at))?,
            },
            Self::DrmFailed { license, term } => {
                DomainCommand::DrmFailed { license: LicenseId::new(license)?, term }
            }
            Self::ChangeMember => DomainCommand::ChangeMember,
            Self::LapseMembership => DomainCommand::LapseMembership,
            Self::ResumeMembership { warrant } => {
                DomainCommand::ResumeMembership { warrant: warrant.map(Warrant::into_domain) }
            }
            Self::Revoke { target, warrant } => DomainCommand::Revoke {
                target: target.into_domain()?,
                warrant: warrant.into_domain(),
            },
            Self::WithdrawTitle { title } => {
                DomainCommand::WithdrawTitle { title: TitleId::new(title)? }
            }
            Self::GrantException { exception, allowance, warrant } => {
                DomainCommand::GrantException {
                    exception: ExceptionId::new(exception)?,
                    allowance: allowance.into_domain(at)?,
                    warrant: warrant.into_domain(),
                }
            }
            Self::EndException { exception, warrant } => DomainCommand::EndException {
                exception: ExceptionId::new(exception)?,
                warrant: warrant.into_domain(),
            },
        })
    }
}

impl<'b> Holding<'b> {
    fn of(holding: &'b member::Holding) -> Self {
        let member::Holding { license, started } = holding;
        Self { license: license.as_str(), started: *started }
    }

    fn into_domain(self) -> Result<member::Holding, DecodeError> {
        let Self { license, started } = self;
        Ok(member::Holding { license: LicenseId::new(license)?, started })
    }
}

impl<'b> PlayReport<'b> {
    fn of(play: &'b member::PlayReport, at: At) -> Self {
        let member::PlayReport { sequence, license, term, occurred_at, device_at } = play;
        Self {
            sequence: *sequence,
            license: license.as_str(),
            term: *term,
            occurred_at: at.to(*occurred_at),
            device_at: at.to(*device_at),
        }
    }

    fn into_domain(self, at: At) -> Result<member::PlayReport, DecodeError> {
        let Self { sequence, license, term, occurred_at, device_at } = self;
        Ok(member::PlayReport {
            sequence,
            license: LicenseId::new(license)?,
            term,
            occurred_at: at.instant(occurred_at)?,
            device_at: at.instant(device_at)?,
        })
    }
}

impl<'b> Finding<'b> {
    fn of(finding: &'b member::Finding, at: At) -> Self {
        let member::Finding { command, code, rule, cap, frees_at } = finding;
        Self {
            command: *command,
            reason: (*code).into(),
            rule: rule.as_ref().map(RuleId::as_str),
            cap: cap.as_ref().map(|cap| CapFinding::of(cap, at)),
            frees_at: frees_at.map(|frees_at| at.to(frees_at)),
        }
    }

    fn into_domain(self, at: At) -> Result<member::Finding, DecodeError> {
        let Self { command, reason, rule, cap, frees_at } = self;
        Ok(member::Finding {
            command,
            code: reason.into(),
            rule: rule.map(RuleId::new).transpose()?,
            cap: optional(cap, |cap| cap.into_domain(at))?,
            frees_at: optional(frees_at, |frees_at| at.instant(frees_at))?,
        })
    }
}

impl<'b> CapFinding<'b> {
    fn of(cap: &'b member::CapFinding, at: At) -> Self {
        let member::CapFinding { counts, per, tag, limit, raised, used, window, contributors } =
            cap;
        Self {
            counts: (*counts).into(),
            per: per.iter().map(|key| (*key).into()).collect(),
            limit: *limit,
            used: *used,
            window: window.map(|(from, to)| (at.to(from), at.to(to))),
            contributors: contributors.iter().map(|one| Contributor::of(one, at)).collect(),
            tag: tag.as_ref().map(Tag::as_str),
            raised: *raised,
        }
    }

    fn into_domain(self, at: At) -> Result<member::CapFinding, DecodeError> {
        let Self { counts, per, limit, used, window, contributors, tag, raised } = self;
        Ok(member::CapFinding {
            counts: counts.into(),
            per: list(per, |key| Ok(key.into()))?,
            tag: tag.map(Tag::new).transpose()?,
            raised,
            limit,
            used,
            window: optional(window, |(from, to)| Ok((at.instant(from)?, at.instant(to)?)))?,
            contributors: list(contributors, |one| one.into_domain(at))?,
        })
    }
}

impl<'b> Contributor<'b> {
    fn of(contributor: &'b member::Contributor, at: At) -> Self {
        let member::Contributor { at: counted_at, license, title, device, frees_at, in_list } =
            contributor;
        Self {
            at: at.to(*counted_at),
            license: license.as_ref().map(LicenseId::as_str),
            title: title.as_ref().map(TitleId::as_str),
            device: device.as_str(),
            frees_at: frees_at.map(|frees_at| at.to(frees_at)),
            in_list: *in_list,
        }
    }

    fn into_domain(self, event_at: At) -> Result<member::Contributor, DecodeError> {
        let Self { at, license, title, device, frees_at, in_list } = self;
        Ok(member::Contributor {
            at: event_at.instant(at)?,
            license: license.map(LicenseId::new).transpose()?,
            title: title.map(TitleId::new).transpose()?,
            device: DeviceId::new(device)?,
            frees_at: optional(frees_at, |frees_at| event_at.instant(frees_at))?,
            in_list,
        })
    }
}

impl<'b> Remedy<'b> {
    fn of(remedy: &'b member::Remedy) -> Self {
        let member::Remedy { actions } = remedy;
        let action = |action: &'b RemedyAction| match action {
            RemedyAction::Release { license, device, title } => Action::Release {
                license: license.as_str(),
                device: device.as_str(),
                title: title.as_str(),
            },
            RemedyAction::RemoveDevice { device } => {
                Action::RemoveDevice { device: device.as_str() }
            }
        };
        Self { actions: actions.iter().map(action).collect() }
    }

    fn into_domain(self) -> Result<member::Remedy, DecodeError> {
        let Self { actions } = self;
        let action = |action: Action<'b>| match action {
            Action::Release { license, device, title } => Ok(RemedyAction::Release {
                license: LicenseId::new(license)?,
                device: DeviceId::new(device)?,
                title: TitleId::new(title)?,
            }),
            Action::RemoveDevice { device } => {
                Ok(RemedyAction::RemoveDevice { device: DeviceId::new(device)? })
            }
        };
        Ok(member::Remedy { actions: list(actions, action)? })
    }
}
