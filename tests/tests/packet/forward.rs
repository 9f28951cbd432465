//! What the stack would do on the way and a redirect skips: hops, the size of packets, routes.

use std::net::SocketAddr;

use abi::{DropReason, Hook, Protocol};
use lab::packet::TcpFlags;
use tests::Counters;
use tests::packet::craft::{
    self, TIME_EXCEEDED, TOO_BIG, error, quoted, readdressed, tcp, transport, udp, with_hops,
};
use tests::packet::{NARROW_MTU, Net, PacketNode, Where};

use crate::scene::{PROTOCOLS, ends, packet, remote, serve, source};

/// A segment or datagram of that many bytes, network header included.
fn sized(protocol: Protocol, from: SocketAddr, to: SocketAddr, bytes: usize) -> Vec<u8> {
    let header = transport(&packet(protocol, from, to, TcpFlags::SYN)).1;
    let transport = if protocol == Protocol::TCP { 32 } else { 8 };
    let payload = vec![0xa5; bytes - header - transport];
    if protocol == Protocol::TCP { tcp(from, to, TcpFlags::SYN, &payload) } else { udp(from, to, &payload) }
}

fn narrow(net: Net) -> SocketAddr {
    SocketAddr::new(net.narrow(1), 8080)
}

#[test]
fn the_last_hop_is_told_to_the_client_and_the_one_before_is_made() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        for protocol in PROTOCOLS {
            let (service, id) = serve(node, protocol, remote(net), Where::Elsewhere);
            for hops in [0, 1] {
                let request = with_hops(&packet(protocol, client, dialled, TcpFlags::SYN), hops);
                let answer = error(net.node(), net.client(1), TIME_EXCEEDED, 0, quoted(&request));
                // Chosen with the first of them only.
                let mut counted = Counters::none().drops(DropReason::TtlExpired, 1);
                if hops == 0 {
                    counted = counted.sent(service, id, 1);
                }
                node.from_net(&request).answered(&answer, &counted);
            }
            let request = with_hops(&packet(protocol, client, dialled, TcpFlags::SYN), 2);
            let outcome = node.from_net(&request);
            let expected = with_hops(&readdressed(&request, source(net, &outcome), remote(net)), 1);
            outcome.left_as(&expected, &Counters::none());
        }
    });
}

#[test]
fn a_reply_out_of_hops_is_told_to_the_backend() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        serve(node, Protocol::UDP, remote(net), Where::Elsewhere);
        let source = source(net, &node.from_net(&udp(client, dialled, b"?")));
        let reply = with_hops(&udp(remote(net), source, b"!"), 1);
        let answer = error(source.ip(), net.remote(1), TIME_EXCEEDED, 0, quoted(&reply));
        let counted = Counters::none().drops(DropReason::TtlExpired, 1);
        node.from_inner(&reply).answered(&answer, &counted);
    });
}

/// To a backend of this node the stack forwards, and takes the hop itself.
#[test]
fn what_the_stack_forwards_keeps_its_hops() {
    PacketNode::run_each(|node, net| {
        let ((client, dialled), backend) = (ends(net), SocketAddr::new(net.pod(1), 8080));
        let (service, id) = serve(node, Protocol::TCP, backend, Where::Here);
        let request = with_hops(&tcp(client, dialled, TcpFlags::SYN, b""), 1);
        let counted = Counters::none().sent(service, id, 1);
        node.from_net(&request).became(&readdressed(&request, client, backend), &counted);
    });
}

/// The route's limit counts, not only the link's.
#[test]
fn a_packet_too_big_for_the_path_is_told_to_the_client_with_what_fits() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        let mtu = NARROW_MTU as usize;
        for protocol in PROTOCOLS {
            let (service, id) = serve(node, protocol, narrow(net), Where::Elsewhere);
            let large = sized(protocol, client, dialled, mtu + 1);
            let answer = error(net.node(), net.client(1), TOO_BIG, NARROW_MTU, quoted(&large));
            let counted = Counters::none().sent(service, id, 1).drops(DropReason::PacketTooBig, 1);
            node.from_net(&large).answered(&answer, &counted);

            let fitting = sized(protocol, client, dialled, mtu);
            let outcome = node.from_net(&fitting);
            let expected = with_hops(&readdressed(&fitting, source(net, &outcome), narrow(net)), 63);
            outcome.left_as(&expected, &Counters::none());
        }
    });
}

/// A packet that stands for many segments is as big as one of them: link header aside, headers and payload.
#[test]
fn segments_are_measured_not_what_they_came_in() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        let (service, id) = serve(node, Protocol::TCP, narrow(net), Where::Elsewhere);
        let together = sized(Protocol::TCP, client, dialled, 3000);
        let ethertype = net.pick(craft::ETHERTYPE_V4, craft::ETHERTYPE_V6);
        let frame = craft::frame(ethertype, &together);
        let payload = NARROW_MTU - net.header() as u32 - 32;
        let send = |gso| node.send_frame(Hook::FromNet, node.links.outer, &frame, gso);

        let answer = error(net.node(), net.client(1), TOO_BIG, NARROW_MTU, quoted(&together));
        let counted = Counters::none().sent(service, id, 1).drops(DropReason::PacketTooBig, 1);
        send(payload + 1).answered(&answer, &counted);
        let outcome = send(payload);
        let expected = with_hops(&readdressed(&together, source(net, &outcome), narrow(net)), 63);
        outcome.left_as(&expected, &Counters::none());
    });
}

#[test]
fn a_reply_too_big_for_the_way_back_is_told_to_the_backend() {
    PacketNode::run_each(|node, net| {
        let (_, dialled) = ends(net);
        let client = SocketAddr::new(net.narrow(9), 45_678);
        serve(node, Protocol::UDP, remote(net), Where::Elsewhere);
        let source = source(net, &node.from_net(&udp(client, dialled, b"?")));
        let reply = sized(Protocol::UDP, remote(net), source, NARROW_MTU as usize + 1);
        let answer = error(source.ip(), net.remote(1), TOO_BIG, NARROW_MTU, quoted(&reply));
        let counted = Counters::none().drops(DropReason::PacketTooBig, 1);
        node.from_inner(&reply).answered(&answer, &counted);
    });
}

#[test]
fn without_a_route_it_is_dropped_as_it_was() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        let at = SocketAddr::new(net.nowhere(), 8080);
        let (service, id) = serve(node, Protocol::TCP, at, Where::Elsewhere);
        let counted = Counters::none().sent(service, id, 1).drops(DropReason::NoRoute, 1);
        node.from_net(&tcp(client, dialled, TcpFlags::SYN, b"")).dropped_with(&counted);
    });
}

/// Nobody answers an error with an error, or what was sent to many.
#[test]
fn answers_are_never_about_errors_or_to_groups() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        serve(node, Protocol::UDP, remote(net), Where::Elsewhere);
        let request = udp(client, dialled, b"?");
        let outcome = node.from_net(&request);
        let about = outcome.packet().to_vec();
        let source = source(net, &outcome);
        let late = with_hops(&error(net.remote(1), source.ip(), TIME_EXCEEDED, 0, quoted(&about)), 1);
        node.from_inner(&late).dropped(DropReason::TtlExpired);

        let group: std::net::IpAddr = net.pick("224.0.0.5".parse(), "ff0e::5".parse()).expect("an address");
        let from_group = with_hops(&udp(SocketAddr::new(group, 7), dialled, b"?"), 1);
        let outcome = node.from_net(&from_group);
        assert_eq!(outcome.frame, outcome.sent, "answered a group");
        assert_eq!(outcome.verdict, tests::packet::Verdict::Shot);
    });
}
