//! Looks at a log before SQLite may: files only, read only, so that a store that is refused is
//! left exactly as it was found.
//!
//! SQLite takes the first bad checksum of a WAL for its end, drops what follows, and tidies the
//! file away on closing. Here the same walk asks first whether that end is where the log was
//! acknowledged to.

mod page;
mod wal;

pub(crate) use wal::Tail;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::bytes::{be16, be32};
use crate::error::OpenError;
use crate::files::{Dir, LOG, WAL};
use crate::watermark::{LogIdentity, Record};

/// `PRAGMA application_id` of a log: "CRNT".
pub(crate) const APPLICATION_ID: u32 = 0x4352_4e54;
/// `PRAGMA user_version` of a log: the format of its tables.
pub(crate) const FORMAT: u32 = 2;

const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Where the log ends, having been found whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inspected {
    pub(crate) last: u64,
    pub(crate) tail: Option<Tail>,
}

/// Holds the log against its watermark.
pub(crate) fn inspect(dir: &Dir, watermark: &Record) -> Result<Inspected, OpenError> {
    let image = Image::open(dir, LOG)?;
    image.check_wal()?;
    image.check_first_page(&image.first_page()?, Some(&watermark.log))?;
    let last = page::last_rowid(&image, watermark.log.root).map_err(damaged_log)?;
    if last < watermark.position {
        return Err(OpenError::Lost {
            last,
            acknowledged: watermark.position,
            wal: image.wal.to_string(),
        });
    }
    Ok(Inspected { last, tail: image.wal.tail })
}

/// The same of a log at work, by whoever keeps others from writing to it.
pub(crate) fn tail(dir: &Dir, page_bytes: u32) -> io::Result<Option<Tail>> {
    let walked = wal::walk(&File::open(dir.file(WAL))?, page_bytes)?;
    Ok(walked.ok().filter(|wal| !wal.commits_behind_break).and_then(|wal| wal.tail))
}

/// What a watermark of the log in this file would have to say of it; the log has no WAL.
pub(crate) fn identify(
    dir: &Dir,
    file: &str,
    store: [u8; 16],
    root: u32,
) -> Result<LogIdentity, OpenError> {
    let image = Image::open(dir, file)?;
    let first = image.first_page()?;
    image.check_first_page(&first, None)?;
    let schema_checksum = schema_checksum(&first);
    Ok(LogIdentity { store, page_bytes: image.page_bytes, root, schema_checksum })
}

/// All that can be said of a log that has no watermark; gives whether it keeps a WAL.
pub(crate) fn inspect_without_watermark(dir: &Dir) -> Result<bool, OpenError> {
    let image = Image::open(dir, LOG)?;
    image.check_wal()?;
    let first = image.first_page()?;
    image.check_first_page(&first, None)?;
    Ok(keeps_wal(&first))
}

fn damaged_log(found: String) -> OpenError {
    OpenError::Damaged { file: LOG, found }
}

/// The pages of a database as SQLite would see them: the last committed frame of the WAL, else
/// the database file.
struct Image {
    log: File,
    log_bytes: u64,
    wal: wal::Wal,
    wal_file: Option<File>,
    page_bytes: u32,
    /// How many pages the database has.
    pages: u32,
}

