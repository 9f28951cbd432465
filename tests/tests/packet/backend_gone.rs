//! A backend leaves while clients talk to it.

use std::net::SocketAddr;

use abi::{BackendState, DropReason, Protocol, ServiceFlags};
use lab::packet::TcpFlags;
use tests::Counters;
use tests::packet::craft::{PORT_UNREACHABLE, error, quoted, readdressed, tcp, udp};
use tests::packet::{PacketNode, Where};

use crate::scene::{ends, local, serve};

#[test]
fn the_next_datagram_finds_a_live_backend() {
    PacketNode::run_each(|node, net| {
        let ((client, dialled), second) = (ends(net), SocketAddr::new(net.pod(2), 8080));
        let (service, old) = serve(node, Protocol::UDP, local(net), Where::Here);
        let datagram = udp(client, dialled, b"?");
        node.from_net(&datagram);
        let new = node.backend(service, second, Where::Here);
        node.use_cluster(service, &[new]);
        // Not in the set any more, but still serving what it has.
        node.put_backend(old, service, local(net), Where::Here, BackendState::Terminating);
        node.from_net(&datagram).became(&readdressed(&datagram, client, local(net)), &Counters::none());

        node.put_backend(old, service, local(net), Where::Here, BackendState::Gone);
        let counted = Counters::none().sent(service, new, 1);
        node.from_net(&datagram).became(&readdressed(&datagram, client, second), &counted);
        node.from_net(&datagram).became(&readdressed(&datagram, client, second), &Counters::none());
        let reply = udp(second, client, b"!");
        node.to_net(&reply).became(&readdressed(&reply, dialled, client), &Counters::none());
    });
}

/// The id of a backend that left is another endpoint's now, or of another Service port.
#[test]
fn an_id_with_another_generation_or_owner_is_another_backend() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        let (service, old) = serve(node, Protocol::UDP, local(net), Where::Here);
        let other = node.service(ServiceFlags::default());
        let second = SocketAddr::new(net.pod(2), 8080);
        let datagram = udp(client, dialled, b"?");
        node.from_net(&datagram);
        let new = node.backend(service, second, Where::Here);
        node.use_cluster(service, &[new]);
        node.put_backend(old, other, local(net), Where::Here, BackendState::Live);
        let counted = Counters::none().sent(service, new, 1);
        node.from_net(&datagram).became(&readdressed(&datagram, client, second), &counted);

        let third = SocketAddr::new(net.pod(3), 8080);
        node.put_backend_again(new, service, third, Where::Here);
        let counted = Counters::none().sent(service, new, 1);
        node.from_net(&datagram).became(&readdressed(&datagram, client, third), &counted);
    });
}

#[test]
fn a_connection_keeps_the_backend_that_has_its_state() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        let (service, id) = serve(node, Protocol::TCP, local(net), Where::Here);
        node.from_net(&tcp(client, dialled, TcpFlags::SYN, b""));
        node.use_cluster(service, &[]);
        node.put_backend(id, service, local(net), Where::Here, BackendState::Gone);
        let fin = tcp(client, dialled, TcpFlags(TcpFlags::FIN.0 | TcpFlags::ACK.0), b"");
        node.from_net(&fin).became(&readdressed(&fin, client, local(net)), &Counters::none());
        let reply = tcp(local(net), client, TcpFlags::ACK, b"");
        node.to_net(&reply).became(&readdressed(&reply, dialled, client), &Counters::none());
    });
}

/// Through zero endpoints and back: nothing remembers the first backend.
#[test]
fn a_service_that_was_empty_for_a_while_is_found_again() {
    PacketNode::run_each(|node, net| {
        let ((client, dialled), second) = (ends(net), SocketAddr::new(net.pod(2), 8080));
        let (service, old) = serve(node, Protocol::UDP, local(net), Where::Here);
        let datagram = udp(client, dialled, b"?");
        node.from_net(&datagram);
        node.use_cluster(service, &[]);
        node.put_backend(old, service, local(net), Where::Here, BackendState::Gone);
        let refused = Counters::none().refused(service, 1).drops(DropReason::NoEndpoints, 1);
        let answer = error(net.node(), net.client(1), PORT_UNREACHABLE, 0, quoted(&datagram));
        node.from_net(&datagram).answered(&answer, &refused);

        let new = node.backend(service, second, Where::Here);
        node.use_cluster(service, &[new]);
        let counted = Counters::none().sent(service, new, 1);
        node.from_net(&datagram).became(&readdressed(&datagram, client, second), &counted);
    });
}
