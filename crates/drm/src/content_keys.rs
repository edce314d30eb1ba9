//! Content keys, and the sealed file they are kept in.
//!
//! Each key of the file is encrypted by itself with AES-256-GCM under the master key; its key id
//! and the name of the format are authenticated with it, so that two entries cannot be swapped.
//! Labels and order are plain. No content key leaves this crate except inside of a license.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use crate::encoding::{array_from_base64url, array_from_hex, base64url, from_base64url};
use crate::key_id::KeyId;
use crate::private_file;

pub const MASTER_KEY_VARIABLE: &str = "CARNET_MASTER_KEY";

const FORMAT: &str = "carnet-content-keys/1";
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// 16 bytes that decrypt a title. Cannot be printed nor serialized; overwritten when dropped.
#[derive(Clone)]
pub struct ContentKey(Zeroizing<[u8; 16]>);

impl ContentKey {
    pub(crate) fn new(bytes: [u8; 16]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn expose(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey(..)")
    }
}

/// The key that seals the content keys: 32 bytes from the environment, never from a file of ours.
pub struct MasterKey(LessSafeKey);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MasterKeyError {
    #[error(
        "`{MASTER_KEY_VARIABLE}` is not set: give it 32 random bytes as base64 or hex, for instance those of `openssl rand -base64 32`"
    )]
    Missing,
    #[error(
        "`{MASTER_KEY_VARIABLE}` is not 32 bytes as base64 or hex: make one with `openssl rand -base64 32`"
    )]
    Malformed,
}

impl MasterKey {
    pub fn from_environment() -> Result<Self, MasterKeyError> {
        let text = std::env::var(MASTER_KEY_VARIABLE).map_err(|error| match error {
            std::env::VarError::NotPresent => MasterKeyError::Missing,
            std::env::VarError::NotUnicode(_) => MasterKeyError::Malformed,
        })?;
        Self::parse(&Zeroizing::new(text))
    }

    /// 64 hex digits, or base64 of either alphabet with or without padding.
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let text = text.trim();
        let unpadded = text.trim_end_matches('=');
        let bytes = array_from_hex::<32>(text)
            .or_else(|| array_from_base64url(unpadded))
            .or_else(|| STANDARD.decode(text).ok().map(Zeroizing::new)?.as_slice().try_into().ok());
        let bytes = Zeroizing::new(bytes.ok_or(MasterKeyError::Malformed)?);
        let key = UnboundKey::new(&AES_256_GCM, bytes.as_ref());
        Ok(Self(LessSafeKey::new(key.map_err(|_| MasterKeyError::Malformed)?)))
    }

    /// 32 fresh random bytes as base64, for the environment of a first start.
    pub fn generate() -> Result<Zeroizing<String>, SealError> {
        let mut bytes = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(bytes.as_mut()).map_err(|_| SealError::NoRandomness)?;
        Ok(Zeroizing::new(STANDARD.encode(bytes.as_ref())))
    }

    fn seal(&self, kid: KeyId, key: &ContentKey) -> Result<SealedEntry, SealError> {
        // Random nonces: safe for far more keys than a master key ever seals (2^32).
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| SealError::NoRandomness)?;
        let mut sealed = Zeroizing::new(key.expose().to_vec());
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(associated_data(kid)),
                &mut *sealed,
            )
            .map_err(|_| SealError::NoRandomness)?;
        Ok(SealedEntry {
            kid: kid.to_string(),
            label: String::new(),
            nonce: base64url(nonce),
            sealed: base64url(&*sealed),
        })
    }

    fn open(&self, kid: KeyId, nonce: [u8; NONCE_LEN], mut sealed: Vec<u8>) -> Option<ContentKey> {
        let opened = self.0.open_in_place(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(associated_data(kid)),
            &mut sealed,
        );
        let key = opened.ok().and_then(|key| <[u8; 16]>::try_from(&*key).ok()).map(ContentKey::new);
        sealed.zeroize();
        key
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

fn associated_data(kid: KeyId) -> Vec<u8> {
    [FORMAT.as_bytes(), &[0], kid.as_bytes()].concat()
}

#[derive(Serialize, Deserialize)]
struct SealedFile {
    format: String,
    keys: Vec<SealedEntry>,
}

#[derive(Serialize, Deserialize)]
struct SealedEntry {
    kid: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    label: String,
    nonce: String,
    sealed: String,
}

#[derive(Deserialize)]
struct PlainFile {
    keys: Vec<PlainEntry>,
}

#[derive(Deserialize)]
struct PlainEntry {
    kid: String,
    key: Zeroizing<String>,
    #[serde(default)]
    label: String,
}

#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("the system's source of randomness failed")]
    NoRandomness,
    #[error(
        "the keys to seal are not `{{\"keys\":[{{\"kid\":\"…\",\"key\":\"…\",\"label\":\"…\"}}]}}`: line {line}, column {column}"
    )]
    Malformed { line: usize, column: usize },
    #[error("entry {entry}: {problem}")]
    Entry { entry: usize, problem: EntryProblem },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryProblem {
    #[error(transparent)]
    KeyId(#[from] crate::key_id::KeyIdError),
    #[error("key id `{0}` occurs twice: keep one entry for each key id")]
    Duplicate(KeyId),
    #[error("the `key` of key id `{0}` is not 32 hex digits")]
    NotAKey(KeyId),
    #[error(
        "the `nonce` or `sealed` of key id `{0}` is not base64url of the right length: seal the keys again with `carnet keys seal`"
    )]
    Malformed(KeyId),
    #[error(
        "key id `{0}` does not open: either `{MASTER_KEY_VARIABLE}` is not the key that sealed this file, or the entry was altered; use the right master key, or seal the keys again with `carnet keys seal`"
    )]
    DoesNotOpen(KeyId),
}

