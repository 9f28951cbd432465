//! Services: frontends, sets, slots, backends, and the node's own addresses.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Addr, Port, Protocol};

/// A byte from a map that is outside the closed set that it should belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCode(pub u8);

/// Index of a Service port in `SERVICES` and `SERVICE_STATS`. Zero is never given out: it means "none".
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ServiceId(pub u32);

impl ServiceId {
    /// No Service: the id in the value of an "other ports" frontend, and of a free backend.
    pub const NONE: Self = Self(0);
}

/// Index of a backend in `BACKENDS` and `BACKEND_STATS`. Stable while the endpoint belongs to the Service port; zero
/// is never given out.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct BackendId(pub u32);

/// How often an id was given out before. Whoever remembers an id remembers its generation: another generation is
/// another thing under the same number.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct Generation(pub u32);

/// Key of `FRONTENDS`: what a client dials. 20 bytes.
///
/// A NodePort has the wildcard address of its family and is found only if the destination is one of the node's own
/// addresses. Port 0 with [`Protocol::ANY`] stands for all ports of an active ClusterIP that no Service port has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct FrontendKey {
    addr: Addr,
    port: Port,
    protocol: Protocol,
    _pad: u8,
}

impl FrontendKey {
    /// The frontend `addr:port` of a protocol.
    #[inline]
    #[must_use]
    pub const fn new(addr: Addr, port: Port, protocol: Protocol) -> Self {
        Self { addr, port, protocol, _pad: 0 }
    }

    /// The row that answers for every other port of `vip`.
    #[inline]
    #[must_use]
    pub const fn other_ports(vip: Addr) -> Self {
        Self::new(vip, Port::ANY, Protocol::ANY)
    }

    /// The address dialled.
    #[inline]
    #[must_use]
    pub const fn addr(&self) -> Addr {
        self.addr
    }

    /// The port dialled.
    #[inline]
    #[must_use]
    pub const fn port(&self) -> Port {
        self.port
    }

    /// The protocol.
    #[inline]
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }
}

/// Kind of a frontend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum FrontendKind {
    /// `spec.clusterIPs`.
    ClusterIp = 1,
    /// `spec.ports[].nodePort` on the node's own addresses.
    NodePort = 2,
    /// `spec.externalIPs`.
    ExternalIp = 3,
    /// `status.loadBalancer.ingress[].ip` with ipMode VIP (KEP-1860).
    LoadBalancer = 4,
    /// Every other port of an active ClusterIP: refused (kube-proxy's nftables mode does the same).
    OtherPorts = 5,
}

impl TryFrom<u8> for FrontendKind {
    type Error = UnknownCode;

    fn try_from(code: u8) -> Result<Self, UnknownCode> {
        match code {
            1 => Ok(Self::ClusterIp),
            2 => Ok(Self::NodePort),
            3 => Ok(Self::ExternalIp),
            4 => Ok(Self::LoadBalancer),
            5 => Ok(Self::OtherPorts),
            other => Err(UnknownCode(other)),
        }
    }
}

/// Value of `FRONTENDS`. 8 bytes; never changes while the frontend belongs to one Service port.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct FrontendValue {
    service: ServiceId,
    kind: u8,
    _pad: [u8; 3],
}

impl FrontendValue {
    /// A frontend of `service`.
    #[inline]
    #[must_use]
    pub const fn new(service: ServiceId, kind: FrontendKind) -> Self {
        Self { service, kind: kind as u8, _pad: [0; 3] }
    }

    /// The Service port behind the frontend; [`ServiceId::NONE`] for [`FrontendKind::OtherPorts`].
    #[inline]
    #[must_use]
    pub const fn service(&self) -> ServiceId {
        self.service
    }

    /// The kind's code, see [`FrontendKind`].
    #[inline]
    #[must_use]
    pub const fn kind_code(&self) -> u8 {
        self.kind
    }
}

/// Key of `SERVICE_CIDRS` (LPM trie): a prefix of service addresses. 20 bytes.
///
/// The prefix length counts bits of the 16-byte form, so an IPv4 `/12` is 108.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct CidrKey {
    prefix_len: u32,
    addr: Addr,
}

impl CidrKey {
    /// A prefix of the 16-byte form; `prefix_len` in 0..=128, bits of `addr` behind it zero.
    #[inline]
    #[must_use]
    pub const fn new(addr: Addr, prefix_len: u32) -> Self {
        Self { prefix_len, addr }
    }

    /// The key that finds the longest prefix of `addr`.
    #[inline]
    #[must_use]
    pub const fn lookup(addr: Addr) -> Self {
        Self::new(addr, 128)
    }

    /// Prefix length in bits of the 16-byte form, 0..=128.
    #[must_use]
    pub const fn prefix_len(&self) -> u32 {
        self.prefix_len
    }

    /// The prefix's address.
    #[must_use]
    pub const fn addr(&self) -> Addr {
        self.addr
    }
}

