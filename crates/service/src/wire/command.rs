//! What a customer's service asks for a member, and what it is answered.

use std::sync::Arc;

use domain::{MemberFacts as DomainMemberFacts, TitleFacts as DomainTitleFacts};
use drm::jwk::Jwk;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::wire::device::{Class, Holding};
use crate::wire::membership::{
    ExceptionEndedAnswer, ExceptionGrantedAnswer, Leaving, RevokedAnswer, Target,
};
use crate::wire::refusal::CapState;
use crate::wire::scalar::{
    AccountName, Device, Exception, Instant, Key, Level, License, Partner, PlanName, Profile, Rule,
    Series, TagName, TerritoryName, Title,
};

/// Decided together: each as if those before it had happened, and all of them or none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommandsBody {
    #[serde(default)]
    pub facts: MemberFacts,
    #[schema(min_items = 1, max_items = 50)]
    pub commands: Vec<Command>,
}

/// What is known of the member and of who asks. A fact that is absent is absent.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MemberFacts {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub territory: Option<TerritoryName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_level: Option<Level>,
    /// What kind of account it is, by the customer's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountName>,
    /// The highest maturity rating that the profile may see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maturity_limit: Option<u16>,
    /// When the membership began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member_since: Option<Instant>,
    /// How many streams run beside the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent_streams: Option<u32>,
    /// When the device last was with another member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elsewhere_at: Option<Instant>,
}

impl From<MemberFacts> for DomainMemberFacts {
    fn from(facts: MemberFacts) -> Self {
        let MemberFacts {
            profile,
            plan,
            territory,
            security_level,
            account,
            maturity_limit,
            member_since,
            concurrent_streams,
            elsewhere_at,
        } = facts;
        Self {
            profile: profile.map(|id| id.0),
            plan: plan.map(|id| id.0),
            territory: territory.map(|id| id.0),
            security_level: security_level.map(|id| id.0),
            account: account.map(|id| id.0),
            maturity_limit,
            member_since: member_since.map(|at| at.0),
            concurrent_streams,
            elsewhere_at: elsewhere_at.map(|at| at.0),
        }
    }
}

impl From<&DomainMemberFacts> for MemberFacts {
    fn from(facts: &DomainMemberFacts) -> Self {
        let DomainMemberFacts {
            profile,
            plan,
            territory,
            security_level,
            account,
            maturity_limit,
            member_since,
            concurrent_streams,
            elsewhere_at,
        } = facts;
        Self {
            profile: profile.as_ref().map(Profile::from),
            plan: plan.as_ref().map(PlanName::from),
            territory: territory.as_ref().map(TerritoryName::from),
            security_level: security_level.as_ref().map(Level::from),
            account: account.as_ref().map(AccountName::from),
            maturity_limit: *maturity_limit,
            member_since: member_since.map(Instant),
            concurrent_streams: *concurrent_streams,
            elsewhere_at: elsewhere_at.map(Instant),
        }
    }
}

impl Command {
    /// A renewal names a license; which title that is for, the ledger knows.
    pub(crate) fn leaves_title_open(&self) -> bool {
        matches!(self, Self::Renew { title_facts: None, .. })
    }
}

/// What is known of a title for the territory of the request.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TitleFacts {
    pub partner: Partner,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<Series>,
    #[serde(default)]
    pub tags: Vec<TagName>,
    /// On the scale of the profiles' limits: an age, for instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maturity_rating: Option<u16>,
    pub downloadable: bool,
    /// Whether the title is offered at all in the territory of the request.
    #[serde(default = "yes")]
    pub offered: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_from: Option<Instant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_until: Option<Instant>,
}

fn yes() -> bool {
    true
}

impl From<TitleFacts> for DomainTitleFacts {
    fn from(facts: TitleFacts) -> Self {
        Self {
            partner: facts.partner.0,
            series: facts.series.map(|id| id.0),
            tags: facts.tags.into_iter().map(|tag| tag.0).collect::<Arc<[_]>>(),
            maturity_rating: facts.maturity_rating,
            downloadable: facts.downloadable,
            offered: facts.offered,
            available_from: facts.available_from.map(|at| at.0),
            available_until: facts.available_until.map(|at| at.0),
        }
    }
}

