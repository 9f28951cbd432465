//! Services that cannot be reached: the client knows at once.

use std::net::SocketAddr;

use abi::{BackendState, DropReason, FrontendKind, Protocol, ServiceFlags};
use lab::packet::TcpFlags;
use tests::Counters;
use tests::packet::craft::{PORT_UNREACHABLE, error, quoted, reset_of, tcp, udp};
use tests::packet::{PacketNode, PodRow, Where};

use crate::scene::{ends, remote};

#[test]
fn a_service_without_endpoints_resets_tcp_and_says_unreachable_for_udp() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        let service = node.service(ServiceFlags::default());
        node.node_port(30_080, Protocol::TCP, service);
        node.node_port(30_080, Protocol::UDP, service);
        let refused = Counters::none().refused(service, 1).drops(DropReason::NoEndpoints, 1);

        for payload in [&b""[..], b"early"] {
            let syn = tcp(client, dialled, TcpFlags::SYN, payload);
            node.from_net(&syn).answered(&reset_of(&syn), &refused);
        }
        for payload in [&b""[..], b"?", &[7; 1300]] {
            let datagram = udp(client, dialled, payload);
            let answer = error(net.node(), net.client(1), PORT_UNREACHABLE, 0, quoted(&datagram));
            node.from_net(&datagram).answered(&answer, &refused);
        }
        assert!(node.packet().flows().is_empty());
    });
}

#[test]
fn a_pod_that_opted_out_is_refused_by_the_vip_too() {
    PacketNode::run_each(|node, net| {
        let vip = SocketAddr::new(net.vip(1), 80);
        let pod = SocketAddr::new(net.pod(1), 45_678);
        let service = node.service(ServiceFlags::default());
        node.frontend(vip, Protocol::TCP, FrontendKind::ClusterIp, service);
        node.frontend(vip, Protocol::UDP, FrontendKind::ClusterIp, service);
        node.pod(1, PodRow::opted_out());
        let refused = Counters::none().refused(service, 1).drops(DropReason::NoEndpoints, 1);
        let syn = tcp(pod, vip, TcpFlags::SYN, b"");
        node.from_pod(1, &syn).answered(&reset_of(&syn), &refused);
        let datagram = udp(pod, vip, b"?");
        let answer = error(vip.ip(), pod.ip(), PORT_UNREACHABLE, 0, quoted(&datagram));
        node.from_pod(1, &datagram).answered(&answer, &refused);
    });
}

#[test]
fn other_ports_of_a_cluster_ip_are_refused_and_unallocated_addresses_dropped() {
    PacketNode::run_each(|node, net| {
        let service = node.service(ServiceFlags::default());
        node.frontend(SocketAddr::new(net.vip(1), 80), Protocol::TCP, FrontendKind::ClusterIp, service);
        node.other_ports(net.vip(1));
        node.service_cidr();
        node.pod(1, PodRow::opted_out());
        let pod = SocketAddr::new(net.pod(1), 45_678);

        let unknown = Counters::none().drops(DropReason::UnknownServicePort, 1);
        let syn = tcp(pod, SocketAddr::new(net.vip(1), 81), TcpFlags::SYN, b"");
        node.from_pod(1, &syn).answered(&reset_of(&syn), &unknown);
        let datagram = udp(pod, SocketAddr::new(net.vip(1), 80), b"?");
        let answer = error(net.vip(1), pod.ip(), PORT_UNREACHABLE, 0, quoted(&datagram));
        node.from_pod(1, &datagram).answered(&answer, &unknown);

        for packet in [
            tcp(pod, SocketAddr::new(net.vip(2), 80), TcpFlags::SYN, b""),
            udp(pod, SocketAddr::new(net.vip(2), 53), b"?"),
        ] {
            node.from_pod(1, &packet).dropped(DropReason::UnallocatedServiceAddress);
        }
    });
}

#[test]
fn a_service_all_of_whose_backends_have_just_left_is_refused() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        let service = node.service(ServiceFlags::default());
        let id = node.backend(service, remote(net), Where::Elsewhere);
        node.put_backend(id, service, remote(net), Where::Elsewhere, BackendState::Gone);
        node.use_cluster(service, &[id]);
        node.node_port(30_080, Protocol::TCP, service);
        let syn = tcp(client, dialled, TcpFlags::SYN, b"");
        let refused = Counters::none().refused(service, 1).drops(DropReason::BackendsLeaving, 1);
        node.from_net(&syn).answered(&reset_of(&syn), &refused);
    });
}
