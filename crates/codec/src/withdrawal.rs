//! Records of titles that were withdrawn for all members, as their stream keeps them.
//!
//! ```text
//! format   1: what follows is as described here. It is also the first byte.
//! kind     1 ordered, 2 walked, 3 lifted
//! version  of that kind's shape, from 1
//! record   the shape
//! ```

use domain::member::Warrant;
use domain::{IdempotencyKey, Timestamp, TitleId};
use minicbor::bytes::ByteSlice;
use minicbor::{CborLen, Decode, Encode, Encoder};

use crate::event::{DecodeError, begin, end, item, never};
use crate::v1::{At, list, optional};

const FORMAT: u8 = 1;
/// Of every kind so far.
const VERSION: u16 = 1;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    Ordered(Ordered),
    Walked(Walked),
    Lifted(Lifted),
}

/// A title is withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    pub id: String,
    pub title: TitleId,
    pub warrant: Warrant,
    pub at: Timestamp,
    pub key: Option<IdempotencyKey>,
}

/// How far a walk over all members has come that ends the licenses of withdrawn titles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walked {
    pub at: Timestamp,
    /// Of the feed, where it goes on.
    pub cursor: Vec<u8>,
    /// Of the feed, looked at so far.
    pub events: u64,
    /// It has come to the end.
    pub done: bool,
    /// What it came to, for each withdrawal that it is about.
    pub each: Vec<Ended>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub id: String,
    pub members: u64,
    pub licenses: u64,
    /// How often something stored could not be read, so that licenses may be left.
    pub failures: u64,
}

/// A withdrawal holds no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifted {
    pub id: String,
    pub warrant: Warrant,
    pub at: Timestamp,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
struct OrderedV1<'b> {
    #[b(0)]
    id: &'b str,
    #[b(1)]
    title: &'b str,
    #[b(2)]
    actor: &'b str,
    #[b(3)]
    reason: &'b str,
    #[n(4)]
    at: i64,
    #[b(5)]
    key: Option<&'b str>,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
struct WalkedV1<'b> {
    #[n(0)]
    at: i64,
    #[b(1)]
    cursor: &'b ByteSlice,
    #[n(2)]
    events: u64,
    #[n(3)]
    done: bool,
    #[b(4)]
    each: Vec<EndedV1<'b>>,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
struct EndedV1<'b> {
    #[b(0)]
    id: &'b str,
    #[n(1)]
    members: u64,
    #[n(2)]
    licenses: u64,
    #[n(3)]
    failures: u64,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
struct LiftedV1<'b> {
    #[b(0)]
    id: &'b str,
    #[b(1)]
    actor: &'b str,
    #[b(2)]
    reason: &'b str,
    #[n(3)]
    at: i64,
}

pub fn encode_withdrawal(record: &Record) -> Vec<u8> {
    let mut out = Encoder::new(Vec::new());
    let put = match record {
        Record::Ordered(ordered) => {
            head(&mut out, 1).and_then(|out| out.encode(OrderedV1::of(ordered)))
        }
        Record::Walked(walked) => {
            head(&mut out, 2).and_then(|out| out.encode(WalkedV1::of(walked)))
        }
        Record::Lifted(lifted) => {
            head(&mut out, 3).and_then(|out| out.encode(LiftedV1::of(lifted)))
        }
    };
    match put.map(drop) {
        Ok(()) => out.into_writer(),
        Err(error) => never(&error),
    }
}

type Out<'a> = &'a mut Encoder<Vec<u8>>;

fn head(
    out: Out<'_>,
    kind: u16,
) -> Result<Out<'_>, minicbor::encode::Error<std::convert::Infallible>> {
    out.u8(FORMAT)?.u16(kind)?.u16(VERSION)
}

/// # Errors
/// When the bytes are damaged, or were written by a newer program.
pub fn decode_withdrawal(bytes: &[u8]) -> Result<Record, DecodeError> {
    let mut input = begin(bytes, FORMAT)?;
    let kind = input.u16()?;
    let version = input.u16()?;
    let record = match (kind, version) {
        (1, 1) => Record::Ordered(item::<OrderedV1<'_>>(&mut input)?.into_plain()?),
        (2, 1) => Record::Walked(item::<WalkedV1<'_>>(&mut input)?.into_plain()?),
        (3, 1) => Record::Lifted(item::<LiftedV1<'_>>(&mut input)?.into_plain()?),
        (1..=3, version) => return Err(DecodeError::Version { kind: "withdrawal", version }),
        (kind, _) => return Err(DecodeError::Kind(kind)),
    };
    end(&input)?;
    Ok(record)
}

impl<'b> OrderedV1<'b> {
    fn of(ordered: &'b Ordered) -> Self {
        let Ordered { id, title, warrant: Warrant { actor, reason }, at, key } = ordered;
        let key = key.as_ref().map(IdempotencyKey::as_str);
        Self { id, title: title.as_str(), actor, reason, at: at.as_millis(), key }
    }

    fn into_plain(self) -> Result<Ordered, DecodeError> {
        let Self { id, title, actor, reason, at, key } = self;
        Ok(Ordered {
            id: id.to_owned(),
            title: TitleId::new(title)?,
            warrant: warrant(actor, reason),
            at: instant(at)?,
            key: optional(key, |key| Ok(IdempotencyKey::new(key)?))?,
        })
    }
}

impl<'b> WalkedV1<'b> {
    fn of(walked: &'b Walked) -> Self {
        let Walked { at, cursor, events, done, each } = walked;
        let ended = |ended: &'b Ended| {
            let Ended { id, members, licenses, failures } = ended;
            EndedV1 { id, members: *members, licenses: *licenses, failures: *failures }
        };
        Self {
            at: at.as_millis(),
            cursor: cursor.as_slice().into(),
            events: *events,
            done: *done,
            each: each.iter().map(ended).collect(),
        }
    }

    fn into_plain(self) -> Result<Walked, DecodeError> {
        let Self { at, cursor, events, done, each } = self;
        let cursor = cursor.to_vec();
        let each = list(each, |EndedV1 { id, members, licenses, failures }| {
            Ok(Ended { id: id.to_owned(), members, licenses, failures })
        })?;
        Ok(Walked { at: instant(at)?, cursor, events, done, each })
    }
}

impl<'b> LiftedV1<'b> {
    fn of(lifted: &'b Lifted) -> Self {
        let Lifted { id, warrant: Warrant { actor, reason }, at } = lifted;
        Self { id, actor, reason, at: at.as_millis() }
    }

    fn into_plain(self) -> Result<Lifted, DecodeError> {
        let Self { id, actor, reason, at } = self;
        Ok(Lifted { id: id.to_owned(), warrant: warrant(actor, reason), at: instant(at)? })
    }
}

fn warrant(actor: &str, reason: &str) -> Warrant {
    Warrant { actor: actor.to_owned(), reason: reason.to_owned() }
}

fn instant(ms: i64) -> Result<Timestamp, DecodeError> {
    At(Timestamp::from_millis(0)).instant(ms)
}

#[cfg(test)]
mod tests;
