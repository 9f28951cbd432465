//! How long a zone of 10,000 Services takes to make and to change, and answers from one: medians, in microseconds.
//! `cargo run --release -p dns --example zone_times`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, which says what it found")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dns::Transport;
use dns::config::{Block, ClusterConfig, DnsConfig};
use dns::corefile::parse_zone;
use dns::metrics::Metrics;
use dns::record::{
    Change, EndpointRecord, PortProtocol, PortRecord, ServiceKind, ServiceRecord, SliceRecord,
};
use dns::server::{Handled, Resolver};
use dns::zone::Zone;
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use tokio::sync::watch;

const SERVICES: u32 = 10_000;
const ENDPOINTS: u32 = 10;
/// Hostnames of the largest headless Service.
const HOSTNAMES: u32 = 5_000;

/// The median of so many runs.
fn median(runs: usize, mut run: impl FnMut()) -> Duration {
    let times = (0..runs).map(|_| {
        let began = Instant::now();
        run();
        began.elapsed()
    });
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times[runs / 2]
}

fn say(what: &str, time: Duration) {
    println!("{what:<46} {:>10.1} µs", time.as_secs_f64() * 1e6);
}

fn service(name: &str, kind: ServiceKind, base: u32, endpoints: u32) -> Change {
    let port =
        PortRecord { name: "sql".into(), protocol: PortProtocol::Tcp, number: 5432.try_into().unwrap() };
    let endpoint = |i: u32| EndpointRecord {
        addr: IpAddr::V4(Ipv4Addr::from(0x0a80_0000 + base + i)),
        hostname: format!("{name}-{i}").into(),
        pod: "".into(),
    };
    let endpoints: Vec<EndpointRecord> = (0..endpoints).map(endpoint).collect();
    // A slice has 100 endpoints at most.
    let slices = endpoints.chunks(100);
    let slices = slices.map(|some| SliceRecord { ports: vec![port.clone()], endpoints: some.to_vec() });
    let record = ServiceRecord { kind, ports: vec![port.clone()], slices: slices.collect() };
    Change::Service { namespace: "shop".into(), name: name.into(), record: Some(record) }
}

fn small(i: u32, endpoints: u32) -> Change {
    let vip = IpAddr::V4(Ipv4Addr::from(0x0a60_0000 + i));
    let kind = if i.is_multiple_of(2) { ServiceKind::Headless } else { ServiceKind::ClusterIps(vec![vip]) };
    service(&format!("svc-{i}"), kind, i * ENDPOINTS, endpoints)
}

fn query(record_type: RecordType, name: &str) -> Vec<u8> {
    let name = Name::from_ascii(format!("{name}.shop.svc.cluster.local.")).unwrap();
    let mut message = Message::query();
    message.add_query(Query::query(name, record_type));
    message.to_vec().unwrap()
}

fn main() {
    let changes: Vec<Change> = (0..SERVICES).map(|i| small(i, ENDPOINTS)).collect();
    let began = Instant::now();
    let zone = Zone::default().with(changes, 1);
    say("a zone is made", began.elapsed());
    let few = small(7, ENDPOINTS - 1);
    say("a Service has one endpoint fewer", median(2_000, || drop(zone.with([few.clone()], 2))));
    let zone = zone.with([service("db", ServiceKind::Headless, 0x10_0000, HOSTNAMES)], 2).synced();
    let cluster = ClusterConfig { zones: vec![parse_zone("cluster.local").unwrap()], ..Default::default() };
    let block =
        Block { zones: vec![Name::root()], cluster: Some(cluster), forwards: Vec::new(), logs_errors: false };
    let config = DnsConfig { blocks: vec![block], health: None, lameduck: Duration::ZERO, ready: None };
    let (_feed, zone) = watch::channel(Arc::new(zone));
    let resolver = Resolver::new(&config, zone, Arc::new(Metrics::default()));
    for (what, record_type, name) in [
        ("A of a ClusterIP", RecordType::A, "svc-7"),
        ("ten addresses of a headless Service", RecordType::A, "svc-8"),
        ("ten SRV records", RecordType::SRV, "_sql._tcp.svc-8"),
        ("5,000 addresses of a headless Service", RecordType::A, "db"),
        ("5,000 SRV records", RecordType::SRV, "_sql._tcp.db"),
    ] {
        for (transport, on) in [(Transport::Udp, "UDP"), (Transport::Tcp, "TCP")] {
            let packet = query(record_type, name);
            let answer =
                || assert!(matches!(black_box(resolver.handle(&packet, transport)), Handled::Reply(_)));
            say(&format!("{what}, {on}"), median(201, answer));
        }
    }
}
