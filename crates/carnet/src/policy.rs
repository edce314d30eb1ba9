//! `carnet policy …`: whether a policy is in order, what it says, what changes by it, and whether
//! it answers as expected.
//!
//! Here is only what is typed and printed; `codec::policy` knows policies.

mod check;
mod diff;
mod explain;
mod replay;
mod test;

use std::path::Path;

use anyhow::anyhow;
use codec::policy::{Loaded, load_dir, load_file};

pub(crate) use check::check;
pub(crate) use diff::diff;
pub(crate) use explain::explain;
pub(crate) use replay::replay;
pub(crate) use test::test;

/// A directory, or a policy of one file.
fn load(path: &Path) -> anyhow::Result<Loaded> {
    let loaded = if path.is_file() { load_file(path) } else { load_dir(path) };
    loaded.map_err(|errors| anyhow!("{errors}"))
}
