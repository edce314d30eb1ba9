//! Walks a write-ahead log the way SQLite's recovery does (<https://sqlite.org/fileformat2.html>,
//! section 4), and then looks at what lies behind the place where recovery would stop.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};

use super::Frames;
use crate::bytes::{array, be32};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The last bit says in which byte order words are summed.
const MAGIC: u32 = 0x377f_0682;
const WAL_FORMAT: u32 = 3_007_000;

/// What a transaction that was not finished left behind the last one that was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    /// How many frames lie before it.
    pub(crate) after: u64,
    /// Where in the file.
    pub(crate) begins_at: u64,
}

/// What recovery would make of the file.
#[derive(Debug, Default)]
pub(super) struct Wal {
    pub(super) frames: Frames,
    /// How many pages the database had at the last commit.
    pub(super) pages: u32,
    pub(super) commits: u64,
    pub(super) tail: Option<Tail>,
    /// Where the walk stopped, if frames of this round of the WAL lie there or behind.
    broken_at: Option<u64>,
    /// A whole transaction and the beginning of another lie behind the break.
    pub(super) commits_behind_break: bool,
}

impl fmt::Display for Wal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} good transactions in the WAL", self.commits)?;
        match self.broken_at {
            Some(frame) => write!(f, ", its frame {frame} does not match its checksum"),
            None => Ok(()),
        }
    }
}

/// The outer error is the disk's, the inner one says what is damaged.
pub(super) fn walk(file: &File, page_bytes: u32) -> io::Result<Result<Wal, String>> {
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut header = [0; HEADER_BYTES];
    if !fill(&mut reader, &mut header)? {
        return Ok(Ok(Wal::default())); // a file that was made and not yet written to
    }
    let Some(start) = parse_header(&header, page_bytes) else {
        return Ok(Err("its header does not match its checksum".to_owned()));
    };
    let mut wal = Wal::default();
    let mut sums = start.sums;
    let mut uncommitted = Vec::new();
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes as usize];
    let frame_bytes = frame.len() as u64;
    let begins_at = |frames: u64| HEADER_BYTES as u64 + frames * frame_bytes;
    let (mut index, mut committed) = (0_u64, 0);
    while fill(&mut reader, &mut frame)? {
        index += 1;
        let Some(checked) = start.check(&frame, sums) else {
            look_behind(&mut reader, &start, frame, index, &mut wal)?;
            break;
        };
        sums = checked.sums;
        uncommitted.push((checked.page, begins_at(index - 1) + FRAME_HEADER_BYTES as u64));
        if checked.pages_at_commit != 0 {
            wal.frames.extend(uncommitted.drain(..));
            wal.pages = checked.pages_at_commit;
            wal.commits += 1;
            committed = index;
        }
    }
    if !uncommitted.is_empty() || wal.broken_at.is_some() {
        wal.tail = Some(Tail { after: committed, begins_at: begins_at(committed) });
    }
    Ok(Ok(wal))
}

/// Frames of an earlier round of the WAL have other salts, so one that has these was written
/// after the break.
fn look_behind(
    reader: &mut impl Read,
    start: &Start,
    mut frame: Vec<u8>,
    mut index: u64,
    wal: &mut Wal,
) -> io::Result<()> {
    let mut commit_seen = false;
    loop {
        if start.salts_match(&frame) {
            wal.broken_at.get_or_insert(index);
            if commit_seen {
                wal.commits_behind_break = true;
                return Ok(());
            }
            commit_seen = be32(&frame, 4) != Some(0);
        }
        if !fill(reader, &mut frame)? {
            return Ok(());
        }
        index += 1;
    }
}

/// False when the file ends first: what is left of a frame is no frame.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

struct Start {
    big_endian: bool,
    salts: [u8; 8],
    sums: (u32, u32),
}

struct Checked {
    page: u32,
    pages_at_commit: u32,
    sums: (u32, u32),
}

fn parse_header(header: &[u8; HEADER_BYTES], page_bytes: u32) -> Option<Start> {
    let magic = be32(header, 0)?;
    let big_endian = magic & 1 == 1;
    let sums = sum(header.get(..24)?, (0, 0), big_endian);
    let whole = magic & !1 == MAGIC
        && be32(header, 4)? == WAL_FORMAT
        && be32(header, 8)? == page_bytes
        && (be32(header, 24)?, be32(header, 28)?) == sums;
    whole.then_some(Start { big_endian, salts: array(header, 16)?, sums })
}

impl Start {
    fn salts_match(&self, frame: &[u8]) -> bool {
        array::<8>(frame, 8) == Some(self.salts)
    }

    fn check(&self, frame: &[u8], sums: (u32, u32)) -> Option<Checked> {
        let (header, page) = frame.split_at_checked(FRAME_HEADER_BYTES)?;
        let sums = sum(page, sum(header.get(..8)?, sums, self.big_endian), self.big_endian);
        let number = be32(header, 0)?;
        let whole = self.salts_match(frame)
            && number != 0
            && (be32(header, 16)?, be32(header, 20)?) == sums;
        whole.then_some(Checked { page: number, pages_at_commit: be32(header, 4)?, sums })
    }
}

/// SQLite's own checksum: a Fibonacci-weighted sum over pairs of words.
fn sum(bytes: &[u8], (mut even, mut odd): (u32, u32), big_endian: bool) -> (u32, u32) {
    let word = |bytes: [u8; 4]| {
        if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    };
    let (words, _) = bytes.as_chunks::<4>();
    let (pairs, _) = words.as_chunks::<2>();
    for [first, second] in pairs {
        even = even.wrapping_add(word(*first)).wrapping_add(odd);
        odd = odd.wrapping_add(word(*second)).wrapping_add(even);
    }
    (even, odd)
}
