//! Hostile packets: a corpus and mutations of it through everything that happens before an upstream is asked.
//!
//! `cargo test` runs [`INPUTS`] of them; `cargo xtask fuzz --dns N` runs N in release. Deterministic: an input is its
//! number. A packet that was found to break something becomes a file of the corpus.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test, which says how fast it was"
)]

mod mutate;
mod reply;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use dns::Transport;
use dns::config::{Block, ClusterConfig, DnsConfig, Fallthrough, ForwardConfig, PodsMode, Upstreams};
use dns::corefile::parse_zone;
use dns::metrics::Metrics;
use dns::record::{
    Change, EndpointRecord, PortProtocol, PortRecord, ServiceKind, ServiceRecord, SliceRecord,
};
use dns::server::{Handled, Resolver};
use dns::zone::Zone;
use hickory_proto::rr::Name;
use tokio::sync::watch;

/// Inputs of a run that nobody asked more of.
const INPUTS: u64 = 200_000;

fn port(name: &str, number: u16) -> PortRecord {
    PortRecord { name: name.into(), protocol: PortProtocol::Tcp, number: number.try_into().unwrap() }
}

fn service(name: &str, kind: ServiceKind, endpoints: u32) -> Change {
    let endpoint = |i: u32| EndpointRecord {
        addr: IpAddr::V4(Ipv4Addr::from(0x0af4_0000 + i)),
        hostname: if i.is_multiple_of(3) { format!("pod-{i}").into() } else { "".into() },
        pod: "".into(),
    };
    let slice =
        SliceRecord { ports: vec![port("http", 80)], endpoints: (0..endpoints).map(endpoint).collect() };
    let record = ServiceRecord { kind, ports: vec![port("http", 80), port("", 81)], slices: vec![slice] };
    Change::Service { namespace: "shop".into(), name: name.into(), record: Some(record) }
}

fn resolver() -> Resolver {
    let alias = |target: &str| ServiceKind::ExternalName(target.into());
    let ips = ["10.96.7.7", "fd00:10:96::7"].map(|ip| ip.parse().unwrap()).to_vec();
    let changes = vec![
        service("web", ServiceKind::ClusterIps(ips), 3),
        service("db", ServiceKind::Headless, 5),
        service("many", ServiceKind::Headless, 300),
        service("ext", alias("www.example.org"), 0),
        service("alias", alias("web.shop.svc.cluster.local"), 0),
        service("circle", alias("circle.shop.svc.cluster.local."), 0),
    ];
    let zone = Zone::default().with(changes, 1).synced().called(&["10.96.0.10".parse().unwrap()]);
    let name = |text: &str| parse_zone(text).unwrap();
    let cluster = ClusterConfig {
        zones: vec![name("cluster.local")],
        reverse_zones: vec![name("in-addr.arpa"), name("ip6.arpa")],
        fallthrough: Fallthrough::Zones(vec![name("ip6.arpa")]),
        pods: PodsMode::Insecure,
        ..ClusterConfig::default()
    };
    let upstream = Upstreams::Addrs(vec!["127.0.0.1:9".parse().unwrap()]);
    let block = Block {
        zones: vec![Name::root()],
        cluster: Some(cluster),
        forwards: vec![ForwardConfig::new(Name::root(), upstream)],
        logs_errors: false,
    };
    let config =
        DnsConfig { blocks: vec![block], health: None, lameduck: std::time::Duration::ZERO, ready: None };
    // The last value of a channel outlives its sender.
    let (_, zone) = watch::channel(Arc::new(zone));
    Resolver::new(&config, zone, Arc::new(Metrics::default()))
}

fn corpus() -> Vec<Vec<u8>> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 30, "the corpus is missing");
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

#[derive(Default)]
struct Seen {
    silent: u64,
    replies: u64,
    forwarded: u64,
}

impl Seen {
    fn count(&mut self, resolver: &Resolver, packet: &[u8], input: u64) {
        for transport in [Transport::Udp, Transport::Tcp] {
            let handled = resolver.handle(packet, transport);
            let other = resolver.handle_step_by_step(packet, transport);
            if handled != other && !reply::say_the_same(&handled, &other) {
                panic!(
                    "input {input} over {transport:?}: {packet:02x?} became {handled:02x?} and {other:02x?}"
                );
            }
            let result = match &handled {
                Handled::Silent => {
                    self.silent += 1;
                    reply::may_be_silent(packet)
                }
                Handled::Reply(bytes) => {
                    self.replies += 1;
                    reply::check(packet, bytes, transport)
                }
                Handled::Forwarded => {
                    self.forwarded += 1;
                    reply::may_be_forwarded(packet)
                }
            };
            if let Err(why) = result {
                panic!("input {input} over {transport:?}: {why}: {packet:02x?} became {handled:02x?}");
            }
        }
    }
}

#[test]
fn no_packet_breaks_the_server_and_every_reply_is_well_formed() {
    let inputs = std::env::var("FERRULE_FUZZ_INPUTS").map_or(INPUTS, |n| n.parse().unwrap());
    let (resolver, corpus) = (resolver(), corpus());
    let mut seen = Seen::default();
    let began = Instant::now();
    for (i, packet) in (0..).zip(&corpus) {
        seen.count(&resolver, packet, i);
    }
    for input in 0..inputs {
        seen.count(&resolver, &mutate::packet(&corpus, input), input);
    }
    let took = began.elapsed();
    println!(
        "{inputs} inputs and {} of the corpus, over UDP and TCP: {} replies, {} forwarded, {} silent, in {took:.1?} ({:.0} a second)",
        corpus.len(),
        seen.replies,
        seen.forwarded,
        seen.silent,
        inputs as f64 / took.as_secs_f64()
    );
    // Mutations that are all thrown away would show nothing.
    assert!(seen.replies > inputs / 2 && seen.forwarded > inputs / 200 && seen.silent > inputs / 100);
}
