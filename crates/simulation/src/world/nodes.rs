//! Nodes start, are told a new policy, have wrong clocks, and die.

use std::sync::Arc;

use domain::Member;
use domain::evolve;
use domain::policy::HORIZON;
use engine::{Engine, EngineError, Options, Policies};
use store::EventStore;

use super::{Node, RAISED, Task, Verdict, What, World, loaded, poll_once};
use crate::rules::{DAY_MS, HOUR_MS};

impl World {
    pub(super) fn start(&mut self, number: usize) -> Result<Node, String> {
        let policy = self.policies.last().cloned().ok_or("no policy")?;
        let policies = loop {
            let store = self.disk.reached_by(number);
            let opening = Box::pin(Policies::open(store, policy.clone()));
            match self.drive(opening)? {
                Ok(policies) => break policies,
                Err(EngineError::Unavailable(_)) => {}
                Err(error) => return Err(format!("policies: {error}")),
            }
        };
        let options = Options {
            cached_bytes_max: *self.random.pick(&[0, 8 << 10, 64 << 20]).unwrap_or(&0),
            in_flight_max: *self.random.pick(&[3, 64, 64]).unwrap_or(&3),
            snapshot_every: *self.random.pick(&[1, 5, 64]).unwrap_or(&1),
            ..Options::default()
        };
        let store = self.disk.reached_by(number);
        let policies = Arc::new(policies);
        let engine = loop {
            let (store, policies) = (Arc::clone(&store), Arc::clone(&policies));
            match self.drive(Box::pin(Engine::open(store, policies, options.clone())))? {
                Ok(engine) => break engine,
                Err(EngineError::Unavailable(_)) => {}
                Err(error) => return Err(format!("the engine: {error}")),
            }
        };
        let keeper = engine.clone();
        let keeping = Box::pin(async move { keeper.keep_snapshots().await });
        let skew = self.random.within(-2_000, 2_000);
        Ok(Node { engine, skew, keeping })
    }

    pub(super) fn poll_keepers(&mut self) {
        for node in &mut self.nodes {
            let _ = poll_once(&mut node.keeping);
        }
    }

    pub(super) fn clock_jumps(&mut self) {
        let at = self.random.index(self.nodes.len());
        let reach = if self.random.permille(700) { 2 * HOUR_MS } else { 3 * DAY_MS };
        let skew = self.random.within(-reach, reach);
        if let Some(node) = self.nodes.get_mut(at) {
            node.skew = skew;
        }
    }

    /// The store stops itself: nothing is recorded until somebody starts again.
    pub(super) fn sync_fails(&mut self) {
        if self.random.permille(300) {
            self.disk.sync_fails();
            self.report.failed_syncs += 1;
        }
    }

    /// A node dies in the middle of everything, and comes back with nothing but the disk.
    pub(super) fn crash(&mut self) -> Verdict {
        let dying = self.random.index(self.nodes.len());
        self.die(dying)?;
        self.come_back(dying)
    }

    fn die(&mut self, dying: usize) -> Verdict {
        self.report.crashes += 1;
        let (died, alive) =
            std::mem::take(&mut self.tasks).into_iter().partition(|t| t.node == dying);
        self.tasks = alive;
        let died: Vec<Task> = died;
        for task in died {
            if let What::Asking(intent, ..) = task.what {
                self.waiting.push(intent);
            }
        }
        self.disk.node_died(dying, &mut self.random);
        self.disk.open_again(&mut self.random);
        if self.nodes.len() == 1 {
            // Nobody else is there to hear what is still on its way.
            self.disk.comes_to_rest(&mut self.random);
        }
        self.commits()
    }

    fn come_back(&mut self, node: usize) -> Verdict {
        let started = self.start(node)?;
        if let Some(node) = self.nodes.get_mut(node) {
            *node = started;
        }
        Ok(())
    }

    /// With every node stopped, as `carnet store raise-horizon` does it: after a year of forgetting.
    pub(super) fn raise_horizon(&mut self) -> Verdict {
        if self.horizon != HORIZON || self.now < self.began_at + 450 * DAY_MS {
            return Ok(());
        }
        for node in 0..self.nodes.len() {
            self.die(node)?;
        }
        self.disk.comes_to_rest(&mut self.random);
        self.commits()?;
        let store: Arc<dyn EventStore> = Arc::new(self.disk.durable().clone());
        let raised = engine::raise_horizon(&*store, RAISED);
        // Cut off, or not: what is not folded now is folded when it is asked for.
        let folded = match self.random.permille(500) {
            true => engine::fold_anew(&store, &mut |_| {}),
            false => Ok(0),
        };
        raised.and(folded).map_err(|error| format!("raising the horizon: {error}"))?;
        (self.horizon, self.report.horizon_raises) = (RAISED, 1);
        self.auditor.remembers(RAISED.as_millis());
        for (id, member) in &mut self.members {
            let events = self.auditor.ledger(id).map_or(&[][..], |ledger| &ledger.events);
            *member = events.iter().fold(Member::remembering(RAISED), evolve);
        }
        (0..self.nodes.len()).try_for_each(|node| self.come_back(node))
    }

    /// Published on one node, heard of by the others, in effect for all from one instant on.
    pub(super) fn change_policy(&mut self) -> Verdict {
        if !self.random.permille(200) || self.disk.stopped() {
            return Ok(());
        }
        if self.long && self.horizon == HORIZON {
            return Ok(()); // its windows reach back further
        }
        let Some(mut rules) = self.next.take() else { return Ok(()) };
        self.settle()?;
        rules.effective_from = self.now + self.random.within(0, 5 * DAY_MS);
        let policy = loaded(&rules, self.horizon)?;
        for number in 0..self.nodes.len() {
            while let Some(node) = self.nodes.get(number) {
                let policies = Arc::clone(node.engine.policies());
                let policy = policy.clone();
                let telling = Box::pin(async move {
                    if number == 0 {
                        policies.publish(policy).await
                    } else {
                        policies.refresh().await
                    }
                });
                match self.drive(telling)? {
                    Ok(()) => break,
                    Err(EngineError::Unavailable(_)) => {}
                    Err(error) => return Err(format!("publishing: {error}")),
                }
            }
        }
        self.auditor.published(policy.policy.version.as_str(), rules);
        self.policies.push(policy);
        self.report.policy_changes += 1;
        Ok(())
    }
}
