//! DNS: CoreDNS's names where the meaning is the same, ours with the prefix `ferrule_dns_`.

use ::dns::metrics::{CODES, Counters, TYPES};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::dns::supervisor::DnsState;

/// Labels whose names are known here.
type Labels = Vec<(&'static str, &'static str)>;

pub(super) fn of_dns(registry: &mut Registry, state: &DnsState, counters: &Counters) {
    let requests = Family::<Labels, Counter>::default();
    for (proto, counts) in [("udp", &counters.udp), ("tcp", &counters.tcp)] {
        for (name, n) in TYPES.iter().zip(counts) {
            requests.get_or_create(&vec![("proto", proto), ("type", *name)]).inc_by(*n);
        }
    }
    registry.register("coredns_dns_requests", "Queries by transport and type", requests);
    let responses = Family::<Labels, Counter>::default();
    for (code, n) in CODES.iter().zip(counters.responses) {
        responses.get_or_create(&vec![("rcode", *code)]).inc_by(n);
    }
    registry.register("coredns_dns_responses", "Responses by code", responses);
    let counter = |n: u64| {
        let counter = Counter::<u64>::default();
        counter.inc_by(n);
        counter
    };
    registry.register(
        "coredns_forward_max_concurrent_rejects",
        "Queries that were refused because too many were under way",
        counter(counters.forward_rejects),
    );
    registry.register(
        "ferrule_dns_forwarded",
        "Queries that upstreams were asked",
        counter(counters.forwarded),
    );
    registry.register(
        "ferrule_dns_forward_failures",
        "Forwarded queries that no upstream answered",
        counter(counters.forward_failures),
    );
    registry.register(
        "ferrule_dns_forward_microseconds",
        "Sum of the times until upstreams answered",
        counter(counters.forward_us),
    );
    registry.register(
        "ferrule_dns_silent",
        "Packets that were not answered: no header, or a response",
        counter(counters.silent),
    );
    registry.register(
        "ferrule_dns_connections",
        "TCP connections that were accepted",
        counter(counters.connections),
    );
    registry.register(
        "ferrule_dns_connections_cut",
        "TCP connections that were closed to make room",
        counter(counters.connections_cut),
    );
    registry.register(
        "ferrule_dns_starts",
        "DNS processes that served since the daemon started",
        counter(state.starts),
    );
    let gauge = |n: i64| {
        let gauge = Gauge::<i64>::default();
        gauge.set(n);
        gauge
    };
    registry.register(
        "ferrule_dns_connections_open",
        "Open TCP connections",
        gauge(i64::try_from(counters.connections_open).unwrap_or(i64::MAX)),
    );
    registry.register(
        "ferrule_dns_healthy",
        "1 if the node's DNS server answers",
        gauge(i64::from(state.is_healthy)),
    );
}
