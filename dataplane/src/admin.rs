//! The admin socket: what the daemon knows, as JSON over HTTP on `<state-dir>/ferrule.sock`.
//!
//! The sync loop owns the state and answers queries between rounds; this module only carries them.

pub mod reports;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};

use self::reports::{EndpointReport, MapReport, ServiceReport, StatusReport};
use crate::start_error::StartError;

/// Name of the socket in the state directory.
pub const SOCKET_NAME: &str = "ferrule.sock";

/// How long a query may wait for the sync loop.
const DEADLINE: Duration = Duration::from_secs(5);

/// A question to the sync loop, with the way back.
#[derive(Debug)]
pub enum Query {
    /// How the daemon is doing.
    Status(oneshot::Sender<StatusReport>),
    /// Service ports and their frontends.
    Services(oneshot::Sender<Vec<ServiceReport>>),
    /// Backends of all Service ports.
    Endpoints(oneshot::Sender<Vec<EndpointReport>>),
    /// Kernel maps.
    Maps(oneshot::Sender<Vec<MapReport>>),
    /// The rows of the maps as text, read from the kernel.
    Dump(oneshot::Sender<String>),
}

/// Takes the socket's place. A socket file that a killed daemon left is replaced; one that somebody answers on is not.
///
/// # Errors
///
/// The state directory or the socket cannot be made.
pub fn bind(state_dir: &Path) -> Result<UnixListener, StartError> {
    let fail = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| StartError::StateDir { path, source }
    };
    fs::create_dir_all(state_dir).map_err(fail(state_dir))?;
    let path = state_dir.join(SOCKET_NAME);
    // A daemon with another bpf-root may use the same state directory.
    if std::os::unix::net::UnixStream::connect(&path).is_ok() {
        return Err(fail(&path)(io::Error::from(io::ErrorKind::AddrInUse)));
    }
    match fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(fail(&path)(e)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(fail(&path))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(fail(&path))?;
    Ok(listener)
}

/// Serves queries until the listener fails.
pub async fn serve(listener: UnixListener, queries: mpsc::Sender<Query>) {
    let router = Router::new()
        .route("/status", get(|q| answer(q, Query::Status)))
        .route("/services", get(|q| answer(q, Query::Services)))
        .route("/endpoints", get(|q| answer(q, Query::Endpoints)))
        .route("/maps", get(|q| answer(q, Query::Maps)))
        .route("/dump", get(dump))
        .with_state(queries);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the admin socket is closed");
    }
}

async fn answer<T: Serialize + Send + 'static>(
    State(queries): State<mpsc::Sender<Query>>,
    query: fn(oneshot::Sender<T>) -> Query,
) -> Response {
    match ask(&queries, query).await {
        Ok(report) => Json(report).into_response(),
        Err(unavailable) => unavailable,
    }
}

async fn dump(State(queries): State<mpsc::Sender<Query>>) -> Response {
    ask(&queries, Query::Dump).await.map_or_else(|unavailable| unavailable, IntoResponse::into_response)
}

async fn ask<T>(
    queries: &mpsc::Sender<Query>,
    query: fn(oneshot::Sender<T>) -> Query,
) -> Result<T, Response> {
    let (sender, receiver) = oneshot::channel();
    let answered = tokio::time::timeout(DEADLINE, async {
        queries.send(query(sender)).await.ok()?;
        receiver.await.ok()
    })
    .await;
    answered.ok().flatten().ok_or_else(|| {
        (StatusCode::SERVICE_UNAVAILABLE, "the sync loop does not answer: see the daemon's log\n")
            .into_response()
    })
}
