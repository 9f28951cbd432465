//! DNS queries that a client can be asked to send, and what came of them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::workload::Times;

/// How a query travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DnsTransport {
    /// A new connected UDP socket for each query, as resolvers do.
    UdpNewSocket,
    /// One connected UDP socket for all queries. An ICMP error counts for the oldest query in flight: the kernel does
    /// not say which one met it.
    UdpOneSocket,
    /// A new TCP connection for each query.
    Tcp,
}

/// When queries are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pace {
    /// So many in flight at a time: the next one waits for an answer.
    InFlight(u16),
    /// So many a second, whatever comes back. A sender that was held up catches up.
    PerSecond(u32),
}

/// A name and a type, `A` or `SRV` for two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Name, sent as it is; a missing last dot is added.
    pub name: String,
    /// Record type in capitals.
    pub record_type: String,
}

impl Question {
    /// A question.
    pub fn new(name: &str, record_type: &str) -> Self {
        Self { name: name.into(), record_type: record_type.into() }
    }
}

/// Queries to send. Nothing is tried twice: a query without an answer in time has failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsWorkload {
    /// The server.
    pub to: SocketAddr,
    /// How they travel.
    pub transport: DnsTransport,
    /// What is asked, in turn.
    pub questions: Vec<Question>,
    /// When they are sent.
    pub pace: Pace,
    /// Longest time from the first system call of a query to its answer.
    pub timeout: Duration,
}

impl DnsWorkload {
    /// One query at a time, each from a new UDP socket, with a second for its answer.
    pub fn new(to: impl Into<SocketAddr>, questions: &[Question]) -> Self {
        Self {
            to: to.into(),
            transport: DnsTransport::UdpNewSocket,
            questions: questions.to_vec(),
            pace: Pace::InFlight(1),
            timeout: Duration::from_secs(1),
        }
    }

    /// The same over another transport.
    #[must_use]
    pub fn over(self, transport: DnsTransport) -> Self {
        Self { transport, ..self }
    }

    /// The same at another pace.
    #[must_use]
    pub fn pace(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// The same with another timeout.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Longest time that `queries` of them take.
    pub(crate) fn longest(&self, queries: u32) -> Duration {
        match self.pace {
            Pace::InFlight(many) => self.timeout * queries.div_ceil(u32::from(many.max(1))),
            Pace::PerSecond(rate) => self.timeout + Duration::from_secs((queries / rate.max(1)).into()),
        }
    }
}

/// What came of the queries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsTally {
    /// Queries sent, those in flight included.
    pub sent: u64,
    /// Answers by response code, `NOERROR` or `NXDOMAIN` for two.
    pub answered: BTreeMap<String, u64>,
    /// Answers with NOERROR and without a record of the type asked for.
    pub no_data: u64,
    /// Answers with the TC bit.
    pub truncated: u64,
    /// Answers by their first A or AAAA record.
    pub addresses: BTreeMap<IpAddr, u64>,
    /// Queries without a good answer, by reason: the name of an errno, or `timeout`, or what was wrong with the answer.
    pub failed: BTreeMap<String, u64>,
    /// Datagrams that answered no query in flight: late, doubled, or with an id that was not asked with.
    pub stray: u64,
    /// How long answers took.
    pub answer_time: Times,
    /// Longest time from one answer to the next, in microseconds; zero before the second answer.
    pub longest_gap_us: u64,
    /// When the last answer came, in nanoseconds of CLOCK_MONOTONIC.
    pub last_answer_ns: u64,
}

impl DnsTally {
    /// Number of queries that got a good answer, whatever its code.
    pub fn answers(&self) -> u64 {
        self.answered.values().sum()
    }

    /// Number of answers with that code.
    pub fn with_code(&self, code: &str) -> u64 {
        self.answered.get(code).copied().unwrap_or_default()
    }

    /// Number of queries that failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Number of queries whose fate is open.
    pub fn in_flight(&self) -> u64 {
        self.sent - self.answers() - self.failures()
    }
}
