//! `carnet policy …`: what a policy says, whether it is in order, and whether it does what is
//! expected of it.
//!
//! Here is only what is typed and printed; `codec::policy` knows policies.

mod replay;
mod test;

use std::path::Path;

use anyhow::anyhow;
use codec::policy::Loaded;

pub(crate) use replay::replay;
pub(crate) use test::test;

pub(crate) fn check(directory: &Path) -> anyhow::Result<()> {
    let loaded = load(directory)?;
    println!("`{}` is in order: policy {}", directory.display(), loaded.policy.version);
    Ok(())
}

fn load(directory: &Path) -> anyhow::Result<Loaded> {
    codec::policy::load_dir(directory).map_err(|errors| anyhow!("{errors}"))
}