impl Image {
    fn open(dir: &Dir, name: &str) -> Result<Self, OpenError> {
        let reading = || OpenError::io(format!("read `{name}`"));
        let journal = format!("{name}-journal");
        if dir.exists(&journal) {
            let found =
                format!("`{journal}` is beside it, and SQLite would play that back into it");
            return Err(damaged_log(found));
        }
        let log = File::open(dir.file(name)).map_err(reading())?;
        let log_bytes = log.metadata().map_err(reading())?.len();
        let mut header = [0; 100];
        if log.read_exact_at(&mut header, 0).is_err() || !header.starts_with(SQLITE_MAGIC) {
            return Err(damaged_log("it does not begin as a SQLite database does".to_owned()));
        }
        let page_bytes = match be16(&header, 16) {
            Some(1) => 65_536,
            Some(bytes) if bytes >= 512 && bytes.is_power_of_two() => u32::from(bytes),
            _ => return Err(damaged_log("its page size is impossible".to_owned())),
        };
        let wal_file = match File::open(dir.file(&format!("{name}-wal"))) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => {
                return Err(OpenError::Io { action: format!("read `{WAL}`"), source });
            }
        };
        let wal = match &wal_file {
            None => wal::Wal::default(),
            Some(file) => wal::walk(file, page_bytes)
                .map_err(OpenError::io(format!("read `{WAL}`")))?
                .map_err(|found| OpenError::Damaged { file: WAL, found })?,
        };
        let in_file = u32::try_from(log_bytes / u64::from(page_bytes)).unwrap_or(u32::MAX);
        let pages = if wal.commits > 0 { wal.pages } else { in_file };
        Ok(Self { log, log_bytes, wal, wal_file, page_bytes, pages })
    }

    fn first_page(&self) -> Result<Vec<u8>, OpenError> {
        self.page(1).map_err(OpenError::io("read the first page of `log.db`"))
    }

    fn page(&self, number: u32) -> io::Result<Vec<u8>> {
        let mut page = vec![0; self.page_bytes as usize];
        match (self.wal.frames.get(&number), &self.wal_file) {
            (Some(&at), Some(file)) => file.read_exact_at(&mut page, at)?,
            _ => {
                let at = u64::from(number.saturating_sub(1)) * u64::from(self.page_bytes);
                self.log.read_exact_at(&mut page, at)?;
            }
        }
        Ok(page)
    }

    /// Each commit is synced before the next begins: one that lies behind a break proves that
    /// what is broken had reached the disk whole. A tail that was never acknowledged looks
    /// different: nothing follows it.
    fn check_wal(&self) -> Result<(), OpenError> {
        if self.wal.commits_behind_break {
            return Err(OpenError::Damaged {
                file: WAL,
                found: format!("{}, yet later transactions follow", self.wal),
            });
        }
        Ok(())
    }

    fn check_first_page(
        &self,
        first: &[u8],
        expected: Option<&LogIdentity>,
    ) -> Result<(), OpenError> {
        if be32(first, 68) != Some(APPLICATION_ID) {
            return Err(damaged_log("it is a SQLite database, but not a log of Carnet".to_owned()));
        }
        let format = be32(first, 60).unwrap_or(0);
        if format > FORMAT {
            return Err(OpenError::Newer { file: LOG, found: format, known: FORMAT });
        }
        if format < FORMAT {
            return Err(OpenError::Older { file: LOG, found: format, known: FORMAT });
        }
        if expected.is_some_and(|log| {
            log.page_bytes != self.page_bytes || log.schema_checksum != schema_checksum(first)
        }) {
            return Err(damaged_log("its first page is not the one it was made with".to_owned()));
        }
        if expected.is_some() && !keeps_wal(first) {
            let found = "it keeps a rollback journal and no WAL, as a copy made by `VACUUM INTO`; \
                         move `watermark` away and take it with `carnet store accept`";
            return Err(damaged_log(found.to_owned()));
        }
        let counted = be32(first, 28).unwrap_or(0);
        if counted != self.pages {
            return Err(damaged_log(format!("it says {counted} pages, there are {}", self.pages)));
        }
        let whole = self.log_bytes.is_multiple_of(u64::from(self.page_bytes));
        if self.wal.commits == 0 && !whole {
            return Err(damaged_log("its last page is cut short".to_owned()));
        }
        page::check_freelist(self, first).map_err(damaged_log)
    }
}

/// Which programs may write to it, and which may read it: those that know what a WAL is.
fn keeps_wal(first: &[u8]) -> bool {
    first.get(18..20) == Some(&[2, 2])
}

/// Without the change counter, the number of pages, the freelist and the writing version, which
/// change as the log grows and are checked by themselves.
fn schema_checksum(first: &[u8]) -> u32 {
    let mut fixed = first.to_vec();
    for varying in [24..40, 92..100] {
        if let Some(bytes) = fixed.get_mut(varying) {
            bytes.fill(0);
        }
    }
    crc32fast::hash(&fixed)
}

/// Page number to the place of its newest committed content in the WAL.
type Frames = HashMap<u32, u64>;
