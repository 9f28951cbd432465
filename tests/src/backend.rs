//! Backends: sockets that listen where a backend's row says. No threads: the test itself looks who was reached.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;

use abi::{BackendId, Generation};

use crate::socket::first_readable;

/// A backend of one Service port: listens for TCP and UDP on one address and port.
pub struct Backend {
    /// Its id in `BACKENDS`.
    pub id: BackendId,
    /// Its generation there.
    pub generation: Generation,
    /// Where it listens.
    pub addr: SocketAddr,
    tcp: TcpListener,
    udp: UdpSocket,
}

impl Backend {
    /// Listens on `addr`.
    pub fn listen(id: BackendId, generation: Generation, addr: SocketAddr) -> Self {
        let tcp = TcpListener::bind(addr).unwrap_or_else(|e| panic!("TCP {addr}: {e}"));
        let udp = UdpSocket::bind(addr).unwrap_or_else(|e| panic!("UDP {addr}: {e}"));
        udp.set_nonblocking(true).expect("a non-blocking socket");
        Self { id, generation, addr, tcp, udp }
    }
}

impl Backend {
    /// Sends a datagram that nobody asked for.
    pub fn send_to(&self, payload: &[u8], to: SocketAddr) {
        self.udp.send_to(payload, to).expect("a datagram");
    }
}

/// Accepts the connection that somebody just made: which backend has it.
pub fn accept(backends: &[Backend]) -> (&Backend, TcpStream) {
    let listeners: Vec<_> = backends.iter().map(|b| b.tcp.as_fd()).collect();
    let reached = &backends[first_readable(&listeners).expect("a connection")];
    let (stream, _) = reached.tcp.accept().expect("accept");
    (reached, stream)
}

/// A datagram at a backend.
pub struct Received<'a> {
    /// Who has it.
    pub backend: &'a Backend,
    /// What is in it.
    pub payload: Vec<u8>,
    from: SocketAddr,
}

/// Takes the datagram that somebody just sent: which backend has it.
pub fn receive(backends: &[Backend]) -> Received<'_> {
    let sockets: Vec<_> = backends.iter().map(|b| b.udp.as_fd()).collect();
    let backend = &backends[first_readable(&sockets).expect("a datagram")];
    let mut buffer = [0; 64];
    let (len, from) = backend.udp.recv_from(&mut buffer).expect("recvfrom");
    Received { backend, payload: buffer[..len].to_vec(), from }
}

impl Received<'_> {
    /// Answers the sender.
    pub fn reply(&self, payload: &[u8]) {
        self.backend.udp.send_to(payload, self.from).expect("a reply");
    }
}

/// Whether no backend has an unseen connection or datagram.
pub fn are_idle(backends: &[Backend]) -> bool {
    backends.iter().all(|b| {
        b.tcp.set_nonblocking(true).expect("a non-blocking listener");
        let no_connection = b.tcp.accept().is_err_and(|e| e.kind() == ErrorKind::WouldBlock);
        let no_datagram = b.udp.recv_from(&mut [0]).is_err_and(|e| e.kind() == ErrorKind::WouldBlock);
        no_connection && no_datagram
    })
}
