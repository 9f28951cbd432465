//! What many tests begin with: a NodePort and who dials it.

use std::net::SocketAddr;

use abi::{BackendId, Protocol, ServiceFlags, ServiceId};
use lab::packet::TcpFlags;
use tests::packet::craft::{source_port, tcp, udp};
use tests::packet::{Net, Outcome, PacketNode, Where};

/// Protocols that are translated.
pub(crate) const PROTOCOLS: [Protocol; 2] = [Protocol::TCP, Protocol::UDP];

/// A Service port with one backend and the NodePort 30080.
pub(crate) fn serve(
    node: &PacketNode,
    protocol: Protocol,
    at: SocketAddr,
    place: Where,
) -> (ServiceId, BackendId) {
    let service = node.service(ServiceFlags::default());
    let backend = node.backend(service, at, place);
    node.use_cluster(service, &[backend]);
    node.node_port(30_080, protocol, service);
    (service, backend)
}

/// A segment with these flags, or a datagram.
pub(crate) fn packet(protocol: Protocol, from: SocketAddr, to: SocketAddr, flags: TcpFlags) -> Vec<u8> {
    if protocol == Protocol::TCP { tcp(from, to, flags, b"x") } else { udp(from, to, b"odd") }
}

/// A client outside, and the NodePort that it dials.
pub(crate) fn ends(net: Net) -> (SocketAddr, SocketAddr) {
    (SocketAddr::new(net.client(1), 45_678), SocketAddr::new(net.node(), 30_080))
}

/// A pod of another node, which is the backend.
pub(crate) fn remote(net: Net) -> SocketAddr {
    SocketAddr::new(net.remote(1), 8080)
}

/// A pod of this node, which is the backend.
pub(crate) fn local(net: Net) -> SocketAddr {
    SocketAddr::new(net.pod(1), 8080)
}

/// Where a packet toward the pods of other nodes now comes from.
pub(crate) fn source(net: Net, outcome: &Outcome) -> SocketAddr {
    SocketAddr::new(net.inner_node(), source_port(outcome.packet()))
}
