//! A service, its clients, and the hands of the clock.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use domain::Timestamp;
use drm::content_keys::{ContentKeys, MasterKey, seal, write_sealed};
use drm::grant::GrantMemory;
use drm::jwk::JwkSet;
use drm::jws::{Signer, SigningKey};
use drm::signing_keys::SigningKeys;
use engine::viewing::Viewing;
use engine::{Engine, Policies};
use playback::{Catalogue, Delivery, DrmSystem};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use service::auth::claims::{ClaimMapping, ClaimPath};
use service::auth::jwks::KeySource;
use service::auth::proof::{ProofMode, ProofVerifier};
use service::auth::service_credential::{ApiKeyConfig, ApiKeyHash, ServiceCredentials};
use service::auth::token::{IssuerConfig, Role, TokenVerifier};
use service::{AppState, Clock, DemoIdp, Ids, Metrics, Settings, Signing, Unfinished};
use store::{
    AppendError, BoxFuture, Cursor, EventStore, FeedPage, ReadError, Snapshot, StreamId,
    StreamSlice, Version,
};
use store_embedded::EmbeddedStore;
use tokio::sync::oneshot;

pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
pub(crate) const HOUR_MS: i64 = 60 * 60 * 1_000;
pub(crate) const START: &str = "2026-03-01T12:00:00.000Z";
pub(crate) const SERVICE_KEY: &str = "carnet_0123456789abcdef0123456789abcdef";
const AUDIENCE: &str = "carnet";
const ISSUER: &str = "https://identity.example.com";

pub(crate) const POLICY: &str = r#"
format = 1
name = "test"
effective_from = 2026-01-01T00:00:00Z

[terms]
start_within = "30d"
delete_at_end = true
finish_within = "48h"
check_in_within = "20d"
grace = "1h"
running_play = "4h"
renewals_max = 1
renew_before_end = "7d"
renew_after_end = "90d"
end_with_availability = true

[[gates]]
id = "plans"
plans = ["standard", "premium"]

[[gates]]
id = "downloadable"
downloadable = true

[[gates]]
id = "classes"
device_classes = ["phone", "tablet", "desktop", "web"]

[[gates]]
id = "streams"
concurrent_streams = 2
if_absent = "allow"

[[gates]]
id = "apart"
not_elsewhere_for = "90d"
if_absent = "allow"

[[caps]]
id = "devices"
counts = "devices_holding"
limit = { standard = 1, premium = 6, otherwise = 1 }

[[caps]]
id = "per-device"
counts = "active_licenses"
per = ["device"]
limit = 3

[[caps]]
id = "title-per-year"
counts = "acquisitions"
per = ["title"]
window = { rolling = "365d" }
limit = 2
warn_at_left = 1

[[caps]]
id = "registered"
counts = "devices_registered"
limit = { tiny = 3, otherwise = 20 }

[downgrade]
keep = "last_seen"
notice = "7d"

[[partners.borders.gates]]
id = "home-only"
territories = ["DE"]

[titles.over.terms]
hard_end = 2026-02-01T00:00:00Z

[titles.often.terms]
renewals_max = 9
renew_before_end = "30d"
auto_renew_every = "7d"

[[titles.vault.gates]]
id = "strong-devices"
security_levels = ["L1"]

[[titles.family.gates]]
id = "owners-only"
accounts = ["owner"]

[[titles.thriller.gates]]
id = "grown-ups"
maturity = true
"#;

