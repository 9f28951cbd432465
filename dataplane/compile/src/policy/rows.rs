//! Rows of `POLICY` and their port classes.

use std::collections::BTreeSet;

use abi::{
    Digest, Identity, PolicyId, PolicyKey, PolicyValue, Port, PortClassId, PortClassKey, PortClassValue,
};

use super::atom::AtomSet;
use super::ports::{Interval, prefixes};
use super::rules::Flat;
use super::state::{ClassState, Policies, SetState, Wait, Work};
use crate::ids::contents::IdRows;
use crate::key::digest;
use crate::lb::protocol_number;

impl Policies {
    /// Places the rows that are new, and tries those again that did not fit.
    pub(super) fn place_rows(&mut self, work: &mut Work, ids: &mut IdRows<'_>) {
        let mut rows = std::mem::take(&mut work.verdicts);
        for digest in &work.new_sets {
            let Some(set) = self.sets.get(digest) else { continue };
            rows.insert((*digest, None));
            let numbers = set.names.iter().flat_map(|name| self.atoms.numbers_of(name));
            let atoms = set.atoms.iter().copied().chain(numbers);
            let identities = atoms.filter_map(|atom| self.by_atom.get(&atom)).flatten();
            rows.extend(identities.map(|identity| (*digest, Some(identity.clone()))));
        }
        rows.append(&mut self.refused.verdicts);
        for (digest, identity) in rows {
            if self.place_row(&digest, identity.as_ref(), ids).is_none() {
                self.refused.verdicts.insert((digest, identity));
            }
        }
    }

    /// Places a row; `None` if it does not fit.
    fn place_row(&mut self, digest: &Digest, identity: Option<&AtomSet>, ids: &mut IdRows<'_>) -> Option<()> {
        let Some(set) = self.sets.get(digest) else { return Some(()) };
        // Pods of a set without a number are closed, and an identity without one is nobody's.
        let Some(policy) = set.id else { return Some(()) };
        let (id, flat) = match identity {
            None => (Identity::ANY, set.wildcard.clone()),
            Some(atoms) => {
                let Some(id) = self.identity_states.get(atoms).and_then(|state| state.id) else {
                    return Some(());
                };
                let flat = set.content.flatten(&self.atoms.contents(atoms));
                if flat == set.wildcard {
                    return Some(());
                }
                (id, flat)
            }
        };
        let key = PolicyKey::new(policy, id);
        if self.row_classes.contains_key(&key) {
            return Some(());
        }
        if !self.verdicts.occupies(&key) && self.verdicts.occupied() >= self.limits.verdicts as usize {
            return None;
        }
        let default = set.default_rule.0;
        let (value, class) = match &flat {
            Flat::Deny => (PolicyValue::deny_all(default), None),
            Flat::AllowAll(rule) => (PolicyValue::allow_all(set.rules[*rule].0), None),
            Flat::Ports(intervals) => {
                let set = set.clone();
                let (class, id) = self.acquire_class(&set, intervals, ids)?;
                (PolicyValue::ports(id, default), Some(class))
            }
        };
        if self.verdicts.realised(&key).is_some_and(|found| *found != value) {
            self.bump_set(digest, Wait::Verdict(key));
        }
        self.verdicts.set_desired(key, value);
        self.row_classes.insert(key, class);
        self.rows_of_identity.entry(id).or_default().insert(policy);
        Some(())
    }

    fn acquire_class(
        &mut self,
        set: &SetState,
        intervals: &[Interval<usize>],
        ids: &mut IdRows<'_>,
    ) -> Option<(Digest, PortClassId)> {
        let content: Vec<_> =
            intervals.iter().map(|i| (i.protocol, i.first, i.last, set.rules[i.value].1)).collect();
        let digest = digest(&format!("{content:?}"));
        if let Some(class) = self.classes.get_mut(&digest) {
            class.uses += 1;
            return Some((digest, class.id));
        }
        let parts: Vec<(&Interval<usize>, u16, u32)> = intervals
            .iter()
            .flat_map(|i| prefixes(i.first, i.last).into_iter().map(move |(port, bits)| (i, port, bits)))
            .collect();
        // A class on its way out has its rows still.
        if self.port_classes.occupied() + parts.len() > self.limits.port_classes as usize {
            return None;
        }
        let id = PortClassId(self.ids.classes.acquire(digest, ids)?);
        let mut keys = Vec::new();
        for (interval, port, bits) in parts {
            let protocol = protocol_number(interval.protocol);
            let key = PortClassKey::new(id, protocol, Port::new(port), bits);
            let value = PortClassValue::allow(set.rules[interval.value].0);
            if self.port_classes.realised(&key).is_some_and(|found| *found != value) {
                self.bump_all(Wait::PortClass(key));
            }
            self.port_classes.set_desired(key, value);
            keys.push(key);
        }
        self.classes.insert(digest, ClassState { id, keys, uses: 1 });
        self.class_of_id.insert(id, digest);
        Some((digest, id))
    }

    fn let_go_class(&mut self, digest: &Digest, ids: &mut IdRows<'_>) {
        let Some(class) = self.classes.get_mut(digest) else { return };
        class.uses -= 1;
        if class.uses > 0 {
            return;
        }
        if let Some(class) = self.classes.remove(digest) {
            class.keys.iter().for_each(|key| self.port_classes.remove_desired(key));
            self.class_of_id.remove(&class.id);
            self.ids.classes.let_go(digest, ids);
        }
    }

    fn remove_row(&mut self, key: &PolicyKey, ids: &mut IdRows<'_>) {
        let Some(class) = self.row_classes.remove(key) else { return };
        self.verdicts.remove_desired(key);
        if let Some(class) = class {
            self.let_go_class(&class, ids);
        }
        if let Some(policies) = self.rows_of_identity.get_mut(&key.identity) {
            policies.remove(&key.policy);
            if policies.is_empty() {
                self.rows_of_identity.remove(&key.identity);
            }
        }
    }

    /// Takes all rows of a policy id away.
    pub(super) fn remove_rows_of(&mut self, policy: PolicyId, ids: &mut IdRows<'_>) {
        let keys: Vec<PolicyKey> = self.rows_of(policy).copied().collect();
        keys.iter().for_each(|key| self.remove_row(key, ids));
    }

    /// The wanted rows of a policy id.
    pub(super) fn rows_of(&self, policy: PolicyId) -> impl Iterator<Item = &PolicyKey> {
        let first = PolicyKey::any(policy);
        self.row_classes.range(first..).map(|(key, _)| key).take_while(move |key| key.policy == policy)
    }

    /// Takes all rows for an identity away.
    pub(super) fn remove_rows_for(&mut self, identity: Identity, ids: &mut IdRows<'_>) {
        let policies: BTreeSet<PolicyId> = self.rows_of_identity.get(&identity).cloned().unwrap_or_default();
        policies.iter().for_each(|policy| self.remove_row(&PolicyKey::new(*policy, identity), ids));
    }
}
