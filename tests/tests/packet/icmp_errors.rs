//! ICMP errors about translated packets: whoever gets one must recognise, inside, the packet that it sent.

use std::net::SocketAddr;

use abi::{FrontendKind, Protocol, ServiceFlags};
use lab::packet::{Build, TcpFlags};
use tests::Counters;
use tests::packet::craft::{readdressed, source_port, transport, udp, with_hops};
use tests::packet::{Net, PacketNode, PodRow, Where};

use crate::scene::{PROTOCOLS, ends, local, packet, remote, serve, source};

/// The errors that concern a conversation, about as much of a packet as their senders quote: all of it, or eight bytes of
/// its transport.
fn errors(from: std::net::IpAddr, to: std::net::IpAddr, about: &[u8]) -> Vec<Vec<u8>> {
    let (_, l4) = transport(about);
    let build = Build::new(from, to);
    [about, &about[..l4 + 8]]
        .into_iter()
        .flat_map(|part| [build.too_big(1400, part), build.port_unreachable(part), build.time_exceeded(part)])
        .collect()
}

/// Pairs of an error and what it must become.
fn pairs(
    (from, to, about): (std::net::IpAddr, std::net::IpAddr, &[u8]),
    (from_then, to_then, about_then): (std::net::IpAddr, std::net::IpAddr, &[u8]),
) -> Vec<(Vec<u8>, Vec<u8>)> {
    errors(from, to, about).into_iter().zip(errors(from_then, to_then, about_then)).collect()
}

/// Path MTU discovery through a NodePort: a router before the client cannot pass the backend's reply on.
#[test]
fn an_error_about_a_reply_reaches_the_local_backend() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        for protocol in PROTOCOLS {
            serve(node, protocol, local(net), Where::Here);
            node.from_net(&packet(protocol, client, dialled, TcpFlags::SYN));
            let reply = packet(protocol, local(net), client, TcpFlags::ACK);
            let seen = node.to_net(&reply).packet().to_vec();
            for from in [net.client(99), net.client(1)] {
                let is = (from, net.node(), &with_hops(&seen, 61)[..]);
                let should = (from, net.pod(1), &with_hops(&reply, 61)[..]);
                for (error, expected) in pairs(is, should) {
                    node.from_net(&error).became(&expected, &Counters::none());
                }
            }
        }
    });
}

#[test]
fn an_error_about_a_reply_reaches_the_remote_backend() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        for protocol in PROTOCOLS {
            serve(node, protocol, remote(net), Where::Elsewhere);
            let source = source(net, &node.from_net(&packet(protocol, client, dialled, TcpFlags::SYN)));
            let reply = packet(protocol, remote(net), source, TcpFlags::ACK);
            let seen = node.from_inner(&reply).packet().to_vec();
            for from in [net.client(99), net.client(1)] {
                // Its sender is behind the translation, and the backend need not have a way to it: it comes from us.
                let is = (from, net.node(), &with_hops(&seen, 61)[..]);
                let should = (net.inner_node(), net.remote(1), &with_hops(&reply, 61)[..]);
                for (error, expected) in pairs(is, should) {
                    node.from_net(&error).left_as(&with_hops(&expected, 63), &Counters::none());
                }
            }
        }
    });
}

#[test]
fn an_error_about_a_request_reaches_the_client_from_the_local_backend() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        for protocol in PROTOCOLS {
            serve(node, protocol, local(net), Where::Here);
            let request = packet(protocol, client, dialled, TcpFlags::SYN);
            let seen = node.from_net(&request).packet().to_vec();
            let is = (net.pod(1), net.client(1), &with_hops(&seen, 63)[..]);
            let should = (net.node(), net.client(1), &with_hops(&request, 63)[..]);
            for (error, expected) in pairs(is, should) {
                node.from_pod(1, &error).untouched();
                node.to_net(&error).became(&expected, &Counters::none());
            }
            // Of a router between: its own address is no secret, what it quotes is.
            let is = (net.inner_router(), net.client(1), &with_hops(&seen, 63)[..]);
            let should = (net.inner_router(), net.client(1), &with_hops(&request, 63)[..]);
            for (error, expected) in pairs(is, should) {
                node.to_net(&error).became(&expected, &Counters::none());
            }
        }
    });
}