/// Id, partner, downloadable, availability.
const TITLES: [(&str, &str, bool, &str); 16] = [
    ("film", "aurora", true, r#"[{"territories":["*"]}]"#),
    ("film-2", "aurora", true, r#"[{"territories":["*"]}]"#),
    ("film-3", "aurora", true, r#"[{"territories":["*"]}]"#),
    ("film-4", "aurora", true, r#"[{"territories":["*"]}]"#),
    ("10.5240/77|x", "aurora", true, r#"[{"territories":["*"]}]"#),
    ("stream-only", "aurora", false, r#"[{"territories":["*"]}]"#),
    ("de-only", "aurora", true, r#"[{"territories":["DE"]}]"#),
    ("future", "aurora", true, r#"[{"territories":["*"],"from":"2026-06-01T00:00:00Z"}]"#),
    ("past", "aurora", true, r#"[{"territories":["*"],"until":"2026-02-01T00:00:00Z"}]"#),
    ("borders", "borders", true, r#"[{"territories":["*"]}]"#),
    ("over", "aurora", true, r#"[{"territories":["*"]}]"#),
    ("keyless", "aurora", true, r#"[{"territories":["*"]}]"#),
    ("often", "aurora", true, r#"[{"territories":["*"]}]"#),
    ("vault", "aurora", true, r#"[{"territories":["*"]}]"#),
    ("family", "aurora", true, r#"[{"territories":["*"]}]"#),
    ("thriller", "aurora", true, r#"[{"territories":["*"]}]"#),
];

/// Of a key that nobody has: some thumbprint.
pub(crate) const THUMBPRINT: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

pub(crate) const VIDEO_KID: &str = "00112233445566778899aabbccddeeff";
const VIDEO_KEY: &str = "0f0e0d0c0b0a09080706050403020100";
/// Of the title `keyless`: nobody sealed a key for it.
const KEYLESS_KID: &str = "ffffffffffffffffffffffffffffffff";

/// How the service is set up.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) proofs: ProofMode,
    pub(crate) demo: bool,
    pub(crate) in_flight_max: usize,
    pub(crate) cors_origins: Vec<String>,
    pub(crate) request_timeout: Duration,
    pub(crate) unready_for: Duration,
    /// Where the identity provider publishes its keys, when they are not simply known.
    pub(crate) keys_url: Option<String>,
    pub(crate) proofs_max: usize,
    pub(crate) grants_max: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            proofs: ProofMode::Required,
            demo: false,
            in_flight_max: 1_000,
            cors_origins: vec![],
            request_timeout: Duration::from_secs(15),
            unready_for: Duration::ZERO,
            keys_url: None,
            proofs_max: 10_000,
            grants_max: 1_000,
        }
    }
}

pub(crate) struct World {
    setup: Setup,
    directory: tempfile::TempDir,
    /// The right time, which everybody but the server's machine has.
    clock: Arc<AtomicI64>,
    /// By so much the machine's wall clock was set.
    wall_set_by_ms: Arc<AtomicI64>,
    feed_fails: Arc<AtomicBool>,
    issuer: Signer,
    stranger: Signer,
    issuer_key: SigningKey,
    server: Option<Server>,
    pub(crate) address: String,
    agent: ureq::Agent,
    /// Method, path and status of every answer.
    answered: Mutex<BTreeSet<(&'static str, String, u16)>>,
}

struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: JoinHandle<()>,
    state: Arc<AppState>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Setup::default())
    }

    pub(crate) fn with(setup: Setup) -> Self {
        let (issuer_key, _) = SigningKey::generate().unwrap();
        let (stranger, _) = SigningKey::generate().unwrap();
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)));
        let mut world = Self {
            setup,
            directory: tempfile::tempdir().unwrap(),
            clock: Arc::new(AtomicI64::new(START.parse::<Timestamp>().unwrap().as_millis())),
            wall_set_by_ms: Arc::default(),
            feed_fails: Arc::default(),
            issuer: issuer_key.signer("JWT"),
            stranger: stranger.signer("JWT"),
            issuer_key,
            server: None,
            address: String::new(),
            agent: config.build().into(),
            answered: Mutex::default(),
        };
        world.start();
        world
    }

    fn start(&mut self) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        self.address = listener.local_addr().unwrap().to_string();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let state = Arc::new(runtime.block_on(self.assemble()));
        let serving = Arc::clone(&state);
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let stopped = async {
                    let _ = stopped.await;
                };
                service::serve(listener, serving, stopped, Duration::from_secs(20)).await;
            });
        });
        self.server = Some(Server { stop: Some(stop), thread, state });
    }

    /// Stops in good order; the clients notice nothing but a refused connection.
    pub(crate) fn stop(&mut self) {
        self.ask_to_stop();
        let Some(Server { thread, state, .. }) = self.server.take() else { return };
        thread.join().unwrap();
        assert_eq!(Arc::strong_count(&state), 1, "something outlives the service");
    }

    pub(crate) fn ask_to_stop(&mut self) {
        let stop = self.server.as_mut().and_then(|server| server.stop.take());
        let _ = stop.map(|stop| stop.send(()));
    }

    /// Whether the ledger's feed cannot be read from now on.
    pub(crate) fn feed_fails(&self, fails: bool) {
        self.feed_fails.store(fails, Ordering::SeqCst);
    }

    /// The same directory, another process as far as anyone can tell.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.start();
    }

    pub(crate) fn state(&self) -> &AppState {
        &self.server.as_ref().unwrap().state
    }

    async fn assemble(&self) -> AppState {
        let directory = self.directory.path();
        let fails = Arc::clone(&self.feed_fails);
        let store: Arc<dyn EventStore> =
            Arc::new(FeedFails { inner: open(&directory.join("ledger")), fails });
        let policy = codec::policy::parse(&[("policy.toml", POLICY)]).unwrap();
        let policies = Arc::new(Policies::open(Arc::clone(&store), policy).await.unwrap());
        let options =
            engine::Options { in_flight_max: self.setup.in_flight_max, ..Default::default() };
        let demo_keys = || SigningKeys::load_or_create(&directory.join("identity")).unwrap();
        let demo = self.setup.demo.then(|| DemoIdp::new(demo_keys()));
        let mut issuers = vec![self.issuer_config()];
        issuers.extend(demo.as_ref().map(DemoIdp::issuer));
        let mut settings = Settings::new("https://carnet.example.com");
        settings.proofs = self.setup.proofs;
        settings.cors_origins.clone_from(&self.setup.cors_origins);
        settings.request_timeout = self.setup.request_timeout;
        settings.unready_for = self.setup.unready_for;
        settings.media = Some(media(directory));
        let (clock, set_by) = (Arc::clone(&self.clock), Arc::clone(&self.wall_set_by_ms));
        let passed = Arc::clone(&self.clock);
        let signing_keys = SigningKeys::load_or_create(&directory.join("keys")).unwrap();
        AppState {
            engine: Engine::open(store, Arc::clone(&policies), options).await.unwrap(),
            policies,
            viewing: Viewing::new(open(&directory.join("viewing"))),
            catalogue: Arc::new(catalogue()).into(),
            delivery: delivery(),
            signing: Signing::new(signing_keys, &settings.issuer),
            content_keys: content_keys(directory),
            grant_memory: GrantMemory::new(self.setup.grants_max),
            tokens: TokenVerifier::new(issuers, 1_000).unwrap(),
            proofs: ProofVerifier::new(60, self.setup.proofs_max),
            callers: ServiceCredentials::new(vec![ApiKeyConfig {
                name: "licensing".to_owned(),
                sha256: ApiKeyHash::of(SERVICE_KEY),
                roles: vec![Role::Service],
            }]),
            clock: Clock::new(
                move || {
                    let ms = clock.load(Ordering::SeqCst) + set_by.load(Ordering::SeqCst);
                    Timestamp::from_millis(ms)
                },
                move || Duration::from_millis(passed.load(Ordering::SeqCst).unsigned_abs()),
            ),
            ids: Ids::new(Arc::new(random)),
            settings,
            demo,
            metrics: Metrics::default(),
            unfinished: Unfinished::default(),
            replays: service::Replays::default(),
        }
    }

    pub(crate) fn issuer_keys(&self) -> JwkSet {
        JwkSet::new(vec![self.issuer_key.public_jwk()])
    }

    fn issuer_config(&self) -> IssuerConfig {
        let keys = match &self.setup.keys_url {
            Some(url) => KeySource::from(url.clone()),
            None => KeySource::Fixed(self.issuer_keys()),
        };
        IssuerConfig {
            issuer: ISSUER.to_owned(),
            audiences: vec![AUDIENCE.to_owned()],
            keys,
            claims: ClaimMapping {
                device: Some(ClaimPath::new("device")),
                plan: Some(ClaimPath::new("plan")),
                territory: Some(ClaimPath::new("territory")),
                security_level: Some(ClaimPath::new("level")),
                account: Some(ClaimPath::new("account")),
                maturity_limit: Some(ClaimPath::new("age")),
                member_since: Some(ClaimPath::new("since")),
                concurrent_streams: Some(ClaimPath::new("streams")),
                elsewhere_at: Some(ClaimPath::new("elsewhere")),
                roles: Some(ClaimPath::new("carnet_role")),
                ..ClaimMapping::default()
            },
            operator_role: Some("operator".to_owned()),
            service_role: Some("service".to_owned()),
            leeway_seconds: 0,
        }
    }

    pub(crate) fn answered(&self) -> BTreeSet<(&'static str, String, u16)> {
        self.answered.lock().unwrap().clone()
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.load(Ordering::SeqCst))
    }

    pub(crate) fn pass_ms(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    /// Somebody sets the wall clock of the server's machine, and the server has noticed.
    pub(crate) fn set_wall_clock_by_ms(&self, ms: i64) {
        self.wall_set_by_ms.fetch_add(ms, Ordering::SeqCst);
        self.state().watch_clock();
    }

    /// A token of the identity provider for an hour, with some claims added or replaced.
    pub(crate) fn token(&self, claims: Value) -> String {
        self.issuer.sign_compact(self.claims(claims).to_string().as_bytes())
    }

    /// The same by a key that nobody trusts.
    pub(crate) fn forged(&self, claims: Value) -> String {
        self.stranger.sign_compact(self.claims(claims).to_string().as_bytes())
    }

    fn claims(&self, claims: Value) -> Value {
        let now_seconds = self.now().as_millis() / 1_000;
        let mut all = json!({
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": now_seconds,
            "exp": now_seconds + 3_600,
        });
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        all
    }

    pub(crate) fn member(&self, id: &str, plan: &str) -> String {
        self.token(json!({ "sub": id, "plan": plan, "territory": "DE" }))
    }

    pub(crate) fn operator(&self) -> String {
        self.token(json!({ "sub": "olga", "carnet_role": "operator" }))
    }

    pub(crate) fn call(&self, method: &'static str, path: &str) -> Call<'_> {
        Call { world: self, method, path: path.to_owned(), headers: vec![], body: None }
    }

    /// A member with one device, registered.
    pub(crate) fn signed_in(&self, member: &str, plan: &str, device: &str) -> Client<'_> {
        let client = self.stranger_with_device(member, plan, device);
        let answer = client.register();
        assert_eq!(answer.status, 201, "{answer:?}");
        client
    }

    /// A member with one device that nobody has registered.
    pub(crate) fn stranger_with_device(
        &self,
        member: &str,
        plan: &str,
        device: &str,
    ) -> Client<'_> {
        Client {
            world: self,
            member: member.to_owned(),
            plan: plan.to_owned(),
            territory: "DE".to_owned(),
            claims: json!({}),
            device: device.to_owned(),
            class: "phone".to_owned(),
            key: DeviceKey::new(),
        }
    }

    pub(crate) fn timeline(&self, member: &str) -> Vec<Value> {
        let path = format!("/v1/operator/members/{member}/timeline?limit=1000");
        let answer = self.call("GET", &path).token(&self.operator()).send();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json["events"].as_array().unwrap().clone()
    }

    pub(crate) fn timeline_types(&self, member: &str) -> Vec<String> {
        let kind = |event: &Value| event["type"].as_str().unwrap().to_owned();
        self.timeline(member).iter().map(kind).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

/// A store that says of its feed that it cannot be read, while it is told to.
#[derive(Debug)]
struct FeedFails {
    inner: Arc<dyn EventStore>,
    fails: Arc<AtomicBool>,
}

impl EventStore for FeedFails {
    fn read<'a>(
        &'a self,
        stream: &'a StreamId,
        after: Version,
        fingerprint: Option<u64>,
    ) -> BoxFuture<'a, Result<StreamSlice, ReadError>> {
        self.inner.read(stream, after, fingerprint)
    }

    fn append<'a>(
        &'a self,
        stream: &'a StreamId,
        expected: Version,
        bodies: Vec<Vec<u8>>,
    ) -> BoxFuture<'a, Result<Version, AppendError>> {
        self.inner.append(stream, expected, bodies)
    }

    fn feed<'a>(
        &'a self,
        cursor: &'a Cursor,
        limit: usize,
    ) -> BoxFuture<'a, Result<FeedPage, ReadError>> {
        if self.fails.load(Ordering::SeqCst) {
            return Box::pin(async { Err(ReadError::Corrupt("block 7 is damaged".to_owned())) });
        }
        self.inner.feed(cursor, limit)
    }

    fn put_snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, Result<(), AppendError>> {
        self.inner.put_snapshot(stream, snapshot)
    }

    fn events(&self) -> Option<u64> {
        self.inner.events()
    }
}

