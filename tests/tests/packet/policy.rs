//! What a policy says of a first packet.

use std::net::{IpAddr, SocketAddr};

use abi::{
    CidrKey, DropReason, FlowFlags, Identity, PolicyId, PortClassId, PortClassValue, Protocol, RuleId,
};
use lab::packet::{Build, TcpFlags};
use tests::packet::craft::{echo, tcp, udp};
use tests::packet::{Net, Outcome, PacketNode, PodRow};

const POLICY: PolicyId = PolicyId(5);
const FRIENDS: Identity = Identity(2);
const FOES: Identity = Identity(3);
const CLASS: PortClassId = PortClassId(4);

/// The direction that is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Egress,
    Ingress,
}

impl Side {
    const BOTH: [Self; 2] = [Self::Egress, Self::Ingress];

    /// Pod 1, isolated in this direction.
    fn isolate(self, node: &PacketNode, policy: PolicyId) {
        match self {
            Self::Egress => node.pod(1, PodRow { egress: policy, ..PodRow::default() }),
            Self::Ingress => node.pod(1, PodRow { ingress: policy, ..PodRow::default() }),
        };
    }

    fn denied(self) -> DropReason {
        match self {
            Self::Egress => DropReason::EgressDenied,
            Self::Ingress => DropReason::IngressDenied,
        }
    }

    /// From the pod to a peer, or from a peer to the pod.
    fn ends(self, net: Net, peer: IpAddr, port: u16) -> (SocketAddr, SocketAddr) {
        let (pod, peer) = (net.pod(1), peer);
        match self {
            Self::Egress => (SocketAddr::new(pod, 999), SocketAddr::new(peer, port)),
            Self::Ingress => (SocketAddr::new(peer, 999), SocketAddr::new(pod, port)),
        }
    }

    fn send(self, node: &PacketNode, packet: &[u8]) -> Outcome {
        match self {
            Self::Egress => node.from_pod(1, packet),
            Self::Ingress => node.to_pod(1, packet),
        }
    }
}

/// First packets of a conversation, by protocol. Those without ports have port 0.
fn openers(src: SocketAddr, dst: SocketAddr) -> Vec<(Protocol, Vec<u8>)> {
    let build = Build::new(src.ip(), dst.ip());
    let icmp = if src.is_ipv4() { 1 } else { 58 };
    let mut sctp = [src.port().to_be_bytes(), dst.port().to_be_bytes()].concat();
    sctp.extend([0; 28]);
    vec![
        (Protocol::TCP, tcp(src, dst, TcpFlags::SYN, b"")),
        (Protocol::UDP, udp(src, dst, b"?")),
        (Protocol::SCTP, build.with(132, &sctp)),
        (Protocol::new(icmp), echo(src.ip(), dst.ip(), 9, false)),
        (Protocol::new(50), build.with(50, &[0x5a; 24])),
    ]
}

/// What let the flow of an opener pass; `None` without a flow.
fn judged(
    node: &PacketNode,
    side: Side,
    src: SocketAddr,
    dst: SocketAddr,
    protocol: Protocol,
) -> Option<(u64, RuleId)> {
    let port = |at: SocketAddr, of_echo: u16| match protocol {
        Protocol::TCP | Protocol::UDP | Protocol::SCTP => at,
        _ => SocketAddr::new(at.ip(), of_echo),
    };
    let of_echo = if protocol.get() == 50 { 0 } else { 9 };
    let flow = node.flow(port(src, of_echo), port(dst, of_echo), protocol)?;
    let judged = if side == Side::Egress { flow.value.egress } else { flow.value.ingress };
    Some((judged.revision.0, judged.rule))
}

#[test]
fn an_open_pod_is_not_asked_about() {
    PacketNode::run_each(|node, net| {
        node.pod(1, PodRow::default());
        for side in Side::BOTH {
            let (src, dst) = side.ends(net, net.remote(1), 80);
            for (_, packet) in openers(src, dst) {
                side.send(node, &packet).untouched();
            }
        }
    });
}

#[test]
fn everything_or_nothing_passes_whatever_the_protocol() {
    PacketNode::run_each(|node, net| {
        for side in Side::BOTH {
            side.isolate(node, POLICY);
            node.revise(POLICY, 77);
            let (src, dst) = side.ends(net, net.remote(1), 80);
            node.deny(POLICY, Identity::ANY, RuleId(8));
            for (protocol, packet) in openers(src, dst) {
                side.send(node, &packet).dropped(side.denied());
                assert_eq!(judged(node, side, src, dst, protocol), None, "a flow of a dropped {protocol}");
            }
            node.allow(POLICY, Identity::ANY, RuleId(9));
            for (protocol, packet) in openers(src, dst) {
                side.send(node, &packet).passed();
                assert_eq!(judged(node, side, src, dst, protocol), Some((77, RuleId(9))), "{protocol}");
            }
            node.packet().clear_flows();
        }
    });
}

