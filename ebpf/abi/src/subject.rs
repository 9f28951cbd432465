//! Subjects: whose a packet is. A pod is known by its interface or its cgroup, not by an address that it claims.
//!
//! ```text
//! interface  DEVICES[ifindex]          ─┐
//! cgroup     PODS_BY_CGROUP[ancestor]  ─┼─▶ PodId ──▶ PODS[PodId]: policies, interface, flags
//! address    LOCAL_PODS[destination]   ─┘
//! ```
//!
//! An address names a pod only as a *destination*, and as a *source* only to be compared with the interface's pod: on a
//! pod's interface every other source is forged.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Addr, Generation, PolicyId, UnknownCode};

/// Index of a local pod in `PODS`. Stable while the pod lives; given to another pod only after a grace period, under
/// another generation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct PodId(pub u32);

impl PodId {
    /// No pod is known. Row 0 of `PODS` stays zeroed.
    pub const NONE: Self = Self(0);
    /// The host itself and the pods that share its network namespace.
    pub const HOST: Self = Self(1);
    /// Isolated pods for which `PODS` has no room: closed in both directions, and named in a warning.
    pub const REFUSED: Self = Self(2);
    /// The smallest that is given out.
    pub const FIRST: Self = Self(3);
}

/// Index of a network interface of the node's network namespace; the key of `DEVICES`. Zero is no interface.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct IfIndex(pub u32);

impl IfIndex {
    /// No interface.
    pub const NONE: Self = Self(0);
}

/// The kernel's id of a cgroup v2: the inode number of its directory. The key of `PODS_BY_CGROUP`.
///
/// It is the cgroup of the pod, not those of its containers below; programs ask for the ancestor on the pod's level.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct CgroupId(pub u64);

/// What an interface leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DeviceKind {
    /// A network namespace of this machine: the host's side of a pod's interface. Whose it is may not be known yet
    /// ([`PodId::NONE`]); then the sender's cgroup tells.
    Pod = 1,
    /// Peers and the outside.
    Uplink = 2,
    /// Peers, through a tunnel of the node.
    Overlay = 3,
}

impl TryFrom<u8> for DeviceKind {
    type Error = UnknownCode;

    fn try_from(code: u8) -> Result<Self, UnknownCode> {
        match code {
            1 => Ok(Self::Pod),
            2 => Ok(Self::Uplink),
            3 => Ok(Self::Overlay),
            other => Err(UnknownCode(other)),
        }
    }
}

/// Flag bits of a device.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct DeviceFlags(pub u8);

impl DeviceFlags {
    /// Packets have no link header: the IP header is at offset 0 (WireGuard, ipip, gre, tun).
    pub const L3: Self = Self(1);
    /// A port of a bridge: what leaves through it was not routed to it.
    pub const BRIDGE_PORT: Self = Self(2);

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

/// Value of `DEVICES`: one interface that carries programs. 48 bytes.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct DeviceEntry {
    /// The pod behind a [`DeviceKind::Pod`] interface, else [`PodId::NONE`].
    pub pod: PodId,
    /// Largest packet in bytes, without the link header.
    pub mtu: u32,
    kind: u8,
    /// Flags.
    pub flags: DeviceFlags,
    /// The interface's own MAC address; zeros on a device without link header.
    pub mac: [u8; 6],
    /// Source of what is masqueraded out of here, or the family's wildcard if there is none.
    snat_v4: Addr,
    snat_v6: Addr,
}

impl DeviceEntry {
    /// A device without pod, MAC address and sources.
    #[must_use]
    pub const fn new(kind: DeviceKind, flags: DeviceFlags, mtu: u32) -> Self {
        Self {
            pod: PodId::NONE,
            mtu,
            kind: kind as u8,
            flags,
            mac: [0; 6],
            snat_v4: Addr::ANY_V4,
            snat_v6: Addr::ANY_V6,
        }
    }

    /// The same with this source for its family.
    #[must_use]
    pub const fn with_snat(mut self, source: Addr) -> Self {
        if source.is_v4() {
            self.snat_v4 = source;
        } else {
            self.snat_v6 = source;
        }
        self
    }

    /// The kind's code, see [`DeviceKind`].
    #[inline]
    #[must_use]
    pub const fn kind_code(&self) -> u8 {
        self.kind
    }

    /// The source of what is masqueraded toward `peer`; the wildcard of its family ([`Addr::any_of_family`]) if the node
    /// has no address of that family for this device.
    #[inline]
    #[must_use]
    pub const fn snat_toward(&self, peer: Addr) -> Addr {
        if peer.is_v4() { self.snat_v4 } else { self.snat_v6 }
    }
}

/// Flag bits of a pod.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct PodFlags(pub u16);

impl PodFlags {
    /// The row is in use. Without it nothing else in the row means anything but the generation.
    pub const KNOWN: Self = Self(1);
    /// The host's row.
    pub const HOST: Self = Self(2);
    /// Sockets of the pod are not translated: its packets are balanced one by one. On the host's row: some pod has it,
    /// so that sockets must ask whose they are.
    pub const NO_SOCKET_LB: Self = Self(4);
    /// The pod's addresses are known and are in `LOCAL_PODS`: any other source on its interface is forged. Until then a
    /// new pod may already send.
    pub const ADDRESSED: Self = Self(8);
    /// The pod has, or had, [`Self::NO_SOCKET_LB`]: its packets may be of flows that are balanced one by one, which outlive
    /// a change of mind.
    pub const PER_PACKET: Self = Self(16);

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

/// Value of `PODS`: one local pod, or the host. 24 bytes.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct PodEntry {
    /// Policies of what the pod sends; [`PolicyId::NONE`] is open.
    pub egress: PolicyId,
    /// Policies of what the pod receives; [`PolicyId::NONE`] is open.
    pub ingress: PolicyId,
    /// The host's side of the pod's interface; [`IfIndex::NONE`] if it is not known.
    pub ifindex: IfIndex,
    /// How often the id was given out before.
    pub generation: Generation,
    /// Flags.
    pub flags: PodFlags,
    /// MAC address of the pod's own side, for redirects into it; zeros if it is not known.
    pub mac: [u8; 6],
}

impl PodEntry {
    /// A pod that nothing isolates and whose interface is not known.
    #[must_use]
    pub const fn new(generation: Generation, flags: PodFlags) -> Self {
        Self {
            egress: PolicyId::NONE,
            ingress: PolicyId::NONE,
            ifindex: IfIndex::NONE,
            generation,
            flags: flags.with(PodFlags::KNOWN),
            mac: [0; 6],
        }
    }

    /// What a released id holds: nothing but the generation that its next owner must exceed.
    #[must_use]
    pub const fn gone(generation: Generation) -> Self {
        Self { flags: PodFlags(0), ..Self::new(generation, PodFlags(0)) }
    }
}