fn open(directory: &Path) -> Arc<dyn EventStore> {
    Arc::new(EmbeddedStore::open(directory, &store_embedded::Options::default()).unwrap())
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).unwrap();
    bytes
}

pub(crate) fn kid_base64url(hex: &str) -> String {
    let byte = |i: usize| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap();
    URL_SAFE_NO_PAD.encode((0..16).map(byte).collect::<Vec<u8>>())
}

pub(crate) fn content_key_base64url() -> String {
    kid_base64url(VIDEO_KEY)
}

fn content_keys(directory: &Path) -> ContentKeys {
    let master = MasterKey::parse(&"ab".repeat(32)).unwrap();
    let plain = json!({ "keys": [{ "kid": VIDEO_KID, "key": VIDEO_KEY, "label": "video" }] });
    let path = directory.join("content-keys.json");
    if !path.exists() {
        write_sealed(&path, &seal(&plain.to_string(), &master).unwrap()).unwrap();
    }
    ContentKeys::load(&path, &master).unwrap()
}

fn catalogue() -> Catalogue {
    let line = |(id, partner, downloadable, availability): &(&str, &str, bool, &str)| {
        let kid = if *id == "keyless" { KEYLESS_KID } else { VIDEO_KID };
        let maturity_rating = (*id == "thriller").then_some(16);
        json!({
            "id": id, "partner": partner, "downloadable": downloadable,
            "availability": serde_json::from_str::<Value>(availability).unwrap(),
            "name": format!("The {id}"), "runtime_seconds": 30, "maturity_rating": maturity_rating,
            "images": { "poster": { "url": "/media/poster.png", "width": 2, "height": 3 } },
            "manifests": { "dash": "/media/manifest.mpd", "hls": "/media/master.m3u8" },
            "key_ids": { "video": kid },
        })
        .to_string()
    };
    let lines: Vec<String> = TITLES.iter().map(line).collect();
    Catalogue::read("titles.jsonl", lines.join("\n").as_bytes()).unwrap()
}

