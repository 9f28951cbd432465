//! Small random clusters, and an applier over maps in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use abi::{IdKey, IdKind};
use compile::{Dump, Engine, Fill, Limits, Op, Phase, oracle, render};
use model::{Changes, Event, Kind, NodeView, ObjectKey, Protocol, Snapshot, Store, api};
use proptest::prelude::*;
use serde_json::{Value, json};

/// One thing that happens to a cluster.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Apply(Value),
    Delete(Kind, String),
}

pub(crate) fn object(document: &Value) -> Arc<api::Object> {
    let mut decoded = api::decode(document.clone()).expect("the generator makes valid objects");
    Arc::new(decoded.objects.remove(0))
}

pub(crate) fn event(step: &Step) -> Event {
    match step {
        Step::Apply(document) => Event::Apply(object(document)),
        Step::Delete(kind, name) => Event::Delete(object_key(*kind, name)),
    }
}

pub(crate) fn object_key(kind: Kind, name: &str) -> ObjectKey {
    let namespace = if kind.is_namespaced() { "default" } else { "" };
    ObjectKey { kind, name: model::ObjectName::new(namespace, name) }
}

const SERVICES: [&str; 4] = ["a", "b", "c", "d"];
const NODES: [&str; 3] = ["here", "there", "yonder"];
const ZONES: [&str; 2] = ["z1", "z2"];
// Few addresses for many Services: conflicts are common.
const VIPS: [&str; 3] = ["10.96.0.1", "10.96.0.2", "10.96.0.3"];
const CREATED: [&str; 3] = ["", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"];
const LB_VIPS: [&str; 3] = ["192.0.2.1", "192.0.2.9", "203.0.113.1"];
// One of them is a ClusterIP too.
const EXTERNAL: [&str; 3] = ["192.0.2.1", "10.96.0.1", "192.0.2.2"];
const RANGES: [&str; 2] = ["10.96.0.0/29", "10.96.0.0/16"];
const VIPS6: [&str; 2] = ["fd00:96::1", "fd00:96::2"];

fn service() -> impl Strategy<Value = Value> {
    let ports =
        proptest::collection::vec((0usize..3, any::<bool>(), prop_oneof![Just(0u16), 30000u16..30003]), 1..3);
    let head = (0usize..4, 0usize..3, proptest::option::of(0usize..2), 0usize..3);
    (head, ports, any::<(bool, bool)>(), proptest::option::of(0usize..3), proptest::option::of(0usize..3)).prop_map(
        |((name, vip, vip6, created), ports, (internal, external), external_ip, lb)| {
            let mut ips = vec![VIPS[vip]];
            ips.extend(vip6.map(|i| VIPS6[i]));
            let ports: Vec<Value> = ports
                .into_iter()
                .map(|(port, udp, node_port)| {
                    json!({
                        "name": format!("p{port}{}", if udp { "u" } else { "" }), "port": 80 + port,
                        "protocol": if udp { "UDP" } else { "TCP" }, "nodePort": node_port,
                    })
                })
                .collect();
            let policy = |local: bool| if local { "Local" } else { "Cluster" };
            json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"name": SERVICES[name], "creationTimestamp": CREATED[created]},
                "spec": {
                    "type": "LoadBalancer", "clusterIP": ips[0], "clusterIPs": ips, "ports": ports,
                    "internalTrafficPolicy": policy(internal), "externalTrafficPolicy": policy(external),
                    "externalIPs": external_ip.map(|i| vec![EXTERNAL[i]]).unwrap_or_default(),
                },
                "status": {"loadBalancer": {"ingress": lb.map(|i| vec![json!({"ip": LB_VIPS[i]})]).unwrap_or_default()}},
            })
        },
    )
}

