//! The saved copy of the heads: spares opening the store from reading the whole log.
//!
//! It is written while appends go on: it has every event up to `through`, and of later ones
//! some. Opening replays what follows `through`, which brings every entry to the same end. It is
//! a cache: when anything about it is wrong, the log is read from its beginning instead.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};

use super::{ENTRY_BYTES, Entry, Heads, unpack};
use crate::bytes::{array, be32, be64};
use crate::chain::Link;
use crate::files::{Dir, HEADS};

const MAGIC: &[u8; 8] = b"CARNETHD";
const FORMAT: u32 = 1;
const HEADER_BYTES: usize = 52;
const TRAILER_BYTES: usize = 12;

/// In one go the whole copy would keep the disk from the writer's syncs for long.
const SYNC_EVERY_BYTES: usize = 1 << 20;

/// The event that a saved copy was complete up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Through {
    pub(crate) position: u64,
    /// Of the event there: the same position of another history has another.
    pub(crate) link: Link,
}

pub(crate) fn save(dir: &Dir, store: &[u8; 16], through: Through, heads: &Heads) -> io::Result<()> {
    write(dir, store, through, heads)
        .and_then(|()| dir.install(HEADS))
        // Half of a copy is of no use, and on a full disk in the way of events.
        .inspect_err(|_| drop(dir.remove_if_there("heads.new")))
}

fn write(dir: &Dir, store: &[u8; 16], through: Through, heads: &Heads) -> io::Result<()> {
    let file = File::create(dir.file("heads.new"))?;
    let mut out = Summed { inner: BufWriter::with_capacity(1 << 18, file), crc: <_>::default() };
    out.write_all(MAGIC)?;
    out.write_all(&FORMAT.to_be_bytes())?;
    out.write_all(store)?;
    out.write_all(&through.position.to_be_bytes())?;
    out.write_all(&through.link)?;
    let (mut entries, mut unsynced) = (0_u64, 0);
    heads.for_each_shard(|shard| {
        entries += shard.len() as u64;
        out.write_all(shard.as_flattened())?;
        unsynced += shard.as_flattened().len();
        if unsynced < SYNC_EVERY_BYTES {
            return Ok(());
        }
        unsynced = 0;
        out.flush()?;
        out.inner.get_ref().sync_data()
    })?;
    out.write_all(&entries.to_be_bytes())?;
    let crc = out.crc.finalize();
    let mut inner = out.inner;
    inner.write_all(&crc.to_be_bytes())?;
    inner.into_inner()?.sync_all()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loaded {
    pub(crate) through: Through,
    /// How many heads are of events behind `through`, which a replay must meet.
    pub(crate) ahead: u64,
}

/// Loads the copy into `heads`, which must be empty; `Err` says why it is of no use.
pub(crate) fn load(dir: &Dir, store: &[u8; 16], heads: &Heads) -> Result<Loaded, String> {
    let file = match File::open(dir.file(HEADS)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err("there are none".to_owned());
        }
        Err(error) => return Err(error.to_string()),
    };
    let loaded = read(file, store, heads).map_err(|error| error.to_string())?;
    loaded.ok_or_else(|| "they are damaged, or of another store".to_owned())
}

fn read(file: File, store: &[u8; 16], heads: &Heads) -> io::Result<Option<Loaded>> {
    let bytes = file.metadata()?.len();
    let Some(entry_bytes) = bytes.checked_sub((HEADER_BYTES + TRAILER_BYTES) as u64) else {
        return Ok(None);
    };
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let mut crc = crc32fast::Hasher::new();
    let mut header = [0; HEADER_BYTES];
    reader.read_exact(&mut header)?;
    crc.update(&header);
    let through = || Some(Through { position: be64(&header, 28)?, link: array(&header, 36)? });
    let known = header.starts_with(MAGIC) && be32(&header, 8) == Some(FORMAT);
    let ours = array::<16>(&header, 12) == Some(*store);
    let Some(through) = through().filter(|_| known && ours) else { return Ok(None) };
    let mut ahead = 0;
    let mut entry: Entry = [0; ENTRY_BYTES];
    for _ in 0..entry_bytes / ENTRY_BYTES as u64 {
        reader.read_exact(&mut entry)?;
        crc.update(&entry);
        let (key, head) = unpack(&entry);
        if head.position == 0 {
            return Ok(None);
        }
        ahead += u64::from(head.position > through.position);
        heads.set([(&key, &head)]);
    }
    let mut trailer = [0; TRAILER_BYTES];
    reader.read_exact(&mut trailer)?;
    crc.update(trailer.split_at(8).0);
    let whole = entry_bytes.is_multiple_of(ENTRY_BYTES as u64)
        && be64(&trailer, 0) == Some(heads.streams() as u64)
        && be32(&trailer, 8) == Some(crc.finalize());
    Ok(whole.then_some(Loaded { through, ahead }))
}

struct Summed<W> {
    inner: W,
    crc: crc32fast::Hasher,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.crc.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
