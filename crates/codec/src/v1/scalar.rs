//! Ids, hashes, instants and closed lists of words.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Duration, InvalidId, KeyThumbprint, PolicyVersion, Timestamp};
use minicbor::bytes::ByteArray;
use minicbor::data::Type;
use minicbor::{CborLen, Decode, Decoder, Encode, Encoder};

use crate::event::DecodeError;

/// The time of the event, from which its other instants are counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At(pub(crate) Timestamp);

impl At {
    pub(crate) const fn to(self, instant: Timestamp) -> i64 {
        instant.as_millis() - self.0.as_millis()
    }

    pub(crate) fn instant(self, ms: i64) -> Result<Timestamp, DecodeError> {
        instant(self.0.as_millis().checked_add(ms))
    }
}

/// An instant by itself.
pub(super) fn absolute(ms: i64) -> Result<Timestamp, DecodeError> {
    instant(Some(ms))
}

/// The domain clamps what is out of its bounds; what was stored is not changed in reading.
fn instant(ms: Option<i64>) -> Result<Timestamp, DecodeError> {
    ms.map(Timestamp::from_millis)
        .filter(|instant| Some(instant.as_millis()) == ms)
        .ok_or(DecodeError::Invalid { what: "an instant" })
}

/// A length of time in milliseconds.
pub(crate) fn length(ms: u64) -> Result<Duration, DecodeError> {
    let ms = i64::try_from(ms).map_err(|_| DecodeError::Invalid { what: "a length of time" })?;
    Ok(Duration::from_millis(ms))
}

pub(super) const fn length_ms(length: Duration) -> u64 {
    length.as_millis().unsigned_abs()
}

impl From<InvalidId> for DecodeError {
    fn from(_: InvalidId) -> Self {
        Self::Invalid { what: "an id" }
    }
}

/// Reads what may be absent.
pub(crate) fn optional<S, T>(
    stored: Option<S>,
    read: impl Fn(S) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    stored.map(read).transpose()
}

/// Reads a list.
pub(crate) fn list<S, T, C: FromIterator<T>>(
    stored: Vec<S>,
    read: impl Fn(S) -> Result<T, DecodeError>,
) -> Result<C, DecodeError> {
    stored.into_iter().map(read).collect()
}

/// Whether a field says nothing, and is left out.
pub(super) fn nothing<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The same of a flag, where the derived code hands in a reference to a reference.
pub(super) const fn off(flag: &bool) -> bool {
    !*flag
}

/// A text that stands for `N` bytes: stored as the bytes, where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packed<'b, const N: usize> {
    Bytes([u8; N]),
    Text(&'b str),
}

/// Thumbprint of a device's key: base64url of a SHA-256.
pub(crate) type Key<'b> = Packed<'b, 32>;
/// Version of a policy: `p1-` and 32 hexadecimal digits.
pub(crate) type Policy<'b> = Packed<'b, 16>;

const POLICY_PREFIX: &str = "p1-";

impl<'b> Key<'b> {
    pub(crate) fn of(key: &'b KeyThumbprint) -> Self {
        let mut bytes = [0; 32];
        // Strict: a text with stray bits at its end would come back as another text.
        match URL_SAFE_NO_PAD.decode_slice(key.as_str(), &mut bytes) {
            Ok(32) => Self::Bytes(bytes),
            _ => Self::Text(key.as_str()),
        }
    }

    pub(crate) fn into_domain(self) -> Result<KeyThumbprint, DecodeError> {
        match self {
            Self::Bytes(bytes) => Ok(KeyThumbprint::new(&URL_SAFE_NO_PAD.encode(bytes))?),
            Self::Text(text) => Ok(KeyThumbprint::new(text)?),
        }
    }
}

impl<'b> Policy<'b> {
    pub(crate) fn of(version: &'b PolicyVersion) -> Self {
        let text = version.as_str();
        match text.strip_prefix(POLICY_PREFIX).and_then(hex) {
            Some(bytes) => Self::Bytes(bytes),
            None => Self::Text(text),
        }
    }

