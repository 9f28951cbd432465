//! Records of the ring buffer `EVENTS`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Addr, IfIndex, PodId, Port, Protocol, RuleId};

/// Where a packet was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Hook {
    /// Comes from a pod.
    FromPod = 1,
    /// Goes to a pod.
    ToPod = 2,
    /// Comes in by an uplink.
    FromNet = 3,
    /// Leaves by an uplink.
    ToNet = 4,
}

impl Hook {
    /// All hooks, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::FromPod, Self::ToPod, Self::FromNet, Self::ToNet];

    /// The program's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FromPod => "from_pod",
            Self::ToPod => "to_pod",
            Self::FromNet => "from_net",
            Self::ToNet => "to_net",
        }
    }
}

/// A packet that was dropped. 72 bytes.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct DropEvent {
    /// Nanoseconds of `CLOCK_MONOTONIC_COARSE`.
    pub at: u64,
    /// Number of the [`crate::DropReason`].
    pub reason: u32,
    /// Interface.
    pub ifindex: IfIndex,
    /// The pod whose policy decided; [`PodId::NONE`] if none did.
    pub pod: PodId,
    /// What decided, if a policy did.
    pub rule: RuleId,
    /// Bytes of the packet, network header included.
    pub len: u32,
    /// Code of the [`Hook`].
    pub hook: u8,
    /// Protocol.
    pub protocol: Protocol,
    /// Source port; an echo's identifier.
    pub src_port: Port,
    /// Destination port.
    pub dst_port: Port,
    #[doc(hidden)]
    pub _pad: [u8; 6],
    /// Source, as the packet said when it was judged.
    pub src: Addr,
    /// Destination, after translation.
    pub dst: Addr,
}