fn slice() -> impl Strategy<Value = Value> {
    let endpoint = (
        1u8..6,
        0usize..3,
        any::<(bool, bool, bool)>(),
        proptest::option::of(0usize..2),
        proptest::option::of(0usize..3),
    )
        .prop_map(|(last, node, (ready, serving, terminating), zone, hint)| {
            (last, node, ready, serving, terminating, zone, hint)
        });
    let endpoints = proptest::collection::vec(endpoint, 0..5);
    let ports = proptest::collection::vec((0usize..3, any::<bool>(), 3000u16..3002), 1..3);
    (0usize..5, 0usize..4, any::<bool>(), endpoints, ports).prop_map(|(name, service, v6, endpoints, ports)| {
        let endpoints: Vec<Value> = endpoints
            .into_iter()
            .map(|(last, node, ready, serving, terminating, zone, hint)| {
                let addr = if v6 { format!("fd00:244::{last}") } else { format!("10.244.0.{last}") };
                json!({
                    "addresses": [addr], "nodeName": NODES[node], "zone": zone.map(|z| ZONES[z]),
                    "conditions": {"ready": ready && !terminating, "serving": serving || ready, "terminating": terminating},
                    "hints": {
                        "forZones": zone.map(|z| vec![json!({"name": ZONES[z]})]),
                        "forNodes": hint.map(|n| vec![json!({"name": NODES[n]})]),
                    },
                })
            })
            .collect();
        let ports: Vec<Value> = ports
            .into_iter()
            .map(|(port, udp, number)| {
                json!({
                    "name": format!("p{port}{}", if udp { "u" } else { "" }), "port": number,
                    "protocol": if udp { "UDP" } else { "TCP" },
                })
            })
            .collect();
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": format!("s{name}"), "labels": {"kubernetes.io/service-name": SERVICES[service]}},
            "addressType": if v6 { "IPv6" } else { "IPv4" }, "endpoints": endpoints, "ports": ports,
        })
    })
}

fn node() -> impl Strategy<Value = Value> {
    (0usize..3, proptest::option::of(0usize..2)).prop_map(|(name, zone)| {
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": NODES[name], "labels": {"topology.kubernetes.io/zone": zone.map(|z| ZONES[z]).unwrap_or("")}},
        })
    })
}

fn service_cidr() -> impl Strategy<Value = Value> {
    (0usize..2).prop_map(|i| {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"},
            "spec": {"cidrs": [RANGES[i], "fd00:96::/112"]},
        })
    })
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => service().prop_map(Step::Apply),
        6 => slice().prop_map(Step::Apply),
        1 => node().prop_map(Step::Apply),
        1 => service_cidr().prop_map(Step::Apply),
        1 => (0usize..4).prop_map(|i| Step::Delete(Kind::Service, SERVICES[i].to_owned())),
        1 => (0usize..5).prop_map(|i| Step::Delete(Kind::EndpointSlice, format!("s{i}"))),
    ]
}

/// Cases of each law: `PROPTEST_CASES` asks for more.
pub(crate) fn config() -> ProptestConfig {
    let more = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: more.unwrap_or(300), failure_persistence: None, ..ProptestConfig::default() }
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(step(), 1..16)
}

pub(crate) fn view() -> NodeView {
    let addrs = ["172.31.0.11", "fd00:172::11"].iter().map(|a| a.parse::<IpAddr>().unwrap()).collect();
    NodeView { name: "here".into(), addrs, ..NodeView::default() }
}

pub(crate) fn limits() -> Limits {
    Limits {
        frontends: 200,
        service_cidrs: 8,
        services: 64,
        slots: 256,
        backends: 256,
        node_addrs: 8,
        ids: 200,
        ..Limits::default()
    }
}

/// A store whose first lists are done.
pub(crate) fn synced_store() -> Store {
    let mut store = Store::new(&Kind::ALL);
    for kind in Kind::ALL {
        store.apply(Event::Init(kind));
        store.apply(Event::InitDone(kind));
    }
    store
}

/// A kernel in memory that fails by a seed. It has limits, and a counter for each id.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    pub(crate) dump: Dump,
    limits: Limits,
    /// Backends whose counters were set to zero since their ids were last free.
    reset: BTreeSet<abi::BackendId>,
    state: u64,
    pub(crate) fail_per_mille: u64,
}

impl Kernel {
    pub(crate) fn new(limits: Limits, seed: u64, fail_per_mille: u64) -> Self {
        let (dump, reset) = (Dump::default(), BTreeSet::new());
        Self { dump, limits, reset, state: seed | 1, fail_per_mille }
    }