    pub(crate) fn into_domain(self) -> Result<PolicyVersion, DecodeError> {
        match self {
            Self::Bytes(bytes) => {
                let mut text = String::with_capacity(POLICY_PREFIX.len() + 32);
                text.push_str(POLICY_PREFIX);
                for byte in bytes {
                    for digit in [byte >> 4, byte & 15] {
                        text.extend(char::from_digit(digit.into(), 16));
                    }
                }
                Ok(PolicyVersion::new(&text)?)
            }
            Self::Text(text) => Ok(PolicyVersion::new(text)?),
        }
    }
}

/// 32 lower-case digits, and nothing else.
fn hex(text: &str) -> Option<[u8; 16]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let pairs: &[[u8; 2]; 16] = pairs.try_into().ok()?;
    let mut bytes = [0; 16];
    for (byte, [high, low]) in bytes.iter_mut().zip(*pairs) {
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

impl<C, const N: usize> Encode<C> for Packed<'_, N> {
    fn encode<W: minicbor::encode::Write>(
        &self,
        out: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        match self {
            Self::Bytes(bytes) => out.bytes(bytes)?,
            Self::Text(text) => out.str(text)?,
        };
        Ok(())
    }
}

impl<'b, C, const N: usize> Decode<'b, C> for Packed<'b, N> {
    fn decode(input: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        match input.datatype()? {
            Type::Bytes => Ok(Self::Bytes(*ByteArray::decode(input, ctx)?)),
            _ => Ok(Self::Text(input.str()?)),
        }
    }
}

impl<C, const N: usize> CborLen<C> for Packed<'_, N> {
    fn cbor_len(&self, ctx: &mut C) -> usize {
        match self {
            Self::Bytes(bytes) => ByteArray::from(*bytes).cbor_len(ctx),
            Self::Text(text) => text.cbor_len(ctx),
        }
    }
}

/// Closed lists of words, stored by number. A word that the domain gains does not compile until
/// it has one.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $domain:ty { $($number:tt $word:ident)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Encode, Decode, CborLen)]
        #[cbor(index_only)]
        pub(crate) enum $name { $(#[n($number)] $word,)* }

        impl From<$domain> for $name {
            fn from(word: $domain) -> Self {
                match word { $(<$domain>::$word => Self::$word,)* }
            }
        }

        impl From<$name> for $domain {
            fn from(stored: $name) -> Self {
                match stored { $($name::$word => Self::$word,)* }
            }
        }
    )*};
}
pub(crate) use words;

words! {
    Class = domain::DeviceClass { 0 Phone 1 Tablet 2 Tv 3 Desktop 4 Web }

    Scope = domain::policy::ScopeKey {
        0 Profile 1 Device 2 DeviceClass 3 Partner 4 Series 5 Title 6 Tag
    }

    /// Why a request is refused.
    Reason = domain::member::Code {
        0 DeviceUnknown
        1 DeviceRemoved
        2 DeviceKeyMismatch
        3 LicenseUnknown
        4 LicenseClosed
        5 LicenseOfOtherDevice
        6 TermUnknown
        7 TitleUnknown
        8 RenewalTooEarly
        9 RenewalTooLate
        10 RenewalsExhausted
        11 TermOverAtBirth
        12 TitleNotOffered
        13 TitleNotYetAvailable
        14 TitleNoLongerAvailable
        15 TitleNotDownloadable
        16 PlanNotAllowed
        17 TerritoryNotAllowed
        18 DeviceClassNotAllowed
        19 CapReached
        20 AutoRenewalTooSoon
        21 SecurityLevelNotAllowed
        22 AccountNotAllowed
        23 MaturityNotAllowed
        24 MemberRevoked
        25 MembershipLapsed
        26 DeviceRevoked
        27 DeviceLeaving
        28 RuleUnknown
        29 ExceptionOver
        30 ExceptionUnknown
        31 TooManyStreams
        32 DeviceElsewhere
    }
}

words! {
    /// A kind of event that caps count.
    CountedKind = domain::member::CountedKind {
        0 Acquired
        1 Renewed
        2 FirstPlayed
        3 Played
        4 DeviceRegistered
        5 DeviceSwapped
        6 DeviceRemoved
    }
}

