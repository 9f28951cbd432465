//! Policies and conversations under way.

use std::net::SocketAddr;

use abi::{
    DropReason, FlowFlags, FrontendKind, Identity, PolicyId, PortClassId, PortClassValue, Protocol, RuleId,
};
use lab::packet::{Build, TcpFlags};
use tests::Counters;
use tests::packet::craft::{echo, source_port, tcp, udp, with_hops};
use tests::packet::{FlowTable, Net, PacketNode, PodRow, Where};

use crate::scene::{local, packet, serve};

const EGRESS: PolicyId = PolicyId(5);
const INGRESS: PolicyId = PolicyId(6);

fn isolated() -> PodRow {
    PodRow { egress: EGRESS, ingress: INGRESS, ..PodRow::default() }
}

/// The pod's end and a peer's.
fn ends(net: Net) -> (SocketAddr, SocketAddr) {
    (SocketAddr::new(net.pod(1), 999), SocketAddr::new(net.remote(1), 80))
}

#[test]
fn replies_pass_with_the_conversation_whatever_their_own_direction_says() {
    PacketNode::run_each(|node, net| {
        let (pod, peer) = ends(net);
        node.pod(1, isolated());
        node.deny(INGRESS, Identity::ANY, RuleId(1));
        node.allow(EGRESS, Identity::ANY, RuleId(2));
        for protocol in [Protocol::TCP, Protocol::UDP] {
            let answer = packet(protocol, peer, pod, TcpFlags::SYN_ACK);
            node.to_pod(1, &packet(protocol, peer, pod, TcpFlags::SYN)).dropped(DropReason::IngressDenied);
            node.from_pod(1, &packet(protocol, pod, peer, TcpFlags::SYN)).passed();
            node.to_pod(1, &answer).passed();
            node.from_pod(1, &packet(protocol, pod, peer, TcpFlags::ACK)).passed();
            let flow = node.flow(pod, peer, protocol).expect("a flow");
            assert_eq!((flow.packets(), flow.table), ((2, 1), FlowTable::Answered));
            // Another port of the same peer is another conversation.
            let other = SocketAddr::new(peer.ip(), 81);
            node.to_pod(1, &packet(protocol, other, pod, TcpFlags::SYN)).dropped(DropReason::IngressDenied);
        }
        node.from_pod(1, &echo(pod.ip(), peer.ip(), 7, false)).passed();
        node.to_pod(1, &echo(peer.ip(), pod.ip(), 7, true)).passed();
        node.to_pod(1, &echo(peer.ip(), pod.ip(), 8, false)).dropped(DropReason::IngressDenied);
    });
}

/// The next packet of either end meets the new rules; other peers' conversations under the same policy go on.
#[test]
fn a_new_deny_cuts_what_it_forbids_and_nothing_else() {
    PacketNode::run_each(|node, net| {
        let (pod, foe) = ends(net);
        let friend = SocketAddr::new(net.remote(2), 80);
        for (i, protocol) in (1..).zip([Protocol::TCP, Protocol::UDP]) {
            node.pod(1, isolated());
            node.revise(EGRESS, 10 * i);
            node.packet().put_identity(foe.ip().into(), Identity(2));
            node.allow(EGRESS, Identity::ANY, RuleId(1));
            node.allow(EGRESS, Identity(2), RuleId(1));
            node.deny(INGRESS, Identity::ANY, RuleId(2));
            for peer in [foe, friend] {
                node.from_pod(1, &packet(protocol, pod, peer, TcpFlags::SYN)).passed();
                node.to_pod(1, &packet(protocol, peer, pod, TcpFlags::SYN_ACK)).passed();
            }
            node.deny(EGRESS, Identity(2), RuleId(3));
            // Nobody has said that the policy means something else: established conversations cost no verdict.
            node.from_pod(1, &packet(protocol, pod, foe, TcpFlags::ACK)).passed();
            node.revise(EGRESS, 10 * i + 1);
            node.to_pod(1, &packet(protocol, foe, pod, TcpFlags::ACK)).dropped(DropReason::EgressDenied);
            node.from_pod(1, &packet(protocol, pod, foe, TcpFlags::ACK)).dropped(DropReason::EgressDenied);
            node.to_pod(1, &packet(protocol, friend, pod, TcpFlags::ACK)).passed();
            node.from_pod(1, &packet(protocol, pod, friend, TcpFlags::ACK)).passed();
            let judged = node.flow(pod, friend, protocol).expect("a flow").value.egress;
            assert_eq!(judged.revision.0, 10 * i + 1);

            // Allowed again, the conversation goes on where it was.
            node.allow(EGRESS, Identity(2), RuleId(4));
            node.revise(EGRESS, 10 * i + 2);
            node.to_pod(1, &packet(protocol, foe, pod, TcpFlags::ACK)).passed();
            assert_eq!(node.flow(pod, foe, protocol).expect("a flow").value.egress.rule, RuleId(4));
        }
    });
}

