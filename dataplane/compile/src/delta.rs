//! Desired against realised, as one structure (after the idea of Calico's delta tracker).
//!
//! ```text
//!      desired          realised
//!   ┌───────────┬─────┬───────────┐
//!   │ to update │ ok  │ to delete │      an update also where both have the key with other values
//!   └───────────┴─────┴───────────┘
//! ```
//!
//! Every call moves one key between the three; nothing is ever computed by looking at all of them.

use std::collections::{BTreeMap, BTreeSet};

use model::Synced;

/// What one map should hold, what it is believed to hold, and the difference.
#[derive(Clone, Debug)]
pub(crate) struct Delta<K, V> {
    desired: BTreeMap<K, V>,
    realised: BTreeMap<K, V>,
    updates: BTreeSet<K>,
    deletes: BTreeSet<K>,
}

impl<K: Ord + Clone, V: PartialEq> Delta<K, V> {
    /// A map that holds `realised` and of which nothing is desired yet.
    pub(crate) fn new(realised: BTreeMap<K, V>) -> Self {
        let deletes = realised.keys().cloned().collect();
        Self { desired: BTreeMap::new(), realised, updates: BTreeSet::new(), deletes }
    }

    /// Wants `value` under `key`.
    pub(crate) fn set_desired(&mut self, key: K, value: V) {
        self.desired.insert(key.clone(), value);
        self.compare(key);
    }

    /// Wants nothing under `key`.
    pub(crate) fn remove_desired(&mut self, key: &K) {
        if self.desired.remove(key).is_some() {
            self.compare(key.clone());
        }
    }

    /// Learns what the kernel has under `key`.
    pub(crate) fn set_realised(&mut self, key: K, value: Option<V>) {
        match value {
            Some(value) => self.realised.insert(key.clone(), value),
            None => self.realised.remove(&key),
        };
        self.compare(key);
    }

    /// Forgets `key` on both sides.
    pub(crate) fn forget(&mut self, key: &K) {
        self.desired.remove(key);
        self.realised.remove(key);
        self.updates.remove(key);
        self.deletes.remove(key);
    }

    fn compare(&mut self, key: K) {
        let (desired, realised) = (self.desired.get(&key), self.realised.get(&key));
        let is_update = desired.is_some() && desired != realised;
        let is_delete = desired.is_none() && realised.is_some();
        set_membership(&mut self.updates, key.clone(), is_update);
        set_membership(&mut self.deletes, key, is_delete);
    }

    /// What is wanted under `key`.
    pub(crate) fn desired(&self, key: &K) -> Option<&V> {
        self.desired.get(key)
    }

    /// What the kernel is believed to have under `key`.
    pub(crate) fn realised(&self, key: &K) -> Option<&V> {
        self.realised.get(key)
    }

    /// All that is wanted.
    pub(crate) fn all_desired(&self) -> &BTreeMap<K, V> {
        &self.desired
    }

    /// All that the kernel is believed to have.
    pub(crate) fn all_realised(&self) -> &BTreeMap<K, V> {
        &self.realised
    }

    /// Whether `key` is as wanted.
    pub(crate) fn is_in_sync(&self, key: &K) -> bool {
        !self.updates.contains(key) && !self.deletes.contains(key)
    }

    /// Keys to be written, with their values.
    pub(crate) fn updates(&self) -> impl Iterator<Item = (&K, &V)> {
        self.updates.iter().filter_map(|key| self.desired.get_key_value(key))
    }

    /// Keys to be deleted. Only with the proof that everything is known.
    pub(crate) fn deletes(&self, _: &Synced) -> impl Iterator<Item = &K> {
        self.deletes.iter()
    }

    /// Keys that the kernel has and nobody wants (so far).
    pub(crate) fn unwanted(&self) -> impl Iterator<Item = &K> {
        self.deletes.iter()
    }

    /// The keys under which a fresh dump holds something else than what is believed.
    pub(crate) fn differing(&self, dump: &BTreeMap<K, V>) -> Vec<K> {
        let keys: BTreeSet<&K> = self.realised.keys().chain(dump.keys()).collect();
        keys.into_iter().filter(|key| self.realised.get(key) != dump.get(key)).cloned().collect()
    }

