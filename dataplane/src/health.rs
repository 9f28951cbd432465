//! kube-proxy's health server (`/healthz`, `/livez`), and `/readyz`.
//!
//! One difference: kube-proxy with an API server takes a node for ineligible whose object it does not find. A folder
//! need not hold a Node object, so here one that is absent says nothing, and the node is eligible.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::metrics::Metrics;

/// A change that waits longer than this for a round that completes makes the proxy unhealthy: twice kube-proxy's
/// syncPeriod, whose default is 30 s.
const STUCK: Duration = Duration::from_secs(60);

/// The time of a round that never ended: Go's zero time, which is what kube-proxy prints.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// What the sync loop says of itself.
#[derive(Clone, Debug, Default)]
pub struct HealthState {
    /// End of the last round that left nothing pending.
    pub last_updated: Option<SystemTime>,
    /// Since when something waits to be written; absent if nothing does.
    pub queued_since: Option<Instant>,
    /// Whether every first list is done.
    pub is_synced: bool,
    /// Whether the programs are in force.
    pub is_attached: bool,
    /// Writes that are outstanding.
    pub pending: usize,
    /// What is wrong with the source, by file.
    pub problems: BTreeMap<String, String>,
    /// The Node object is being deleted or about to be (KEP-3836); false without a Node object.
    pub is_node_leaving: bool,
}

impl HealthState {
    /// kube-proxy's notion: nothing waits for too long.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.queued_since.is_none_or(|since| since.elapsed() < STUCK)
    }

    /// Why the node's Services are not all as the source says, one line each.
    #[must_use]
    pub fn not_ready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if !self.is_synced {
            reasons.push("the first list is not complete".to_owned());
            reasons.extend(self.problems.iter().map(|(file, problem)| format!("{file}: {problem}")));
        }
        if !self.is_attached {
            reasons.push("the programs are not attached".to_owned());
        }
        if self.pending > 0 && self.last_updated.is_none() {
            reasons.push(format!("{} writes are outstanding", self.pending));
        }
        if !self.is_live() {
            reasons.push(format!(
                "{} writes have been outstanding for over {} s",
                self.pending,
                STUCK.as_secs()
            ));
        }
        reasons
    }
}

#[derive(Clone)]
struct Shared {
    state: watch::Receiver<HealthState>,
    metrics: Arc<Metrics>,
}

/// The server's routes.
pub fn router(state: watch::Receiver<HealthState>, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .with_state(Shared { state, metrics })
}

/// The body of `/healthz` and `/livez`: kube-proxy's keys.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    last_updated: String,
    current_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_eligible: Option<bool>,
    healthy: bool,
    status: BTreeMap<&'static str, FamilyStatus>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FamilyStatus {
    last_updated: String,
    healthy: bool,
}

async fn healthz(State(shared): State<Shared>) -> Response {
    let state = shared.state.borrow().clone();
    let response = body(&state, Some(!state.is_node_leaving));
    shared.metrics.count_healthz(response.status().as_u16());
    response
}

async fn livez(State(shared): State<Shared>) -> Response {
    let response = body(&shared.state.borrow().clone(), None);
    shared.metrics.count_livez(response.status().as_u16());
    response
}

fn body(state: &HealthState, node_eligible: Option<bool>) -> Response {
    let now = time_text(SystemTime::now());
    let is_live = state.is_live();
    let healthy = is_live && node_eligible.unwrap_or(true);
    let updated = state.last_updated.map_or_else(|| NEVER.to_owned(), time_text);
    let family = FamilyStatus { last_updated: updated.clone(), healthy: is_live };
    let body = Body {
        // A healthy answer says now, as kube-proxy's does: load balancers compare it with their clock.
        last_updated: if healthy { now.clone() } else { updated },
        current_time: now,
        node_eligible,
        healthy,
        status: BTreeMap::from([("IPv4", family.clone()), ("IPv6", family)]),
    };
    json(healthy, &body)
}

/// The body of `/readyz`.
#[derive(Debug, Serialize)]
struct Ready {
    ready: bool,
    reasons: Vec<String>,
}

async fn readyz(State(shared): State<Shared>) -> Response {
    let reasons = shared.state.borrow().not_ready();
    json(reasons.is_empty(), &Ready { ready: reasons.is_empty(), reasons })
}

fn json(is_ok: bool, body: &impl Serialize) -> Response {
    let status = if is_ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    let text = serde_json::to_string(body).unwrap_or_default();
    (status, headers, text).into_response()
}

fn time_text(time: SystemTime) -> String {
    humantime::format_rfc3339_micros(time).to_string()
}
