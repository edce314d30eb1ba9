//! What a draft policy would have answered differently, for people and their programs.

use domain::member::what_if::Compared;
use domain::{PartnerId, TitleId};
use engine::what_if::{
    Difference as Found, Differing as FoundAll, Kind, Reason as Why, Report, Verdict as Answered,
    WhatIf, most,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::wire::scalar::{Id, Instant, Member, Partner, Policy, Rule, Title};

/// The most titles and partners told of each kind: those with the most requests.
const MOST_MAX: usize = 100;

/// What no history can tell; part of every report.
const CANNOT_KNOW: [&str; 3] = [
    "Requests that were never made are not in it: a button may have been hidden, or a member may \
     have given up after a refusal.",
    "A refusal that was told again within ten minutes was recorded once.",
    "A download that would have been accepted was never there: it is taken to be kept until its \
     clocks run out, and never played.",
];

#[derive(Debug, Serialize, ToSchema)]
pub struct WhatIfReport {
    /// The version of the draft.
    draft: Policy,
    since: Instant,
    until: Instant,
    #[serde(skip_serializing_if = "Option::is_none")]
    partner: Option<Partner>,
    /// All that were looked at, but erased ones.
    members: u64,
    events: u64,
    /// Requests that a policy decides, asked again of the draft.
    requests: u64,
    /// Whether everything would have been answered as it was.
    unchanged: bool,
    /// Accepted, and would be refused.
    refused_instead: Differing,
    /// Refused, and would be accepted.
    accepted_instead: Differing,
    /// Refused both times, for other reasons.
    refused_otherwise: Differing,
    /// Accepted both times, with other clocks.
    other_terms: Differing,
    /// Would not have been asked, for want of the license they are about or the device that asks.
    moot: Differing,
    /// What the report cannot say.
    history_cannot_know: [&'static str; 3],
}

#[derive(Debug, Serialize, ToSchema)]
struct Differing {
    requests: u64,
    members: u64,
    /// How many different titles, and the hundred with the most requests.
    titles: u64,
    most_titles: Vec<TitleRequests>,
    partners: u64,
    most_partners: Vec<PartnerRequests>,
    /// What refuses them: the draft, or, where the draft accepts, what refused then.
    reasons: Vec<ReasonRequests>,
    examples: Vec<Difference>,
}

#[derive(Debug, Serialize, ToSchema)]
struct TitleRequests {
    title: Title,
    requests: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct PartnerRequests {
    partner: Partner,
    requests: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct ReasonRequests {
    #[serde(flatten)]
    reason: Reason,
    requests: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct Difference {
    member: Member,
    at: Instant,
    /// What the commands of the request ask for.
    #[schema(value_type = Vec<String>)]
    asked_for: Vec<&'static str>,
    titles: Vec<Title>,
    was: Verdict,
    would_be: Verdict,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "answer", rename_all = "snake_case")]
enum Verdict {
    Accepted,
    Refused { reasons: Vec<Reason> },
    Moot,
}

#[derive(Debug, Serialize, ToSchema)]
struct Reason {
    #[schema(value_type = String)]
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Rule>,
}

impl WhatIfReport {
    pub fn new(what_if: &WhatIf, report: &Report) -> Self {
        let WhatIf { draft, since, until, partner, threads: _ } = what_if;
        Self {
            draft: Id::from(&draft.version),
            since: Instant(*since),
            until: Instant(*until),
            partner: partner.as_ref().map(Id::from),
            members: report.members,
            events: report.events,
            requests: report.requests,
            unchanged: report.is_unchanged(),
            refused_instead: Differing::new(&report.refused_instead),
            accepted_instead: Differing::new(&report.accepted_instead),
            refused_otherwise: Differing::new(&report.refused_otherwise),
            other_terms: Differing::new(&report.other_terms),
            moot: Differing::new(&report.moot),
            history_cannot_know: CANNOT_KNOW,
        }
    }

    pub fn cannot_know() -> &'static [&'static str] {
        &CANNOT_KNOW
    }
}

impl Differing {
    fn new(found: &FoundAll) -> Self {
        let FoundAll { requests, members, titles, partners, reasons, examples } = found;
        let title =
            |(title, requests): (&TitleId, u64)| TitleRequests { title: Id::from(title), requests };
        let partner = |(partner, requests): (&PartnerId, u64)| PartnerRequests {
            partner: Id::from(partner),
            requests,
        };
        let reason =
            |(why, requests): (&Why, u64)| ReasonRequests { reason: Reason::new(why), requests };
        Self {
            requests: *requests,
            members: *members,
            titles: titles.len() as u64,
            most_titles: most(titles).into_iter().take(MOST_MAX).map(title).collect(),
            partners: partners.len() as u64,
            most_partners: most(partners).into_iter().take(MOST_MAX).map(partner).collect(),
            reasons: most(reasons).into_iter().take(MOST_MAX).map(reason).collect(),
            examples: examples.iter().map(Difference::new).collect(),
        }
    }
}

impl Difference {
    fn new(Found { member, compared }: &Found) -> Self {
        let Compared { at, commands, titles, was, would_be, other_terms: _ } = compared;
        Self {
            member: Id::from(member),
            at: Instant(*at),
            asked_for: commands.iter().map(|command| command.name()).collect(),
            titles: titles.iter().map(|(title, _)| Id::from(title)).collect(),
            was: Verdict::new(was),
            would_be: Verdict::new(would_be),
        }
    }
}

impl Verdict {
    fn new(answered: &Answered) -> Self {
        match answered {
            Answered::Accepted => Self::Accepted,
            Answered::Refused(reasons) => {
                Self::Refused { reasons: reasons.iter().map(Reason::new).collect() }
            }
            Answered::Moot => Self::Moot,
        }
    }
}

impl Reason {
    fn new(Why { code, rule }: &Why) -> Self {
        Self { code: code.name(), rule: rule.as_ref().map(Id::from) }
    }
}

/// The columns of [`csv_row`].
pub const CSV_HEADER: [&str; 8] =
    ["difference", "member", "at", "asked_for", "titles", "partners", "was", "would_be"];

/// One difference; what is several in one column is parted by blanks, which no id has.
pub fn csv_row(kind: Kind, Found { member, compared }: &Found) -> [String; 8] {
    let Compared { at, commands, titles, was, would_be, other_terms: _ } = compared;
    let asked_for: Vec<&str> = commands.iter().map(|command| command.name()).collect();
    let of =
        |id: fn(&(TitleId, PartnerId)) -> &str| titles.iter().map(id).collect::<Vec<_>>().join(" ");
    [
        kind.name().to_owned(),
        member.to_string(),
        at.to_string(),
        asked_for.join(" "),
        of(|(title, _)| title.as_str()),
        of(|(_, partner)| partner.as_str()),
        in_words(was),
        in_words(would_be),
    ]
}

/// `accepted`, `moot`, or what refused it: `cap_reached:downloads-per-year`.
pub fn in_words(answered: &Answered) -> String {
    match answered {
        Answered::Accepted => "accepted".to_owned(),
        Answered::Moot => "moot".to_owned(),
        Answered::Refused(reasons) => {
            let word = |Why { code, rule }: &Why| match rule {
                Some(rule) => format!("{}:{rule}", code.name()),
                None => code.name().to_owned(),
            };
            reasons.iter().map(word).collect::<Vec<_>>().join(" ")
        }
    }
}
