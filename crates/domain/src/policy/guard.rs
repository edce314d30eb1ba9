//! A condition over the facts of a request, beyond what a list can say. It is told apart from
//! how it is written, and goes by facts alone: neither by counts nor by the time.

use std::cmp::Ordering;

use crate::facts::{DeviceClass, Fact, MemberFacts, TitleFacts};
use crate::ids::TitleId;
use crate::time::Timestamp;

/// What a rule is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub member: &'a MemberFacts,
    pub class: DeviceClass,
    /// `None` where a device comes or goes.
    pub title: Option<(&'a TitleId, &'a TitleFacts)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Compare {
        left: Operand,
        how: Comparison,
        right: Operand,
    },
    /// Is one of these.
    In(Operand, Vec<Operand>),
    /// Is one of the title's tags.
    InTags(Operand),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    Fact(GuardFact),
    Constant(Value),
}

/// What a guard can compare. Values of two kinds are never compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    Text(String),
    Number(i64),
    Time(Timestamp),
}

/// A fact as a guard names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GuardFact {
    Plan,
    Territory,
    Profile,
    Account,
    MemberSince,
    MaturityLimit,
    ConcurrentStreams,
    DeviceClass,
    SecurityLevel,
    ElsewhereAt,
    Title,
    Partner,
    /// Empty for a title in no series.
    Series,
    MaturityRating,
    /// The first instant that there is, where it is open.
    AvailableFrom,
    /// The last one, where it is open.
    AvailableUntil,
}

/// A value where it lies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Seen<'a> {
    Text(&'a str),
    Number(i64),
    Time(Timestamp),
}

impl Guard {
    /// Whether it holds; `None` when that hangs on a fact that is absent.
    pub fn holds(&self, asked: &Asked<'_>) -> Option<bool> {
        match self {
            Self::All(all) => settled(all.iter().map(|one| one.holds(asked)), false),
            Self::Any(any) => settled(any.iter().map(|one| one.holds(asked)), true),
            Self::Not(not) => not.holds(asked).map(|holds| !holds),
            Self::Compare { left, how, right } => {
                Some(how.holds(left.seen(asked)?.cmp(&right.seen(asked)?)))
            }
            Self::In(item, list) => {
                let item = item.seen(asked)?;
                settled(list.iter().map(|one| Some(one.seen(asked)? == item)), true)
            }
            Self::InTags(item) => {
                let (_, title) = asked.title?;
                let Seen::Text(item) = item.seen(asked)? else { return Some(false) };
                Some(title.tags.iter().any(|tag| tag.as_str() == item))
            }
        }
    }

    /// The facts that it goes by, each as often as it stands there.
    pub fn operands(&self) -> Vec<GuardFact> {
        let of = |operand: &Operand| match operand {
            Operand::Fact(fact) => Some(*fact),
            Operand::Constant(_) => None,
        };
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::operands).collect(),
            Self::Not(not) => not.operands(),
            Self::Compare { left, right, .. } => [left, right].into_iter().filter_map(of).collect(),
            Self::In(item, list) => [item].into_iter().chain(list).filter_map(of).collect(),
            Self::InTags(item) => of(item).into_iter().collect(),
        }
    }

    /// Whether it asks anything of the title, where there may be none.
    pub fn is_of_titles(&self) -> bool {
        let tags = match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::is_of_titles),
            Self::Not(not) => not.is_of_titles(),
            Self::InTags(_) => true,
            Self::Compare { .. } | Self::In(..) => false,
        };
        tags || self.operands().into_iter().any(GuardFact::is_of_titles)
    }
}

/// What several together come to: one that says `decides` does so whatever the others say, and
/// one that is not known leaves open what is not decided.
fn settled(parts: impl Iterator<Item = Option<bool>>, decides: bool) -> Option<bool> {
    let mut known = true;
    for part in parts {
        match part {
            Some(part) if part == decides => return Some(decides),
            Some(_) => {}
            None => known = false,
        }
    }
    known.then_some(!decides)
}

