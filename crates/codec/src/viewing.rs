//! Uploads of raw session events, as the viewing log keeps them: one stored record per upload.
//!
//! ```text
//! format   1: what follows is as described here. It is also the first byte.
//! version  of the upload's shape, from 1
//! upload   who sent it when, and what was seen
//! ```

use domain::{DeviceId, LicenseId, Timestamp, TitleId};
use minicbor::{CborLen, Decode, Encode, Encoder};

use crate::event::{DecodeError, begin, end, item, never};
use crate::v1::{At, list, optional, words};

const FORMAT: u8 = 1;
/// What is written; every version before it is read.
const VERSION: u16 = 2;

/// What a device sent at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    pub device: DeviceId,
    /// By the server's clock.
    pub received_at: Timestamp,
    pub events: Vec<RawEvent>,
}

/// What a device saw during playback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawEvent {
    /// Of the device, from 1: what is reported again bears the same number.
    pub sequence: u64,
    /// The playback session, by the device's word.
    pub session: String,
    pub title: TitleId,
    /// The offline license and the term it was played under; absent when streaming.
    pub license: Option<(LicenseId, u32)>,
    pub what: SessionEvent,
    /// Corrected for the device's clock.
    pub occurred_at: Timestamp,
    /// By the device's own clock.
    pub device_at: Timestamp,
    /// How far that clock stood below the highest time it had seen, where the device says so: one
    /// that was set back.
    pub clock_behind_ms: Option<u64>,
    pub position_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionEvent {
    Start,
    Pause,
    Resume,
    KeepAlive,
    Stop,
}

impl SessionEvent {
    pub const ALL: [Self; 5] =
        [Self::Start, Self::Pause, Self::Resume, Self::KeepAlive, Self::Stop];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::KeepAlive => "keep_alive",
            Self::Stop => "stop",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.name() == name)
    }
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
struct UploadV1<'b> {
    #[b(0)]
    device: &'b str,
    #[n(1)]
    received_at: i64,
    #[b(2)]
    events: Vec<RawEventV1<'b>>,
}

/// Instants are milliseconds from the receipt of the upload.
#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
struct RawEventV1<'b> {
    #[n(0)]
    sequence: u64,
    #[b(1)]
    session: &'b str,
    #[b(2)]
    title: &'b str,
    #[b(3)]
    license: Option<&'b str>,
    #[n(4)]
    term: Option<u32>,
    #[n(5)]
    what: What,
    #[n(6)]
    occurred_at: i64,
    #[n(7)]
    device_at: i64,
    #[n(8)]
    position_ms: Option<u64>,
}

/// As before, and how far the device's clock stood behind.
#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
struct UploadV2<'b> {
    #[b(0)]
    device: &'b str,
    #[n(1)]
    received_at: i64,
    #[b(2)]
    events: Vec<RawEventV2<'b>>,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
struct RawEventV2<'b> {
    #[n(0)]
    sequence: u64,
    #[b(1)]
    session: &'b str,
    #[b(2)]
    title: &'b str,
    #[b(3)]
    license: Option<&'b str>,
    #[n(4)]
    term: Option<u32>,
    #[n(5)]
    what: What,
    #[n(6)]
    occurred_at: i64,
    #[n(7)]
    device_at: i64,
    #[n(8)]
    position_ms: Option<u64>,
    #[n(9)]
    clock_behind_ms: Option<u64>,
}

impl<'b> From<UploadV1<'b>> for UploadV2<'b> {
    fn from(v1: UploadV1<'b>) -> Self {
        let UploadV1 { device, received_at, events } = v1;
        Self { device, received_at, events: events.into_iter().map(Into::into).collect() }
    }
}

impl<'b> From<RawEventV1<'b>> for RawEventV2<'b> {
    /// Version 1 had no place for `clock_behind_ms`: what a device said of it then is not known.
    fn from(v1: RawEventV1<'b>) -> Self {
        let RawEventV1 {
            sequence,
            session,
            title,
            license,
            term,
            what,
            occurred_at,
            device_at,
            position_ms,
        } = v1;
        Self {
            sequence,
            session,
            title,
            license,
            term,
            what,
            occurred_at,
            device_at,
            position_ms,
            clock_behind_ms: None,
        }
    }
}

words! {
    What = SessionEvent { 0 Start 1 Pause 2 Resume 3 KeepAlive 4 Stop }
}