#[test]
fn a_conversation_that_came_in_is_cut_by_ingress_in_both_directions() {
    PacketNode::run_each(|node, net| {
        let (pod, peer) = ends(net);
        node.pod(1, isolated());
        node.revise(INGRESS, 10);
        node.allow(INGRESS, Identity::ANY, RuleId(1));
        node.deny(EGRESS, Identity::ANY, RuleId(2));
        node.to_pod(1, &tcp(peer, pod, TcpFlags::SYN, b"")).passed();
        node.from_pod(1, &tcp(pod, peer, TcpFlags::SYN_ACK, b"")).passed();
        // Of the other direction's policy it takes no notice.
        node.revise(EGRESS, 99);
        node.from_pod(1, &tcp(pod, peer, TcpFlags::ACK, b"")).passed();
        node.deny(INGRESS, Identity::ANY, RuleId(3));
        node.revise(INGRESS, 11);
        node.from_pod(1, &tcp(pod, peer, TcpFlags::ACK, b"")).dropped(DropReason::IngressDenied);
        node.to_pod(1, &tcp(peer, pod, TcpFlags::ACK, b"")).dropped(DropReason::IngressDenied);
    });
}

/// Other labels, another policy id, with a revision of its own: the same as a new meaning.
#[test]
fn a_pod_that_gets_another_policy_is_judged_by_it_at_once() {
    PacketNode::run_each(|node, net| {
        let (pod, peer) = ends(net);
        let (open, closed) = (PolicyId(7), PolicyId(8));
        node.revise(open, 100);
        node.revise(closed, 101);
        node.allow(open, Identity::ANY, RuleId(1));
        node.deny(closed, Identity::ANY, RuleId(2));
        let with = |egress| node.put_pod(1, PodRow { egress, ..PodRow::default() });
        node.pod(1, PodRow { egress: open, ..PodRow::default() });
        node.from_pod(1, &udp(pod, peer, b"?")).passed();
        node.to_pod(1, &udp(peer, pod, b"!")).passed();
        with(closed);
        node.to_pod(1, &udp(peer, pod, b"!")).dropped(DropReason::EgressDenied);
        node.from_pod(1, &udp(pod, peer, b"?")).dropped(DropReason::EgressDenied);
        with(open);
        node.from_pod(1, &udp(pod, peer, b"?")).passed();
        // Isolated in the other direction only: open in this one.
        node.put_pod(1, PodRow { ingress: closed, ..PodRow::default() });
        node.to_pod(1, &udp(peer, pod, b"!")).passed();
        // A pod that nothing isolates any more.
        with(PolicyId::NONE);
        node.to_pod(1, &udp(peer, pod, b"!")).passed();
    });
}

