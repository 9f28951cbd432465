//! TCP sockets: what they show, and the less usual ways of connecting one.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;

use abi::{DropReason, FrontendKind, Protocol, ServiceFlags, ServiceId, SockHint, SockPeer};
use tests::backend::accept;
use tests::socket::{self, peer_name, tcp_connect};
use tests::tables::pin_hash_of_one;
use tests::{Backend, Counters, Family, Node, NodeOptions};

/// A Service with one backend, and its VIP for TCP.
fn service(node: &Node, family: Family) -> (ServiceId, Vec<Backend>, SocketAddr) {
    let service = node.service(ServiceFlags::default());
    let backends = node.backends(family, service, 8080, 1);
    node.use_cluster(service, &[&backends[0]]);
    let vip = SocketAddr::new(family.vip(1), 80);
    node.frontend(vip, Protocol::TCP, FrontendKind::ClusterIp, service);
    (service, backends, vip)
}

fn tcp_socket(family: Family) -> std::os::fd::OwnedFd {
    socket::raw_socket(family.domain(), libc::SOCK_STREAM, libc::IPPROTO_TCP).expect("a TCP socket")
}

#[test]
fn the_backends_side_of_a_connection_shows_the_client_itself() {
    Node::run_each(|node, family| {
        let (_, backends, vip) = service(node, family);
        let client = tcp_connect(vip).expect("a connection");
        let (_, server) = accept(&backends);
        let from = client.local_addr().expect("the client's address");
        assert_eq!(
            (server.peer_addr().expect("a peer").ip(), from.port()),
            (from.ip().to_canonical(), from.port())
        );
    });
}

#[test]
fn a_socket_that_was_refused_may_try_elsewhere_and_shows_where_it_went() {
    Node::run_each(|node, family| {
        let (id, backends, vip) = service(node, family);
        let empty = node.service(ServiceFlags::default());
        let refused = SocketAddr::new(family.vip(2), 80);
        node.frontend(refused, Protocol::TCP, FrontendKind::ClusterIp, empty);

        let client = tcp_socket(family);
        let (results, counted) = node.counted(|| [refused, vip].map(|to| socket::connect(&client, to)));
        assert_eq!(results, [Err(libc::ECONNREFUSED), Ok(())]);
        let expected = Counters::none().refused(empty, 1).drops(DropReason::NoEndpoints, 1);
        assert_eq!(counted, expected.sent(id, backends[0].id, 1));
        assert_eq!(peer_name(&client), vip);
    });
}

/// The first connect is translated and fails at the backend, where nobody listens any more.
#[test]
fn a_socket_that_goes_to_a_plain_address_after_a_service_forgets_the_service() {
    Node::run_each(|node, family| {
        let (_, backends, vip) = service(node, family);
        drop(backends);
        let plain = TcpListener::bind(SocketAddr::new(family.pod(1), 7070)).expect("a server");
        let to = family.as_dialled(plain.local_addr().expect("an address"));

        let client = tcp_socket(family);
        assert_eq!(socket::connect(&client, vip), Err(libc::ECONNREFUSED));
        let (result, counted) = node.counted(|| socket::connect(&client, to));
        assert_eq!((result, counted), (Ok(()), Counters::none()));
        plain.accept().expect("the connection");
        assert_eq!(peer_name(&client), to);
    });
}

#[test]
fn a_fast_open_goes_to_a_backend_too() {
    Node::run_each(|node, family| {
        let (id, backends, vip) = service(node, family);
        let client = tcp_socket(family);
        let (sent, counted) = node.counted(|| socket::send_to(&client, b"hello", vip, libc::MSG_FASTOPEN));
        assert_eq!(sent, Ok(5));
        assert_eq!(counted, Counters::none().sent(id, backends[0].id, 1));
        let mut payload = [0; 5];
        accept(&backends).1.read_exact(&mut payload).expect("the payload");
        assert_eq!((&payload, peer_name(&client)), (b"hello", vip));
    });
}

#[test]
fn a_connection_that_is_made_without_waiting_goes_to_a_backend_too() {
    Node::run_each(|node, family| {
        let (id, backends, vip) = service(node, family);
        let client = tcp_socket(family);
        let flags = nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK);
        nix::fcntl::fcntl(client.as_fd(), flags).expect("a non-blocking socket");
        let (result, counted) = node.counted(|| socket::connect(&client, vip));
        assert!(matches!(result, Ok(()) | Err(libc::EINPROGRESS)), "{result:?}");
        assert_eq!(counted, Counters::none().sent(id, backends[0].id, 1));
        accept(&backends);
        assert_eq!(peer_name(&client), vip);
    });
}

