use super::*;
use crate::jws::Unverified;

/// As OpenSSL writes it (RFC 8410, section 10.3: without and with the public part).
const PEM_V1: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
const PUBLIC_PEM: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";
const PRIVATE_JWK: &str = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const PUBLIC_JWK: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(directory.path().join(name), content).unwrap();
    }
    directory
}

#[test]
fn the_private_and_the_public_pem_are_one_key() {
    let (Ok(private), Ok(public)) = (parse(PEM_V1), parse(PUBLIC_PEM)) else { panic!() };
    assert_eq!(private.into_public_jwk(), public.into_public_jwk());
}

#[test]
fn the_active_key_signs_and_all_are_published() {
    let directory = directory(&[
        ("active.pem", PEM_V1),
        ("2026-05.jwk", PUBLIC_JWK),
        ("2026-04.jwk", PRIVATE_JWK),
        ("copy-of-active.pem", PUBLIC_PEM),
        ("README.md", "not a key"),
    ]);
    let keys = SigningKeys::load(directory.path()).unwrap();
    let published: Vec<_> =
        keys.published().keys().iter().map(|k| k.kid.clone().unwrap()).collect();
    assert_eq!(published, [keys.active().kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"]);
    assert!(!serde_json::to_string(keys.published()).unwrap().contains("\"d\""));
}

#[test]
fn what_a_retired_key_signed_stays_verifiable() {
    let directory = directory(&[("active.jwk", PRIVATE_JWK)]);
    let before = SigningKeys::load(directory.path()).unwrap();
    let token = before.active().signer("t").sign_compact(b"{}");
    let at = |name: &str| directory.path().join(name);
    fs::rename(at("active.jwk"), at("2026-11-23.jwk")).unwrap();
    fs::write(at("active.pem"), PEM_V1).unwrap();
    let after = SigningKeys::load(directory.path()).unwrap();
    assert_ne!(after.active().kid(), before.active().kid());
    let parsed = Unverified::parse(&token).unwrap();
    assert!(parsed.verify_with(after.published()).is_ok());
}

#[test]
fn the_first_start_makes_one_key_and_later_ones_find_it() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("data/keys");
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let path = path.clone();
            std::thread::spawn(move || SigningKeys::load_or_create(&path).unwrap())
        })
        .collect();
    let kids: Vec<_> =
        starts.into_iter().map(|s| s.join().unwrap().active().kid().to_owned()).collect();
    let again = SigningKeys::load_or_create(&path).unwrap();
    assert!(kids.iter().all(|kid| kid == again.active().kid()), "{kids:?}");
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
}

#[test]
fn errors_name_the_file_and_the_remedy() {
    let rows: &[(&[(&str, &str)], &str)] = &[
        (&[], "has no `active.pem` or `active.jwk` to sign with; write one with `openssl"),
        (&[("2026.jwk", PRIVATE_JWK)], "has no `active.pem`"),
        (&[("active.pem", PEM_V1), ("active.jwk", PRIVATE_JWK)], "has both"),
        (&[("active.jwk", PUBLIC_JWK)], "active.jwk` holds only a public key"),
        (
            &[("active.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----")],
            "active.pem` is no signing key: the file is neither a PEM",
        ),
        (&[("active.pem", "-----BEGIN PRIVATE KEY-----\n")], "active.pem` is no signing key"),
        (&[("active.pem", PEM_V1), ("old.pem", "")], "old.pem` is no signing key"),
        (&[("active.jwk", "{}")], "active.jwk` is no signing key"),
    ];
    for (files, message) in rows {
        let directory = directory(files);
        let error = SigningKeys::load(directory.path()).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    let long = " ".repeat(20_000);
    let directory = directory(&[("active.pem", &long)]);
    let error = SigningKeys::load(directory.path()).unwrap_err();
    assert!(matches!(error, SigningKeysError::TooLong { .. }), "{error}");
    let error = SigningKeys::load(Path::new("/nowhere/keys")).unwrap_err().to_string();
    assert!(error.starts_with("cannot read `/nowhere/keys`"), "{error}");
}

#[test]
fn a_broken_key_is_never_replaced_by_a_new_one() {
    let directory = directory(&[("active.pem", "gone")]);
    assert!(SigningKeys::load_or_create(directory.path()).is_err());
    assert_eq!(fs::read_to_string(directory.path().join("active.pem")).unwrap(), "gone");
}