/// From before attach, or of a flow that a full table lost: whichever end opened it, the orientation that policy passes
/// is taken, and the whole connection lives on.
#[test]
fn tcp_from_the_middle_is_adopted_the_way_round_that_policy_passes() {
    PacketNode::run_each(|node, net| {
        let (pod, peer) = ends(net);
        let data = |from, to| tcp(from, to, TcpFlags::ACK, b"data");
        for pod_opened in [true, false] {
            let (egress, ingress) = if pod_opened { (80, 1) } else { (1, 999) };
            for first_from_pod in [true, false] {
                node.pod(1, isolated());
                node.by_port(EGRESS, Identity::ANY, PortClassId(1), RuleId(1));
                node.by_port(INGRESS, Identity::ANY, PortClassId(2), RuleId(2));
                node.ports(PortClassId(1), Protocol::TCP, (egress, 16), PortClassValue::allow(RuleId(3)));
                node.ports(PortClassId(2), Protocol::TCP, (ingress, 16), PortClassValue::allow(RuleId(4)));
                if first_from_pod {
                    node.from_pod(1, &data(pod, peer)).passed();
                }
                node.to_pod(1, &data(peer, pod)).passed();
                node.from_pod(1, &data(pod, peer)).passed();
                let flow = node.flow(pod, peer, Protocol::TCP).expect("a flow");
                assert!(flow.value.flags.has(FlowFlags::ADOPTED));
                let rules = (flow.value.egress.rule, flow.value.ingress.rule);
                let expected = if pod_opened { (RuleId(3), RuleId::NONE) } else { (RuleId::NONE, RuleId(4)) };
                assert_eq!(rules, expected, "pod opened: {pod_opened}, first from pod: {first_from_pod}");
                node.packet().clear();
            }
        }
    });
}

#[test]
fn tcp_from_the_middle_is_dropped_if_neither_way_round_passes() {
    PacketNode::run_each(|node, net| {
        let (pod, peer) = ends(net);
        node.pod(1, isolated());
        node.deny(EGRESS, Identity::ANY, RuleId(1));
        node.deny(INGRESS, Identity::ANY, RuleId(2));
        for flags in [TcpFlags::ACK, TcpFlags::SYN_ACK, TcpFlags::FIN, TcpFlags::RST, TcpFlags(0)] {
            node.from_pod(1, &tcp(pod, peer, flags, b"")).dropped(DropReason::IngressDenied);
            node.to_pod(1, &tcp(peer, pod, flags, b"")).dropped(DropReason::EgressDenied);
        }
        // A SYN is the opener's, and judged one way only.
        node.from_pod(1, &tcp(pod, peer, TcpFlags::SYN, b"")).dropped(DropReason::EgressDenied);
        node.to_pod(1, &tcp(peer, pod, TcpFlags::SYN, b"")).dropped(DropReason::IngressDenied);
        assert!(node.packet().flows().is_empty());
    });
}

/// A datagram says nothing of who began: without a flow it is taken for the first. So is what has no ports.
#[test]
fn datagrams_are_judged_as_the_first() {
    PacketNode::run_each(|node, net| {
        let (pod, peer) = ends(net);
        node.pod(1, isolated());
        for (allowed, denied) in [(EGRESS, INGRESS), (INGRESS, EGRESS)] {
            node.allow(allowed, Identity::ANY, RuleId(1));
            node.deny(denied, Identity::ANY, RuleId(2));
            let (from_pod, to_pod) = (udp(pod, peer, b"?"), udp(peer, pod, b"?"));
            if allowed == EGRESS {
                node.to_pod(1, &to_pod).dropped(DropReason::IngressDenied);
                node.from_pod(1, &from_pod).passed();
                node.to_pod(1, &to_pod).passed();
            } else {
                node.from_pod(1, &from_pod).dropped(DropReason::EgressDenied);
                node.to_pod(1, &to_pod).passed();
                node.from_pod(1, &from_pod).passed();
            }
            node.packet().clear_flows();
        }
    });
}