    /// Takes a fresh dump for the truth. Returns the keys that differed, as text.
    pub(crate) fn adopt(&mut self, dump: &BTreeMap<K, V>, text: impl Fn(&K) -> String) -> Vec<String>
    where
        V: Clone,
    {
        let keys = self.differing(dump);
        for key in &keys {
            self.set_realised(key.clone(), dump.get(key).cloned());
        }
        keys.iter().map(text).collect()
    }

    /// Makes `wanted` all that is desired, as far as it fits beside rows that are not deleted yet; of what does not the
    /// last. Returns its keys.
    pub(crate) fn want(&mut self, wanted: Vec<(K, V)>, limit: u32) -> Vec<K> {
        let keys: BTreeSet<&K> = wanted.iter().map(|(key, _)| key).collect();
        let gone: Vec<K> = self.desired.keys().filter(|key| !keys.contains(key)).cloned().collect();
        gone.iter().for_each(|key| self.remove_desired(key));
        let mut refused = Vec::new();
        for (key, value) in wanted {
            if self.desired(&key) == Some(&value) {
                continue;
            }
            if self.occupies(&key) || self.occupied() < limit as usize {
                self.set_desired(key, value);
            } else {
                refused.push(key);
            }
        }
        refused
    }

    /// How many writes are outstanding; deletes count only once they are allowed.
    pub(crate) fn pending(&self, synced: Option<&Synced>) -> usize {
        self.updates.len() + synced.map_or(0, |_| self.deletes.len())
    }

    /// Rows that the map needs at once: wanted ones and those not yet deleted.
    pub(crate) fn occupied(&self) -> usize {
        self.desired.len() + self.deletes.len()
    }

    /// Whether `key` occupies a row.
    pub(crate) fn occupies(&self, key: &K) -> bool {
        self.desired.contains_key(key) || self.deletes.contains(key)
    }
}

fn set_membership<K: Ord>(set: &mut BTreeSet<K>, key: K, is_member: bool) {
    if is_member {
        set.insert(key);
    } else {
        set.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn synced() -> Synced {
        let mut store = model::Store::new(&[model::Kind::Pod]);
        store.apply(model::Event::Init(model::Kind::Pod));
        store.apply(model::Event::InitDone(model::Kind::Pod));
        store.snapshot().synced.unwrap()
    }

    fn sides(delta: &Delta<u8, u8>) -> (Vec<u8>, Vec<u8>) {
        (delta.updates().map(|(k, _)| *k).collect(), delta.deletes(&synced()).copied().collect())
    }

    #[test]
    fn what_is_found_is_unwanted_until_it_is_wanted() {
        let mut delta = Delta::new(BTreeMap::from([(1, 10), (2, 20)]));
        assert_eq!(sides(&delta), (vec![], vec![1, 2]));
        delta.set_desired(1, 10);
        assert_eq!(sides(&delta), (vec![], vec![2]));
        assert_eq!((delta.pending(None), delta.pending(Some(&synced())), delta.occupied()), (0, 1, 2));
    }

    #[test]
    fn another_value_is_an_update() {
        let mut delta = Delta::new(BTreeMap::from([(1, 10)]));
        delta.set_desired(1, 11);
        assert_eq!(sides(&delta), (vec![1], vec![]));
        delta.set_realised(1, Some(11));
        assert_eq!(sides(&delta), (vec![], vec![]));
    }

    #[test]
    fn what_is_no_longer_wanted_is_deleted_only_if_it_was_written() {
        let mut delta = Delta::new(BTreeMap::new());
        delta.set_desired(1, 10);
        delta.remove_desired(&1);
        assert_eq!(sides(&delta), (vec![], vec![]));
        delta.set_desired(1, 10);
        delta.set_realised(1, Some(10));
        delta.remove_desired(&1);
        assert_eq!(sides(&delta), (vec![], vec![1]));
        delta.set_realised(1, None);
        assert_eq!(sides(&delta), (vec![], vec![]));
    }

    #[test]
    fn a_row_that_vanished_from_the_kernel_is_written_again() {
        let mut delta = Delta::new(BTreeMap::from([(1, 10)]));
        delta.set_desired(1, 10);
        delta.set_realised(1, None);
        assert_eq!(sides(&delta), (vec![1], vec![]));
    }
}
