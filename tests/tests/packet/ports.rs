//! Source ports of the node: never shared by two conversations, and given back.

use std::net::SocketAddr;

use abi::{DropReason, FlowKey, FrontendKind, Leg, Port, Protocol};
use lab::packet::TcpFlags;
use tests::Counters;
use tests::packet::craft::{readdressed, source_port, tcp, udp, with_hops};
use tests::packet::{FlowTable, PacketNode, PodRow, Where};

use crate::scene::{ends, local, remote, serve, source};

const FIRST: u16 = 40_000;

/// Flows like `value` from every source port of the node to the backend.
fn take_all(node: &PacketNode, from: std::net::IpAddr, backend: SocketAddr, value: abi::FlowValue) {
    for port in FIRST..=u16::MAX {
        let to = (backend.ip().into(), Port::new(backend.port()));
        let (key, _) = FlowKey::of((from.into(), Port::new(port)), to, Protocol::TCP);
        let mut value = value;
        // Each is another client's.
        value.src_port = Port::new(port - FIRST + 1);
        node.packet().put_flow(FlowTable::Answered, key, value);
    }
}

#[test]
fn when_all_are_in_use_the_new_connection_is_dropped_and_counted() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        let (service, id) = serve(node, Protocol::TCP, remote(net), Where::Elsewhere);
        let source = source(net, &node.from_net(&tcp(client, dialled, TcpFlags::SYN, b"")));
        let flow = node.flow(source, remote(net), Protocol::TCP).expect("a flow");
        take_all(node, net.inner_node(), remote(net), flow.value);

        let other = SocketAddr::new(net.client(2), 45_678);
        let syn = tcp(other, dialled, TcpFlags::SYN, b"");
        let counted = Counters::none().sent(service, id, 1).drops(DropReason::NoSnatPort, 1);
        node.from_net(&syn).dropped_with(&counted);
        assert!(node.flow(other, dialled, Protocol::TCP).is_none());
    });
}

/// Closed connections hold their ports for two seconds; without that rule 10,000 ports are gone in ten seconds at 1,000
/// connections a second.
#[test]
fn ports_of_closed_connections_are_used_again_after_a_short_hold() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        let (service, id) = serve(node, Protocol::TCP, remote(net), Where::Elsewhere);
        let first = source(net, &node.from_net(&tcp(client, dialled, TcpFlags::SYN, b"")));
        node.from_inner(&tcp(remote(net), first, TcpFlags(0x11), b""));
        node.from_net(&tcp(client, dialled, TcpFlags(0x11), b""));
        let flow = node.flow(first, remote(net), Protocol::TCP).expect("a flow");

        // Seen a minute ahead of now: not over, however long the test takes to write them.
        let held = |leg: Leg| Leg { last_seen: leg.last_seen + 60_000_000_000, ..leg };
        let mut value = flow.value;
        (value.up, value.down) = (held(value.up), held(value.down));
        take_all(node, net.inner_node(), remote(net), value);
        let other = SocketAddr::new(net.client(2), 45_678);
        let syn = tcp(other, dialled, TcpFlags::SYN, b"");
        let counted = Counters::none().sent(service, id, 1).drops(DropReason::NoSnatPort, 1);
        node.from_net(&syn).dropped_with(&counted);

        let over = |leg: Leg| Leg { last_seen: leg.last_seen - 3_000_000_000, ..leg };
        let mut value = flow.value;
        (value.up, value.down) = (over(value.up), over(value.down));
        take_all(node, net.inner_node(), remote(net), value);
        let outcome = node.from_net(&syn);
        let second = source(net, &outcome);
        let expected = with_hops(&readdressed(&syn, second, remote(net)), 63);
        outcome.left_as(&expected, &Counters::none().sent(service, id, 1));
        let flow = node.flow(second, remote(net), Protocol::TCP).expect("a flow");
        assert_eq!((flow.packets(), flow.there().tcp_flags, flow.back().tcp_flags), ((1, 0), 2, 0));

        // The reply is the new client's, and of the old one nothing is believed any more.
        let reply = tcp(remote(net), second, TcpFlags::SYN_ACK, b"");
        let expected = with_hops(&readdressed(&reply, dialled, other), 63);
        node.from_inner(&reply).left_as(&expected, &Counters::none());
    });
}

/// The second cannot have the ends of the first at the backend: it gets a source of the node's, and its reply comes out
/// of the pod to an address of the node.
#[test]
fn one_client_port_through_two_addresses_to_one_backend_makes_two_conversations() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        let vip = SocketAddr::new(net.vip(7), 80);
        node.pod(1, PodRow::default());
        for protocol in [Protocol::TCP, Protocol::UDP] {
            let (service, id) = serve(node, protocol, local(net), Where::Here);
            node.frontend(vip, protocol, FrontendKind::ExternalIp, service);
            let packet = |from, to, flags| crate::scene::packet(protocol, from, to, flags);
            let sent = Counters::none().sent(service, id, 1);

            let first = packet(client, dialled, TcpFlags::SYN);
            node.from_net(&first).became(&readdressed(&first, client, local(net)), &sent);
            let second = packet(client, vip, TcpFlags::SYN);
            let outcome = node.from_net(&second);
            let source = SocketAddr::new(net.node(), source_port(outcome.packet()));
            assert!(source.port() >= FIRST, "{source}");
            outcome.left_as(&with_hops(&readdressed(&second, source, local(net)), 63), &sent);

            let reply = packet(local(net), client, TcpFlags::SYN_ACK);
            node.from_pod(1, &reply).untouched();
            node.to_net(&reply).became(&readdressed(&reply, dialled, client), &Counters::none());
            let reply = packet(local(net), source, TcpFlags::SYN_ACK);
            let expected = with_hops(&readdressed(&reply, vip, client), 63);
            node.from_pod(1, &reply).left_as(&expected, &Counters::none());

            let first = packet(client, dialled, TcpFlags::ACK);
            node.from_net(&first).became(&readdressed(&first, client, local(net)), &Counters::none());
            let second = packet(client, vip, TcpFlags::ACK);
            let expected = with_hops(&readdressed(&second, source, local(net)), 63);
            node.from_net(&second).left_as(&expected, &Counters::none());
        }
    });
}

/// Toward two backends one port serves two conversations, for the other end tells them apart.
#[test]
fn two_clients_with_one_port_are_told_apart() {
    PacketNode::run_each(|node, net| {
        let (_, dialled) = ends(net);
        serve(node, Protocol::UDP, remote(net), Where::Elsewhere);
        let clients = [1, 2, 3].map(|i| SocketAddr::new(net.client(i), 5353));
        let sources = clients.map(|client| source(net, &node.from_net(&udp(client, dialled, b"?"))));
        for (client, source) in clients.into_iter().zip(sources) {
            let reply = udp(remote(net), source, b"!");
            let expected = with_hops(&readdressed(&reply, dialled, client), 63);
            node.from_inner(&reply).left_as(&expected, &Counters::none());
        }
    });
}
