//! What a client can be asked to do, and what it reports: the lines between a lab and its workers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::dns_workload::{DnsTally, DnsWorkload};

/// How a client reaches a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dial {
    /// A new TCP connection and one HTTP request for each.
    Tcp,
    /// A new UDP socket for each request, connected.
    UdpConnected,
    /// A new UDP socket for each request, unconnected.
    UdpUnconnected,
    /// One unconnected UDP socket for all requests (one for each of the concurrent ones).
    UdpOneSocket,
}

/// Requests to send. Nothing is tried twice: a request without an answer in time has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// How to dial.
    pub dial: Dial,
    /// Address to dial. A v4-mapped address is dialled from an IPv6 socket.
    pub to: SocketAddr,
    /// Requests in flight at a time.
    pub concurrency: u16,
    /// Longest time from the first system call of a request to its answer.
    pub timeout: Duration,
    /// Pause after each request.
    pub pause: Duration,
}

impl Workload {
    /// One request at a time, without pause. The timeout is a second, which is less than TCP's first retransmission:
    /// a lost packet shows.
    pub fn new(dial: Dial, to: impl Into<SocketAddr>) -> Self {
        Self {
            dial,
            to: to.into(),
            concurrency: 1,
            timeout: Duration::from_millis(950),
            pause: Duration::ZERO,
        }
    }

    /// The same with that many requests in flight.
    #[must_use]
    pub fn concurrency(self, concurrency: u16) -> Self {
        Self { concurrency, ..self }
    }

    /// The same with that pause after each request.
    #[must_use]
    pub fn pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }
}

/// What came of a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Requests that ended, either way.
    pub requests: u64,
    /// Answers by the name of the pod that gave them.
    pub answered: BTreeMap<String, u64>,
    /// Failures by reason: the name of an errno, or `timeout`, or what was wrong with the answer.
    pub failed: BTreeMap<String, u64>,
    /// The peer that the client was shown (`getpeername`, or the source that `recvfrom` reports), how often.
    pub peers: BTreeMap<SocketAddr, u64>,
    /// When each pod answered last, in nanoseconds of CLOCK_MONOTONIC.
    pub last_answer_ns: BTreeMap<String, u64>,
    /// How long answered requests took.
    pub answer_time: Times,
    /// How long failed requests took.
    pub failure_time: Times,
}

impl Tally {
    /// Number of requests that failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Whether every answer seemed to come from `dialled`.
    pub fn saw_only(&self, dialled: SocketAddr) -> bool {
        !self.peers.is_empty() && self.peers.keys().all(|peer| *peer == dialled)
    }
}

/// A distribution of times in microseconds; zero when nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Median.
    pub p50_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// Longest.
    pub max_us: u64,
}

impl Times {
    /// Sorts `samples`, microseconds each, and takes the quantiles.
    pub(crate) fn of(samples: &mut [u32]) -> Self {
        samples.sort_unstable();
        let at = |permille: usize| {
            let index = samples.len().saturating_sub(1) * permille / 1000;
            samples.get(index).copied().map_or(0, u64::from)
        };
        Self { p50_us: at(500), p99_us: at(990), max_us: at(1000) }
    }
}

/// Now, in nanoseconds of CLOCK_MONOTONIC: a clock that all processes of the machine share and that never steps.
pub fn monotonic_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |now| now.tv_sec().unsigned_abs() * 1_000_000_000 + now.tv_nsec().unsigned_abs())
}

/// Number of a load within its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct LoadId(pub(crate) u32);

/// One line to a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Command {
    /// So many requests, then report.
    Run { workload: Workload, requests: u32 },
    /// So many DNS queries, then report.
    RunDns { workload: DnsWorkload, queries: u32 },
    /// Requests until stopped.
    Start { workload: Workload },
    /// DNS queries until stopped.
    StartDns { workload: DnsWorkload },
    /// Report what a load did so far.
    Sample { load: LoadId },
    /// Let requests in flight end, then report.
    Stop { load: LoadId },
}

/// One line back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Tally(Tally),
    DnsTally(DnsTally),
    Started(LoadId),
    /// The command made no sense.
    Refused(String),
}

impl Reply {
    /// The report of a command that ends with one.
    pub(crate) fn into_tally(self) -> Result<Tally> {
        match self {
            Self::Tally(tally) => Ok(tally),
            Self::DnsTally(_) => bail!("the worker reported of DNS queries instead"),
            Self::Started(id) => bail!("the worker started {id:?} instead of reporting"),
            Self::Refused(reason) => bail!("the worker refused: {reason}"),
        }
    }

    /// The report of a command about DNS queries.
    pub(crate) fn into_dns_tally(self) -> Result<DnsTally> {
        match self {
            Self::DnsTally(tally) => Ok(tally),
            Self::Tally(_) => bail!("the worker reported of other requests than DNS queries"),
            Self::Started(id) => bail!("the worker started {id:?} instead of reporting"),
            Self::Refused(reason) => bail!("the worker refused: {reason}"),
        }
    }

    /// The load that a command started.
    pub(crate) fn into_load(self) -> Result<LoadId> {
        match self {
            Self::Started(id) => Ok(id),
            Self::Tally(_) | Self::DnsTally(_) => bail!("the worker reported instead of starting a load"),
            Self::Refused(reason) => bail!("the worker refused: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_taken_from_the_sorted_samples() {
        let mut samples: Vec<u32> = (1..=1000).rev().collect();
        assert_eq!(Times::of(&mut samples), Times { p50_us: 500, p99_us: 990, max_us: 1000 });
        assert_eq!(Times::of(&mut [7]), Times { p50_us: 7, p99_us: 7, max_us: 7 });
        assert_eq!(Times::of(&mut []), Times::default());
    }
}
