//! What a drop tells who listens.

use std::net::SocketAddr;

use abi::{DropEvent, DropReason, Hook, Identity, PodId, PolicyId, Protocol, RuleId};
use lab::packet::TcpFlags;
use tests::packet::craft::{tcp, udp};
use tests::packet::{PacketNode, PodRow, Where};

use crate::scene::ends;

const POLICY: PolicyId = PolicyId(5);

/// Reason, hook, interface, pod and rule; then who, and to whom.
type Told = (u32, u8, u32, PodId, RuleId, (SocketAddr, SocketAddr, Protocol), u32);

fn told(event: &DropEvent) -> Told {
    let at = |addr: abi::Addr, port: abi::Port| SocketAddr::new(addr.into(), port.get());
    (
        event.reason,
        event.hook,
        event.ifindex.0,
        event.pod,
        event.rule,
        (at(event.src, event.src_port), at(event.dst, event.dst_port), event.protocol),
        event.len,
    )
}

#[test]
fn a_denied_packet_names_pod_rule_and_ends() {
    PacketNode::run_each(|node, net| {
        let id = node.pod(1, PodRow { egress: POLICY, ingress: POLICY, ..PodRow::default() });
        node.deny(POLICY, Identity::ANY, RuleId(8));
        let (pod, peer) = (SocketAddr::new(net.pod(1), 999), SocketAddr::new(net.remote(1), 80));
        let (out, back) = (tcp(pod, peer, TcpFlags::SYN, b""), udp(peer, pod, b"?"));
        node.from_pod(1, &out).dropped(DropReason::EgressDenied);
        assert!(node.packet().events().is_empty(), "nobody listens");
        node.packet().listen(true);
        node.from_pod(1, &out).dropped(DropReason::EgressDenied);
        node.to_pod(1, &back).dropped(DropReason::IngressDenied);
        let link = node.pod_link(1).0;
        let expected: [Told; 2] = [
            (
                DropReason::EgressDenied as u32,
                Hook::FromPod as u8,
                link,
                id,
                RuleId(8),
                (pod, peer, Protocol::TCP),
                out.len() as u32,
            ),
            (
                DropReason::IngressDenied as u32,
                Hook::ToPod as u8,
                link,
                id,
                RuleId(8),
                (peer, pod, Protocol::UDP),
                back.len() as u32,
            ),
        ];
        assert_eq!(node.packet().events().iter().map(told).collect::<Vec<_>>(), expected);
    });
}

/// The policy was asked about the backend: so the event is about the backend.
#[test]
fn a_packet_that_was_to_be_translated_names_where_it_would_have_gone() {
    PacketNode::run_each(|node, net| {
        let (pod, vip) = (SocketAddr::new(net.pod(1), 999), SocketAddr::new(net.vip(1), 80));
        let id = node.pod(1, PodRow { egress: POLICY, ..PodRow::opted_out() });
        node.deny(POLICY, Identity::ANY, RuleId(8));
        let service = node.service(abi::ServiceFlags::default());
        let backend = SocketAddr::new(net.remote(1), 8080);
        let backend_id = node.backend(service, backend, Where::Elsewhere);
        node.use_cluster(service, &[backend_id]);
        node.frontend(vip, Protocol::UDP, abi::FrontendKind::ClusterIp, service);
        node.packet().listen(true);
        let datagram = udp(pod, vip, b"?");
        node.from_pod(1, &datagram);
        let expected = (
            DropReason::EgressDenied as u32,
            Hook::FromPod as u8,
            node.pod_link(1).0,
            id,
            RuleId(8),
            (pod, backend, Protocol::UDP),
            datagram.len() as u32,
        );
        assert_eq!(node.packet().events().iter().map(told).collect::<Vec<_>>(), [expected]);
    });
}

/// Drops that no policy decided, and packets of which nothing is known.
#[test]
fn other_drops_name_nobody() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        node.packet().listen(true);
        let service = node.service(abi::ServiceFlags::EXTERNAL_LOCAL);
        let away = node.backend(service, SocketAddr::new(net.remote(1), 80), Where::Elsewhere);
        node.use_cluster(service, &[away]);
        node.node_port(30_080, Protocol::TCP, service);
        let syn = tcp(client, dialled, TcpFlags::SYN, b"");
        node.from_net(&syn);
        let event = told(&node.packet().events()[0]);
        let reason = DropReason::NoLocalEndpoint as u32;
        let who = (client, dialled, Protocol::TCP);
        let expected = (
            reason,
            Hook::FromNet as u8,
            node.links.outer.0,
            PodId::NONE,
            RuleId::NONE,
            who,
            syn.len() as u32,
        );
        assert_eq!(event, expected);

        node.pod(1, PodRow { egress: POLICY, ..PodRow::default() });
        let cut = &udp(SocketAddr::new(net.pod(1), 999), client, b"")[..net.header() + 7];
        node.from_pod(1, cut).dropped(DropReason::Malformed);
        let nobody = SocketAddr::new(std::net::Ipv6Addr::UNSPECIFIED.into(), 0);
        let who = (nobody, nobody, Protocol::ANY);
        let (_, hook, _, pod, rule, ends, _) = told(&node.packet().events()[0]);
        assert_eq!((hook, pod, rule, ends), (Hook::FromPod as u8, PodId::NONE, RuleId::NONE, who));
    });
}
