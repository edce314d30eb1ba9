//! `carnet policy check`: everything that is wrong with a policy, or looks so.

use std::path::Path;

use anyhow::ensure;
use codec::policy::lint::lint;
use domain::Duration;

use super::load_within;

pub(crate) fn check(path: &Path, strict: bool, horizon: Duration) -> anyhow::Result<()> {
    let loaded = load_within(path, horizon)?;
    let warnings = lint(&loaded);
    for warning in &warnings {
        say!("warning: {warning}");
    }
    // The strict reading is a good one: it is told, and nobody has to write it out.
    for unsaid in &loaded.unsaid {
        say!("note: {unsaid}");
    }
    let (path, version) = (path.display(), &loaded.policy.version);
    match warnings.len() {
        0 => say!("`{path}` is in order: policy {version}"),
        number => {
            let warnings = if number == 1 { "warning" } else { "warnings" };
            ensure!(!strict, "`{path}` can be used, and has {number} {warnings}");
            say!("`{path}` can be used, and has {number} {warnings}: policy {version}");
        }
    }
    Ok(())
}
