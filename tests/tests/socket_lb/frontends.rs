//! Service addresses: ClusterIP, externalIP, load balancer.

use std::net::SocketAddr;

use abi::{FrontendKind, Protocol, ServiceFlags};
use tests::backend::{accept, are_idle, receive};
use tests::socket::{peer_name, tcp_connect, udp_connect};
use tests::{Counters, Node};

const KINDS: [FrontendKind; 3] =
    [FrontendKind::ClusterIp, FrontendKind::ExternalIp, FrontendKind::LoadBalancer];

#[test]
fn a_tcp_connection_to_a_service_address_goes_to_a_backend_and_shows_the_vip() {
    Node::run_each(|node, family| {
        for (i, kind) in (0..).zip(KINDS) {
            let service = node.service(ServiceFlags::default());
            let backends = node.backends(family, service, 8080 + u16::from(i), 1);
            node.use_cluster(service, &[&backends[0]]);
            let vip = SocketAddr::new(family.vip(i), 80);
            node.frontend(vip, Protocol::TCP, kind, service);

            let (stream, counted) = node.counted(|| tcp_connect(vip).expect("a connection"));
            assert_eq!(counted, Counters::none().sent(service, backends[0].id, 1), "{kind:?} {family:?}");
            assert_eq!(accept(&backends).0.id, backends[0].id);
            assert_eq!(peer_name(&stream), vip);
        }
    });
}

#[test]
fn a_udp_socket_connected_to_a_service_address_sends_to_a_backend_and_shows_the_vip() {
    Node::run_each(|node, family| {
        for (i, kind) in (0..).zip(KINDS) {
            let service = node.service(ServiceFlags::default());
            let backends = node.backends(family, service, 8080 + u16::from(i), 1);
            node.use_cluster(service, &[&backends[0]]);
            let vip = SocketAddr::new(family.vip(i), 53);
            node.frontend(vip, Protocol::UDP, kind, service);

            let (socket, counted) = node.counted(|| {
                let socket = udp_connect(family, vip).expect("a socket");
                socket.send(b"one").expect("send");
                socket.send(b"two").expect("send");
                socket
            });
            assert_eq!(counted, Counters::none().sent(service, backends[0].id, 1), "{kind:?} {family:?}");
            assert_eq!(receive(&backends).payload, b"one");
            assert_eq!(receive(&backends).payload, b"two");
            assert_eq!(peer_name(&socket), vip);
        }
    });
}

#[test]
fn the_protocols_of_one_port_are_different_frontends() {
    Node::run_each(|node, family| {
        let vip = SocketAddr::new(family.vip(1), 53);
        let [of_tcp, of_udp] = [Protocol::TCP, Protocol::UDP].map(|protocol| {
            let service = node.service(ServiceFlags::default());
            let backends = node.backends(family, service, 5300 + u16::from(protocol.get()), 1);
            node.use_cluster(service, &[&backends[0]]);
            node.frontend(vip, protocol, FrontendKind::ClusterIp, service);
            (service, backends)
        });

        let (_stream, counted) = node.counted(|| tcp_connect(vip).expect("a connection"));
        assert_eq!(counted, Counters::none().sent(of_tcp.0, of_tcp.1[0].id, 1));
        let (_socket, counted) = node.counted(|| udp_connect(family, vip).expect("a socket"));
        assert_eq!(counted, Counters::none().sent(of_udp.0, of_udp.1[0].id, 1));
    });
}

#[test]
fn a_deleted_frontend_is_plain_again() {
    Node::run_each(|node, family| {
        let service = node.service(ServiceFlags::default());
        let backends = node.backends(family, service, 8080, 1);
        node.use_cluster(service, &[&backends[0]]);
        let vip = SocketAddr::new(family.vip(1), 80);
        node.frontend(vip, Protocol::TCP, FrontendKind::ClusterIp, service);
        tcp_connect(vip).expect("a connection");
        accept(&backends);

        node.delete_frontend(vip, Protocol::TCP);
        let (error, counted) = node.counted(|| tcp_connect(vip).expect_err("no route"));
        assert_eq!(error, libc::ENETUNREACH);
        assert_eq!(counted, Counters::none());
        assert!(are_idle(&backends));
    });
}
