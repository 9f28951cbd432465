//! Unconnected UDP sockets: each datagram is translated, and each reply shows the VIP that was dialled.

use std::net::{SocketAddr, UdpSocket};

use abi::{
    BackendState, FrontendKind, Generation, Protocol, ServiceFlags, ServiceId, SockUdpFwdKey, SockUdpKey,
};
use tests::address::abi_of;
use tests::backend::receive;
use tests::socket::{cookie, peer_name, udp_connect, udp_socket};
use tests::{Backend, Counters, Family, Node};

/// A Service with `n` backends on `port`, and a VIP for UDP.
fn service(node: &Node, family: Family, i: u8, n: usize) -> (ServiceId, Vec<Backend>, SocketAddr) {
    let service = node.service(ServiceFlags::default());
    let backends = node.backends(family, service, 5300 + u16::from(i), n);
    node.use_cluster(service, &backends.iter().collect::<Vec<_>>());
    let vip = SocketAddr::new(family.vip(i), 53);
    node.frontend(vip, Protocol::UDP, FrontendKind::ClusterIp, service);
    (service, backends, vip)
}

/// Sends a question, has the backend answer it, and tells who answered and whom the answer seems to come from.
fn ask<'a>(client: &UdpSocket, to: SocketAddr, backends: &'a [Backend]) -> (&'a Backend, SocketAddr) {
    client.send_to(b"question", to).expect("sendto");
    let question = receive(backends);
    question.reply(b"answer");
    (question.backend, client.recv_from(&mut [0; 16]).expect("an answer").1)
}

#[test]
fn a_datagram_goes_to_a_backend_and_the_reply_shows_the_vip() {
    Node::run_each(|node, family| {
        let (id, backends, vip) = service(node, family, 1, 1);
        let client = udp_socket(family);
        let ((_, shown), counted) = node.counted(|| ask(&client, vip, &backends));
        assert_eq!(shown, vip);
        assert_eq!(counted, Counters::none().sent(id, backends[0].id, 1));
    });
}

/// Of three backends; by chance alone 20 datagrams would stay together once in 3^19 runs.
#[test]
fn the_datagrams_of_one_socket_go_to_one_backend_and_count_once() {
    Node::run_each(|node, family| {
        let (id, backends, vip) = service(node, family, 1, 3);
        let client = udp_socket(family);
        let (reached, counted) = node.counted(|| {
            let mut reached: Vec<_> = (0..20).map(|_| ask(&client, vip, &backends).0.id).collect();
            reached.dedup();
            reached
        });
        assert_eq!(reached.len(), 1, "{reached:?}");
        assert_eq!(counted, Counters::none().sent(id, reached[0], 1));
    });
}

#[test]
fn sockets_choose_each_for_itself() {
    Node::run(|node| {
        let (_, backends, vip) = service(node, Family::V4, 1, 3);
        let (_, counted) = node.counted(|| {
            for _ in 0..150 {
                ask(&udp_socket(Family::V4), vip, &backends);
            }
        });
        // 50 each, give or take 6 (one standard deviation).
        assert!(backends.iter().all(|b| counted.of_backend(b.id) > 20), "{counted:?}");
    });
}

#[test]
fn one_socket_talks_to_two_services() {
    Node::run_each(|node, family| {
        let (_, first, first_vip) = service(node, family, 1, 1);
        let (_, second, second_vip) = service(node, family, 2, 1);
        let client = udp_socket(family);
        client.send_to(b"one", first_vip).expect("sendto");
        client.send_to(b"two", second_vip).expect("sendto");
        let (to_first, to_second) = (receive(&first), receive(&second));
        to_second.reply(b"two");
        to_first.reply(b"one");
        let mut buffer = [0; 3];
        assert_eq!(client.recv_from(&mut buffer).expect("an answer").1, second_vip);
        assert_eq!(&buffer, b"two");
        assert_eq!(client.recv_from(&mut buffer).expect("an answer").1, first_vip);
        assert_eq!(&buffer, b"one");
    });
}

/// Replies do not tell which of the two they answer: the one dialled last is right as long as a client asks in turn.
#[test]
fn a_backend_behind_two_vips_shows_the_one_dialled_last() {
    Node::run_each(|node, family| {
        let (id, backends, vip) = service(node, family, 1, 1);
        let external = SocketAddr::new(family.vip(2), 5353);
        node.frontend(external, Protocol::UDP, FrontendKind::ExternalIp, id);
        let client = udp_socket(family);
        for to in [vip, external, vip] {
            assert_eq!(ask(&client, to, &backends).1, to);
        }
    });
}

#[test]
fn a_datagram_to_a_plain_address_is_untouched() {
    Node::run_each(|node, family| {
        service(node, family, 1, 1);
        let server = UdpSocket::bind(SocketAddr::new(family.pod(1), 7070)).expect("a server");
        let plain = family.as_dialled(server.local_addr().expect("an address"));
        let client = udp_socket(family);
        let (_, counted) = node.counted(|| {
            client.send_to(b"question", plain).expect("sendto");
            let (_, from) = server.recv_from(&mut [0; 16]).expect("the question");
            server.send_to(b"answer", from).expect("a reply");
            assert_eq!(client.recv_from(&mut [0; 16]).expect("an answer").1, plain);
        });
        assert_eq!(counted, Counters::none());
    });
}

/// Another socket's conversation with the same backend is not this one's.
#[test]
fn a_backend_that_the_socket_did_not_ask_shows_itself() {
    Node::run_each(|node, family| {
        let (_, backends, vip) = service(node, family, 1, 1);
        let (asker, listener) = (udp_socket(family), udp_socket(family));
        let to = SocketAddr::new(family.pod(2), listener.local_addr().expect("an address").port());
        ask(&asker, vip, &backends);
        backends[0].send_to(b"hello", to);
        let source = listener.recv_from(&mut [0; 16]).expect("a datagram").1;
        assert_eq!(source, family.as_dialled(backends[0].addr));
    });
}

