//! A server in this process, and the zone that it serves.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dns::config::{Block, ClusterConfig, DnsConfig, ForwardConfig, Policy, Upstreams};
use dns::metrics::{Counters, Metrics};
use dns::record::{
    Change, EndpointRecord, PortProtocol, PortRecord, ServiceKind, ServiceRecord, SliceRecord,
};
use dns::server::{Phase, Resolver, bind, start};
use dns::zone::Zone;
use tokio::sync::watch;

/// What nothing here takes longer than, unless something is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// An address with a port that nobody else here has, for UDP and TCP.
pub(crate) fn free_addr(ip: impl Into<IpAddr>) -> SocketAddr {
    static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let ip = ip.into();
    loop {
        let addr = UdpSocket::bind((ip, 0)).unwrap().local_addr().unwrap();
        let is_new = TAKEN.lock().unwrap_or_else(PoisonError::into_inner).insert(addr.port());
        if is_new && TcpListener::bind(addr).is_ok() {
            return addr;
        }
    }
}

pub(crate) const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Waits until something is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        // Looks again soon.
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// A running server.
pub(crate) struct Served {
    pub(crate) addr: SocketAddr,
    pub(crate) resolver: Arc<Resolver>,
    metrics: Arc<Metrics>,
    phase: watch::Sender<Phase>,
    threads: Vec<JoinHandle<()>>,
}

impl Served {
    /// On a port of its own.
    pub(crate) fn start(config: &DnsConfig) -> Self {
        let addr = free_addr(LOCALHOST);
        Self::on(&[addr], 1, config)
    }

    pub(crate) fn on(addrs: &[SocketAddr], copies: usize, config: &DnsConfig) -> Self {
        // The zone stays when its sender is gone.
        let (_, zone) = watch::channel(Arc::new(zone()));
        let metrics = Arc::new(Metrics::default());
        let resolver = Arc::new(Resolver::new(config, zone, Arc::clone(&metrics)));
        let (phase, phases) = watch::channel(Phase::Serving);
        let threads = start(&resolver, bind(addrs, copies).unwrap(), copies, &phases).unwrap();
        Self { addr: addrs[0], resolver, metrics, phase, threads }
    }

    pub(crate) fn counters(&self) -> Counters {
        self.metrics.counters()
    }

    pub(crate) fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.drain();
    }
}

/// `cluster.local` and the reverse zones, with these forwarders for the rest.
pub(crate) fn config(forwards: Vec<ForwardConfig>) -> DnsConfig {
    let names = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let cluster = ClusterConfig {
        zones: names(&["cluster.local."]),
        reverse_zones: names(&["in-addr.arpa.", "ip6.arpa."]),
        ..ClusterConfig::default()
    };
    let block = Block { zones: names(&["."]), cluster: Some(cluster), forwards, logs_errors: true };
    dns_config(vec![block])
}

pub(crate) fn dns_config(blocks: Vec<Block>) -> DnsConfig {
    DnsConfig { blocks, health: None, lameduck: Duration::ZERO, ready: None }
}

/// Forwards everything to these, in this order.
pub(crate) fn forward_to(upstreams: &[SocketAddr]) -> ForwardConfig {
    ForwardConfig {
        policy: Policy::Sequential,
        ..ForwardConfig::new(".".parse().unwrap(), Upstreams::Addrs(upstreams.to_vec()))
    }
}

/// Namespace `demo`: `web` with two ClusterIPs, headless `n-60`, `n-100` and `n-8` with so many endpoints and a port
/// `http`, and aliases: `shop` of `shop.example.org`, `dead` of `dead.example.org`, `beyond`, `circle` and `out` of `web`,
/// `circle` and `shop` in zone `other.example`.
pub(crate) fn zone() -> Zone {
    let port = PortRecord {
        name: "http".into(),
        protocol: PortProtocol::Tcp,
        number: NonZeroU16::new(8080).unwrap(),
    };
    let service = |name: &str, kind: ServiceKind, endpoints: u8| {
        let endpoints = (1..=endpoints).map(|i| EndpointRecord {
            addr: Ipv4Addr::new(10, 1, endpoints, i).into(),
            hostname: "".into(),
            pod: "".into(),
        });
        let slice = SliceRecord { ports: vec![port.clone()], endpoints: endpoints.collect() };
        let slices = if slice.endpoints.is_empty() { Vec::new() } else { vec![slice] };
        let record = Some(ServiceRecord { kind, ports: vec![port.clone()], slices });
        Change::Service { namespace: "demo".into(), name: name.into(), record }
    };
    let ips = vec!["10.96.0.10".parse().unwrap(), "fd00::10".parse().unwrap()];
    let alias = |target: &str| ServiceKind::ExternalName(target.into());
    let changes = vec![
        Change::Namespace { name: "demo".into(), exists: true },
        service("web", ServiceKind::ClusterIps(ips), 0),
        service("n-60", ServiceKind::Headless, 60),
        service("n-100", ServiceKind::Headless, 100),
        service("n-8", ServiceKind::Headless, 8),
        service("shop", alias("shop.example.org"), 0),
        service("dead", alias("dead.example.org"), 0),
        service("beyond", alias("web.demo.svc.other.example"), 0),
        service("circle", alias("circle.demo.svc.other.example"), 0),
        service("out", alias("shop.demo.svc.other.example"), 0),
    ];
    Zone::default().with(changes, 1).synced()
}
