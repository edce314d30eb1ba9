//! The files of the repository: what people wrote, not what builds and runs leave behind.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use anyhow::Context as _;

use crate::shell::root;

/// What builds and runs leave behind. The same as in `.gitignore`, which is not asked, so that an
/// unpacked archive works as well as a clone.
const LEFT_BEHIND: &[&str] = &["node_modules", "dist", "/target", "/data", "/artifacts", ".git"];

/// Files below a folder, as sorted paths relative to the root.
pub(crate) fn below(folder: &str) -> anyhow::Result<Vec<String>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(root().join(&folder))
            .with_context(|| format!("listing `{folder}`"))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            if LEFT_BEHIND.contains(&name.as_str())
                || LEFT_BEHIND.contains(&format!("/{path}").as_str())
                || name.ends_with(".log")
            {
                continue;
            }
            if entry.file_type()?.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}

/// The text of a file, or nothing when it is not text.
pub(crate) fn text(path: &str) -> anyhow::Result<Option<String>> {
    let bytes = std::fs::read(root().join(path)).with_context(|| format!("reading `{path}`"))?;
    Ok(String::from_utf8(bytes).ok())
}

/// Changes when the content or the name of one of the files does. By content rather than by time
/// stamp, which a fresh clone or a change of branch would make anew.
pub(crate) fn fingerprint(paths: &[String]) -> anyhow::Result<String> {
    let mut hasher = DefaultHasher::new();
    for path in paths {
        path.hash(&mut hasher);
        std::fs::read(root().join(path))
            .with_context(|| format!("reading `{path}`"))?
            .hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// Runs `work` unless it was done for these very sources before and what it made is still there.
pub(crate) fn once_for(
    fingerprint: &str,
    stamp: &Path,
    made: &Path,
    work: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let last = std::fs::read_to_string(stamp).unwrap_or_default();
    if last == fingerprint && made.exists() {
        return Ok(());
    }
    work()?;
    std::fs::write(stamp, fingerprint).with_context(|| format!("writing `{}`", stamp.display()))
}
