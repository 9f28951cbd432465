//! Random clusters from a small stock of names and addresses, so that everything meets everything.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use dns::config::{ClusterConfig, PodsMode};
use model::{Event, ObjectKey, api};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::cluster::name;

/// Of namespaces and Services.
pub(crate) const NAMES: [&str; 3] = ["a", "svc", "dns"];
const HOSTNAMES: [&str; 4] = ["", "", "h0", "10-0-0-1"];
const PORTS: [&str; 3] = ["", "p", "q"];

/// All addresses.
pub(crate) fn addrs() -> Vec<IpAddr> {
    ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1", "fd00::2"].map(|addr| addr.parse().unwrap()).to_vec()
}

/// An object that is there, or is not any more.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) object: Value,
    pub(crate) exists: bool,
}

impl Change {
    pub(crate) fn event(&self) -> Event {
        let object = api::decode(self.object.clone()).unwrap().objects.remove(0);
        if self.exists { Event::Apply(Arc::new(object)) } else { Event::Delete(object.key()) }
    }

    fn key(&self) -> ObjectKey {
        api::decode(self.object.clone()).unwrap().objects.remove(0).key()
    }
}

/// The objects that are there in the end.
pub(crate) fn present(changes: &[Change]) -> Vec<Value> {
    let last: BTreeMap<ObjectKey, &Change> = changes.iter().map(|change| (change.key(), change)).collect();
    last.into_values().filter(|change| change.exists).map(|change| change.object.clone()).collect()
}

pub(crate) fn changes() -> impl Strategy<Value = Vec<Change>> {
    let object = prop_oneof![4 => service(), 5 => slice(), 2 => pod(), 1 => namespace()];
    let change = (object, prop::bool::weighted(0.85)).prop_map(|(object, exists)| Change { object, exists });
    prop::collection::vec(change, 0..25)
}

fn label() -> impl Strategy<Value = &'static str> {
    select(NAMES.to_vec())
}

fn addr(family: &'static str) -> impl Strategy<Value = String> {
    let of_family = addrs().into_iter().filter(move |addr| addr.is_ipv4() == (family == "IPv4"));
    select(of_family.collect::<Vec<_>>()).prop_map(|addr| addr.to_string())
}

fn ports() -> impl Strategy<Value = Vec<Value>> {
    let port = (select(PORTS.to_vec()), select(vec!["TCP", "UDP"]), 1_u16..4)
        .prop_map(|(name, protocol, port)| json!({"name": name, "protocol": protocol, "port": port}));
    prop::collection::vec(port, 0..3)
}

fn service() -> impl Strategy<Value = Value> {
    let target = prop_oneof![
        Just("example.com".to_owned()),
        Just("192.0.2.1".to_owned()),
        (label(), label())
            .prop_map(|(service, namespace)| format!("{service}.{namespace}.svc.cluster.local")),
    ];
    let spec = prop_oneof![
        2 => addr("IPv4").prop_map(|ip| json!({"clusterIPs": [ip]})),
        1 => addr("IPv6").prop_map(|ip| json!({"clusterIPs": [ip]})),
        1 => (addr("IPv6"), addr("IPv4")).prop_map(|(six, four)| json!({"clusterIPs": [six, four]})),
        4 => any::<bool>().prop_map(|publishes| json!({"clusterIP": "None", "publishNotReadyAddresses": publishes})),
        2 => target.prop_map(|target| json!({"type": "ExternalName", "externalName": target})),
    ];
    (label(), label(), spec, ports()).prop_map(|(name, namespace, mut spec, ports)| {
        spec["ports"] = ports.into();
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec})
    })
}

fn slice() -> impl Strategy<Value = Value> {
    select(vec!["IPv4", "IPv6"]).prop_flat_map(|family| {
        let endpoint = (addr(family), select(HOSTNAMES.to_vec()), select(vec!["", "pod-0", "Odd.Name"]), prop::bool::weighted(0.8))
            .prop_map(|(addr, hostname, pod, ready)| {
                let target = json!({"kind": "Pod", "name": pod});
                json!({"addresses": [addr], "hostname": hostname, "targetRef": target, "conditions": {"ready": ready}})
            });
        let endpoints = prop::collection::vec(endpoint, 0..4);
        (0..3, label(), label(), ports(), endpoints).prop_map(move |(number, service, namespace, ports, endpoints)| {
            let labels = json!({"kubernetes.io/service-name": service});
            let name = format!("s{number}");
            json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
                   "metadata": {"name": name, "namespace": namespace, "labels": labels},
                   "ports": ports, "endpoints": endpoints})
        })
    })
}

