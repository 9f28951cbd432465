//! Ids of names that many backends share: nodes and zones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use abi::{Digest, IdKey, IdKind};

use super::pool::Pool;
use crate::delta::Delta;
use crate::key::digest;

/// Ids of one kind of name, counted by use.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    kind: IdKind,
    by_name: BTreeMap<Arc<str>, (u32, usize)>,
    recovered: BTreeMap<Digest, u32>,
    pool: Pool,
}

impl Names {
    /// The names of a kind, numbered below `capacity`, with the ids of a former run.
    pub(crate) fn recover(kind: IdKind, capacity: u32, rows: &BTreeMap<IdKey, u32>) -> Self {
        let mut recovered = BTreeMap::new();
        let mut used = BTreeSet::new();
        for (key, id) in rows.iter().filter(|(key, _)| key.kind_code() == kind as u32) {
            // Two names under one id are the trace of a half-done change: the later one gets a new id.
            if *id != 0 && *id < capacity && used.insert(*id) {
                recovered.insert(*key.digest(), *id);
            }
        }
        Self {
            kind,
            by_name: BTreeMap::new(),
            recovered,
            pool: Pool::recover(capacity, &used, BTreeMap::new()),
        }
    }

    /// The id of a name, from now on used once more. Zero if there is none left; the next use tries again.
    pub(crate) fn acquire(&mut self, name: &Arc<str>, ids: &mut Delta<IdKey, u32>, capacity: u32) -> u32 {
        let (known, uses) = self.by_name.get(name).copied().unwrap_or_default();
        let id = if known == 0 { self.give(name, ids, capacity) } else { known };
        self.by_name.insert(Arc::clone(name), (id, uses + 1));
        id
    }

    fn give(&mut self, name: &str, ids: &mut Delta<IdKey, u32>, capacity: u32) -> u32 {
        let digest = digest(name);
        let key = IdKey::new(self.kind, digest);
        let has_room = ids.occupies(&key) || ids.occupied() < capacity as usize;
        let id = match self.recovered.remove(&digest) {
            Some(id) => id,
            None if has_room => self.pool.take().map_or(0, |(id, _)| id),
            None => 0,
        };
        if id != 0 {
            ids.set_desired(key, id);
        }
        id
    }

    /// The name is used once less; with its last use the id goes.
    pub(crate) fn let_go(&mut self, name: &Arc<str>, ids: &mut Delta<IdKey, u32>) {
        let Some((id, uses)) = self.by_name.get_mut(name) else { return };
        *uses -= 1;
        if *uses == 0 {
            let id = *id;
            self.by_name.remove(name);
            ids.remove_desired(&IdKey::new(self.kind, digest(name)));
            self.pool.give_back(id);
        }
    }

    /// Frees the ids that a former run left and nobody took.
    pub(crate) fn drop_recovered(&mut self) {
        for (_, id) in std::mem::take(&mut self.recovered) {
            self.pool.give_back(id);
        }
    }

    /// Names by id.
    pub(crate) fn by_id(&self) -> BTreeMap<u32, Arc<str>> {
        self.by_name.iter().map(|(name, (id, _))| (*id, Arc::clone(name))).collect()
    }
}