impl Comparison {
    pub const ALL: [Self; 6] = [
        Self::Equal,
        Self::NotEqual,
        Self::Less,
        Self::LessOrEqual,
        Self::Greater,
        Self::GreaterOrEqual,
    ];

    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl Operand {
    fn seen<'a>(&'a self, asked: &Asked<'a>) -> Option<Seen<'a>> {
        match self {
            Self::Fact(fact) => fact.seen(asked),
            Self::Constant(Value::Text(text)) => Some(Seen::Text(text)),
            Self::Constant(Value::Number(number)) => Some(Seen::Number(*number)),
            Self::Constant(Value::Time(at)) => Some(Seen::Time(*at)),
        }
    }
}

impl GuardFact {
    pub const ALL: [Self; 16] = [
        Self::Plan,
        Self::Territory,
        Self::Profile,
        Self::Account,
        Self::MemberSince,
        Self::MaturityLimit,
        Self::ConcurrentStreams,
        Self::DeviceClass,
        Self::SecurityLevel,
        Self::ElsewhereAt,
        Self::Title,
        Self::Partner,
        Self::Series,
        Self::MaturityRating,
        Self::AvailableFrom,
        Self::AvailableUntil,
    ];

    /// As which fact it may be absent.
    pub fn may_be_absent(self) -> Option<Fact> {
        Some(match self {
            Self::Plan => Fact::Plan,
            Self::Territory => Fact::Territory,
            Self::Profile => Fact::Profile,
            Self::Account => Fact::Account,
            Self::MemberSince => Fact::MemberSince,
            Self::MaturityLimit => Fact::MaturityLimit,
            Self::ConcurrentStreams => Fact::ConcurrentStreams,
            Self::SecurityLevel => Fact::SecurityLevel,
            Self::ElsewhereAt => Fact::ElsewhereAt,
            Self::MaturityRating => Fact::MaturityRating,
            Self::DeviceClass
            | Self::Title
            | Self::Partner
            | Self::Series
            | Self::AvailableFrom
            | Self::AvailableUntil => return None,
        })
    }

    pub fn is_of_titles(self) -> bool {
        match self {
            Self::Title
            | Self::Partner
            | Self::Series
            | Self::MaturityRating
            | Self::AvailableFrom
            | Self::AvailableUntil => true,
            Self::Plan
            | Self::Territory
            | Self::Profile
            | Self::Account
            | Self::MemberSince
            | Self::MaturityLimit
            | Self::ConcurrentStreams
            | Self::DeviceClass
            | Self::SecurityLevel
            | Self::ElsewhereAt => false,
        }
    }

    fn seen<'a>(self, asked: &Asked<'a>) -> Option<Seen<'a>> {
        let Asked { member, class, title } = *asked;
        let of_title = title.map(|(_, facts)| facts);
        Some(match self {
            Self::Plan => Seen::Text(member.plan.as_ref()?.as_str()),
            Self::Territory => Seen::Text(member.territory.as_ref()?.as_str()),
            Self::Profile => Seen::Text(member.profile.as_ref()?.as_str()),
            Self::Account => Seen::Text(member.account.as_ref()?.as_str()),
            Self::MemberSince => Seen::Time(member.member_since?),
            Self::MaturityLimit => Seen::Number(member.maturity_limit?.into()),
            Self::ConcurrentStreams => Seen::Number(member.concurrent_streams?.into()),
            Self::DeviceClass => Seen::Text(class.name()),
            Self::ElsewhereAt => Seen::Time(member.elsewhere_at?),
            Self::SecurityLevel => Seen::Text(member.security_level.as_ref()?.as_str()),
            Self::Title => Seen::Text(title?.0.as_str()),
            Self::Partner => Seen::Text(of_title?.partner.as_str()),
            Self::Series => {
                Seen::Text(of_title?.series.as_ref().map_or("", |series| series.as_str()))
            }
            Self::MaturityRating => Seen::Number(of_title?.maturity_rating?.into()),
            Self::AvailableFrom => Seen::Time(of_title?.available_from.unwrap_or(Timestamp::MIN)),
            Self::AvailableUntil => Seen::Time(of_title?.available_until.unwrap_or(Timestamp::MAX)),
        })
    }
}

#[cfg(test)]
mod tests;