fn pod() -> impl Strategy<Value = Value> {
    let phase = select(vec!["Running", "Succeeded", "Pending"]);
    (label(), label(), addr("IPv4"), addr("IPv6"), phase).prop_map(|(name, namespace, four, six, phase)| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace},
               "status": {"phase": phase, "podIPs": [{"ip": four}, {"ip": six}]}})
    })
}

fn namespace() -> impl Strategy<Value = Value> {
    label().prop_map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
}

/// Any way to serve a cluster that lets no miss go on.
pub(crate) fn config() -> impl Strategy<Value = ClusterConfig> {
    let zones = select(vec![
        vec!["cluster.local."],
        vec!["cluster.local.", "other.example."],
        vec!["cluster.local.", "east.prod.cluster.local."],
        vec!["cluster.local.", "a.svc.cluster.local."],
    ]);
    let reverse_zones =
        select(vec![vec!["in-addr.arpa.", "ip6.arpa."], vec!["in-addr.arpa.", "0.10.in-addr.arpa."]]);
    let namespaces =
        prop::option::weighted(0.3, prop::collection::btree_set(label().prop_map(Arc::from), 0..3));
    let pods = select(vec![PodsMode::Disabled, PodsMode::Insecure, PodsMode::Verified]);
    (
        zones,
        reverse_zones,
        pods,
        namespaces,
        prop::bool::weighted(0.8),
        any::<bool>(),
        prop::bool::weighted(0.2),
    )
        .prop_map(
            |(
                zones,
                reverse_zones,
                pods,
                namespaces,
                has_endpoints,
                uses_pod_names,
                ignores_empty_services,
            )| ClusterConfig {
                zones: zones.into_iter().map(name).collect(),
                reverse_zones: reverse_zones.into_iter().map(name).collect(),
                pods,
                has_endpoints,
                uses_pod_names,
                namespaces,
                ignores_empty_services,
                ..ClusterConfig::default()
            },
        )
}

/// Names worth asking for: every form of the schema with every name of the stock, in every zone, with what lies between and
/// a label below each.
pub(crate) fn questions(config: &ClusterConfig) -> BTreeSet<String> {
    let mut relative: Vec<String> =
        ["", "x.", "dns.", "ns.dns.", "dns-version.", "svc.", "pod.", "prod.", "east.prod."]
            .map(str::to_owned)
            .to_vec();
    for namespace in NAMES {
        let services = NAMES.map(|service| format!("{service}.{namespace}.svc."));
        for service in &services {
            for label in ["_tcp", "_udp", "h0", "pod-0", "10-0-0-1", "10-0-0-2", "fd00--1"] {
                relative.push(format!("{label}.{service}"));
            }
            for port in ["_p._tcp", "_q._tcp", "_p._udp", "p._tcp", "_p.h0"] {
                relative.push(format!("{port}.{service}"));
            }
        }
        relative.extend(services);
        relative.push(format!("{namespace}.svc."));
        relative.push(format!("{namespace}.pod."));
        relative.extend(["10-0-0-1", "fd00--1", "a"].map(|label| format!("{label}.{namespace}.pod.")));
    }
    let mut all = BTreeSet::new();
    for zone in &config.zones {
        for name in &relative {
            all.insert(format!("{name}{zone}"));
            all.insert(format!("x.{name}{zone}"));
        }
    }
    for reverse in addrs().into_iter().map(reverse_name) {
        all.insert(format!("x.{reverse}"));
        let starts = reverse.match_indices('.').map(|(at, _)| at + 1).filter(|at| *at < reverse.len());
        all.extend(starts.map(|at| reverse[at..].to_owned()).filter(|name| name.matches('.').count() > 1));
        all.insert(reverse);
    }
    all
}

/// The name that has an address's PTR records.
pub(crate) fn reverse_name(addr: IpAddr) -> String {
    match addr {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
        }
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().rev().flat_map(|byte| [byte & 15, byte >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}.")).collect::<String>() + "ip6.arpa."
        }
    }
}
