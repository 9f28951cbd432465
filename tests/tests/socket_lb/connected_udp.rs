//! Connected UDP sockets: translated once, at connect; what they receive shows the VIP.

use std::net::{SocketAddr, UdpSocket};

use abi::{BackendEntry, BackendState, FrontendKind, Generation, Protocol, ServiceFlags, ServiceId};
use tests::backend::receive;
use tests::socket::{DEADLINE, disconnect, errno, peer_name, udp_connect, udp_socket};
use tests::{Backend, Counters, Family, Node};

/// A Service with one backend, and its VIP for UDP.
fn service(node: &Node, family: Family) -> (ServiceId, Vec<Backend>, SocketAddr) {
    let service = node.service(ServiceFlags::default());
    let backends = node.backends(family, service, 5353, 1);
    node.use_cluster(service, &[&backends[0]]);
    let vip = SocketAddr::new(family.vip(1), 53);
    node.frontend(vip, Protocol::UDP, FrontendKind::ClusterIp, service);
    (service, backends, vip)
}

fn source_of_next(socket: &UdpSocket) -> SocketAddr {
    socket.recv_from(&mut [0; 16]).expect("a datagram").1
}

#[test]
fn recvfrom_shows_the_vip() {
    Node::run_each(|node, family| {
        let (_, backends, vip) = service(node, family);
        let client = udp_connect(family, vip).expect("a socket");
        client.send(b"question").expect("send");
        receive(&backends).reply(b"answer");
        assert_eq!(source_of_next(&client), vip);
    });
}

#[test]
fn a_late_reply_of_a_backend_that_left_still_shows_the_vip() {
    Node::run_each(|node, family| {
        let (id, backends, vip) = service(node, family);
        let client = udp_connect(family, vip).expect("a socket");
        client.send(b"question").expect("send");
        let question = receive(&backends);
        node.put_backend(id, &backends[0], BackendState::Gone);
        question.reply(b"late");
        assert_eq!(source_of_next(&client), vip);
        node.tables().put_backend(backends[0].id, BackendEntry::gone(Generation(2)));
        question.reply(b"later");
        assert_eq!(source_of_next(&client), vip);
        assert_eq!(peer_name(&client), vip);
    });
}

#[test]
fn a_socket_that_is_connected_to_another_service_shows_the_other_vip() {
    Node::run_each(|node, family| {
        let (_, _backends, vip) = service(node, family);
        let other = node.service(ServiceFlags::default());
        let others = node.backends(family, other, 5454, 1);
        node.use_cluster(other, &[&others[0]]);
        let other_vip = SocketAddr::new(family.vip(2), 53);
        node.frontend(other_vip, Protocol::UDP, FrontendKind::ClusterIp, other);

        let client = udp_connect(family, vip).expect("a socket");
        let (_, counted) = node.counted(|| client.connect(other_vip).expect("connect again"));
        assert_eq!(counted, Counters::none().sent(other, others[0].id, 1));
        assert_eq!(peer_name(&client), other_vip);
        client.send(b"question").expect("send");
        receive(&others).reply(b"answer");
        assert_eq!(source_of_next(&client), other_vip);
    });
}

#[test]
fn a_socket_that_is_connected_to_a_plain_address_shows_the_plain_address() {
    Node::run_each(|node, family| {
        let (_, _backends, vip) = service(node, family);
        let server = UdpSocket::bind(SocketAddr::new(family.pod(1), 7070)).expect("a server");
        let plain = family.as_dialled(server.local_addr().expect("an address"));

        let client = udp_connect(family, vip).expect("a socket");
        let (_, counted) = node.counted(|| client.connect(plain).expect("connect again"));
        assert_eq!(counted, Counters::none());
        assert_eq!(peer_name(&client), plain);
        client.send(b"question").expect("send");
        let (_, from) = server.recv_from(&mut [0; 16]).expect("the question");
        server.send_to(b"answer", from).expect("a reply");
        assert_eq!(source_of_next(&client), plain);
    });
}