/// A set of backends as one machine word: where its slots begin and how many there are.
///
/// Programs load it with one read and user space replaces it with one store, so a reader sees the old set or the new
/// one and never a mix. The low 32 bits are the first slot's index, the high 32 bits the number of slots.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct SetWord(pub u64);

impl SetWord {
    /// The empty set.
    pub const EMPTY: Self = Self(0);

    /// `count` slots from `base`.
    #[inline]
    #[must_use]
    pub const fn new(base: u32, count: u32) -> Self {
        Self((base as u64) | ((count as u64) << 32))
    }

    /// Index of the first slot.
    #[inline]
    #[must_use]
    pub const fn base(self) -> u32 {
        self.0 as u32
    }

    /// Number of slots; zero means no backend.
    #[inline]
    #[must_use]
    pub const fn count(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// Flag bits of a Service port.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct ServiceFlags(pub u32);

impl ServiceFlags {
    /// `internalTrafficPolicy: Local` (KEP-2086): ClusterIP frontends use the local set.
    pub const INTERNAL_LOCAL: Self = Self(1);
    /// `externalTrafficPolicy: Local`: external frontends use the local set, except from this node's own sockets.
    pub const EXTERNAL_LOCAL: Self = Self(2);

    /// Both sets of flags.
    #[inline]
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all bits of `other` are set.
    #[inline]
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Value of `SERVICES`: one Service port. 32 bytes, an array element that user space also stores to through `mmap`.
///
/// Either set word is read and written on its own: an empty `local` next to a non-empty `cluster` under a Local policy
/// is kube-proxy's drop; an empty `cluster` means that no endpoint exists anywhere (refused).
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct ServiceEntry {
    /// Backends that the policy Cluster may use.
    pub cluster: SetWord,
    /// Backends on this node; empty unless a traffic policy is Local.
    pub local: SetWord,
    /// Flags.
    pub flags: ServiceFlags,
    /// `sessionAffinityConfig.clientIP.timeoutSeconds`; zero is no affinity.
    pub affinity_secs: u32,
    /// Generation of the service id; odd and even mean nothing. An unused id keeps its last one.
    pub generation: Generation,
    /// Way of choosing; zero is uniform random, the only one yet.
    pub algorithm: u8,
    #[doc(hidden)]
    pub _pad: [u8; 3],
}

impl ServiceEntry {
    /// A Service port without backends.
    #[must_use]
    pub const fn empty(generation: Generation) -> Self {
        Self {
            cluster: SetWord::EMPTY,
            local: SetWord::EMPTY,
            flags: ServiceFlags(0),
            affinity_secs: 0,
            generation,
            algorithm: 0,
            _pad: [0; 3],
        }
    }
}

/// State of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum BackendState {
    /// The id is free or its endpoint has left: nothing that remembers it may go on using it.
    Gone = 0,
    /// The endpoint is ready.
    Live = 1,
    /// The endpoint terminates and still serves (KEP-1669): flows that have it keep it; new ones only as fallback.
    Terminating = 2,
}

impl TryFrom<u8> for BackendState {
    type Error = UnknownCode;

    fn try_from(code: u8) -> Result<Self, UnknownCode> {
        match code {
            0 => Ok(Self::Gone),
            1 => Ok(Self::Live),
            2 => Ok(Self::Terminating),
            other => Err(UnknownCode(other)),
        }
    }
}

/// Value of `BACKENDS`: one endpoint of one Service port. 36 bytes.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct BackendEntry {
    /// The Service port it belongs to.
    pub service: ServiceId,
    /// Generation of the backend id; goes up when the id is given to another endpoint.
    pub generation: Generation,
    /// Id of the endpoint's node ([`crate::IdKind::Node`]); zero is unknown.
    pub node: u32,
    /// Id of the endpoint's zone ([`crate::IdKind::Zone`]); zero is unknown.
    pub zone: u16,
    /// See [`BackendState`].
    pub state: u8,
    /// 1 if the endpoint is on this node, else 0.
    pub local: u8,
    /// The endpoint's address.
    pub addr: Addr,
    /// The endpoint's port.
    pub port: Port,
    #[doc(hidden)]
    pub _pad: [u8; 2],
}

impl BackendEntry {
    /// What a released id holds: nothing but the generation that its next owner must exceed.
    #[must_use]
    pub const fn gone(generation: Generation) -> Self {
        Self {
            service: ServiceId::NONE,
            generation,
            node: 0,
            zone: 0,
            state: BackendState::Gone as u8,
            local: 0,
            addr: Addr::ANY_V6,
            port: Port::ANY,
            _pad: [0; 2],
        }
    }
}

/// Value of `NODE_ADDRS`: what one of the node's own addresses is used for. 4 bytes.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct NodeAddrValue(pub u32);

impl NodeAddrValue {
    /// NodePorts answer on this address.
    pub const NODE_PORT: Self = Self(1);
}