/// Path MTU discovery must work for what is allowed; an error about anything else is judged as itself.
#[test]
fn errors_pass_with_the_conversation_that_they_are_about() {
    PacketNode::run_each(|node, net| {
        let (pod, peer) = ends(net);
        let router = net.client(99);
        node.pod(1, isolated());
        node.allow(EGRESS, Identity::ANY, RuleId(1));
        node.deny(INGRESS, Identity::ANY, RuleId(2));
        for protocol in [Protocol::TCP, Protocol::UDP] {
            let request = packet(protocol, pod, peer, TcpFlags::SYN);
            let errors = |from, about: &[u8]| {
                let build = Build::new(from, net.pod(1));
                [build.too_big(1400, about), build.time_exceeded(about), build.port_unreachable(about)]
            };
            for error in errors(router, &request) {
                node.to_pod(1, &error).dropped(DropReason::IngressDenied);
            }
            node.from_pod(1, &request).passed();
            for error in errors(router, &request).into_iter().chain(errors(peer.ip(), &request)) {
                node.to_pod(1, &error).passed();
            }
            let other = packet(protocol, pod, SocketAddr::new(peer.ip(), 81), TcpFlags::SYN);
            for error in errors(router, &other) {
                node.to_pod(1, &error).dropped(DropReason::IngressDenied);
            }
        }
        // From the pod, about what it was sent: the other way round.
        node.allow(INGRESS, Identity::ANY, RuleId(3));
        node.deny(EGRESS, Identity::ANY, RuleId(4));
        node.revise(INGRESS, 71);
        node.revise(EGRESS, 72);
        let (other, request) =
            (SocketAddr::new(net.remote(3), 7), udp(SocketAddr::new(net.remote(3), 7), pod, b"?"));
        let error = Build::new(pod.ip(), other.ip()).port_unreachable(&request);
        node.from_pod(1, &error).dropped(DropReason::EgressDenied);
        node.to_pod(1, &request).passed();
        node.from_pod(1, &error).passed();
    });
}

/// A conversation that policy has cut takes its errors along.
#[test]
fn errors_about_a_conversation_that_was_cut_are_dropped() {
    PacketNode::run_each(|node, net| {
        let (pod, peer) = ends(net);
        node.pod(1, isolated());
        node.allow(EGRESS, Identity::ANY, RuleId(1));
        node.deny(INGRESS, Identity::ANY, RuleId(2));
        let request = udp(pod, peer, b"?");
        let error = Build::new(peer.ip(), pod.ip()).port_unreachable(&request);
        node.from_pod(1, &request).passed();
        node.to_pod(1, &error).passed();
        node.deny(EGRESS, Identity::ANY, RuleId(3));
        node.revise(EGRESS, 72);
        node.to_pod(1, &error).dropped(DropReason::EgressDenied);
    });
}

/// A pod reaches itself whatever policies say: through its Service it comes from an address of the node.
#[test]
fn a_pod_that_nobody_may_reach_reaches_itself() {
    PacketNode::run_each(|node, net| {
        let (pod, vip) = (SocketAddr::new(net.pod(1), 999), SocketAddr::new(net.vip(1), 80));
        let opted_out = PodRow::opted_out();
        node.pod(1, PodRow { egress: EGRESS, ingress: INGRESS, ..opted_out });
        node.deny(EGRESS, Identity::ANY, RuleId(1));
        node.deny(INGRESS, Identity::ANY, RuleId(2));
        let (service, _) = serve(node, Protocol::UDP, local(net), Where::Here);
        node.frontend(vip, Protocol::UDP, FrontendKind::ClusterIp, service);
        let request = udp(pod, vip, b"?");
        let outcome = node.from_pod(1, &request);
        assert_eq!(outcome.verdict, tests::packet::Verdict::Redirect, "{:?}", outcome.counted);
        node.to_pod(1, outcome.packet()).passed();
        let source = SocketAddr::new(net.node(), source_port(outcome.packet()));
        let outcome = node.from_pod(1, &udp(local(net), source, b"!"));
        assert_eq!(outcome.counted, Counters::none());
        node.to_pod(1, outcome.packet()).passed();
    });
}