impl From<&DomainTitleFacts> for TitleFacts {
    fn from(facts: &DomainTitleFacts) -> Self {
        Self {
            partner: (&facts.partner).into(),
            series: facts.series.as_ref().map(Series::from),
            tags: facts.tags.iter().map(TagName::from).collect(),
            maturity_rating: facts.maturity_rating,
            downloadable: facts.downloadable,
            offered: facts.offered,
            available_from: facts.available_from.map(Instant),
            available_until: facts.available_until.map(Instant),
        }
    }
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Command {
    Acquire {
        device: Device,
        title: Title,
        /// Instead of the catalogue's.
        title_facts: Option<TitleFacts>,
    },
    Renew {
        device: Device,
        license: License,
        /// The term that the caller knows.
        term: u32,
        /// The app renews by itself: nobody asked.
        #[serde(default)]
        automatic: bool,
        /// Instead of the catalogue's.
        title_facts: Option<TitleFacts>,
    },
    Release {
        license: License,
        /// The device that releases; absent: the service does.
        device: Option<Device>,
    },
    RegisterDevice {
        device: Device,
        name: String,
        class: Class,
        /// The public key, or else its thumbprint.
        #[schema(value_type = Option<Object>)]
        jwk: Option<Jwk>,
        /// RFC 7638, base64url.
        key_thumbprint: Option<Key>,
    },
    RemoveDevice {
        device: Device,
    },
    CheckIn {
        device: Device,
        holdings: Vec<Holding>,
    },
    /// The plan or territory is now what `facts` say. Devices that the policy does not keep get
    /// notice.
    ChangeMember,
    /// Nothing is acquired or renewed until the membership resumes.
    LapseMembership,
    /// After a lapse, or after the member was revoked.
    ResumeMembership,
    Revoke {
        target: Target,
        /// Who did it; absent: the service.
        actor: Option<String>,
        reason: String,
    },
    /// Closes every license of the title.
    WithdrawTitle {
        title: Title,
    },
    /// Allows more than a cap, or past a gate.
    GrantException {
        rule: Rule,
        /// By how much a limit is raised; 1 when absent.
        #[schema(minimum = 1)]
        amount: Option<u32>,
        /// It holds before this.
        until: Instant,
        actor: Option<String>,
        reason: String,
    },
    EndException {
        exception: Exception,
        actor: Option<String>,
        reason: String,
    },
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CommandsAnswer {
    pub at: Instant,
    /// This answers a retry: decided before, counted once.
    pub repeated: bool,
    /// One for each command, in their order.
    pub outcomes: Vec<Outcome>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Outcome {
    Acquire(HeldOutcome),
    Renew(HeldOutcome),
    /// `already`: it was closed before, or never known here.
    Release {
        license: License,
        already: bool,
    },
    /// `already`: the same key was registered, and nothing changed.
    RegisterDevice {
        device: Device,
        already: bool,
        /// What is left of each cap.
        caps: Vec<CapState>,
    },
    RemoveDevice {
        device: Device,
        closed: Vec<License>,
        /// What is left of each cap.
        caps: Vec<CapState>,
    },
    CheckIn(crate::wire::device::CheckInAnswer),
    ChangeMember {
        /// The devices that have notice now.
        leaving: Vec<Leaving>,
    },
    /// `already`: nothing changed.
    LapseMembership {
        already: bool,
    },
    /// `already`: nothing changed.
    ResumeMembership {
        already: bool,
    },
    Revoke(RevokedAnswer),
    WithdrawTitle {
        closed: Vec<License>,
    },
    GrantException(ExceptionGrantedAnswer),
    EndException(ExceptionEndedAnswer),
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HeldOutcome {
    pub license: License,
    pub term: u32,
    /// `acquired`, `reissued` or `renewed`.
    pub outcome: &'static str,
    /// What is left of each cap, now that the whole list is counted.
    pub caps: Vec<CapState>,
    /// Signed (compact JWS); only while the license is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// For the DRM endpoint; only while the license is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
}
