//! A refusal, explained: everything that stands in the way, and what helps.

use domain::Timestamp;
use domain::member::{
    CapFinding as DomainCap, CapState as DomainCapState, Contributor as DomainContributor,
    Finding as DomainFinding, Refused, Remedy as DomainRemedy, RemedyAction,
};
use domain::policy::ScopeKey;
use serde::Serialize;
use utoipa::ToSchema;

use crate::texts;
use crate::wire::scalar::{Device, Instant, License, Policy, Rule, TagName, Title};
use crate::words::Names;

/// A business "no", with everything that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Refusal {
    pub at: Instant,
    /// The version of the policy under which this is true.
    pub policy: Policy,
    /// The first instant at which the whole request passes, nothing else happening, if there is
    /// one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Instant>,
    pub findings: Vec<Finding>,
    /// Each is a complete set of actions after which the request passes.
    pub remedies: Vec<Remedy>,
}

/// One thing that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Finding {
    /// Position in the request's list of commands.
    pub command: u16,
    /// Stable; never changes meaning.
    pub code: &'static str,
    /// The gate or cap of the policy; absent for what the ledger itself demands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// In plain words, for the member.
    pub message: String,
    /// The first instant at which this alone no longer stands in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frees_at: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap: Option<CapFinding>,
}

/// What a cap counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct CapFinding {
    /// `active_licenses`, `devices_holding`, `distinct_titles`, `devices_registered`, or kinds of
    /// events joined by `_and_`: `acquisitions`, `renewals`, `first_plays`, `plays`,
    /// `device_registrations`, `device_swaps`, `device_removals`.
    pub counts: String,
    /// What splits the count, beside the member.
    pub per: Vec<&'static str>,
    pub limit: u32,
    /// How much of the limit is by exceptions.
    pub raised: u32,
    /// As counted before the command.
    pub used: u32,
    /// Absent: what is true now, or ever was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Of a cap per tag, the tag that stands in the way longest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<TagName>,
    /// What used the cap up, oldest first.
    pub contributors: Vec<Contributor>,
}

/// The half-open stretch of time that was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Window {
    pub from: Instant,
    pub to: Instant,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Contributor {
    pub at: Instant,
    /// Absent of a device that came or went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<License>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Title>,
    pub device: Device,
    /// When it stops counting; absent: not by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frees_at: Option<Instant>,
    /// Not recorded: this earlier command of the same list would add it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_list: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Remedy {
    pub message: String,
    pub actions: Vec<Action>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Action {
    Release { license: License, device: Device, title: Title },
    RemoveDevice { device: Device },
}

/// How a cap stands for a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct CapState {
    pub rule: Rule,
    /// What is left, in plain words, for the member: `1 more download before 3 March.`
    pub message: String,
    pub counts: String,
    pub per: Vec<&'static str>,
    pub limit: u32,
    /// How much of the limit is by exceptions.
    pub raised: u32,
    pub used: u32,
    pub remaining: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// When the next unit frees, if any is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frees_at: Option<Instant>,
    /// So little is left that the member should hear of it.
    pub warns: bool,
    /// Of a cap per tag, the tag of which the least is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<TagName>,
}

impl Refusal {
    pub(crate) fn new(refused: &Refused, at: Timestamp, names: Names<'_>) -> Self {
        Self {
            at: at.into(),
            policy: (&refused.policy).into(),
            retry_at: refused.retry_at.map(Instant),
            findings: refused
                .findings
                .iter()
                .map(|finding| Finding::new(finding, texts::finding(finding, refused, names)))
                .collect(),
            remedies: refused.remedies.iter().map(|remedy| Remedy::new(remedy, names)).collect(),
        }
    }
}

impl Finding {
    fn new(finding: &DomainFinding, message: String) -> Self {
        let DomainFinding { command, code, rule, cap, frees_at } = finding;
        Self {
            command: *command,
            code: code.name(),
            rule: rule.as_ref().map(Rule::from),
            message,
            frees_at: frees_at.map(Instant),
            cap: cap.as_ref().map(CapFinding::new),
        }
    }
}

impl CapFinding {
    fn new(cap: &DomainCap) -> Self {
        let DomainCap { counts, per, tag, limit, raised, used, window, contributors } = cap;
        Self {
            counts: counts.name(),
            per: scope(per),
            limit: *limit,
            raised: *raised,
            used: *used,
            window: self::window(*window),
            tag: tag.as_ref().map(TagName::from),
            contributors: contributors.iter().map(Contributor::new).collect(),
        }
    }
}

impl Contributor {
    fn new(contributor: &DomainContributor) -> Self {
        let DomainContributor { at, license, title, device, frees_at, in_list } = contributor;
        Self {
            at: (*at).into(),
            license: license.as_ref().map(License::from),
            title: title.as_ref().map(Title::from),
            device: device.into(),
            frees_at: frees_at.map(Instant),
            in_list: *in_list,
        }
    }
}

impl Remedy {
    fn new(remedy: &DomainRemedy, names: Names<'_>) -> Self {
        let action = |action: &RemedyAction| match action {
            RemedyAction::Release { license, device, title } => Action::Release {
                license: license.into(),
                device: device.into(),
                title: title.into(),
            },
            RemedyAction::RemoveDevice { device } => Action::RemoveDevice { device: device.into() },
        };
        Self {
            message: texts::remedy(remedy, names),
            actions: remedy.actions.iter().map(action).collect(),
        }
    }
}

impl CapState {
    pub(crate) fn new(state: &DomainCapState, message: String) -> Self {
        let DomainCapState { rule, counts, per, tag, limit, raised, used, window, frees_at, warns } =
            state;
        Self {
            rule: rule.into(),
            message,
            counts: counts.name(),
            per: scope(per),
            limit: *limit,
            raised: *raised,
            used: *used,
            remaining: state.left(),
            window: self::window(*window),
            frees_at: frees_at.map(Instant),
            warns: *warns,
            tag: tag.as_ref().map(TagName::from),
        }
    }
}

fn scope(per: &[ScopeKey]) -> Vec<&'static str> {
    per.iter().map(|key| key.name()).collect()
}

fn window(window: Option<(Timestamp, Timestamp)>) -> Option<Window> {
    window.map(|(from, to)| Window { from: from.into(), to: to.into() })
}
