//! Local pods and their policy sets.

use std::collections::BTreeSet;

use abi::{Digest, PolicyId, PolicyRevision, RuleId};
use model::{Direction, ObjectName, Pod, Snapshot};

use super::PodPolicy;
use super::atom::Atom;
use super::rules::{PolicySet, RuleName};
use super::state::{Dirty, Policies, SetState, Work};
use crate::ids::contents::IdRows;

/// Place of a direction in pairs.
const fn place(direction: Direction) -> usize {
    match direction {
        Direction::Ingress => 0,
        Direction::Egress => 1,
    }
}

/// Whether policy applies to a pod as such: a finished one is nobody, one in the host's network is its node.
pub(super) fn is_somebody(pod: &Pod) -> bool {
    !pod.is_finished && !pod.is_host_network
}

impl Policies {
    /// Gives every local pod that may have changed its policy sets.
    pub(super) fn update_targets(
        &mut self,
        snapshot: &Snapshot,
        dirty: Dirty<'_>,
        work: &mut Work,
        ids: &mut IdRows<'_>,
    ) {
        for name in self.dirty_targets(snapshot, dirty) {
            let pod = snapshot
                .pods
                .get(&name)
                .filter(|pod| is_somebody(pod) && pod.node.as_ref() == Some(&self.node));
            let wanted = pod.map(|pod| {
                Direction::ALL
                    .map(|direction| PolicySet::of_pod(pod, direction, snapshot.policies_in(&name.namespace)))
            });
            let had = self.pods.get(&name).copied().unwrap_or_default();
            let Some(wanted) = wanted else {
                self.pods.remove(&name);
                had.iter().flatten().for_each(|digest| self.leave_set(digest, &name));
                continue;
            };
            let mut has = [None; 2];
            for set in wanted.into_iter().flatten() {
                let at = place(set.direction);
                let digest = set.digest();
                if !self.sets.contains_key(&digest) {
                    self.make_set(digest, set, work, ids);
                }
                if let Some(state) = self.sets.get_mut(&digest) {
                    state.pods.insert(name.clone());
                }
                has[at] = Some(digest);
            }
            let left = had.iter().flatten().filter(|digest| !has.contains(&Some(**digest)));
            left.for_each(|digest| self.leave_set(digest, &name));
            self.pods.insert(name, has);
        }
        self.number_sets(work, ids);
        self.drop_sets(work, ids);
    }

    fn dirty_targets(&self, snapshot: &Snapshot, dirty: Dirty<'_>) -> BTreeSet<ObjectName> {
        let is_local = |pod: &Pod| pod.node.as_ref() == Some(&self.node);
        match dirty {
            Dirty::All => {
                let local = snapshot.pods.values().filter(|pod| is_local(pod)).map(|pod| pod.name.clone());
                local.chain(self.pods.keys().cloned()).collect()
            }
            Dirty::Some(changes) => {
                let namespaces: BTreeSet<_> =
                    changes.network_policies.iter().map(|policy| &policy.namespace).collect();
                let by_policy = self.pods.keys().filter(|pod| namespaces.contains(&pod.namespace));
                let by_pod = changes.pods.iter().filter(|name| {
                    self.pods.contains_key(*name) || snapshot.pods.get(*name).is_some_and(|pod| is_local(pod))
                });
                by_policy.chain(by_pod).cloned().collect()
            }
        }
    }

    fn leave_set(&mut self, digest: &Digest, pod: &ObjectName) {
        if let Some(set) = self.sets.get_mut(digest) {
            set.pods.remove(pod);
        }
    }

    fn make_set(&mut self, digest: Digest, content: PolicySet, work: &mut Work, ids: &mut IdRows<'_>) {
        let mut atoms = BTreeSet::new();
        for atom in content.atoms() {
            let id = self.atoms.intern(atom);
            atoms.insert(id);
            if self.atoms.acquire(id, digest) {
                match atom {
                    Atom::Pods(scope, selector) => {
                        self.selectors.insert(id, scope, selector);
                        work.new_scopes.insert(scope.clone());
                    }
                    Atom::Block(_) => work.has_new_blocks = true,
                    Atom::Port(..) => {}
                }
            }
        }
        let names: BTreeSet<_> = content.names().into_iter().cloned().collect();
        for name in &names {
            if self.atoms.acquire_name(name, digest) {
                work.new_names.insert(name.clone());
            }
        }
        let (rules, default_rule) = content.rule_names();
        let mut number = |name: RuleName| {
            let digest = name.digest();
            let id = self.ids.rules.acquire(digest, ids).map_or(RuleId::NONE, RuleId);
            if id != RuleId::NONE {
                self.rule_names.insert(id, name);
            }
            (id, digest)
        };
        let rules = rules.into_iter().map(&mut number).collect();
        let default_rule = number(default_rule);
        let wildcard = content.flatten(&BTreeSet::new());
        let pods = BTreeSet::new();
        let set = SetState { content, id: None, pods, atoms, names, wildcard, rules, default_rule };
        self.sets.insert(digest, set);
        work.new_sets.insert(digest);
    }

