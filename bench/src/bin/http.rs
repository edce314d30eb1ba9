//! The service over HTTP: durable acquires with a token, an idempotency key, five caps and a signed
//! lease, by 256 connections over loopback. The yardstick is a bare axum JSON echo that signs one
//! JWS of the lease's size, asked by the same clients in the same run.
//!
//! `--seconds` per measurement, `--rounds`, `--connections`, `--members`, `--dir`, `--quick`; `--only`
//! `echo`, `acquire`, `grant` or `proofs` measures that row alone, for a profile.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bench::ledger::{FIVE_CAPS, begin, member_id, policy, wear_in};
use bench::{
    argument, cpu_time, directory, median, per_second, print_setting, quick, text_argument,
};
use domain::member::{Cause, EventBody};
use domain::{DeviceClass, DeviceId, Event, KeyThumbprint, Timestamp};
use drm::content_keys::{ContentKeys, MasterKey, seal, write_sealed};
use drm::grant::GrantMemory;
use drm::jwk::{Jwk, JwkSet};
use drm::jws::{Signer, SigningKey};
use drm::signing_keys::SigningKeys;
use engine::viewing::Viewing;
use engine::{Engine, Options, Policies};
use playback::{Catalogue, Delivery};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use service::auth::claims::{ClaimMapping, ClaimPath};
use service::auth::jwks::KeySource;
use service::auth::proof::{ProofMode, ProofVerifier};
use service::auth::service_credential::ServiceCredentials;
use service::auth::token::{IssuerConfig, TokenVerifier};
use service::{AppState, Clock, Ids, Metrics, Settings, Signing, Unfinished};
use store::EventStore;
use store_embedded::EmbeddedStore;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// As the shipped binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TITLES: usize = 2_000;
const DEVICE: &str = "3f2b8c1e-phone";
const KID: &str = "00112233445566778899aabbccddeeff";

/// How the service is set up.
#[derive(Clone, Copy)]
struct Kind {
    proofs: ProofMode,
    grants: bool,
}

/// No device proof and no DRM step.
const PLAIN: Kind = Kind { proofs: ProofMode::Off, grants: false };

struct Row {
    name: &'static str,
    /// As `--only` calls it.
    short: &'static str,
    /// Absent: the echo.
    kind: Option<Kind>,
}

const ROWS: [Row; 4] = [
    Row { name: "echo that signs one JWS", short: "echo", kind: None },
    Row { name: "acquire", short: "acquire", kind: Some(PLAIN) },
    Row {
        name: "acquire, a grant signed too",
        short: "grant",
        kind: Some(Kind { grants: true, ..PLAIN }),
    },
    Row {
        name: "acquire, device proofs",
        short: "proofs",
        kind: Some(Kind { proofs: ProofMode::Required, ..PLAIN }),
    },
];

struct Size {
    time: Duration,
    connections: usize,
    members: usize,
    /// How many requests are made beforehand; enough for the time, or the run says so.
    requests: usize,
}

fn main() -> Result<()> {
    let quick = quick();
    let seconds = argument("seconds", if quick { 1 } else { 4 })?;
    let rounds = argument("rounds", if quick { 1 } else { 3 })?;
    let size = Size {
        time: Duration::from_secs(seconds),
        connections: argument("connections", 256)? as usize,
        members: argument("members", 8_192)? as usize,
        requests: 40_000 * seconds as usize,
    };
    let place = directory()?;
    print_setting(
        &format!(
            "http: durable acquire, five caps, {} members, {} connections over loopback",
            size.members, size.connections
        ),
        "SQLite FULL: durable before the answer; the echo keeps nothing",
    )?;
    let lease_bytes = measure_lease(&place)?;
    println!("  lease       {lease_bytes} B, signed with Ed25519");

    let only = text_argument("only")?;
    let rows: Vec<&Row> =
        ROWS.iter().filter(|row| only.as_deref().is_none_or(|only| only == row.short)).collect();
    ensure!(!rows.is_empty(), "`--only`: give `echo`, `acquire`, `grant` or `proofs`");
    let mut runs: Vec<Vec<Measured>> = rows.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (row, runs) in rows.iter().zip(&mut runs) {
            runs.push(match row.kind {
                None => run_echo(&size, lease_bytes)?,
                Some(kind) => run_service(&place, &size, kind)?,
            });
        }
    }
    println!("medians of {rounds}, the load generator on the same cores; CPU per request");
    println!("{:<27} {:>9} {:>9} {:>9} {:>9}", "", "req/s", "p50 ms", "p99 ms", "CPU µs");
    let medians: Vec<_> = rows.iter().zip(&runs).map(|(row, runs)| line(row.name, runs)).collect();
    let Some((echo, acquires)) = medians.split_first().filter(|(_, others)| !others.is_empty())
    else {
        return Ok(());
    };
    println!(
        "against the echo: requests per second (goal: at least 0.50), p99 (goal: at most 2.00)"
    );
    for (row, acquire) in rows.iter().skip(1).zip(acquires) {
        println!("{:<27} {:>9.2} {:>9.2}", row.name, acquire.0 / echo.0, acquire.1 / echo.1);
    }
    Ok(())
}

