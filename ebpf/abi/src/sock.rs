//! What sockets remember of the address that the application dialled.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Addr, BackendId, Generation, Port};

/// Value of `SOCKETS` (socket storage): a connected socket's VIP and the backend that was chosen. 28 bytes.
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
    #[doc(hidden)]
    pub _pad: [u8; 2],
}

impl SockPeer {
    /// A socket that dialled `vip:port`.
    #[inline]
    #[must_use]
    pub const fn new(vip: Addr, port: Port, backend: BackendId, generation: Generation) -> Self {
        Self { backend, generation, vip, port, _pad: [0; 2] }
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
