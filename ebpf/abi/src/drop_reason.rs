//! Why a connection or datagram was not let through.

/// A number that is no drop reason of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownDropReason(pub u32);

/// Index into `DROPS`. Numbers are never reused: a retired one stays reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum DropReason {
    /// The Service has no endpoint anywhere: `ECONNREFUSED` at the socket.
    NoEndpoints = 1,
    /// A Local traffic policy and no endpoint on this node: `EHOSTUNREACH` at the socket.
    NoLocalEndpoint = 2,
    /// An address inside a service CIDR that no Service has: `EHOSTUNREACH` at the socket.
    UnallocatedServiceAddress = 3,
    /// A port that no Service port has, on an active ClusterIP: `ECONNREFUSED` at the socket.
    UnknownServicePort = 4,
    /// An unconnected UDP socket's VIP could not be remembered, so its reply would come from a stranger: `ENOBUFS`.
    SocketNotRemembered = 5,
    /// Every backend looked at had just left: `ECONNREFUSED` at the socket.
    BackendsLeaving = 6,
}

impl DropReason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::NoEndpoints,
        Self::NoLocalEndpoint,
        Self::UnallocatedServiceAddress,
        Self::UnknownServicePort,
        Self::SocketNotRemembered,
        Self::BackendsLeaving,
    ];

    /// Entries of `DROPS`: one past the largest number.
    pub const COUNT: u32 = 7;

    /// The name in metrics and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoEndpoints => "no_endpoints",
            Self::NoLocalEndpoint => "no_local_endpoint",
            Self::UnallocatedServiceAddress => "unallocated_service_address",
            Self::UnknownServicePort => "unknown_service_port",
            Self::SocketNotRemembered => "socket_not_remembered",
            Self::BackendsLeaving => "backends_leaving",
        }
    }
}

impl TryFrom<u32> for DropReason {
    type Error = UnknownDropReason;

    fn try_from(number: u32) -> Result<Self, UnknownDropReason> {
        Self::ALL.into_iter().find(|r| *r as u32 == number).ok_or(UnknownDropReason(number))
    }
}
