//! A DNS server for the world outside the cluster, which can be told to misbehave.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::client::lock;
use crate::pipe::WorkerPipe;
use crate::place::Place;

/// How long the server may take to obey.
const LIMIT: Duration = Duration::from_secs(10);

/// What `www.example.org` is in IPv4 (RFC 5737, TEST-NET-1).
pub(crate) const WWW_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// How the server treats the queries from now on; it counts them in every mode but [`Self::Refusing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpstreamMode {
    /// Answers at once.
    Normal,
    /// Takes queries and answers none.
    Silent,
    /// Answers after that time; over TCP one query at a time on a connection.
    Slow(Duration),
    /// Has no socket: UDP meets an ICMP error, TCP a reset.
    Refusing,
    /// Answers SERVFAIL.
    ServFail,
}

/// How often the server was asked for a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryCount {
    /// Over UDP.
    pub udp: u64,
    /// Over TCP.
    pub tcp: u64,
}

/// One line to the server.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum UpstreamCommand {
    Set(UpstreamMode),
    Count,
}

/// One line back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum UpstreamReply {
    /// The mode is in force.
    Set,
    Counts(BTreeMap<String, QueryCount>),
    Failed(String),
}

/// A DNS server on port 53, UDP and TCP, both families. Clones are the same server.
///
/// It knows `www.example.org` (A 192.0.2.1, AAAA 2001:db8::1, TXT, MX), `alias.example.org` (a CNAME of it),
/// `mail.example.org` (A, AAAA) and `big.example.org` (60 A records, too many for 512 bytes); every other name is
/// NXDOMAIN with a SOA. To a query with the DO bit it answers with AD, DO and the query's unknown EDNS options, so that
/// one can see whether they were passed through.
#[derive(Clone, Debug)]
pub struct Upstream(Arc<Mutex<WorkerPipe>>);

impl Upstream {
    /// Starts it; its sockets are open on return.
    pub(crate) fn start(place: &Place) -> Result<Self> {
        let upstream = Self(Arc::new(Mutex::new(WorkerPipe::start(place, &["upstream"])?)));
        upstream
            .set(UpstreamMode::Normal)
            .with_context(|| format!("starting a DNS server; see {}", place.log().display()))?;
        Ok(upstream)
    }

    /// Changes the mode; it is in force on return.
    ///
    /// # Errors
    ///
    /// The server died, or could not open its sockets again.
    pub fn set(&self, mode: UpstreamMode) -> Result<()> {
        match self.call(UpstreamCommand::Set(mode))? {
            UpstreamReply::Set => Ok(()),
            UpstreamReply::Failed(reason) => bail!("the DNS server could not change its mode: {reason}"),
            UpstreamReply::Counts(_) => bail!("the DNS server counted instead of changing its mode"),
        }
    }

    /// How often it was asked for which name since it started. Names are in lower case and end in a dot.
    ///
    /// # Errors
    ///
    /// The server died.
    pub fn queries(&self) -> Result<BTreeMap<String, QueryCount>> {
        match self.call(UpstreamCommand::Count)? {
            UpstreamReply::Counts(counts) => Ok(counts),
            UpstreamReply::Set => bail!("the DNS server changed its mode instead of counting"),
            UpstreamReply::Failed(reason) => bail!("the DNS server could not count: {reason}"),
        }
    }

    fn call(&self, command: UpstreamCommand) -> Result<UpstreamReply> {
        lock(&self.0).call(&command, LIMIT)
    }
}