fn delivery() -> Delivery {
    let clear_key = DrmSystem {
        name: "clearkey".to_owned(),
        system_id: "e2719d58-a985-b3c9-781a-b030af78d30e".to_owned(),
        key_system: "org.w3.clearkey".to_owned(),
        license_url: "/v1/drm/clear-key".to_owned(),
    };
    Delivery::new(None, vec![clear_key]).unwrap()
}

fn media(directory: &Path) -> std::path::PathBuf {
    let media = directory.join("media");
    std::fs::create_dir_all(&media).unwrap();
    std::fs::write(media.join("segment.m4s"), b"0123456789").unwrap();
    media
}

/// A key as a device has it: made by a library that Carnet does not verify with.
pub(crate) struct DeviceKey {
    pair: Ed25519KeyPair,
    proofs: AtomicU64,
}

impl DeviceKey {
    pub(crate) fn new() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        Self { pair, proofs: AtomicU64::new(0) }
    }

    pub(crate) fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref());
        json!({ "kty": "OKP", "crv": "Ed25519", "x": x })
    }

    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", encoded(header), encoded(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(input.as_bytes()).as_ref());
        format!("{input}.{signature}")
    }

    pub(crate) fn proof(&self, method: &str, url: &str, token: &str, at: Timestamp) -> String {
        let header = json!({ "typ": "dpop+jwt", "alg": "EdDSA", "jwk": self.jwk() });
        let hash = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
        let claims = json!({
            "jti": format!("proof-{}", self.proofs.fetch_add(1, Ordering::SeqCst)),
            "htm": method,
            "htu": url.split('?').next().unwrap(),
            "iat": at.as_millis() / 1_000,
            "ath": URL_SAFE_NO_PAD.encode(hash.as_ref()),
        });
        self.sign(&header, &claims)
    }
}

