//! Packets in pieces: only the first says whose the others are.

use std::net::SocketAddr;

use abi::{DropReason, Identity, PolicyId, PortClassId, PortClassValue, Protocol, RuleId};
use tests::Counters;
use tests::packet::craft::{fragments, readdressed, udp, with_addresses, with_hops};
use tests::packet::{PacketNode, PodRow, Where};

use crate::scene::{ends, local, remote, serve, source};

/// Where the pieces come apart, in bytes behind the network header.
const CUT: usize = 24;

#[test]
fn the_pieces_of_a_datagram_go_to_one_backend() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        let (service, id) = serve(node, Protocol::UDP, local(net), Where::Here);
        let whole = udp(client, dialled, &[0xa5; 61]);
        let [first, later] = fragments(&whole, CUT);
        let [first_then, later_then] = fragments(&readdressed(&whole, client, local(net)), CUT);
        node.from_net(&first).became(&first_then, &Counters::none().sent(service, id, 1));
        node.from_net(&later).became(&later_then, &Counters::none());
        let ports = node.packet().fragments();
        assert_eq!(ports.into_values().collect::<Vec<_>>(), [(client.port(), dialled.port())]);

        let whole = udp(local(net), client, &[0x5a; 61]);
        let [first, later] = fragments(&whole, CUT);
        let [first_then, later_then] = fragments(&readdressed(&whole, dialled, client), CUT);
        node.to_net(&first).became(&first_then, &Counters::none());
        node.to_net(&later).became(&later_then, &Counters::none());
    });
}

#[test]
fn pieces_are_redirected_like_the_whole() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        let (service, id) = serve(node, Protocol::UDP, remote(net), Where::Elsewhere);
        let whole = udp(client, dialled, &[0xa5; 61]);
        let [first, later] = fragments(&whole, CUT);
        let outcome = node.from_net(&first);
        let source = source(net, &outcome);
        let [first_then, later_then] =
            fragments(&with_hops(&readdressed(&whole, source, remote(net)), 63), CUT);
        outcome.left_as(&first_then, &Counters::none().sent(service, id, 1));
        node.from_net(&later).left_as(&later_then, &Counters::none());
    });
}

/// Nobody knows whose it is: an isolated pod gets and sends none, the rest is as before.
#[test]
fn a_later_piece_without_its_first_is_dropped_where_policy_asks_and_passes_elsewhere() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        serve(node, Protocol::UDP, local(net), Where::Here);
        let [_, later] = fragments(&udp(client, dialled, &[7; 61]), CUT);
        node.from_net(&later).untouched();
        let (pod, peer) = (SocketAddr::new(net.pod(1), 999), SocketAddr::new(net.remote(1), 53));
        let [_, out] = fragments(&udp(pod, peer, &[7; 61]), CUT);
        let [_, back] = fragments(&udp(peer, pod, &[7; 61]), CUT);
        node.pod(1, PodRow::opted_out());
        node.from_pod(1, &out).untouched();
        node.to_pod(1, &back).untouched();
        let policy = PolicyId(5);
        node.allow(policy, Identity::ANY, RuleId(1));
        node.pod(1, PodRow { egress: policy, ..PodRow::default() });
        node.from_pod(1, &out).dropped(DropReason::FragmentWithoutFirst);
        node.to_pod(1, &back).dropped(DropReason::FragmentWithoutFirst);
    });
}

/// By the ports of the first: what is denied stays out in every piece, what is allowed comes in whole.
#[test]
fn pieces_are_judged_by_the_ports_of_the_first() {
    PacketNode::run_each(|node, net| {
        let (policy, class) = (PolicyId(5), PortClassId(1));
        node.by_port(policy, Identity::ANY, class, RuleId(1));
        node.ports(class, Protocol::UDP, (53, 16), PortClassValue::allow(RuleId(2)));
        node.pod(1, PodRow { egress: policy, ingress: policy, ..PodRow::default() });
        let pod = |port| SocketAddr::new(net.pod(1), port);
        let peer = |port| SocketAddr::new(net.remote(1), port);
        let [first, later] = fragments(&udp(pod(999), peer(54), &[7; 61]), CUT);
        node.from_pod(1, &first).dropped(DropReason::EgressDenied);
        node.from_pod(1, &later).dropped(DropReason::EgressDenied);
        let [first, later] = fragments(&udp(peer(999), pod(54), &[7; 61]), CUT);
        node.to_pod(1, &first).dropped(DropReason::IngressDenied);
        node.to_pod(1, &later).dropped(DropReason::IngressDenied);
        let [first, later] = fragments(&udp(pod(999), peer(53), &[7; 61]), CUT);
        node.from_pod(1, &first).passed();
        node.from_pod(1, &later).passed();
        let [first, later] = fragments(&udp(peer(53), pod(999), &[7; 61]), CUT);
        node.to_pod(1, &first).passed();
        node.to_pod(1, &later).passed();
        assert_eq!(node.flow(pod(999), peer(53), Protocol::UDP).expect("a flow").packets(), (2, 2));
    });
}

/// The same number between other ends, or of another protocol, is another packet.
#[test]
fn pieces_of_different_packets_are_kept_apart() {
    PacketNode::run_each(|node, net| {
        let policy = PolicyId(5);
        node.allow(policy, Identity::ANY, RuleId(1));
        node.pod(1, PodRow { ingress: policy, ..PodRow::default() });
        let pod = SocketAddr::new(net.pod(1), 999);
        let [first, later] = fragments(&udp(SocketAddr::new(net.remote(1), 53), pod, &[7; 61]), CUT);
        node.to_pod(1, &first).passed();
        node.to_pod(1, &later).passed();
        let foreign = with_addresses(&later, net.remote(2), net.pod(1));
        node.to_pod(1, &foreign).dropped(DropReason::FragmentWithoutFirst);
        let mut other = later.clone();
        // The last byte of the identification: at 5 in IPv4's header, at 7 in the extension header behind IPv6's.
        other[net.pick(5, 47)] ^= 1;
        let other = tests::packet::craft::sealed(other);
        node.to_pod(1, &other).dropped(DropReason::FragmentWithoutFirst);
        let mut icmp = later;
        icmp[net.pick(9, 40)] = net.pick(1, 58);
        let icmp = tests::packet::craft::sealed(icmp);
        node.to_pod(1, &icmp).dropped(DropReason::FragmentWithoutFirst);
    });
}
