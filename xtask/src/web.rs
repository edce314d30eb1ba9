//! The web player: is Node there and new enough, are its packages installed, is it built.

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};

use crate::shell::{Shell, npm, on_path, root, say};
use crate::sources;

const NODE_NEEDED: &str = "Node.js ^20.19 or >=22.12";
const GET_NODE: &str = "install it from https://nodejs.org (or on Debian 13 and newer with \
    `sudo apt-get install nodejs npm`), then run this again";

pub(crate) fn build() -> anyhow::Result<()> {
    install()?;
    let mut paths = sources::below("web")?;
    paths.retain(|path| !path.starts_with("web/e2e/"));
    let built = root().join("web/player/dist/index.html");
    sources::once_for(&sources::fingerprint(&paths)?, &stamp("built"), &built, || {
        say("building the web player");
        npm(["run", "--silent", "build"]).run()
    })?;
    ensure!(built.is_file(), "the web build left no `web/player/dist/index.html`");
    Ok(())
}

/// The packages of the lock file, exactly.
pub(crate) fn install() -> anyhow::Result<()> {
    node()?;
    let mut manifests = sources::below("web")?;
    manifests.retain(|path| {
        ["package.json", "package-lock.json", ".npmrc"].iter().any(|name| path.ends_with(name))
    });
    let fingerprint = sources::fingerprint(&manifests)?;
    let installed = root().join("web/node_modules");
    sources::once_for(&fingerprint, &stamp("installed"), &installed, || {
        say("installing the packages of the web player (npm ci)");
        npm(["ci", "--no-audit"]).run()
    })
}

/// Inside `node_modules`, so that a stamp never outlives what it speaks of.
fn stamp(name: &str) -> PathBuf {
    root().join("web/node_modules").join(format!(".carnet-{name}"))
}

/// Is it there, new enough, and with its package manager?
pub(crate) fn node() -> anyhow::Result<()> {
    if on_path("node").is_none() {
        bail!(
            "{NODE_NEEDED} is needed to build the web player, and no `node` was found: {GET_NODE}"
        );
    }
    let printed = Shell::new("node").args(["--version"]).output()?;
    let printed = String::from_utf8_lossy(&printed);
    let version =
        version(&printed).with_context(|| format!("`node --version` said `{printed}`"))?;
    ensure!(
        new_enough(version),
        "{NODE_NEEDED} is needed to build the web player, and `node` is {}: {GET_NODE}",
        printed.trim()
    );
    ensure!(
        on_path("npm").is_some(),
        "`npm` comes with Node.js and was not found: install it with your package manager \
         (Debian: `sudo apt-get install npm`), then run this again"
    );
    Ok(())
}

/// `v20.19.1` → (20, 19)
fn version(printed: &str) -> Option<(u32, u32)> {
    let mut numbers = printed.trim().strip_prefix('v')?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn new_enough((major, minor): (u32, u32)) -> bool {
    match major {
        20 => minor >= 19,
        22 => minor >= 12,
        _ => major > 22,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_is_new_enough_as_the_web_tools_say() {
        let verdict = |printed| new_enough(version(printed).unwrap());
        for old in ["v18.20.4\n", "v20.18.3\n", "v21.7.0\n", "v22.11.0\n"] {
            assert!(!verdict(old), "{old}");
        }
        for new in ["v20.19.0\n", "v20.20.2\n", "v22.12.0\n", "v23.0.0\n", "v24.1.0\n"] {
            assert!(verdict(new), "{new}");
        }
        assert_eq!(version("nonsense"), None);
    }
}
