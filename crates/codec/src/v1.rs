//! Version 1 of every stored shape. Added to, never edited.
//!
//! Fields are numbered, and no number is used twice. Instants are milliseconds from the time of
//! the event that holds them, because most are near it and small numbers are short. What says
//! nothing (an absent fact, an empty list, a length of none) is left out.

mod around;
mod bodies;
mod facts;
mod refused;
mod scalar;

pub(crate) use around::{
    Allowance, ExceptionEnded, ExceptionGranted, MemberChanged, MembershipLapsed,
    MembershipResumed, Revoked, TitleWithdrawn, Warrant,
};
pub(crate) use bodies::{
    Acquired, CheckedIn, DeviceRegistered, DeviceRemoved, DrmFailed, Head, NeverStarted,
    PlaysRecorded, Reissued, Released, Renewed,
};
pub(crate) use facts::{Facts, Term};
pub(crate) use refused::Refused;
pub(crate) use scalar::{At, Class, CountedKind, Key, list, optional, words};