/// Of both connects the kernel has the same peer.
#[test]
fn a_socket_that_is_connected_to_its_backend_itself_shows_the_backend() {
    Node::run_each(|node, family| {
        let (_, backends, vip) = service(node, family);
        let plain = family.as_dialled(backends[0].addr);
        let client = udp_connect(family, vip).expect("a socket");
        client.connect(plain).expect("connect again");
        assert_eq!(peer_name(&client), plain);
        client.send(b"question").expect("send");
        receive(&backends).reply(b"answer");
        assert_eq!(source_of_next(&client), plain);
        assert_eq!(node.tables().sockets_remembered(), 0);
    });
}

#[test]
fn a_closed_socket_leaves_no_entry() {
    Node::run_each(|node, family| {
        let (_, _backends, vip) = service(node, family);
        let client = udp_connect(family, vip).expect("a socket");
        assert_eq!(node.tables().sockets_remembered(), 1);
        drop(client);
        assert_eq!(node.tables().sockets_remembered(), 0);
    });
}

#[test]
fn a_socket_whose_next_connect_is_refused_keeps_its_peer() {
    Node::run_each(|node, family| {
        let (_, backends, vip) = service(node, family);
        let empty = node.service(ServiceFlags::default());
        let refused = SocketAddr::new(family.vip(2), 53);
        node.frontend(refused, Protocol::UDP, FrontendKind::ClusterIp, empty);

        let client = udp_connect(family, vip).expect("a socket");
        assert_eq!(client.connect(refused).map_err(errno), Err(libc::ECONNREFUSED));
        assert_eq!(peer_name(&client), vip);
        client.send(b"question").expect("send");
        receive(&backends).reply(b"answer");
        assert_eq!(source_of_next(&client), vip);
    });
}

/// The kernel tells no program of a disconnect. A port that was bound by number survives it, so the reply still comes.
#[test]
fn a_disconnected_socket_shows_who_really_sent() {
    Node::run_each(|node, family| {
        let (_, backends, vip) = service(node, family);
        let client = UdpSocket::bind((family.any(), 4040)).expect("a UDP socket");
        client.set_read_timeout(Some(DEADLINE)).expect("a receive deadline");
        client.connect(vip).expect("connect");
        client.send(b"question").expect("send");
        let question = receive(&backends);
        disconnect(&client);
        question.reply(b"answer");
        assert_eq!(source_of_next(&client), family.as_dialled(backends[0].addr));
    });
}

/// The stranger has the backend's port, which alone must not make it the backend.
#[test]
fn a_datagram_from_before_the_connect_shows_its_own_source() {
    Node::run_each(|node, family| {
        let (_, backends, vip) = service(node, family);
        let client = udp_socket(family);
        let port = client.local_addr().expect("an address").port();
        let stranger = SocketAddr::new(family.pod(1), backends[0].addr.port());
        let stranger = UdpSocket::bind(stranger).expect("a stranger");
        stranger.send_to(b"hello", SocketAddr::new(family.pod(2), port)).expect("send");
        client.connect(vip).expect("connect");
        assert_eq!(source_of_next(&client), family.as_dialled(stranger.local_addr().expect("an address")));
    });
}

#[test]
fn connecting_an_ipv6_socket_by_an_ipv4_address_works_like_ipv4() {
    Node::run(|node| {
        let (id, backends, vip) = service(node, Family::V4);
        let client = udp_socket(Family::V6);
        let (result, counted) = node.counted(|| tests::socket::connect(&client, vip));
        assert_eq!(result, Ok(()));
        assert_eq!(counted, Counters::none().sent(id, backends[0].id, 1));
        let shown = Family::Mapped.as_dialled(vip);
        assert_eq!(peer_name(&client), shown);
        client.send(b"question").expect("send");
        receive(&backends).reply(b"answer");
        assert_eq!(source_of_next(&client), shown);
    });
}
