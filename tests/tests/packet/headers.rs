//! Headers between the network's and the transport's, and headers that lie.

use std::net::{IpAddr, SocketAddr};

use abi::{DropReason, Identity, PolicyId, PortClassId, PortClassValue, Protocol, RuleId};
use lab::packet::TcpFlags;
use tests::Counters;
use tests::packet::craft::{readdressed, sealed, tcp, udp, with_hops};
use tests::packet::{Net, PacketNode, PodRow, Where};

use crate::scene::{PROTOCOLS, ends, local, packet, remote, serve, source};

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

/// The packet with `len` bytes (a multiple of eight) in front of its transport header: IPv4 options, which are four
/// times no operation a row, or an IPv6 extension header of this kind with padding.
fn with_options(packet: &[u8], kind: u8, len: usize) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if packet[0] >> 4 == 4 {
        let header = usize::from(packet[0] & 15) * 4;
        packet.splice(header..header, std::iter::repeat_n(1, len));
        packet[0] += (len / 4) as u8;
        let total = packet.len() as u16;
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        return sealed(packet);
    }
    // PadN; a routing header of type 4 with no segments left.
    let mut header = vec![packet[6], (len / 8 - 1) as u8];
    header.extend(if kind == ROUTING { [4, 0] } else { [1, (len - 4) as u8] });
    header.resize(len, 0);
    if kind == FRAGMENT {
        // An atomic fragment: whole, in the first and last piece (RFC 6946).
        header = vec![packet[6], 0, 0, 0, 1, 2, 3, 4];
    }
    packet.splice(40..40, header);
    packet[6] = kind;
    let payload = (packet.len() - 40) as u16;
    packet[4..6].copy_from_slice(&payload.to_be_bytes());
    sealed(packet)
}

/// Every way of putting options in that a family has.
fn variants(net: Net, packet: &[u8]) -> Vec<Vec<u8>> {
    let with = |kind, len| with_options(packet, kind, len);
    match net {
        Net::V4 => vec![with(0, 8), with(0, 24), with(0, 40)],
        Net::V6 => vec![
            with(HOP_BY_HOP, 8),
            with(DESTINATION, 24),
            with(ROUTING, 8),
            with(FRAGMENT, 8),
            with_options(&with(DESTINATION, 8), HOP_BY_HOP, 64),
            with_options(&with_options(&with(FRAGMENT, 8), ROUTING, 24), HOP_BY_HOP, 8),
        ],
    }
}

#[test]
fn options_and_extensions_go_along_unchanged() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        for protocol in PROTOCOLS {
            let (service, id) = serve(node, protocol, local(net), Where::Here);
            let mut sent = Counters::none().sent(service, id, 1);
            let request = packet(protocol, client, dialled, TcpFlags::SYN);
            let translated = readdressed(&request, client, local(net));
            for (request, expected) in variants(net, &request).iter().zip(variants(net, &translated)) {
                node.from_net(request).became(&expected, &sent);
                sent = Counters::none();
            }
            let reply = packet(protocol, local(net), client, TcpFlags::ACK);
            let translated = readdressed(&reply, dialled, client);
            for (reply, expected) in variants(net, &reply).iter().zip(variants(net, &translated)) {
                node.to_net(reply).became(&expected, &sent);
            }
        }
    });
}

#[test]
fn options_and_extensions_go_along_when_redirected() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        serve(node, Protocol::TCP, remote(net), Where::Elsewhere);
        let syn = tcp(client, dialled, TcpFlags::SYN, b"");
        let source = source(net, &node.from_net(&syn));
        let request = tcp(client, dialled, TcpFlags::ACK, b"odd");
        let translated = with_hops(&readdressed(&request, source, remote(net)), 63);
        for (request, expected) in variants(net, &request).iter().zip(variants(net, &translated)) {
            node.from_net(request).left_as(&expected, &Counters::none());
        }
    });
}

/// The port that counts is the one behind the options, not what lies where it would be without.
#[test]
fn policy_sees_through_options_and_extensions() {
    PacketNode::run_each(|node, net| {
        let (policy, class) = (PolicyId(5), PortClassId(1));
        node.by_port(policy, Identity::ANY, class, RuleId(1));
        node.ports(class, Protocol::TCP, (80, 16), PortClassValue::allow(RuleId(2)));
        node.pod(1, PodRow { egress: policy, ingress: policy, ..PodRow::default() });
        let (pod, peer) = (SocketAddr::new(net.pod(1), 999), |port| SocketAddr::new(net.remote(1), port));
        for denied in variants(net, &tcp(pod, peer(81), TcpFlags::SYN, b"")) {
            node.from_pod(1, &denied).dropped(DropReason::EgressDenied);
        }
        for allowed in variants(net, &tcp(pod, peer(80), TcpFlags::SYN, b"")) {
            node.from_pod(1, &allowed).passed();
        }
        for reply in variants(net, &tcp(peer(80), pod, TcpFlags::SYN_ACK, b"")) {
            node.to_pod(1, &reply).passed();
        }
    });
}

