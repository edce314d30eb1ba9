//! The id of a content key: 16 bytes, public, the same in manifest, grant, lease and license.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::encoding;

/// Written as 32 hex digits in our own documents, as base64url in Clear Key ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 16]);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a key id: give 32 hex digits, with or without the dashes of a UUID")]
pub struct KeyIdError(String);

impl KeyId {
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub(crate) fn from_base64url(text: &str) -> Option<Self> {
        encoding::array_from_base64url(text).map(Self)
    }

    pub(crate) fn to_base64url(self) -> String {
        encoding::base64url(self.0)
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        let refused = || KeyIdError(text.chars().take(64).collect());
        let is_uuid = text.len() == 36
            && text.bytes().enumerate().all(|(i, b)| (b == b'-') == matches!(i, 8 | 13 | 18 | 23));
        let digits = if is_uuid { text.replace('-', "") } else { text.to_owned() };
        encoding::array_from_hex(&digits).map(Self).ok_or_else(refused)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encoding::hex(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encoding::hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "00112233445566778899aabbccddeeff";

    #[test]
    fn hex_in_either_case_and_uuids_are_key_ids() {
        let expected = KeyId::new([
            0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd,
            0xee, 0xff,
        ]);
        for text in [HEX, &HEX.to_uppercase(), "00112233-4455-6677-8899-aabbccddeeff"] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        assert_eq!(expected.to_string(), HEX);
        assert_eq!(KeyId::from_base64url(&expected.to_base64url()), Some(expected));
    }

    #[test]
    fn other_text_is_refused() {
        let long = HEX.repeat(100);
        let umlauts = "ä".repeat(16);
        for text in ["", "00", &HEX[1..], &long, "g0112233445566778899aabbccddeeff", &umlauts]
            .into_iter()
            .chain(["001122334-455-6677-8899-aabbccddeeff", "+0112233445566778899aabbccddeeff"])
        {
            assert!(text.parse::<KeyId>().is_err(), "{text}");
        }
    }
}
