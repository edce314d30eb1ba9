use rusqlite::Connection;

use super::*;

/// One event of a block, to be changed and put back.
pub(crate) struct Entry {
    pub(crate) erased: bool,
    pub(crate) version: u32,
    pub(crate) previous: u64,
    pub(crate) link: Link,
    pub(crate) checksum: u32,
    pub(crate) stream: Vec<u8>,
    /// Its salt in front, or the digest.
    pub(crate) body: Vec<u8>,
}

pub(crate) fn take_apart(block: &[u8]) -> Vec<Entry> {
    let mut rest = &block[1..];
    let mut entries = Vec::new();
    while let Some((entry, behind)) = split(rest) {
        rest = behind;
        let Header { body, stream, version, previous, link, checksum } =
            Header::decode(entry).unwrap();
        let (stream, salted) = entry[HEADER_BYTES..].split_at(usize::from(stream));
        entries.push(Entry {
            erased: body & ERASED != 0,
            version,
            previous,
            link,
            checksum,
            stream: stream.to_vec(),
            body: salted.to_vec(),
        });
    }
    assert_eq!((entries.len(), rest), (usize::from(block[0]), &[][..]));
    entries
}

pub(crate) fn put_together(entries: &[Entry]) -> Vec<u8> {
    let mut block = vec![entries.len() as u8];
    for entry in entries {
        let header = Header {
            body: if entry.erased { ERASED } else { entry.body.len() as u32 },
            stream: entry.stream.len() as u8,
            version: entry.version,
            previous: entry.previous,
            link: entry.link,
            checksum: entry.checksum,
        };
        block.extend_from_slice(&header.encode());
        block.extend_from_slice(&entry.stream);
        block.extend_from_slice(&entry.body);
    }
    block
}

fn place(position: u64) -> Place {
    Place { position, version: position as u32, previous: position - 1, link: [9; 16] }
}

fn log() -> Connection {
    let log = Connection::open_in_memory().unwrap();
    log.execute_batch(CREATE).unwrap();
    log
}

/// Events of so many bytes, at positions from 1 on.
fn filled(bodies: &[usize]) -> Connection {
    let log = log();
    let mut blocks = Blocks::default();
    for (&bytes, position) in bodies.iter().zip(1..) {
        blocks.push(&place(position), &NewEvent::new("member-1", &vec![7; bytes]));
    }
    blocks.insert(&log).unwrap();
    log
}

fn rows(log: &Connection) -> Vec<(u64, Vec<u8>)> {
    let mut select = log.prepare(SELECT_FROM).unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((last(row).unwrap(), row.get(1)?));
    select.query_map([0], row).unwrap().map(Result::unwrap).collect()
}

/// What reading says of the event at a position: the length of its body.
fn read(log: &Connection, position: u64) -> Result<usize, &'static str> {
    let mut select = log.prepare(SELECT_ONE).unwrap();
    let mut rows = select.query([position.cast_signed()]).unwrap();
    let Some(row) = rows.next().unwrap() else { return Err("there is no block") };
    let event = Block::parse(row)?.event(position)?;
    assert_eq!((event.position, event.version), (position, position as u32));
    assert_eq!((event.stream, event.previous, event.link), ("member-1", position - 1, [9; 16]));
    assert!(event.body.unwrap().iter().all(|&byte| byte == 7), "nothing but what was written");
    Ok(event.body.unwrap().len())
}

#[test]
fn neighbours_share_blocks_and_each_is_found() {
    let bodies: Vec<usize> = (0..600).map(|number| number * 37 % 500).collect();
    let log = filled(&bodies);
    for (&bytes, position) in bodies.iter().zip(1..) {
        assert_eq!(read(&log, position), Ok(bytes));
    }
    assert!(read(&log, 601).is_err());
    let rows = rows(&log);
    assert!(rows.len() < 30, "{}", rows.len());
    assert!(rows.iter().all(|(_, block)| block.len() <= BLOCK_BYTES_MAX));
    let events: usize = rows.iter().map(|(_, block)| usize::from(block[0])).sum();
    assert_eq!((events, rows.last().unwrap().0), (600, 600));
}

/// The largest event, the smallest, and many small ones.
#[test]
fn an_event_larger_than_a_block_has_one_to_itself() {
    let mut bodies = vec![10, store::EVENT_BYTES_MAX, 10, BLOCK_BYTES_MAX, 0];
    bodies.extend([0; 600]);
    let log = filled(&bodies);
    for (&bytes, position) in bodies.iter().zip(1..) {
        assert_eq!(read(&log, position), Ok(bytes));
    }
    assert_eq!(rows(&log)[..3].iter().map(|row| row.0).collect::<Vec<_>>(), [1, 2, 3]);
}

/// A full block fills a page, and nothing of it lies on another.
#[test]
fn a_block_fills_a_page() {
    let overhead = 1 + HEADER_BYTES + "member-1".len() + SALT_BYTES;
    let log = Connection::open_in_memory().unwrap();
    log.execute_batch(&format!("PRAGMA page_size = {}", crate::connection::PAGE_BYTES)).unwrap();
    log.execute_batch(CREATE).unwrap();
    let mut blocks = Blocks::default();
    for position in 1 << 47..(1 << 47) + 10 {
        let body = vec![7; BLOCK_BYTES_MAX - overhead];
        let place = Place { position, ..place(1) };
        blocks.push(&place, &NewEvent::new("member-1", &body));
    }
    blocks.insert(&log).unwrap();
    let pages: u32 = log.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    // The schema, the table of names, its root, and ten full ones.
    assert_eq!(pages, 3 + 10);
}

#[test]
fn a_flipped_bit_or_a_missing_byte_of_a_block_is_noticed() {
    let log = filled(&[30, 0, 60]);
    let (last, whole) = rows(&log).remove(0);
    let put = |block: &[u8]| {
        log.execute("UPDATE events SET block = ?1", [block]).unwrap();
        (1..=last).filter(|&position| read(&log, position).is_err()).count()
    };
    assert_eq!(put(&whole), 0);
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            assert!(put(&flipped) > 0, "byte {at}, bit {bit}");
        }
        assert_eq!(put(&whole[..at]), 3, "cut to {at} bytes");
    }
    assert_eq!(put(&[&whole[..], &[0]].concat()), 3, "a byte more");
}

#[test]
fn a_block_under_another_position_is_noticed() {
    for last in [1, 2, 4, 5] {
        let log = filled(&[30, 0, 60]);
        log.execute("UPDATE events SET last = ?1", [last]).unwrap();
        for position in 1..=3 {
            assert!(read(&log, position).is_err(), "event {position} of a block under {last}");
        }
    }
}