/// Its client is who it is, also where it has a source of the node's because its port was taken: else whoever is shut
/// out would come in by dialling two addresses from one port.
#[test]
fn a_client_with_a_source_of_the_node_is_judged_as_itself() {
    PacketNode::run_each(|node, net| {
        let client = SocketAddr::new(net.client(1), 45_678);
        let vips = [7, 8].map(|i| SocketAddr::new(net.vip(i), 80));
        node.pod(1, PodRow { ingress: INGRESS, ..PodRow::default() });
        node.packet().put_identity(client.ip().into(), Identity(2));
        node.allow(INGRESS, Identity::ANY, RuleId(1));
        node.deny(INGRESS, Identity(2), RuleId(2));
        let (service, _) = serve(node, Protocol::UDP, local(net), Where::Here);
        for vip in vips {
            node.frontend(vip, Protocol::UDP, FrontendKind::ExternalIp, service);
        }
        let arrived = vips.map(|vip| node.from_net(&udp(client, vip, b"?")).packet().to_vec());
        assert!(source_port(&arrived[1]) >= 40_000 && source_port(&arrived[1]) != source_port(&arrived[0]));
        for packet in &arrived {
            node.to_pod(1, packet).dropped(DropReason::IngressDenied);
        }
        // And the other way round: let in by its own address alone.
        node.deny(INGRESS, Identity::ANY, RuleId(3));
        node.allow(INGRESS, Identity(2), RuleId(4));
        node.revise(INGRESS, 71);
        for packet in &arrived {
            node.to_pod(1, packet).passed();
        }
        let source = SocketAddr::new(net.node(), source_port(&arrived[1]));
        let reply = udp(local(net), source, b"!");
        let expected = with_hops(&tests::packet::craft::readdressed(&reply, vips[1], client), 63);
        node.from_pod(1, &reply).left_as(&expected, &Counters::none());
    });
}

/// Between two pods of the node, of which the first that is asked has nothing against either way round: the second must
/// not be bound by the first one's guess.
#[test]
fn tcp_from_the_middle_between_two_pods_is_adopted_the_way_round_that_both_pass() {
    PacketNode::run_each(|node, net| {
        let (server, client) = (SocketAddr::new(net.pod(1), 80), SocketAddr::new(net.pod(2), 999));
        let (of_server, of_client) = (PolicyId(5), PolicyId(6));
        node.pod(1, PodRow { ingress: of_server, ..PodRow::default() });
        node.pod(2, PodRow { ingress: of_client, ..PodRow::default() });
        node.allow(of_server, Identity::ANY, RuleId(1));
        node.deny(of_client, Identity::ANY, RuleId(2));
        let (request, answer) =
            (tcp(client, server, TcpFlags::ACK, b"?"), tcp(server, client, TcpFlags::ACK, b"!"));
        for first in [(1, 2, &answer), (2, 1, &request)] {
            let (from, to, packet) = first;
            node.from_pod(from, packet).passed();
            // At the latest when it is sent again.
            node.to_pod(to, packet);
            for (from, to, packet) in [(1, 2, &answer), (2, 1, &request), (1, 2, &answer)] {
                node.from_pod(from, packet).passed();
                node.to_pod(to, packet).passed();
            }
            node.packet().clear_flows();
        }
    });
}

/// What no way round is allowed as a whole stays out, however often the ends try.
#[test]
fn tcp_from_the_middle_between_two_pods_needs_one_way_round_that_both_pass() {
    PacketNode::run_each(|node, net| {
        let (one, two) = (SocketAddr::new(net.pod(1), 80), SocketAddr::new(net.pod(2), 999));
        let closed = PolicyId(5);
        node.deny(closed, Identity::ANY, RuleId(1));
        // Each may send and neither may receive.
        node.pod(1, PodRow { ingress: closed, ..PodRow::default() });
        node.pod(2, PodRow { ingress: closed, ..PodRow::default() });
        let (there, back) = (tcp(one, two, TcpFlags::ACK, b"?"), tcp(two, one, TcpFlags::ACK, b"!"));
        for _ in 0..4 {
            for (from, to, packet) in [(1, 2, &there), (2, 1, &back), (2, 1, &back), (1, 2, &there)] {
                let sent = node.from_pod(from, packet);
                let arrives = sent.verdict == tests::packet::Verdict::Next
                    && node.to_pod(to, packet).verdict == tests::packet::Verdict::Next;
                assert!(!arrives, "from pod {from}");
            }
        }
    });
}

