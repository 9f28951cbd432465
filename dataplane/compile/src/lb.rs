//! One Service → its frontends, backends and sets, by name and address. No ids yet: the same objects give the same
//! value on every node in the same place and after every restart.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;

use abi::{Addr, BackendState, Digest, FrontendKey, FrontendKind, Port, Protocol, ServiceFlags};
use model::{AddressFamily, ObjectName, Service, ServicePort, ServicePortName, Snapshot, TrafficPolicy};

use crate::categorize::{Candidate, Topology, categorize, merge};
use crate::key::ServiceKey;

/// An endpoint's address and port: what names a backend within its Service port.
pub type Target = (Addr, Port);

/// What is known of a backend beside its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendInfo {
    /// Live or terminating.
    pub state: BackendState,
    /// On this node.
    pub is_local: bool,
    /// Node.
    pub node: Option<Arc<str>>,
    /// Zone.
    pub zone: Option<Arc<str>>,
}

/// One Service port in one family, compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortUnit {
    /// Flags.
    pub flags: ServiceFlags,
    /// Frontends and their kinds, in the order of the keys.
    pub frontends: BTreeMap<FrontendKey, FrontendKind>,
    /// Every endpoint that serves: also those that no set has, so that flows which have one keep it.
    pub backends: BTreeMap<Target, BackendInfo>,
    /// The set for the policy Cluster, sorted.
    pub cluster: Vec<Target>,
    /// The set for the policy Local, sorted; empty unless a policy is Local.
    pub local: Vec<Target>,
}

/// One Service, compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// Its ports by family.
    pub ports: BTreeMap<ServiceKey, PortUnit>,
    /// Rows that answer for the other ports of its ClusterIPs.
    pub other_ports: BTreeSet<FrontendKey>,
}

/// A backend that was found in the maps at the start: kept until everything is known, unless a slice mentions it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Retained {
    /// Address and port.
    pub(crate) target: Target,
    /// State.
    pub(crate) state: BackendState,
    /// On this node.
    pub(crate) is_local: bool,
    /// In the set for the policy Cluster.
    pub(crate) in_cluster: bool,
    /// In the set for the policy Local.
    pub(crate) in_local: bool,
}

/// The DNS server of this node, resolved: what answers at port 53 of the cluster DNS addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DnsHere {
    /// The cluster DNS addresses.
    pub(crate) vips: Vec<IpAddr>,
    /// Where the server listens.
    pub(crate) listeners: Vec<SocketAddr>,
    /// Whether it answers.
    pub(crate) is_healthy: bool,
}

impl DnsHere {
    /// The server's address for what is sent to a frontend, if it is the one to answer.
    fn target(&self, vip: IpAddr, port: NonZeroU16, protocol: model::Protocol) -> Option<Target> {
        let is_dns = match protocol {
            model::Protocol::Udp | model::Protocol::Tcp => port == DNS_PORT && self.vips.contains(&vip),
            model::Protocol::Sctp => false,
        };
        let listener =
            self.listeners.iter().find(|listener| is_dns && listener.is_ipv4() == vip.is_ipv4())?;
        Some((listener.ip().into(), Port::new(listener.port())))
    }

    /// Whether an address is the server's. No slice names it: where it is found in the maps a former run put it there.
    fn listens_at(&self, addr: Addr) -> bool {
        self.listeners.iter().any(|listener| addr == listener.ip().into())
    }
}

/// RFC 1035, 4.2.
const DNS_PORT: NonZeroU16 = NonZeroU16::new(53).unwrap();

/// The Service that stands in for the cluster DNS Service where there is none: only the node's own server is behind it.
/// No object has the empty namespace.
pub(crate) fn stand_in_name() -> ObjectName {
    ObjectName::new("", "cluster-dns")
}