/// The TCP connection below the application's socket is translated. It remembers the VIP, not the application's socket,
/// which therefore shows the backend: no program gets from the one to the other. Its entry is left to be evicted.
#[test]
fn a_multipath_tcp_connection_goes_to_a_backend_and_shows_the_backend() {
    Node::run_each(|node, family| {
        let (id, backends, vip) = service(node, family);
        let client = socket::raw_socket(family.domain(), libc::SOCK_STREAM, libc::IPPROTO_MPTCP);
        let client = client.expect("a multipath TCP socket");
        let (result, counted) = node.counted(|| socket::connect(&client, vip));
        assert_eq!((result, counted), (Ok(()), Counters::none().sent(id, backends[0].id, 1)));
        accept(&backends);
        assert_eq!(peer_name(&client), family.as_dialled(backends[0].addr));
        drop(client);
        assert_eq!(
            node.tables().sockets_remembered(),
            1,
            "no program hears of the close of a kernel's own socket"
        );
    });
}

/// An LRU map refuses an entry only when CPUs race for its last element. A plain hash map in its place, with room for
/// one socket, refuses for certain.
#[test]
fn a_socket_whose_vip_cannot_be_remembered_is_connected_and_counted() {
    const VALUE: usize = size_of::<SockPeer>();
    let with_one_entry =
        || NodeOptions { map: Some(pin_hash_of_one::<8, VALUE>("SOCKETS")), ..NodeOptions::default() };
    Node::run_with(with_one_entry, |node| {
        let (id, backends, vip) = service(node, Family::V4);
        let first = tcp_connect(vip).expect("a connection");
        let (second, counted) = node.counted(|| tcp_connect(vip).expect("a connection"));
        assert_eq!(counted, Counters::none().sent(id, backends[0].id, 1).unremembered(id, 1));
        assert_eq!((peer_name(&first), peer_name(&second)), (vip, backends[0].addr));
        drop(first);
        let third = tcp_connect(vip).expect("a connection");
        assert_eq!(peer_name(&third), vip, "there is room again");
    });
}

#[test]
fn a_socket_whose_entry_was_evicted_shows_the_backend_and_goes_on() {
    Node::run_each(|node, family| {
        let (_, backends, vip) = service(node, family);
        let client = tcp_connect(vip).expect("a connection");
        assert!(node.tables().evict_socket(socket::cookie(&client)));
        assert_eq!(peer_name(&client), family.as_dialled(backends[0].addr));
        (&client).write_all(b"hello").expect("a connection that goes on");
        let mut payload = [0; 5];
        accept(&backends).1.read_exact(&mut payload).expect("the payload");
        assert_eq!(&payload, b"hello");
    });
}

#[test]
fn a_closed_socket_leaves_no_entry() {
    Node::run_each(|node, family| {
        let (_, _backends, vip) = service(node, family);
        let client = tcp_connect(vip).expect("a connection");
        let cloned = tcp_connect(vip).expect("a connection");
        let clone = cloned.try_clone().expect("a second descriptor");
        assert_eq!(node.tables().sockets_remembered(), 2);
        drop((client, cloned));
        assert_eq!(node.tables().sockets_remembered(), 1, "a descriptor of it is open");
        drop(clone);
        assert_eq!(node.tables().sockets_remembered(), 0);
    });
}

/// The entry is there before the backend refuses.
#[test]
fn a_socket_that_a_backend_refused_leaves_no_entry() {
    Node::run_each(|node, family| {
        let (_, backends, vip) = service(node, family);
        drop(backends);
        let client = tcp_socket(family);
        assert_eq!(socket::connect(&client, vip), Err(libc::ECONNREFUSED));
        assert_eq!(node.tables().sockets_remembered(), 1);
        drop(client);
        assert_eq!(node.tables().sockets_remembered(), 0);
    });
}

/// Sockets that are 262,144 cookies apart share a byte of `SOCKETS_HINT`.
#[test]
fn a_close_clears_the_hint_of_its_own_socket_alone() {
    Node::run_each(|node, family| {
        let (_, _backends, vip) = service(node, family);
        let client = tcp_connect(vip).expect("a connection");
        let own = socket::cookie(&client);
        assert_eq!(node.tables().hint(own), SockHint::of(own).tag);
        drop(client);
        assert_eq!(node.tables().hint(own), 0);

        let plain = tcp_socket(family);
        let shared = socket::cookie(&plain);
        let others = SockHint::of(shared + 262_144).tag;
        node.tables().put_hint(shared, others);
        drop(plain);
        assert_eq!(node.tables().hint(shared), others);
    });
}

/// A long connection, say, and 262,144 sockets later another one. What stays is nobody's: cookies are given once.
#[test]
fn a_socket_whose_hint_another_one_took_shows_its_vip_and_leaves_its_entry() {
    Node::run_each(|node, family| {
        let (_, _backends, vip) = service(node, family);
        let client = tcp_connect(vip).expect("a connection");
        let cookie = socket::cookie(&client);
        node.tables().put_hint(cookie, SockHint::of(cookie + 262_144).tag);
        assert_eq!(peer_name(&client), vip);
        drop(client);
        assert!(node.tables().evict_socket(cookie), "its entry is left to be evicted");
    });
}
