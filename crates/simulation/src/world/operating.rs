//! Titles are withdrawn for all members, and come back: what operators do to a world of one node, and
//! what has to hold from their answers on.

use std::pin::Pin;

use domain::member::{Answer, Command, EventBody, License, Outcome};
use domain::{Event, Member, Request, Timestamp, TitleId};
use engine::Decided;
use engine::withdrawals::{Answered, Order, State};

use super::{Outcome as Heard, POLLS_MAX, TASKS_MAX, Task, Verdict, What, World};
use crate::client::Account;
use crate::operators::{Asking, Standing, Stood, warrant};

impl World {
    /// Every so often an operator wants something, or asks again for what nobody answered.
    pub(super) fn operate(&mut self) {
        // What somebody has, or what was withdrawn before.
        let titles: Vec<TitleId> = match self.random.permille(500) {
            true => self.operators.stood().into_keys().collect(),
            false => self.accounts.iter().flat_map(Account::has).cloned().collect(),
        };
        let title = self.random.pick(&titles).cloned();
        let busy = self.tasks.len() >= TASKS_MAX;
        let operating = |task: &Task| matches!(task.what, What::Operating(_));
        if self.nodes.len() == 1 && !busy && !self.tasks.iter().any(operating) {
            let wanted = title.and_then(|title| self.operators.want(title, &mut self.random));
            wanted.into_iter().for_each(|asking| self.ask_for(asking));
        }
    }

    fn ask_for(&mut self, asking: Asking) {
        let Some(at) = self.nodes.first() else { return };
        let (engine, at) = (at.engine.clone(), Timestamp::from_millis(self.now + at.skew));
        let what = What::Operating(asking.clone());
        let future: Pin<Box<dyn Future<Output = Heard>>> = match asking {
            Asking::Order { id, title } => Box::pin(async move {
                let order = Order { key: id.parse().ok(), id, title, warrant: warrant(), at };
                Heard::Ordered(engine.withdrawals().order(order).await)
            }),
            Asking::Lift { id, .. } => Box::pin(async move {
                Heard::Lifted(engine.withdrawals().lift(&id, warrant(), at).await)
            }),
        };
        self.tasks.push(Task { node: 0, what, future });
    }

    pub(super) fn ordered(&mut self, asked: &Asking, answered: &Answered) -> Verdict {
        let (Answered::Ordered(known) | Answered::Known(known)) = answered else {
            return Err(format!("{asked:?} was answered with {answered:?}"));
        };
        let same = matches!(asked, Asking::Order { id, title } if *id == known.id && *title == known.title);
        self.report.withdrawals += 1;
        self.operators.answered(asked);
        if same { Ok(()) } else { Err(format!("{asked:?} was answered with {known:?}")) }
    }

    pub(super) fn walk(&mut self) {
        let walking = |task: &Task| matches!(task.what, What::Walking);
        let Some(at) = self.nodes.first().filter(|_| self.nodes.len() == 1) else { return };
        if !self.tasks.iter().any(walking) {
            let (engine, at) = (at.engine.clone(), Timestamp::from_millis(self.now + at.skew));
            let future =
                Box::pin(
                    async move { Heard::Walked(engine.withdrawals().step(&engine, at).await) },
                );
            self.tasks.push(Task { node: 0, what: What::Walking, future });
        }
    }

    /// A walk came to its end: of what it was for, nothing is left.
    pub(super) fn finished(&self) -> Verdict {
        let known = self.nodes.first().map(|node| node.engine.withdrawals().list());
        for known in known.unwrap_or_default() {
            let stands = self.operators.withdrawn(&known.title) == Some(known.id.as_str());
            match known.state() {
                State::Done if stands => {
                    let told = (known.progress.members, known.progress.licenses);
                    self.auditor.ended(&known.id, &known.title, told)?
                }
                State::Failed => return Err(format!("nothing was damaged: {known:?}")),
                _ => {}
            }
        }
        Ok(())
    }

