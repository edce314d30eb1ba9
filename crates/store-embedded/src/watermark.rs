//! The watermark: how far the log had been acknowledged, kept outside the log.
//!
//! Written after each commit and before any of its answers leaves, synced lazily: always a lower
//! bound of the truth. It also keeps what must be known of the log before SQLite may touch it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;

use crate::bytes::{array, be32, be64};
use crate::error::OpenError;
use crate::files::{Dir, WATERMARK};

const MAGIC: &[u8; 8] = b"CARNETWM";
pub(crate) const FORMAT: u32 = 1;
const RECORD_BYTES: usize = 64;

/// Which log this watermark speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogIdentity {
    /// Random, the same as inside the log.
    pub(crate) store: [u8; 16],
    pub(crate) page_bytes: u32,
    /// The page on which the table of events begins.
    pub(crate) root: u32,
    /// Over the first page, without the fields that change as the log grows.
    pub(crate) schema_checksum: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) log: LogIdentity,
    /// False until the log is in its place: before that there is nothing to lose.
    pub(crate) live: bool,
    /// Every event up to this position was acknowledged.
    pub(crate) position: u64,
}

impl Record {
    fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = Vec::with_capacity(RECORD_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_be_bytes());
        bytes.extend_from_slice(&self.log.store);
        bytes.extend_from_slice(&self.log.page_bytes.to_be_bytes());
        bytes.extend_from_slice(&self.log.root.to_be_bytes());
        bytes.extend_from_slice(&self.log.schema_checksum.to_be_bytes());
        bytes.extend_from_slice(&u32::from(self.live).to_be_bytes());
        bytes.extend_from_slice(&self.position.to_be_bytes());
        bytes.resize(RECORD_BYTES - 4, 0);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        let mut record = [0; RECORD_BYTES];
        record.copy_from_slice(&bytes);
        record
    }

    fn decode(bytes: &[u8]) -> Result<Self, OpenError> {
        let damaged = |found: &str| OpenError::Damaged { file: WATERMARK, found: found.to_owned() };
        if array::<8>(bytes, 0) != Some(*MAGIC) {
            return Err(damaged("it does not begin as a watermark does"));
        }
        let format = be32(bytes, 8).unwrap_or(0);
        if format > FORMAT {
            return Err(OpenError::Newer { file: WATERMARK, found: format, known: FORMAT });
        }
        let checked = bytes.get(..RECORD_BYTES - 4).map(crc32fast::hash);
        if bytes.len() != RECORD_BYTES || checked != be32(bytes, RECORD_BYTES - 4) {
            return Err(damaged("its checksum does not match"));
        }
        let record = || {
            Some(Self {
                log: LogIdentity {
                    store: array(bytes, 12)?,
                    page_bytes: be32(bytes, 28)?,
                    root: be32(bytes, 32)?,
                    schema_checksum: be32(bytes, 36)?,
                },
                live: be32(bytes, 40)? == 1,
                position: be64(bytes, 44)?,
            })
        };
        record().ok_or_else(|| damaged("it is too short"))
    }
}

pub(crate) fn read(dir: &Dir) -> Result<Option<Record>, OpenError> {
    match std::fs::read(dir.file(WATERMARK)) {
        Ok(bytes) => Record::decode(&bytes).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(OpenError::Io { action: format!("read `{WATERMARK}`"), source }),
    }
}

/// Puts a whole new watermark in place, durably.
pub(crate) fn install(dir: &Dir, record: &Record) -> io::Result<()> {
    let path = dir.file("watermark.new");
    let file = File::create(&path)?;
    file.write_all_at(&record.encode(), 0)?;
    file.sync_all()?;
    dir.install(WATERMARK)
}

/// The writer's hand on the watermark.
#[derive(Debug)]
pub(crate) struct Watermark {
    file: File,
    record: Record,
}

impl Watermark {
    pub(crate) fn open(dir: &Dir, record: Record) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).open(dir.file(WATERMARK))?;
        Ok(Self { file, record })
    }

    /// In place and within one sector: a torn record would need a torn sector.
    pub(crate) fn raise(&mut self, position: u64) -> io::Result<()> {
        self.record.position = position;
        self.file.write_all_at(&self.record.encode(), 0)
    }

    /// A second hand on the same file, for whoever syncs it now and then.
    pub(crate) fn syncer(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

#[cfg(test)]
mod tests;
