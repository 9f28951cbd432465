//! Waiting until no program can still see what was unlinked.
//!
//! Programs of cgroup hooks run inside an RCU read-side section. The kernel waits for all of those when an entry of an
//! array of maps is replaced by system call (`maybe_wait_bpf_programs`, since Linux 4.20), which needs no capability
//! beyond BPF and works on nohz_full CPUs, where `membarrier(MEMBARRIER_CMD_GLOBAL)` is refused.

use std::os::fd::{AsFd, OwnedFd};

use aya_obj::generated::bpf_map_type;

use super::sys;
use crate::kernel::KernelError;

/// A map of no other use than to be waited on.
pub(super) struct GracePeriod {
    outer: OwnedFd,
    inner: OwnedFd,
}

impl GracePeriod {
    pub(super) fn new() -> Result<Self, KernelError> {
        let fail = |source| KernelError::Write { map: "grace", source };
        let array = bpf_map_type::BPF_MAP_TYPE_ARRAY;
        let inner = sys::map_create(array, 4, 4, 1, None, b"grace_inner").map_err(fail)?;
        let of_maps = bpf_map_type::BPF_MAP_TYPE_ARRAY_OF_MAPS;
        let outer = sys::map_create(of_maps, 4, 4, 1, Some(inner.as_fd()), b"grace").map_err(fail)?;
        Ok(Self { outer, inner })
    }

    /// Blocks for one grace period.
    pub(super) fn wait(&self) -> Result<(), KernelError> {
        use std::os::fd::AsRawFd;
        let inner = self.inner.as_raw_fd().to_ne_bytes();
        sys::map_update(self.outer.as_fd(), &0u32.to_ne_bytes(), &inner)
            .map_err(|source| KernelError::Write { map: "grace", source })
    }
}