/// An exact row decides alone, else the row of any; exact addresses come before blocks, long blocks before short ones.
#[test]
fn the_peer_s_identity_chooses_the_row() {
    PacketNode::run_each(|node, net| {
        for side in Side::BOTH {
            side.isolate(node, POLICY);
            let block = |addr: IpAddr, v4, v6| CidrKey::new(addr.into(), net.bits(v4, v6));
            node.packet().put_block(block(net.remote(0), 24, 64), FRIENDS);
            node.packet().put_block(block(net.remote(8), 30, 126), FOES);
            node.packet().put_identity(net.remote(9).into(), FRIENDS);
            node.packet().put_identity(net.remote(3).into(), FOES);
            node.allow(POLICY, FRIENDS, RuleId(1));
            node.deny(POLICY, FOES, RuleId(2));
            node.deny(POLICY, Identity::ANY, RuleId(3));
            let passes = |peer| {
                let (src, dst) = side.ends(net, peer, 80);
                for (_, packet) in openers(src, dst) {
                    side.send(node, &packet).passed();
                }
            };
            let dropped = |peer| {
                let (src, dst) = side.ends(net, peer, 80);
                for (_, packet) in openers(src, dst) {
                    side.send(node, &packet).dropped(side.denied());
                }
            };
            passes(net.remote(1));
            passes(net.remote(9));
            dropped(net.remote(8));
            dropped(net.remote(3));
            dropped(net.client(1));
            // Whom no selector and no block matches has a row like others.
            node.allow(POLICY, Identity::WORLD, RuleId(4));
            passes(net.client(2));
            // Without rows of their own the row of any decides.
            node.packet().put_identity(net.client(3).into(), Identity(60));
            dropped(net.client(3));
            node.packet().clear();
        }
    });
}

/// The port that was dialled, by the longest prefix; what the class does not name is denied by the policy's default.
#[test]
fn a_port_class_decides_by_protocol_and_port() {
    PacketNode::run_each(|node, net| {
        for side in Side::BOTH {
            side.isolate(node, POLICY);
            node.by_port(POLICY, Identity::ANY, CLASS, RuleId(1));
            // 80; 8000 to 8191 but for 8080; every port of UDP; echoes.
            node.ports(CLASS, Protocol::TCP, (80, 16), PortClassValue::allow(RuleId(2)));
            node.ports(CLASS, Protocol::TCP, (8000, 10), PortClassValue::allow(RuleId(3)));
            node.ports(CLASS, Protocol::TCP, (8064, 9), PortClassValue::allow(RuleId(3)));
            node.ports(CLASS, Protocol::TCP, (8080, 16), PortClassValue::deny(RuleId(4)));
            node.ports(CLASS, Protocol::UDP, (0, 0), PortClassValue::allow(RuleId(5)));
            let syn = |port| {
                let (src, dst) = side.ends(net, net.remote(1), port);
                side.send(node, &tcp(src, dst, TcpFlags::SYN, b""))
            };
            for port in [80, 8000, 8063, 8064, 8079, 8081, 8191] {
                syn(port).passed();
            }
            for port in [0, 79, 81, 999, 7999, 8080, 8192, 65_535] {
                syn(port).dropped(side.denied());
            }
            for port in [1, 80, 65_535] {
                let (src, dst) = side.ends(net, net.remote(1), port);
                side.send(node, &udp(src, dst, b"?")).passed();
            }
            let (src, dst) = side.ends(net, net.remote(1), 80);
            side.send(node, &echo(src.ip(), dst.ip(), 80, false)).dropped(side.denied());
            let rule = |port, protocol| {
                let (src, dst) = side.ends(net, net.remote(1), port);
                judged(node, side, src, dst, protocol).expect("a flow").1
            };
            assert_eq!(rule(80, Protocol::TCP), RuleId(2));
            assert_eq!(rule(8191, Protocol::TCP), RuleId(3));
            assert_eq!(rule(65_535, Protocol::UDP), RuleId(5));
            node.packet().clear();
        }
    });
}

/// A row that could not be written, and a policy of which nothing could: closed, and counted apart.
#[test]
fn what_is_not_programmed_is_closed() {
    PacketNode::run_each(|node, net| {
        for side in Side::BOTH {
            for policy in [POLICY, PolicyId::CLOSED] {
                side.isolate(node, policy);
                let (src, dst) = side.ends(net, net.remote(1), 80);
                for (_, packet) in openers(src, dst) {
                    side.send(node, &packet).dropped(DropReason::PolicyNotProgrammed);
                }
            }
            // A class without rows denies; a row of an unknown kind too.
            side.isolate(node, POLICY);
            node.by_port(POLICY, Identity::ANY, CLASS, RuleId(1));
            let (src, dst) = side.ends(net, net.remote(1), 80);
            side.send(node, &tcp(src, dst, TcpFlags::SYN, b"")).dropped(side.denied());
            node.packet().clear();
        }
    });
}

