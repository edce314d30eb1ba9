//! `carnet policy check`: everything that is wrong with a policy directory, or what is in it.

use std::path::Path;

use anyhow::anyhow;

pub(crate) fn check(directory: &Path) -> anyhow::Result<()> {
    let loaded = codec::policy::load_dir(directory).map_err(|errors| anyhow!("{errors}"))?;
    println!("`{}` is in order: policy {}", directory.display(), loaded.policy.version);
    Ok(())
}
