use minicbor::Encoder;
use proptest::prelude::*;

use super::*;
use crate::arbitrary::event;

proptest! {
    #[test]
    fn what_is_read_is_what_was_written(event in event()) {
        let bytes = encode_event(&event);
        prop_assert_eq!(bytes[0], FORMAT);
        prop_assert_eq!(decode_event(&bytes).unwrap(), event);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_event(&bytes);
    }

    #[test]
    fn damage_is_an_error_or_an_event_that_can_be_written(
        event in event(),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let mut bytes = encode_event(&event);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(other) = decode_event(&bytes) {
            // Perhaps the same, its fields in another order: it is the row's checksum that finds damage.
            prop_assert_eq!(decode_event(&encode_event(&other)).unwrap(), other);
        }
    }

    #[test]
    fn a_part_of_an_event_is_not_an_event(event in event(), cut in any::<prop::sample::Index>()) {
        let bytes = encode_event(&event);
        prop_assert!(decode_event(&bytes[..cut.index(bytes.len())]).is_err());
    }
}

/// The five items of a stored event, to be put together otherwise.
fn stored(format: u8, kind: u16, version: u16, rest: &[u8]) -> Vec<u8> {
    let mut out = Encoder::new(Vec::new());
    out.u8(format).unwrap().u16(kind).unwrap().u16(version).unwrap();
    let mut bytes = out.into_writer();
    bytes.extend_from_slice(rest);
    bytes
}

#[track_caller]
fn refused(bytes: &[u8], message: &str) {
    assert_eq!(decode_event(bytes).unwrap_err().to_string(), message);
}

// "Unknown newer events stop the stream with a clear error; they are never dropped."
#[test]
fn what_is_newer_is_named_and_never_dropped() {
    // at 5 ms, and device `a` removed
    let rest = [0xa1, 0x00, 0x05, 0xa1, 0x00, 0x61, b'a'];
    let event = decode_event(&stored(1, 2, 1, &rest)).unwrap();
    assert_eq!(encode_event(&event), stored(1, 2, 1, &rest));

    refused(&[], "a stored event is empty");
    refused(
        &stored(2, 2, 1, &rest),
        "a stored event has format `2`, this program reads format `1`; run a newer carnet",
    );
    refused(
        &stored(1, 99, 1, &rest),
        "a stored event has kind `99`, which this program does not know; run a newer carnet",
    );
    refused(
        &stored(1, 2, 2, &rest),
        "a stored event is `device_removed` in version `2`, which this program does not know; \
         run a newer carnet",
    );
}

#[test]
fn a_field_of_another_version_is_not_skipped() {
    let more_in_body = [0xa1, 0x00, 0x05, 0xa2, 0x00, 0x61, b'a', 0x09, 0x01];
    refused(
        &stored(1, 2, 1, &more_in_body),
        "a stored event holds 6 bytes where its version has 4",
    );
    let more_in_head = [0xa2, 0x00, 0x05, 0x03, 0x61, b's', 0xa1, 0x00, 0x61, b'a'];
    refused(
        &stored(1, 2, 1, &more_in_head),
        "a stored event holds 6 bytes where its version has 3",
    );
    let field_twice = [0xa1, 0x00, 0x05, 0xa2, 0x00, 0x61, b'a', 0x00, 0x61, b'b'];
    refused(&stored(1, 2, 1, &field_twice), "a stored event holds 7 bytes where its version has 4");
    let behind_the_end = [0xa1, 0x00, 0x05, 0xa1, 0x00, 0x61, b'a', 0x00];
    refused(
        &stored(1, 2, 1, &behind_the_end),
        "a stored event holds 11 bytes where its version has 10",
    );
}

#[test]
fn kinds_have_numbers_and_names_of_their_own() {
    let mut numbers: Vec<u16> = Kind::ALL.iter().map(|kind| kind.number()).collect();
    let mut names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    names.sort_unstable();
    names.dedup();
    assert_eq!((numbers.len(), names.len()), (Kind::ALL.len(), Kind::ALL.len()));
}

#[test]
fn the_documented_kinds_are_these() {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/events.md");
    let document = std::fs::read_to_string(document).unwrap();
    for kind in Kind::ALL {
        let row = format!("| {} | `{}` |", kind.number(), kind.name());
        assert!(document.contains(&row), "{row}");
    }
}