    fn fails(&mut self) -> bool {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % 1000 < self.fail_per_mille
    }

    /// Writes; panics where a real map would be full, and where the maps would be broken for a program that looks now.
    pub(crate) fn write(&mut self, op: &Op) {
        self.dump.apply(op);
        match op {
            Op::ResetBackendStats(id) => drop(self.reset.insert(*id)),
            Op::PutBackend(id, entry) if entry.state == abi::BackendState::Gone as u8 => {
                self.reset.remove(id);
            }
            Op::PutBackend(id, _) => assert!(self.reset.contains(id), "{op:?} with another's counter"),
            Op::PutSlots { base, backends } => {
                let end = *base as usize + backends.len();
                assert!(end <= self.limits.slots as usize, "{op:?} is outside");
            }
            Op::PutService(id, _) => assert!(id.0 < self.limits.services, "{op:?} is outside"),
            Op::PutFrontend(..)
            | Op::DeleteFrontend(_)
            | Op::PutServiceCidr(_)
            | Op::DeleteServiceCidr(_)
            | Op::PutNodeAddr(..)
            | Op::DeleteNodeAddr(_)
            | Op::PutId(..)
            | Op::DeleteId(_)
            | Op::ResetServiceStats(_)
            | Op::Policy(_)
            | Op::Subject(_) => {}
        }
        let Self { dump, limits, .. } = self;
        let fits = |rows: usize, max: u32| assert!(rows <= max as usize, "{op:?} is one row too many");
        fits(dump.frontends.len(), limits.frontends);
        fits(dump.service_cidrs.len(), limits.service_cidrs);
        fits(dump.node_addrs.len(), limits.node_addrs);
        fits(dump.ids.len(), limits.ids);
        assert!(dump.backends.keys().all(|id| id.0 < limits.backends), "{op:?} is outside");
        if let Err(broken) = oracle::check_all(dump) {
            panic!("after {op:?}: {}", broken.0);
        }
    }
}

/// One round; `after_each` sees the maps after every single write.
pub(crate) fn round(
    engine: &mut Engine,
    kernel: &mut Kernel,
    snapshot: &Snapshot,
    mut after_each: impl FnMut(&Kernel),
) -> Option<compile::Ticket> {
    for phase in Phase::ALL {
        let ops = engine.plan(phase, snapshot.synced.as_ref());
        let mut results = Vec::new();
        for op in &ops {
            let fails = kernel.fails();
            if !fails {
                kernel.write(op);
                after_each(kernel);
            }
            results.push(!fails);
        }
        engine.record(phase, &ops, &results);
    }
    engine.end_round()
}

/// Rounds until nothing is pending; what did not fit is tried again whenever a grace period is over.
pub(crate) fn settle(engine: &mut Engine, kernel: &mut Kernel, snapshot: &Snapshot) {
    for _ in 0..20 {
        if let Some(ticket) = round(engine, kernel, snapshot, |_| {}) {
            engine.release(ticket);
            if engine.has_refused() {
                engine.update(snapshot, &view(), &Changes::default());
            }
        }
        if engine.pending() == 0 && !engine.has_tickets() {
            return;
        }
    }
    panic!("does not converge: {:?}", engine.pending_by_map().collect::<Vec<_>>());
}

/// As `settle`, for maps that somebody else broke: they are whole at the end only.
pub(crate) fn repair(engine: &mut Engine, kernel: &mut Kernel, snapshot: &Snapshot) {
    for _ in 0..20 {
        for phase in Phase::ALL {
            let ops = engine.plan(phase, snapshot.synced.as_ref());
            ops.iter().for_each(|op| kernel.dump.apply(op));
            engine.record(phase, &ops, &vec![true; ops.len()]);
        }
        if let Some(ticket) = engine.end_round() {
            engine.release(ticket);
        }
        if engine.pending() == 0 && !engine.has_tickets() {
            assert_eq!(oracle::check_all(&kernel.dump), Ok(()));
            return;
        }
    }
    panic!("does not converge: {:?}", engine.pending_by_map().collect::<Vec<_>>());
}