/// One request.
pub(crate) struct Call<'w> {
    world: &'w World,
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) text: String,
    /// Null when it is not JSON.
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or("")
    }

    /// The codes of all findings of its refusal.
    pub(crate) fn findings(&self) -> Vec<&str> {
        let findings = self.json["refusal"]["findings"].as_array();
        findings.into_iter().flatten().map(|finding| finding["code"].as_str().unwrap()).collect()
    }
}

impl Call<'_> {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.bytes("application/json", body.to_string().into_bytes())
    }

    pub(crate) fn bytes(mut self, kind: &str, body: Vec<u8>) -> Self {
        self.body = Some(body);
        self.header("content-type", kind)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}{}", self.world.address, self.path)
    }

    pub(crate) fn proven(self, key: &DeviceKey, token: &str) -> Self {
        let proof = key.proof(self.method, &self.url(), token, self.world.now());
        self.header("dpop", &proof)
    }

    pub(crate) fn send(self) -> Answer {
        let mut request = ureq::http::Request::builder().method(self.method).uri(self.url());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let agent = &self.world.agent;
        let answer = match self.body {
            Some(body) => agent.run(request.body(body).unwrap()),
            None => agent.run(request.body(()).unwrap()),
        };
        let mut answer = answer.unwrap();
        let path = self.path.split('?').next().unwrap().to_owned();
        let told = (self.method, path, answer.status().as_u16());
        self.world.answered.lock().unwrap().insert(told);
        let bytes = answer.body_mut().read_to_vec().unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            json: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        }
    }
}

