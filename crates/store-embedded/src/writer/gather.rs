//! Whether a transaction should wait a moment for more appends.
//!
//! However little it writes, a transaction costs a fifth of a millisecond of processor time. Where
//! many ask at once and the processor is what they wait for, half a millisecond of patience
//! answers all of them sooner. Where few ask it would only be a delay, so it is never tried for
//! them; and where many wait for this very answer before they ask again, it is soon given up.

use std::thread;
use std::time::Duration;

use crate::channel::Channel;
use crate::plan::Append;

const WAIT: Duration = Duration::from_micros(500);
/// So many in the last transaction: more may come.
const MANY: usize = 8;
/// With so many the transaction costs each of them little.
const ENOUGH: usize = 64;
/// So often in a row nobody may come: a busy processor brings them in bursts.
const IN_VAIN: u32 = 8;
/// So many transactions do not wait after that.
const PAUSE: u32 = 256;

#[derive(Debug, Default)]
pub(super) struct Gathering {
    last: usize,
    in_vain: u32,
    pause: u32,
}

impl Gathering {
    /// Takes more into the batch, if it is worth the wait.
    pub(super) fn gather(
        &mut self,
        appends: &Channel<Append>,
        batch: &mut Vec<Append>,
        weight_max: usize,
    ) {
        let taken = batch.len();
        let room = weight_max.saturating_sub(batch.iter().map(Append::weight).sum());
        if room > 0 && self.waits(taken) {
            thread::sleep(WAIT);
            appends.take(batch, room, Some(Duration::ZERO));
            self.waited(batch.len() - taken);
        }
        self.last = batch.len();
    }

    fn waits(&mut self, taken: usize) -> bool {
        if self.pause > 0 {
            self.pause -= 1;
            return false;
        }
        self.last >= MANY && taken < ENOUGH
    }

    fn waited(&mut self, came: usize) {
        self.in_vain = if came == 0 { self.in_vain + 1 } else { 0 };
        if self.in_vain == IN_VAIN {
            self.in_vain = 0;
            self.pause = PAUSE;
        }
    }
}

#[cfg(test)]
mod tests;