#[test]
fn a_flow_keeps_a_backend_that_terminates() {
    Node::run_each(|node, family| {
        let (id, backends, vip) = service(node, family, 1, 3);
        let client = udp_socket(family);
        let first = ask(&client, vip, &backends).0;
        // As user space does it: out of the set, but not gone.
        node.put_backend(id, first, BackendState::Terminating);
        let others: Vec<_> = backends.iter().filter(|b| b.id != first.id).collect();
        node.use_cluster(id, &others);
        let (again, counted) = node.counted(|| ask(&client, vip, &backends).0);
        assert_eq!((again.id, counted), (first.id, Counters::none()));
        assert_ne!(ask(&udp_socket(family), vip, &backends).0.id, first.id);
    });
}

#[test]
fn a_flow_leaves_a_backend_that_is_gone() {
    Node::run_each(|node, family| {
        let (id, backends, vip) = service(node, family, 1, 2);
        let client = udp_socket(family);
        let first = ask(&client, vip, &backends).0;
        let other = backends.iter().find(|b| b.id != first.id).expect("another");
        node.use_cluster(id, &[other]);
        node.put_backend(id, first, BackendState::Gone);
        let ((reached, shown), counted) = node.counted(|| ask(&client, vip, &backends));
        assert_eq!((reached.id, shown), (other.id, vip));
        assert_eq!(counted, Counters::none().sent(id, other.id, 1));
    });
}

/// The id of a backend that left was given to another endpoint.
#[test]
fn a_flow_leaves_a_backend_of_another_generation() {
    Node::run_each(|node, family| {
        let (id, mut backends, vip) = service(node, family, 1, 2);
        let client = udp_socket(family);
        let first = ask(&client, vip, &backends).0.id;
        let at = backends.iter().position(|b| b.id == first).expect("one of them");
        let other = backends[1 - at].id;
        backends[at].generation = Generation(2);
        node.put_backend(id, &backends[at], BackendState::Live);
        node.use_cluster(id, &[&backends[1 - at]]);
        let (reached, counted) = node.counted(|| ask(&client, vip, &backends).0.id);
        assert_eq!((reached, counted), (other, Counters::none().sent(id, other, 1)));
    });
}

#[test]
fn a_flow_leaves_a_backend_that_belongs_to_another_service() {
    Node::run_each(|node, family| {
        let (id, backends, vip) = service(node, family, 1, 2);
        let stranger = node.service(ServiceFlags::default());
        let client = udp_socket(family);
        let first = ask(&client, vip, &backends).0;
        let other = backends.iter().find(|b| b.id != first.id).expect("another");
        node.use_cluster(id, &[other]);
        node.put_backend(stranger, first, BackendState::Live);
        let (reached, counted) = node.counted(|| ask(&client, vip, &backends).0.id);
        assert_eq!((reached, counted), (other.id, Counters::none().sent(id, other.id, 1)));
    });
}

/// `SOCK_UDP` is an LRU map: a socket's entry may go between two datagrams.
#[test]
fn an_evicted_reply_entry_is_written_again_by_the_next_datagram() {
    Node::run_each(|node, family| {
        let (_, backends, vip) = service(node, family, 1, 1);
        let client = udp_socket(family);
        ask(&client, vip, &backends);
        let (addr, port) = abi_of(backends[0].addr);
        assert!(node.tables().evict_sock_udp(SockUdpKey::new(cookie(&client), addr, port)));
        let ((_, shown), counted) = node.counted(|| ask(&client, vip, &backends));
        assert_eq!((shown, counted), (vip, Counters::none()));
    });
}

#[test]
fn an_evicted_choice_is_made_again() {
    Node::run_each(|node, family| {
        let (id, backends, vip) = service(node, family, 1, 1);
        let client = udp_socket(family);
        ask(&client, vip, &backends);
        let (addr, port) = abi_of(vip);
        assert!(node.tables().evict_sock_udp_fwd(SockUdpFwdKey::new(cookie(&client), addr, port)));
        let ((_, shown), counted) = node.counted(|| ask(&client, vip, &backends));
        assert_eq!((shown, counted), (vip, Counters::none().sent(id, backends[0].id, 1)));
    });
}

#[test]
fn a_late_reply_of_a_backend_that_left_still_shows_the_vip() {
    Node::run_each(|node, family| {
        let (id, backends, vip) = service(node, family, 1, 1);
        let client = udp_socket(family);
        client.send_to(b"question", vip).expect("sendto");
        let question = receive(&backends);
        node.put_backend(id, &backends[0], BackendState::Gone);
        question.reply(b"late");
        assert_eq!(client.recv_from(&mut [0; 16]).expect("an answer").1, vip);
    });
}

/// `sendto` with an address: the socket stays connected to where it was.
#[test]
fn a_connected_socket_may_still_send_elsewhere() {
    Node::run_each(|node, family| {
        let (_, first, first_vip) = service(node, family, 1, 1);
        let (id, second, second_vip) = service(node, family, 2, 1);
        let client = udp_connect(family, first_vip).expect("a socket");
        let (_, counted) = node.counted(|| client.send_to(b"elsewhere", second_vip).expect("sendto"));
        assert_eq!(counted, Counters::none().sent(id, second[0].id, 1));
        assert_eq!(receive(&second).payload, b"elsewhere");
        client.send(b"home").expect("send");
        assert_eq!(receive(&first).payload, b"home");
        assert_eq!(peer_name(&client), first_vip);
    });
}