    /// Gives policy ids to the sets that have none.
    fn number_sets(&mut self, work: &mut Work, ids: &mut IdRows<'_>) {
        let without: Vec<Digest> =
            self.sets.iter().filter(|(_, set)| set.id.is_none()).map(|(digest, _)| *digest).collect();
        for digest in without {
            let Some(id) = self.ids.policies.acquire(digest, ids).map(PolicyId) else { continue };
            if let Some(set) = self.sets.get_mut(&digest) {
                set.id = Some(id);
            }
            self.set_of_id.insert(id, digest);
            work.new_sets.insert(digest);
            // At the start a former run's policy ids stay in force; their revisions follow when all rows are there.
            let found = self.revisions.realised(&id).copied();
            let kept = found.filter(|revision| self.is_first && *revision > PolicyRevision::CLOSED);
            let revision = kept.unwrap_or_else(|| self.new_revision());
            self.revisions.set_desired(id, revision);
        }
    }

    /// Drops the sets that nobody has or is to have; true if there was one.
    pub(super) fn drop_sets(&mut self, work: &mut Work, ids: &mut IdRows<'_>) -> bool {
        let is_held = |id: &Option<PolicyId>| id.is_some_and(|id| self.holds.pods.has(&id));
        let unused = self.sets.iter().filter(|(_, set)| set.pods.is_empty() && !is_held(&set.id));
        let unused: Vec<Digest> = unused.map(|(digest, _)| *digest).collect();
        for digest in &unused {
            if let Some(set) = self.sets.remove(digest) {
                self.drop_set(digest, set, work, ids);
            }
        }
        !unused.is_empty()
    }

    fn drop_set(&mut self, digest: &Digest, set: SetState, work: &mut Work, ids: &mut IdRows<'_>) {
        if let Some(id) = set.id {
            self.remove_rows_of(id, ids);
            self.set_of_id.remove(&id);
            self.revisions.remove_desired(&id);
            self.bumps.remove(&id);
            self.ids.policies.let_go(digest, ids);
        }
        self.refused.verdicts.retain(|(of, _)| of != digest);
        work.new_sets.remove(digest);
        let numbered = set.rules.iter().chain([&set.default_rule]).filter(|(id, _)| *id != RuleId::NONE);
        for (_, rule) in numbered {
            self.ids.rules.let_go(rule, ids);
        }
        for id in set.atoms {
            let Some(atom) = self.atoms.get(id).cloned() else { continue };
            if self.atoms.let_go(id, digest) {
                match &*atom {
                    Atom::Pods(scope, selector) => self.selectors.remove(id, scope, selector),
                    Atom::Block(_) => work.has_new_blocks = true,
                    Atom::Port(..) => {}
                }
                self.touch_members(id, work);
            }
        }
        for name in &set.names {
            for id in self.atoms.let_go_name(name, digest) {
                self.touch_members(id, work);
            }
        }
    }

    /// What each local pod is to have. A set without a number closes its direction.
    pub(crate) fn pod_policy(&self, pod: &ObjectName) -> Option<PodPolicy> {
        let sets = self.pods.get(pod)?;
        let id = |direction: Direction| match &sets[place(direction)] {
            None => PolicyId::NONE,
            Some(digest) => self.sets.get(digest).and_then(|set| set.id).unwrap_or(PolicyId::CLOSED),
        };
        Some(PodPolicy { egress: id(Direction::Egress), ingress: id(Direction::Ingress) })
    }

    /// The local pods.
    pub(crate) fn local_pods(&self) -> impl Iterator<Item = &ObjectName> {
        self.pods.keys()
    }
}
