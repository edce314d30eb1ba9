//! The facts a decision was told, and the term it promised.

use domain::{
    Account, MemberFacts as DomainMember, PartnerId, Plan, ProfileId, SecurityLevel, SeriesId, Tag,
    Territory, TitleFacts as DomainTitle,
};
use minicbor::{CborLen, Decode, Encode};

use super::scalar::{At, Class, length, length_ms, list, nothing, optional};
use crate::event::DecodeError;

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(super) struct MemberFacts<'b> {
    #[b(0)]
    profile: Option<&'b str>,
    #[b(1)]
    plan: Option<&'b str>,
    #[b(2)]
    territory: Option<&'b str>,
    #[b(3)]
    security_level: Option<&'b str>,
    #[b(4)]
    account: Option<&'b str>,
    #[n(5)]
    maturity_limit: Option<u16>,
    #[n(6)]
    member_since: Option<i64>,
    #[n(7)]
    concurrent_streams: Option<u32>,
    #[n(8)]
    elsewhere_at: Option<i64>,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(super) struct TitleFacts<'b> {
    #[b(0)]
    partner: &'b str,
    #[b(1)]
    series: Option<&'b str>,
    #[b(2)]
    #[cbor(skip_if = "Vec::is_empty")]
    tags: Vec<&'b str>,
    #[n(3)]
    downloadable: bool,
    #[n(4)]
    offered: bool,
    #[n(5)]
    available_from: Option<i64>,
    #[n(6)]
    available_until: Option<i64>,
    #[n(7)]
    maturity_rating: Option<u16>,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) struct Facts<'b> {
    #[b(0)]
    profile: Option<&'b str>,
    #[b(1)]
    plan: Option<&'b str>,
    #[b(2)]
    territory: Option<&'b str>,
    #[b(3)]
    security_level: Option<&'b str>,
    #[n(4)]
    class: Class,
    #[b(5)]
    title: TitleFacts<'b>,
    #[b(6)]
    account: Option<&'b str>,
    #[n(7)]
    maturity_limit: Option<u16>,
    #[n(8)]
    member_since: Option<i64>,
    #[n(9)]
    concurrent_streams: Option<u32>,
    #[n(10)]
    elsewhere_at: Option<i64>,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) struct Term {
    #[n(0)]
    number: u32,
    #[n(1)]
    #[cbor(skip_if = "nothing")]
    started_at: i64,
    #[n(2)]
    start_by: Option<i64>,
    #[n(3)]
    finish_within: Option<u64>,
    #[n(4)]
    check_in_within: Option<u64>,
    #[n(5)]
    #[cbor(skip_if = "nothing")]
    grace: u64,
    #[n(6)]
    #[cbor(skip_if = "nothing")]
    running_play: u64,
    #[n(7)]
    not_before: Option<i64>,
    #[n(8)]
    hard_end: Option<i64>,
    #[n(9)]
    renew_before_end: Option<u64>,
    #[n(10)]
    renew_after_end: Option<u64>,
    #[n(11)]
    renewals_max: Option<u32>,
    #[n(12)]
    begun_at: Option<i64>,
    #[n(13)]
    #[cbor(skip_if = "nothing")]
    delete_at_end: bool,
}

impl<'b> MemberFacts<'b> {
    pub(super) fn of(facts: &'b DomainMember, at: At) -> Self {
        let DomainMember {
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
            profile: profile.as_ref().map(ProfileId::as_str),
            plan: plan.as_ref().map(Plan::as_str),
            territory: territory.as_ref().map(Territory::as_str),
            security_level: security_level.as_ref().map(SecurityLevel::as_str),
            account: account.as_ref().map(Account::as_str),
            maturity_limit: *maturity_limit,
            member_since: member_since.map(|since| at.to(since)),
            concurrent_streams: *concurrent_streams,
            elsewhere_at: elsewhere_at.map(|then| at.to(then)),
        }
    }

    pub(super) fn into_domain(self, at: At) -> Result<DomainMember, DecodeError> {
        let Self {
            profile,
            plan,
            territory,
            security_level,
            account,
            maturity_limit,
            member_since,
            concurrent_streams,
            elsewhere_at,
        } = self;
        Ok(DomainMember {
            profile: profile.map(ProfileId::new).transpose()?,
            plan: plan.map(Plan::new).transpose()?,
            territory: territory.map(Territory::new).transpose()?,
            security_level: security_level.map(SecurityLevel::new).transpose()?,
            account: account.map(Account::new).transpose()?,
            maturity_limit,
            member_since: optional(member_since, |since| at.instant(since))?,
            concurrent_streams,
            elsewhere_at: optional(elsewhere_at, |then| at.instant(then))?,
        })
    }
}

