//! Stored events: versioned from the first byte.
//!
//! A stored event is a sequence of five CBOR items (RFC 8742), so any CBOR tool can show it:
//!
//! ```text
//! format   1: what follows is as described here. It is also the first byte.
//! kind     a number of `Kind`, never used again for something else
//! version  of the kind's body, from 1
//! head     when it happened, and which command of which request it follows from
//! body     what happened
//! ```
//!
//! Every stored shape is frozen but for fields that may be absent: those are added under numbers
//! of their own, and are absent in what was written before. Any other change is a new version, read
//! by a new arm of [`decode_body`] through an upcaster. A reader refuses what it does not know rather than
//! dropping it, for a fact that one node drops is a cap that another node exceeds.

use domain::Event;
use domain::member::EventBody;
use minicbor::{CborLen, Decode, Decoder, Encode, Encoder};

use crate::v1;

/// Written as the first byte.
const FORMAT: u8 = 1;

/// An acquisition has about 300 bytes; most other events have less.
const EVENT_BYTES_USUAL: usize = 512;

/// What kind of thing happened. Names and numbers are for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    DeviceRegistered,
    DeviceRemoved,
    Acquired,
    Reissued,
    Renewed,
    Released,
    NeverStarted,
    CheckedIn,
    PlaysRecorded,
    DrmFailed,
    Refused,
    MemberChanged,
    MembershipLapsed,
    MembershipResumed,
    Revoked,
    TitleWithdrawn,
    ExceptionGranted,
    ExceptionEnded,
}

