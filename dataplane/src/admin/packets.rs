//! Answers about packets: conversations, drops as they happen, and why a connection passes.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use abi::{Addr, DropEvent};
use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{Query as Params, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use model::{ObjectName, Protocol};
use serde::Deserialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::reports::DropReport;
use super::{DEADLINE, Ends, Query, Unanswered, ask};
use crate::directory::Directory;
use crate::events::Clock;
use crate::explain::{ExplainError, Named, Question};
use crate::flows;

/// How old the names in an event may be.
const FRESH: Duration = Duration::from_millis(200);

/// The routes.
pub(super) fn router(ends: Ends) -> Router {
    Router::new()
        .route("/flows", get(flows))
        .route("/drops", get(drops))
        .route("/explain", get(explain))
        .with_state(ends)
}

/// Why there is no answer.
enum Refusal {
    Unanswered(Unanswered),
    /// What was asked for is not there, or is not clear.
    Question(ExplainError),
    /// The daemon cannot tell.
    Failed(String),
}

impl From<Unanswered> for Refusal {
    fn from(error: Unanswered) -> Self {
        Self::Unanswered(error)
    }
}

impl From<ExplainError> for Refusal {
    fn from(error: ExplainError) -> Self {
        Self::Question(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Unanswered(unanswered) => unanswered.into_response(),
            Self::Question(ExplainError::Kernel(error)) => Self::Failed(error.to_string()).into_response(),
            Self::Question(error) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{error}\n")).into_response(),
            Self::Failed(why) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{why}\n")).into_response(),
        }
    }
}

/// Which conversations or drops.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Filter {
    pod: Option<String>,
}

impl Filter {
    fn pod(&self) -> Result<Option<Named>, ExplainError> {
        self.pod.as_deref().map(str::parse).transpose()
    }
}

async fn flows(State(ends): State<Ends>, Params(filter): Params<Filter>) -> Result<Response, Refusal> {
    let pod = filter.pod()?;
    let directory = ask(&ends.queries, Query::Directory, DEADLINE).await?;
    let of: Option<BTreeSet<Addr>> = match pod {
        Some(pod) => {
            let addrs = directory.find_pod(&pod)?.addrs.iter();
            Some(addrs.map(|addr| (*addr).into()).collect())
        }
        None => None,
    };
    let source = Arc::clone(&ends.flows);
    // A large table takes a while to be read.
    let read = move || flows::report(&*source, &directory, of.as_ref(), flows::now());
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(report)) => Ok(Json(report).into_response()),
        Ok(Err(error)) => Err(Refusal::Failed(error.to_string())),
        Err(error) => Err(Refusal::Failed(error.to_string())),
    }
}

async fn drops(State(ends): State<Ends>, Params(filter): Params<Filter>) -> Result<Response, Refusal> {
    let pod = filter.pod()?;
    let directory = ask(&ends.queries, Query::Directory, DEADLINE).await?;
    let pod = match pod {
        Some(pod) => Some(directory.find_pod(&pod)?.name.clone()),
        None => None,
    };
    let Some(events) = ends.drops.listen().await else {
        return Err(Refusal::Failed("drop events cannot be read: the daemon's log says why".to_owned()));
    };
    let follower = Follower { ends, events, pod, directory, asked: Instant::now(), lost: 0 };
    let lines = stream::unfold(follower, |mut follower| async {
        let line = follower.line().await?;
        Some((Ok::<_, Infallible>(line), follower))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

/// One client that listens to drops.
struct Follower {
    ends: Ends,
    events: Receiver<DropEvent>,
    /// Only what concerns this pod.
    pod: Option<ObjectName>,
    directory: Arc<Directory>,
    /// When the directory was asked for.
    asked: Instant,
    lost: u64,
}

impl Follower {
    /// The next event as a line of JSON; `None` when there will be none any more.
    async fn line(&mut self) -> Option<String> {
        loop {
            let event = match self.events.recv().await {
                Ok(event) => event,
                Err(RecvError::Lagged(lost)) => {
                    self.lost += lost;
                    self.ends.metrics.count_lost_events(lost);
                    continue;
                }
                Err(RecvError::Closed) => return None,
            };
            self.refresh().await;
            let mut report = DropReport::of(&event, &self.directory, &Clock::now());
            if self.pod.as_ref().is_none_or(|pod| concerns(&report, pod)) {
                report.lost = std::mem::take(&mut self.lost);
                return serde_json::to_string(&report).ok().map(|line| line + "\n");
            }
        }
    }

    /// A loop that does not answer costs newer names, not events.
    async fn refresh(&mut self) {
        if self.asked.elapsed() < FRESH {
            return;
        }
        if let Ok(directory) = ask(&self.ends.queries, Query::Directory, FRESH).await {
            self.directory = directory;
        }
        self.asked = Instant::now();
    }
}

fn concerns(report: &DropReport, pod: &ObjectName) -> bool {
    let name = pod.to_string();
    let ends = [&report.source, &report.destination];
    report.pod.as_ref() == Some(&name) || ends.iter().any(|end| end.pods.contains(&name))
}

/// A question as it comes over the socket.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    from: String,
    to: String,
    port: Option<String>,
    protocol: Option<String>,
}

impl TryFrom<Asked> for Question {
    type Error = ExplainError;

    fn try_from(asked: Asked) -> Result<Self, ExplainError> {
        let port = |text: String| match text.parse() {
            Ok(0) | Err(_) => Err(ExplainError::Port(text)),
            Ok(port) => Ok(port),
        };
        let protocol = |text: String| match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Protocol::Tcp),
            "udp" => Ok(Protocol::Udp),
            "sctp" => Ok(Protocol::Sctp),
            _ => Err(ExplainError::Protocol(text)),
        };
        Ok(Self {
            from: asked.from.parse()?,
            to: asked.to.parse()?,
            port: asked.port.map(port).transpose()?,
            protocol: asked.protocol.map(protocol).transpose()?,
        })
    }
}

async fn explain(State(ends): State<Ends>, Params(asked): Params<Asked>) -> Result<Response, Refusal> {
    let question = Box::new(Question::try_from(asked)?);
    let report = ask(&ends.queries, |to| Query::Explain(question, to), DEADLINE).await??;
    Ok(Json(report).into_response())
}