/// From plain keys, `{"keys":[{"kid":"<32 hex>","key":"<32 hex>","label":"video"}]}`, to the text
/// of a sealed file.
pub fn seal(plain_json: &str, master: &MasterKey) -> Result<String, SealError> {
    // The parser's own message could quote a key.
    let plain: PlainFile = serde_json::from_str(plain_json)
        .map_err(|error| SealError::Malformed { line: error.line(), column: error.column() })?;
    let mut seen = BTreeSet::new();
    let mut keys = Vec::with_capacity(plain.keys.len());
    for (index, entry) in plain.keys.into_iter().enumerate() {
        let refused = |problem| SealError::Entry { entry: index + 1, problem };
        let kid = entry.kid.parse::<KeyId>().map_err(|error| refused(error.into()))?;
        if !seen.insert(kid) {
            return Err(refused(EntryProblem::Duplicate(kid)));
        }
        let key = array_from_hex(&entry.key).ok_or_else(|| refused(EntryProblem::NotAKey(kid)))?;
        let sealed = master.seal(kid, &ContentKey::new(key))?;
        keys.push(SealedEntry { label: entry.label, ..sealed });
    }
    let file = SealedFile { format: FORMAT.to_owned(), keys };
    serde_json::to_string_pretty(&file)
        .map(|text| text + "\n")
        .map_err(|error| SealError::Malformed { line: error.line(), column: error.column() })
}

/// Writes what [`seal`] gave; an existing file is left alone and is an `AlreadyExists` error.
pub fn write_sealed(path: &Path, sealed: &str) -> io::Result<()> {
    private_file::create(path, sealed.as_bytes())
}

/// The content keys of one sealed file, open and in memory.
#[derive(Debug, Default)]
pub struct ContentKeys {
    keys: HashMap<KeyId, ContentKey>,
}

#[derive(Debug, thiserror::Error)]
pub enum ContentKeysError {
    #[error("cannot read `{path}`: {cause}")]
    Io { path: PathBuf, cause: io::Error },
    #[error("`{path}` is longer than {FILE_BYTES_MAX} bytes: split the keys over several services")]
    TooLong { path: PathBuf },
    #[error(
        "`{path}`, line {line}, column {column}: not a file of sealed content keys; write one with `carnet keys seal`"
    )]
    Malformed { path: PathBuf, line: usize, column: usize },
    #[error(
        "`{path}` is of format `{format}`, and this program reads `{FORMAT}`: use the program that wrote it, or seal the keys again with `carnet keys seal`"
    )]
    Format { path: PathBuf, format: String },
    #[error("`{path}`, entry {entry}: {problem}")]
    Entry { path: PathBuf, entry: usize, problem: EntryProblem },
}

impl ContentKeys {
    pub fn load(path: &Path, master: &MasterKey) -> Result<Self, ContentKeysError> {
        let failed = |cause| ContentKeysError::Io { path: path.to_owned(), cause };
        if fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
            return Err(ContentKeysError::TooLong { path: path.to_owned() });
        }
        Self::parse(path, &fs::read_to_string(path).map_err(failed)?, master)
    }

    fn parse(path: &Path, text: &str, master: &MasterKey) -> Result<Self, ContentKeysError> {
        let file: SealedFile =
            serde_json::from_str(text).map_err(|error| ContentKeysError::Malformed {
                path: path.to_owned(),
                line: error.line(),
                column: error.column(),
            })?;
        if file.format != FORMAT {
            let format = file.format.chars().take(64).collect();
            return Err(ContentKeysError::Format { path: path.to_owned(), format });
        }
        let mut keys = HashMap::with_capacity(file.keys.len());
        for (index, entry) in file.keys.into_iter().enumerate() {
            let (kid, key) = open_entry(entry, master)
                .and_then(|(kid, key)| match keys.contains_key(&kid) {
                    true => Err(EntryProblem::Duplicate(kid)),
                    false => Ok((kid, key)),
                })
                .map_err(|problem| ContentKeysError::Entry {
                    path: path.to_owned(),
                    entry: index + 1,
                    problem,
                })?;
            keys.insert(kid, key);
        }
        Ok(Self { keys })
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub fn contains(&self, kid: KeyId) -> bool {
        self.get(kid).is_some()
    }

    pub(crate) fn get(&self, kid: KeyId) -> Option<&ContentKey> {
        self.keys.get(&kid)
    }
}

fn open_entry(entry: SealedEntry, master: &MasterKey) -> Result<(KeyId, ContentKey), EntryProblem> {
    let kid: KeyId = entry.kid.parse()?;
    let nonce = array_from_base64url(&entry.nonce).ok_or(EntryProblem::Malformed(kid))?;
    let sealed = from_base64url(&entry.sealed).ok_or(EntryProblem::Malformed(kid))?;
    if sealed.len() != 16 + AES_256_GCM.tag_len() {
        return Err(EntryProblem::Malformed(kid));
    }
    let key = master.open(kid, nonce, sealed).ok_or(EntryProblem::DoesNotOpen(kid))?;
    Ok((kid, key))
}

#[cfg(test)]
mod tests;
