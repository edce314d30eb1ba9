//! What Debian's packages can bring: installed where that is allowed, else named with the command.
//!
//! It does not know what anything is needed for.

use crate::shell::{Shell, on_path, say};

/// Root on Debian may: nobody else is asked for a password in the middle of a chore.
/// False when nothing was tried.
pub(crate) fn install(packages: &[&str]) -> anyhow::Result<bool> {
    if on_path("apt-get").is_none() || !is_root()? {
        return Ok(false);
    }
    say(&format!("installing {} (apt-get)", packages.join(", ")));
    let apt = |arguments: &[&str]| {
        Shell::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive")
    };
    apt(&["update", "--quiet"]).run()?;
    let install = ["install", "--quiet", "--yes", "--no-install-recommends"];
    apt(&install).args(packages).run()?;
    Ok(true)
}

/// What somebody types who may.
pub(crate) fn command(packages: &[&str]) -> String {
    format!("sudo apt-get install --no-install-recommends {}", packages.join(" "))
}

fn is_root() -> anyhow::Result<bool> {
    Ok(Shell::new("id").args(["-u"]).output()?.trim_ascii() == b"0")
}
