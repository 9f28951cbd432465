//! Counters. Written by the programs with atomic adds: a socket call can be preempted, also between load and store.

use abi::{BackendId, BackendStats, DropReason, ServiceId, ServiceStats};
use aya_ebpf::btf_maps::{Array, PerCpuArray};
use aya_ebpf::macros::btf_map;

use crate::helpers::add;

#[btf_map]
static SERVICE_STATS: Array<ServiceStats, 65_536> = Array::new();

#[btf_map]
static BACKEND_STATS: Array<BackendStats, 262_144> = Array::new();

#[btf_map]
static DROPS: PerCpuArray<u64, { DropReason::COUNT as usize }> = PerCpuArray::new();

/// Field of [`ServiceStats`].
#[derive(Clone, Copy)]
pub(crate) enum ServiceCounter {
    Connections,
    Refused,
    Dropped,
    Unremembered,
}

/// Counts one for a Service port.
#[inline(always)] // folds to one look-up and one add
pub(crate) fn count_service(id: ServiceId, counter: ServiceCounter) {
    if let Some(stats) = SERVICE_STATS.get_ptr_mut(id.0) {
        // SAFETY: a pointer to an array element that a look-up just returned; only its address is taken.
        let field = unsafe {
            match counter {
                ServiceCounter::Connections => &raw mut (*stats).connections,
                ServiceCounter::Refused => &raw mut (*stats).refused,
                ServiceCounter::Dropped => &raw mut (*stats).dropped,
                ServiceCounter::Unremembered => &raw mut (*stats).unremembered,
            }
        };
        add(field, 1);
    }
}

/// Counts a socket sent to a backend.
#[inline(always)] // one look-up and one add
pub(crate) fn count_backend(id: BackendId) {
    if let Some(stats) = BACKEND_STATS.get_ptr_mut(id.0) {
        // SAFETY: as in `count_service`.
        add(unsafe { &raw mut (*stats).connections }, 1);
    }
}

/// Counts a drop.
#[inline(always)] // one look-up and one add
pub(crate) fn count_drop(reason: DropReason) {
    if let Some(counter) = DROPS.get_ptr_mut(reason as u32) {
        add(counter, 1);
    }
}
