//! Every dependency's license is on a list of those we allow: Rust from `cargo metadata`, npm from
//! the lock file and the installed packages. Asks nobody outside.

use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::shell::{cargo, root};
use crate::sources;

/// Permissive, or weak copyleft by file that asks nothing of those who only use it.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "BlueOak-1.0.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "OFL-1.1", // fonts
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// What says its license in no machine's words, and was read by a person.
const READ: &[(&str, &str)] = &[
    // Its LICENSE file. A tool for who makes the sample films again; nothing of it is shipped.
    ("npm shaka-packager", "BSD-3-Clause"),
];

pub(crate) fn run() -> anyhow::Result<()> {
    let mut dependencies = rust()?;
    dependencies.extend(npm()?);
    let mut complaints = Vec::new();
    for Dependency { name, license } in &dependencies {
        if READ.iter().any(|(read, license)| is_of(name, read) && ALLOWED.contains(license)) {
            continue;
        }
        match license.as_deref().map(allowed) {
            Some(Ok(true)) => {}
            Some(Ok(false)) => complaints.push(format!(
                "{name}: `{}` is not on the list",
                license.as_deref().unwrap_or_default()
            )),
            Some(Err(error)) => complaints.push(format!("{name}: {error:#}")),
            None => complaints.push(format!("{name}: says no license")),
        }
    }
    if !complaints.is_empty() {
        bail!(
            "licenses:\n  {}\nreplace the dependency, or add its license to `ALLOWED` in \
             xtask/src/licenses.rs with a reason",
            complaints.join("\n  ")
        );
    }
    println!("licenses: {} dependencies, all allowed", dependencies.len());
    Ok(())
}

/// `npm name 1.2.3` is of `npm name`.
fn is_of(name: &str, package: &str) -> bool {
    name.rsplit_once(' ').is_some_and(|(name, _version)| name == package)
}

struct Dependency {
    name: String,
    license: Option<String>,
}

/// All of the lock file, other platforms included.
fn rust() -> anyhow::Result<Vec<Dependency>> {
    let metadata = cargo(["metadata", "--format-version", "1", "--locked"]).output()?;
    let metadata: Value = serde_json::from_slice(&metadata)?;
    let packages = metadata
        .get("packages")
        .and_then(Value::as_array)
        .context("no packages in `cargo metadata`")?;
    Ok(packages
        .iter()
        .map(|package| Dependency {
            name: format!("crate {} {}", text(&package["name"]), text(&package["version"])),
            license: package["license"].as_str().map(str::to_owned),
        })
        .collect())
}

/// All of the lock file, tools included: which of them leaves something in the bundle is hard to
/// say, and a license that is fine for both spares us the question.
fn npm() -> anyhow::Result<Vec<Dependency>> {
    let mut dependencies = Vec::new();
    for path in sources::below("")?.iter().filter(|path| path.ends_with("package-lock.json")) {
        dependencies.extend(locked(path)?);
    }
    Ok(dependencies)
}

fn locked(lock_file: &str) -> anyhow::Result<Vec<Dependency>> {
    let folder = root().join(lock_file).with_file_name("");
    let lock = sources::text(lock_file)?.context("a lock file is text")?;
    let lock: Value =
        serde_json::from_str(&lock).with_context(|| format!("reading `{lock_file}`"))?;
    let packages = lock
        .get("packages")
        .and_then(Value::as_object)
        .with_context(|| format!("no packages in `{lock_file}`"))?;
    Ok(packages
        .iter()
        // Ours are linked, or stand outside `node_modules`.
        .filter(|(path, package)| path.contains("node_modules/") && package["link"] != true)
        .map(|(path, package)| Dependency {
            name: format!(
                "npm {} {}",
                path.replace("node_modules/", ""),
                text(&package["version"])
            ),
            license: package["license"]
                .as_str()
                .map(str::to_owned)
                .or_else(|| installed(&folder.join(path))),
        })
        .collect())
}

fn installed(package: &Path) -> Option<String> {
    let manifest = std::fs::read(package.join("package.json")).ok()?;
    let manifest: Value = serde_json::from_slice(&manifest).ok()?;
    Some(manifest.get("license")?.as_str()?.to_owned())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

/// Evaluates an SPDX expression: `OR` binds weaker than `AND`, which binds weaker than `WITH`.
fn allowed(expression: &str) -> anyhow::Result<bool> {
    // `/` is how crates wrote `OR` before there was SPDX.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut words = words.as_slice();
    let verdict = any(&mut words).with_context(|| format!("cannot read `{expression}`"))?;
    match words {
        [] => Ok(verdict),
        [rest, ..] => bail!("cannot read `{expression}` from `{rest}` on"),
    }
}

fn any(words: &mut &[&str]) -> anyhow::Result<bool> {
    let mut verdict = all(words)?;
    while let ["OR", rest @ ..] = *words {
        *words = rest;
        verdict |= all(words)?;
    }
    Ok(verdict)
}

fn all(words: &mut &[&str]) -> anyhow::Result<bool> {
    let mut verdict = one(words)?;
    while let ["AND", rest @ ..] = *words {
        *words = rest;
        verdict &= one(words)?;
    }
    Ok(verdict)
}

fn one(words: &mut &[&str]) -> anyhow::Result<bool> {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let verdict = any(words)?;
            let [")", rest @ ..] = *words else { bail!("a parenthesis stays open") };
            *words = rest;
            Ok(verdict)
        }
        [license, "WITH", exception, rest @ ..] => {
            *words = rest;
            Ok(ALLOWED.contains(&format!("{license} WITH {exception}").as_str()))
        }
        [license, rest @ ..] => {
            *words = rest;
            Ok(ALLOWED.contains(license))
        }
        [] => bail!("a license is missing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_as_spdx_says() {
        for yes in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0 OR MIT",
            "(MIT OR GPL-3.0) AND Zlib",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
            "GPL-2.0 AND GPL-3.0 OR MIT",
        ] {
            assert!(allowed(yes).unwrap(), "{yes}");
        }
        for no in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT OR GPL-3.0) AND GPL-2.0",
            "MIT WITH some-exception",
        ] {
            assert!(!allowed(no).unwrap(), "{no}");
        }
        for nonsense in ["", "(MIT", "MIT Apache-2.0", "MIT OR"] {
            assert!(allowed(nonsense).is_err(), "{nonsense}");
        }
    }
}
