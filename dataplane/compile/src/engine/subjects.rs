//! Pods and devices in the engine's rounds.

use std::collections::BTreeMap;

use abi::{IfIndex, PodEntry, PodFlags};
use model::{Changes, NodeView, ObjectName, Snapshot};

use super::Engine;
use crate::op::Op;
use crate::policy::PodPolicy;
use crate::subjects::{Hooks, IdTable, SubjectNames, SubjectOp};

impl Engine {
    pub(super) fn update_subjects(
        &mut self,
        snapshot: &Snapshot,
        view: &NodeView,
        changes: Option<&Changes>,
    ) {
        let ids = IdTable { rows: &mut self.ids, limit: self.limits.ids };
        let policies = &self.policies;
        let policy_of = |pod: &ObjectName| {
            let policy = policies.pod_policy(pod).unwrap_or(PodPolicy::OPEN);
            (policy.egress, policy.ingress)
        };
        self.subjects.update(snapshot, view, changes, &policy_of, ids);
    }

    pub(super) fn plan_pods(&self) -> Vec<Op> {
        subject_ops(self.subjects.plan_pods(&|id| self.policies.is_programmed(id)))
    }

    /// Names of the ids of pods and devices.
    #[must_use]
    pub fn subject_names(&self) -> SubjectNames {
        self.subjects.names()
    }

    /// The programs that each device is to carry, as of the rows in the kernel.
    #[must_use]
    pub fn attachments(&self) -> BTreeMap<IfIndex, Hooks> {
        self.subjects.attachments()
    }
}

/// What a row of `PODS` says of policies; `None` for one that is not in use.
pub(super) fn policy_of_row(entry: &PodEntry) -> Option<PodPolicy> {
    let is_used = entry.flags.has(PodFlags::KNOWN);
    is_used.then_some(PodPolicy { egress: entry.egress, ingress: entry.ingress })
}

pub(super) fn subject_ops(ops: Vec<SubjectOp>) -> Vec<Op> {
    ops.into_iter().map(Op::Subject).collect()
}