/// Why bytes are not an event. Nothing here can be skipped: the stream stops.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("a stored event is empty")]
    Empty,
    #[error(
        "a stored event has format `{0}`, this program reads format `{FORMAT}`; run a newer carnet"
    )]
    Format(u8),
    #[error("a stored event has kind `{0}`, which this program does not know; run a newer carnet")]
    Kind(u16),
    #[error(
        "a stored event is `{kind}` in version `{version}`, which this program does not know; \
         run a newer carnet"
    )]
    Version { kind: &'static str, version: u16 },
    #[error("a stored event is damaged: {0}")]
    Malformed(#[from] minicbor::decode::Error),
    #[error("a stored event is damaged: {what} is out of bounds")]
    Invalid { what: &'static str },
    /// Fields of another version, repeated fields, or bytes at the end.
    #[error("a stored event holds {found} bytes where its version has {expected}")]
    NotOfItsVersion { expected: usize, found: usize },
}

impl Kind {
    pub const ALL: [Self; 18] = [
        Self::DeviceRegistered,
        Self::DeviceRemoved,
        Self::Acquired,
        Self::Reissued,
        Self::Renewed,
        Self::Released,
        Self::NeverStarted,
        Self::CheckedIn,
        Self::PlaysRecorded,
        Self::DrmFailed,
        Self::Refused,
        Self::MemberChanged,
        Self::MembershipLapsed,
        Self::MembershipResumed,
        Self::Revoked,
        Self::TitleWithdrawn,
        Self::ExceptionGranted,
        Self::ExceptionEnded,
    ];

    pub const fn of(event: &Event) -> Self {
        match &event.body {
            EventBody::DeviceRegistered { .. } => Self::DeviceRegistered,
            EventBody::DeviceRemoved { .. } => Self::DeviceRemoved,
            EventBody::Acquired(_) => Self::Acquired,
            EventBody::Reissued { .. } => Self::Reissued,
            EventBody::Renewed(_) => Self::Renewed,
            EventBody::Released { .. } => Self::Released,
            EventBody::NeverStarted { .. } => Self::NeverStarted,
            EventBody::CheckedIn { .. } => Self::CheckedIn,
            EventBody::PlaysRecorded { .. } => Self::PlaysRecorded,
            EventBody::DrmFailed { .. } => Self::DrmFailed,
            EventBody::Refused(_) => Self::Refused,
            EventBody::MemberChanged { .. } => Self::MemberChanged,
            EventBody::MembershipLapsed { .. } => Self::MembershipLapsed,
            EventBody::MembershipResumed { .. } => Self::MembershipResumed,
            EventBody::Revoked { .. } => Self::Revoked,
            EventBody::TitleWithdrawn { .. } => Self::TitleWithdrawn,
            EventBody::ExceptionGranted { .. } => Self::ExceptionGranted,
            EventBody::ExceptionEnded { .. } => Self::ExceptionEnded,
        }
    }

    const fn number(self) -> u16 {
        match self {
            Self::DeviceRegistered => 1,
            Self::DeviceRemoved => 2,
            Self::Acquired => 3,
            Self::Reissued => 4,
            Self::Renewed => 5,
            Self::Released => 6,
            Self::NeverStarted => 7,
            Self::CheckedIn => 8,
            Self::PlaysRecorded => 9,
            Self::DrmFailed => 10,
            Self::Refused => 11,
            Self::MemberChanged => 12,
            Self::MembershipLapsed => 13,
            Self::MembershipResumed => 14,
            Self::Revoked => 15,
            Self::TitleWithdrawn => 16,
            Self::ExceptionGranted => 17,
            Self::ExceptionEnded => 18,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::DeviceRegistered => "device_registered",
            Self::DeviceRemoved => "device_removed",
            Self::Acquired => "acquired",
            Self::Reissued => "reissued",
            Self::Renewed => "renewed",
            Self::Released => "released",
            Self::NeverStarted => "never_started",
            Self::CheckedIn => "checked_in",
            Self::PlaysRecorded => "plays_recorded",
            Self::DrmFailed => "drm_failed",
            Self::Refused => "refused",
            Self::MemberChanged => "member_changed",
            Self::MembershipLapsed => "membership_lapsed",
            Self::MembershipResumed => "membership_resumed",
            Self::Revoked => "revoked",
            Self::TitleWithdrawn => "title_withdrawn",
            Self::ExceptionGranted => "exception_granted",
            Self::ExceptionEnded => "exception_ended",
        }
    }

    /// The version that is written. During an upgrade a fleet goes on writing the older one until
    /// every node reads the newer: then this number is raised, in a release of its own.
    pub const fn version_written(self) -> u16 {
        1
    }
}

/// The bytes of an event, in the versions that are written today.
pub fn encode_event(event: &Event) -> Vec<u8> {
    let Event { at, cause, body } = event;
    let kind = Kind::of(event);
    let mut out = Encoder::new(Vec::with_capacity(EVENT_BYTES_USUAL));
    let mut put = || {
        out.u8(FORMAT)?.u16(kind.number())?.u16(kind.version_written())?;
        out.encode(v1::Head::of(*at, cause))?;
        let at = v1::At(*at);
        match body {
            EventBody::DeviceRegistered { device, class, key, name, decided } => {
                let decided = decided.as_deref();
                out.encode(v1::DeviceRegistered::of(device, *class, key, name, decided, at))
            }
            EventBody::DeviceRemoved { device, decided } => {
                out.encode(v1::DeviceRemoved::of(device, decided.as_deref(), at))
            }
            EventBody::Acquired(acquired) => out.encode(v1::Acquired::of(acquired, at)),
            EventBody::Reissued { license, term, facts, policy } => {
                out.encode(v1::Reissued::of(license, *term, facts, policy, at))
            }
            EventBody::Renewed(renewed) => out.encode(v1::Renewed::of(renewed, at)),
            EventBody::Released { license, by, returned, waits, policy } => {
                let how = (*returned, *waits);
                out.encode(v1::Released::of(license, by.as_ref(), how, policy.as_ref()))
            }
            EventBody::NeverStarted { license } => out.encode(v1::NeverStarted::of(license)),
            EventBody::CheckedIn { device, moved, facts, policy } => {
                out.encode(v1::CheckedIn::of(device, moved, facts, policy, at))
            }
            EventBody::PlaysRecorded { device, sequences, plays } => {
                out.encode(v1::PlaysRecorded::of(device, sequences, plays, at))
            }
            EventBody::DrmFailed { license, term } => out.encode(v1::DrmFailed::of(license, *term)),
            EventBody::Refused(refused) => out.encode(v1::Refused::of(refused, at)),
            EventBody::MemberChanged { facts, policy, leaving } => {
                out.encode(v1::MemberChanged::of(facts, policy, leaving, at))
            }
            EventBody::MembershipLapsed { policy, ends_at } => {
                out.encode(v1::MembershipLapsed::of(policy, *ends_at, at))
            }
            EventBody::MembershipResumed { warrant } => {
                out.encode(v1::MembershipResumed::of(warrant.as_ref()))
            }
            EventBody::Revoked { target, warrant } => out.encode(v1::Revoked::of(target, warrant)),
            EventBody::TitleWithdrawn { title } => out.encode(v1::TitleWithdrawn::of(title)),
            EventBody::ExceptionGranted { exception, allowance, warrant } => {
                out.encode(v1::ExceptionGranted::of(exception, allowance, warrant, at))
            }
            EventBody::ExceptionEnded { exception, warrant } => {
                out.encode(v1::ExceptionEnded::of(exception, warrant))
            }
        }
        .map(drop)
    };
    match put() {
        Ok(()) => out.into_writer(),
        Err(error) => never(&error),
    }
}

/// Writing to memory has no way to fail, and none of our shapes refuses to be written.
#[expect(clippy::panic, reason = "INVARIANT: encoding into a vector cannot fail")]
pub(crate) fn never(error: &minicbor::encode::Error<std::convert::Infallible>) -> ! {
    panic!("encoding into memory failed: {error}")
}

/// # Errors
/// When the bytes are damaged, or were written by a newer program.
pub fn decode_event(bytes: &[u8]) -> Result<Event, DecodeError> {
    let mut input = begin(bytes, FORMAT)?;
    let number = input.u16()?;
    let version = input.u16()?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.number() == number);
    let kind = kind.ok_or(DecodeError::Kind(number))?;
    let (at, cause) = item::<v1::Head<'_>>(&mut input)?.into_domain()?;
    let body = decode_body(kind, version, v1::At(at), &mut input)?;
    end(&input)?;
    Ok(Event { at, cause, body })
}

/// Behind the first byte, which is the format.
pub(crate) fn begin(bytes: &[u8], format: u8) -> Result<Decoder<'_>, DecodeError> {
    let mut input = Decoder::new(bytes);
    match bytes.first() {
        None => Err(DecodeError::Empty),
        Some(found) if *found == format => {
            input.u8()?;
            Ok(input)
        }
        Some(found) => Err(DecodeError::Format(*found)),
    }
}

