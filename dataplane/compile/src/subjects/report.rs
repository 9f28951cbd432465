//! The state for people.

use std::collections::BTreeMap;
use std::sync::Arc;

use abi::{IfIndex, PodId};
use model::{ObjectName, Warning, WarningKind};

use super::Subjects;
use crate::engine::Fill;

/// What ids of subjects stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectNames {
    /// Pods of this node.
    pub pods: BTreeMap<PodId, ObjectName>,
    /// Devices.
    pub devices: BTreeMap<IfIndex, Arc<str>>,
}

impl Subjects {
    /// Outstanding writes by map.
    pub(crate) fn pending_by_map(&self, is_synced: bool) -> [(&'static str, usize); 4] {
        let count = |updates: usize, unwanted: usize| updates + if is_synced { unwanted } else { 0 };
        [
            ("DEVICES", count(self.devices.pending(None), self.devices.unwanted().count())),
            ("PODS", self.entries.pending(None)),
            ("LOCAL_PODS", count(self.local_pods.pending(None), self.local_pods.unwanted().count())),
            ("PODS_BY_CGROUP", count(self.cgroups.pending(None), self.cgroups.unwanted().count())),
        ]
    }

    /// How full the maps are.
    pub(crate) fn fill(&self) -> [Fill; 4] {
        const FIRST: u32 = PodId::FIRST.0;
        let fill = |map, used: usize, max: u32| Fill { map, used: used as u64, max: u64::from(max) };
        // The pool does not count index 0.
        let reserved = FIRST as usize - 1;
        [
            fill("DEVICES", self.devices.all_realised().len(), self.limits.devices),
            fill("PODS", self.pool.used().saturating_sub(reserved), self.limits.pods.saturating_sub(FIRST)),
            fill("LOCAL_PODS", self.local_pods.all_realised().len(), self.limits.local_pods),
            fill("PODS_BY_CGROUP", self.cgroups.all_realised().len(), self.limits.cgroups),
        ]
    }

    /// Names of the ids in use.
    pub(crate) fn names(&self) -> SubjectNames {
        let pods = self.pods.iter().filter(|(_, pod)| pod.id >= PodId::FIRST);
        let devices = self.network.devices.iter();
        SubjectNames {
            pods: pods.map(|(name, pod)| (pod.id, name.clone())).collect(),
            devices: devices.map(|(index, device)| (IfIndex(index.0), Arc::clone(&device.name))).collect(),
        }
    }

    /// Whether something did not fit.
    pub(crate) fn has_refused(&self) -> bool {
        !self.full.is_empty()
    }

    /// What did not fit, by object.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = Warning> + '_ {
        self.full.iter().flat_map(|(object, details)| {
            details.iter().map(|detail| Warning {
                object: object.clone(),
                kind: WarningKind::MapFull,
                detail: detail.clone(),
            })
        })
    }
}
