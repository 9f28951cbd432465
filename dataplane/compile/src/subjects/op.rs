//! Writes to the maps of subjects, and what these maps hold.

use std::collections::BTreeMap;

use abi::{Addr, CgroupId, DeviceEntry, IfIndex, PodEntry, PodId};

/// One write to one map of subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectOp {
    /// `PODS` store.
    PutPod(PodId, PodEntry),
    /// `LOCAL_PODS` insert or replace.
    PutLocalPod(Addr, PodId),
    /// `LOCAL_PODS` delete.
    DeleteLocalPod(Addr),
    /// `PODS_BY_CGROUP` insert or replace.
    PutCgroup(CgroupId, PodId),
    /// `PODS_BY_CGROUP` delete.
    DeleteCgroup(CgroupId),
    /// `DEVICES` insert or replace.
    PutDevice(IfIndex, DeviceEntry),
    /// `DEVICES` delete.
    DeleteDevice(IfIndex),
}

impl SubjectOp {
    /// The map that it goes to.
    #[must_use]
    pub const fn map(&self) -> &'static str {
        match self {
            Self::PutPod(..) => "PODS",
            Self::PutLocalPod(..) | Self::DeleteLocalPod(_) => "LOCAL_PODS",
            Self::PutCgroup(..) | Self::DeleteCgroup(_) => "PODS_BY_CGROUP",
            Self::PutDevice(..) | Self::DeleteDevice(_) => "DEVICES",
        }
    }

    /// Whether it takes a row out of a hash map.
    pub(crate) const fn is_delete(&self) -> bool {
        match self {
            Self::DeleteLocalPod(_) | Self::DeleteCgroup(_) | Self::DeleteDevice(_) => true,
            Self::PutPod(..) | Self::PutLocalPod(..) | Self::PutCgroup(..) | Self::PutDevice(..) => false,
        }
    }
}

/// The content of the maps of subjects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectDump {
    /// `PODS`, used elements: gone ones too, for their generations.
    pub pods: BTreeMap<PodId, PodEntry>,
    /// `LOCAL_PODS`.
    pub local_pods: BTreeMap<Addr, PodId>,
    /// `PODS_BY_CGROUP`.
    pub cgroups: BTreeMap<CgroupId, PodId>,
    /// `DEVICES`.
    pub devices: BTreeMap<IfIndex, DeviceEntry>,
}

impl SubjectDump {
    /// Does what the kernel does with one write.
    pub fn apply(&mut self, op: &SubjectOp) {
        match op {
            SubjectOp::PutPod(id, entry) => drop(self.pods.insert(*id, *entry)),
            SubjectOp::PutLocalPod(addr, id) => drop(self.local_pods.insert(*addr, *id)),
            SubjectOp::DeleteLocalPod(addr) => drop(self.local_pods.remove(addr)),
            SubjectOp::PutCgroup(cgroup, id) => drop(self.cgroups.insert(*cgroup, *id)),
            SubjectOp::DeleteCgroup(cgroup) => drop(self.cgroups.remove(cgroup)),
            SubjectOp::PutDevice(index, entry) => drop(self.devices.insert(*index, *entry)),
            SubjectOp::DeleteDevice(index) => drop(self.devices.remove(index)),
        }
    }
}
