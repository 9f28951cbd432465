//! The maps of pods and devices.

use std::os::fd::OwnedFd;

use abi::{Addr, CgroupId, DeviceEntry, Generation, IfIndex, PodEntry, PodId};
use compile::{SubjectDump, SubjectLimits, SubjectOp};

use super::maps::Table;
use crate::kernel::KernelError;

/// Handles on the four maps.
pub(super) struct SubjectMaps {
    pods: Table<PodId, PodEntry>,
    local_pods: Table<Addr, PodId>,
    cgroups: Table<CgroupId, PodId>,
    devices: Table<IfIndex, DeviceEntry>,
}

impl SubjectMaps {
    pub(super) fn open(
        open: impl Fn(&'static str) -> Result<OwnedFd, KernelError>,
    ) -> Result<Self, KernelError> {
        Ok(Self {
            pods: Table::new("PODS", open("PODS")?)?,
            local_pods: Table::new("LOCAL_PODS", open("LOCAL_PODS")?)?,
            cgroups: Table::new("PODS_BY_CGROUP", open("PODS_BY_CGROUP")?)?,
            devices: Table::new("DEVICES", open("DEVICES")?)?,
        })
    }

    /// The maxima of the maps as they are.
    pub(super) fn limits(&self) -> SubjectLimits {
        SubjectLimits {
            pods: self.pods.max_entries(),
            local_pods: self.local_pods.max_entries(),
            cgroups: self.cgroups.max_entries(),
            devices: self.devices.max_entries(),
        }
    }

    pub(super) fn apply(&self, op: &SubjectOp) -> Result<(), KernelError> {
        match op {
            SubjectOp::PutPod(id, entry) => self.pods.put(id, entry),
            SubjectOp::PutLocalPod(addr, id) => self.local_pods.put(addr, id),
            SubjectOp::DeleteLocalPod(addr) => self.local_pods.delete(addr),
            SubjectOp::PutCgroup(cgroup, id) => self.cgroups.put(cgroup, id),
            SubjectOp::DeleteCgroup(cgroup) => self.cgroups.delete(cgroup),
            SubjectOp::PutDevice(index, entry) => self.devices.put(index, entry),
            SubjectOp::DeleteDevice(index) => self.devices.delete(index),
        }
    }

    pub(super) fn dump(&self) -> Result<SubjectDump, KernelError> {
        let mut dump = SubjectDump::default();
        let unused = PodEntry::gone(Generation(0));
        self.pods.for_each(|id, entry| {
            if entry != unused {
                dump.pods.insert(id, entry);
            }
        })?;
        self.local_pods.for_each(|addr, id| {
            dump.local_pods.insert(addr, id);
        })?;
        self.cgroups.for_each(|cgroup, id| {
            dump.cgroups.insert(cgroup, id);
        })?;
        self.devices.for_each(|index, entry| {
            dump.devices.insert(index, entry);
        })?;
        Ok(dump)
    }
}
