//! One question to an echo server, and what became of it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::client::lock;
use crate::pipe::WorkerPipe;
use crate::place::Place;

/// How long the worker may take beyond the probes' limit.
const SLACK: Duration = Duration::from_secs(20);

/// A protocol that probes speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP, by a connected socket.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A question to an echo server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Over which protocol.
    pub protocol: Protocol,
    /// To whom.
    pub to: SocketAddr,
    /// From which address; the kernel's choice without one.
    pub source: Option<IpAddr>,
    /// Bytes to have echoed.
    pub payload_bytes: u32,
}

impl Probe {
    /// A short question over TCP.
    pub fn tcp(to: impl Into<SocketAddr>) -> Self {
        Self { protocol: Protocol::Tcp, to: to.into(), source: None, payload_bytes: 16 }
    }

    /// A short question over UDP.
    pub fn udp(to: impl Into<SocketAddr>) -> Self {
        Self { protocol: Protocol::Udp, ..Self::tcp(to) }
    }

    /// The same with a payload of that many bytes.
    #[must_use]
    pub fn payload_bytes(self, payload_bytes: u32) -> Self {
        Self { payload_bytes, ..self }
    }

    /// The same from that address.
    #[must_use]
    pub fn source(self, source: impl Into<IpAddr>) -> Self {
        Self { source: Some(source.into()), ..self }
    }
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProbeResult {
    /// It was answered, and the payload came back whole.
    Answered {
        /// Name of the site that answered.
        by: String,
        /// The client's address as the server saw it.
        seen: SocketAddr,
        /// The client's address as it saw itself.
        local: SocketAddr,
    },
    /// Nothing came within the limit.
    Silent,
    /// An error came: the name of the errno, or what was wrong.
    Failed(String),
}

impl ProbeResult {
    /// The answering site's name and the client's address as it saw it.
    ///
    /// # Errors
    ///
    /// There was no answer.
    pub fn answer(&self) -> Result<(&str, SocketAddr)> {
        let Self::Answered { by, seen, .. } = self else { anyhow::bail!("no answer but {self:?}") };
        Ok((by, *seen))
    }
}

/// Probes to send at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Batch {
    pub(crate) probes: Vec<Probe>,
    pub(crate) limit: Duration,
}

/// The worker of a site that sends probes, started at the first use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prober(Arc<Mutex<Option<WorkerPipe>>>);

impl Prober {
    pub(crate) fn probe(&self, place: &Place, probes: &[Probe], limit: Duration) -> Result<Vec<ProbeResult>> {
        let mut worker = lock(&self.0);
        let running = match worker.as_mut() {
            Some(running) => running,
            None => worker.insert(WorkerPipe::start(place, &["probe"])?),
        };
        let batch = Batch { probes: probes.to_vec(), limit };
        let results = running.call::<Vec<ProbeResult>>(&batch, limit + SLACK);
        if results.is_err() {
            // Lines of this call may still come: a new call needs a new worker.
            *worker = None;
        }
        let results = results.with_context(|| format!("probing from {}", place.name))?;
        ensure!(results.len() == probes.len(), "{} results of {} probes", results.len(), probes.len());
        Ok(results)
    }
}
