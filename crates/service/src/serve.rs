//! Listening, and stopping without leaving anybody unanswered.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

use crate::router::app;
use crate::state::AppState;
use crate::withdrawals;

/// When no connection can be accepted (no file handles left, usually), trying at once is no use.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Serves until `stop` is ready. Then it is not ready any more, and goes on for as long as the
/// settings say that others need to hear of it; then it takes nothing new, answers what it took, and
/// finishes what its clients did not wait for, these within `drain_max`.
pub async fn serve(
    listener: TcpListener,
    state: Arc<AppState>,
    stop: impl Future<Output = ()>,
    drain_max: Duration,
) {
    let service = TowerToHyperService::new(app(Arc::clone(&state)));
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(state.settings.headers_timeout);
    http.http2().timer(TokioTimer::new());
    let connections = GracefulShutdown::new();
    let walk = tokio::spawn(withdrawals::walk(Arc::clone(&state)));
    let mut stop = pin!(async {
        stop.await;
        state.unfinished.begin_to_stop();
        tokio::time::sleep(state.settings.unready_for).await;
    });
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                continue;
            }
        };
        // Answers are written whole: waiting to fill a packet only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
        let connection = http.serve_connection(TokioIo::new(stream), service.clone()).into_owned();
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
    drop(listener);
    // What it has not come to, the next process does.
    walk.abort();
    let _ = walk.await;
    let drained = async {
        connections.shutdown().await;
        state.unfinished.done().await;
    };
    if tokio::time::timeout(drain_max, drained).await.is_err() {
        tracing::warn!("some requests were still running after {} s", drain_max.as_secs());
    }
}
