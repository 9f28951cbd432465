//! What is neither to a frontend nor of an isolated pod goes on as it was, and nothing remembers it.

use std::net::SocketAddr;

use abi::{FrontendKind, Hook, Protocol, ServiceFlags};
use lab::packet::{Build, TcpFlags};
use tests::packet::craft::{self, echo, tcp, udp};
use tests::packet::{Net, PacketNode, PodRow, Where};

/// Packets of all kinds between two addresses.
fn traffic(from: std::net::IpAddr, to: std::net::IpAddr) -> Vec<Vec<u8>> {
    let (src, dst) = (SocketAddr::new(from, 45_000), SocketAddr::new(to, 22));
    let syn = tcp(src, dst, TcpFlags::SYN, b"");
    let [first, later] = craft::fragments(&udp(src, dst, &[7; 40]), 16);
    vec![
        tcp(src, dst, TcpFlags::ACK, b"odd"),
        tcp(src, dst, TcpFlags::RST, b""),
        udp(src, dst, b"?"),
        echo(from, to, 7, false),
        echo(from, to, 7, true),
        Build::new(from, to).too_big(1400, &tcp(dst, src, TcpFlags::ACK, b"")),
        Build::new(from, to).with(50, &[0x5a; 64]),
        Build::new(from, to).with(132, &[0x5a; 64]),
        // Without its first one nobody knows whose the later is, and here nobody asks.
        later,
        first,
        craft::with_hops(&syn, 1),
        syn,
    ]
}

/// Services that a test's traffic does not dial.
fn some_services(node: &PacketNode, net: Net) {
    let service = node.service(ServiceFlags::default());
    let backend = node.backend(service, SocketAddr::new(net.remote(1), 8080), Where::Elsewhere);
    node.use_cluster(service, &[backend]);
    for protocol in [Protocol::TCP, Protocol::UDP] {
        node.node_port(30_080, protocol, service);
        node.frontend(SocketAddr::new(net.vip(1), 80), protocol, FrontendKind::ClusterIp, service);
    }
    node.other_ports(net.vip(1));
    node.service_cidr();
}

#[test]
fn traffic_of_the_node_and_between_others_passes_the_uplinks() {
    PacketNode::run_each(|node, net| {
        some_services(node, net);
        let pairs = [
            (net.client(1), net.node()),
            (net.client(1), net.pod(1)),
            (net.remote(1), net.pod(2)),
            (net.client(1), net.remote(1)),
        ];
        for (from, to) in pairs {
            for packet in traffic(from, to) {
                node.from_net(&packet).passed();
                node.from_inner(&packet).passed();
            }
            for packet in traffic(to, from) {
                node.to_net(&packet).passed();
                node.send(Hook::ToNet, node.links.inner, &packet).passed();
            }
        }
        assert!(node.packet().flows().is_empty());
    });
}

/// A pod that no policy isolates and whose sockets are translated costs no flow, whatever it talks to: the VIP too.
#[test]
fn traffic_of_pods_that_nothing_isolates_passes() {
    PacketNode::run_each(|node, net| {
        some_services(node, net);
        node.pod(1, PodRow::default());
        for peer in [net.client(1), net.remote(1), net.pod(2), net.node(), net.vip(1), net.vip(2)] {
            for packet in traffic(net.pod(1), peer) {
                node.from_pod(1, &packet).passed();
            }
            for packet in traffic(peer, net.pod(1)) {
                node.to_pod(1, &packet).passed();
            }
        }
        assert!(node.packet().flows().is_empty());
    });
}

/// Also where a frontend is dialled: no row in `DEVICES`, no work.
#[test]
fn interfaces_that_are_not_ours_pass_everything() {
    PacketNode::run_each(|node, net| {
        some_services(node, net);
        node.packet().delete_device(node.links.outer);
        let to = SocketAddr::new(net.node(), 30_080);
        let packet = tcp(SocketAddr::new(net.client(1), 45_000), to, TcpFlags::SYN, b"");
        for hook in Hook::ALL {
            node.send(hook, node.links.outer, &packet).untouched();
        }
    });
}

/// On every hook, and at an isolated pod too: policy is about IP.
#[test]
fn what_is_not_ip_passes() {
    PacketNode::run_each(|node, _| {
        node.pod(
            1,
            PodRow { egress: abi::PolicyId::CLOSED, ingress: abi::PolicyId::CLOSED, ..PodRow::default() },
        );
        // ARP, LLDP, VLAN, a length instead of a type.
        for ethertype in [0x0806u16, 0x88cc, 0x8100, 0x0040] {
            let frame = craft::frame(ethertype, &[0x45; 46]);
            for hook in Hook::ALL {
                for link in [node.links.outer, node.pod_link(1)] {
                    node.send_frame(hook, link, &frame, 0).untouched();
                }
            }
        }
    });
}

/// Packets that end anywhere behind the network header, which is all that a test run takes: load balancing fails open.
#[test]
fn malformed_packets_pass_where_no_policy_asks() {
    PacketNode::run_each(|node, net| {
        some_services(node, net);
        node.pod(1, PodRow::opted_out());
        let to = SocketAddr::new(net.vip(1), 80);
        let packet = tcp(SocketAddr::new(net.pod(1), 45_000), to, TcpFlags::SYN, b"");
        for len in net.header()..packet.len() {
            let frame = craft::frame(net.pick(craft::ETHERTYPE_V4, craft::ETHERTYPE_V6), &packet[..len]);
            for (hook, on) in [(Hook::FromNet, node.links.outer), (Hook::ToNet, node.links.outer)] {
                node.send_frame(hook, on, &frame, 0).untouched();
            }
            node.send_frame(Hook::FromPod, node.pod_link(1), &frame, 0).untouched();
            node.send_frame(Hook::ToPod, node.pod_link(1), &frame, 0).untouched();
        }
    });
}
