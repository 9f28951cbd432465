//! kube-proxy's metrics server: `/metrics`, `/proxyMode`, `/healthz`.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::Metrics;
use super::format::{Format, end};
use super::state::{self, LoopState};
use crate::admin::{Query, Unanswered, ask};
use crate::dns::supervisor::NodeDns;

/// How long a scrape waits for the sync loop: Prometheus gives up after ten seconds, and without the loop's numbers
/// ours are still worth having.
const DEADLINE: Duration = Duration::from_secs(2);

#[derive(Clone)]
struct Shared {
    metrics: Arc<Metrics>,
    queries: mpsc::Sender<Query>,
    dns: Arc<OnceLock<NodeDns>>,
    /// Many scrapes at once ask the loop one after the other, so that its queue has room for people.
    turn: Arc<Semaphore>,
}

/// The server's routes. DNS starts after the server, if at all.
pub fn router(metrics: Arc<Metrics>, queries: mpsc::Sender<Query>, dns: Arc<OnceLock<NodeDns>>) -> Router {
    Router::new()
        .route("/metrics", get(scrape))
        .route("/proxyMode", get(async || "ebpf"))
        .route("/healthz", get(async || "ok"))
        .with_state(Shared { metrics, queries, dns, turn: Arc::new(Semaphore::new(1)) })
}

async fn scrape(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let format = Format::accepted(&headers);
    let state = match timeout(DEADLINE, ask_loop(&shared)).await {
        Ok(Ok(state)) => Some(state),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a scrape without the loop's numbers");
            None
        }
        Err(_) => {
            tracing::debug!(elapsed_ms = DEADLINE.as_millis() as u64, "a scrape without the loop's numbers");
            None
        }
    };
    let dns = match shared.dns.get() {
        Some(dns) => {
            let counters = dns.counters().await.unwrap_or_default();
            Some((dns.state.borrow().clone(), counters))
        }
        None => None,
    };
    let registry = state::registry(state.as_ref(), dns.as_ref());
    let mut text = String::new();
    let encoded = shared
        .metrics
        .encode(format, &mut text)
        .and_then(|()| format.encode(&mut text, &registry))
        .and_then(|()| end(&mut text));
    match encoded {
        Ok(()) => ([(header::CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n").into_response(),
    }
}

async fn ask_loop(shared: &Shared) -> Result<LoopState, Unanswered> {
    async fn one<T>(shared: &Shared, query: fn(oneshot::Sender<T>) -> Query) -> Result<T, Unanswered> {
        ask(&shared.queries, query, DEADLINE).await
    }
    let _turn = shared.turn.acquire().await.map_err(|_| Unanswered::Ended)?;
    Ok(LoopState {
        status: one(shared, Query::Status).await?,
        services: one(shared, Query::Services).await?,
        maps: one(shared, Query::Maps).await?,
    })
}
