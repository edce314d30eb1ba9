//! Members ask and look, and what they are told is held to what was recorded.

use std::borrow::Cow;

use domain::member::{Answer, License};
use domain::{LicenseId, Member, Request, Timestamp, evolve};
use engine::{Decided, EngineError};
use store::Version;

use super::{ATTEMPTS_MAX, Outcome, PATIENCE_MS, TASKS_MAX, Task, Verdict, What, World};
use crate::client::Intent;
use crate::operators::{Standing, Stood};

impl World {
    pub(super) fn ask(&mut self) {
        if self.tasks.len() >= TASKS_MAX {
            return;
        }
        let again = self.random.permille(500) && !self.waiting.is_empty();
        let mut intent = if again {
            let at = self.random.index(self.waiting.len());
            self.waiting.swap_remove(at)
        } else {
            let account = self.random.index(self.accounts.len());
            let Some(asking) = self.accounts.get_mut(account) else { return };
            let commands = asking.want(&mut self.random, self.now, self.began_at);
            self.intents += 1;
            Intent::new(self.intents, account, commands, &mut self.random, self.now)
        };
        if intent.attempts >= ATTEMPTS_MAX || self.now - intent.first_asked > PATIENCE_MS {
            return; // gives up
        }
        intent.attempts += 1;
        self.report.requests += 1;
        self.report.retries += u64::from(intent.attempts > 1);
        let node = self.random.index(self.nodes.len());
        let (Some(at), Some(account)) = (self.nodes.get(node), self.accounts.get(intent.account))
        else {
            return;
        };
        let commands = intent.commands(&mut self.random);
        let request = Request {
            at: Timestamp::from_millis(self.now + at.skew),
            idempotency: intent.key.clone().map(|key| engine::idempotency(key, &commands)),
            facts: account.facts.clone(),
            commands,
        };
        let (engine, member, asked) = (at.engine.clone(), account.id.clone(), request.clone());
        let future = Box::pin(async move { Outcome::Decided(engine.decide(&member, asked).await) });
        let stood = self.operators.begins(&request.commands);
        let what = What::Asking(intent, Box::new(request), stood);
        self.tasks.push(Task { node, what, future });
    }

    pub(super) fn look(&mut self) {
        if self.tasks.len() < TASKS_MAX {
            let node = self.random.index(self.nodes.len());
            let account = self.random.index(self.accounts.len());
            self.start_looking(node, account);
        }
    }

    pub(super) fn start_looking(&mut self, node: usize, account: usize) {
        let (Some(at), Some(looked_at)) = (self.nodes.get(node), self.accounts.get(account)) else {
            return;
        };
        let (engine, member) = (at.engine.clone(), looked_at.id.clone());
        let known = self.auditor.ledger(member.as_str()).map_or(0, |ledger| ledger.events.len());
        let future = Box::pin(async move { Outcome::Member(engine.member(&member).await) });
        let what = What::Looking(account, known, self.operators.stood());
        self.tasks.push(Task { node, what, future });
    }

    pub(super) fn answered(
        &mut self,
        intent: Intent,
        request: &Request,
        answer: Result<Decided, EngineError>,
    ) -> Verdict {
        let decision = match answer {
            Ok(decided) => decided.decision,
            Err(error @ (EngineError::Overloaded { .. } | EngineError::Unavailable(_))) => {
                self.note(&error);
                self.report.unanswered += 1;
                self.waiting.push(intent);
                return Ok(());
            }
            Err(error) => return Err(format!("{error}: {request:?}")),
        };
        self.note(&decision);
        let Some(account) = self.accounts.get_mut(intent.account) else { return Ok(()) };
        self.auditor.answered(account.id.as_str(), intent.number, request, &decision)?;
        // The last mile may lose an answer too, and a device may ask again for no reason.
        let again = match &decision.answer {
            Answer::Accepted { outcomes, .. } => {
                self.report.accepted += 1;
                let lost = self.random.permille(100);
                if !lost {
                    account.heard(&request.commands, outcomes, self.now, &mut self.random);
                }
                lost || self.random.permille(100)
            }
            Answer::Refused(_) => {
                self.report.refused += 1;
                self.random.permille(100)
            }
            Answer::KeyReused => return Err(format!("a key was never reused: {request:?}")),
        };
        if again {
            self.waiting.push(intent);
        }
        Ok(())
    }

    /// What a node believes is what was recorded, and not less than there was when it was asked.
    pub(super) fn looked(
        &self,
        account: usize,
        known: usize,
        version: Version,
        member: &Member,
        stood: &Stood,
    ) -> Verdict {
        let id = self.accounts.get(account).map(|account| account.id.as_str()).unwrap_or_default();
        let version = usize::try_from(version).unwrap_or(usize::MAX);
        let events = self.auditor.ledger(id).map_or(&[][..], |ledger| &ledger.events);
        let seen = events.get(..version).ok_or_else(|| format!("{id} is ahead of the store"))?;
        if version < known {
            return Err(format!("{id} was seen at version {version}, and had {known} before"));
        }
        let newest = self.members.get(id).filter(|_| seen.len() == events.len());
        let folded = || seen.iter().fold(Member::remembering(self.horizon), evolve);
        let told = newest.map_or_else(|| Cow::Owned(folded()), Cow::Borrowed);
        if *told != *member && !self.ended_only(stood, &told, member) {
            return Err(format!("{id} at version {version} is not what its events say"));
        }
        self.what_is_withdrawn_is_seen_ended(stood, id, member)
    }

    /// Whether a node believes what was recorded, and beside it only that licenses have ended whose
    /// titles operators withdrew: that is seen before the walk has recorded it.
    fn ended_only(&self, stood: &Stood, told: &Member, member: &Member) -> bool {
        let beside = |member: &Member| {
            let mut beside = Member { last_at: Timestamp::MIN, ..member.clone() };
            beside.licenses.clear();
            beside.past.clear();
            beside.remembered.clear();
            beside
        };
        let as_told_or_ended = |(id, license): (&LicenseId, &License)| {
            let Some(then) = told.license(id) else { return false };
            let offered = self.operators.still(stood, &license.title) == Some(Standing::Offered);
            let over = license.closed.is_some_and(|closed| !closed.waits);
            let ended = License { closed: license.closed, ..then.clone() };
            then == license || (!offered && over && ended == *license)
        };
        let all = |member: &Member| member.licenses.len() + member.past.len();
        beside(told) == beside(member)
            && all(told) == all(member)
            && member.licenses.iter().chain(&member.past).all(as_told_or_ended)
    }

    pub(super) fn caller_goes_away(&mut self) {
        if self.tasks.is_empty() {
            return;
        }
        let at = self.random.index(self.tasks.len());
        if let What::Asking(intent, ..) = self.tasks.swap_remove(at).what {
            self.waiting.push(intent);
        }
    }
}
