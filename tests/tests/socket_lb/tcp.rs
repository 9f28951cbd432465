//! TCP sockets: what they show, and the less usual ways of connecting one.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;

use abi::{DropReason, FrontendKind, Protocol, ServiceFlags, ServiceId};
use tests::backend::accept;
use tests::socket::{self, peer_name, tcp_connect};
use tests::{Backend, Counters, Family, Node};

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
/// which therefore shows the backend: no program gets from the one to the other.
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
    });
}

/// Socket storage is charged to the socket's option memory, whose limit belongs to the namespace since Linux 6.8.
#[test]
fn a_socket_that_cannot_remember_its_vip_is_connected_and_counted() {
    Node::run(|node| {
        let (id, backends, vip) = service(node, Family::V4);
        let limit = "/proc/sys/net/core/optmem_max";
        if std::fs::write(limit, "0").is_err() {
            let skip =
                tests::skip::Skip { first_kernel: Some("6.8"), why: "optmem_max is not the namespace's own" };
            return skip.report("tcp::a_socket_that_cannot_remember_its_vip_is_connected_and_counted");
        }
        let (client, counted) = node.counted(|| tcp_connect(vip).expect("a connection"));
        assert_eq!(counted, Counters::none().sent(id, backends[0].id, 1).unremembered(id, 1));
        assert_eq!(peer_name(&client), backends[0].addr);
    });
}