/// Packets that nobody can be sure about, each with one lie; they are between the pod and a peer.
fn lies(net: Net, from: IpAddr, to: IpAddr) -> Vec<(&'static str, Vec<u8>)> {
    let (src, dst) = (SocketAddr::new(from, 999), SocketAddr::new(to, 80));
    let (syn, datagram) = (tcp(src, dst, TcpFlags::SYN, b""), udp(src, dst, b"four"));
    let l4 = net.header();
    let edit = |packet: &[u8], at: usize, byte: u8| {
        let mut packet = packet.to_vec();
        packet[at] = byte;
        packet
    };
    let mut lies = vec![
        ("another version", edit(&syn, 0, net.pick(0x65, 0x42))),
        ("a TCP header of four bytes", edit(&syn, l4 + 12, 1 << 4)),
        ("a TCP header cut off", syn[..l4 + 19].to_vec()),
        ("ports cut off", datagram[..l4 + 7].to_vec()),
        ("longer than the frame", edit(&datagram, net.pick(3, 5), 0xff)),
        ("an end before the transport's", edit(&syn, net.pick(3, 5), net.pick(39, 19))),
        ("an end within the datagram's header", edit(&datagram, net.pick(3, 5), net.pick(27, 7))),
    ];
    match net {
        Net::V4 => {
            lies.push(("a header of four rows", edit(&syn, 0, 0x44)));
            lies.push(("a header longer than the packet", edit(&datagram, 0, 0x4f)));
            lies.push(("an end within the header", edit(&syn, 3, 19)));
            let mut tiny = syn;
            tiny[6..8].copy_from_slice(&[0, 1]);
            lies.push(("a fragment that overwrites the TCP header", tiny));
        }
        Net::V6 => {
            let mut routed = with_options(&syn, ROUTING, 8);
            routed[43] = 1;
            lies.push(("segments left", routed));
            let mut many = datagram;
            for _ in 0..7 {
                many = with_options(&many, DESTINATION, 8);
            }
            lies.push(("seven extension headers", many));
            let mut endless = with_options(&syn, DESTINATION, 8);
            endless[41] = 0xff;
            lies.push(("an extension longer than the packet", endless));
            let nested = with_options(&syn, FRAGMENT, 8);
            let mut nested = with_options(&nested, FRAGMENT, 8);
            nested[43] = 1;
            nested[51] = 1;
            lies.push(("a fragment of a fragment", nested));
        }
    }
    lies
}

#[test]
fn malformed_packets_of_isolated_pods_are_dropped() {
    PacketNode::run_each(|node, net| {
        let policy = PolicyId(5);
        node.allow(policy, Identity::ANY, RuleId(1));
        for row in
            [PodRow { egress: policy, ..PodRow::default() }, PodRow { ingress: policy, ..PodRow::default() }]
        {
            node.pod(1, row);
            for (what, packet) in lies(net, net.pod(1), net.remote(1)) {
                let outcome = send(node, net, abi::Hook::FromPod, &packet);
                assert_eq!(outcome.counted, Counters::none().drops(DropReason::Malformed, 1), "{what}");
                outcome.dropped(DropReason::Malformed);
            }
            for (what, packet) in lies(net, net.remote(1), net.pod(1)) {
                let outcome = send(node, net, abi::Hook::ToPod, &packet);
                assert_eq!(outcome.counted, Counters::none().drops(DropReason::Malformed, 1), "{what}");
                outcome.dropped(DropReason::Malformed);
            }
        }
        assert!(node.packet().flows().is_empty() && node.packet().fragments().is_empty());
    });
}

#[test]
fn malformed_packets_of_others_are_untouched() {
    PacketNode::run_each(|node, net| {
        serve(node, Protocol::TCP, local(net), Where::Here);
        serve(node, Protocol::UDP, local(net), Where::Here);
        node.pod(1, PodRow::opted_out());
        for (_, packet) in lies(net, net.pod(1), net.remote(1)) {
            send(node, net, abi::Hook::FromPod, &packet).untouched();
        }
        for (_, packet) in lies(net, net.client(1), net.node()) {
            for hook in [abi::Hook::FromNet, abi::Hook::ToNet, abi::Hook::ToPod] {
                send(node, net, hook, &packet).untouched();
            }
        }
    });
}

/// With the family that the link layer says, whatever the version field says.
fn send(node: &PacketNode, net: Net, hook: abi::Hook, packet: &[u8]) -> tests::packet::Outcome {
    use tests::packet::craft;
    let frame = craft::frame(net.pick(craft::ETHERTYPE_V4, craft::ETHERTYPE_V6), packet);
    let link = match hook {
        abi::Hook::FromPod | abi::Hook::ToPod => node.pod_link(1),
        abi::Hook::FromNet | abi::Hook::ToNet => node.links.outer,
    };
    node.send_frame(hook, link, &frame, 0)
}

/// An IPv4 address in IPv6's clothes would be taken for the IPv4 peer.
#[test]
fn a_mapped_address_is_nobody_s() {
    PacketNode::run_each(|node, net| {
        if net == Net::V4 {
            return;
        }
        let policy = PolicyId(5);
        node.allow(policy, Identity::ANY, RuleId(1));
        node.pod(1, PodRow { egress: policy, ingress: policy, ..PodRow::default() });
        let mapped: IpAddr = "::ffff:10.244.2.1".parse().expect("an address");
        let (pod, peer) = (SocketAddr::new(net.pod(1), 999), SocketAddr::new(mapped, 80));
        node.from_pod(1, &udp(pod, peer, b"?")).dropped(DropReason::Malformed);
        node.to_pod(1, &udp(peer, pod, b"?")).dropped(DropReason::Malformed);
    });
}

/// Short frames are padded to sixty bytes: what follows the packet is no part of it.
#[test]
fn padding_is_left_alone() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        let (service, id) = serve(node, Protocol::UDP, local(net), Where::Here);
        let request = udp(client, dialled, b"odd");
        let padded = [&request, &[0xee; 17][..]].concat();
        let expected = [&readdressed(&request, client, local(net)), &[0xee; 17][..]].concat();
        node.from_net(&padded).became(&expected, &Counters::none().sent(service, id, 1));
    });
}
