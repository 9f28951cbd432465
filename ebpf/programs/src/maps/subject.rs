//! Whose a packet is. Written by user space only.

use abi::{Addr, CgroupId, DeviceEntry, DeviceFlags, IfIndex, PodEntry, PodFlags, PodId};
use aya_ebpf::btf_maps::{Array, HashMap};
use aya_ebpf::macros::btf_map;

use super::lb;

#[btf_map]
static DEVICES: HashMap<IfIndex, DeviceEntry, 4_096> = HashMap::new();

#[btf_map]
static PODS: Array<PodEntry, 4_096> = Array::new();

#[btf_map]
static LOCAL_PODS: HashMap<Addr, PodId, 8_192> = HashMap::new();

#[btf_map]
static PODS_BY_CGROUP: HashMap<CgroupId, PodId, 4_096> = HashMap::new();

/// What every packet needs to know of its interface.
#[derive(Clone, Copy)]
pub(crate) struct Device {
    pub(crate) pod: PodId,
    pub(crate) flags: DeviceFlags,
}

/// What an interface leads to.
#[inline(always)] // one look-up
pub(crate) fn device(ifindex: IfIndex) -> Option<Device> {
    // SAFETY: fields are copied at once; user space replaces entries, never changes them in place.
    unsafe { DEVICES.get(ifindex) }.map(|entry| Device { pod: entry.pod, flags: entry.flags })
}

/// The source of what is masqueraded out of an interface toward a peer.
#[inline(always)] // one look-up
pub(crate) fn snat_source(ifindex: IfIndex, peer: Addr) -> Option<Addr> {
    // SAFETY: as in `device`.
    let source = unsafe { DEVICES.get(ifindex) }?.snat_toward(peer);
    (source != peer.any_of_family()).then_some(source)
}

/// The pod of an id; the row of an unused one is not known.
#[inline(always)] // one look-up
pub(crate) fn pod(id: PodId) -> Option<PodEntry> {
    let entry = PODS.get_ptr(id.0)?;
    // SAFETY: array elements never go away. User space may replace one meanwhile: then the next packet sees all of it.
    Some(unsafe { core::ptr::read_volatile(entry) })
}

/// The flags of a pod; none if it is not known.
#[inline(always)] // one look-up
pub(crate) fn pod_flags(id: PodId) -> PodFlags {
    // SAFETY: as in `pod`, with a half word.
    PODS.get_ptr(id.0)
        .map_or(PodFlags(0), |entry| unsafe { core::ptr::read_volatile(&raw const (*entry).flags) })
}

/// The local pod that has an address.
#[inline(always)] // one look-up
pub(crate) fn pod_of_addr(addr: &Addr) -> Option<PodId> {
    // SAFETY: as in `device`.
    unsafe { LOCAL_PODS.get(addr) }.copied()
}

/// The local pod of a cgroup.
#[inline(always)] // one look-up
pub(crate) fn pod_of_cgroup(cgroup: CgroupId) -> Option<PodId> {
    // SAFETY: as in `device`.
    unsafe { PODS_BY_CGROUP.get(cgroup) }.copied()
}

/// Whether an address is one of the node's own.
#[inline(always)] // one look-up
pub(crate) fn is_node_addr(addr: &Addr) -> bool {
    lb::node_addr(addr).is_some()
}
