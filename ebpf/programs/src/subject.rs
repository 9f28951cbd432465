//! Whose a packet is, and whether it may say what it says.

use abi::{Addr, CgroupId, DropReason, PodEntry, PodFlags, PodId};
use packet::{ICMPV6, Kind, Tuple};

use crate::config::CGROUP_LEVEL;
use crate::ctx::skb::Skb;
use crate::helpers::current_ancestor_cgroup;
use crate::maps::subject::{self as map, Device};

/// Levels below the configured cgroup where pods' cgroups are: `kubepods/pod…`, `kubepods/besteffort/pod…`.
const POD_LEVELS: i32 = 4;

/// The pod at one end of a packet.
#[derive(Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) id: PodId,
    pub(crate) entry: PodEntry,
}

impl Subject {
    #[inline(always)] // one look-up
    fn of(id: PodId) -> Option<Self> {
        let entry = map::pod(id)?;
        entry.flags.has(PodFlags::KNOWN).then_some(Self { id, entry })
    }

    /// The pod that sends by a device. A new pod's interface is not known yet: then the sender's cgroup tells, which the
    /// kubelet made before its first process.
    #[inline(always)] // once a program
    pub(crate) fn sending(skb: &Skb, device: Device) -> Option<Self> {
        if device.pod != PodId::NONE {
            return Self::of(device.pod);
        }
        Self::of(pod_by_cgroup(skb))
    }

    /// The pod that receives by a device.
    #[inline(always)] // once a program
    pub(crate) fn receiving(device: Device, dst: &Addr) -> Option<Self> {
        if device.pod != PodId::NONE { Self::of(device.pod) } else { Self::of(map::pod_of_addr(dst)?) }
    }

    /// Refuses a source that is not the pod's. Link-local and unspecified sources of neighbour and group discovery are
    /// everybody's.
    #[inline(always)] // once a packet
    pub(crate) fn check_source(&self, tuple: &Tuple, kind: &Kind) -> Result<(), DropReason> {
        if !self.entry.flags.has(PodFlags::ADDRESSED) || map::pod_of_addr(&tuple.src) == Some(self.id) {
            return Ok(());
        }
        if is_discovery(tuple, kind) { Ok(()) } else { Err(DropReason::SpoofedSource) }
    }
}

/// Whether the calling process runs in a pod whose sockets are not translated. Nodes without such pods pay one look-up in
/// an array.
#[inline(always)] // once a program
pub(crate) fn is_caller_per_packet() -> bool {
    map::pod_flags(PodId::HOST).has(PodFlags::NO_SOCKET_LB)
        && map::pod_flags(pod_of_caller()).has(PodFlags::NO_SOCKET_LB)
}

#[inline(never)] // rare: its keys need no room in the program's frame
fn pod_of_caller() -> PodId {
    pod_by_ancestors(current_ancestor_cgroup)
}

/// The pod in whose cgroup the sender runs; [`PodId::NONE`] if it is in no pod's.
#[inline(never)] // as `pod_of_caller`
fn pod_by_cgroup(skb: &Skb) -> PodId {
    pod_by_ancestors(|level| skb.ancestor_cgroup(level))
}

#[inline(always)] // the callback must not be a function pointer
fn pod_by_ancestors(ancestor: impl Fn(i32) -> u64) -> PodId {
    let first = CGROUP_LEVEL.load() as i32;
    // Bounded: POD_LEVELS.
    for below in 1..=POD_LEVELS {
        let cgroup = ancestor(first + below);
        if cgroup != 0
            && let Some(id) = map::pod_of_cgroup(CgroupId(cgroup))
        {
            return id;
        }
    }
    PodId::NONE
}

/// Whether a packet keeps a link going: router and neighbour discovery (RFC 4861), group membership (RFC 3810, 9777), from an
/// address that is no pod's.
#[inline(always)] // rare
pub(crate) fn is_discovery(tuple: &Tuple, kind: &Kind) -> bool {
    let octets = tuple.src.octets();
    let is_link_local = octets[0] == 0xfe && octets[1] & 0xc0 == 0x80;
    let is_open = is_link_local || tuple.src == Addr::ANY_V6;
    match kind {
        Kind::Icmp { icmp_type, .. } => {
            tuple.protocol == ICMPV6 && is_open && matches!(*icmp_type, 130..=137 | 143)
        }
        Kind::Tcp { .. }
        | Kind::Udp
        | Kind::IcmpEcho { .. }
        | Kind::IcmpError { .. }
        | Kind::Sctp
        | Kind::Other
        | Kind::LaterFragment => false,
    }
}