/// Prints a row; returns requests per second and p99.
fn line(name: &str, runs: &[Measured]) -> (f64, f64) {
    let of = |field: fn(&Measured) -> f64| median(runs.iter().map(field).collect());
    let (rate, p50, p99) = (of(|m| m.per_second), of(|m| m.p50_ms), of(|m| m.p99_ms));
    println!("{name:<27} {rate:>9.0} {p50:>9.2} {p99:>9.2} {:>9.1}", of(|m| m.cpu_us));
    (rate, p99)
}

struct Measured {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Of the whole process, the load generator included.
    cpu_us: f64,
}

/// How long a lease is, as the service itself signs it.
fn measure_lease(place: &Path) -> Result<usize> {
    let size = Size { time: Duration::ZERO, connections: 1, members: 1, requests: 1 };
    let world = World::open(place, &size, PLAIN)?;
    let request = world.requests(&size)?.into_iter().flatten().next().context("no request")?;
    let runtime = Runtime::new()?;
    let (address, stop) = world.serve(&runtime)?;
    let answer = runtime.block_on(async {
        let mut connection = Connection::open(&address).await?;
        connection.ask(&request, 201).await?;
        serde_json::from_slice::<Value>(&connection.body).context("the answer is not JSON")
    });
    drop(stop);
    let answer = answer?;
    let lease = answer.get("lease").and_then(Value::as_str).map(str::len);
    lease.context("the answer has no lease")
}

fn run_echo(size: &Size, lease_bytes: usize) -> Result<Measured> {
    let (key, _) = SigningKey::generate()?;
    let signer = Arc::new(key.signer("carnet-lease+jwt"));
    // Base64 makes four bytes of three; header and signature are as long as a lease's.
    let empty = signer.sign_compact(&[]).len();
    let payload = vec![b'x'; lease_bytes.saturating_sub(empty) * 3 / 4];
    let echo = async move |Json(body): Json<Value>| {
        let lease = signer.sign_compact(&payload);
        Json(json!({ "echo": body, "lease": lease }))
    };
    let runtime = Runtime::new()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?.to_string();
    let router = Router::new().route("/v1/licenses", post(echo));
    runtime.spawn(async move { axum::serve(listener, router).await });
    let body = json!({ "device": DEVICE, "title": "title-000000" }).to_string();
    let request = request(&address, "POST", "/v1/licenses", "", &body);
    let each = size.requests / size.connections;
    let measured = load(&address, vec![vec![request; each]; size.connections], size.time, 200)?;
    runtime.shutdown_background();
    Ok(measured)
}

fn run_service(place: &Path, size: &Size, kind: Kind) -> Result<Measured> {
    let mut world = World::open(place, size, kind)?;
    let runtime = Runtime::new()?;
    let (address, stop) = world.serve(&runtime)?;
    world.address.clone_from(&address);
    world.warm_up(size)?;
    let requests = world.requests(size)?;
    let measured = load(&address, requests, size.time, 201)?;
    drop(stop);
    runtime.shutdown_timeout(Duration::from_secs(5));
    Ok(measured)
}

