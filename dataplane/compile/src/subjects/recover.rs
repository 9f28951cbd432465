//! A start from what the maps hold, and an audit of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use abi::{Generation, IdKey, IdKind, PodEntry, PodFlags, PodId, PolicyId};

use super::plan::is_known;
use super::{IdTable, SubjectDump, Subjects};
use crate::delta::Delta;
use crate::engine::Drift;
use crate::ids::pool::Pool;
use crate::limits::SubjectLimits;

impl Subjects {
    /// A start; an empty dump is the first one.
    pub(crate) fn new(limits: SubjectLimits, dump: SubjectDump, rows: &BTreeMap<IdKey, u32>) -> Self {
        let is_ours = |id: &PodId| *id >= PodId::FIRST && id.0 < limits.pods;
        let mut recovered = BTreeMap::new();
        let mut used: BTreeSet<PodId> = BTreeSet::new();
        for (key, id) in rows.iter().filter(|(key, _)| key.kind_code() == IdKind::Pod as u32) {
            // Two pods under one id are the trace of a half-done change: the later one gets a new id.
            if is_ours(&PodId(*id)) && used.insert(PodId(*id)) {
                recovered.insert(*key.digest(), PodId(*id));
            }
        }
        used.extend(dump.pods.iter().filter(|(_, entry)| is_known(entry)).map(|(id, _)| *id));
        used.extend(dump.local_pods.values().chain(dump.cgroups.values()));
        used.extend(dump.devices.values().map(|entry| entry.pod));
        let reserved = 1..PodId::FIRST.0;
        let numbers = used.iter().filter(|id| is_ours(id)).map(|id| id.0).chain(reserved).collect();
        let generations = dump.pods.iter().map(|(id, entry)| (id.0, entry.generation)).collect();
        let owners = dump.devices.iter().filter(|(_, entry)| entry.pod != PodId::NONE);
        let owners = owners.map(|(index, entry)| (model::IfIndex(index.0), entry.pod)).collect();

        let mut entries = Delta::new(dump.pods);
        entries.set_desired(PodId::HOST, PodEntry::new(Generation(0), PodFlags::HOST));
        let mut refused = PodEntry::new(Generation(0), PodFlags::default());
        (refused.egress, refused.ingress) = (PolicyId::CLOSED, PolicyId::CLOSED);
        entries.set_desired(PodId::REFUSED, refused);
        Self {
            node: Arc::default(),
            is_synced: false,
            pods: BTreeMap::new(),
            peers: BTreeSet::new(),
            network: Arc::default(),
            uplinks: None,
            roles: BTreeMap::new(),
            owners,
            pool: Pool::recover(limits.pods, &numbers, generations),
            recovered,
            leaving: BTreeMap::new(),
            entries,
            local_pods: Delta::new(dump.local_pods),
            cgroups: Delta::new(dump.cgroups),
            devices: Delta::new(dump.devices),
            full: BTreeMap::new(),
            limits,
        }
    }

    /// Everything is known now: what a former run left and no pod took is to go, rows without a name too.
    pub(super) fn sweep(&mut self, ids: &mut IdTable<'_>) {
        for (digest, id) in std::mem::take(&mut self.recovered) {
            self.leave(id, Some(digest), ids);
        }
        let taken: BTreeSet<PodId> = self.pods.values().map(|pod| pod.id).collect();
        let strays: Vec<PodId> = self.entries.unwanted().filter(|id| !taken.contains(id)).copied().collect();
        for id in strays {
            let is_used = self.entries.realised(&id).is_some_and(is_known);
            if is_used && id >= PodId::FIRST {
                self.leave(id, None, ids);
            }
        }
    }

    /// Takes a fresh dump for the truth.
    pub(crate) fn audit(&mut self, dump: &SubjectDump) -> Vec<Drift> {
        let mut drift = Vec::new();
        let mut report = |map, keys: Vec<String>| {
            drift.extend(keys.into_iter().map(|key| Drift { map, key }));
        };
        report("LOCAL_PODS", self.local_pods.adopt(&dump.local_pods, ToString::to_string));
        report("PODS_BY_CGROUP", self.cgroups.adopt(&dump.cgroups, |id| id.0.to_string()));
        report("DEVICES", self.devices.adopt(&dump.devices, |index| index.0.to_string()));
        let unused = PodEntry::gone(Generation(0));
        let known: BTreeSet<PodId> =
            self.entries.all_realised().keys().chain(dump.pods.keys()).copied().collect();
        for id in known {
            let found = dump.pods.get(&id).copied().unwrap_or(unused);
            if self.entries.realised(&id).copied().unwrap_or(unused) != found {
                report("PODS", vec![id.0.to_string()]);
                self.entries.set_realised(id, Some(found));
                // Until everything is known, what no known pod has is not ours to take out.
                if self.is_synced && self.entries.desired(&id).is_none() {
                    self.entries.set_desired(id, PodEntry::gone(found.generation));
                }
            }
        }
        drift
    }
}
