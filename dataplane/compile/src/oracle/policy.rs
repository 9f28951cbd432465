//! NetworkPolicy by its words: the API's documentation, one question at a time, with nothing prepared.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use abi::Protocol;
use model::{
    Direction, Labels, Namespace, NetworkPolicy, NodeView, ObjectName, Peer, PeerNamespaces, Pod, PolicyPort,
    PolicyRule, PortMatch, Snapshot,
};

/// One end of a connection: an address, and the pod that it is the end of, if it is.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// Address.
    pub addr: IpAddr,
    /// The pod.
    pub pod: Option<&'a ObjectName>,
}

/// A connection to be judged.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// Opener.
    pub from: End<'a>,
    /// Destination, behind whatever Service was dialled.
    pub to: End<'a>,
    /// Protocol.
    pub protocol: Protocol,
    /// Destination port; zero for protocols without ports.
    pub port: u16,
}

/// What one end says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// No policy isolates the pod, or there is none, or the connection is one that is never judged.
    Open,
    /// These rules allow it, by policy and index.
    Allowed(Vec<(ObjectName, usize)>),
    /// These policies isolate the pod and none allows it.
    Denied(Vec<ObjectName>),
}

impl Judgement {
    /// Whether the connection passes this end.
    #[must_use]
    pub const fn passes(&self) -> bool {
        match self {
            Self::Open | Self::Allowed(_) => true,
            Self::Denied(_) => false,
        }
    }
}

/// What both ends say, the opener's first; the connection passes if both let it. A pod to itself, and the node to its own
/// pods, are never judged.
#[must_use]
pub fn judge(snapshot: &Snapshot, view: &NodeView, connection: &Connection<'_>) -> (Judgement, Judgement) {
    let Connection { from, to, .. } = connection;
    if from.pod.is_some() && from.pod == to.pod {
        return (Judgement::Open, Judgement::Open);
    }
    let egress = judge_end(snapshot, view, Direction::Egress, from.pod, to.addr, connection);
    let from_own_node = from.pod.is_none() && view.addrs.contains(&from.addr);
    let ingress = if from_own_node {
        Judgement::Open
    } else {
        judge_end(snapshot, view, Direction::Ingress, to.pod, from.addr, connection)
    };
    (egress, ingress)
}

fn judge_end(
    snapshot: &Snapshot,
    view: &NodeView,
    direction: Direction,
    pod: Option<&ObjectName>,
    peer: IpAddr,
    connection: &Connection<'_>,
) -> Judgement {
    let Some(pod) = pod.and_then(|name| snapshot.pods.get(name)) else { return Judgement::Open };
    if pod.is_host_network || pod.is_finished {
        return Judgement::Open;
    }
    let mut isolating = Vec::new();
    let mut allowing = Vec::new();
    for policy in snapshot.network_policies.values() {
        if policy.name.namespace != pod.name.namespace || !policy.pods.matches(&pod.labels) {
            continue;
        }
        let Some(rules) = policy.rules(direction) else { continue };
        isolating.push(policy.name.clone());
        for (index, rule) in rules.iter().enumerate() {
            let has_port = port_of(snapshot, view, direction, pod, rule, connection);
            if has_port && peer_of(snapshot, view, policy, rule, peer) {
                allowing.push((policy.name.clone(), index));
            }
        }
    }
    if isolating.is_empty() {
        Judgement::Open
    } else if allowing.is_empty() {
        Judgement::Denied(isolating)
    } else {
        Judgement::Allowed(allowing)
    }
}

fn peer_of(
    snapshot: &Snapshot,
    view: &NodeView,
    policy: &NetworkPolicy,
    rule: &PolicyRule,
    addr: IpAddr,
) -> bool {
    let Some(peers) = &rule.peers else { return true };
    let pods = pods_at(snapshot, view, addr);
    peers.iter().any(|peer| match peer {
        Peer::Block(block) => {
            block.cidr.contains(&addr) && block.except.iter().all(|hole| !hole.contains(&addr))
        }
        // An address that several pods claim is the pods' only in what they have in common.
        Peer::Pods { namespaces, pods: selector } => {
            !pods.is_empty()
                && pods.iter().all(|pod| {
                    let in_namespace = match namespaces {
                        PeerNamespaces::Own => pod.name.namespace == policy.name.namespace,
                        PeerNamespaces::Matching(selector) => {
                            let known = snapshot.namespaces.get(&pod.name.namespace);
                            let labels = known.map_or_else(
                                || Namespace::unknown(&pod.name.namespace).labels,
                                |namespace| namespace.labels.clone(),
                            );
                            selector.matches(&labels)
                        }
                    };
                    in_namespace && selector.matches(&pod.labels)
                })
        }
    })
}

/// Ports are the destination's: of the pod itself for ingress, of the peer for egress.
fn port_of(
    snapshot: &Snapshot,
    view: &NodeView,
    direction: Direction,
    pod: &Pod,
    rule: &PolicyRule,
    connection: &Connection<'_>,
) -> bool {
    let Some(ports) = &rule.ports else { return true };
    let is_it = |port: &PolicyPort| {
        let protocol = match port.protocol {
            model::Protocol::Tcp => Protocol::TCP,
            model::Protocol::Udp => Protocol::UDP,
            model::Protocol::Sctp => Protocol::SCTP,
        };
        if protocol != connection.protocol {
            return false;
        }
        match &port.ports {
            PortMatch::All => true,
            PortMatch::Range(first, last) => (*first..=*last).contains(&connection.port),
            PortMatch::Named(name) => {
                let names = |pod: &Pod| {
                    pod.named_ports.get(&(Arc::clone(name), port.protocol)) == Some(&connection.port)
                };
                match direction {
                    Direction::Ingress => names(pod),
                    Direction::Egress => {
                        let pods = pods_at(snapshot, view, connection.to.addr);
                        !pods.is_empty() && pods.iter().all(names)
                    }
                }
            }
        }
    };
    ports.iter().any(is_it)
}

/// The pods that have an address: not the finished ones, whose address may be another's, and not the host's. The DNS
/// server of the node is a pod of the cluster DNS.
fn pods_at(snapshot: &Snapshot, view: &NodeView, addr: IpAddr) -> Vec<Pod> {
    let live = |pod: &&Arc<Pod>| !pod.is_finished && !pod.is_host_network && pod.addrs.contains(&addr);
    let mut pods: Vec<Pod> = snapshot.pods.values().filter(live).map(|pod| Pod::clone(pod)).collect();
    if view.dns.as_ref().is_some_and(|dns| dns.listeners.iter().any(|listener| listener.ip() == addr)) {
        let port = |name: &str, protocol| ((Arc::from(name), protocol), 53);
        pods.push(Pod {
            name: ObjectName::new("kube-system", ""),
            uid: Arc::default(),
            node: None,
            addrs: vec![addr],
            is_host_network: false,
            is_finished: false,
            labels: Labels::from([("k8s-app".into(), "kube-dns".into())]),
            named_ports: BTreeMap::from([
                port("dns", model::Protocol::Udp),
                port("dns-tcp", model::Protocol::Tcp),
            ]),
            cgroup_uid: model::PodUid::default(),
            socket_lb: None,
            per_packet: None,
        });
    }
    pods
}
