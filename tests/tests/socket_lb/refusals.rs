//! Every drop reason: its errno, and what is counted for it.

use std::net::SocketAddr;

use abi::{BackendState, DropReason, FrontendKind, Protocol, ServiceFlags, SockUdpKey, SockUdpValue};
use tests::address::abi_of;
use tests::backend::{are_idle, receive};
use tests::socket::{cookie, errno, tcp_connect, udp_connect, udp_socket};
use tests::tables::pin_hash_of_one;
use tests::{Counters, Family, Node, NodeOptions};

/// Dials in the three ways that there are; each must end with this errno and be counted like this.
fn assert_refused(node: &Node, family: Family, to: SocketAddr, expected: i32, counted: &Counters) {
    let by_tcp = || tcp_connect(to).map(drop);
    let by_udp = || udp_connect(family, to).map(drop);
    let unconnected = || udp_socket(family).send_to(b"x", to).map(drop).map_err(errno);
    assert_eq!(node.counted(by_tcp), (Err(expected), counted.clone()), "TCP connect {to}");
    assert_eq!(node.counted(by_udp), (Err(expected), counted.clone()), "UDP connect {to}");
    assert_eq!(node.counted(unconnected), (Err(expected), counted.clone()), "UDP sendto {to}");
}

fn for_both(node: &Node, vip: SocketAddr, kind: FrontendKind, service: abi::ServiceId) {
    node.frontend(vip, Protocol::TCP, kind, service);
    node.frontend(vip, Protocol::UDP, kind, service);
}

#[test]
fn no_endpoints_anywhere_is_connection_refused() {
    Node::run_each(|node, family| {
        // Under either internal policy.
        for (i, flags) in (1..).zip([ServiceFlags::default(), ServiceFlags::INTERNAL_LOCAL]) {
            let service = node.service(flags);
            let vip = SocketAddr::new(family.vip(i), 80);
            for_both(node, vip, FrontendKind::ClusterIp, service);
            let counted = Counters::none().refused(service, 1).drops(DropReason::NoEndpoints, 1);
            assert_refused(node, family, vip, libc::ECONNREFUSED, &counted);
        }
    });
}

#[test]
fn a_node_port_without_endpoints_is_connection_refused() {
    Node::run_each(|node, family| {
        let service = node.service(ServiceFlags::default());
        node.node_port(family, 30080, Protocol::TCP, service);
        node.node_port(family, 30080, Protocol::UDP, service);
        node.node_addr(family.node());
        let counted = Counters::none().refused(service, 1).drops(DropReason::NoEndpoints, 1);
        let to = SocketAddr::new(family.node(), 30080);
        assert_refused(node, family, to, libc::ECONNREFUSED, &counted);
    });
}

#[test]
fn no_local_endpoint_under_policy_local_is_host_unreachable() {
    Node::run_each(|node, family| {
        let service = node.service(ServiceFlags::INTERNAL_LOCAL);
        let backends = node.backends(family, service, 8080, 1);
        node.use_cluster(service, &[&backends[0]]);
        let vip = SocketAddr::new(family.vip(1), 80);
        for_both(node, vip, FrontendKind::ClusterIp, service);
        let counted = Counters::none().dropped(service, 1).drops(DropReason::NoLocalEndpoint, 1);
        assert_refused(node, family, vip, libc::EHOSTUNREACH, &counted);
        assert!(are_idle(&backends));
    });
}

#[test]
fn an_unallocated_service_address_is_host_unreachable() {
    Node::run_each(|node, family| {
        node.service_cidr(family);
        let to = SocketAddr::new(family.vip(99), 80);
        let counted = Counters::none().drops(DropReason::UnallocatedServiceAddress, 1);
        assert_refused(node, family, to, libc::EHOSTUNREACH, &counted);
    });
}

#[test]
fn an_unknown_service_port_is_connection_refused() {
    Node::run_each(|node, family| {
        // Inside a service range too: the address is somebody's.
        node.service_cidr(family);
        node.other_ports(family.vip(1));
        let to = SocketAddr::new(family.vip(1), 81);
        let counted = Counters::none().drops(DropReason::UnknownServicePort, 1);
        assert_refused(node, family, to, libc::ECONNREFUSED, &counted);
    });
}

#[test]
fn a_socket_that_probes_for_its_source_address_is_let_through() {
    Node::run_each(|node, family| {
        // Resolvers sort addresses by connecting to port 0; being refused would make a ClusterIP look unreachable.
        node.other_ports(family.vip(1));
        node.service_cidr(family);
        let probe = || udp_connect(family, SocketAddr::new(family.vip(1), 0)).map(drop);
        let (result, counted) = node.counted(probe);
        assert_ne!(result, Err(libc::ECONNREFUSED));
        assert_eq!(counted, Counters::none());
    });
}

#[test]
fn backends_leaving_everywhere_is_connection_refused() {
    Node::run_each(|node, family| {
        let service = node.service(ServiceFlags::default());
        let other = node.service(ServiceFlags::default());
        let backends = node.backends(family, service, 8080, 2);
        node.put_backend(service, &backends[0], BackendState::Gone);
        node.put_backend(other, &backends[1], BackendState::Live);
        node.use_cluster(service, &[&backends[0], &backends[1]]);
        let vip = SocketAddr::new(family.vip(1), 80);
        for_both(node, vip, FrontendKind::ClusterIp, service);
        let counted = Counters::none().refused(service, 1).drops(DropReason::BackendsLeaving, 1);
        assert_refused(node, family, vip, libc::ECONNREFUSED, &counted);
        assert!(are_idle(&backends));
    });
}

/// An LRU map refuses an entry only when CPUs race for its last element. A plain hash map in its place, with room for
/// one socket, refuses for certain.
#[test]
fn a_socket_not_remembered_may_not_send() {
    const KEY: usize = size_of::<SockUdpKey>();
    const VALUE: usize = size_of::<SockUdpValue>();
    let with_one_entry =
        || NodeOptions { map: Some(pin_hash_of_one::<KEY, VALUE>("SOCK_UDP")), ..NodeOptions::default() };
    Node::run_with(with_one_entry, |node| {
        let service = node.service(ServiceFlags::default());
        let backends = node.backends(Family::V4, service, 8080, 1);
        node.use_cluster(service, &[&backends[0]]);
        let vip = SocketAddr::new(Family::V4.vip(1), 53);
        node.frontend(vip, Protocol::UDP, FrontendKind::ClusterIp, service);

        let first = udp_socket(Family::V4);
        first.send_to(b"first", vip).expect("the map has room for one");
        receive(&backends);
        let second = udp_socket(Family::V4);
        let (result, counted) = node.counted(|| second.send_to(b"second", vip));
        assert_eq!(result.map_err(errno), Err(libc::ENOBUFS));
        // The choice was made and is kept; a later datagram tries again with it.
        let drop = Counters::none().drops(DropReason::SocketNotRemembered, 1);
        assert_eq!(counted, drop.clone().sent(service, backends[0].id, 1));
        let (_, counted) = node.counted(|| second.send_to(b"third", vip).expect_err("still full"));
        assert_eq!(counted, drop);
        assert!(are_idle(&backends));

        let (addr, port) = abi_of(backends[0].addr);
        assert!(node.tables().evict_sock_udp(SockUdpKey::new(cookie(&first), addr, port)));
        second.send_to(b"fourth", vip).expect("there is room again");
        assert_eq!(receive(&backends).payload, b"fourth");
    });
}
