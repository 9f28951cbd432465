//! The admin socket: what the daemon knows, as JSON over HTTP on `<state-dir>/ferrule.sock`.
//!
//! The sync loop owns the state and answers queries between rounds; this module only carries them.

#[cfg(test)]
pub(crate) mod fake_loop;
mod packets;
pub mod reports;
#[cfg(test)]
pub(crate) mod tests;

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use nix::sys::stat::{Mode, fchmod};
use serde::Serialize;
use tokio::net::{UnixListener, UnixSocket};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use self::reports::{
    DnsReport, EndpointReport, ExplainReport, MapReport, PodReport, PolicyReport, ServiceReport, StatusReport,
};
use crate::directory::Directory;
use crate::dns::supervisor::NodeDns;
use crate::events::Drops;
use crate::explain::{ExplainError, Question};
use crate::flows::FlowSource;
use crate::kernel::KernelError;
use crate::metrics::Metrics;
use crate::start_error::StartError;

/// Name of the socket in the state directory.
pub const SOCKET_NAME: &str = "ferrule.sock";

/// How long a query may wait for the sync loop.
const DEADLINE: Duration = Duration::from_secs(5);

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 64;

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
    /// NetworkPolicies.
    Policies(oneshot::Sender<Result<Vec<PolicyReport>, KernelError>>),
    /// Pods of this node.
    Pods(oneshot::Sender<Result<Vec<PodReport>, KernelError>>),
    /// Whether and why a connection passes.
    Explain(Box<Question>, oneshot::Sender<Result<ExplainReport, ExplainError>>),
    /// What addresses and ids stand for.
    Directory(oneshot::Sender<Arc<Directory>>),
}

/// Why a query has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unanswered {
    /// The loop is in a round, or hangs in one.
    #[error("the sync loop has not answered for {} s: the daemon's log says what it does", .0.as_secs())]
    Late(Duration),
    /// The daemon is ending.
    #[error("the sync loop has ended: the daemon is going away")]
    Ended,
}

/// Asks the sync loop. The deadline holds for a place in the queue and for the answer together.
pub(crate) async fn ask<T>(
    queries: &mpsc::Sender<Query>,
    query: impl FnOnce(oneshot::Sender<T>) -> Query,
    deadline: Duration,
) -> Result<T, Unanswered> {
    let (sender, receiver) = oneshot::channel();
    let answer = async {
        queries.send(query(sender)).await.map_err(|_| Unanswered::Ended)?;
        receiver.await.map_err(|_| Unanswered::Ended)
    };
    timeout(deadline, answer).await.unwrap_or(Err(Unanswered::Late(deadline)))
}

/// Takes the socket's place; only our own user may connect. A socket that a killed daemon left is replaced; one that
/// somebody answers on is not, nor is anything else of that name.
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
    if StdUnixStream::connect(&path).is_ok() {
        return Err(fail(&path)(io::ErrorKind::AddrInUse.into()));
    }
    let is_left_over = fs::symlink_metadata(&path).is_ok_and(|found| found.file_type().is_socket());
    if is_left_over {
        fs::remove_file(&path).map_err(fail(&path))?;
    }
    listen(&path).map_err(fail(&path))
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = UnixSocket::new_stream()?;
    // Linux gives the file the mode of the socket (unix_bind_bsd in net/unix/af_unix.c): set before the bind, there
    // is no moment in which others could connect.
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    socket.bind(path)?;
    socket.listen(BACKLOG)
}

/// Where answers come from.
#[derive(Clone)]
pub struct Ends {
    /// The sync loop.
    pub queries: mpsc::Sender<Query>,
    /// Cluster DNS, if this node serves it.
    pub dns: Option<NodeDns>,
    /// Drops as they happen.
    pub drops: Drops,
    /// The tables of conversations.
    pub flows: Arc<dyn FlowSource>,
    /// Counts what followers lose.
    pub metrics: Arc<Metrics>,
}

/// Serves queries for as long as the daemon lives.
pub async fn serve(listener: UnixListener, ends: Ends) {
    let (queries, dns) = (ends.queries.clone(), ends.dns.clone());
    let router = Router::new()
        .route("/status", get(|q| answer(q, Query::Status)))
        .route("/services", get(|q| answer(q, Query::Services)))
        .route("/endpoints", get(|q| answer(q, Query::Endpoints)))
        .route("/maps", get(|q| answer(q, Query::Maps)))
        .route("/dump", get(dump))
        .route("/policies", get(|q| listed(q, Query::Policies)))
        .route("/pods", get(|q| listed(q, Query::Pods)))
        .with_state(queries)
        .merge(packets::router(ends))
        .route("/dns", get(move || dns_report(dns.clone())));
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the admin socket is closed");
    }
}

async fn answer<T: Serialize + Send + 'static>(
    State(queries): State<mpsc::Sender<Query>>,
    query: fn(oneshot::Sender<T>) -> Query,
) -> Response {
    ask(&queries, query, DEADLINE).await.map(Json).into_response()
}

/// As [`answer`], of what the kernel may refuse to tell.
async fn listed<T: Serialize + Send + 'static>(
    State(queries): State<mpsc::Sender<Query>>,
    query: fn(oneshot::Sender<Result<T, KernelError>>) -> Query,
) -> Response {
    match ask(&queries, query, DEADLINE).await {
        Ok(Ok(reports)) => Json(reports).into_response(),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
        Err(unanswered) => unanswered.into_response(),
    }
}

async fn dns_report(dns: Option<NodeDns>) -> Response {
    Json(DnsReport::of(dns).await).into_response()
}

async fn dump(State(queries): State<mpsc::Sender<Query>>) -> Response {
    ask(&queries, Query::Dump, DEADLINE).await.into_response()
}

impl IntoResponse for Unanswered {
    fn into_response(self) -> Response {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{self}\n")).into_response()
    }
}
