//! NodePorts: on the node's own addresses, and on loopback for the host alone.

use std::net::{SocketAddr, TcpListener};

use abi::{FrontendKind, NodeAddrValue, Protocol, ServiceFlags, ServiceId};
use tests::backend::{accept, receive};
use tests::socket::{peer_name, tcp_connect, udp_connect, udp_socket};
use tests::{Backend, Counters, Family, HostNetns, Node, NodeOptions};

const NODE_PORT: u16 = 30080;

fn host(which: HostNetns) -> impl Fn() -> NodeOptions + Sync {
    move || NodeOptions { host_netns: which, ..NodeOptions::default() }
}

/// A Service with one backend and a NodePort for TCP and UDP; NodePorts answer on the node's first address.
fn with_node_port(node: &Node, family: Family) -> (ServiceId, Vec<Backend>) {
    let service = node.service(ServiceFlags::default());
    let backends = node.backends(family, service, 8080, 1);
    node.use_cluster(service, &[&backends[0]]);
    node.node_port(family, NODE_PORT, Protocol::TCP, service);
    node.node_port(family, NODE_PORT, Protocol::UDP, service);
    node.node_addr(family.node());
    (service, backends)
}

#[test]
fn a_node_port_answers_on_the_nodes_own_address() {
    Node::run_each(|node, family| {
        let (service, backends) = with_node_port(node, family);
        let to = SocketAddr::new(family.node(), NODE_PORT);
        let once = Counters::none().sent(service, backends[0].id, 1);

        let (stream, counted) = node.counted(|| tcp_connect(to).expect("a connection"));
        assert_eq!(counted, once);
        assert_eq!(accept(&backends).0.id, backends[0].id);
        assert_eq!(peer_name(&stream), to);

        let (socket, counted) = node.counted(|| udp_connect(family, to).expect("a socket"));
        assert_eq!(counted, once);
        assert_eq!(peer_name(&socket), to);

        let (_, counted) = node.counted(|| {
            let socket = udp_socket(family);
            socket.send_to(b"question", to).expect("sendto");
            receive(&backends).reply(b"answer");
            assert_eq!(socket.recv_from(&mut [0; 16]).expect("a reply").1, to);
        });
        assert_eq!(counted, once);
    });
}

#[test]
fn a_node_port_does_not_answer_on_other_addresses() {
    Node::run_each(|node, family| {
        with_node_port(node, family);
        // In the map, but not for NodePorts.
        node.tables().put_node_addr(family.pod(0).into(), NodeAddrValue(NodeAddrValue::NODE_PORT.0 << 1));
        for ip in [family.other_node(), family.pod(0), family.loopback()] {
            let to = SocketAddr::new(ip, NODE_PORT);
            let (error, counted) = node.counted(|| tcp_connect(to).expect_err("nobody listens there"));
            assert_eq!((error, counted), (libc::ECONNREFUSED, Counters::none()), "{to}");
        }
    });
}

#[test]
fn a_node_port_of_one_family_does_not_answer_on_the_other() {
    Node::run(|node| {
        with_node_port(node, Family::V4);
        node.node_addr(Family::V6.node());
        let to = SocketAddr::new(Family::V6.node(), NODE_PORT);
        let (error, counted) = node.counted(|| tcp_connect(to).expect_err("nobody listens there"));
        assert_eq!((error, counted), (libc::ECONNREFUSED, Counters::none()));
    });
}

#[test]
fn an_external_ip_on_the_nodes_address_comes_before_a_node_port() {
    Node::run_each(|node, family| {
        with_node_port(node, family);
        let external = node.service(ServiceFlags::default());
        let backends = node.backends(family, external, 9090, 1);
        node.use_cluster(external, &[&backends[0]]);
        let to = SocketAddr::new(family.node(), NODE_PORT);
        node.frontend(to, Protocol::TCP, FrontendKind::ExternalIp, external);

        let (_stream, counted) = node.counted(|| tcp_connect(to).expect("a connection"));
        assert_eq!(counted, Counters::none().sent(external, backends[0].id, 1));
    });
}