/// The service with members who have a device each.
struct World {
    _directory: tempfile::TempDir,
    state: Arc<AppState>,
    tokens: Vec<String>,
    device_key: Option<Ed25519KeyPair>,
    address: String,
}

impl World {
    fn open(place: &Path, size: &Size, kind: Kind) -> Result<Self> {
        let directory = tempfile::tempdir_in(place)?;
        let device_key = ed25519()?;
        let (issuer, _) = SigningKey::generate()?;
        let state = assemble(directory.path(), &issuer, kind)?;
        let ledger = Arc::clone(&state.1);
        register(&*ledger, size.members, &thumbprint(&device_key)?)?;
        let signer = issuer.signer("JWT");
        Ok(Self {
            _directory: directory,
            state: Arc::new(state.0),
            tokens: (0..size.members).map(|n| token(&signer, n)).collect(),
            device_key: (kind.proofs == ProofMode::Required).then_some(device_key),
            address: "127.0.0.1".to_owned(),
        })
    }

    fn serve(&self, runtime: &Runtime) -> Result<(String, oneshot::Sender<()>)> {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?.to_string();
        let (stop, stopped) = oneshot::channel::<()>();
        let state = Arc::clone(&self.state);
        runtime.spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            service::serve(listener, state, stopped, Duration::from_secs(1)).await;
        });
        Ok((address, stop))
    }

    /// Each token is verified and each member loaded once: what is measured is the steady state.
    fn warm_up(&self, size: &Size) -> Result<()> {
        let get = |token: &String| {
            let headers = format!("authorization: Bearer {token}\r\n");
            request(&self.address, "GET", "/v1/devices", &headers, "")
        };
        let mut warm = vec![Vec::new(); size.connections];
        for (n, token) in self.tokens.iter().enumerate() {
            if let Some(of_connection) = warm.get_mut(n % size.connections) {
                of_connection.push(get(token));
            }
        }
        load(&self.address, warm, Duration::from_secs(600), 200).map(|_| ())
    }

    /// For each connection its own members, one title after the other.
    fn requests(&self, size: &Size) -> Result<Vec<Vec<Vec<u8>>>> {
        let mut requests = vec![Vec::new(); size.connections];
        for n in 0..size.requests {
            let (member, title) = (n % size.members, n / size.members);
            ensure!(title < TITLES, "more requests than titles: raise `--members`");
            let token = self.tokens.get(member).context("no token")?;
            let mut headers =
                format!("authorization: Bearer {token}\r\nidempotency-key: 0b5e0c52-{n:012}\r\n");
            if let Some(key) = &self.device_key {
                headers.push_str(&format!("dpop: {}\r\n", self.proof(key, token, n)?));
            }
            let body =
                json!({ "device": DEVICE, "title": format!("title-{title:06}") }).to_string();
            let of_connection = requests.get_mut(member % size.connections);
            let of_connection = of_connection.context("no connection")?;
            of_connection.push(request(&self.address, "POST", "/v1/licenses", &headers, &body));
        }
        Ok(requests)
    }

    fn proof(&self, key: &Ed25519KeyPair, token: &str, n: usize) -> Result<String> {
        let header = json!({ "typ": "dpop+jwt", "alg": "EdDSA", "jwk": jwk(key) });
        let hash = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
        let claims = json!({
            "jti": format!("proof-{n}"),
            "htm": "POST",
            "htu": format!("http://{}/v1/licenses", self.address),
            "iat": now().as_millis() / 1_000,
            "ath": URL_SAFE_NO_PAD.encode(hash.as_ref()),
        });
        let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", encoded(&header), encoded(&claims));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(input.as_bytes()).as_ref());
        Ok(format!("{input}.{signature}"))
    }
}

fn ed25519() -> Result<Ed25519KeyPair> {
    let failed = |_| anyhow::anyhow!("no key could be made");
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(failed)?;
    Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).map_err(|_| anyhow::anyhow!("no key was made"))
}

fn jwk(key: &Ed25519KeyPair) -> Value {
    let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
    json!({ "kty": "OKP", "crv": "Ed25519", "x": x })
}

