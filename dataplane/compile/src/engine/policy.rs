//! Policy ids of pods, for whoever writes their rows, and names for whoever explains.

use std::collections::BTreeMap;

use abi::{PolicyId, RuleId};
use model::ObjectName;

use super::Engine;
use crate::policy::{PodPolicy, PolicyRows, RuleName};

impl Engine {
    /// The policy ids that each local pod is to have, by pod. A pod that nothing isolates has [`PodPolicy::OPEN`]; one of
    /// the host's network and a finished one have none.
    pub fn pod_policies(&self) -> impl Iterator<Item = (&ObjectName, PodPolicy)> {
        let pods = self.policies.local_pods();
        pods.filter_map(|pod| self.policies.pod_policy(pod).map(|policy| (pod, policy)))
    }

    /// The policy ids that a local pod is to have.
    #[must_use]
    pub fn pod_policy(&self, pod: &ObjectName) -> Option<PodPolicy> {
        self.policies.pod_policy(pod)
    }

    /// What the row of a local pod may have now, if it has `now`: in each direction what it is to have once that is in
    /// the kernel, until then what it has, and without a row nothing passes.
    ///
    /// Until everything is known a direction that is closed to some is not opened.
    #[must_use]
    pub fn pod_policy_now(&self, pod: &ObjectName, now: Option<PodPolicy>) -> Option<PodPolicy> {
        let wanted = self.policies.pod_policy(pod)?;
        let choose = |wanted: PolicyId, now: Option<PolicyId>| {
            let opens = wanted == PolicyId::NONE && !self.is_synced;
            match now {
                Some(now) if now != PolicyId::NONE && opens => now,
                now if !self.policies.is_programmed(wanted) => now.unwrap_or(PolicyId::CLOSED),
                _ => wanted,
            }
        };
        Some(PodPolicy {
            egress: choose(wanted.egress, now.map(|now| now.egress)),
            ingress: choose(wanted.ingress, now.map(|now| now.ingress)),
        })
    }

    /// Learns which policy ids a row of `PODS` has in the kernel, by its index: at the start, and whenever one was
    /// written or cleared. What they mean stays programmed as long as a row has them.
    pub fn record_pod_policy(&mut self, row: u32, policy: Option<PodPolicy>) {
        self.policies.record_pod(row, policy);
    }

    /// The rows that the maps are to have once nothing is pending.
    #[must_use]
    pub fn policy_rows(&self) -> PolicyRows<'_> {
        self.policies.rows()
    }

    /// The names of all rules in use.
    #[must_use]
    pub fn rule_names(&self) -> &BTreeMap<RuleId, RuleName> {
        self.policies.rule_names()
    }

    /// The name of a rule.
    #[must_use]
    pub fn rule_name(&self, id: RuleId) -> Option<&RuleName> {
        self.policies.rule_name(id)
    }
}
