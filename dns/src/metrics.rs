//! What servers count. The names are CoreDNS's where it has the same thing: dashboards go on working.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use serde::{Deserialize, Serialize};

use crate::message::Transport;

/// Types that are counted by name; the last counts all others.
pub const TYPES: [&str; 9] = ["A", "AAAA", "SRV", "PTR", "CNAME", "SOA", "NS", "TXT", "other"];
/// The same as the library's, without the last.
const COUNTED: [RecordType; TYPES.len() - 1] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::SRV,
    RecordType::PTR,
    RecordType::CNAME,
    RecordType::SOA,
    RecordType::NS,
    RecordType::TXT,
];
/// Codes that are counted by name; the last counts all others.
pub const CODES: [&str; 7] = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "other"];
/// Upper bounds of the buckets of forwarding times, in microseconds; one more bucket is above them.
pub const FORWARD_BOUNDS_US: [u64; 10] =
    [500, 1000, 2000, 5000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000];

/// Counters of one process, shared by its servers.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: [[AtomicU64; TYPES.len()]; 2],
    responses: [AtomicU64; CODES.len()],
    silent: AtomicU64,
    forwarded: AtomicU64,
    forward_failures: AtomicU64,
    forward_rejects: AtomicU64,
    forward_buckets: [AtomicU64; FORWARD_BOUNDS_US.len() + 1],
    forward_us: AtomicU64,
    connections: AtomicU64,
    connections_open: AtomicU64,
    connections_cut: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Queries over UDP by type, in the order of [`TYPES`].
    pub udp: [u64; TYPES.len()],
    /// Queries over TCP by type.
    pub tcp: [u64; TYPES.len()],
    /// Responses by code, in the order of [`CODES`].
    pub responses: [u64; CODES.len()],
    /// Packets that were not answered: no header, or a response.
    pub silent: u64,
    /// Queries that upstreams were asked.
    pub forwarded: u64,
    /// Those that no upstream answered.
    pub forward_failures: u64,
    /// Queries that were refused because too many were under way (`max_concurrent`).
    pub forward_rejects: u64,
    /// Answered ones by time, in the buckets of [`FORWARD_BOUNDS_US`], not cumulative.
    pub forward_buckets: [u64; FORWARD_BOUNDS_US.len() + 1],
    /// Sum of the times of answered ones in microseconds.
    pub forward_us: u64,
    /// TCP connections that were accepted.
    pub connections: u64,
    /// Those that are open.
    pub connections_open: u64,
    /// Those that were closed to make room.
    pub connections_cut: u64,
}

impl Counters {
    /// The sum of two: of a process that is gone and the one that followed it.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        fn sum<const N: usize>(a: &[u64; N], b: &[u64; N]) -> [u64; N] {
            std::array::from_fn(|i| a.get(i).copied().unwrap_or(0) + b.get(i).copied().unwrap_or(0))
        }
        Self {
            udp: sum(&self.udp, &other.udp),
            tcp: sum(&self.tcp, &other.tcp),
            responses: sum(&self.responses, &other.responses),
            silent: self.silent + other.silent,
            forwarded: self.forwarded + other.forwarded,
            forward_failures: self.forward_failures + other.forward_failures,
            forward_rejects: self.forward_rejects + other.forward_rejects,
            forward_buckets: sum(&self.forward_buckets, &other.forward_buckets),
            forward_us: self.forward_us + other.forward_us,
            connections: self.connections + other.connections,
            connections_open: other.connections_open,
            connections_cut: self.connections_cut + other.connections_cut,
        }
    }

    /// All queries.
    #[must_use]
    pub fn queries(&self) -> u64 {
        self.udp.iter().chain(&self.tcp).sum()
    }
}

fn add(counter: Option<&AtomicU64>, n: u64) {
    if let Some(counter) = counter {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

impl Metrics {
    /// A query of that type.
    pub(crate) fn request(&self, transport: Transport, record_type: RecordType) {
        let at = COUNTED.iter().position(|counted| *counted == record_type).unwrap_or(COUNTED.len());
        let transport = match transport {
            Transport::Udp => 0,
            Transport::Tcp => 1,
        };
        add(self.requests.get(transport).and_then(|types| types.get(at)), 1);
    }

    /// A response with that code.
    pub(crate) fn response(&self, code: ResponseCode) {
        self.response_low(code.low(), code.high() != 0);
    }

    /// A response of an upstream, passed on: the code as it is in the header.
    pub(crate) fn response_low(&self, low: u8, is_extended: bool) {
        let at = match low {
            at @ 0..=5 if !is_extended => usize::from(at),
            _ => CODES.len() - 1,
        };
        add(self.responses.get(at), 1);
    }

    pub(crate) fn silent(&self) {
        add(Some(&self.silent), 1);
    }

    pub(crate) fn forward_rejected(&self) {
        add(Some(&self.forward_rejects), 1);
    }

    /// Upstreams were asked, and one answered after `took`, or none did.
    pub(crate) fn forwarded(&self, took: Option<Duration>) {
        add(Some(&self.forwarded), 1);
        match took {
            Some(took) => {
                let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                let at = FORWARD_BOUNDS_US.iter().take_while(|bound| us > **bound).count();
                add(self.forward_buckets.get(at), 1);
                add(Some(&self.forward_us), us);
            }
            None => add(Some(&self.forward_failures), 1),
        }
    }

    pub(crate) fn connection_opened(&self) {
        add(Some(&self.connections), 1);
        add(Some(&self.connections_open), 1);
    }

    pub(crate) fn connection_closed(&self) {
        self.connections_open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn connection_cut(&self) {
        add(Some(&self.connections_cut), 1);
    }

    /// The counters now.
    #[must_use]
    pub fn counters(&self) -> Counters {
        fn all<const N: usize>(counters: &[AtomicU64; N]) -> [u64; N] {
            std::array::from_fn(|i| counters.get(i).map_or(0, |counter| counter.load(Ordering::Relaxed)))
        }
        let one = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let [udp, tcp] = &self.requests;
        Counters {
            udp: all(udp),
            tcp: all(tcp),
            responses: all(&self.responses),
            silent: one(&self.silent),
            forwarded: one(&self.forwarded),
            forward_failures: one(&self.forward_failures),
            forward_rejects: one(&self.forward_rejects),
            forward_buckets: all(&self.forward_buckets),
            forward_us: one(&self.forward_us),
            connections: one(&self.connections),
            connections_open: one(&self.connections_open),
            connections_cut: one(&self.connections_cut),
        }
    }
}
