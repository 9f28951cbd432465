//! The slow, obvious evaluator, written from kube-proxy's rules and not from the compiler; and a tracer that walks map
//! rows as the kernel programs do. Tests hold the two equal.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use abi::{
    Addr, BackendState, DropReason, FrontendKey, FrontendKind, Port, ServiceFlags, ServiceId, SetWord,
};
use model::{AddressFamily, Endpoint, NodeView, Protocol, Service, ServicePort, Snapshot, TrafficPolicy};

pub mod policy;

use crate::dump::Dump;
use crate::lb::protocol_number;

/// What a socket on this node dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// Destination.
    pub to: SocketAddr,
    /// Protocol.
    pub protocol: Protocol,
    /// Whether the socket is in the node's own network namespace.
    pub is_host: bool,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not for a Service.
    Pass,
    /// Refused or dropped.
    Stop(DropReason),
    /// One of these.
    To(BTreeSet<SocketAddr>),
}

/// What kube-proxy's rules say.
#[must_use]
pub fn evaluate(snapshot: &Snapshot, view: &NodeView, query: &Query) -> Verdict {
    let to = query.to.ip();
    let loopback = to.is_loopback() || to.is_unspecified();
    let node_port_place = if loopback { query.is_host } else { view.addrs.contains(&to) };
    // The oldest claimant of exactly this destination; a NodePort only where no Service has the address itself.
    let exact = if loopback { None } else { holder(snapshot, |s, p| exact_kind(s, p, query)) };
    let found = exact.or_else(|| {
        let by_number = |s: &Service, p: &ServicePort| {
            let is_it = p.protocol == query.protocol
                && p.node_port.is_some_and(|n| n.get() == query.to.port())
                && s.cluster_ips.iter().any(|ip| ip.is_ipv4() == to.is_ipv4());
            is_it.then_some(FrontendKind::NodePort)
        };
        if node_port_place { holder(snapshot, by_number) } else { None }
    });
    match found {
        Some((service, port, kind)) => choose(snapshot, view, service, port, kind, to.is_ipv4()),
        None if loopback || view.addrs.contains(&to) => Verdict::Pass,
        None if balanced(snapshot).any(|s| s.cluster_ips.contains(&to)) => {
            Verdict::Stop(DropReason::UnknownServicePort)
        }
        None if snapshot.service_cidrs.values().flat_map(|c| &c.cidrs).any(|c| c.contains(&to)) => {
            Verdict::Stop(DropReason::UnallocatedServiceAddress)
        }
        None => Verdict::Pass,
    }
}

fn balanced(snapshot: &Snapshot) -> impl Iterator<Item = &Service> {
    snapshot.services.values().map(AsRef::as_ref).filter(|s| s.is_balanced())
}

fn exact_kind(service: &Service, port: &ServicePort, query: &Query) -> Option<FrontendKind> {
    let to = query.to.ip();
    let has_family = service.cluster_ips.iter().any(|ip| ip.is_ipv4() == to.is_ipv4());
    if port.protocol != query.protocol || port.port.get() != query.to.port() || !has_family {
        None
    } else if service.cluster_ips.contains(&to) {
        Some(FrontendKind::ClusterIp)
    } else if service.external_ips.contains(&to) {
        Some(FrontendKind::ExternalIp)
    } else if service.load_balancer_vips.contains(&to) {
        Some(FrontendKind::LoadBalancer)
    } else {
        None
    }
}

/// The oldest Service, undated ones last, then the first by name, whose port answers.
fn holder(
    snapshot: &Snapshot,
    answers: impl Fn(&Service, &ServicePort) -> Option<FrontendKind>,
) -> Option<(&Service, &ServicePort, FrontendKind)> {
    let mut claims = Vec::new();
    for service in balanced(snapshot) {
        for port in &service.ports {
            if let Some(kind) = answers(service, port) {
                claims.push((&service.created, &service.name, &port.name, (service, port, kind)));
            }
        }
    }
    claims.sort_by_key(|(created, name, port, _)| (created.is_empty(), *created, *name, *port));
    claims.into_iter().next().map(|(_, _, _, found)| found)
}

fn choose(
    snapshot: &Snapshot,
    view: &NodeView,
    service: &Service,
    port: &ServicePort,
    kind: FrontendKind,
    is_v4: bool,
) -> Verdict {
    let endpoints = endpoints(snapshot, service, port, is_v4);
    let here = |e: &Endpoint| e.node.as_ref() == Some(&view.name);
    let zone = snapshot.nodes.get(&view.name).and_then(|n| n.zone.clone());
    let sockets = |keep: &dyn Fn(&Endpoint) -> bool| -> BTreeSet<SocketAddr> {
        endpoints.iter().filter(|(_, e)| keep(e)).map(|(socket, _)| *socket).collect()
    };
    let ready: Vec<&Endpoint> = endpoints.iter().map(|(_, e)| e).filter(|e| e.is_ready).collect();
    let last = |e: &Endpoint| !e.is_ready && e.is_serving && e.is_terminating;

    let all_node_hinted = ready.iter().all(|e| !e.node_hints.is_empty());
    let hinted_here = |e: &Endpoint| e.node_hints.contains(&view.name);
    let all_zone_hinted = ready.iter().all(|e| !e.zone_hints.is_empty());
    let hinted_zone = |e: &Endpoint| zone.as_ref().is_some_and(|z| e.zone_hints.contains(z));
    let mut cluster = if all_node_hinted && ready.iter().any(|e| hinted_here(e)) {
        sockets(&|e| e.is_ready && hinted_here(e))
    } else if all_zone_hinted && ready.iter().any(|e| hinted_zone(e)) {
        sockets(&|e| e.is_ready && hinted_zone(e))
    } else {
        sockets(&|e| e.is_ready)
    };
    if cluster.is_empty() {
        cluster = sockets(&last);
    }
    if cluster.is_empty() {
        return Verdict::Stop(DropReason::NoEndpoints);
    }
    if kind != FrontendKind::ClusterIp || service.internal_policy == TrafficPolicy::Cluster {
        return Verdict::To(cluster);
    }
    let mut local = sockets(&|e| e.is_ready && here(e));
    if local.is_empty() {
        local = sockets(&|e| last(e) && here(e));
    }
    if local.is_empty() { Verdict::Stop(DropReason::NoLocalEndpoint) } else { Verdict::To(local) }
}

