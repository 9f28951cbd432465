//! Pods whose sockets are not translated: their packets are, one by one.

use std::net::SocketAddr;

use abi::{FlowFlags, FrontendKind, PodFlags, Protocol, ServiceFlags};
use lab::packet::TcpFlags;
use tests::Counters;
use tests::packet::craft::{readdressed, source_port, udp, with_hops};
use tests::packet::{FlowTable, PacketNode, PodRow, Where};

use crate::scene::{PROTOCOLS, ends, local, packet, remote, serve};

fn pod(net: tests::packet::Net) -> SocketAddr {
    SocketAddr::new(net.pod(1), 45_678)
}

#[test]
fn a_pod_reaches_a_cluster_ip_and_the_reply_comes_from_there() {
    PacketNode::run_each(|node, net| {
        let (pod, vip) = (pod(net), SocketAddr::new(net.vip(1), 80));
        node.pod(1, PodRow::opted_out());
        let backends = [(remote(net), Where::Elsewhere), (SocketAddr::new(net.pod(2), 8080), Where::Here)];
        for (backend, place) in backends {
            for protocol in PROTOCOLS {
                let service = node.service(ServiceFlags::default());
                let id = node.backend(service, backend, place);
                node.use_cluster(service, &[id]);
                node.frontend(vip, protocol, FrontendKind::ClusterIp, service);
                let request = packet(protocol, pod, vip, TcpFlags::SYN);
                let sent = Counters::none().sent(service, id, 1);
                node.from_pod(1, &request).became(&readdressed(&request, pod, backend), &sent);
                let reply = packet(protocol, backend, pod, TcpFlags::SYN_ACK);
                // On its way from an uplink, or from the other pod's interface, it is nobody's yet.
                node.from_inner(&reply).untouched();
                node.to_pod(1, &reply).became(&readdressed(&reply, vip, pod), &Counters::none());
                let next = packet(protocol, pod, vip, TcpFlags::ACK);
                node.from_pod(1, &next).became(&readdressed(&next, pod, backend), &Counters::none());
                let flow = node.flow(pod, backend, protocol).expect("a flow");
                assert_eq!((flow.packets(), flow.table), ((2, 1), FlowTable::Answered));
                assert_eq!(flow.value.ifindex, node.pod_link(1));
                node.packet().clear_flows();
            }
        }
    });
}

#[test]
fn a_pod_reaches_a_node_port_of_its_node() {
    PacketNode::run_each(|node, net| {
        let (pod, (_, dialled)) = (pod(net), ends(net));
        node.pod(1, PodRow::opted_out());
        let (service, id) = serve(node, Protocol::TCP, remote(net), Where::Elsewhere);
        let request = packet(Protocol::TCP, pod, dialled, TcpFlags::SYN);
        let sent = Counters::none().sent(service, id, 1);
        node.from_pod(1, &request).became(&readdressed(&request, pod, remote(net)), &sent);
        let reply = packet(Protocol::TCP, remote(net), pod, TcpFlags::SYN_ACK);
        node.to_pod(1, &reply).became(&readdressed(&reply, dialled, pod), &Counters::none());
    });
}

/// `externalTrafficPolicy: Local` is for those outside; `internalTrafficPolicy: Local` is not.
#[test]
fn traffic_policies_hold_as_at_sockets() {
    PacketNode::run_each(|node, net| {
        let pod = pod(net);
        node.pod(1, PodRow::opted_out());
        let flags = ServiceFlags::EXTERNAL_LOCAL.with(ServiceFlags::INTERNAL_LOCAL);
        let service = node.service(flags);
        let here = SocketAddr::new(net.pod(2), 8080);
        let away = node.backend(service, remote(net), Where::Elsewhere);
        let near = node.backend(service, here, Where::Here);
        node.use_cluster(service, &[away]);
        node.use_local(service, &[near]);
        let kinds = [
            (FrontendKind::ClusterIp, near, here),
            (FrontendKind::ExternalIp, away, remote(net)),
            (FrontendKind::LoadBalancer, away, remote(net)),
        ];
        for (i, (kind, id, backend)) in (1..).zip(kinds) {
            let vip = SocketAddr::new(net.vip(i), 80);
            node.frontend(vip, Protocol::UDP, kind, service);
            let request = udp(SocketAddr::new(pod.ip(), 1000 + u16::from(i)), vip, b"?");
            let expected = readdressed(&request, SocketAddr::new(pod.ip(), 1000 + u16::from(i)), backend);
            node.from_pod(1, &request).became(&expected, &Counters::none().sent(service, id, 1));
        }
    });
}

/// The pod must not see its own address as the sender: it comes from the node, and the reply goes back through it.
#[test]
fn a_pod_reaches_itself_through_its_service() {
    PacketNode::run_each(|node, net| {
        let (pod, vip) = (pod(net), SocketAddr::new(net.vip(1), 80));
        node.pod(1, PodRow::opted_out());
        for protocol in PROTOCOLS {
            let service = node.service(ServiceFlags::default());
            let id = node.backend(service, local(net), Where::Here);
            node.use_cluster(service, &[id]);
            node.frontend(vip, protocol, FrontendKind::ClusterIp, service);
            let request = packet(protocol, pod, vip, TcpFlags::SYN);
            let outcome = node.from_pod(1, &request);
            let source = SocketAddr::new(net.node(), source_port(outcome.packet()));
            assert!(source.port() >= 40_000, "{source}");
            let expected = with_hops(&readdressed(&request, source, local(net)), 63);
            outcome.left_as(&expected, &Counters::none().sent(service, id, 1));
            node.to_pod(1, &expected).passed();

            let reply = packet(protocol, local(net), source, TcpFlags::SYN_ACK);
            let expected = with_hops(&readdressed(&reply, vip, pod), 63);
            node.from_pod(1, &reply).left_as(&expected, &Counters::none());
            node.to_pod(1, &expected).passed();
            let next = packet(protocol, pod, vip, TcpFlags::ACK);
            let expected = with_hops(&readdressed(&next, source, local(net)), 63);
            node.from_pod(1, &next).left_as(&expected, &Counters::none());
            let flow = node.flow(source, local(net), protocol).expect("a flow");
            assert!(flow.value.flags.has(FlowFlags::SNAT));
        }
    });
}

/// Its pod's entry says so, nothing else: a row that is no pod's any more, or one that is translated at its sockets.
#[test]
fn only_pods_that_opted_out_are_balanced_by_packet() {
    PacketNode::run_each(|node, net| {
        let (pod, vip) = (pod(net), SocketAddr::new(net.vip(1), 80));
        let service = node.service(ServiceFlags::default());
        let id = node.backend(service, remote(net), Where::Elsewhere);
        node.use_cluster(service, &[id]);
        node.frontend(vip, Protocol::UDP, FrontendKind::ClusterIp, service);
        let request = udp(pod, vip, b"?");
        node.pod(1, PodRow::default());
        node.from_pod(1, &request).untouched();
        let row = node
            .pod(1, PodRow { flags: PodFlags::NO_SOCKET_LB.with(PodFlags::PER_PACKET), ..PodRow::default() });
        let gone = abi::PodEntry {
            flags: PodFlags::NO_SOCKET_LB.with(PodFlags::PER_PACKET),
            ..abi::PodEntry::gone(abi::Generation(1))
        };
        node.packet().put_pod(row, gone);
        node.from_pod(1, &request).untouched();
        node.pod(1, PodRow::opted_out());
        let sent = Counters::none().sent(service, id, 1);
        node.from_pod(1, &request).became(&readdressed(&request, pod, remote(net)), &sent);
    });
}
