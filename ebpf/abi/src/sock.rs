//! What sockets remember of the address that the application dialled.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Addr, BackendId, Generation, Port};

/// Value of `SOCKETS`, by the socket's kernel cookie: a connected socket's VIP, and the backend that was chosen. 44 bytes.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct SockPeer {
    /// The backend chosen at connect.
    pub backend: BackendId,
    /// Its generation at that time.
    pub generation: Generation,
    /// The address that the application dialled.
    pub vip: Addr,
    /// The port that the application dialled.
    pub port: Port,
    /// The backend's port.
    pub backend_port: Port,
    /// The backend's address. A socket that is connected elsewhere by now no longer means this entry.
    pub backend_addr: Addr,
}

/// Cache lines of `SOCKETS_HINT`, with a byte for each of 262,144 sockets.
pub const SOCKETS_HINT_LINES: u32 = 4_096;

/// Bytes of a line of `SOCKETS_HINT`.
pub const SOCKETS_HINT_LINE_BYTES: usize = 64;

/// A socket's byte of `SOCKETS_HINT`, and what it holds if `SOCKETS` may have the socket.
///
/// Cookies are handed out upwards, so that sockets of one time share lines. Sockets that share a byte are 262,144 cookies
/// apart and nearly always told apart by the tag.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(Debug))]
pub struct SockHint {
    /// The line: index of the map.
    pub line: u32,
    /// The byte in the line, below [`SOCKETS_HINT_LINE_BYTES`].
    pub byte: usize,
    /// What the byte holds then; never zero.
    pub tag: u8,
}

impl SockHint {
    /// Where to look for the socket with this kernel cookie: 6 bits choose the byte, 12 the line, 7 are the tag.
    #[inline]
    #[must_use]
    pub const fn of(cookie: u64) -> Self {
        Self {
            line: (cookie >> 6) as u32 % SOCKETS_HINT_LINES,
            byte: cookie as usize % SOCKETS_HINT_LINE_BYTES,
            tag: 0x80 | (cookie >> 18) as u8,
        }
    }
}

/// Key of `SOCK_UDP`: an unconnected socket and a backend that may answer it. 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct SockUdpKey {
    cookie: u64,
    addr: Addr,
    port: Port,
    _pad: [u8; 6],
}

impl SockUdpKey {
    /// The socket with this kernel cookie, and the backend `addr:port`.
    #[inline]
    #[must_use]
    pub const fn new(cookie: u64, addr: Addr, port: Port) -> Self {
        Self { cookie, addr, port, _pad: [0; 6] }
    }
}

/// Value of `SOCK_UDP`: the VIP that the socket's last datagram to the backend was meant for. 20 bytes.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct SockUdpValue {
    /// The address that the application dialled.
    pub vip: Addr,
    /// The port that the application dialled.
    pub port: Port,
    #[doc(hidden)]
    pub _pad: [u8; 2],
}

impl SockUdpValue {
    /// The VIP `vip:port`.
    #[inline]
    #[must_use]
    pub const fn new(vip: Addr, port: Port) -> Self {
        Self { vip, port, _pad: [0; 2] }
    }
}

/// Key of `SOCK_UDP_FWD`: an unconnected socket and a VIP that it dials. 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct SockUdpFwdKey {
    cookie: u64,
    vip: Addr,
    port: Port,
    _pad: [u8; 6],
}

impl SockUdpFwdKey {
    /// The socket with this kernel cookie, and the VIP `vip:port`.
    #[inline]
    #[must_use]
    pub const fn new(cookie: u64, vip: Addr, port: Port) -> Self {
        Self { cookie, vip, port, _pad: [0; 6] }
    }
}

/// Value of `SOCK_UDP_FWD`: the backend that the socket's datagrams to the VIP go to. 8 bytes.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct SockUdpFwdValue {
    /// The backend chosen with the first datagram.
    pub backend: BackendId,
    /// Its generation at that time; another one now means choose again.
    pub generation: Generation,
}
