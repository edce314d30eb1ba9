//! What would be, had somebody asked something else, or again: nothing of it is recorded.

use codec::policy::Loaded;
use domain::member::what_if::{Question, what_if};
use domain::policy::HORIZON;
use domain::{Event, MemberId, Request, Timestamp, decide, evolve};

use super::{Verdict, World};
use crate::probe::probe;
use crate::rules::{DAY_MS, Rules};

impl World {
    /// Asks a copy of the member what might be asked next, and has the answers audited: by
    /// themselves, members come by rare cases rarely.
    pub(super) fn imagine(&mut self, member: &str) -> Verdict {
        let ledger = self.auditor.ledger(member).ok_or("no ledger")?;
        let asking = self.accounts.iter().find(|account| account.id.as_str() == member);
        let rare = ledger.has_early_lease_that_outlasts();
        let worth_it = rare || self.random.permille(200);
        let Some(asking) = asking.filter(|_| worth_it) else { return Ok(()) };
        let mut state = self.members.get(member).cloned().unwrap_or_default();
        let mut events = Vec::new();
        let turns = ledger.instants();
        for _ in 0..if rare { 12 } else { 4 } {
            let last_at = state.last_at.as_millis();
            let turn = self.random.pick(&turns).map(|turn| turn - self.random.within(0, 1));
            let soon = last_at + self.random.within(0, 5 * DAY_MS);
            let at = turn.filter(|turn| (last_at..=soon).contains(turn)).unwrap_or(soon);
            let version = self.auditor.in_effect(at).map(|(version, _)| version);
            let in_effect = |loaded: &&Loaded| Some(loaded.policy.version.as_str()) == version;
            let policy = self.policies.iter().find(in_effect).ok_or("no policy was in effect")?;
            let (facts, commands) = asking.imagined(&mut self.random, self.began_at);
            let at = Timestamp::from_millis(at);
            let request = Request { at, idempotency: None, facts, commands };
            let decision = decide(&state, &request, &policy.policy);
            state = decision.events.iter().fold(state, evolve);
            events.extend(decision.events);
        }
        self.auditor.imagined(member, &events)
    }

    pub(super) fn probe(&mut self, member: &str, refused: &domain::member::Refused) -> Verdict {
        if !self.random.permille(300) {
            return Ok(());
        }
        self.report.probes += 1;
        let cited = |loaded: &&Loaded| loaded.policy.version == refused.policy;
        let policy = self.policies.iter().find(cited).ok_or("an unknown policy was cited")?;
        let ledger = self.auditor.ledger(member).ok_or("no ledger")?;
        let state = self.members.get(member).ok_or("no member")?;
        probe(state, &ledger.instants(), refused, &policy.policy, &mut self.random)
    }

    /// An unchanged policy would have answered everything as it was answered.
    pub(super) fn ask_again(&self, member: &MemberId, events: &[Event]) -> Verdict {
        let [Loaded { policy, .. }] = self.policies.as_slice() else { return Ok(()) };
        let rules = self.auditor.in_effect(self.now).map(|(_, rules)| rules);
        if self.horizon != HORIZON && rules.is_some_and(Rules::reckons_from_first_use) {
            return Ok(()); // from what was the oldest before the horizon was raised, no event says
        }
        let (since, until, horizon) = (Timestamp::MIN, Timestamp::MAX, self.horizon);
        let question = Question { draft: policy, since, until, horizon };
        let mut different = None;
        what_if(events, &question, |compared| {
            if compared.was != compared.would_be || compared.other_terms {
                different.get_or_insert(compared);
            }
        });
        different.map_or(Ok(()), |compared| {
            Err(format!("{member}: asked again, it would be answered differently: {compared:?}"))
        })
    }
}
