//! Small random clusters with policies, and every question that could be asked of them.

use std::net::IpAddr;
use std::sync::Arc;

use model::{Event, Kind, LocalDns, NodeView, ObjectKey, ObjectName, Snapshot, Store, api};
use proptest::prelude::*;
use serde_json::{Value, json};

/// One thing that happens to a cluster.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Apply(Value),
    Delete(ObjectKey),
}

pub(crate) fn object(document: &Value) -> Arc<api::Object> {
    let mut decoded = api::decode(document.clone()).expect("the generator makes valid objects");
    Arc::new(decoded.objects.remove(0))
}

pub(crate) fn event(step: &Step) -> Event {
    match step {
        Step::Apply(document) => Event::Apply(object(document)),
        Step::Delete(key) => Event::Delete(key.clone()),
    }
}

const NAMESPACES: [&str; 3] = ["a", "b", "c"];
const APPS: [&str; 3] = ["web", "db", "job"];
const TEAMS: [&str; 2] = ["red", "blue"];
// Few addresses for many pods: some are claimed twice, some change hands.
const ADDRS: [&str; 6] =
    ["10.244.0.1", "10.244.0.2", "10.244.0.3", "10.244.1.1", "10.244.1.2", "10.244.1.130"];
const ADDRS6: [&str; 2] = ["fd00:244::1", "fd00:244::2"];
const PEERS: [&str; 5] = ["192.0.2.1", "172.31.0.11", "10.9.9.9", "2001:db8::1", "169.254.20.53"];

fn selector() -> impl Strategy<Value = Value> {
    let app = || (0usize..3).prop_map(|i| APPS[i]);
    prop_oneof![
        2 => Just(json!({})),
        4 => app().prop_map(|app| json!({"matchLabels": {"app": app}})),
        1 => (app(), app()).prop_map(|(a, b)| json!({"matchExpressions": [{"key": "app", "operator": "In", "values": [a, b]}]})),
        1 => app().prop_map(|a| json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": [a]}]})),
        1 => Just(json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}]})),
        1 => Just(json!({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]})),
        1 => app().prop_map(|a| json!({"matchLabels": {"app": a}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]})),
        1 => Just(json!({"matchExpressions": [{"key": "app", "operator": "Like", "values": ["w"]}]})),
    ]
}

fn namespace_selector() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => Just(json!({})),
        3 => (0usize..2).prop_map(|i| json!({"matchLabels": {"team": TEAMS[i]}})),
        2 => (0usize..3).prop_map(|i| json!({"matchLabels": {"kubernetes.io/metadata.name": NAMESPACES[i]}})),
        1 => Just(json!({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["red"]}]})),
        1 => Just(json!({"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}})),
    ]
}

fn block() -> impl Strategy<Value = Value> {
    let blocks = [
        json!({"cidr": "0.0.0.0/0"}),
        json!({"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}),
        json!({"cidr": "10.0.0.0/8", "except": ["10.244.0.0/16"]}),
        json!({"cidr": "10.244.0.0/16", "except": ["10.244.0.2/32", "10.244.1.128/25"]}),
        json!({"cidr": "10.244.0.0/24"}),
        json!({"cidr": "10.244.1.7/24", "except": ["10.244.1.0/30"]}),
        json!({"cidr": "10.244.0.2/32"}),
        json!({"cidr": "10.244.1.128/25"}),
        json!({"cidr": "192.0.2.0/24"}),
        json!({"cidr": "::/0"}),
        json!({"cidr": "fd00::/8", "except": ["fd00:244::2/128"]}),
        json!({"cidr": "10.244.0.0/33"}),
    ];
    (0..blocks.len()).prop_map(move |i| blocks[i].clone())
}

fn peer() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => selector().prop_map(|s| json!({"podSelector": s})),
        2 => namespace_selector().prop_map(|n| json!({"namespaceSelector": n})),
        3 => (namespace_selector(), selector()).prop_map(|(n, s)| json!({"namespaceSelector": n, "podSelector": s})),
        4 => block().prop_map(|b| json!({"ipBlock": b})),
        1 => Just(json!({"nodeSelector": {}})),
    ]
}

fn port() -> impl Strategy<Value = Value> {
    let ports = [
        json!({"port": 80}),
        json!({"port": 8080}),
        json!({"port": "http"}),
        json!({"port": "dns", "protocol": "UDP"}),
        json!({"port": "dns", "protocol": "TCP"}),
        json!({"port": 53, "protocol": "UDP"}),
        json!({"protocol": "UDP"}),
        json!({"protocol": "SCTP", "port": 80}),
        json!({"port": 79, "endPort": 8081}),
        json!({"port": 1024, "endPort": 65535}),
        json!({}),
        json!({"protocol": "QUIC", "port": 80}),
    ];
    (0..ports.len()).prop_map(move |i| ports[i].clone())
}

fn rules(peers: &'static str) -> impl Strategy<Value = Vec<Value>> {
    let rule = (
        proptest::option::weighted(0.8, proptest::collection::vec(peer(), 0..3)),
        proptest::option::weighted(0.6, proptest::collection::vec(port(), 0..3)),
    );
    proptest::collection::vec(rule.prop_map(move |(from, ports)| json!({peers: from, "ports": ports})), 0..3)
}

pub(crate) fn policy() -> impl Strategy<Value = Value> {
    let types = prop_oneof![
        2 => Just(json!(null)),
        2 => Just(json!(["Ingress"])),
        2 => Just(json!(["Egress"])),
        3 => Just(json!(["Ingress", "Egress"])),
    ];
    (0usize..3, 0usize..2, selector(), rules("from"), rules("to"), types).prop_map(
        |(name, namespace, pods, ingress, egress, types)| {
            json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": {"name": format!("n{name}"), "namespace": NAMESPACES[namespace]},
                "spec": {"podSelector": pods, "ingress": ingress, "egress": egress, "policyTypes": types},
            })
        },
    )
}

