//! What is remembered of a conversation, where, and for how long.

use std::net::SocketAddr;

use abi::{FlowFlags, Protocol};
use lab::packet::TcpFlags;
use tests::Counters;
use tests::packet::craft::{readdressed, tcp, udp};
use tests::packet::{FlowTable, PacketNode, Where};

use crate::scene::{ends, local, packet, remote, serve, source};

const FIN: TcpFlags = TcpFlags(0x11);

/// The alias too, or a flood of openers would evict idle connections by their other half.
#[test]
fn an_answered_flow_moves_where_openers_cannot_evict_it() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        for protocol in [Protocol::TCP, Protocol::UDP] {
            serve(node, protocol, local(net), Where::Here);
            let tables = || {
                let tracking = node.flow(client, local(net), protocol).expect("a flow");
                let alias = node.flow(client, dialled, protocol).expect("an alias");
                assert_eq!(tracking.value.nonce, alias.value.nonce);
                assert!(alias.value.flags.has(FlowFlags::ALIAS));
                (tracking.table, alias.table)
            };
            let new = (FlowTable::New, FlowTable::New);
            let answered = (FlowTable::Answered, FlowTable::Answered);
            for _ in 0..4 {
                node.from_net(&packet(protocol, client, dialled, TcpFlags::SYN));
                assert_eq!(tables(), new, "one end alone");
            }
            node.to_net(&packet(protocol, local(net), client, TcpFlags::SYN_ACK));
            assert_eq!(tables(), answered);
            let ack = packet(protocol, client, dialled, TcpFlags::ACK);
            node.from_net(&ack).became(&readdressed(&ack, client, local(net)), &Counters::none());
        }
    });
}

#[test]
fn tcp_moves_with_its_third_packet() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        serve(node, Protocol::TCP, local(net), Where::Here);
        let table = || node.flow(client, local(net), Protocol::TCP).expect("a flow").table;
        node.from_net(&tcp(client, dialled, TcpFlags::SYN, b""));
        node.to_net(&tcp(local(net), client, TcpFlags::SYN_ACK, b""));
        assert_eq!(table(), FlowTable::New);
        node.from_net(&tcp(client, dialled, TcpFlags::ACK, b""));
        assert_eq!(table(), FlowTable::Answered);
    });
}

#[test]
fn each_leg_counts_its_own_packets() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        serve(node, Protocol::TCP, remote(net), Where::Elsewhere);
        let (syn, ack) = (tcp(client, dialled, TcpFlags::SYN, b""), tcp(client, dialled, FIN, b"four"));
        let source = source(net, &node.from_net(&syn));
        node.from_net(&ack);
        let reply = tcp(remote(net), source, TcpFlags::SYN_ACK, b"");
        node.from_inner(&reply);
        let flow = node.flow(source, remote(net), Protocol::TCP).expect("a flow");
        assert_eq!(flow.packets(), (2, 1));
        assert_eq!(
            (flow.there().bytes, flow.back().bytes),
            ((syn.len() + ack.len()) as u64, reply.len() as u64)
        );
        assert_eq!((flow.there().tcp_flags, flow.back().tcp_flags), (0x13, 0x12));
        assert_eq!(flow.value.ifindex, node.links.outer);
    });
}

/// What a full table does to a half: the other half alone translates nothing that its opener sends.
#[test]
fn an_alias_without_its_flow_is_not_believed() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        let (service, id) = serve(node, Protocol::TCP, local(net), Where::Here);
        let (syn, ack) = (tcp(client, dialled, TcpFlags::SYN, b""), tcp(client, dialled, TcpFlags::ACK, b""));
        node.from_net(&syn);
        let flow = node.flow(client, local(net), Protocol::TCP).expect("a flow");
        node.packet().evict(flow.table, flow.key);
        node.from_net(&ack).untouched();

        // Another conversation's flow in its place: the same ends, another nonce.
        let mut stranger = flow.value;
        stranger.nonce ^= 2;
        node.packet().put_flow(flow.table, flow.key, stranger);
        node.from_net(&ack).untouched();
        // A new connection makes both halves anew.
        let counted = Counters::none().sent(service, id, 1);
        node.from_net(&syn).became(&readdressed(&syn, client, local(net)), &counted);
        node.from_net(&ack).became(&readdressed(&ack, client, local(net)), &Counters::none());
    });
}

#[test]
fn a_flow_without_its_alias_is_found_by_replies_alone() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        serve(node, Protocol::TCP, local(net), Where::Here);
        node.from_net(&tcp(client, dialled, TcpFlags::SYN, b""));
        let alias = node.flow(client, dialled, Protocol::TCP).expect("an alias");
        node.packet().evict(alias.table, alias.key);
        node.from_net(&tcp(client, dialled, TcpFlags::ACK, b"")).untouched();
        let reply = tcp(local(net), client, TcpFlags::SYN_ACK, b"");
        node.to_net(&reply).became(&readdressed(&reply, dialled, client), &Counters::none());
    });
}