/// A member's app on one device.
pub(crate) struct Client<'w> {
    pub(crate) world: &'w World,
    pub(crate) member: String,
    pub(crate) plan: String,
    pub(crate) territory: String,
    /// What else the identity provider says.
    pub(crate) claims: Value,
    pub(crate) device: String,
    pub(crate) class: String,
    pub(crate) key: DeviceKey,
}

impl<'w> Client<'w> {
    pub(crate) fn token(&self) -> String {
        let mut claims = self.claims.clone();
        claims["sub"] = json!(self.member);
        claims["plan"] = json!(self.plan);
        claims["territory"] = json!(self.territory);
        self.world.token(claims)
    }

    /// With token and proof.
    pub(crate) fn call(&self, method: &'static str, path: &str) -> Call<'w> {
        let token = self.token();
        self.world.call(method, path).token(&token).proven(&self.key, &token)
    }

    pub(crate) fn register(&self) -> Answer {
        let body = json!({
            "device": self.device, "name": format!("{}'s {}", self.member, self.device),
            "class": self.class, "jwk": self.key.jwk(),
        });
        self.call("POST", "/v1/devices").json(&body).send()
    }

    pub(crate) fn acquire(&self, title: &str, key: &str) -> Answer {
        let body = json!({ "device": self.device, "title": title });
        self.call("POST", "/v1/licenses").key(key).json(&body).send()
    }

    pub(crate) fn acquire_with_challenge(
        &self,
        title: &str,
        key: &str,
        challenge: &Value,
    ) -> Answer {
        let challenge = STANDARD.encode(challenge.to_string());
        let body = json!({
            "device": self.device, "title": title,
            "challenge": { "system": "org.w3.clearkey", "body": challenge },
        });
        self.call("POST", "/v1/licenses").key(key).json(&body).send()
    }

    /// Acquires what must be granted, and tells its id.
    pub(crate) fn download(&self, title: &str) -> String {
        let answer = self.acquire(title, &format!("download-{title}-{}", self.world.now()));
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json["license"]["id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn renew(&self, license: &str, term: u32, key: &str) -> Answer {
        let body = json!({ "device": self.device, "term": term });
        self.call("POST", &format!("/v1/licenses/{license}/renew")).key(key).json(&body).send()
    }

    pub(crate) fn renew_automatically(&self, license: &str, term: u32, key: &str) -> Answer {
        let body = json!({ "device": self.device, "term": term, "automatic": true });
        self.call("POST", &format!("/v1/licenses/{license}/renew")).key(key).json(&body).send()
    }

    pub(crate) fn release(&self, license: &str) -> Answer {
        let body = json!({ "device": self.device });
        self.call("POST", &format!("/v1/licenses/{license}/release")).json(&body).send()
    }

    pub(crate) fn status(&self, license: &str) -> Answer {
        self.call("GET", &format!("/v1/licenses/{license}")).send()
    }

    pub(crate) fn remove(&self, device: &str) -> Answer {
        self.call("DELETE", &format!("/v1/devices/{device}")).send()
    }

    pub(crate) fn check_in(&self, holdings: &Value) -> Answer {
        let body = json!({ "holdings": holdings });
        self.call("POST", &format!("/v1/devices/{}/check-in", self.device)).json(&body).send()
    }

    pub(crate) fn upload(&self, sent_at: Timestamp, events: &Value) -> Answer {
        let body = json!({ "sent_at": sent_at.to_string(), "events": events });
        self.call("POST", &format!("/v1/devices/{}/session-events", self.device)).json(&body).send()
    }
}

/// What a signed token says; the signature is not looked at.
pub(crate) fn claims(token: &Value) -> Value {
    let payload = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

pub(crate) fn base64_json(text: &Value) -> Value {
    serde_json::from_slice(&STANDARD.decode(text.as_str().unwrap()).unwrap()).unwrap()
}