/// The rows of the maps by name, and how full the maps are.
pub(crate) fn state(engine: &Engine, dump: &Dump) -> (Vec<String>, Vec<Fill>) {
    (render::render(dump, &engine.names()), engine.fill())
}

/// The state of a fresh engine that compiled and applied everything in one go: what every other way must come to.
pub(crate) fn from_scratch(snapshot: &Snapshot) -> (Vec<String>, Vec<Fill>) {
    let mut engine = Engine::new(limits(), Dump::default());
    let mut kernel = Kernel::new(limits(), 1, 0);
    engine.update_all(snapshot, &view());
    settle(&mut engine, &mut kernel, snapshot);
    state(&engine, &kernel.dump)
}

/// Every destination that could mean something, and some that mean nothing.
pub(crate) fn queries() -> Vec<oracle::Query> {
    let mut addrs: Vec<&str> = VIPS.iter().chain(&VIPS6).copied().collect();
    addrs.extend([
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.9",
        "203.0.113.1",
        "172.31.0.11",
        "fd00:172::11",
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "::",
        "10.96.0.7",
        "fd00:96::77",
        "10.244.0.1",
        "172.31.0.12",
    ]);
    let mut queries = Vec::new();
    for addr in addrs {
        for port in [80, 81, 82, 443, 30000, 30001, 30002] {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                for is_host in [true, false] {
                    let to = SocketAddr::new(addr.parse().unwrap(), port);
                    queries.push(oracle::Query { to, protocol, is_host });
                }
            }
        }
    }
    queries
}

/// The Service port that answers a destination's own frontend, by id.
pub(crate) fn owner(dump: &Dump, query: &oracle::Query) -> Option<u32> {
    let protocol = match query.protocol {
        Protocol::Tcp => abi::Protocol::TCP,
        Protocol::Udp => abi::Protocol::UDP,
        Protocol::Sctp => abi::Protocol::SCTP,
    };
    let addr = abi::Addr::from(query.to.ip());
    let port = abi::Port::new(query.to.port());
    let row = |addr| dump.frontends.get(&abi::FrontendKey::new(addr, port, protocol));
    row(addr).or_else(|| row(addr.any_of_family())).map(|value| value.service().0)
}

/// What a row of `IDS` numbers, and each backend that a program can reach, by what it is: these keep their numbers.
pub(crate) fn ids_in_use(dump: &Dump) -> BTreeMap<String, u32> {
    let service_rows = dump.ids.iter().filter(|(key, _)| key.kind_code() == IdKind::Service as u32);
    let names: BTreeMap<u32, IdKey> = service_rows.map(|(key, id)| (*id, *key)).collect();
    let mut ids: BTreeMap<String, u32> = names.iter().map(|(id, key)| (format!("{key:?}"), *id)).collect();
    for (id, entry) in &dump.services {
        let Some(name) = names.get(&id.0) else { continue };
        for slot in
            [entry.cluster, entry.local].into_iter().flat_map(|set| set.base()..set.base() + set.count())
        {
            let backend = dump.slots[&slot];
            let entry = dump.backends[&backend];
            ids.insert(format!("{name:?} {}:{}", entry.addr, entry.port.get()), backend.0);
        }
    }
    ids
}

/// Names whose number differs.
pub(crate) fn renumbered(before: &BTreeMap<String, u32>, after: &BTreeMap<String, u32>) -> Vec<String> {
    let differs = |(name, id): &(&String, &u32)| after.get(*name).is_some_and(|now| now != *id);
    before.iter().filter(differs).map(|(name, id)| format!("{name} was {id}, is {}", after[name])).collect()
}

/// The last word on each object.
pub(crate) fn last_words(steps: &[Step]) -> BTreeMap<ObjectKey, Value> {
    let mut last = BTreeMap::new();
    for step in steps {
        match (step, event(step)) {
            (Step::Apply(document), _) => drop(last.insert(object(document).key(), document.clone())),
            (Step::Delete(..), Event::Delete(key)) => drop(last.remove(&key)),
            (Step::Delete(..), other) => unreachable!("{other:?}"),
        }
    }
    last
}