fn thumbprint(key: &Ed25519KeyPair) -> Result<KeyThumbprint> {
    let jwk = Jwk::parse(&jwk(key).to_string())?;
    Ok(KeyThumbprint::new(&jwk.thumbprint())?)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn token(signer: &Signer, n: usize) -> String {
    let now_seconds = now().as_millis() / 1_000;
    let claims = json!({
        "iss": "https://identity.example.com", "aud": "carnet", "sub": member_id(n).as_str(),
        "iat": now_seconds, "exp": now_seconds + 3_600, "jti": format!("token-{n:012}"),
        "plan": "premium", "territory": "DE", "profile": "profile-1",
    });
    signer.sign_compact(claims.to_string().as_bytes())
}

/// Every member has one device, as if it had been registered.
fn register(ledger: &dyn EventStore, members: usize, key: &KeyThumbprint) -> Result<()> {
    let body = EventBody::DeviceRegistered {
        device: DeviceId::new(DEVICE)?,
        class: DeviceClass::Phone,
        key: key.clone(),
        name: "Ana's phone".to_owned(),
        decided: None,
    };
    let event = Event { at: now(), cause: Cause::default(), body };
    begin(ledger, members, &event)
}

fn assemble(
    directory: &Path,
    issuer: &SigningKey,
    kind: Kind,
) -> Result<(AppState, Arc<dyn EventStore>)> {
    let open = |name: &str| {
        EmbeddedStore::open(&directory.join(name), &store_embedded::Options::default())
    };
    let ledger = open("ledger")?;
    wear_in(&ledger)?;
    let ledger: Arc<dyn EventStore> = Arc::new(ledger);
    let loaded = policy(FIVE_CAPS)?;
    let policies = futures::executor::block_on(Policies::open(Arc::clone(&ledger), loaded))?;
    let policies = Arc::new(policies);
    let options = Options { cached_bytes_max: 2 << 30, ..Options::default() };
    let mut settings = Settings::new("https://carnet.example.com");
    settings.proofs = kind.proofs;
    settings.grants = kind.grants;
    let state = AppState {
        engine: Engine::new(Arc::clone(&ledger), Arc::clone(&policies), options),
        policies,
        viewing: Viewing::new(Arc::new(open("viewing")?)),
        catalogue: Arc::new(catalogue()?).into(),
        delivery: Delivery::new(None, vec![])?,
        signing: Signing::new(
            SigningKeys::load_or_create(&directory.join("keys"))?,
            &settings.issuer,
        ),
        content_keys: content_keys(directory)?,
        grant_memory: GrantMemory::new(1_000),
        tokens: TokenVerifier::new(vec![issuer_config(issuer)], 100_000)?,
        // Proofs are made beforehand, for their signatures are the clients' work.
        proofs: ProofVerifier::new(3_600, 10_000_000),
        callers: ServiceCredentials::default(),
        clock: Clock::new(now, {
            let started = Instant::now();
            move || started.elapsed()
        }),
        ids: Ids::new(Arc::new(rand::random)),
        settings,
        demo: None,
        metrics: Metrics::default(),
        unfinished: Unfinished::default(),
        replays: service::Replays::default(),
    };
    Ok((state, ledger))
}

fn issuer_config(issuer: &SigningKey) -> IssuerConfig {
    IssuerConfig {
        issuer: "https://identity.example.com".to_owned(),
        audiences: vec!["carnet".to_owned()],
        keys: KeySource::Fixed(JwkSet::new(vec![issuer.public_jwk()])),
        claims: ClaimMapping {
            profile: Some(ClaimPath::new("profile")),
            plan: Some(ClaimPath::new("plan")),
            territory: Some(ClaimPath::new("territory")),
            ..ClaimMapping::default()
        },
        operator_role: None,
        service_role: None,
        leeway_seconds: 5,
    }
}

fn catalogue() -> Result<Catalogue> {
    let line = |n: usize| {
        let title = json!({
            "id": format!("title-{n:06}"), "partner": format!("partner-{}", n % 10),
            "series": format!("series-{}", n % 40), "tags": ["film"], "downloadable": true,
            "availability": [{ "territories": ["*"] }], "name": format!("Title {n}"),
            "runtime_seconds": 5_400, "manifests": { "dash": "/media/manifest.mpd" },
            "key_ids": { "video": KID, "audio": "ffeeddccbbaa99887766554433221100" },
        });
        title.to_string()
    };
    let lines: Vec<String> = (0..TITLES).map(line).collect();
    Ok(Catalogue::read("titles.jsonl", lines.join("\n").as_bytes())?)
}

fn content_keys(directory: &Path) -> Result<ContentKeys> {
    let master = MasterKey::parse(&MasterKey::generate()?)?;
    let plain = json!({ "keys": [{ "kid": KID, "key": KID, "label": "video" }] });
    let path = directory.join("content-keys.json");
    write_sealed(&path, &seal(&plain.to_string(), &master)?)?;
    Ok(ContentKeys::load(&path, &master)?)
}

fn request(host: &str, method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\n{headers}content-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Every connection sends its requests one after the other, until they or the time are over. One
/// thread, as `wrk -t1`.
fn load(
    address: &str,
    requests: Vec<Vec<Vec<u8>>>,
    time: Duration,
    status: u16,
) -> Result<Measured> {
    let address = address.to_owned();
    let generator = std::thread::spawn(move || -> Result<Measured> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut connections = Vec::with_capacity(requests.len());
            for _ in &requests {
                connections.push(Connection::open(&address).await?);
            }
            let cpu_before = cpu_time()?;
            let start = Instant::now();
            let until = start + time;
            let drives = connections
                .into_iter()
                .zip(requests)
                .map(|(connection, requests)| connection.drive(requests, until, status));
            let mut took: Vec<Duration> = Vec::new();
            for each in futures::future::join_all(drives.map(tokio::spawn)).await {
                took.extend(each??);
            }
            let elapsed = start.elapsed();
            let cpu = cpu_time()?.saturating_sub(cpu_before);
            took.sort_unstable();
            let at = |percent: usize| {
                let position = (took.len() * percent / 100).min(took.len().saturating_sub(1));
                took.get(position).map_or(0.0, |took| took.as_secs_f64() * 1_000.0)
            };
            Ok(Measured {
                per_second: per_second(took.len() as u64, elapsed),
                p50_ms: at(50),
                p99_ms: at(99),
                cpu_us: cpu.as_secs_f64() * 1e6 / took.len() as f64,
            })
        })
    });
    generator.join().map_err(|_| anyhow::anyhow!("the load generator panicked"))?
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    body: Vec<u8>,
}

