use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const VIDEO: &str = "00112233445566778899aabbccddeeff";
const AUDIO: &str = "a0112233445566778899aabbccddeeff";
const VIDEO_KEY: [u8; 16] = [0x5a; 16];

fn master(byte: u8) -> MasterKey {
    MasterKey::parse(&STANDARD.encode([byte; 32])).unwrap()
}

fn plain() -> String {
    json!({"keys": [
        {"kid": VIDEO, "key": "5a".repeat(16), "label": "video"},
        {"kid": AUDIO, "key": "3c".repeat(16)},
    ]})
    .to_string()
}

fn open(text: &str, master: &MasterKey) -> Result<ContentKeys, String> {
    ContentKeys::parse(Path::new("keys.json"), text, master).map_err(|error| error.to_string())
}

/// A sealed file, changed.
fn changed(change: impl Fn(&mut Value)) -> String {
    let mut file: Value = serde_json::from_str(&seal(&plain(), &master(1)).unwrap()).unwrap();
    change(&mut file);
    file.to_string()
}

#[test]
fn what_is_sealed_opens_with_the_same_master_key() {
    let sealed = seal(&plain(), &master(1)).unwrap();
    let keys = open(&sealed, &master(1)).unwrap();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys.get(VIDEO.parse().unwrap()).unwrap().expose(), &VIDEO_KEY);
    assert_eq!(keys.get(AUDIO.parse().unwrap()).unwrap().expose(), &[0x3c; 16]);
    assert!(keys.get("ff".repeat(16).parse().unwrap()).is_none());
    for text in [sealed.clone(), format!("{keys:?}"), format!("{:?}", master(1))] {
        assert!(!text.contains(&"5a".repeat(16)) && !text.contains("WlpaWlpa"), "{text}");
    }
    assert_ne!(sealed, seal(&plain(), &master(1)).unwrap(), "fresh nonces");
    assert!(sealed.contains("\"video\""));
}

#[test]
fn a_sealed_file_is_written_once_and_loads() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("content-keys.json");
    let error = ContentKeys::load(&path, &master(1)).unwrap_err().to_string();
    assert!(error.contains("content-keys.json"), "{error}");
    write_sealed(&path, &seal(&plain(), &master(1)).unwrap()).unwrap();
    let again = write_sealed(&path, &seal(&plain(), &master(2)).unwrap()).unwrap_err();
    assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(ContentKeys::load(&path, &master(1)).unwrap().len(), 2);
}

#[test]
fn master_keys_are_32_bytes_as_base64_or_hex() {
    let bytes: Vec<u8> = (0xe0..=0xff).collect();
    let standard = STANDARD.encode(&bytes);
    assert!(standard.contains('/'));
    let sealed = seal(&plain(), &MasterKey::parse(&standard).unwrap()).unwrap();
    for text in [
        crate::encoding::hex(&bytes),
        crate::encoding::hex(&bytes).to_uppercase(),
        base64url(&bytes),
        base64url(&bytes) + "=",
        format!("  {standard}\n"),
    ] {
        assert!(open(&sealed, &MasterKey::parse(&text).unwrap()).is_ok(), "{text}");
    }
    for text in ["", "hunter2", &standard[1..], &"0".repeat(63), &STANDARD.encode([0; 31])] {
        assert_eq!(MasterKey::parse(text).map(drop), Err(MasterKeyError::Malformed), "{text}");
    }
    assert!(MasterKey::parse(&MasterKey::generate().unwrap()).is_ok());
}

#[test]
fn load_errors_name_the_file_the_entry_and_the_remedy() {
    let rows = [
        (changed(|_| ()).replace(r#""keys""#, r#""kess""#), "`keys.json`, line 1"),
        ("{".to_owned(), "not a file of sealed content keys; write one with `carnet keys seal`"),
        (
            changed(|f| f["format"] = json!("carnet-content-keys/2")),
            "of format `carnet-content-keys/2`",
        ),
        (
            changed(|f| f["keys"][1]["kid"] = json!("x")),
            "`keys.json`, entry 2: `x` is not a key id",
        ),
        (
            changed(|f| f["keys"][1] = f["keys"][0].clone()),
            "entry 2: key id `00112233445566778899aabbccddeeff` occurs twice",
        ),
        (
            changed(|f| f["keys"][0]["nonce"] = json!("AAAA")),
            "entry 1: the `nonce` or `sealed` of key id",
        ),
        (
            changed(|f| f["keys"][0]["sealed"] = json!("AAAA")),
            "entry 1: the `nonce` or `sealed` of key id",
        ),
        (
            changed(|f| f["keys"][0]["sealed"] = json!("=")),
            "entry 1: the `nonce` or `sealed` of key id",
        ),
        (
            changed(|f| f["keys"][0]["kid"] = json!("ff".repeat(16))),
            "entry 1: key id `ffffffffffffffffffffffffffffffff` does not open: either `CARNET_MASTER_KEY`",
        ),
        // Two entries whose key ids were swapped.
        (
            changed(|f| {
                f["keys"][0]["kid"] = json!(AUDIO);
                f["keys"][1]["kid"] = json!(VIDEO);
            }),
            "entry 1: key id",
        ),
    ];
    for (text, message) in rows {
        let error = open(&text, &master(1)).unwrap_err();
        assert!(error.contains(message), "{error}\n{message}");
    }
    let error = open(&seal(&plain(), &master(1)).unwrap(), &master(2)).unwrap_err();
    assert!(
        error.contains("`keys.json`, entry 1: key id") && error.contains("seal the keys again")
    );
}

#[test]
fn seal_errors_name_the_entry_and_never_the_key() {
    let entry = |kid: &str, key: &str| json!({"kid": kid, "key": key});
    let key = "5a".repeat(16);
    let rows = [
        (json!({"keys": [entry(VIDEO, &key), entry("x", &key)]}), "entry 2: `x` is not a key id"),
        (json!({"keys": [entry(VIDEO, &key), entry(VIDEO, &key)]}), "entry 2: key id `0011"),
        (json!({"keys": [entry(VIDEO, "5a5a")]}), "entry 1: the `key` of key id `0011"),
        (json!({"keys": [{"kid": VIDEO, "key": 5}]}), "are not `{\"keys\":"),
        (json!([key]), "are not `{\"keys\":"),
    ];
    for (plain, message) in rows {
        let error = seal(&plain.to_string(), &master(1)).unwrap_err().to_string();
        assert!(error.contains(message) && !error.contains("5a5a"), "{error}");
    }
}

#[test]
fn every_changed_byte_of_an_entry_is_noticed() {
    let sealed: Value = serde_json::from_str(&seal(&plain(), &master(1)).unwrap()).unwrap();
    for member in ["kid", "nonce", "sealed"] {
        let original = sealed["keys"][0][member].as_str().unwrap().to_owned();
        for position in 0..original.len() {
            for bit in 0..7 {
                let mut bytes = original.clone().into_bytes();
                bytes[position] ^= 1 << bit;
                let text = String::from_utf8(bytes).unwrap();
                if member == "kid" && text.eq_ignore_ascii_case(&original) {
                    continue; // the same key id
                }
                let mut file = sealed.clone();
                file["keys"][0][member] = json!(text);
                assert!(open(&file.to_string(), &master(1)).is_err(), "{member} {position} {bit}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parsers_panic(text in ".*") {
        let _ = open(&text, &master(1));
        let _ = seal(&text, &master(1));
        let _ = MasterKey::parse(&text);
    }
}
