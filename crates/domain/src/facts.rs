//! What a decision is told by trusted sources: the token, a service, the catalogue.
//! A fact that is absent is absent; nothing is defaulted.

use std::sync::Arc;

use crate::ids::{Account, PartnerId, Plan, ProfileId, SecurityLevel, SeriesId, Tag, Territory};
use crate::time::Timestamp;

/// What kind of device holds a license.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceClass {
    Phone,
    Tablet,
    Tv,
    Desktop,
    Web,
}

impl DeviceClass {
    pub const ALL: [Self; 5] = [Self::Phone, Self::Tablet, Self::Tv, Self::Desktop, Self::Web];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::Tablet => "tablet",
            Self::Tv => "tv",
            Self::Desktop => "desktop",
            Self::Web => "web",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// What is known of the member and of who asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemberFacts {
    pub profile: Option<ProfileId>,
    pub plan: Option<Plan>,
    pub territory: Option<Territory>,
    pub security_level: Option<SecurityLevel>,
    /// What kind of account asks, by the customer's word (`owner`, `extra`).
    pub account: Option<Account>,
    /// The highest maturity rating that the profile may see.
    pub maturity_limit: Option<u16>,
    /// When the membership began: billing periods turn on its day.
    pub member_since: Option<Timestamp>,
    /// How many streams run beside the request: counted elsewhere, and never from downloads.
    pub concurrent_streams: Option<u32>,
    /// When the device last was with another member, which no member's ledger knows.
    pub elsewhere_at: Option<Timestamp>,
}

/// What the catalogue says of a title for the territory of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TitleFacts {
    pub partner: PartnerId,
    pub series: Option<SeriesId>,
    pub tags: Arc<[Tag]>,
    /// The higher, the less it is for children: an age, or any scale of the customer's.
    pub maturity_rating: Option<u16>,
    pub downloadable: bool,
    /// Whether the title is offered at all in the territory of the request.
    pub offered: bool,
    /// `[available_from, available_until)`; open where absent.
    pub available_from: Option<Timestamp>,
    pub available_until: Option<Timestamp>,
}

/// A fact that may be absent and that a rule can go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fact {
    Profile,
    Plan,
    Territory,
    SecurityLevel,
    Account,
    MemberSince,
    MaturityLimit,
    MaturityRating,
    ConcurrentStreams,
    ElsewhereAt,
}

impl Fact {
    pub const ALL: [Self; 10] = [
        Self::Profile,
        Self::Plan,
        Self::Territory,
        Self::SecurityLevel,
        Self::Account,
        Self::MemberSince,
        Self::MaturityLimit,
        Self::MaturityRating,
        Self::ConcurrentStreams,
        Self::ElsewhereAt,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Plan => "plan",
            Self::Territory => "territory",
            Self::SecurityLevel => "security_level",
            Self::Account => "account",
            Self::MemberSince => "member_since",
            Self::MaturityLimit => "maturity_limit",
            Self::MaturityRating => "maturity_rating",
            Self::ConcurrentStreams => "concurrent_streams",
            Self::ElsewhereAt => "elsewhere_at",
        }
    }

    pub fn is_known(self, member: &MemberFacts, title: Option<&TitleFacts>) -> bool {
        match self {
            Self::Profile => member.profile.is_some(),
            Self::Plan => member.plan.is_some(),
            Self::Territory => member.territory.is_some(),
            Self::SecurityLevel => member.security_level.is_some(),
            Self::Account => member.account.is_some(),
            Self::MemberSince => member.member_since.is_some(),
            Self::MaturityLimit => member.maturity_limit.is_some(),
            Self::MaturityRating => title.is_some_and(|title| title.maturity_rating.is_some()),
            Self::ConcurrentStreams => member.concurrent_streams.is_some(),
            Self::ElsewhereAt => member.elsewhere_at.is_some(),
        }
    }
}

/// Every fact that a policy could ask about, frozen into the event that was decided with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub member: MemberFacts,
    pub class: DeviceClass,
    pub title: TitleFacts,
}

impl Facts {
    pub fn new(member: &MemberFacts, class: DeviceClass, title: &TitleFacts) -> Self {
        Self { member: member.clone(), class, title: title.clone() }
    }
}
