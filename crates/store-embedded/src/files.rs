//! The names of a store's files, and the few steps with them that must be durable.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::OpenError;

/// The log: a SQLite database.
pub(crate) const LOG: &str = "log.db";
/// Its write-ahead log, where every event is first.
pub(crate) const WAL: &str = "log.db-wal";
/// A lower bound of what was acknowledged.
pub(crate) const WATERMARK: &str = "watermark";
/// The table of heads as of some position: saves reading the whole log on opening.
pub(crate) const HEADS: &str = "heads";
/// Snapshots: a cache, in a database of its own.
pub(crate) const SNAPSHOTS: &str = "snapshots.db";

#[derive(Debug, Clone)]
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Holds the directory for this process, without a file of its own that could be left over.
    pub(crate) fn lock(&self) -> Result<DirLock, OpenError> {
        let dir = File::open(&self.0)
            .map_err(OpenError::io(format!("open the directory `{}`", self.0.display())))?;
        match dir.try_lock() {
            Ok(()) => Ok(DirLock { dir }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked(self.0.clone())),
            Err(TryLockError::Error(source)) => {
                Err(OpenError::Io { action: format!("lock `{}`", self.0.display()), source })
            }
        }
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        // An entry that cannot be examined is there: better a refusal than a second store.
        self.file(name).try_exists().unwrap_or(true)
    }

    /// Makes renames and new files in this directory survive a power cut.
    pub(crate) fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }

    /// Puts the finished, synced file `name` + `.new` in the place of `name`.
    pub(crate) fn install(&self, name: &str) -> io::Result<()> {
        fs::rename(self.file(&format!("{name}.new")), self.file(name))?;
        self.sync()
    }

    /// Takes away what follows the first so many bytes of a file.
    pub(crate) fn cut(&self, name: &str, bytes: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.file(name))?;
        file.set_len(bytes)?;
        file.sync_all()
    }

    pub(crate) fn remove_if_there(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.file(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Given back when dropped, also by a process that dies.
#[derive(Debug)]
pub(crate) struct DirLock {
    dir: File,
}

impl Drop for DirLock {
    /// Closing alone would not do: a child process that is just being started has the directory
    /// open too, for a moment, and with it the lock.
    fn drop(&mut self) {
        let _ = self.dir.unlock();
    }
}
