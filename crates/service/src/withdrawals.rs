//! Drives the walk that ends the licenses of withdrawn titles: in the room that requests leave, for as
//! long as the service runs. [`engine::withdrawals`] knows how; here is when.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::EngineError;
use engine::withdrawals::{Progress, State, Step, Withdrawal};

use crate::state::AppState;

/// The walk rests as long as it worked, within these.
const REST_MIN: Duration = Duration::from_millis(1);
const REST_MAX: Duration = Duration::from_secs(1);
/// While requests take most of the room.
const BUSY_REST: Duration = Duration::from_millis(50);
/// What does not work now is tried again after so long.
const TROUBLE_REST: Duration = Duration::from_secs(5);
/// What was recorded while nobody knew is found within this.
const IDLE_MAX: Duration = Duration::from_secs(60);
const TOLD_EVERY: Duration = Duration::from_secs(10);

pub(crate) async fn walk(state: Arc<AppState>) {
    let withdrawals = state.engine.withdrawals();
    let mut told_at: Option<Instant> = None;
    loop {
        let (begun, at) = (Instant::now(), state.now());
        let rest = match withdrawals.step(&state.engine, at).await {
            Ok(Step::Idle) => {
                told_at = None;
                let _ = tokio::time::timeout(IDLE_MAX, withdrawals.ordered()).await;
                continue;
            }
            Ok(Step::Waiting) => BUSY_REST,
            Ok(Step::Walked) => begun.elapsed().clamp(REST_MIN, REST_MAX),
            Ok(Step::Finished) => {
                tell_the_end(&withdrawals.list(), at);
                REST_MIN
            }
            Err(EngineError::Overloaded { .. }) => REST_MAX,
            Err(error) => {
                tracing::error!(%error, "licenses of withdrawn titles cannot be ended now");
                TROUBLE_REST
            }
        };
        if told_at.is_none_or(|told_at| told_at.elapsed() >= TOLD_EVERY) {
            told_at = Some(Instant::now());
            let running = |one: &Withdrawal| one.state() == State::Running;
            let (titles, Progress { events, members, licenses, .. }) =
                sum(&withdrawals.list(), running);
            if titles > 0 {
                tracing::info!(
                    titles,
                    events,
                    members,
                    licenses,
                    "licenses of withdrawn titles are being ended"
                );
            }
        }
        tokio::time::sleep(rest).await;
    }
}

fn tell_the_end(list: &[Withdrawal], at: domain::Timestamp) {
    let ended = |one: &Withdrawal| one.finished_at == Some(at);
    let (titles, Progress { events, members, licenses, failures }) = sum(list, ended);
    if failures == 0 {
        tracing::info!(
            titles,
            events,
            members,
            licenses,
            "licenses of withdrawn titles have ended"
        );
    } else {
        tracing::error!(
            titles,
            failures,
            "licenses of withdrawn titles may be left: not everything could be read"
        );
    }
}

/// How many there are of some, and what they came to together; of the feed, the most.
pub(crate) fn sum(list: &[Withdrawal], which: impl Fn(&Withdrawal) -> bool) -> (u64, Progress) {
    let nothing = (0, Progress::default());
    list.iter().filter(|one| which(one)).fold(nothing, |(titles, sum), one| {
        let Progress { events, members, licenses, failures } = one.progress;
        let sum = Progress {
            events: sum.events.max(events),
            members: sum.members + members,
            licenses: sum.licenses + licenses,
            failures: sum.failures + failures,
        };
        (titles + 1, sum)
    })
}
