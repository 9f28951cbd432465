//! What is not for a Service passes as if there were no programs, and counts nothing.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use abi::{FrontendKind, Protocol, ServiceFlags};
use tests::backend::are_idle;
use tests::skip::Skip;
use tests::socket::{self, peer_name, tcp_connect, udp_connect};
use tests::{Backend, Counters, Family, Node};

/// A Service whose address the namespace has too, with frontends for TCP and UDP: what is not translated arrives there.
fn shadowed(node: &Node, family: Family) -> (SocketAddr, Vec<Backend>) {
    let service = node.service(ServiceFlags::default());
    let backends = node.backends(family, service, 8080, 1);
    node.use_cluster(service, &[&backends[0]]);
    let at = SocketAddr::new(family.other_node(), 9);
    node.frontend(at, Protocol::TCP, FrontendKind::LoadBalancer, service);
    node.frontend(at, Protocol::UDP, FrontendKind::LoadBalancer, service);
    (at, backends)
}

#[test]
fn a_pod_that_dials_a_pod_is_untouched() {
    Node::run_each(|node, family| {
        // Everything a miss looks at is there, and is not it.
        shadowed(node, family);
        node.service_cidr(family);
        node.other_ports(family.vip(1));
        node.node_addr(family.node());
        let server = TcpListener::bind(SocketAddr::new(family.pod(1), 7070)).expect("a server");
        let to = family.as_dialled(server.local_addr().expect("an address"));
        let (stream, counted) = node.counted(|| tcp_connect(to).expect("a connection"));
        assert_eq!(counted, Counters::none());
        server.accept().expect("the connection");
        assert_eq!(peer_name(&stream), to);
        let (client, counted) = node.counted(|| udp_connect(family, to).expect("a socket"));
        assert_eq!((peer_name(&client), counted), (to, Counters::none()));
    });
}

#[test]
fn an_address_that_nobody_knows_gets_the_kernels_own_answer() {
    Node::run_each(|node, family| {
        shadowed(node, family);
        let to = SocketAddr::new(family.vip(77), 80);
        let (error, counted) = node.counted(|| tcp_connect(to).expect_err("no route"));
        assert_eq!((error, counted), (libc::ENETUNREACH, Counters::none()));
    });
}

#[test]
fn a_socket_of_another_cgroup_is_untouched() {
    Node::run_each(|node, family| {
        let (at, backends) = shadowed(node, family);
        let own = TcpListener::bind(at).expect("a server");
        let (stream, counted) = node.counted(|| node.outside(|| tcp_connect(at).expect("a connection")));
        assert_eq!(counted, Counters::none());
        own.accept().expect("the connection");
        assert_eq!(peer_name(&stream), at);
        assert!(are_idle(&backends));
    });
}

/// `ping` by an unprivileged socket.
#[test]
fn icmp_sockets_are_untouched() {
    Node::run(|node| {
        std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647").expect("ping sockets");
        for (family, protocol) in [(Family::V4, libc::IPPROTO_ICMP), (Family::V6, libc::IPPROTO_ICMPV6)] {
            let (at, _) = shadowed(node, family);
            // Whoever takes every protocol for a wildcard finds this one.
            node.other_ports(at.ip());
            let ping =
                socket::raw_socket(family.domain(), libc::SOCK_DGRAM, protocol).expect("a ping socket");
            let (result, counted) = node.counted(|| socket::connect(&ping, at));
            assert_eq!((result, counted), (Ok(()), Counters::none()), "{family:?}");
            assert_eq!(peer_name(&ping).ip(), at.ip());
        }
    });
}

/// It shares UDP's code and hooks in the kernel, but no Service speaks it.
#[test]
fn udp_lite_sockets_are_untouched() {
    Node::run(|node| {
        for family in [Family::V4, Family::V6] {
            let (at, backends) = shadowed(node, family);
            let open = || -> Result<OwnedFd, i32> {
                socket::raw_socket(family.domain(), libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE)
            };
            let Ok(connected) = open() else {
                let skip = Skip { first_kernel: None, why: "this kernel has no UDP-Lite" };
                return skip.report("untouched::udp_lite_sockets_are_untouched");
            };
            let (result, counted) = node.counted(|| socket::connect(&connected, at));
            assert_eq!((result, counted), (Ok(()), Counters::none()), "{family:?}");
            assert_eq!(peer_name(&connected), at);
            let unconnected = open().expect("a second one");
            let (result, counted) = node.counted(|| socket::send_to(&unconnected, b"x", at, 0));
            assert_eq!((result, counted), (Ok(1), Counters::none()), "{family:?}");
            assert!(are_idle(&backends));
        }
    });
}