#[test]
fn a_pod_isolated_in_one_direction_is_open_in_the_other() {
    PacketNode::run_each(|node, net| {
        for (isolated, open) in [(Side::Egress, Side::Ingress), (Side::Ingress, Side::Egress)] {
            isolated.isolate(node, POLICY);
            node.deny(POLICY, Identity::ANY, RuleId(1));
            let (src, dst) = open.ends(net, net.remote(1), 80);
            for (_, packet) in openers(src, dst) {
                open.send(node, &packet).passed();
            }
            node.packet().clear();
        }
    });
}

/// Each end by its own policy: the opener's egress and then the other's ingress.
#[test]
fn between_two_isolated_pods_both_must_allow() {
    PacketNode::run_each(|node, net| {
        let (egress, ingress) = (PolicyId(5), PolicyId(6));
        node.pod(1, PodRow { egress, ..PodRow::default() });
        node.pod(2, PodRow { ingress, ..PodRow::default() });
        node.revise(egress, 10);
        node.revise(ingress, 20);
        node.allow(egress, Identity::ANY, RuleId(1));
        node.deny(ingress, Identity::ANY, RuleId(2));
        let (src, dst) = (SocketAddr::new(net.pod(1), 999), SocketAddr::new(net.pod(2), 80));
        let syn = tcp(src, dst, TcpFlags::SYN, b"");
        node.from_pod(1, &syn).passed();
        node.to_pod(2, &syn).dropped(DropReason::IngressDenied);
        node.revise(ingress, 21);
        node.allow(ingress, Identity::ANY, RuleId(3));
        node.from_pod(1, &syn).passed();
        node.to_pod(2, &syn).passed();
        let value = node.flow(src, dst, Protocol::TCP).expect("a flow").value;
        assert_eq!((value.egress.revision.0, value.egress.rule), (10, RuleId(1)));
        assert_eq!((value.ingress.revision.0, value.ingress.rule), (21, RuleId(3)));
    });
}

/// By its address and a socket of its own. That an address alone does not do cannot be shown here: every packet of a
/// test run has a socket.
#[test]
fn the_pod_s_own_node_is_always_allowed_and_gets_answers() {
    PacketNode::run_each(|node, net| {
        let closed = PodRow { egress: PolicyId::CLOSED, ingress: PolicyId::CLOSED, ..PodRow::default() };
        node.pod(1, closed);
        for from in [net.node(), net.inner_node()] {
            let (src, dst) = (SocketAddr::new(from, 999), SocketAddr::new(net.pod(1), 80));
            for (_, packet) in openers(src, dst) {
                node.to_pod(1, &packet).passed();
            }
            let flow = node.flow(src, dst, Protocol::TCP).expect("a flow");
            assert!(flow.value.flags.has(FlowFlags::HOST));
            for answer in [
                tcp(dst, src, TcpFlags::SYN_ACK, b""),
                udp(dst, src, b"!"),
                echo(dst.ip(), src.ip(), 9, true),
            ] {
                node.from_pod(1, &answer).passed();
            }
        }
        // What nobody asked for is judged.
        let (src, dst) = (SocketAddr::new(net.pod(1), 80), SocketAddr::new(net.node(), 5));
        node.from_pod(1, &udp(src, dst, b"?")).dropped(DropReason::PolicyNotProgrammed);
        node.from_pod(1, &tcp(src, dst, TcpFlags::SYN, b"")).dropped(DropReason::PolicyNotProgrammed);
        let stranger = SocketAddr::new(net.router(), 999);
        node.to_pod(1, &udp(stranger, src, b"?")).dropped(DropReason::PolicyNotProgrammed);
    });
}

/// The policy is about the pod behind the VIP: address and port after translation.
#[test]
fn a_pod_that_opted_out_is_judged_by_the_backend() {
    PacketNode::run_each(|node, net| {
        let vip = SocketAddr::new(net.vip(1), 80);
        let pod = SocketAddr::new(net.pod(1), 999);
        let service = node.service(abi::ServiceFlags::default());
        let backend = SocketAddr::new(net.remote(1), 8080);
        let id = node.backend(service, backend, tests::packet::Where::Elsewhere);
        node.use_cluster(service, &[id]);
        node.frontend(vip, Protocol::TCP, abi::FrontendKind::ClusterIp, service);
        node.pod(1, PodRow { egress: POLICY, ..PodRow::opted_out() });
        node.packet().put_identity(backend.ip().into(), FRIENDS);
        node.by_port(POLICY, FRIENDS, CLASS, RuleId(1));
        node.deny(POLICY, Identity::ANY, RuleId(2));
        node.ports(CLASS, Protocol::TCP, (80, 16), PortClassValue::allow(RuleId(3)));
        let syn = tcp(pod, vip, TcpFlags::SYN, b"");
        let sent = tests::Counters::none().sent(service, id, 1).drops(DropReason::EgressDenied, 1);
        node.from_pod(1, &syn).dropped_with(&sent);
        node.revise(POLICY, 78);
        node.ports(CLASS, Protocol::TCP, (8080, 16), PortClassValue::allow(RuleId(4)));
        let expected = tests::packet::craft::readdressed(&syn, pod, backend);
        node.from_pod(1, &syn).became(&expected, &tests::Counters::none());
    });
}