/// An opener in silence: 60 s of TCP, 30 s of UDP; an answered datagram's flow 180 s.
#[test]
fn flows_expire_in_silence() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        for (protocol, answers, alive, dead) in [
            (Protocol::TCP, 0, 59, 62),
            (Protocol::TCP, 1, 7_000, 8_100),
            (Protocol::UDP, 0, 29, 32),
            (Protocol::UDP, 1, 179, 182),
        ] {
            let (service, id) = serve(node, protocol, local(net), Where::Here);
            let first = packet(protocol, client, dialled, TcpFlags::SYN);
            node.from_net(&first);
            for _ in 0..answers {
                node.to_net(&packet(protocol, local(net), client, TcpFlags::SYN_ACK));
            }
            let flow = || node.flow(client, local(net), protocol).expect("a flow");
            // A machine that has just started cannot have old flows.
            if node.age(&flow(), alive).is_some() {
                node.from_net(&first).became(&readdressed(&first, client, local(net)), &Counters::none());
            }
            if node.age(&flow(), dead).is_some() {
                let counted = Counters::none().sent(service, id, 1);
                node.from_net(&first).became(&readdressed(&first, client, local(net)), &counted);
            }
            node.packet().clear_flows();
        }
    });
}

/// A client may use its port again at once when the server closed or refused. The new connection must not inherit the
/// short life of the old one.
#[test]
fn a_new_connection_between_the_ends_of_a_closed_one_begins_anew() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        let (service, id) = serve(node, Protocol::TCP, local(net), Where::Here);
        let syn = tcp(client, dialled, TcpFlags::SYN, b"");
        let flow = || node.flow(client, local(net), Protocol::TCP).expect("a flow");
        for close in [FIN, TcpFlags::RST] {
            node.from_net(&syn);
            node.to_net(&tcp(local(net), client, close, b""));
            if close == FIN {
                node.from_net(&tcp(client, dialled, FIN, b""));
            }
            let counted = Counters::none().sent(service, id, 1);
            node.from_net(&syn).became(&readdressed(&syn, client, local(net)), &counted);
            assert_eq!((flow().there().tcp_flags, flow().back().tcp_flags), (0x02, 0));
            node.to_net(&tcp(local(net), client, TcpFlags::SYN_ACK, b""));
            node.from_net(&tcp(client, dialled, TcpFlags::ACK, b""));
            node.age(&flow(), 3).expect("a machine that is up for so long");
            let late = tcp(client, dialled, TcpFlags::ACK, b"late");
            node.from_net(&late).became(&readdressed(&late, client, local(net)), &Counters::none());
            node.packet().clear_flows();
        }
    });
}

/// A datagram of the node's own from a port that is also a NodePort: its answer is no request.
#[test]
fn an_answer_to_the_node_itself_is_not_balanced() {
    PacketNode::run_each(|node, net| {
        let (_, dialled) = ends(net);
        let (service, id) = serve(node, Protocol::UDP, local(net), Where::Here);
        let resolver = SocketAddr::new(net.client(5), 53);
        node.to_net(&udp(dialled, resolver, b"?")).passed();
        let flow = node.flow(dialled, resolver, Protocol::UDP).expect("a flow");
        assert!(flow.value.flags.has(FlowFlags::HOST));
        let answer = udp(resolver, dialled, b"!");
        node.from_net(&answer).passed();
        node.from_net(&answer).passed();
        node.to_net(&udp(dialled, resolver, b"?")).passed();
        let flow = node.flow(dialled, resolver, Protocol::UDP).expect("a flow");
        assert_eq!(flow.table, FlowTable::Answered);
        // Whoever else sends to it dials the NodePort.
        let other = SocketAddr::new(net.client(6), 53);
        let request = udp(other, dialled, b"?");
        let counted = Counters::none().sent(service, id, 1);
        node.from_net(&request).became(&readdressed(&request, other, local(net)), &counted);
    });
}

/// TCP needs no memory for that: an answer has no SYN alone.
#[test]
fn an_answer_to_a_masqueraded_pod_is_not_balanced() {
    PacketNode::run_each(|node, net| {
        let (_, dialled) = ends(net);
        serve(node, Protocol::TCP, local(net), Where::Here);
        let server = SocketAddr::new(net.client(5), 443);
        node.to_net(&tcp(dialled, server, TcpFlags::SYN, b"")).untouched();
        node.from_net(&tcp(server, dialled, TcpFlags::SYN_ACK, b"")).untouched();
        node.from_net(&tcp(server, dialled, TcpFlags::ACK, b"data")).untouched();
        // Only NodePorts are remembered for datagrams, and only those of addresses where they answer.
        node.to_net(&udp(dialled, server, b"?")).untouched();
        node.to_net(&udp(SocketAddr::new(net.inner_node(), 30_080), server, b"?")).untouched();
    });
}