/// Nothing may follow.
pub(crate) fn end(input: &Decoder<'_>) -> Result<(), DecodeError> {
    let (expected, found) = (input.position(), input.input().len());
    if expected == found { Ok(()) } else { Err(DecodeError::NotOfItsVersion { expected, found }) }
}

/// One arm for each version ever stored. A version 2 of `acquired` is read by an arm
/// `(Kind::Acquired, 2)` as `v2::Acquired`, and the arm of version 1 becomes
/// `v2::Acquired::from(item::<v1::Acquired>(input)?).into_domain(at)`.
fn decode_body(
    kind: Kind,
    version: u16,
    at: v1::At,
    input: &mut Decoder<'_>,
) -> Result<EventBody, DecodeError> {
    match (kind, version) {
        (Kind::DeviceRegistered, 1) => item::<v1::DeviceRegistered<'_>>(input)?.into_domain(at),
        (Kind::DeviceRemoved, 1) => item::<v1::DeviceRemoved<'_>>(input)?.into_domain(at),
        (Kind::Acquired, 1) => item::<v1::Acquired<'_>>(input)?.into_domain(at),
        (Kind::Reissued, 1) => item::<v1::Reissued<'_>>(input)?.into_domain(at),
        (Kind::Renewed, 1) => item::<v1::Renewed<'_>>(input)?.into_domain(at),
        (Kind::Released, 1) => item::<v1::Released<'_>>(input)?.into_domain(),
        (Kind::NeverStarted, 1) => item::<v1::NeverStarted<'_>>(input)?.into_domain(),
        (Kind::CheckedIn, 1) => item::<v1::CheckedIn<'_>>(input)?.into_domain(at),
        (Kind::PlaysRecorded, 1) => item::<v1::PlaysRecorded<'_>>(input)?.into_domain(at),
        (Kind::DrmFailed, 1) => item::<v1::DrmFailed<'_>>(input)?.into_domain(),
        (Kind::Refused, 1) => {
            let refused = item::<v1::Refused<'_>>(input)?.into_domain(at)?;
            Ok(EventBody::Refused(Box::new(refused)))
        }
        (Kind::MemberChanged, 1) => item::<v1::MemberChanged<'_>>(input)?.into_domain(at),
        (Kind::MembershipLapsed, 1) => item::<v1::MembershipLapsed<'_>>(input)?.into_domain(at),
        (Kind::MembershipResumed, 1) => Ok(item::<v1::MembershipResumed<'_>>(input)?.into_domain()),
        (Kind::Revoked, 1) => item::<v1::Revoked<'_>>(input)?.into_domain(),
        (Kind::TitleWithdrawn, 1) => item::<v1::TitleWithdrawn<'_>>(input)?.into_domain(),
        (Kind::ExceptionGranted, 1) => item::<v1::ExceptionGranted<'_>>(input)?.into_domain(at),
        (Kind::ExceptionEnded, 1) => item::<v1::ExceptionEnded<'_>>(input)?.into_domain(),
        (kind, version) => Err(DecodeError::Version { kind: kind.name(), version }),
    }
}

/// Reads one item and refuses anything in it that its type does not know. The derived readers
/// skip unknown fields and take unknown variants for absent; either makes the item longer than
/// what was understood of it.
pub(crate) fn item<'b, T>(input: &mut Decoder<'b>) -> Result<T, DecodeError>
where
    T: Decode<'b, ()> + Encode<()> + CborLen<()>,
{
    let start = input.position();
    let item: T = input.decode()?;
    let (expected, found) = (minicbor::len(&item), input.position() - start);
    if expected == found { Ok(item) } else { Err(DecodeError::NotOfItsVersion { expected, found }) }
}

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
