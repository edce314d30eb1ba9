//! The policy language: terms, caps and gates by partner, series and title.
//!
//! This is the checked form. How it is written down (TOML) is `codec`'s business; how requests
//! are counted against it is [`evaluate`].

mod effective;
pub mod evaluate;
mod guard;
mod model;

pub use effective::{Beginning, Effective};
pub use guard::{Asked, Comparison, Guard, GuardFact, Operand, Value};
pub use model::*;