/// Compiles the stand-in for these addresses and protocols; `alone` are the addresses that no Service has.
pub(crate) fn compile_stand_in(
    here: &Topology,
    dns: &DnsHere,
    missing: &[(IpAddr, model::Protocol)],
    alone: &[IpAddr],
) -> Unit {
    let mut unit = Unit::default();
    for (vip, protocol) in missing {
        let name = match protocol {
            model::Protocol::Udp => "dns",
            model::Protocol::Tcp => "dns-tcp",
            model::Protocol::Sctp => continue,
        };
        let Some(target) = dns.target(*vip, DNS_PORT, *protocol) else { continue };
        let family = family_of(*vip);
        let port_name = ServicePortName { service: stand_in_name(), port: name.into(), protocol: *protocol };
        // Further addresses of a family are frontends of the same port.
        let compiled = unit.ports.entry(ServiceKey { port: port_name, family }).or_default();
        compiled.frontends.insert(dns_key(*vip, *protocol), FrontendKind::ClusterIp);
        answer_here(compiled, target, here);
        if alone.contains(vip) {
            unit.other_ports.insert(FrontendKey::other_ports((*vip).into()));
        }
    }
    unit
}

/// The frontend of DNS at an address.
pub(crate) fn dns_key(vip: IpAddr, protocol: model::Protocol) -> FrontendKey {
    FrontendKey::new(vip.into(), Port::new(DNS_PORT.get()), protocol_number(protocol))
}

/// The node's own server is the only backend.
fn answer_here(unit: &mut PortUnit, target: Target, here: &Topology) {
    let info = BackendInfo {
        state: BackendState::Live,
        is_local: true,
        node: Some(Arc::clone(&here.node)),
        zone: here.zone.clone(),
    };
    unit.backends = BTreeMap::from([(target, info)]);
    unit.cluster = vec![target];
    unit.local = if unit.flags == ServiceFlags::default() { Vec::new() } else { vec![target] };
}

/// Compiles one Service. A Service that is absent or not balanced is the empty unit.
pub(crate) fn compile_service(
    snapshot: &Snapshot,
    here: &Topology,
    dns: &DnsHere,
    name: &ObjectName,
    retained: &BTreeMap<Digest, Vec<Retained>>,
) -> Unit {
    let mut unit = Unit::default();
    let Some(service) = snapshot.services.get(name).filter(|service| service.is_balanced()) else {
        return unit;
    };
    for cluster_ip in &service.cluster_ips {
        let family = family_of(*cluster_ip);
        for port in &service.ports {
            let key = ServiceKey {
                port: ServicePortName {
                    service: name.clone(),
                    port: Arc::clone(&port.name),
                    protocol: port.protocol,
                },
                family,
            };
            // Whether the server is a backend is decided here, not by a former run.
            let is_other = |r: &&Retained| port.port != DNS_PORT || !dns.listens_at(r.target.0);
            let kept = retained.get(&key.digest()).into_iter().flatten().filter(is_other);
            let mut compiled = compile_port(snapshot, here, service, port, *cluster_ip, kept);
            if let Some(target) = dns.target(*cluster_ip, port.port, port.protocol)
                && (dns.is_healthy || compiled.cluster.is_empty())
            {
                answer_here(&mut compiled, target, here);
            }
            unit.ports.insert(key, compiled);
        }
        unit.other_ports.insert(FrontendKey::other_ports((*cluster_ip).into()));
    }
    unit
}

fn compile_port<'a>(
    snapshot: &Snapshot,
    here: &Topology,
    service: &Service,
    port: &ServicePort,
    cluster_ip: IpAddr,
    retained: impl Iterator<Item = &'a Retained>,
) -> PortUnit {
    let family = family_of(cluster_ip);
    let frontends = frontends(service, port, cluster_ip);
    let is_external = frontends.values().any(|kind| *kind != FrontendKind::ClusterIp);
    let mut flags = ServiceFlags::default();
    if service.internal_policy == TrafficPolicy::Local {
        flags = flags.with(ServiceFlags::INTERNAL_LOCAL);
    }
    if service.external_policy == TrafficPolicy::Local && is_external {
        flags = flags.with(ServiceFlags::EXTERNAL_LOCAL);
    }

    let candidates = merge(candidates(snapshot, service, port, family));
    let chosen = categorize(&candidates, here);
    let targets = |indices: &[usize]| -> Vec<Target> {
        indices.iter().filter_map(|i| candidates.get(*i)).map(|c| (c.addr, c.port)).collect()
    };
    let mut unit = PortUnit {
        flags,
        frontends,
        backends: candidates.iter().filter_map(|c| backend(c, here)).collect(),
        cluster: targets(&chosen.cluster),
        local: if flags == ServiceFlags::default() { Vec::new() } else { targets(&chosen.local) },
    };
    let mentioned: BTreeSet<Target> = candidates.iter().map(|c| (c.addr, c.port)).collect();
    retain(&mut unit, retained.filter(|r| !mentioned.contains(&r.target)));
    unit
}