/// What a cap counts: a number for what is true now, and a set of kinds for events. The sets that
/// were known first have numbers of their own; others are a bit for each kind behind
/// [`Counts::SETS`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts(domain::policy::Counts);

impl Counts {
    const SETS: u8 = 128;

    /// In the order of their numbers, from 0.
    const NUMBERED: [domain::policy::Counts; 8] = {
        use domain::member::CountedKind::{Acquired, Renewed};
        use domain::policy::Counts::{
            ActiveLicenses, DevicesHolding, DevicesRegistered, DistinctTitles, Events,
        };
        use domain::policy::Kinds;
        [
            ActiveLicenses,
            DevicesHolding,
            Events(Kinds::of(&[Acquired])),
            Events(Kinds::of(&[Renewed])),
            Events(Kinds::of(&[Acquired, Renewed])),
            Events(Kinds::of(&[])),
            DistinctTitles,
            DevicesRegistered,
        ]
    };

    fn number(self) -> u8 {
        let numbered = (0..).zip(Self::NUMBERED).find(|(_, counts)| *counts == self.0);
        match (numbered, self.0) {
            (Some((number, _)), _) => number,
            (None, domain::policy::Counts::Events(kinds)) => {
                Self::SETS | kinds.iter().fold(0, |bits, kind| bits | 1 << kind as u8)
            }
            (None, _) => u8::MAX, // Every other one is numbered.
        }
    }

    fn numbered(number: u8) -> Option<Self> {
        if let Some(counts) = Self::NUMBERED.get(usize::from(number)) {
            return Some(Self(*counts));
        }
        let bits = number.checked_sub(Self::SETS)?;
        let kinds = domain::member::CountedKind::ALL.into_iter();
        let kinds: Vec<_> = kinds.filter(|kind| bits & (1 << *kind as u8) != 0).collect();
        let counts = Self(domain::policy::Counts::Events(domain::policy::Kinds::of(&kinds)));
        // One way to write each.
        (counts.number() == number).then_some(counts)
    }
}

impl<C> Encode<C> for Counts {
    fn encode<W: minicbor::encode::Write>(
        &self,
        out: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        out.u8(self.number())?;
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for Counts {
    fn decode(input: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let number = input.u8()?;
        Self::numbered(number)
            .ok_or_else(|| minicbor::decode::Error::message("what is counted is not known"))
    }
}

impl<C> CborLen<C> for Counts {
    fn cbor_len(&self, ctx: &mut C) -> usize {
        self.number().cbor_len(ctx)
    }
}

impl From<domain::policy::Counts> for Counts {
    fn from(counts: domain::policy::Counts) -> Self {
        Self(counts)
    }
}

impl From<Counts> for domain::policy::Counts {
    fn from(stored: Counts) -> Self {
        stored.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only what comes back as the same text is stored as bytes.
    #[test]
    fn texts_are_packed_only_when_they_come_back() {
        let thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
        for (text, packed) in [
            (thumbprint, true),
            ("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xt", false), // stray bits at the end
            ("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs=", false),
            ("NzbLsXh8uDCcd+6MNwXF4W/7noWXFZAfHkxZsRGC9Xs", false), // the other alphabet
            ("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Q", false),  // 31 bytes
            ("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9XtA", false), // 33 bytes
        ] {
            let text = KeyThumbprint::new(text).unwrap();
            let stored = Key::of(&text);
            assert_eq!(matches!(stored, Packed::Bytes(_)), packed, "{text}");
            assert_eq!(stored.into_domain().unwrap(), text);
        }
        for (text, packed) in [
            ("p1-00112233445566778899aabbccddeeff", true),
            ("p1-00112233445566778899AABBCCDDEEFF", false),
            ("p1-00112233445566778899aabbccddee", false),
            ("p1-00112233445566778899aabbccddeeff0", false),
            ("p1-00112233445566778899aabbccddeefg", false),
            ("p2-00112233445566778899aabbccddeeff", false),
        ] {
            let text = PolicyVersion::new(text).unwrap();
            let stored = Policy::of(&text);
            assert_eq!(matches!(stored, Packed::Bytes(_)), packed, "{text}");
            assert_eq!(stored.into_domain().unwrap(), text);
        }
    }
}