/// Endpoints of the Service port, those of one address and port merged: one that does not terminate wins.
fn endpoints(
    snapshot: &Snapshot,
    service: &Service,
    port: &ServicePort,
    is_v4: bool,
) -> Vec<(SocketAddr, Endpoint)> {
    let family = if is_v4 { AddressFamily::V4 } else { AddressFamily::V6 };
    let mut all: Vec<(SocketAddr, Endpoint)> = Vec::new();
    for slice in snapshot.slices.values() {
        if slice.service.as_ref() != Some(&service.name) || slice.family != family || slice.is_headless {
            continue;
        }
        for p in slice.ports.iter().filter(|p| p.name == port.name && p.protocol == port.protocol) {
            for e in &slice.endpoints {
                let socket = SocketAddr::new(e.addr, p.port.get());
                match all.iter_mut().find(|(known, _)| *known == socket) {
                    None => all.push((socket, e.clone())),
                    Some((_, known)) => {
                        let rank = |e: &Endpoint| (e.is_terminating, !e.is_ready, !e.is_serving);
                        if rank(e) < rank(known) {
                            *known = e.clone();
                        }
                    }
                }
            }
        }
    }
    all
}

/// A row that should not be as it is: what law (e) forbids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(pub String);

/// Walks the maps as the programs do.
///
/// # Errors
///
/// A frontend names a Service port that is not there, or a set names a slot or backend that is missing, gone or of
/// another Service port.
pub fn trace(dump: &Dump, query: &Query) -> Result<Verdict, Broken> {
    let to = Addr::from(query.to.ip());
    let (port, protocol) = (Port::new(query.to.port()), protocol_number(query.protocol));
    let frontend = |addr: Addr| dump.frontends.get(&FrontendKey::new(addr, port, protocol));
    let value = if to.is_loopback_or_unspecified() {
        if !query.is_host {
            return Ok(Verdict::Pass);
        }
        frontend(to.any_of_family())
    } else if let Some(value) = frontend(to) {
        Some(value)
    } else if dump.node_addrs.contains_key(&to) {
        frontend(to.any_of_family())
    } else if dump.frontends.contains_key(&FrontendKey::other_ports(to)) {
        return Ok(Verdict::Stop(DropReason::UnknownServicePort));
    } else if dump.service_cidrs.keys().any(|cidr| covers(cidr, to)) {
        return Ok(Verdict::Stop(DropReason::UnallocatedServiceAddress));
    } else {
        None
    };
    let Some(value) = value else { return Ok(Verdict::Pass) };
    let id = value.service();
    let entry = dump.services.get(&id).ok_or_else(|| Broken(format!("service {} is not there", id.0)))?;
    let is_local =
        value.kind_code() == FrontendKind::ClusterIp as u8 && entry.flags.has(ServiceFlags::INTERNAL_LOCAL);
    let set = if is_local { entry.local } else { entry.cluster };
    if set.count() == 0 {
        let elsewhere = is_local && entry.cluster.count() != 0;
        return Ok(Verdict::Stop(if elsewhere {
            DropReason::NoLocalEndpoint
        } else {
            DropReason::NoEndpoints
        }));
    }
    members(dump, id, set).map(Verdict::To)
}

/// Every set that a frontend reaches, checked.
///
/// # Errors
///
/// The first that is broken.
pub fn check_all(dump: &Dump) -> Result<(), Broken> {
    for value in dump.frontends.values().filter(|v| v.service() != ServiceId::NONE) {
        let id = value.service();
        let entry = dump.services.get(&id).ok_or_else(|| Broken(format!("service {} is not there", id.0)))?;
        members(dump, id, entry.cluster)?;
        members(dump, id, entry.local)?;
    }
    Ok(())
}

fn members(dump: &Dump, id: ServiceId, set: SetWord) -> Result<BTreeSet<SocketAddr>, Broken> {
    let mut members = BTreeSet::new();
    for slot in set.base()..set.base() + set.count() {
        let broken = |what: &str| Broken(format!("slot {slot} of service {}: {what}", id.0));
        let backend = dump.slots.get(&slot).ok_or_else(|| broken("not written"))?;
        let entry = dump.backends.get(backend).ok_or_else(|| broken("backend not written"))?;
        if entry.state == BackendState::Gone as u8 {
            return Err(broken("backend gone"));
        }
        if entry.service != id {
            return Err(broken("backend of another service"));
        }
        members.insert(SocketAddr::new(IpAddr::from(entry.addr), entry.port.get()));
    }
    Ok(members)
}

fn covers(cidr: &abi::CidrKey, addr: Addr) -> bool {
    let bits = |a: Addr| u128::from_be_bytes(a.octets());
    let shift = 128 - cidr.prefix_len().min(128);
    (bits(cidr.addr()) ^ bits(addr)).checked_shr(shift).unwrap_or(0) == 0
}
