//! Ids of immutable things, found again by the digest of their content.

use std::collections::{BTreeMap, BTreeSet};

use abi::{Digest, IdKey, IdKind};

use super::pool::Pool;
use crate::delta::Delta;

/// The rows of `IDS`, and how many there may be.
pub(crate) struct IdRows<'a> {
    pub(crate) rows: &'a mut Delta<IdKey, u32>,
    pub(crate) limit: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: u32,
    uses: usize,
}

/// Ids of one kind of content, counted by use.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    kind: IdKind,
    /// Those that are used, those of a former run, and those on their way out.
    entries: BTreeMap<Digest, Entry>,
    /// Nobody uses them any more; maps may still hold them.
    leaving: BTreeSet<Digest>,
    /// Ids that maps hold and no row of `IDS` names.
    strays: BTreeSet<u32>,
    leaving_strays: BTreeSet<u32>,
    pool: Pool,
}

impl Contents {
    /// Ids from `first` up to below `capacity`, with those of a former run: `found` are ids that other maps hold.
    pub(crate) fn recover(
        kind: IdKind,
        first: u32,
        capacity: u32,
        rows: &BTreeMap<IdKey, u32>,
        found: BTreeSet<u32>,
    ) -> Self {
        let is_ours = |id: &u32| *id >= first && *id < capacity;
        let mut named = BTreeSet::new();
        let mut entries = BTreeMap::new();
        for (key, id) in rows.iter().filter(|(key, _)| key.kind_code() == kind as u32) {
            // Two contents under one id are the trace of a half-done change: the later one gets a new id.
            if is_ours(id) && named.insert(*id) {
                entries.insert(*key.digest(), Entry { id: *id, uses: 0 });
            }
        }
        let strays: BTreeSet<u32> =
            found.into_iter().filter(|id| is_ours(id) && !named.contains(id)).collect();
        let used = named.iter().chain(&strays).copied().chain(1..first).collect();
        Self {
            kind,
            entries,
            leaving: BTreeSet::new(),
            strays,
            leaving_strays: BTreeSet::new(),
            pool: Pool::recover(capacity, &used, BTreeMap::new()),
        }
    }

    /// The id of a content, from now on used once more. `None` if there is no room: nothing is used then.
    pub(crate) fn acquire(&mut self, digest: Digest, ids: &mut IdRows<'_>) -> Option<u32> {
        let key = IdKey::new(self.kind, digest);
        let fits = ids.rows.occupies(&key) || ids.rows.occupied() < ids.limit as usize;
        if let Some(entry) = self.entries.get_mut(&digest).filter(|entry| entry.uses > 0 || fits) {
            entry.uses += 1;
            if entry.uses == 1 {
                self.leaving.remove(&digest);
                ids.rows.set_desired(key, entry.id);
            }
            return Some(entry.id);
        }
        if !fits {
            return None;
        }
        let (id, _) = self.pool.take()?;
        self.entries.insert(digest, Entry { id, uses: 1 });
        ids.rows.set_desired(key, id);
        Some(id)
    }

    /// The content is used once less; with its last use the id begins to leave.
    pub(crate) fn let_go(&mut self, digest: &Digest, ids: &mut IdRows<'_>) {
        let Some(entry) = self.entries.get_mut(digest).filter(|entry| entry.uses > 0) else { return };
        entry.uses -= 1;
        if entry.uses == 0 {
            self.leaving.insert(*digest);
            ids.rows.remove_desired(&IdKey::new(self.kind, *digest));
        }
    }

    /// Everything is known: what a former run left and nobody took begins to leave.
    pub(crate) fn sweep(&mut self) {
        let unused = self.entries.iter().filter(|(_, entry)| entry.uses == 0);
        self.leaving.extend(unused.map(|(digest, _)| *digest));
        self.leaving_strays.append(&mut self.strays);
    }

    /// Takes out the leaving ids that no map holds any more. They may be given back after a grace period.
    pub(crate) fn retire(&mut self, rows: &Delta<IdKey, u32>, is_held: impl Fn(u32) -> bool) -> Vec<u32> {
        let is_named = |digest: &Digest, id: u32| rows.realised(&IdKey::new(self.kind, *digest)) == Some(&id);
        let gone: Vec<(Digest, u32)> = self
            .leaving
            .iter()
            .filter_map(|digest| self.entries.get(digest).map(|entry| (*digest, entry.id)))
            .filter(|(digest, id)| !is_held(*id) && !is_named(digest, *id))
            .collect();
        for (digest, _) in &gone {
            self.leaving.remove(digest);
            self.entries.remove(digest);
        }
        let strays: Vec<u32> = self.leaving_strays.iter().filter(|id| !is_held(**id)).copied().collect();
        self.leaving_strays.retain(|id| !strays.contains(id));
        gone.into_iter().map(|(_, id)| id).chain(strays).collect()
    }

