//! Names of things. They are the customer's own: 1 to [`ID_BYTES_MAX`] bytes of printable
//! ASCII without blanks. `.` and `..` are refused, because ids travel in paths.
//!
//! Most are short, and those lie where they are used: comparing them follows no pointer, and copies
//! of them share no counter that two processors would have to agree on.

use std::borrow::Borrow;
use std::fmt;

use smol_str::SmolStr;

/// The longest id in bytes.
pub const ID_BYTES_MAX: usize = 128;

/// Why a text is not an id; the text itself is not kept, for it may be anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidId {
    Empty,
    TooLong {
        bytes: usize,
    },
    /// The byte at this position is a blank, a control character or outside ASCII.
    Byte {
        position: usize,
    },
    /// `.` or `..`
    Dots,
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "an id has at least one character"),
            Self::TooLong { bytes } => {
                write!(f, "an id has at most {ID_BYTES_MAX} bytes, this one has {bytes}")
            }
            Self::Byte { position } => write!(
                f,
                "an id is printable ASCII without blanks, character {} is not",
                position + 1
            ),
            Self::Dots => write!(f, "`.` and `..` are not ids"),
        }
    }
}

impl std::error::Error for InvalidId {}

fn check(id: &str) -> Result<(), InvalidId> {
    match id {
        "" => Err(InvalidId::Empty),
        "." | ".." => Err(InvalidId::Dots),
        _ if id.len() > ID_BYTES_MAX => Err(InvalidId::TooLong { bytes: id.len() }),
        _ => match id.bytes().position(|byte| !byte.is_ascii_graphic()) {
            Some(position) => Err(InvalidId::Byte { position }),
            None => Ok(()),
        },
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(SmolStr);

        impl $name {
            /// # Errors
            /// When the text is not 1 to 128 bytes of printable ASCII without blanks, or is dots.
            pub fn new(id: &str) -> Result<Self, InvalidId> {
                check(id).map(|()| Self(SmolStr::new(id)))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(id: &str) -> Result<Self, InvalidId> {
                Self::new(id)
            }
        }
    )*};
}

ids! {
    /// The paying account; every cap is counted inside one.
    MemberId
    /// An installation that can hold licenses; belongs to its member.
    DeviceId
    /// A person inside a member.
    ProfileId
    /// Something playable.
    TitleId
    /// The series a title belongs to.
    SeriesId
    /// The studio or rights holder a title comes from.
    PartnerId
    /// Permission for one device to play one title offline; survives renewals.
    LicenseId
    /// What a member subscribes to.
    Plan
    /// What kind of account a member is, by the customer's word (`owner`, `extra`).
    Account
    /// A word that the catalogue gives a title.
    Tag
    /// Where the request comes from, by the customer's word (`DE`, `US`).
    Territory
    /// How strongly a device protects content, by the customer's word (`L1`, `SL3000`).
    SecurityLevel
    /// Names a cap or a gate of the policy.
    RuleId
    /// An allowance that support gives one member.
    ExceptionId
    /// The hash of a policy's content, time-zone data and evaluation semantics.
    PolicyVersion
    /// Thumbprint (RFC 7638, base64url) of a device's public key.
    KeyThumbprint
    /// Chosen by the caller; binds a retry to the command it repeats.
    IdempotencyKey
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_customers_own_within_bounds() {
        let longest = "x".repeat(ID_BYTES_MAX);
        for id in ["a", "10.5240/7791-8534-2C23-9030-8610-5", "auth0|5f7c8ec7", "...", &longest] {
            assert_eq!(TitleId::new(id).unwrap().as_str(), id);
        }
        for (id, error) in [
            ("", InvalidId::Empty),
            (".", InvalidId::Dots),
            ("..", InvalidId::Dots),
            ("two words", InvalidId::Byte { position: 3 }),
            ("café", InvalidId::Byte { position: 3 }),
            ("line\n", InvalidId::Byte { position: 4 }),
            (&"x".repeat(129), InvalidId::TooLong { bytes: 129 }),
        ] {
            assert_eq!(TitleId::new(id), Err(error), "{id:?}");
        }
    }
}
