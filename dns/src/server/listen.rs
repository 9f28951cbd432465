//! Sockets to serve on.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

/// Queries that wait for a process that is being replaced are kept here: some 4,000 of them.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;
const BACKLOG: i32 = 1024;

/// Sockets, bound and listening.
#[derive(Debug, Default)]
pub struct Sockets {
    /// For UDP.
    pub udp: Vec<UdpSocket>,
    /// For TCP.
    pub tcp: Vec<TcpListener>,
}

/// Why an address cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {addr} ({protocol}): {source}{}", hint(source))]
pub struct ListenError {
    /// The address.
    pub addr: SocketAddr,
    /// `UDP` or `TCP`.
    pub protocol: &'static str,
    /// Why.
    pub source: io::Error,
}

fn hint(error: &io::Error) -> &'static str {
    let hints = [
        (io::ErrorKind::AddrInUse, ": another server has the port: stop it or choose another address"),
        (io::ErrorKind::AddrNotAvailable, ": no interface has the address"),
        (io::ErrorKind::PermissionDenied, ": ports below 1024 need the capability NET_BIND_SERVICE"),
    ];
    hints.iter().find(|(kind, _)| *kind == error.kind()).map_or("", |(_, hint)| hint)
}

/// Binds UDP and TCP on each address, `copies` times each: the kernel spreads clients over the copies (SO_REUSEPORT,
/// Linux 3.9), and several processes of one user can have the same address.
///
/// # Errors
///
/// The address that cannot be bound; nothing is left bound then.
pub fn bind(addrs: &[SocketAddr], copies: usize) -> Result<Sockets, ListenError> {
    let mut sockets = Sockets::default();
    for addr in addrs {
        // Where both families are given by name, the IPv6 socket must not take IPv4 as well.
        let has_v4_twin = addrs.iter().any(|other| other.is_ipv4() && other.port() == addr.port());
        for _ in 0..copies.max(1) {
            let error = |protocol| move |source| ListenError { addr: *addr, protocol, source };
            sockets.udp.push(bind_udp(*addr, has_v4_twin).map_err(error("UDP"))?);
            sockets.tcp.push(bind_tcp(*addr, has_v4_twin).map_err(error("TCP"))?);
        }
    }
    Ok(sockets)
}

fn bind_udp(addr: SocketAddr, is_only_v6: bool) -> io::Result<UdpSocket> {
    let socket = open(addr, Type::DGRAM, Protocol::UDP, is_only_v6)?;
    // The larger buffer needs NET_ADMIN; without it the system's limit is what there is.
    if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES).is_err() {
        socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    }
    if addr.ip().is_unspecified() {
        // The answer must come from the address that was asked.
        if addr.is_ipv4() {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        }
    }
    socket.bind(&addr.into())?;
    Ok(socket.into())
}

fn bind_tcp(addr: SocketAddr, is_only_v6: bool) -> io::Result<TcpListener> {
    let socket = open(addr, Type::STREAM, Protocol::TCP, is_only_v6)?;
    // Connections of a process before may still be closing.
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn open(addr: SocketAddr, kind: Type, protocol: Protocol, is_only_v6: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_port(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(is_only_v6 || !addr.ip().is_unspecified())?;
    }
    Ok(socket)
}

impl Sockets {
    /// Shares of the sockets, one a worker; none is empty unless there is nothing.
    pub(crate) fn share(self, workers: usize) -> Vec<Self> {
        let workers = workers.min(self.udp.len().max(self.tcp.len())).max(1);
        let mut shares: Vec<Self> = (0..workers).map(|_| Self::default()).collect();
        for (i, socket) in self.udp.into_iter().enumerate() {
            if let Some(share) = shares.get_mut(i % workers) {
                share.udp.push(socket);
            }
        }
        for (i, listener) in self.tcp.into_iter().enumerate() {
            if let Some(share) = shares.get_mut(i % workers) {
                share.tcp.push(listener);
            }
        }
        shares
    }

    /// The same sockets once more.
    ///
    /// # Errors
    ///
    /// There are no descriptors left.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            udp: self.udp.iter().map(UdpSocket::try_clone).collect::<io::Result<_>>()?,
            tcp: self.tcp.iter().map(TcpListener::try_clone).collect::<io::Result<_>>()?,
        })
    }

    /// The addresses that they are bound to, each once.
    #[must_use]
    pub fn addrs(&self) -> Vec<SocketAddr> {
        let mut addrs: Vec<SocketAddr> =
            self.udp.iter().filter_map(|socket| socket.local_addr().ok()).collect();
        addrs.sort_unstable();
        addrs.dedup();
        addrs
    }
}
