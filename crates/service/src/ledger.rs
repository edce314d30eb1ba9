//! The door to the ledger: a request goes in with its facts, and comes out decided or as a
//! problem.

use domain::member::{Answer, Command, Outcome, standing};
use domain::{
    Decision, IdempotencyKey, Member, MemberFacts, MemberId, Request, Territory, Timestamp,
    TitleFacts, TitleId,
};
use engine::Decided;
use playback::{Catalogue, Title, Unavailable};

use crate::problem::Problem;
use crate::state::AppState;
use crate::texts;
use crate::wire::refusal::{CapState, Refusal};
use crate::words::{Names, Subject};

/// How far a decision may lie ahead of the clock before that is reported. Requests of one member
/// overtake each other by less.
const CLOCK_BEHIND_MS_MAX: i64 = 1_000;

/// An accepted request.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) repeated: bool,
    pub(crate) decided: Decided,
}

impl Accepted {
    pub(crate) fn at(&self) -> Timestamp {
        self.decided.decision.at
    }

    pub(crate) fn member(&self) -> &Member {
        &self.decided.member
    }

    /// What is left of each cap after a command of the request.
    pub(crate) fn caps(
        &self,
        state: &AppState,
        facts: &MemberFacts,
        outcome: &Outcome,
    ) -> Vec<CapState> {
        let Decided { member, policy, .. } = &self.decided;
        let Some(subject) = subject(member, outcome) else { return Vec::new() };
        let at = self.at();
        let catalogue = state.catalogue.load();
        let names = Names { catalogue: &catalogue, member };
        let told = |cap| CapState::new(cap, texts::left(cap, subject, policy, at, names));
        standing(member, facts, outcome, policy, at).iter().map(told).collect()
    }

    /// Of a request with one command.
    pub(crate) fn outcome(&self) -> Result<&Outcome, Problem> {
        self.outcomes.first().ok_or_else(unexpected)
    }
}

/// What an outcome that adds to caps is about.
fn subject<'a>(member: &'a Member, outcome: &'a Outcome) -> Option<Subject<'a>> {
    match outcome {
        Outcome::Held { license, .. } => {
            let license = member.license(license)?;
            let title = Some((&license.title, &license.facts.title));
            Some(Subject { device: &license.device, title })
        }
        Outcome::DeviceRegistered { device, .. } | Outcome::DeviceRemoved { device, .. } => {
            Some(Subject { device, title: None })
        }
        _ => None,
    }
}

/// INVARIANT: there is one outcome for each command, of its kind.
pub(crate) fn unexpected() -> Problem {
    Problem::internal("the ledger's answer does not fit the command")
}

pub(crate) async fn decide(
    state: &AppState,
    member: &MemberId,
    facts: &MemberFacts,
    key: Option<IdempotencyKey>,
    commands: Vec<Command>,
) -> Result<Accepted, Problem> {
    let at = state.now();
    let idempotency = key.map(|key| engine::idempotency(key, &commands));
    let request = Request { at, idempotency, facts: facts.clone(), commands };
    let mut decided = state.engine.decide(member, request).await?;
    report_clock(state, at, &decided.decision);
    state.metrics.answer(&decided.decision.answer);
    let answered = std::mem::replace(&mut decided.decision.answer, Answer::KeyReused);
    match answered {
        Answer::Accepted { outcomes, repeated } => Ok(Accepted { outcomes, repeated, decided }),
        Answer::KeyReused => Err(Problem::idempotency_key_reused()),
        Answer::Refused(refused) => {
            let catalogue = state.catalogue.load();
            let names = Names { catalogue: &catalogue, member: &decided.member };
            let first = refused.findings.first().map(|finding| finding.code);
            Err(Problem::refused(Refusal::new(&refused, decided.decision.at, names), first))
        }
    }
}

/// A decision never goes back in time; when the wall clock did, somebody should know.
fn report_clock(state: &AppState, asked_at: Timestamp, decision: &Decision) {
    let behind_ms = decision.at.as_millis() - asked_at.as_millis();
    if behind_ms > CLOCK_BEHIND_MS_MAX {
        state.metrics.clock_behind();
        tracing::warn!(behind_ms, "the wall clock stands behind the member's last event");
    }
}

/// What the catalogue says of a title here and now.
pub(crate) fn title_facts(
    catalogue: &Catalogue,
    title: &TitleId,
    territory: Option<&Territory>,
    at: Timestamp,
) -> Option<TitleFacts> {
    let title = catalogue.title(title)?;
    let facts = TitleFacts {
        partner: title.partner.clone(),
        series: title.series.clone(),
        tags: title.tags.as_slice().into(),
        maturity_rating: title.maturity_rating,
        downloadable: title.downloadable,
        offered: true,
        available_from: None,
        available_until: None,
    };
    Some(match title.window_at(territory, at) {
        Ok(window) => {
            TitleFacts { available_from: window.from, available_until: window.until, ..facts }
        }
        Err(Unavailable::NotYet { from }) => TitleFacts {
            available_from: Some(from),
            available_until: until(title, territory, from),
            ..facts
        },
        Err(Unavailable::NoLonger { until }) => {
            TitleFacts { available_until: Some(until), ..facts }
        }
        Err(
            Unavailable::UnknownTitle
            | Unavailable::TerritoryUnknown
            | Unavailable::NotInTerritory
            | Unavailable::NotDownloadable,
        ) => TitleFacts { offered: false, ..facts },
    })
}

/// The end of the window that begins then.
fn until(title: &Title, territory: Option<&Territory>, from: Timestamp) -> Option<Timestamp> {
    let windows = title.windows(territory);
    windows.iter().find(|window| window.from == Some(from)).and_then(|window| window.until)
}
