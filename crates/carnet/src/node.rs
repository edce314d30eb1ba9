//! Runs a [`Plan`]: opens the stores, assembles the service, answers until it is told to stop.
//!
//! This is the one place where the real clock and real randomness are handed in.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use domain::Timestamp;
use domain::policy::HORIZON_MAX;
use drm::grant::GrantMemory;
use engine::viewing::Viewing;
use engine::{Engine, Policies};
use service::AppState;
use service::auth::proof::ProofVerifier;
use service::auth::service_credential::ServiceCredentials;
use service::auth::token::TokenVerifier;
use store_embedded::EmbeddedStore;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::limits::{Limits, seconds};
use crate::plan::Plan;
use crate::reload;

const CLOCK_WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Returns when the service was stopped in good order. `announce` is called when it answers.
pub(crate) fn run(plan: Plan, announce: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(plan, announce))
}

async fn serve(plan: Plan, announce: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
    // Before anything is opened or made: somebody else may be there.
    let listener = listen(plan.listen).await?;
    let address = listener.local_addr()?;
    let policy = (plan.policy.clone(), reload::Watched::new(plan.policy.path()));
    let catalogue = (plan.catalogue.clone(), reload::Watched::new(plan.catalogue.path()));
    let refresh_interval = seconds(plan.limits.keys_refresh_seconds);
    let drain_max = seconds(plan.limits.drain_seconds_max);
    let state = Arc::new(assemble(plan).await?);
    refresh_keys(&state).await;
    let hang_up = signal(SignalKind::hangup())?;
    let background = [
        tokio::spawn(keep_snapshots(Arc::clone(&state))),
        tokio::spawn(keep_keys_fresh(Arc::clone(&state), refresh_interval)),
        tokio::spawn(watch_clock(Arc::clone(&state))),
        tokio::spawn(reload::follow(Arc::clone(&state), policy, catalogue, hang_up)),
    ];
    let stop = Stop::new()?;
    announce(address);
    service::serve(listener, Arc::clone(&state), stop.asked(), drain_max).await;
    for task in background {
        task.abort();
        let _ = task.await;
    }
    // The last owner of the stores goes here, and they close.
    drop(state);
    tracing::info!("stopped");
    Ok(())
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => bail!(
            "`{address}` is in use by another process: stop it, or choose another address \
             (`--listen` of the demo, `listen` in the configuration; port 0 takes a free one)"
        ),
        Err(error) => Err(error).with_context(|| format!("cannot listen on `{address}`")),
    }
}

async fn assemble(plan: Plan) -> anyhow::Result<AppState> {
    let limits = &plan.limits;
    // What can be wrong with files comes before what is made or opened.
    let mut policy = plan.policy.load(HORIZON_MAX)?;
    let catalogue = plan.catalogue.load()?;
    let tokens = TokenVerifier::new(plan.issuers, limits.tokens_remembered_max)?;
    let ledger = open_store(&plan.data.join("ledger"), limits)?;
    let viewing = open_store(&plan.data.join("viewing"), limits)?;
    let horizon = engine::horizon(&*ledger).await.context("reading how far back it remembers")?;
    if policy.policy.reach() > horizon {
        // Says where.
        policy = plan.policy.load(horizon)?;
    }
    tracing::info!(policy = %policy.policy.version, titles = catalogue.len(), "loaded");
    reload::tell_of_missing_keys(&catalogue, &plan.content_keys);
    let policies = Policies::open(ledger.clone(), policy).await.context("publishing the policy")?;
    let policies = Arc::new(policies);
    Ok(AppState {
        engine: Engine::open(ledger, Arc::clone(&policies), plan.engine)
            .await
            .context("reading which titles are withdrawn")?,
        policies,
        viewing: Viewing::new(viewing),
        catalogue: Arc::new(catalogue).into(),
        delivery: plan.delivery,
        signing: service::Signing::new(plan.signing_keys, &plan.settings.issuer),
        content_keys: plan.content_keys,
        grant_memory: GrantMemory::new(limits.grants_remembered_max),
        tokens,
        proofs: ProofVerifier::new(limits.proof_window_seconds, limits.proofs_remembered_max),
        callers: ServiceCredentials::new(plan.api_keys),
        clock: clock(),
        ids: service::Ids::new(Arc::new(rand::random)),
        settings: plan.settings,
        demo: plan.demo,
        metrics: service::Metrics::default(),
        unfinished: service::Unfinished::default(),
        replays: service::Replays::default(),
    })
}

fn open_store(directory: &Path, limits: &Limits) -> anyhow::Result<Arc<EmbeddedStore>> {
    EmbeddedStore::open(directory, &limits.store())
        .map(Arc::new)
        .with_context(|| format!("the store `{}` was not opened", directory.display()))
}

fn clock() -> service::Clock {
    let started = Instant::now();
    service::Clock::new(wall_clock, move || started.elapsed())
}

fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

async fn watch_clock(state: Arc<AppState>) {
    loop {
        tokio::time::sleep(CLOCK_WATCH_INTERVAL).await;
        state.watch_clock();
    }
}

async fn keep_snapshots(state: Arc<AppState>) {
    state.engine.keep_snapshots().await;
}

async fn keep_keys_fresh(state: Arc<AppState>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        refresh_keys(&state).await;
    }
}

/// An identity provider out of reach is no reason to stop: `/readyz` says when there are no keys.
async fn refresh_keys(state: &AppState) {
    for error in state.tokens.refresh_keys(state.now().as_millis()).await {
        tracing::warn!("the last keys stay: {error}");
    }
}

/// The signals that mean "stop".
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn asked(mut self) {
        self.once().await;
        tracing::info!("stopping; what was accepted is answered first");
        tokio::spawn(async move {
            self.once().await;
            tracing::warn!("told to stop twice: not waiting for what was accepted");
            // As good as a crash, which loses nothing that was acknowledged.
            std::process::exit(1);
        });
    }

    async fn once(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