/// Keeps backends of a former run in their sets.
fn retain<'a>(unit: &mut PortUnit, retained: impl Iterator<Item = &'a Retained>) {
    for r in retained {
        let info = BackendInfo { state: r.state, is_local: r.is_local, node: None, zone: None };
        unit.backends.insert(r.target, info);
        for (set, is_in) in [(&mut unit.cluster, r.in_cluster), (&mut unit.local, r.in_local)] {
            if is_in && let Err(at) = set.binary_search(&r.target) {
                set.insert(at, r.target);
            }
        }
    }
}

/// A backend for every endpoint that serves: a flow keeps it while it does, whatever new flows choose from.
fn backend(c: &Candidate, here: &Topology) -> Option<(Target, BackendInfo)> {
    let state = match (c.is_ready, c.is_serving, c.is_terminating) {
        (true, _, _) | (false, true, false) => BackendState::Live,
        (false, true, true) => BackendState::Terminating,
        (false, false, _) => return None,
    };
    let info =
        BackendInfo { state, is_local: c.is_on(&here.node), node: c.node.clone(), zone: c.zone.clone() };
    Some(((c.addr, c.port), info))
}

fn frontends(
    service: &Service,
    port: &ServicePort,
    cluster_ip: IpAddr,
) -> BTreeMap<FrontendKey, FrontendKind> {
    let protocol = protocol_number(port.protocol);
    let key = |addr: Addr, port: NonZeroU16| FrontendKey::new(addr, Port::new(port.get()), protocol);
    let mut frontends = BTreeMap::new();
    // Of one key within a Service the first kind counts: a ClusterIP that is also an externalIP is a ClusterIP.
    frontends.insert(key(cluster_ip.into(), port.port), FrontendKind::ClusterIp);
    let same_family = |ip: &&IpAddr| ip.is_ipv4() == cluster_ip.is_ipv4();
    for ip in service.external_ips.iter().filter(same_family) {
        frontends.entry(key((*ip).into(), port.port)).or_insert(FrontendKind::ExternalIp);
    }
    for ip in service.load_balancer_vips.iter().filter(same_family) {
        frontends.entry(key((*ip).into(), port.port)).or_insert(FrontendKind::LoadBalancer);
    }
    if let Some(node_port) = port.node_port {
        frontends.insert(key(Addr::from(cluster_ip).any_of_family(), node_port), FrontendKind::NodePort);
    }
    frontends
}

/// The endpoints of all slices of the Service whose port has the Service port's name and protocol.
fn candidates<'a>(
    snapshot: &'a Snapshot,
    service: &'a Service,
    port: &'a ServicePort,
    family: AddressFamily,
) -> impl Iterator<Item = Candidate> + 'a {
    snapshot
        .slices_of(&service.name)
        .filter(move |slice| slice.family == family && !slice.is_headless)
        .flat_map(move |slice| {
            let ports = slice.ports.iter().filter(|p| p.name == port.name && p.protocol == port.protocol);
            ports.flat_map(move |p| slice.endpoints.iter().map(move |e| (e, p.port)))
        })
        .map(|(e, port)| Candidate {
            addr: e.addr.into(),
            port: Port::new(port.get()),
            is_ready: e.is_ready,
            is_serving: e.is_serving,
            is_terminating: e.is_terminating,
            node: e.node.clone(),
            zone: e.zone.clone(),
            zone_hints: e.zone_hints.clone(),
            node_hints: e.node_hints.clone(),
        })
}

fn family_of(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() { AddressFamily::V4 } else { AddressFamily::V6 }
}

/// The abi's protocol.
/// The number of a protocol in packets and in the maps.
#[must_use]
pub const fn protocol_number(protocol: model::Protocol) -> Protocol {
    match protocol {
        model::Protocol::Tcp => Protocol::TCP,
        model::Protocol::Udp => Protocol::UDP,
        model::Protocol::Sctp => Protocol::SCTP,
    }
}
