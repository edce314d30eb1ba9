//! Everything the service is made of, handed in by whoever assembles it: nothing here looks at a
//! clock, an environment variable or a source of randomness by itself.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::member::Allowance;
use domain::{ExceptionId, IdempotencyKey, LicenseId, Timestamp};
use drm::content_keys::ContentKeys;
use drm::grant::{GrantMemory, GrantSigner, GrantVerifier};
use drm::lease::LeaseSigner;
use drm::signing_keys::SigningKeys;
use engine::viewing::Viewing;
use engine::{Engine, Policies};
use playback::{Catalogue, Delivery};
use ring::digest::{SHA256, digest};
use std::sync::Arc;

use crate::auth::AuthError;
use crate::auth::proof::{ProofMode, ProofVerifier};
use crate::auth::service_credential::ServiceCredentials;
use crate::auth::token::TokenVerifier;
use crate::clock::{Clock, Jump};
use crate::demo::DemoIdp;
use crate::finish::Unfinished;
use crate::metrics::Metrics;
use crate::replays::Replays;

pub struct AppState {
    pub engine: Engine,
    pub policies: Arc<Policies>,
    pub viewing: Viewing,
    /// Swapped when the file changes and is in order.
    pub catalogue: ArcSwap<Catalogue>,
    pub delivery: Delivery,
    pub signing: Signing,
    pub content_keys: ContentKeys,
    pub grant_memory: GrantMemory,
    pub tokens: TokenVerifier,
    pub proofs: ProofVerifier,
    pub callers: ServiceCredentials,
    pub clock: Clock,
    pub ids: Ids,
    pub settings: Settings,
    /// The development identity provider: in demo mode and never else.
    pub demo: Option<DemoIdp>,
    pub metrics: Metrics,
    pub unfinished: Unfinished,
    pub replays: Replays,
}

/// Sixteen random bytes.
pub type Randomness = Arc<dyn Fn() -> [u8; 16] + Send + Sync>;

#[derive(Debug, Clone)]
pub struct Settings {
    /// `iss` of leases and grants.
    pub issuer: String,
    /// The origin as clients see it, when it is not the request's own `Host` over http:
    /// `https://licenses.example.com`. Device proofs name it.
    pub public_url: Option<String>,
    pub proofs: ProofMode,
    /// Whether answers carry grants. Not where somebody else's DRM service takes none.
    pub grants: bool,
    /// Origins whose pages may call the APIs; none by default.
    pub cors_origins: Vec<String>,
    pub request_timeout: Duration,
    /// A client that dawdles over its headers, or keeps a connection without using it, is let go.
    pub headers_timeout: Duration,
    /// How long requests are still taken once `/readyz` says that the process stops.
    pub unready_for: Duration,
    /// A directory served at `/media/`, when media do not come from elsewhere.
    pub media: Option<PathBuf>,
}

impl Settings {
    pub fn new(issuer: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            public_url: None,
            proofs: ProofMode::default(),
            grants: true,
            cors_origins: Vec::new(),
            request_timeout: Duration::from_secs(15),
            headers_timeout: Duration::from_secs(60),
            unready_for: Duration::ZERO,
            media: None,
        }
    }
}

/// What leases and grants are signed with.
#[derive(Debug)]
pub struct Signing {
    pub keys: SigningKeys,
    pub lease: LeaseSigner,
    pub grant: GrantSigner,
    pub grant_verifier: GrantVerifier,
}

impl Signing {
    pub fn new(keys: SigningKeys, issuer: &str) -> Self {
        let ttl_seconds = drm::grant::TTL_SECONDS_MAX;
        Self {
            lease: LeaseSigner::new(keys.active()),
            // Issuer and audience are one: the tier that takes grants is ours.
            grant: GrantSigner::new(keys.active(), issuer, issuer, ttl_seconds),
            grant_verifier: GrantVerifier::new(issuer, issuer),
            keys,
        }
    }
}

/// Makes ids that nobody can guess, and ids of requests, which need only be different.
pub struct Ids {
    random: Randomness,
    /// Of this process.
    prefix: String,
    requests: AtomicU64,
}

impl Ids {
    pub fn new(random: Randomness) -> Self {
        let mut prefix = base32(random());
        prefix.truncate(8);
        Self { random, prefix, requests: AtomicU64::new(0) }
    }

    pub fn grant(&self) -> String {
        base32((self.random)())
    }

    #[expect(clippy::expect_used, reason = "INVARIANT: 30 letters and digits are an id")]
    pub fn license(&self) -> LicenseId {
        let id = format!("lic_{}", base32((self.random)()));
        LicenseId::new(&id).expect("30 letters and digits are an id")
    }

    pub(crate) fn withdrawal(&self) -> String {
        format!("wdr_{}", base32((self.random)()))
    }

    pub(crate) fn random(&self) -> [u8; 16] {
        (self.random)()
    }

    pub fn request(&self) -> String {
        format!("{}-{:x}", self.prefix, self.requests.fetch_add(1, Ordering::Relaxed))
    }
}

/// Of what is granted under a key: its retry speaks of the same exception.
#[expect(clippy::expect_used, reason = "INVARIANT: 30 letters and digits are an id")]
pub(crate) fn exception_id(
    key: &IdempotencyKey,
    position: usize,
    allowance: &Allowance,
) -> ExceptionId {
    let Allowance { rule, amount, until } = allowance;
    let seed = format!("{key} {position} {rule} {amount} {until}");
    let hash = digest(&SHA256, seed.as_bytes());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
    let id = format!("exc_{}", base32(bytes));
    ExceptionId::new(&id).expect("30 letters and digits are an id")
}

/// 26 letters and digits of Crockford's alphabet, in lower case: nothing to mistake on the phone.
fn base32(bytes: [u8; 16]) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut number = u128::from_be_bytes(bytes);
    let mut digits = [b'0'; 26];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET.get((number & 31) as usize).copied().unwrap_or(b'0');
        number >>= 5;
    }
    digits.iter().copied().map(char::from).collect()
}

impl AppState {
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// To be called about every second.
    pub fn watch_clock(&self) {
        let Some(Jump { ms }) = self.clock.compare() else { return };
        self.metrics.clock_jump(ms);
        tracing::warn!(jump_ms = ms, "the wall clock was set; time goes on from where it was");
    }

    /// A token's times are its issuer's, so one that is in order by either clock is in order: what
    /// `verify` finds at the service's time, or else by the wall clock.
    pub(crate) async fn by_either_clock<T, F>(
        &self,
        verify: impl Fn(i64) -> F,
    ) -> Result<T, AuthError>
    where
        F: Future<Output = Result<T, AuthError>>,
    {
        match verify(self.now().as_millis()).await {
            Err(AuthError::TokenExpired | AuthError::TokenNotYet) => {
                verify(self.clock.wall().as_millis()).await
            }
            verified => verified,
        }
    }
}

impl fmt::Debug for AppState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppState").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ids").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_26_letters_and_digits_and_differ_when_their_bytes_do() {
        assert_eq!(base32([0; 16]), "0".repeat(26));
        assert_eq!(base32([255; 16]), format!("7{}", "z".repeat(25)));
        let mut bytes = [0; 16];
        bytes[15] = 33;
        assert_eq!(base32(bytes), format!("{}11", "0".repeat(24)));
    }

    #[test]
    fn request_ids_of_one_process_differ() {
        let ids = Ids::new(Arc::new(|| [7; 16]));
        assert_ne!(ids.request(), ids.request());
        assert_eq!(ids.license().as_str().len(), 30);
    }
}
