//! The writes, and what becomes of them.

use std::collections::BTreeSet;

use abi::{IdKey, IdKind, PodEntry, PodFlags, PodId, PolicyId};
use model::Synced;

use super::{SubjectOp, Subjects};
use crate::delta::Delta;

impl Subjects {
    /// Rows of pods as far as what they rest on is in the kernel. A policy id that is not is one that denies everything,
    /// or, for a pod that has another, the other.
    pub(crate) fn plan_pods(&self, is_programmed: &dyn Fn(PolicyId) -> bool) -> Vec<SubjectOp> {
        let used = self.entries.updates().filter(|(_, entry)| is_known(entry));
        used.map(|(id, entry)| (*id, self.writable(*id, entry, is_programmed)))
            .filter(|(id, entry)| self.entries.realised(id) != Some(entry))
            .map(|(id, entry)| SubjectOp::PutPod(id, entry))
            .collect()
    }

    fn writable(&self, id: PodId, entry: &PodEntry, is_programmed: &dyn Fn(PolicyId) -> bool) -> PodEntry {
        let before =
            self.entries.realised(&id).filter(|had| is_known(had) && had.generation == entry.generation);
        let policy = |wanted: PolicyId, before: Option<PolicyId>| match wanted {
            // Until everything is known a direction that is closed to some is not opened.
            PolicyId::NONE if !self.is_synced => before.unwrap_or(PolicyId::NONE),
            PolicyId::NONE | PolicyId::CLOSED => wanted,
            wanted if is_programmed(wanted) => wanted,
            _ => before.unwrap_or(PolicyId::CLOSED),
        };
        let mut writable = *entry;
        writable.egress = policy(entry.egress, before.map(|had| had.egress));
        writable.ingress = policy(entry.ingress, before.map(|had| had.ingress));
        let mut wanted = self.local_pods.all_desired().iter().filter(|(_, owner)| **owner == id);
        if !wanted.all(|(addr, _)| self.local_pods.is_in_sync(addr)) {
            writable.flags = PodFlags(entry.flags.0 & !PodFlags::ADDRESSED.0);
        }
        writable
    }

    /// What leads to pods whose rows are in the kernel.
    pub(crate) fn plan_subjects(&self) -> Vec<SubjectOp> {
        let is_there = |id: &PodId| {
            *id == PodId::NONE
                || self.entries.realised(id).is_some_and(|had| {
                    is_known(had)
                        && self.entries.desired(id).is_some_and(|entry| entry.generation == had.generation)
                })
        };
        let addrs = self.local_pods.updates().filter(|(_, id)| is_there(id));
        let cgroups = self.cgroups.updates().filter(|(_, id)| is_there(id));
        let devices = self.devices.updates().filter(|(_, entry)| is_there(&entry.pod));
        addrs
            .map(|(addr, id)| SubjectOp::PutLocalPod(*addr, *id))
            .chain(cgroups.map(|(cgroup, id)| SubjectOp::PutCgroup(*cgroup, *id)))
            .chain(devices.map(|(index, entry)| SubjectOp::PutDevice(*index, *entry)))
            .collect()
    }

    /// What leads to pods that left, and devices that did.
    pub(crate) fn plan_delete_subjects(&self, synced: Option<&Synced>) -> Vec<SubjectOp> {
        let Some(synced) = synced else { return Vec::new() };
        let addrs = self.local_pods.deletes(synced).map(|addr| SubjectOp::DeleteLocalPod(*addr));
        let cgroups = self.cgroups.deletes(synced).map(|cgroup| SubjectOp::DeleteCgroup(*cgroup));
        let devices = self.devices.deletes(synced).map(|index| SubjectOp::DeleteDevice(*index));
        addrs.chain(cgroups).chain(devices).collect()
    }

    /// Rows of pods that left and that nothing leads to any more.
    pub(crate) fn plan_forget_pods(&self, synced: Option<&Synced>) -> Vec<SubjectOp> {
        if synced.is_none() {
            return Vec::new();
        }
        let named: BTreeSet<PodId> = self.named().collect();
        let gone = self.entries.updates().filter(|(id, entry)| !is_known(entry) && !named.contains(id));
        gone.map(|(id, entry)| SubjectOp::PutPod(*id, *entry)).collect()
    }

    /// The pods that rows in the kernel lead to.
    fn named(&self) -> impl Iterator<Item = PodId> + '_ {
        let addrs = self.local_pods.all_realised().values().copied();
        let cgroups = self.cgroups.all_realised().values().copied();
        let devices = self.devices.all_realised().values().map(|entry| entry.pod);
        addrs.chain(cgroups).chain(devices)
    }

    /// Learns that a write came through.
    pub(crate) fn record(&mut self, op: &SubjectOp) {
        match op {
            SubjectOp::PutPod(id, entry) => self.entries.set_realised(*id, Some(*entry)),
            SubjectOp::PutLocalPod(addr, id) => self.local_pods.set_realised(*addr, Some(*id)),
            SubjectOp::DeleteLocalPod(addr) => self.local_pods.set_realised(*addr, None),
            SubjectOp::PutCgroup(cgroup, id) => self.cgroups.set_realised(*cgroup, Some(*id)),
            SubjectOp::DeleteCgroup(cgroup) => self.cgroups.set_realised(*cgroup, None),
            SubjectOp::PutDevice(index, entry) => self.devices.set_realised(*index, Some(*entry)),
            SubjectOp::DeleteDevice(index) => self.devices.set_realised(*index, None),
        }
    }

    /// Whether `IDS` may forget an id: its pod's row is out of the kernel.
    pub(crate) fn may_forget(&self, id: u32) -> bool {
        !self.entries.realised(&PodId(id)).is_some_and(is_known)
    }

    /// Takes out the ids that no map holds any more.
    pub(crate) fn retire(&mut self, ids: &Delta<IdKey, u32>) -> Vec<PodId> {
        let is_nameless = |id: &PodId, digest: &Option<abi::Digest>| {
            digest.is_none_or(|digest| ids.realised(&IdKey::new(IdKind::Pod, digest)) != Some(&id.0))
        };
        let retired: Vec<PodId> = self
            .leaving
            .iter()
            .filter(|(id, digest)| self.entries.is_in_sync(id) && is_nameless(id, digest))
            .map(|(id, _)| *id)
            .collect();
        for id in &retired {
            self.leaving.remove(id);
        }
        retired
    }

    /// Gives back an id after its grace period.
    pub(crate) fn give_back(&mut self, id: PodId) {
        self.pool.give_back(id.0);
    }
}

pub(super) fn is_known(entry: &PodEntry) -> bool {
    entry.flags.has(PodFlags::KNOWN)
}
