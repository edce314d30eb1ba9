//! Titles are withdrawn for all members, and come back: what operators do to a world of one node, and
//! what has to hold from their answers on.

use std::pin::Pin;

use domain::member::{Command, EventBody};
use domain::{Event, Request, Timestamp, TitleId};
use engine::Decided;
use engine::withdrawals::{Answered, Order, State};

use super::{Outcome, POLLS_MAX, TASKS_MAX, Task, Verdict, What, World};
use crate::operators::{Asking, Standing, Stood, warrant};
use crate::rules::TITLE_WITH_OWN_CAP;

/// Which titles operators think of.
const WITHDRAWN: [&str; 3] = [TITLE_WITH_OWN_CAP, "tide", "dune"];

impl World {
    /// Every so often an operator wants something, or asks again for what nobody answered.
    pub(super) fn operate(&mut self) -> Verdict {
        let title = self.random.pick(&WITHDRAWN).copied().unwrap_or(TITLE_WITH_OWN_CAP);
        let title = TitleId::new(title).map_err(|error| error.to_string())?;
        let busy = self.tasks.len() >= TASKS_MAX;
        let operating = |task: &Task| matches!(task.what, What::Operating(_));
        if self.nodes.len() == 1 && !busy && !self.tasks.iter().any(operating) {
            let wanted = self.operators.want(title, &mut self.random);
            wanted.into_iter().for_each(|asking| self.ask_for(asking));
        }
        Ok(())
    }

    fn ask_for(&mut self, asking: Asking) {
        let Some(at) = self.nodes.first() else { return };
        let (engine, at) = (at.engine.clone(), Timestamp::from_millis(self.now + at.skew));
        let what = What::Operating(asking.clone());
        let future: Pin<Box<dyn Future<Output = Outcome>>> = match asking {
            Asking::Order { id, title } => Box::pin(async move {
                let order = Order { key: id.parse().ok(), id, title, warrant: warrant(), at };
                Outcome::Ordered(engine.withdrawals().order(order).await)
            }),
            Asking::Lift { id, .. } => Box::pin(async move {
                Outcome::Lifted(engine.withdrawals().lift(&id, warrant(), at).await)
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
                    async move { Outcome::Walked(engine.withdrawals().step(&engine, at).await) },
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
