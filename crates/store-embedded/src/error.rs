//! Why a store did not open. Each message says what was found, what is missing and what to do;
//! whatever was refused was left exactly as it was.

use std::io;
use std::path::PathBuf;

use crate::files::LOG;

/// Ends every message about damage: the one thing that is always right to do.
const REMEDY: &str = "nothing was changed; restore the directory from a backup, or examine a copy \
                      of it with `carnet store verify`";

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "`{}` is in use by another process; stop it first, one process owns a store", .0.display()
    )]
    Locked(PathBuf),
    #[error(
        "`{file}` has format {found}, this release knows {known}; \
         start the release that wrote it"
    )]
    Newer { file: &'static str, found: u32, known: u32 },
    /// No release ever wrote it: only builds from before the first one did.
    #[error(
        "`{file}` has format {found}, this release knows {known}; \
         start the build that wrote it, or begin with an empty directory"
    )]
    Older { file: &'static str, found: u32, known: u32 },
    #[error("`{file}` is missing while {found}; {REMEDY}")]
    Missing { file: &'static str, found: String },
    #[error("`{file}` is damaged: {found}; {REMEDY}")]
    Damaged { file: &'static str, found: String },
    /// The log ends before what was acknowledged.
    #[error(
        "the log ends at event {last}, but {acknowledged} were acknowledged: {} are missing \
         ({wal}); {REMEDY}", acknowledged - last
    )]
    Lost { last: u64, acknowledged: u64, wal: String },
    #[error("cannot {action}: {source}")]
    Io { action: String, source: io::Error },
    #[error("cannot {action}: {source}")]
    Sqlite { action: &'static str, source: rusqlite::Error },
}

impl OpenError {
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }

    pub(crate) fn sqlite(action: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        move |source| match source.sqlite_error_code() {
            // `None`: SQLite read it, but found another thing than what was put there.
            Some(DatabaseCorrupt | NotADatabase) | None => {
                Self::Damaged { file: LOG, found: source.to_string() }
            }
            _ => Self::Sqlite { action, source },
        }
    }
}
