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

use anyhow::{anyhow, ensure};
use codec::policy::{Loaded, SCENARIO_ENDING, load_dir_within, load_file_within};
use domain::Duration;
use domain::policy::HORIZON_MAX;

pub(crate) use check::check;
pub(crate) use diff::diff;
pub(crate) use explain::explain;
pub(crate) use replay::replay;
pub(crate) use test::test;

/// By the name of a file.
fn has_scenarios(path: &Path) -> bool {
    path.to_string_lossy().ends_with(SCENARIO_ENDING)
}

/// A directory, or a policy of one file, whatever the store remembers that it is for.
fn load(path: &Path) -> anyhow::Result<Loaded> {
    load_within(path, HORIZON_MAX)
}

fn load_within(path: &Path, horizon: Duration) -> anyhow::Result<Loaded> {
    ensure!(
        !path.is_file() || !has_scenarios(path),
        "`{}` has scenarios and no policy; `carnet policy test` tries them",
        path.display()
    );
    let loaded = match path.is_file() {
        true => load_file_within(path, horizon),
        false => load_dir_within(path, horizon),
    };
    loaded.map_err(|errors| anyhow!("{errors}"))
}
