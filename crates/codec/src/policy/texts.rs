//! What members are told in the policy's own words: by language, and by what there is to tell.
//!
//! Texts decide nothing, and the domain does not know them. Whoever tells brings the values that a
//! text names; a text that names a value which is not there is passed over.

mod language;
mod read;
mod style;
mod template;

use std::collections::BTreeMap;

use domain::member::Code;
use domain::policy::{Policy, Rules, Window};
use domain::{RuleId, Timestamp};
use jiff::tz::TimeZone;

pub use language::Language;
pub(super) use read::read;
use style::Style;
pub use template::Parameter;
use template::Template;

/// The texts of a policy; none where it is silent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Texts {
    languages: BTreeMap<Language, Sentences>,
    /// Of caps whose windows go by a calendar.
    zones: BTreeMap<RuleId, TimeZone>,
}

/// The texts of one language. Of several the first that can be said is said.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sentences {
    /// Of instants whose cap names none.
    zone: TimeZone,
    topics: BTreeMap<Topic, Vec<Template>>,
    rules: BTreeMap<RuleId, OfRule>,
}

/// What is said of a rule instead of what is said of its code.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct OfRule {
    refused: Vec<Template>,
    left: Vec<Template>,
}

/// What there is to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    Refused(Code),
    /// How much is left of a cap, along with a yes.
    CapLeft,
    RemedyRelease,
    RemedyRemoveDevice,
    LicenseReady,
    LicenseActive,
    LicenseReturned,
    LicenseRevoked,
    LicenseCancelled,
    LicenseExpired,
}

/// What stands in the place of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    Text(&'a str),
    Number(u32),
    Instant(Timestamp),
}

impl Topic {
    /// All but the codes of refusals.
    const OTHERS: [Self; 9] = [
        Self::CapLeft,
        Self::RemedyRelease,
        Self::RemedyRemoveDevice,
        Self::LicenseReady,
        Self::LicenseActive,
        Self::LicenseReturned,
        Self::LicenseRevoked,
        Self::LicenseCancelled,
        Self::LicenseExpired,
    ];

    fn all() -> impl Iterator<Item = Self> {
        Code::ALL.into_iter().map(Self::Refused).chain(Self::OTHERS)
    }

    /// As the policy writes it.
    const fn name(self) -> &'static str {
        match self {
            Self::Refused(code) => code.name(),
            Self::CapLeft => "cap_left",
            Self::RemedyRelease => "remedy_release",
            Self::RemedyRemoveDevice => "remedy_remove_device",
            Self::LicenseReady => "license_ready",
            Self::LicenseActive => "license_active",
            Self::LicenseReturned => "license_returned",
            Self::LicenseRevoked => "license_revoked",
            Self::LicenseCancelled => "license_cancelled",
            Self::LicenseExpired => "license_expired",
        }
    }

    /// What its texts may name: first what is always there, then what may not be.
    const fn parameters(self) -> (&'static [Parameter], &'static [Parameter]) {
        use Parameter::{
            Device, EndsAt, FreesAt, Left, Limit, More, Plan, RetryAt, Tag, Territory, Title, Used,
        };
        match self {
            Self::Refused(Code::CapReached) => {
                (&[Limit, Used], &[Title, Device, Plan, Territory, Tag, FreesAt, RetryAt])
            }
            Self::Refused(_) => (&[], &[Title, Device, Plan, Territory, FreesAt, RetryAt]),
            Self::CapLeft => (&[Limit, Used, Left, Device], &[Title, Tag, FreesAt]),
            Self::RemedyRelease => (&[Title, Device], &[More]),
            Self::RemedyRemoveDevice => (&[Device], &[More]),
            Self::LicenseReady
            | Self::LicenseActive
            | Self::LicenseReturned
            | Self::LicenseRevoked
            | Self::LicenseCancelled
            | Self::LicenseExpired => (&[], &[EndsAt]),
        }
    }
}

impl Texts {
    pub fn is_empty(&self) -> bool {
        self.languages.is_empty()
    }

    /// In the first of these languages that has something to say about it, and which that is.
    pub fn say<'v>(
        &self,
        wanted: &[Language],
        topic: Topic,
        rule: Option<&RuleId>,
        value: impl Fn(Parameter) -> Option<Value<'v>>,
    ) -> Option<(String, Language)> {
        let of_cap = rule.and_then(|rule| self.zones.get(rule));
        wanted.iter().find_map(|language| {
            let sentences = self.languages.get(language)?;
            let zone = of_cap.unwrap_or(&sentences.zone);
            let style = Style::of(language, zone);
            let written = |parameter| Some(style.write(parameter, value(parameter)?));
            let said = sentences.of(topic, rule).find_map(|template| template.fill(written))?;
            Some((said, language.clone()))
        })
    }

    /// With the zones of a policy's caps. Where caps of one id disagree, none is known.
    pub(super) fn with_zones(mut self, policy: &Policy) -> Self {
        let Policy { default, partners, series, titles, .. } = policy;
        let levels =
            partners.values().chain(series.values()).chain(titles.values()).chain([default]);
        let mut zones: BTreeMap<&RuleId, Option<&str>> = BTreeMap::new();
        for cap in levels.flat_map(|Rules { caps, .. }| caps) {
            if let Window::Calendar(_, zone) | Window::Anniversary(_, _, zone) = &cap.window {
                let known = zones.entry(&cap.id).or_insert(Some(zone.name()));
                *known = known.filter(|known| *known == zone.name());
            }
        }
        let known = |(id, name): (&RuleId, Option<&str>)| Some((id.clone(), zone(name?)?));
        self.zones = zones.into_iter().filter_map(known).collect();
        self
    }
}

/// From the bundled data, as everywhere.
fn zone(name: &str) -> Option<TimeZone> {
    jiff::tz::TimeZoneDatabase::bundled().get(name).ok()
}

impl Sentences {
    /// What a rule says first, then what is said in general.
    fn of(&self, topic: Topic, rule: Option<&RuleId>) -> impl Iterator<Item = &Template> {
        let own = rule.and_then(|rule| self.rules.get(rule)).map(|of_rule| match topic {
            Topic::CapLeft => &of_rule.left,
            _ => &of_rule.refused,
        });
        own.into_iter().chain(self.topics.get(&topic)).flatten()
    }
}

#[cfg(test)]
mod tests;
