//! The directory of keys that grants and leases are signed with.
//!
//! The file `active.pem` or `active.jwk` signs. Every other `.pem` or `.jwk` file, private or
//! public, is only published, so that what it signed stays verifiable. To rotate: add the next key
//! under any name, wait until every verifier has fetched the set, rename the active file to the day
//! it ends and the next one to `active`. A retired key stays longer than the longest lease.
//!
//! Whoever verifies leases years later needs nothing but the published set.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::jwk::{Jwk, JwkSet, KEYS_MAX, PublicKey};
use crate::jws::{SigningKey, SigningKeyError};
use crate::private_file;

const ACTIVE: &str = "active";
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// The DER of an Ed25519 `PUBLIC KEY` (RFC 8410) up to its 32 bytes.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

#[derive(Debug, Clone)]
pub struct SigningKeys {
    active: SigningKey,
    published: JwkSet,
}

#[derive(Debug, thiserror::Error)]
pub enum SigningKeysError {
    #[error("cannot read `{path}`: {cause}")]
    Io { path: PathBuf, cause: io::Error },
    #[error("cannot write `{path}`: {cause}")]
    Write { path: PathBuf, cause: io::Error },
    #[error(
        "`{path}` is no signing key: {cause}; write one with `openssl genpkey -algorithm ed25519`"
    )]
    Key { path: PathBuf, cause: SigningKeyError },
    #[error(
        "`{directory}` has no `active.pem` or `active.jwk` to sign with; write one with `openssl genpkey -algorithm ed25519 -out active.pem`"
    )]
    NoActive { directory: PathBuf },
    #[error(
        "`{directory}` has both `active.pem` and `active.jwk`: rename the one that shall only be published"
    )]
    TwoActive { directory: PathBuf },
    #[error("`{path}` holds only a public key, which cannot sign: put the private key there")]
    ActiveIsPublic { path: PathBuf },
    #[error("`{path}` is longer than {FILE_BYTES_MAX} bytes, which no key is: move it elsewhere")]
    TooLong { path: PathBuf },
    #[error("`{directory}` holds more than {KEYS_MAX} keys: remove those whose leases are over")]
    TooMany { directory: PathBuf },
}

enum Loaded {
    Private(SigningKey),
    Public(PublicKey),
}

impl SigningKeys {
    pub fn load(directory: &Path) -> Result<Self, SigningKeysError> {
        let mut active = None;
        let mut published = Vec::new();
        for path in key_files(directory)? {
            let loaded = load_file(&path)?;
            if path.file_stem().is_some_and(|stem| stem == ACTIVE) {
                let Loaded::Private(key) = loaded else {
                    return Err(SigningKeysError::ActiveIsPublic { path });
                };
                if active.replace(key).is_some() {
                    return Err(SigningKeysError::TwoActive { directory: directory.to_owned() });
                }
            } else {
                published.push(loaded.into_public_jwk());
            }
        }
        let Some(active) = active else {
            return Err(SigningKeysError::NoActive { directory: directory.to_owned() });
        };
        // The active one first; one key under two names is published once.
        let mut keys = vec![active.public_jwk()];
        for key in published {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        Ok(Self { active, published: JwkSet::new(keys) })
    }

    /// For the demo and a first start: makes the directory and its first key when there is none.
    pub fn load_or_create(directory: &Path) -> Result<Self, SigningKeysError> {
        let write = |path: &Path| {
            let path = path.to_owned();
            move |cause| SigningKeysError::Write { path, cause }
        };
        fs::create_dir_all(directory).map_err(write(directory))?;
        match Self::load(directory) {
            Err(SigningKeysError::NoActive { .. }) => {}
            loaded => return loaded,
        }
        let path = directory.join("active.pem");
        let (_, pkcs8) = SigningKey::generate()
            .map_err(|cause| SigningKeysError::Key { path: path.clone(), cause })?;
        match private_file::create(&path, pem(&pkcs8).as_bytes()) {
            // Another process was faster: its key is the key.
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
            written => written.map_err(write(&path))?,
        }
        Self::load(directory)
    }

    pub fn active(&self) -> &SigningKey {
        &self.active
    }

    /// What is served as the JWK set: the active key first.
    pub fn published(&self) -> &JwkSet {
        &self.published
    }
}

impl Loaded {
    /// Published under the thumbprint, which is the key id that [`SigningKey`] signs with.
    fn into_public_jwk(self) -> Jwk {
        match self {
            Self::Private(key) => key.public_jwk(),
            Self::Public(key) => Jwk { kid: Some(key.thumbprint()), key },
        }
    }
}

/// In the order of their names.
fn key_files(directory: &Path) -> Result<Vec<PathBuf>, SigningKeysError> {
    let failed = |cause| SigningKeysError::Io { path: directory.to_owned(), cause };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "pem" || extension == "jwk") {
            paths.push(path);
        }
    }
    if paths.len() > KEYS_MAX {
        return Err(SigningKeysError::TooMany { directory: directory.to_owned() });
    }
    paths.sort();
    Ok(paths)
}

fn load_file(path: &Path) -> Result<Loaded, SigningKeysError> {
    let failed = |cause| SigningKeysError::Io { path: path.to_owned(), cause };
    if fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(SigningKeysError::TooLong { path: path.to_owned() });
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(failed)?);
    parse(&text).map_err(|cause| SigningKeysError::Key { path: path.to_owned(), cause })
}

fn parse(text: &str) -> Result<Loaded, SigningKeyError> {
    if let Some(der) = from_pem(text, "PRIVATE KEY") {
        return SigningKey::from_pkcs8(&der).map(Loaded::Private);
    }
    if let Some(der) = from_pem(text, "PUBLIC KEY") {
        let x = der.strip_prefix(&SPKI_PREFIX).and_then(|x| x.try_into().ok());
        let x = x.ok_or(SigningKeyError::NotAnEd25519Key)?;
        return Ok(Loaded::Public(PublicKey::Ed25519 { x }));
    }
    match Jwk::parse(text) {
        Ok(Jwk { key: key @ PublicKey::Ed25519 { .. }, .. }) => Ok(Loaded::Public(key)),
        _ => SigningKey::from_jwk(text).map(Loaded::Private),
    }
}

fn pem(pkcs8: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(pkcs8));
    // 48 bytes of PKCS#8 are one line of 64.
    Zeroizing::new(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", *body))
}

fn from_pem(text: &str, label: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
    STANDARD.decode(body.as_bytes()).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests;