/// The answer of ours comes to the pod through its own hook, where nothing tells it from a stranger's packet: an isolated
/// pod waits for its own time-out. It should be told, as pods are whose sockets are translated.
#[test]
fn a_refusal_does_not_reach_an_isolated_pod() {
    PacketNode::run_each(|node, net| {
        let (pod, vip) = (SocketAddr::new(net.pod(1), 999), SocketAddr::new(net.vip(1), 80));
        node.pod(1, PodRow { egress: EGRESS, ingress: INGRESS, ..PodRow::opted_out() });
        node.deny(EGRESS, Identity::ANY, RuleId(1));
        node.deny(INGRESS, Identity::ANY, RuleId(2));
        let service = node.service(abi::ServiceFlags::default());
        for (protocol, reason) in
            [(Protocol::TCP, DropReason::EgressDenied), (Protocol::UDP, DropReason::IngressDenied)]
        {
            node.frontend(vip, protocol, FrontendKind::ClusterIp, service);
            let answer = node.from_pod(1, &packet(protocol, pod, vip, TcpFlags::SYN)).packet().to_vec();
            node.to_pod(1, &answer).dropped(reason);
        }
    });
}

/// Nobody remembers who opened a connection of a pod that nothing isolated: one that came in is taken for the pod's own
/// when its ingress is closed and its egress is not. Nothing new comes in.
#[test]
fn a_connection_from_before_the_first_policy_lives_if_either_way_round_passes() {
    PacketNode::run_each(|node, net| {
        let (pod, peer) = ends(net);
        node.pod(1, PodRow::default());
        node.to_pod(1, &tcp(peer, pod, TcpFlags::SYN, b"")).untouched();
        node.from_pod(1, &tcp(pod, peer, TcpFlags::SYN_ACK, b"")).untouched();
        node.put_pod(1, PodRow { ingress: INGRESS, ..PodRow::default() });
        node.deny(INGRESS, Identity::ANY, RuleId(1));
        node.to_pod(1, &tcp(peer, pod, TcpFlags::ACK, b"?")).passed();
        node.from_pod(1, &tcp(pod, peer, TcpFlags::ACK, b"!")).passed();
        let other = SocketAddr::new(peer.ip(), 81);
        node.to_pod(1, &tcp(other, pod, TcpFlags::SYN, b"")).dropped(DropReason::IngressDenied);
        // And one that the first policy forbids both ways is cut.
        let closed = PodRow { egress: EGRESS, ingress: INGRESS, ..PodRow::default() };
        node.put_pod(1, closed);
        node.deny(EGRESS, Identity::ANY, RuleId(2));
        node.to_pod(1, &tcp(peer, pod, TcpFlags::ACK, b"?")).dropped(DropReason::EgressDenied);
        node.to_pod(1, &tcp(other, pod, TcpFlags::ACK, b"?")).dropped(DropReason::EgressDenied);
    });
}

/// A policy whose revision was never written: what nobody has judged is judged all the same.
#[test]
fn a_flow_that_nobody_judged_is_judged_whatever_the_revision() {
    PacketNode::run_each(|node, net| {
        let (pod, vip) = (SocketAddr::new(net.pod(1), 999), SocketAddr::new(net.vip(1), 80));
        node.pod(1, PodRow { egress: EGRESS, ..PodRow::opted_out() });
        node.revise(EGRESS, 0);
        node.deny(EGRESS, Identity::ANY, RuleId(1));
        let (service, id) =
            serve(node, Protocol::UDP, SocketAddr::new(net.remote(1), 8080), Where::Elsewhere);
        node.frontend(vip, Protocol::UDP, FrontendKind::ClusterIp, service);
        let denied = Counters::none().sent(service, id, 1).drops(DropReason::EgressDenied, 1);
        node.from_pod(1, &udp(pod, vip, b"?")).dropped_with(&denied);
    });
}