    /// From the answer to an order on, nothing is acquired that was not asked for before.
    pub(super) fn nobody_was_barred(&self, member: &str, events: &[Event]) -> Verdict {
        let acquired = events.iter().filter_map(|event| match &event.body {
            EventBody::Acquired(acquired) => Some(acquired),
            _ => None,
        });
        let mut barred = acquired.filter(|acquired| self.operators.is_barred(&acquired.license));
        barred.next().map_or(Ok(()), |acquired| {
            Err(format!("{member}: acquired, and withdrawn before that was asked: {acquired:?}"))
        })
    }

    /// While a title is withdrawn nothing of it is renewed; while it is not, no decision is told so.
    pub(super) fn what_operators_asked_holds(
        &self,
        stood: &Stood,
        request: &Request,
        decided: &Decided,
    ) -> Verdict {
        self.nothing_withdrawn_is_given(stood, decided)?;
        let decision = &decided.decision;
        for event in &decision.events {
            let title = match &event.body {
                EventBody::Renewed(renewed) => {
                    decided.member.license(&renewed.license).map(|l| &l.title)
                }
                _ => None,
            };
            let still = title.and_then(|title| self.operators.still(stood, title));
            if matches!(still, Some(Standing::Withdrawn(_))) {
                return Err(format!("renewed, and withdrawn before that was asked: {event:?}"));
            }
            let decided_on = match &event.body {
                EventBody::Refused(refused) => refused.commands.as_slice(),
                _ => &[],
            };
            for (asked, decided_on) in request.commands.iter().zip(decided_on) {
                if let Command::Acquire { title, title_facts, .. } = asked
                    && let Command::Acquire { title_facts: told, .. } = decided_on
                    && self.operators.still(stood, title) == Some(Standing::Offered)
                    && title_facts != told
                {
                    return Err(format!("refused as withdrawn, and it is not: {event:?}"));
                }
            }
        }
        Ok(())
    }

    /// Nobody who looks while a title is withdrawn sees a license of it, recorded or not.
    pub(super) fn what_is_withdrawn_is_seen_ended(
        &self,
        stood: &Stood,
        id: &str,
        member: &Member,
    ) -> Verdict {
        let withdrawn = |license: &License| {
            let still = self.operators.still(stood, &license.title);
            license.closed.is_none() && matches!(still, Some(Standing::Withdrawn(_)))
        };
        match member.licenses.values().find(|license| withdrawn(license)) {
            None => Ok(()),
            Some(open) => Err(format!("{id} was seen with what was withdrawn before: {open:?}")),
        }
    }

    /// No device is given what was withdrawn when it asked, not even once more.
    fn nothing_withdrawn_is_given(&self, stood: &Stood, decided: &Decided) -> Verdict {
        let outcomes = match &decided.decision.answer {
            Answer::Accepted { outcomes, .. } => outcomes.as_slice(),
            _ => &[],
        };
        let given = outcomes.iter().flat_map(|outcome| match outcome {
            Outcome::Held { license, .. } => std::slice::from_ref(license),
            Outcome::CheckedIn(answer) => &answer.held,
            _ => &[],
        });
        for id in given {
            // A retry is told what was decided then, and gets a lease of what is held.
            let held = |license: &&License| license.held(decided.decision.at);
            let Some(license) = decided.member.license(id).filter(held) else { continue };
            if matches!(self.operators.still(stood, &license.title), Some(Standing::Withdrawn(_))) {
                return Err(format!("given, and withdrawn before that was asked: {license:?}"));
            }
        }
        Ok(())
    }

    /// Everything that was asked is answered, and every walk comes to its end.
    pub(super) fn operators_come_to_rest(&mut self) -> Verdict {
        for asking in self.operators.unanswered() {
            while self.operators.unanswered().contains(&asking) {
                self.ask_for(asking.clone());
                self.settle()?;
            }
        }
        for _ in 0..POLLS_MAX {
            let known = self.nodes.first().map(|node| node.engine.withdrawals().list());
            if known.unwrap_or_default().iter().all(|known| known.state() != State::Running) {
                return self.finished();
            }
            self.walk();
            self.settle()?;
        }
        Err("a walk never came to its end".to_owned())
    }
}
