use super::saved::{Loaded, Through, load, save};
use super::table::Table;
use super::*;
use crate::chain::key;
use crate::files::{Dir, HEADS};

const STORE: [u8; 16] = [3; 16];
const THROUGH: Through = Through { position: 5_000, link: [9; 16] };

fn head(number: u32) -> Head {
    Head { version: number, position: POSITION_MAX - u64::from(number), link: [number as u8; 16] }
}

fn filled(streams: u32) -> Heads {
    let heads = Heads::new();
    for number in 0..streams {
        heads.set([(&key(&format!("member-{number}")), &head(number))]);
    }
    heads
}

#[test]
fn a_head_is_what_was_last_set() {
    let heads = filled(5_000);
    assert_eq!(heads.get(&key("nobody")), None);
    heads.set([(&key("member-7"), &head(8))]);
    for number in 0..5_000 {
        let expected = if number == 7 { head(8) } else { head(number) };
        assert_eq!(heads.get(&key(&format!("member-{number}"))), Some(expected));
    }
    assert_eq!(heads.streams(), 5_000);
}

/// All of them look for their place in the last slot of one table, and go on from its beginning.
#[test]
fn keys_that_begin_alike_are_kept_apart() {
    let heads = Heads::new();
    let alike = |number: u8| {
        let mut key = [0xff; 16];
        key[9] = number;
        key
    };
    for number in 1..100 {
        heads.set([(&alike(number), &head(number.into()))]);
        assert_eq!(heads.streams(), usize::from(number));
    }
    for number in 1..100 {
        assert_eq!(heads.get(&alike(number)), Some(head(number.into())));
    }
    assert_eq!(heads.get(&alike(100)), None);
}

/// As saved heads are loaded: what is first in one table must not crowd the beginning of another.
#[test]
fn entries_in_the_order_of_another_table_find_their_places() {
    const WAY_MAX: usize = 200;
    let (mut table, mut again) = (Table::default(), Table::default());
    for number in 0..10_000 {
        table.set(&pack(&key(&format!("member-{number}")), &head(number)));
    }
    for (entry, entries) in table.iter().zip(1..) {
        again.set(entry);
        let way = again.way(&unpack(entry).0).unwrap();
        assert!(way < WAY_MAX, "entry {entries} of 10,000 is {way} slots away");
    }
    assert_eq!(again.len(), 10_000);
}

#[test]
fn saved_heads_come_back() {
    let place = tempfile::tempdir().unwrap();
    let dir = Dir::new(place.path());
    save(&dir, &STORE, THROUGH, &filled(3_000)).unwrap();
    let loaded = Heads::new();
    assert_eq!(load(&dir, &STORE, &loaded), Ok(Loaded { through: THROUGH, ahead: 3_000 }));
    assert_eq!(loaded.streams(), 3_000);
    for number in 0..3_000 {
        assert_eq!(loaded.get(&key(&format!("member-{number}"))), Some(head(number)));
    }
    assert!(load(&dir, &[4; 16], &Heads::new()).is_err(), "the heads of another store");
}

#[test]
fn every_flipped_or_missing_byte_of_saved_heads_is_noticed() {
    let place = tempfile::tempdir().unwrap();
    let dir = Dir::new(place.path());
    save(&dir, &STORE, THROUGH, &filled(10)).unwrap();
    let whole = std::fs::read(dir.file(HEADS)).unwrap();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        std::fs::write(dir.file(HEADS), &flipped).unwrap();
        assert!(load(&dir, &STORE, &Heads::new()).is_err(), "byte {at} flipped");
        std::fs::write(dir.file(HEADS), &whole[..at]).unwrap();
        assert!(load(&dir, &STORE, &Heads::new()).is_err(), "cut to {at} bytes");
    }
}

/// A slot without a position is a vacant one: the stream would look new.
#[test]
fn a_saved_head_without_a_position_is_not_believed() {
    let place = tempfile::tempdir().unwrap();
    let dir = Dir::new(place.path());
    save(&dir, &STORE, THROUGH, &filled(1)).unwrap();
    let mut saved = std::fs::read(dir.file(HEADS)).unwrap();
    let checked = saved.len() - 4;
    saved[52 + 32..52 + 38].fill(0);
    let sum = crc32fast::hash(&saved[..checked]);
    saved[checked..].copy_from_slice(&sum.to_be_bytes());
    std::fs::write(dir.file(HEADS), &saved).unwrap();
    assert!(load(&dir, &STORE, &Heads::new()).is_err());
}

#[test]
fn heads_that_cannot_be_saved_leave_nothing_behind() {
    let place = tempfile::tempdir().unwrap();
    let dir = Dir::new(place.path());
    std::fs::create_dir_all(dir.file(HEADS).join("in the way")).unwrap();
    assert!(save(&dir, &STORE, THROUGH, &filled(10)).is_err());
    assert!(!dir.exists("heads.new"));
}
