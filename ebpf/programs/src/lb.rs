//! From the address that an application dials to a backend.

use abi::{
    Addr, DropReason, FrontendKey, FrontendKind, FrontendValue, Port, Protocol, ServiceFlags, ServiceId,
    SetWord,
};

use crate::config::is_host_netns;
use crate::ctx::SockAddr;
use crate::helpers::random_u32;
use crate::maps::lb::{self, Backend, Service};
use crate::{stats, subject};

/// 127.0.0.1.
const LOCALHOST_V4: Addr = Addr::v4([127, 0, 0, 1]);
/// ::1.
const LOCALHOST_V6: Addr = Addr::v6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// Backends looked at before giving up: a set is read again each time, and only a backend that left between two
/// reads is not usable.
const TRIES: u32 = 4;

/// Where a call goes: the kernel takes the unspecified addresses for loopback, and shows loopback as the peer.
///
/// They must never be looked up as they are: as keys they stand for "any address of the node".
#[inline(always)] // two compares
pub(crate) fn destination(addr: Addr) -> Addr {
    if addr == Addr::ANY_V4 {
        LOCALHOST_V4
    } else if addr == Addr::ANY_V6 {
        LOCALHOST_V6
    } else {
        addr
    }
}

/// The frontend that a call to a [`destination`] dials, or `None` if it is not for a Service or the caller's packets are
/// balanced one by one: then nothing is refused here either, for a proxy in the pod may want them.
#[inline(always)] // once a program
pub(crate) fn find<C: SockAddr>(
    ctx: &C,
    addr: Addr,
    port: Port,
    protocol: Protocol,
) -> Result<Option<FrontendValue>, DropReason> {
    let found = find_any(ctx, addr, port, protocol);
    if found == Ok(None) || !subject::is_caller_per_packet() { found } else { Ok(None) }
}

/// The frontend that a call dials, whoever calls.
///
/// An address is first looked up as it is; a NodePort answers on the node's own addresses, and on loopback in the
/// node's own network namespace.
#[inline(always)] // once a program; as a call it would need more than five arguments
fn find_any<C: SockAddr>(
    ctx: &C,
    addr: Addr,
    port: Port,
    protocol: Protocol,
) -> Result<Option<FrontendValue>, DropReason> {
    let node_port = FrontendKey::new(addr.any_of_family(), port, protocol);
    if addr.is_loopback_or_unspecified() {
        return Ok(if is_host_netns(ctx.netns_cookie()) { lb::frontend(&node_port) } else { None });
    }
    // Resolvers connect a socket to port 0 to learn the source address of a destination; nothing is ever sent.
    if port == Port::ANY {
        return Ok(None);
    }
    if let Some(found) = lb::frontend(&FrontendKey::new(addr, port, protocol)) {
        return Ok(Some(found));
    }
    if lb::is_node_port_addr(&addr) {
        return Ok(lb::frontend(&node_port));
    }
    if lb::frontend(&FrontendKey::other_ports(addr)).is_some() {
        return Err(DropReason::UnknownServicePort);
    }
    if lb::is_service_addr(addr) {
        return Err(DropReason::UnallocatedServiceAddress);
    }
    Ok(None)
}

/// Who asks for a backend.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// A socket or a pod of this node. `externalTrafficPolicy: Local` does not bite: kube-proxy sends a node's own
    /// traffic to all endpoints too.
    Inside,
    /// A packet that came in by an uplink.
    Outside,
}

/// The frontend that a packet's destination is, if it is one. Every address is looked up as it is; a NodePort answers on
/// the node's own addresses.
#[inline(always)] // once a program
pub(crate) fn find_packet(addr: Addr, port: Port, protocol: Protocol) -> Option<FrontendValue> {
    if let Some(found) = lb::frontend(&FrontendKey::new(addr, port, protocol)) {
        return Some(found);
    }
    if lb::is_node_port_addr(&addr) {
        return lb::frontend(&FrontendKey::new(addr.any_of_family(), port, protocol));
    }
    None
}

/// Chooses a backend for a new socket or flow, uniformly at random, and counts what becomes of it.
#[inline(always)] // once a program
pub(crate) fn choose(frontend: FrontendValue, client: Client) -> Result<Backend, DropReason> {
    let id = frontend.service();
    let chosen = choose_of(id, frontend.kind_code(), client);
    match chosen {
        Ok(backend) => stats::sent(id, backend.id),
        Err(reason) => stats::stopped(id, reason),
    }
    chosen
}

#[inline(always)] // once a program
fn choose_of(id: ServiceId, kind: u8, client: Client) -> Result<Backend, DropReason> {
    let Some(service) = Service::get(id) else {
        return Err(DropReason::NoEndpoints);
    };
    // Bounded: TRIES.
    for _ in 0..TRIES {
        let set = usable_set(&service, kind, client)?;
        // verifier: a count of zero would divide by zero, which `usable_set` excludes.
        let index = set.base().wrapping_add(random_u32() % set.count());
        if let Some(backend) = lb::slot(index).and_then(|backend| lb::backend(backend, id)) {
            return Ok(backend);
        }
    }
    Err(DropReason::BackendsLeaving)
}

/// The set that a client may choose from.
#[inline(always)] // once a program
fn usable_set(service: &Service, kind: u8, client: Client) -> Result<SetWord, DropReason> {
    let policy = if kind == FrontendKind::ClusterIp as u8 {
        Some(ServiceFlags::INTERNAL_LOCAL)
    } else {
        (client == Client::Outside).then_some(ServiceFlags::EXTERNAL_LOCAL)
    };
    let is_local = policy.is_some_and(|flag| service.flags().has(flag));
    let set = if is_local { service.local() } else { service.cluster() };
    if set.count() != 0 {
        Ok(set)
    } else if is_local && service.cluster().count() != 0 {
        Err(DropReason::NoLocalEndpoint)
    } else {
        Err(DropReason::NoEndpoints)
    }
}
