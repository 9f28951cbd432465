//! Socket calls and conditions that std does not offer, with deadlines.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{SockaddrIn, SockaddrIn6, SockaddrLike, SockaddrStorage};

use crate::Family;

/// How long a datagram or a connection over loopback may take: it takes microseconds, or never comes.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// Waits until one of the sockets can be read; `None` at the deadline.
pub fn first_readable(sockets: &[BorrowedFd<'_>]) -> Option<usize> {
    let mut fds: Vec<_> = sockets.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    poll(&mut fds, PollTimeout::try_from(DEADLINE).expect("a short time")).expect("poll");
    fds.iter().position(|fd| fd.any().unwrap_or_default())
}

/// Connects a TCP socket; the error is the errno.
pub fn tcp_connect(to: SocketAddr) -> Result<TcpStream, i32> {
    TcpStream::connect(to).map_err(errno)
}

/// A UDP socket for dialling in this way, not connected, that gives up receiving at the deadline.
pub fn udp_socket(family: Family) -> UdpSocket {
    let socket = UdpSocket::bind((family.any(), 0)).expect("a UDP socket");
    socket.set_read_timeout(Some(DEADLINE)).expect("a receive deadline");
    socket
}

/// A UDP socket connected to `to`; the error is the errno.
pub fn udp_connect(family: Family, to: SocketAddr) -> Result<UdpSocket, i32> {
    let socket = udp_socket(family);
    socket.connect(to).map_err(errno)?;
    Ok(socket)
}

/// The cookie of a socket, as the programs see it.
pub fn cookie(socket: impl AsFd) -> u64 {
    let mut cookie = 0u64;
    let mut len = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the option writes at most `len` bytes, the size of `cookie`.
    let ret = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut len,
        )
    };
    assert_eq!(ret, 0, "SO_COOKIE: {}", io::Error::last_os_error());
    cookie
}

/// A socket of any type and protocol; the error is the errno.
pub fn raw_socket(domain: i32, kind: i32, protocol: i32) -> Result<OwnedFd, i32> {
    // SAFETY: passes no memory.
    let fd = unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol) };
    if fd < 0 {
        return Err(errno(io::Error::last_os_error()));
    }
    // SAFETY: the kernel just made the descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `connect(2)` of any socket; the error is the errno.
pub fn connect(socket: impl AsFd, to: SocketAddr) -> Result<(), i32> {
    nix::sys::socket::connect(socket.as_fd().as_raw_fd(), &SockaddrStorage::from(to)).map_err(|e| e as i32)
}

/// Dissolves the association of a connected UDP socket: `connect(2)` with `AF_UNSPEC`.
pub fn disconnect(socket: impl AsFd) {
    let nobody = libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
    // SAFETY: the address is as long as stated.
    let ret = unsafe {
        libc::connect(
            socket.as_fd().as_raw_fd(),
            &raw const nobody,
            size_of::<libc::sockaddr>() as libc::socklen_t,
        )
    };
    assert_eq!(ret, 0, "disconnect: {}", io::Error::last_os_error());
}

/// `sendto(2)` of any socket with flags; the error is the errno.
pub fn send_to(socket: impl AsFd, payload: &[u8], to: SocketAddr, flags: i32) -> Result<usize, i32> {
    let flags = nix::sys::socket::MsgFlags::from_bits_retain(flags);
    nix::sys::socket::sendto(socket.as_fd().as_raw_fd(), payload, &SockaddrStorage::from(to), flags)
        .map_err(|e| e as i32)
}

/// `getpeername(2)` of any socket.
pub fn peer_name(socket: impl AsFd) -> SocketAddr {
    let mut storage = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut len = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: the call writes at most `len` bytes, the size of `storage`.
    let ret =
        unsafe { libc::getpeername(socket.as_fd().as_raw_fd(), storage.as_mut_ptr().cast(), &raw mut len) };
    assert_eq!(ret, 0, "getpeername: {}", io::Error::last_os_error());
    // SAFETY: `storage` holds an address of `len` bytes that the kernel wrote.
    let any = unsafe { SockaddrStorage::from_raw(storage.as_ptr().cast(), Some(len)) }.expect("an address");
    let v4 = any.as_sockaddr_in().map(|a: &SockaddrIn| SocketAddr::new(IpAddr::V4(a.ip()), a.port()));
    let v6 = any.as_sockaddr_in6().map(|a: &SockaddrIn6| SocketAddr::new(IpAddr::V6(a.ip()), a.port()));
    v4.or(v6).expect("an IP address")
}

/// The errno of an error of the system.
pub fn errno(error: io::Error) -> i32 {
    error.raw_os_error().unwrap_or_else(|| panic!("no errno: {error}"))
}