impl Connection {
    async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024), body: Vec::new() })
    }

    async fn drive(
        mut self,
        requests: Vec<Vec<u8>>,
        until: Instant,
        status: u16,
    ) -> Result<Vec<Duration>> {
        let mut took = Vec::with_capacity(requests.len());
        for request in &requests {
            let start = Instant::now();
            if start >= until {
                return Ok(took);
            }
            self.ask(request, status).await?;
            took.push(start.elapsed());
        }
        Ok(took)
    }

    /// Sends one request and reads its answer, which must have this status.
    async fn ask(&mut self, request: &[u8], status: u16) -> Result<()> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let (head, length) = loop {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the service hung up");
            if let Some(found) = head(&self.buffer)? {
                break found;
            }
        };
        while self.buffer.len() < head + length {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the service hung up");
        }
        self.body.clear();
        self.body.extend_from_slice(self.buffer.get(head..head + length).unwrap_or_default());
        let told = self.buffer.get(9..12).unwrap_or_default();
        if told != status.to_string().as_bytes() {
            bail!("not {status}: {}", String::from_utf8_lossy(&self.buffer));
        }
        Ok(())
    }
}

/// Where the body begins and how long it is, once the head is there.
fn head(buffer: &[u8]) -> Result<Option<(usize, usize)>> {
    let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(buffer.get(..end).unwrap_or_default())?;
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.context("the answer has no length")?.parse()?;
    Ok(Some((end + 4, length)))
}