pub(crate) fn pod() -> impl Strategy<Value = Value> {
    let head =
        (0usize..3, 0usize..3, 0usize..4, any::<bool>(), prop_oneof![3 => Just("here"), 2 => Just("there")]);
    let addrs = (proptest::option::weighted(0.9, 0usize..6), proptest::option::weighted(0.3, 0usize..2));
    let kind = prop_oneof![10 => Just(("Running", false)), 1 => Just(("Failed", false)), 1 => Just(("Running", true))];
    let http = proptest::option::of(prop_oneof![Just(80u16), Just(8080)]);
    (head, addrs, kind, http, any::<bool>()).prop_map(
        |((name, namespace, app, tier, node), (v4, v6), (phase, host), http, dns)| {
            let mut labels = json!({});
            if let Some(app) = APPS.get(app) {
                labels["app"] = json!(app);
            }
            if tier {
                labels["tier"] = json!("front");
            }
            let mut ports = Vec::new();
            ports.extend(http.map(|number| json!({"name": "http", "containerPort": number})));
            if dns {
                ports.push(json!({"name": "dns", "containerPort": 53, "protocol": "UDP"}));
            }
            let addrs = v4.map(|i| ADDRS[i]).into_iter().chain(v6.map(|i| ADDRS6[i]));
            let addrs: Vec<Value> = addrs.map(|ip| json!({"ip": ip})).collect();
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": format!("p{name}"), "namespace": NAMESPACES[namespace], "labels": labels},
                "spec": {"nodeName": node, "hostNetwork": host, "containers": [{"ports": ports}]},
                "status": {"phase": phase, "podIPs": addrs},
            })
        },
    )
}

fn namespace() -> impl Strategy<Value = Value> {
    (0usize..3, proptest::option::of(0usize..2)).prop_map(|(name, team)| {
        let labels = team.map_or(json!({}), |i| json!({"team": TEAMS[i]}));
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACES[name], "labels": labels}})
    })
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let key = |kind, namespace: usize, name: String| ObjectKey {
        kind,
        name: ObjectName::new(NAMESPACES[namespace], &name),
    };
    prop_oneof![
        6 => policy().prop_map(Step::Apply),
        8 => pod().prop_map(Step::Apply),
        2 => namespace().prop_map(Step::Apply),
        1 => (0usize..3, 0usize..2)
            .prop_map(move |(n, ns)| Step::Delete(key(Kind::NetworkPolicy, ns, format!("n{n}")))),
        1 => (0usize..3, 0usize..3).prop_map(move |(n, ns)| Step::Delete(key(Kind::Pod, ns, format!("p{n}")))),
    ]
}

pub(crate) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(step(), 1..most)
}

pub(crate) fn view() -> NodeView {
    let addrs = ["172.31.0.11", "fd00:172::11"].iter().map(|a| a.parse().unwrap()).collect();
    let dns = LocalDns {
        vips: model::ClusterDns::Auto,
        listeners: vec!["169.254.20.53:53".parse().unwrap()],
        is_healthy: true,
    };
    NodeView { name: "here".into(), addrs, dns: Some(dns), ..NodeView::default() }
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

pub(crate) fn snapshot_of(steps: &[Step]) -> Snapshot {
    let mut store = synced_store();
    steps.iter().for_each(|step| store.apply(event(step)));
    store.snapshot()
}

/// Every address that a pod may have, and some others.
pub(crate) fn addrs() -> Vec<IpAddr> {
    ADDRS.iter().chain(&ADDRS6).chain(&PEERS).map(|a| a.parse().unwrap()).collect()
}

/// Protocols and ports on both sides of every edge that rules have.
pub(crate) const PORTS: [(abi::Protocol, u16); 10] = [
    (abi::Protocol::TCP, 53),
    (abi::Protocol::TCP, 78),
    (abi::Protocol::TCP, 79),
    (abi::Protocol::TCP, 80),
    (abi::Protocol::TCP, 8080),
    (abi::Protocol::TCP, 65535),
    (abi::Protocol::UDP, 53),
    (abi::Protocol::UDP, 80),
    (abi::Protocol::SCTP, 80),
    (abi::Protocol::new(1), 0),
];
