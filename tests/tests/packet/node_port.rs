//! NodePorts, externalIPs and load balancer addresses, dialled from outside.

use std::net::SocketAddr;

use abi::{DropReason, FlowFlags, FrontendKind, Protocol, ServiceFlags};
use lab::packet::TcpFlags;
use tests::Counters;
use tests::packet::craft::{readdressed, tcp, udp, with_hops};
use tests::packet::{FlowTable, PacketNode, Where};

use crate::scene::{PROTOCOLS, ends, packet, serve, source};

#[test]
fn a_local_backend_sees_the_client_and_its_reply_comes_from_the_node_port() {
    PacketNode::run_each(|node, net| {
        for protocol in PROTOCOLS {
            let ((client, dialled), backend) = (ends(net), SocketAddr::new(net.pod(1), 8080));
            let (service, id) = serve(node, protocol, backend, Where::Here);

            let request = packet(protocol, client, dialled, TcpFlags::SYN);
            let sent = Counters::none().sent(service, id, 1);
            node.from_net(&request).became(&readdressed(&request, client, backend), &sent);
            let reply = packet(protocol, backend, client, TcpFlags::SYN_ACK);
            node.to_net(&reply).became(&readdressed(&reply, dialled, client), &Counters::none());

            let next = packet(protocol, client, dialled, TcpFlags::ACK);
            node.from_net(&next).became(&readdressed(&next, client, backend), &Counters::none());
            let flow = node.flow(client, backend, protocol).expect("a flow");
            assert_eq!(flow.packets(), (2, 1));
            assert_eq!(flow.table, FlowTable::Answered);
            assert_eq!((flow.value.service, flow.value.backend), (service, id));
            assert!(flow.value.flags.has(FlowFlags::DNAT) && !flow.value.flags.has(FlowFlags::SNAT));
        }
    });
}

/// Only what came in translated goes out translated: another pod's port 8080, another client.
#[test]
fn replies_of_other_conversations_are_untouched() {
    PacketNode::run_each(|node, net| {
        let ((client, dialled), backend) = (ends(net), SocketAddr::new(net.pod(1), 8080));
        serve(node, Protocol::TCP, backend, Where::Here);
        node.from_net(&tcp(client, dialled, TcpFlags::SYN, b""));
        let other_port = SocketAddr::new(client.ip(), 45_679);
        let other_client = SocketAddr::new(net.client(2), 45_678);
        for (from, to) in [
            (backend, other_port),
            (backend, other_client),
            (SocketAddr::new(net.pod(2), 8080), client),
            (SocketAddr::new(net.pod(1), 8081), client),
        ] {
            node.to_net(&tcp(from, to, TcpFlags::SYN_ACK, b"")).untouched();
        }
    });
}

/// The source is that of the uplink toward the backend, the hop that forwarding costs is taken both ways, and both ways
/// are redirected: a packet with a local source may not come in.
#[test]
fn a_remote_backend_sees_the_node_and_its_reply_goes_straight_back() {
    PacketNode::run_each(|node, net| {
        for protocol in PROTOCOLS {
            let ((client, dialled), backend) = (ends(net), SocketAddr::new(net.remote(1), 8080));
            let (service, id) = serve(node, protocol, backend, Where::Elsewhere);

            let request = packet(protocol, client, dialled, TcpFlags::SYN);
            let outcome = node.from_net(&request);
            let source = source(net, &outcome);
            assert!(source.port() >= 40_000, "{source}");
            let expected = with_hops(&readdressed(&request, source, backend), 63);
            outcome.left_as(&expected, &Counters::none().sent(service, id, 1));

            let reply = with_hops(&packet(protocol, backend, source, TcpFlags::SYN_ACK), 9);
            let expected = with_hops(&readdressed(&reply, dialled, client), 8);
            node.from_inner(&reply).left_as(&expected, &Counters::none());

            let next = packet(protocol, client, dialled, TcpFlags::ACK);
            let expected = with_hops(&readdressed(&next, source, backend), 63);
            node.from_net(&next).left_as(&expected, &Counters::none());

            let flow = node.flow(source, backend, protocol).expect("a flow");
            assert_eq!((flow.packets(), flow.table), ((2, 1), FlowTable::Answered));
            let undo = (flow.value.dst, flow.value.dst_port.get(), flow.value.src, flow.value.src_port.get());
            assert_eq!(undo, (dialled.ip().into(), dialled.port(), client.ip().into(), client.port()));
        }
    });
}

