//! Counters that the programs add to with atomics. All count up from the id's first use.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Value of `SERVICE_STATS`, by service id. 32 bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct ServiceStats {
    /// Sockets sent to a backend: TCP and UDP connects, and each backend choice of an unconnected UDP socket.
    pub connections: u64,
    /// Refused because the Service has no endpoint, or because all that were looked at had just left.
    pub refused: u64,
    /// Dropped because a Local policy found no endpoint on this node.
    pub dropped: u64,
    /// Sent to a backend although the socket's VIP could not be remembered: the application sees the backend's address
    /// as its peer.
    pub unremembered: u64,
}

/// Value of `BACKEND_STATS`, by backend id. 8 bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct BackendStats {
    /// Sockets sent to this backend.
    pub connections: u64,
}
