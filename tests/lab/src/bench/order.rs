//! What a client of the benchmarks is told to do, and what it reports: one line of JSON each.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Port of a pod's server, TCP and UDP.
pub(super) const SERVER_PORT: u16 = 3000;
/// Port of the server beside it that no program is attached to.
pub(super) const BARE_PORT: u16 = 3001;

/// Traffic for a while.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) traffic: Traffic,
    pub(super) placed: Placed,
    pub(super) to: Targets,
    pub(super) time: Duration,
}

/// What is done over and over. Requests and answers are one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Traffic {
    /// TCP, 32 at a time: connect, request, answer, close.
    Connections,
    /// One TCP connection, one request at a time.
    TcpPing,
    /// One connected UDP socket, one request at a time.
    UdpPingConnected,
    /// One unconnected UDP socket, one request at a time.
    UdpPingUnconnected,
    /// A new connected UDP socket a request, one at a time, as a resolver does.
    UdpSockets,
}

/// Where the client runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Placed {
    /// On the server's processor: it is always busy, so the rate is what both ends together cost, and no processor has
    /// to be woken.
    WithServer,
    /// On another one. The client's does more than half of the work, so it is the client whose cost the rate shows.
    Apart,
}

/// Addresses in a row with one port, dialled in an order that looks random and is the same every time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Targets {
    pub(super) first: Ipv4Addr,
    pub(super) count: u32,
    pub(super) port: u16,
}

/// What came of an order.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Done {
    /// Requests answered.
    pub(super) operations: u64,
    /// Time from the first request to the end.
    pub(super) elapsed: Duration,
    /// Median time of one, in nanoseconds.
    pub(super) p50_ns: u32,
    /// 99th percentile of the same.
    pub(super) p99_ns: u32,
}

/// One line back. A request without an answer ends the order: a benchmark that loses some measures something else.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Done(Done),
    Failed(String),
}

impl Targets {
    /// The `index`th address.
    pub(super) fn at(&self, index: u32) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::from_bits(self.first.to_bits() + index), self.port)
    }

    /// `count` of them from the `from`th on.
    pub(super) fn part(&self, from: u32, count: u32) -> Self {
        Self { first: *self.at(from).ip(), count, ..*self }
    }
}

/// Draws targets: a multiplicative walk over 32 bits, so that neighbours in time are none in memory.
#[derive(Debug)]
pub(super) struct Draw(u32);

impl Draw {
    pub(super) fn new() -> Self {
        Self(0x9e37_79b9)
    }

    pub(super) fn next(&mut self, targets: &Targets) -> SocketAddrV4 {
        // Knuth's constants of a 32-bit linear congruential generator; the high bits are the random ones.
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        targets.at(((u64::from(self.0) * u64::from(targets.count)) >> 32) as u32)
    }
}

/// Times of single operations.
#[derive(Debug, Default)]
pub(super) struct Samples(Vec<u32>);

impl Samples {
    pub(super) fn push(&mut self, time: Duration) {
        self.0.push(u32::try_from(time.as_nanos()).unwrap_or(u32::MAX));
    }

    pub(super) fn into_done(mut self, elapsed: Duration) -> Done {
        self.0.sort_unstable();
        let at = |percent: usize| self.0.get(self.0.len() * percent / 100).copied().unwrap_or_default();
        Done { operations: self.0.len() as u64, elapsed, p50_ns: at(50), p99_ns: at(99) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_draw_reaches_every_target_and_no_other() {
        let targets = Targets { first: [10, 201, 0, 1].into(), count: 300, port: 80 };
        let mut draw = Draw::new();
        let drawn: BTreeSet<_> = (0..10_000).map(|_| draw.next(&targets)).collect();
        assert_eq!(drawn.len(), 300);
        assert_eq!(drawn.first(), Some(&"10.201.0.1:80".parse().unwrap()));
        assert_eq!(drawn.last(), Some(&"10.201.1.44:80".parse().unwrap()));
    }

    #[test]
    fn quantiles_of_one_sample_are_that_sample() {
        let mut samples = Samples::default();
        samples.push(Duration::from_nanos(7));
        let done = samples.into_done(Duration::from_secs(1));
        assert_eq!((done.operations, done.p50_ns, done.p99_ns), (1, 7, 7));
    }
}