pub fn encode_upload(upload: &Upload) -> Vec<u8> {
    let Upload { device, received_at, events } = upload;
    let at = At(*received_at);
    let stored = UploadV2 {
        device: device.as_str(),
        received_at: received_at.as_millis(),
        events: events.iter().map(|event| RawEventV2::of(event, at)).collect(),
    };
    let mut out = Encoder::new(Vec::new());
    let put = out.u8(FORMAT).and_then(|out| out.u16(VERSION)).and_then(|out| out.encode(stored));
    match put.map(drop) {
        Ok(()) => out.into_writer(),
        Err(error) => never(&error),
    }
}

/// # Errors
/// When the bytes are damaged, or were written by a newer program.
pub fn decode_upload(bytes: &[u8]) -> Result<Upload, DecodeError> {
    let mut input = begin(bytes, FORMAT)?;
    let version = input.u16()?;
    let stored = match version {
        1 => item::<UploadV1<'_>>(&mut input)?.into(),
        2 => item::<UploadV2<'_>>(&mut input)?,
        _ => return Err(DecodeError::Version { kind: "session_events", version }),
    };
    let UploadV2 { device, received_at, events } = stored;
    end(&input)?;
    let received_at = At(Timestamp::from_millis(0)).instant(received_at)?;
    Ok(Upload {
        device: DeviceId::new(device)?,
        received_at,
        events: list(events, |event| event.into_plain(At(received_at)))?,
    })
}

impl<'b> RawEventV2<'b> {
    fn of(event: &'b RawEvent, at: At) -> Self {
        let RawEvent {
            sequence,
            session,
            title,
            license,
            what,
            occurred_at,
            device_at,
            clock_behind_ms,
            position_ms,
        } = event;
        Self {
            sequence: *sequence,
            session,
            title: title.as_str(),
            license: license.as_ref().map(|(license, _)| license.as_str()),
            term: license.as_ref().map(|(_, term)| *term),
            what: (*what).into(),
            occurred_at: at.to(*occurred_at),
            device_at: at.to(*device_at),
            position_ms: *position_ms,
            clock_behind_ms: *clock_behind_ms,
        }
    }

    fn into_plain(self, at: At) -> Result<RawEvent, DecodeError> {
        let license = optional(self.license, |license| Ok(LicenseId::new(license)?))?;
        let license = match (license, self.term) {
            (Some(license), Some(term)) => Some((license, term)),
            (None, None) => None,
            _ => return Err(DecodeError::Invalid { what: "a license without its term" }),
        };
        Ok(RawEvent {
            sequence: self.sequence,
            session: self.session.to_owned(),
            title: TitleId::new(self.title)?,
            license,
            what: self.what.into(),
            occurred_at: at.instant(self.occurred_at)?,
            device_at: at.instant(self.device_at)?,
            clock_behind_ms: self.clock_behind_ms,
            position_ms: self.position_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload() -> Upload {
        let at = |ms: i64| Timestamp::from_millis(1_790_000_000_000 + ms);
        let event = |sequence, what, license| RawEvent {
            sequence,
            session: "s-1".to_owned(),
            title: TitleId::new("arctic-light").unwrap(),
            license,
            what,
            occurred_at: at(-86_400_000),
            device_at: at(-86_000_000),
            clock_behind_ms: (sequence == 2).then_some(60_000),
            position_ms: Some(17),
        };
        let license = Some((LicenseId::new("l-1").unwrap(), 2));
        Upload {
            device: DeviceId::new("phone").unwrap(),
            received_at: at(0),
            events: vec![
                event(1, SessionEvent::Start, license),
                event(2, SessionEvent::Stop, None),
            ],
        }
    }

    #[test]
    fn an_upload_comes_back_as_it_went_in() {
        assert_eq!(decode_upload(&encode_upload(&upload())).unwrap(), upload());
    }

    /// Golden: what was stored by any version reads for ever.
    #[test]
    fn every_version_is_read_for_ever() {
        let bytes = include_bytes!("../fixtures/viewing/session_events.v2.cbor");
        assert_eq!(decode_upload(bytes).unwrap(), upload());
        assert_eq!(encode_upload(&upload()), bytes, "what is written now has its bytes here");

        let bytes = include_bytes!("../fixtures/viewing/session_events.v1.cbor");
        let mut first = upload();
        first.events.iter_mut().for_each(|event| event.clock_behind_ms = None);
        assert_eq!(decode_upload(bytes).unwrap(), first);
    }

    #[test]
    fn what_is_damaged_or_newer_is_refused() {
        let bytes = encode_upload(&upload());
        for cut in 0..bytes.len() {
            assert!(decode_upload(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let mut newer = bytes.clone();
        newer[1] = 3;
        let error = decode_upload(&newer).unwrap_err().to_string();
        assert!(error.contains("run a newer carnet"), "{error}");
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(decode_upload(&longer).is_err());
    }
}