#[test]
fn source_ports_are_of_the_range_that_sockets_do_not_use_and_all_different() {
    PacketNode::run_each(|node, net| {
        let (_, dialled) = ends(net);
        let backend = SocketAddr::new(net.remote(1), 8080);
        serve(node, Protocol::TCP, backend, Where::Elsewhere);
        let mut seen = std::collections::BTreeSet::new();
        for port in 1024..1524 {
            let outcome =
                node.from_net(&tcp(SocketAddr::new(net.client(1), port), dialled, TcpFlags::SYN, b""));
            let source = source(net, &outcome);
            assert!(source.port() >= 40_000 && seen.insert(source.port()), "{source}");
        }
    });
}

/// A datagram without a checksum keeps none; IPv6 has no such datagrams.
#[test]
fn an_absent_udp_checksum_stays_absent() {
    PacketNode::run_each(|node, net| {
        let ((client, dialled), backend) = (ends(net), SocketAddr::new(net.pod(1), 8080));
        let (service, id) = serve(node, Protocol::UDP, backend, Where::Here);
        let without = |mut packet: Vec<u8>| {
            let at = net.header() + 6;
            packet[at..at + 2].fill(0);
            packet
        };
        let request = udp(client, dialled, b"odd");
        let expected = readdressed(&request, client, backend);
        let (request, expected) =
            net.pick((without(request.clone()), without(expected.clone())), (request, expected));
        node.from_net(&request).became(&expected, &Counters::none().sent(service, id, 1));
    });
}

#[test]
fn node_ports_answer_on_their_addresses_only_and_other_kinds_on_their_own() {
    PacketNode::run_each(|node, net| {
        let backend = SocketAddr::new(net.pod(1), 8080);
        let (service, id) = serve(node, Protocol::TCP, backend, Where::Here);
        let client = |port| SocketAddr::new(net.client(1), port);
        let inner = SocketAddr::new(net.inner_node(), 30_080);
        node.from_net(&tcp(client(1001), inner, TcpFlags::SYN, b"")).untouched();
        let of_udp = udp(client(1002), SocketAddr::new(net.node(), 30_080), b"?");
        node.from_net(&of_udp).untouched();

        let kinds = [FrontendKind::ExternalIp, FrontendKind::LoadBalancer, FrontendKind::ClusterIp];
        for (i, kind) in (1..).zip(kinds) {
            let vip = SocketAddr::new(net.vip(i), 80);
            node.frontend(vip, Protocol::TCP, kind, service);
            let from = client(1100 + u16::from(i));
            let request = tcp(from, vip, TcpFlags::SYN, b"");
            let sent = Counters::none().sent(service, id, 1);
            node.from_net(&request).became(&readdressed(&request, from, backend), &sent);
            let reply = tcp(backend, from, TcpFlags::SYN_ACK, b"");
            node.to_net(&reply).became(&readdressed(&reply, vip, from), &Counters::none());
        }
    });
}

/// From the middle of a connection: it is not ours, the stack knows.
#[test]
fn tcp_without_syn_opens_nothing() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        serve(node, Protocol::TCP, SocketAddr::new(net.pod(1), 8080), Where::Here);
        for flags in [TcpFlags::ACK, TcpFlags::SYN_ACK, TcpFlags::RST, TcpFlags::FIN, TcpFlags(0)] {
            node.from_net(&tcp(client, dialled, flags, b"")).untouched();
        }
    });
}

/// Only endpoints of this node are asked, which keep the client's address; without one the packet is dropped as
/// kube-proxy does, not refused.
#[test]
fn external_traffic_policy_local_stays_on_the_node() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        let service = node.service(ServiceFlags::EXTERNAL_LOCAL);
        let here = SocketAddr::new(net.pod(1), 8080);
        let away = node.backend(service, SocketAddr::new(net.remote(1), 8080), Where::Elsewhere);
        let id = node.backend(service, here, Where::Here);
        node.use_cluster(service, &[away, id]);
        node.node_port(30_080, Protocol::TCP, service);

        let request = tcp(client, dialled, TcpFlags::SYN, b"");
        let expected = Counters::none().dropped(service, 1).drops(DropReason::NoLocalEndpoint, 1);
        let outcome = node.from_net(&request);
        outcome.dropped_with(&expected);
        assert!(!outcome.changed);

        node.use_local(service, &[id]);
        let sent = Counters::none().sent(service, id, 1);
        node.from_net(&request).became(&readdressed(&request, client, here), &sent);
    });
}