#[test]
fn a_node_port_answers_on_loopback_in_the_hosts_namespace() {
    Node::run_each_with(host(HostNetns::This), |node, family| {
        let (service, backends) = with_node_port(node, family);
        let to = SocketAddr::new(family.loopback(), NODE_PORT);
        let once = Counters::none().sent(service, backends[0].id, 1);

        let (stream, counted) = node.counted(|| tcp_connect(to).expect("a connection"));
        assert_eq!(counted, once);
        assert_eq!(accept(&backends).0.id, backends[0].id);
        assert_eq!(peer_name(&stream), to);

        let (_, counted) = node.counted(|| {
            let socket = udp_socket(family);
            socket.send_to(b"question", to).expect("sendto");
            receive(&backends).reply(b"answer");
            assert_eq!(socket.recv_from(&mut [0; 16]).expect("a reply").1, to);
        });
        assert_eq!(counted, once);
    });
}

#[test]
fn all_of_127_0_0_0_8_is_loopback() {
    Node::run_with(host(HostNetns::This), |node| {
        let (service, backends) = with_node_port(node, Family::V4);
        let to = SocketAddr::from(([127, 8, 9, 10], NODE_PORT));
        let (stream, counted) = node.counted(|| tcp_connect(to).expect("a connection"));
        assert_eq!(counted, Counters::none().sent(service, backends[0].id, 1));
        assert_eq!(peer_name(&stream), to);
    });
}

#[test]
fn loopback_of_a_pod_is_the_pods_own() {
    for which in [HostNetns::Another, HostNetns::Unset] {
        Node::run_each_with(host(which), |node, family| {
            with_node_port(node, family);
            for ip in [family.loopback(), family.unspecified()] {
                let to = SocketAddr::new(ip, NODE_PORT);
                let (error, counted) = node.counted(|| tcp_connect(to).expect_err("nobody listens there"));
                assert_eq!((error, counted), (libc::ECONNREFUSED, Counters::none()), "{to} {which:?}");
            }
        });
    }
}

/// `0.0.0.0` and `::` as keys of `FRONTENDS` are NodePorts, but as destinations the kernel takes them for loopback.
#[test]
fn a_pod_that_dials_the_unspecified_address_reaches_its_own_server_and_no_node_port() {
    Node::run_each(|node, family| {
        with_node_port(node, family);
        node.node_addr(family.unspecified());
        let own = TcpListener::bind(SocketAddr::new(family.loopback(), NODE_PORT)).expect("a server");
        let to = SocketAddr::new(family.unspecified(), NODE_PORT);
        let (stream, counted) = node.counted(|| tcp_connect(to).expect("a connection"));
        assert_eq!(counted, Counters::none());
        own.accept().expect("the connection");
        assert_eq!(peer_name(&stream), SocketAddr::new(family.loopback(), NODE_PORT));
    });
}

#[test]
fn the_host_that_dials_the_unspecified_address_reaches_the_node_port_on_loopback() {
    Node::run_each_with(host(HostNetns::This), |node, family| {
        let (service, backends) = with_node_port(node, family);
        let to = SocketAddr::new(family.unspecified(), NODE_PORT);
        let shown = SocketAddr::new(family.loopback(), NODE_PORT);
        let once = Counters::none().sent(service, backends[0].id, 1);

        let (stream, counted) = node.counted(|| tcp_connect(to).expect("a connection"));
        assert_eq!(counted, once);
        assert_eq!(peer_name(&stream), shown);

        let (_, counted) = node.counted(|| {
            let socket = udp_socket(family);
            socket.send_to(b"question", to).expect("sendto");
            receive(&backends).reply(b"answer");
            assert_eq!(socket.recv_from(&mut [0; 16]).expect("a reply").1, shown);
        });
        assert_eq!(counted, once);
    });
}
