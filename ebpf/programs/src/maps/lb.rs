//! Services, backends and the node's addresses. Written by user space only.

use abi::{
    Addr, BackendEntry, BackendId, BackendState, FrontendKey, FrontendValue, Generation, NodeAddrValue, Port,
    ServiceEntry, ServiceFlags, ServiceId, SetWord,
};
use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{Array, HashMap, LpmTrie};
use aya_ebpf::macros::btf_map;

#[btf_map]
static FRONTENDS: HashMap<FrontendKey, FrontendValue, 262_144> = HashMap::new();

#[btf_map]
static SERVICE_CIDRS: LpmTrie<[u8; 16], u32, 1_024> = LpmTrie::new();

#[btf_map]
static SERVICES: Array<ServiceEntry, 65_536, { BPF_F_MMAPABLE as usize }> = Array::new();

#[btf_map]
static SLOTS: Array<u32, 1_048_576, { BPF_F_MMAPABLE as usize }> = Array::new();

#[btf_map]
static BACKENDS: Array<BackendEntry, 262_144> = Array::new();

#[btf_map]
static NODE_ADDRS: HashMap<Addr, NodeAddrValue, 4_096> = HashMap::new();

/// The frontend of a key.
///
/// While other keys of the map are written a present key can look absent (seen 4 to 10 times in millions of look-ups):
/// a miss is believed when it comes twice.
#[inline(always)] // twice in the hot path, with constants folded in
pub(crate) fn frontend(key: &FrontendKey) -> Option<FrontendValue> {
    frontend_once(key).or_else(|| frontend_once(key))
}

#[inline(always)] // as `frontend`
fn frontend_once(key: &FrontendKey) -> Option<FrontendValue> {
    // SAFETY: the value is copied at once; user space replaces entries, never changes them in place.
    unsafe { FRONTENDS.get(key) }.copied()
}

/// Whether NodePorts answer on an address: it is one of the node's own.
///
/// One look is enough: the map is written only when an address of the node comes or goes.
#[inline(always)] // one look-up
pub(crate) fn is_node_port_addr(addr: &Addr) -> bool {
    node_addr(addr).is_some_and(|v| v.0 & NodeAddrValue::NODE_PORT.0 != 0)
}

/// What one of the node's own addresses is used for.
#[inline(always)] // one look-up
pub(crate) fn node_addr(addr: &Addr) -> Option<NodeAddrValue> {
    // SAFETY: the value is copied at once.
    unsafe { NODE_ADDRS.get(addr) }.copied()
}

/// Whether an address is inside a service range.
#[inline(always)] // one look-up
pub(crate) fn is_service_addr(addr: Addr) -> bool {
    SERVICE_CIDRS.get(&Key::new(128, addr.octets())).is_some()
}

/// A Service port's sets and flags: each read whole, on its own.
pub(crate) struct Service {
    entry: *const ServiceEntry,
}

impl Service {
    /// The Service port of an id.
    #[inline(always)] // one look-up
    pub(crate) fn get(id: ServiceId) -> Option<Self> {
        SERVICES.get_ptr(id.0).map(|entry| Self { entry })
    }

    /// The set for the policy Cluster, read as one word.
    #[inline(always)] // one load
    pub(crate) fn cluster(&self) -> SetWord {
        // SAFETY: array elements never go away; an aligned word is read in one load (volatile: never split or repeated).
        SetWord(unsafe { core::ptr::read_volatile(&raw const (*self.entry).cluster.0) })
    }

    /// The set for the policy Local, read as one word.
    #[inline(always)] // one load
    pub(crate) fn local(&self) -> SetWord {
        // SAFETY: as in `cluster`.
        SetWord(unsafe { core::ptr::read_volatile(&raw const (*self.entry).local.0) })
    }

    /// The flags.
    #[inline(always)] // one load
    pub(crate) fn flags(&self) -> ServiceFlags {
        // SAFETY: as in `cluster`, with a half word.
        ServiceFlags(unsafe { core::ptr::read_volatile(&raw const (*self.entry).flags.0) })
    }
}

/// The backend id in a slot.
#[inline(always)] // one look-up
pub(crate) fn slot(index: u32) -> Option<BackendId> {
    SLOTS.get(index).map(|id| BackendId(*id))
}

/// What a program needs to know of a backend.
#[derive(Clone, Copy)]
pub(crate) struct Backend {
    pub(crate) id: BackendId,
    pub(crate) generation: Generation,
    pub(crate) addr: Addr,
    pub(crate) port: Port,
    pub(crate) is_local: bool,
}

/// The backend of an id, if it is one of `service` that has not left.
///
/// User space replaces the element while we read, and the kernel copies it front to back: so it is read back to front.
/// Whoever sees the new address then sees the new state, generation and Service too.
#[inline(always)] // one look-up
pub(crate) fn backend(id: BackendId, service: ServiceId) -> Option<Backend> {
    let entry: *const BackendEntry = BACKENDS.get_ptr(id.0)?;
    // SAFETY: array elements never go away; volatile reads stay in this order and are aligned.
    let (port, addr, local, state, generation, owner) = unsafe {
        (
            core::ptr::read_volatile(&raw const (*entry).port),
            core::ptr::read_volatile(&raw const (*entry).addr),
            core::ptr::read_volatile(&raw const (*entry).local),
            core::ptr::read_volatile(&raw const (*entry).state),
            core::ptr::read_volatile(&raw const (*entry).generation),
            core::ptr::read_volatile(&raw const (*entry).service),
        )
    };
    let is_usable = state != BackendState::Gone as u8 && owner == service;
    is_usable.then_some(Backend { id, generation, addr, port, is_local: local != 0 })
}
