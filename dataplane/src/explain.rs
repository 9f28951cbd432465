//! Why a connection passes or does not: both ends' policies, from what is compiled and from what the kernel holds.
//!
//! ```text
//! question ─▶ ends ─▶ paths (a backend or a family each) ─▶ egress here? ─┬─▶ compiled rows ─┐
//!                                                          ingress here? ─┴─▶ kernel's maps ─┴─▶ the same?
//! ```
//!
//! One look-up, `compile::policy::lookup`, asks both. It is answered between two rounds of the sync loop, so that a
//! difference is none of a round under way.

mod ends;
mod judge;
mod pods;
mod policies;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::str::FromStr;

use compile::Engine;
use model::{NodeView, ObjectName, Protocol, Snapshot};

use self::ends::Ends;
use crate::admin::reports::ExplainReport;
use crate::kernel::KernelError;
use crate::kernel::live::Live;

pub(crate) use self::ends::find_pod;
pub use self::pods::pods;
pub use self::policies::policies;

/// What an explanation is made from.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The cluster.
    pub snapshot: &'a Snapshot,
    /// This node.
    pub view: &'a NodeView,
    /// What is compiled.
    pub engine: &'a Engine,
    /// What the kernel holds.
    pub live: &'a dyn Live,
}

/// One end of a connection, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A pod.
    Pod(Named),
    /// An address.
    Addr(IpAddr),
    /// A Service's port, by name or number.
    Service(Named, String),
}

/// A name, with or without its namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Namespace.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl Named {
    fn is(&self, object: &ObjectName) -> bool {
        *self.name == *object.name && self.namespace.as_deref().is_none_or(|ns| *ns == *object.namespace)
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl FromStr for Named {
    type Err = ExplainError;

    fn from_str(text: &str) -> Result<Self, ExplainError> {
        let (namespace, name) = match text.split_once('/') {
            Some((namespace, name)) => (Some(namespace.to_owned()), name),
            None => (None, text),
        };
        let is_bad = name.is_empty() || name.contains('/') || namespace.as_deref() == Some("");
        if is_bad {
            Err(ExplainError::Place(text.to_owned()))
        } else {
            Ok(Self { namespace, name: name.to_owned() })
        }
    }
}

impl FromStr for Place {
    type Err = ExplainError;

    fn from_str(text: &str) -> Result<Self, ExplainError> {
        if let Ok(addr) = text.parse() {
            return Ok(Self::Addr(addr));
        }
        match text.split_once(':') {
            Some((_, "")) => Err(ExplainError::Place(text.to_owned())),
            Some((service, port)) if !port.contains(':') => {
                Ok(Self::Service(service.parse()?, port.to_owned()))
            }
            Some(_) => Err(ExplainError::Place(text.to_owned())),
            None => Ok(Self::Pod(text.parse()?)),
        }
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who opens the connection.
    pub from: Place,
    /// Where to.
    pub to: Place,
    /// The port; a Service's says it itself.
    pub port: Option<u16>,
    /// The protocol; without one that of the Service's port, else TCP.
    pub protocol: Option<Protocol>,
}

/// Why there is no answer; each is one line for a person.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// Not a place.
    #[error("{0:?} is no pod (namespace/name), address or Service port (namespace/name:port)")]
    Place(String),
    /// Not a protocol.
    #[error("{0:?} is no protocol: tcp, udp or sctp")]
    Protocol(String),
    /// Not a port number.
    #[error("{0:?} is no port number (1 to 65535)")]
    Port(String),
    /// A Service port opens nothing.
    #[error("--from {0}: a Service opens no connections: give a pod or an address")]
    FromService(String),
    /// A port is missing.
    #[error("which port? Give --port")]
    NoPort,
    /// Two ports.
    #[error("the Service says its port itself: leave --port out")]
    TwoPorts,
    /// There is none of that name.
    #[error("no pod {0}")]
    NoPod(Named),
    /// There is none of that name.
    #[error("no Service {0}")]
    NoService(Named),
    /// The Service has no such port.
    #[error("Service {service} has no port {port}{over}: it has {has}", over = over(*protocol))]
    NoServicePort {
        /// The Service.
        service: ObjectName,
        /// What was asked for.
        port: String,
        /// The protocol that was asked for.
        protocol: Option<Protocol>,
        /// Its ports.
        has: String,
    },
    /// Several have that name.
    #[error("{what} {name} is ambiguous: {} have that name; give the namespace", list(among))]
    Ambiguous {
        /// Pod or Service.
        what: &'static str,
        /// The name.
        name: Named,
        /// Those that have it.
        among: Vec<ObjectName>,
    },
    /// Several claim that address.
    #[error("{addr} is ambiguous: {} have it; name the pod", list(among))]
    Claimed {
        /// The address.
        addr: IpAddr,
        /// Those that claim it.
        among: Vec<ObjectName>,
    },
    /// The pod has none yet, or none any more.
    #[error("pod {0} has no address")]
    NoAddress(ObjectName),
    /// IPv4 and IPv6 do not meet.
    #[error("{from} and {to} have no family of addresses in common")]
    Families {
        /// Opener.
        from: String,
        /// Destination.
        to: String,
    },
    /// The kernel's maps cannot be read.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

fn over(protocol: Option<Protocol>) -> String {
    protocol.map(|protocol| format!(" over {protocol}")).unwrap_or_default()
}

fn list(names: &[ObjectName]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Answers a question.
///
/// # Errors
///
/// A name or port that is not there, or means several; the kernel's maps cannot be read.
pub fn explain(sources: &Sources<'_>, question: &Question) -> Result<ExplainReport, ExplainError> {
    let ends = Ends::find(sources, question)?;
    let paths = ends
        .paths
        .iter()
        .map(|path| judge::path(sources, &ends, path))
        .collect::<Result<Vec<_>, KernelError>>()?;
    let agree = paths.iter().all(|path| path.egress.agrees() && path.ingress.agrees());
    Ok(ExplainReport {
        from: ends.from.text,
        to: ends.to_text,
        protocol: ends.protocol.to_string(),
        port: ends.port,
        service: ends.service,
        notes: ends.notes,
        paths,
        agree,
        pending: sources.engine.pending(),
    })
}
