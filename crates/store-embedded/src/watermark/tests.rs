use super::*;

const RECORD: Record = Record {
    log: LogIdentity { store: [5; 16], page_bytes: 16_384, root: 2, schema_checksum: 77 },
    live: true,
    position: 123_456_789,
};

#[test]
fn a_watermark_comes_back_as_it_was_written() {
    assert_eq!(Record::decode(&RECORD.encode()).unwrap(), RECORD);
}

#[test]
fn every_flipped_bit_of_a_watermark_is_noticed() {
    let whole = RECORD.encode();
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Record::decode(&flipped).is_err(), "bit {bit}");
    }
    for bytes in 0..whole.len() {
        assert!(Record::decode(&whole[..bytes]).is_err(), "cut to {bytes} bytes");
    }
}

#[test]
fn a_newer_watermark_names_both_formats() {
    let mut newer = RECORD.encode();
    newer[11] = 9;
    let message = Record::decode(&newer).unwrap_err().to_string();
    assert!(message.contains("format 9, this release knows 1"), "{message}");
}