    /// Gives back a retired id.
    pub(crate) fn give_back(&mut self, id: u32) {
        self.pool.give_back(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Digest = [1; 16];
    const B: Digest = [2; 16];

    fn acquire(contents: &mut Contents, rows: &mut Delta<IdKey, u32>, digest: Digest) -> Option<u32> {
        contents.acquire(digest, &mut IdRows { rows, limit: 3 })
    }

    fn fresh(capacity: u32) -> (Contents, Delta<IdKey, u32>) {
        let rows = BTreeMap::new();
        (Contents::recover(IdKind::Policy, 2, capacity, &rows, BTreeSet::new()), Delta::new(rows))
    }

    #[test]
    fn one_content_has_one_id_as_long_as_it_is_used() {
        let (mut contents, mut rows) = fresh(9);
        assert_eq!(
            acquire(&mut contents, &mut rows, A),
            Some(2),
            "the first is the smallest that is not reserved"
        );
        assert_eq!(acquire(&mut contents, &mut rows, A), Some(2));
        assert_eq!(acquire(&mut contents, &mut rows, B), Some(3));
        let key = IdKey::new(IdKind::Policy, A);
        rows.set_realised(key, Some(2));
        contents.let_go(&A, &mut IdRows { rows: &mut rows, limit: 3 });
        assert_eq!(rows.desired(&key), Some(&2));
        contents.let_go(&A, &mut IdRows { rows: &mut rows, limit: 3 });
        assert_eq!(rows.desired(&key), None);
        assert_eq!(contents.retire(&rows, |_| false), Vec::<u32>::new(), "a row of IDS still names it");
        rows.set_realised(key, None);
        assert_eq!(contents.retire(&rows, |id| id == 2), Vec::<u32>::new(), "a map still holds it");
        assert_eq!(contents.retire(&rows, |_| false), [2]);
        assert_eq!(acquire(&mut contents, &mut rows, A), Some(4), "not before the grace period is over");
        contents.give_back(2);
        assert_eq!(acquire(&mut contents, &mut rows, [3; 16]), Some(2));
    }

    #[test]
    fn what_leaves_and_is_wanted_again_keeps_its_id() {
        let (mut contents, mut rows) = fresh(9);
        acquire(&mut contents, &mut rows, A);
        contents.let_go(&A, &mut IdRows { rows: &mut rows, limit: 3 });
        assert_eq!(acquire(&mut contents, &mut rows, A), Some(2));
        assert!(contents.retire(&rows, |_| false).is_empty());
    }

    #[test]
    fn a_start_finds_ids_again_and_keeps_those_that_have_no_name() {
        let named = BTreeMap::from([(IdKey::new(IdKind::Policy, A), 2), (IdKey::new(IdKind::Policy, B), 2)]);
        let mut rows = Delta::new(named.clone());
        let mut contents = Contents::recover(IdKind::Policy, 2, 9, &named, BTreeSet::from([0, 1, 2, 3, 99]));
        assert_eq!(acquire(&mut contents, &mut rows, A), Some(2));
        assert_eq!(acquire(&mut contents, &mut rows, B), Some(4), "neither A's nor the stray's");
        assert!(contents.retire(&rows, |_| false).is_empty(), "before everything is known nothing leaves");
        contents.sweep();
        assert_eq!(contents.retire(&rows, |_| false), [3]);
    }

    #[test]
    fn without_room_there_is_no_id() {
        let (mut contents, mut rows) = fresh(3);
        assert_eq!(acquire(&mut contents, &mut rows, A), Some(2));
        assert_eq!(acquire(&mut contents, &mut rows, B), None);
        let (mut contents, mut rows) = fresh(9);
        let ids: Vec<_> = (1..=4).map(|n| acquire(&mut contents, &mut rows, [n; 16])).collect();
        assert_eq!(ids, [Some(2), Some(3), Some(4), None], "three rows fit");
        // One on its way out whose row is gone already has to find room again.
        contents.let_go(&[1; 16], &mut IdRows { rows: &mut rows, limit: 3 });
        assert_eq!(acquire(&mut contents, &mut rows, [4; 16]), Some(5));
        assert_eq!(acquire(&mut contents, &mut rows, [1; 16]), None);
    }
}
