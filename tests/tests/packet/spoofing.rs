//! A pod sends with its own addresses only.

use std::net::{IpAddr, SocketAddr};

use abi::{DropReason, PodFlags};
use lab::packet::{Build, TcpFlags};
use tests::packet::craft::{echo, tcp, udp};
use tests::packet::{Net, PacketNode, PodRow};

fn addr(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn a_foreign_source_is_dropped_whoever_has_it() {
    PacketNode::run_each(|node, net| {
        node.pod(1, PodRow::default());
        node.pod(2, PodRow::default());
        let to = SocketAddr::new(net.remote(1), 80);
        let foreign = [
            net.pod(2),
            net.pod(3),
            net.remote(1),
            net.node(),
            net.client(1),
            net.vip(1),
            net.pick(addr("127.0.0.1"), addr("::1")),
            net.pick(addr("0.0.0.0"), addr("::")),
            net.pick(addr("169.254.1.1"), addr("fe80::1")),
        ];
        for from in foreign {
            let src = SocketAddr::new(from, 1000);
            for packet in [
                tcp(src, to, TcpFlags::SYN, b""),
                tcp(src, to, TcpFlags::ACK, b"x"),
                udp(src, to, b"?"),
                echo(from, to.ip(), 1, false),
                Build::new(from, to.ip()).with(50, &[0; 16]),
                Build::new(from, to.ip()).port_unreachable(&udp(to, src, b"?")),
            ] {
                node.from_pod(1, &packet).dropped(DropReason::SpoofedSource);
            }
        }
        node.from_pod(1, &udp(SocketAddr::new(net.pod(1), 1000), to, b"?")).untouched();
    });
}

/// Until the API says them, nobody knows a pod's addresses; it may already send.
#[test]
fn before_its_addresses_are_known_a_pod_sends_with_any() {
    PacketNode::run_each(|node, net| {
        node.pod(1, PodRow { flags: PodFlags::default(), ..PodRow::default() });
        let to = SocketAddr::new(net.remote(1), 80);
        node.from_pod(1, &udp(SocketAddr::new(net.pod(3), 1000), to, b"?")).untouched();
    });
}

/// A second address of the pod, as multi-homed pods have.
#[test]
fn each_of_a_pod_s_addresses_is_its_own() {
    PacketNode::run_each(|node, net| {
        let id = node.pod(1, PodRow::default());
        node.packet().put_local_pod(net.pod(3).into(), id);
        let to = SocketAddr::new(net.remote(1), 80);
        node.from_pod(1, &udp(SocketAddr::new(net.pod(3), 1000), to, b"?")).untouched();
    });
}

/// Without them a link does not work: neighbour and router discovery and group membership, from link-local addresses and
/// from none (ICMPv6 types 130 to 137 and 143). Even of a pod that may send nothing.
#[test]
fn discovery_comes_from_addresses_that_everybody_has() {
    PacketNode::run_each(|node, net| {
        if net == Net::V4 {
            return;
        }
        let closed = PodRow { egress: abi::PolicyId::CLOSED, ..PodRow::default() };
        node.pod(1, closed);
        let everybody = addr("ff02::1");
        for kind in (130..=137).chain([143]) {
            for from in [addr("fe80::42"), addr("::")] {
                let packet = Build::new(from, everybody).hop_limit(255).icmp(kind, 0, 0, &[0; 16]);
                node.from_pod(1, &packet).untouched();
            }
            let spoofed = Build::new(net.pod(2), everybody).hop_limit(255).icmp(kind, 0, 0, &[0; 16]);
            node.from_pod(1, &spoofed).dropped(DropReason::SpoofedSource);
        }
        for kind in [128, 129, 138, 144, 1, 2] {
            let packet = Build::new(addr("fe80::42"), everybody).icmp(kind, 0, 0, &[0; 48]);
            node.from_pod(1, &packet).dropped(DropReason::SpoofedSource);
        }
    });
}
