//! The state for people.

use std::collections::{BTreeMap, BTreeSet};

use abi::RuleId;
use model::{Kind, ObjectKey, ObjectName, Warning, WarningKind};

use super::lookup::PolicyRows;
use super::rules::RuleName;
use super::state::Policies;
use crate::engine::Fill;
use crate::render::PolicyNames;

impl Policies {
    /// Outstanding writes by map.
    pub(crate) fn pending_by_map(
        &self,
        is_synced: bool,
    ) -> impl Iterator<Item = (&'static str, usize)> + use<> {
        let count = |updates: usize, unwanted: usize| updates + if is_synced { unwanted } else { 0 };
        [
            ("IDENTITIES", count(self.identities.pending(None), self.identities.unwanted().count())),
            (
                "IDENTITY_CIDRS",
                count(self.identity_cidrs.pending(None), self.identity_cidrs.unwanted().count()),
            ),
            ("POLICY", count(self.verdicts.pending(None), self.verdicts.unwanted().count())),
            ("PORT_CLASSES", count(self.port_classes.pending(None), self.port_classes.unwanted().count())),
            ("POLICY_REVISION", self.revisions.pending(None)),
        ]
        .into_iter()
    }

    /// How full the maps are.
    pub(crate) fn fill(&self) -> [Fill; 5] {
        let fill = |map, used: usize, max: u32| Fill { map, used: used as u64, max: u64::from(max) };
        [
            fill("IDENTITIES", self.identities.all_realised().len(), self.limits.identities),
            fill("IDENTITY_CIDRS", self.identity_cidrs.all_realised().len(), self.limits.identity_cidrs),
            fill("POLICY", self.verdicts.all_realised().len(), self.limits.verdicts),
            fill("PORT_CLASSES", self.port_classes.all_realised().len(), self.limits.port_classes),
            fill("POLICY_REVISION", self.set_of_id.len(), self.limits.policies.saturating_sub(2)),
        ]
    }

    /// Names of the ids in use.
    pub(crate) fn names(&self) -> PolicyNames {
        let identities = self.identity_states.iter();
        let pods = self.local_pods();
        PolicyNames {
            identities: identities
                .filter_map(|(set, state)| state.id.map(|id| (id, self.atoms.text(set))))
                .collect(),
            policies: self
                .sets
                .values()
                .filter_map(|set| set.id.map(|id| (id, set.content.to_string())))
                .collect(),
            rules: self.rule_names.clone(),
            pods: pods.filter_map(|pod| self.pod_policy(pod).map(|policy| (pod.clone(), policy))).collect(),
        }
    }

    /// The rows that the maps are to have.
    pub(crate) fn rows(&self) -> PolicyRows<'_> {
        PolicyRows {
            identities: self.identities.all_desired(),
            identity_cidrs: self.identity_cidrs.all_desired(),
            verdicts: self.verdicts.all_desired(),
            port_classes: self.port_classes.all_desired(),
        }
    }

    /// The names of all rules in use.
    pub(crate) fn rule_names(&self) -> &BTreeMap<RuleId, RuleName> {
        &self.rule_names
    }

    /// The name of a rule.
    pub(crate) fn rule_name(&self, id: RuleId) -> Option<&RuleName> {
        self.rule_names.get(&id)
    }

    /// Whether something did not fit.
    pub(crate) fn has_refused(&self) -> bool {
        let refused = &self.refused;
        !refused.verdicts.is_empty()
            || !refused.addrs.is_empty()
            || !refused.blocks.is_empty()
            || !refused.regions.is_empty()
            || self.sets.values().any(|set| set.id.is_none())
    }

    /// What did not fit, by object. Everything that is named here is closed, not open.
    pub(crate) fn warnings(&self) -> Vec<Warning> {
        let mut details: BTreeMap<ObjectKey, BTreeSet<String>> = BTreeMap::new();
        let mut add = |kind, name: &ObjectName, detail: String| {
            let object = ObjectKey { kind, name: name.clone() };
            details.entry(object).or_default().insert(detail);
        };
        for (digest, _) in &self.refused.verdicts {
            let Some(set) = self.sets.get(digest) else { continue };
            for policy in set.content.policies.iter() {
                let direction = set.content.direction;
                let detail = format!(
                    "POLICY or PORT_CLASSES is full: peers that the policy allows are denied ({direction})"
                );
                add(Kind::NetworkPolicy, policy, detail);
            }
        }
        for set in self.sets.values().filter(|set| set.id.is_none()) {
            for policy in set.content.policies.iter() {
                let direction = set.content.direction;
                let detail = format!("POLICY_REVISION is full: the policy's pods are closed ({direction})");
                add(Kind::NetworkPolicy, policy, detail);
            }
        }
        let regions = self.refused.regions.iter().filter_map(|key| self.regions.get(key)).flatten();
        for block in self.refused.blocks.iter().chain(regions) {
            let Some(atom) = self.atoms.get(*block) else { continue };
            let users = self.atoms.users(*block).filter_map(|digest| self.sets.get(digest));
            for policy in users.flat_map(|set| set.content.policies.iter()) {
                let detail =
                    format!("IDENTITY_CIDRS or IDS is full: addresses of a block match nothing ({atom})");
                add(Kind::NetworkPolicy, policy, detail);
            }
        }
        for addr in &self.refused.addrs {
            for pod in self.claims.get(addr).into_iter().flatten() {
                let detail = format!("IDENTITIES is full: no selector of a policy matches the pod at {addr}");
                add(Kind::Pod, pod, detail);
            }
        }
        let each = details.into_iter().flat_map(|(object, details)| {
            details.into_iter().map(move |detail| Warning {
                object: object.clone(),
                kind: WarningKind::MapFull,
                detail,
            })
        });
        each.collect()
    }
}
