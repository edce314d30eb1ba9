use std::path::PathBuf;

use super::*;

fn records() -> [(&'static str, Record); 3] {
    let warrant = || Warrant { actor: "olga".to_owned(), reason: "rights ended".to_owned() };
    let at = Timestamp::from_millis(1_790_000_000_000);
    let ordered = Ordered {
        id: "wdr_1".to_owned(),
        title: TitleId::new("10.5240/7791-8534").unwrap(),
        warrant: warrant(),
        at,
        key: Some(IdempotencyKey::new("k-1").unwrap()),
    };
    let ended = |id: &str, failures| Ended { id: id.to_owned(), members: 7, licenses: 9, failures };
    let walked = Walked {
        at,
        cursor: vec![0, 0, 1, 255],
        events: 70_000,
        done: true,
        each: vec![ended("wdr_1", 0), ended("wdr_2", 3)],
    };
    let lifted = Lifted { id: "wdr_1".to_owned(), warrant: warrant(), at };
    [
        ("ordered", Record::Ordered(ordered)),
        ("walked", Record::Walked(walked)),
        ("lifted", Record::Lifted(lifted)),
    ]
}

/// Golden: what was stored by any version reads for ever.
#[test]
fn every_version_is_read_for_ever() {
    for (name, record) in records() {
        let file = format!("fixtures/withdrawal/{name}.v1.cbor");
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file);
        if std::env::var("CARNET_FIXTURES").is_ok_and(|mode| mode == "write") && !file.exists() {
            std::fs::write(&file, encode_withdrawal(&record)).unwrap();
        }
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(decode_withdrawal(&bytes).unwrap(), record, "{name}");
        assert_eq!(encode_withdrawal(&record), bytes, "what is written now has its bytes here");
    }
}

#[test]
fn what_is_damaged_or_newer_is_refused() {
    for (name, record) in records() {
        let bytes = encode_withdrawal(&record);
        for cut in 0..bytes.len() {
            assert!(decode_withdrawal(&bytes[..cut]).is_err(), "{name} cut at {cut}");
        }
        for position in [1, 2] {
            let mut newer = bytes.clone();
            newer[position] = 9;
            let error = decode_withdrawal(&newer).unwrap_err().to_string();
            assert!(error.contains("run a newer carnet"), "{error}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(decode_withdrawal(&longer).is_err());
    }
}
