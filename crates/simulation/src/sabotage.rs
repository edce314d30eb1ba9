//! Broken on purpose: an auditor who cannot fail proves nothing.

use store::memory::MemoryStore;
use store::{EventStore, StreamId, Version};

use crate::disk::ready;
use crate::rules::Rules;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    None,
    /// Every so often the disk acknowledges what it does not keep.
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests break things"))]
    LosesAppends,
    /// Two appends at one expected version both succeed.
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests break things"))]
    TakesStaleAppends,
    /// What is recorded does not say which request it followed from.
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests break things"))]
    ForgetsKeys,
    /// What operators order and lift is acknowledged, and forgotten with the node.
    LosesOrders,
    /// What a walk ends goes on.
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests break things"))]
    LosesEndings,
    /// The auditor is told one license less on a device.
    AuditorIsToldLess,
}

impl Sabotage {
    pub(crate) fn told(self, mut rules: Rules) -> Rules {
        if self == Self::AuditorIsToldLess {
            let cap = rules.caps.iter_mut().find(|cap| cap.id == "device-active");
            cap.into_iter().for_each(|cap| cap.limit.otherwise -= 1);
        }
        rules
    }

    /// What the disk writes of an append, and where; `None`: it only says so.
    pub(crate) fn written(
        self,
        durable: &MemoryStore,
        stream: &StreamId,
        expected: Version,
        bodies: &[Vec<u8>],
    ) -> Option<(Version, Vec<Vec<u8>>)> {
        let bodies = bodies.to_vec();
        if !stream.as_str().starts_with("member:") {
            let lost = self == Self::LosesOrders && stream.as_str() == "withdrawals";
            return (!lost).then_some((expected, bodies));
        }
        match self {
            Self::LosesEndings => {
                (!bodies.iter().any(|body| ends(body))).then_some((expected, bodies))
            }
            Self::None | Self::AuditorIsToldLess | Self::LosesOrders => Some((expected, bodies)),
            Self::LosesAppends => (expected % 40 != 39).then_some((expected, bodies)),
            Self::TakesStaleAppends => {
                let events = ready(durable.read(stream, 0, None)).map(|slice| slice.events.len());
                Some((events.map_or(expected, |events| events as Version), bodies))
            }
            Self::ForgetsKeys => {
                Some((expected, bodies.iter().map(|body| without_key(body)).collect()))
            }
        }
    }
}

fn without_key(body: &[u8]) -> Vec<u8> {
    match codec::decode_event(body) {
        Ok(mut event) => {
            event.cause.idempotency = None;
            codec::encode_event(&event)
        }
        Err(_) => body.to_vec(),
    }
}

/// Whether a walk recorded it.
fn ends(body: &[u8]) -> bool {
    let key = codec::decode_event(body).ok().and_then(|event| event.cause.idempotency);
    key.is_some_and(|known| known.key.as_str().starts_with("withdrawal:"))
}