#[test]
fn an_error_about_a_request_reaches_the_client_from_the_remote_backend() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        for protocol in PROTOCOLS {
            serve(node, protocol, remote(net), Where::Elsewhere);
            let request = packet(protocol, client, dialled, TcpFlags::SYN);
            let outcome = node.from_net(&request);
            let (seen, source) = (outcome.packet().to_vec(), source(net, &outcome));
            for (from, from_then) in [(net.remote(1), net.node()), (net.inner_router(), net.inner_router())] {
                let is = (from, source.ip(), &with_hops(&seen, 60)[..]);
                let should = (from_then, net.client(1), &with_hops(&request, 60)[..]);
                for (error, expected) in pairs(is, should) {
                    node.from_inner(&error).left_as(&with_hops(&expected, 63), &Counters::none());
                }
            }
        }
    });
}

/// Both ways at the pod's interface: about what it sent to the VIP, and about what seemed to come from there.
#[test]
fn a_pod_that_opted_out_sees_and_sends_errors_about_the_vip() {
    PacketNode::run_each(|node, net| {
        let (pod, vip) = (SocketAddr::new(net.pod(1), 45_678), SocketAddr::new(net.vip(1), 80));
        node.pod(1, PodRow::opted_out());
        for protocol in PROTOCOLS {
            let service = node.service(ServiceFlags::default());
            let id = node.backend(service, remote(net), Where::Elsewhere);
            node.use_cluster(service, &[id]);
            node.frontend(vip, protocol, FrontendKind::ClusterIp, service);
            let request = packet(protocol, pod, vip, TcpFlags::SYN);
            let seen = node.from_pod(1, &request).packet().to_vec();
            for (from, from_then) in [(net.remote(1), net.vip(1)), (net.inner_router(), net.inner_router())] {
                let is = (from, net.pod(1), &seen[..]);
                let should = (from_then, net.pod(1), &request[..]);
                for (error, expected) in pairs(is, should) {
                    node.to_pod(1, &error).became(&expected, &Counters::none());
                }
            }
            let reply = packet(protocol, remote(net), pod, TcpFlags::ACK);
            let seen = node.to_pod(1, &reply).packet().to_vec();
            let is = (net.pod(1), net.vip(1), &seen[..]);
            let should = (net.pod(1), net.remote(1), &reply[..]);
            for (error, expected) in pairs(is, should) {
                node.from_pod(1, &error).became(&expected, &Counters::none());
            }
        }
    });
}

/// The backend's pod was sent a source of the node's, for its client's was taken: what it answers goes to the node, and
/// must not end there.
#[test]
fn an_error_of_a_pod_about_a_request_with_a_source_of_the_node_reaches_the_client() {
    PacketNode::run_each(|node, net| {
        let ((client, dialled), vip) = (ends(net), SocketAddr::new(net.vip(7), 80));
        node.pod(1, PodRow::default());
        let (service, _) = serve(node, Protocol::UDP, local(net), Where::Here);
        node.frontend(vip, Protocol::UDP, FrontendKind::ExternalIp, service);
        node.from_net(&udp(client, dialled, b"?"));
        let request = udp(client, vip, b"?");
        let outcome = node.from_net(&request);
        let seen = outcome.packet().to_vec();
        assert!(source_port(&seen) >= 40_000);
        let is = (net.pod(1), net.node(), &seen[..]);
        let should = (net.vip(7), net.client(1), &with_hops(&request, 63)[..]);
        for (error, expected) in pairs(is, should) {
            node.from_pod(1, &error).left_as(&with_hops(&expected, 63), &Counters::none());
        }
    });
}

/// Errors about what was never translated, about packets of strangers, and such that quote nonsense.
#[test]
fn other_errors_are_untouched() {
    PacketNode::run_each(|node, net| {
        let (client, dialled) = ends(net);
        serve(node, Protocol::UDP, local(net), Where::Here);
        node.from_net(&udp(client, dialled, b"?"));
        let stranger = udp(dialled, SocketAddr::new(net.client(2), 45_678), b"!");
        let build = Build::new(net.client(99), net.node());
        let mut nonsense = errors(net.client(99), net.node(), &stranger);
        let about = udp(dialled, client, b"!");
        let (_, l4) = transport(&about);
        for len in [0, 1, l4 - 1, l4, l4 + 7] {
            nonsense.push(build.port_unreachable(&about[..len]));
        }
        // About an error, of the other family, about a request instead of a reply.
        nonsense.push(build.port_unreachable(&build.port_unreachable(&about)));
        nonsense.push(build.port_unreachable(&udp_of(net.pick(Net::V6, Net::V4))));
        nonsense.push(build.port_unreachable(&udp(client, dialled, b"?")));
        for error in nonsense {
            node.from_net(&error).untouched();
        }
    });
}

fn udp_of(net: Net) -> Vec<u8> {
    let (client, dialled) = ends(net);
    readdressed(&udp(client, dialled, b"?"), dialled, client)
}
