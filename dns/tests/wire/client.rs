//! Clients: one question over UDP, or a connection.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use crate::packet::{Parsed, Query, parse};
use crate::served::DEADLINE;

/// A socket that talks to one server.
pub(crate) fn socket_to(addr: SocketAddr) -> UdpSocket {
    let any: IpAddr =
        if addr.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).unwrap();
    // Connected: an answer from elsewhere is not received.
    socket.connect(addr).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

pub(crate) fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_535];
    let length = socket.recv(&mut buffer).unwrap();
    buffer.truncate(length);
    buffer
}

/// The bytes that come back for these over UDP.
pub(crate) fn exchange(addr: SocketAddr, packet: &[u8]) -> Vec<u8> {
    let socket = socket_to(addr);
    socket.send(packet).unwrap();
    receive(&socket)
}

/// The answer to a query over UDP.
pub(crate) fn ask(addr: SocketAddr, query: &Query) -> Parsed {
    parse(&exchange(addr, &query.bytes())).unwrap()
}

/// The answer, and how long it took.
pub(crate) fn timed(addr: SocketAddr, query: &Query) -> (Parsed, Duration) {
    let began = Instant::now();
    let answer = ask(addr, query);
    (answer, began.elapsed())
}

/// A connection.
pub(crate) struct Stream {
    pub(crate) tcp: TcpStream,
}

impl Stream {
    pub(crate) fn to(addr: SocketAddr) -> Self {
        let tcp = TcpStream::connect(addr).unwrap();
        tcp.set_nodelay(true).unwrap();
        tcp.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { tcp }
    }

    pub(crate) fn send(&mut self, packet: &[u8]) {
        self.tcp.write_all(&framed(packet)).unwrap();
    }

    pub(crate) fn receive(&mut self) -> Vec<u8> {
        let mut length = [0; 2];
        self.tcp.read_exact(&mut length).unwrap();
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        self.tcp.read_exact(&mut message).unwrap();
        message
    }

    pub(crate) fn ask(&mut self, query: &Query) -> Parsed {
        self.send(&query.bytes());
        parse(&self.receive()).unwrap()
    }

    /// Reads to the end, and says how long it took; a reset is an end as well.
    pub(crate) fn until_closed(&mut self) -> Duration {
        let began = Instant::now();
        let mut rest = Vec::new();
        if let Err(error) = self.tcp.read_to_end(&mut rest) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "not closed");
        }
        began.elapsed()
    }
}

/// A message after its length.
pub(crate) fn framed(packet: &[u8]) -> Vec<u8> {
    let mut framed = u16::try_from(packet.len()).unwrap().to_be_bytes().to_vec();
    framed.extend(packet);
    framed
}
