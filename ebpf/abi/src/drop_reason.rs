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
    /// A pod's packet whose source is not the pod's.
    SpoofedSource = 7,
    /// No rule of the policies that isolate the sender's egress allows it.
    EgressDenied = 8,
    /// No rule of the policies that isolate the receiver's ingress allows it.
    IngressDenied = 9,
    /// The pod is isolated and its policies could not be put into the maps.
    PolicyNotProgrammed = 10,
    /// A header that cannot be understood, of an isolated pod's packet, or changed, of a translated one.
    Malformed = 11,
    /// A later fragment whose first one was not seen.
    FragmentWithoutFirst = 12,
    /// Every source port that was tried is in use toward the backend.
    NoSnatPort = 13,
    /// No route to where a translated packet must go.
    NoRoute = 14,
    /// Larger than the path of a translated packet takes; the sender is told.
    PacketTooBig = 15,
    /// A translated packet whose time to live ends here; the sender is told.
    TtlExpired = 16,
}

impl DropReason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::NoEndpoints,
        Self::NoLocalEndpoint,
        Self::UnallocatedServiceAddress,
        Self::UnknownServicePort,
        Self::SocketNotRemembered,
        Self::BackendsLeaving,
        Self::SpoofedSource,
        Self::EgressDenied,
        Self::IngressDenied,
        Self::PolicyNotProgrammed,
        Self::Malformed,
        Self::FragmentWithoutFirst,
        Self::NoSnatPort,
        Self::NoRoute,
        Self::PacketTooBig,
        Self::TtlExpired,
    ];

    /// Entries of `DROPS`: one past the largest number.
    pub const COUNT: u32 = 17;

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
            Self::SpoofedSource => "spoofed_source",
            Self::EgressDenied => "egress_denied",
            Self::IngressDenied => "ingress_denied",
            Self::PolicyNotProgrammed => "policy_not_programmed",
            Self::Malformed => "malformed",
            Self::FragmentWithoutFirst => "fragment_without_first",
            Self::NoSnatPort => "no_snat_port",
            Self::NoRoute => "no_route",
            Self::PacketTooBig => "packet_too_big",
            Self::TtlExpired => "ttl_expired",
        }
    }
}

impl TryFrom<u32> for DropReason {
    type Error = UnknownDropReason;

    fn try_from(number: u32) -> Result<Self, UnknownDropReason> {
        Self::ALL.into_iter().find(|r| *r as u32 == number).ok_or(UnknownDropReason(number))
    }
}