impl<'b> TitleFacts<'b> {
    pub(super) fn of(facts: &'b DomainTitle, at: At) -> Self {
        let DomainTitle {
            partner,
            series,
            tags,
            downloadable,
            offered,
            available_from,
            available_until,
            maturity_rating,
        } = facts;
        Self {
            partner: partner.as_str(),
            series: series.as_ref().map(SeriesId::as_str),
            tags: tags.iter().map(Tag::as_str).collect(),
            downloadable: *downloadable,
            offered: *offered,
            available_from: available_from.map(|from| at.to(from)),
            available_until: available_until.map(|until| at.to(until)),
            maturity_rating: *maturity_rating,
        }
    }

    pub(super) fn into_domain(self, at: At) -> Result<DomainTitle, DecodeError> {
        let Self {
            partner,
            series,
            tags,
            downloadable,
            offered,
            available_from,
            available_until,
            maturity_rating,
        } = self;
        Ok(DomainTitle {
            partner: PartnerId::new(partner)?,
            series: series.map(SeriesId::new).transpose()?,
            tags: list(tags, |tag| Ok(Tag::new(tag)?))?,
            downloadable,
            offered,
            available_from: optional(available_from, |from| at.instant(from))?,
            available_until: optional(available_until, |until| at.instant(until))?,
            maturity_rating,
        })
    }
}

impl<'b> Facts<'b> {
    pub(crate) fn of(facts: &'b domain::Facts, at: At) -> Self {
        let domain::Facts { member, class, title } = facts;
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
        } = MemberFacts::of(member, at);
        let (class, title) = ((*class).into(), TitleFacts::of(title, at));
        Self {
            profile,
            plan,
            territory,
            security_level,
            class,
            title,
            account,
            maturity_limit,
            member_since,
            concurrent_streams,
            elsewhere_at,
        }
    }

    pub(crate) fn into_domain(self, at: At) -> Result<domain::Facts, DecodeError> {
        let Self {
            profile,
            plan,
            territory,
            security_level,
            class,
            title,
            account,
            maturity_limit,
            member_since,
            concurrent_streams,
            elsewhere_at,
        } = self;
        let member = MemberFacts {
            profile,
            plan,
            territory,
            security_level,
            account,
            maturity_limit,
            member_since,
            concurrent_streams,
            elsewhere_at,
        };
        Ok(domain::Facts {
            member: member.into_domain(at)?,
            class: class.into(),
            title: title.into_domain(at)?,
        })
    }
}

impl Term {
    pub(crate) fn of(term: &domain::member::Term, at: At) -> Self {
        let domain::member::Term {
            number,
            started_at,
            start_by,
            finish_within,
            check_in_within,
            grace,
            running_play,
            not_before,
            hard_end,
            renew_before_end,
            renew_after_end,
            renewals_max,
            begun_at,
            delete_at_end,
        } = term;
        Self {
            number: *number,
            started_at: at.to(*started_at),
            start_by: start_by.map(|by| at.to(by)),
            finish_within: finish_within.map(length_ms),
            check_in_within: check_in_within.map(length_ms),
            grace: length_ms(*grace),
            running_play: length_ms(*running_play),
            not_before: not_before.map(|from| at.to(from)),
            hard_end: hard_end.map(|end| at.to(end)),
            renew_before_end: renew_before_end.map(length_ms),
            renew_after_end: renew_after_end.map(length_ms),
            renewals_max: *renewals_max,
            begun_at: begun_at.map(|begun_at| at.to(begun_at)),
            delete_at_end: *delete_at_end,
        }
    }

    pub(crate) fn into_domain(self, at: At) -> Result<domain::member::Term, DecodeError> {
        let Self {
            number,
            started_at,
            start_by,
            finish_within,
            check_in_within,
            grace,
            running_play,
            not_before,
            hard_end,
            renew_before_end,
            renew_after_end,
            renewals_max,
            begun_at,
            delete_at_end,
        } = self;
        Ok(domain::member::Term {
            number,
            started_at: at.instant(started_at)?,
            start_by: optional(start_by, |by| at.instant(by))?,
            finish_within: optional(finish_within, length)?,
            check_in_within: optional(check_in_within, length)?,
            grace: length(grace)?,
            running_play: length(running_play)?,
            not_before: optional(not_before, |from| at.instant(from))?,
            hard_end: optional(hard_end, |end| at.instant(end))?,
            renew_before_end: optional(renew_before_end, length)?,
            renew_after_end: optional(renew_after_end, length)?,
            renewals_max,
            begun_at: optional(begun_at, |begun_at| at.instant(begun_at))?,
            delete_at_end,
        })
    }
}
