//! Indices of an array, and how often each was given out.

use std::collections::{BTreeMap, BTreeSet};

use abi::Generation;

/// Indices `1..capacity`. Zero is never given out: it means "none" everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    capacity: u32,
    /// Below it every index was given out at some time.
    next: u32,
    free: BTreeSet<u32>,
    generations: BTreeMap<u32, Generation>,
}

impl Pool {
    /// A pool in which `used` is given out, with the generations found in the maps.
    pub(crate) fn recover(
        capacity: u32,
        used: &BTreeSet<u32>,
        generations: BTreeMap<u32, Generation>,
    ) -> Self {
        let next = used.last().map_or(1, |last| last.saturating_add(1)).min(capacity.max(1));
        let free = (1..next).filter(|index| !used.contains(index)).collect();
        Self { capacity, next, free, generations }
    }

    /// How many are given out.
    pub(crate) fn used(&self) -> usize {
        (self.next as usize).saturating_sub(1).saturating_sub(self.free.len())
    }

    /// The smallest free index and its new generation, one above its last.
    pub(crate) fn take(&mut self) -> Option<(u32, Generation)> {
        let index = match self.free.pop_first() {
            Some(index) => index,
            None if self.next < self.capacity => {
                self.next += 1;
                self.next - 1
            }
            None => return None,
        };
        let generation = self.generations.entry(index).or_default();
        *generation = Generation(generation.0.wrapping_add(1));
        Some((index, *generation))
    }

    /// Takes back an index that was given out and never used: as if it had not been given out.
    pub(crate) fn undo(&mut self, index: u32) {
        if let Some(generation) = self.generations.get_mut(&index) {
            generation.0 = generation.0.wrapping_sub(1);
        }
        self.give_back(index);
    }

    /// Takes an index back. It keeps its generation.
    pub(crate) fn give_back(&mut self, index: u32) {
        if index != 0 && index < self.next {
            self.free.insert(index);
        }
    }

    /// The generation of an index, zero if it was never given out.
    pub(crate) fn generation(&self, index: u32) -> Generation {
        self.generations.get(&index).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_free_index_is_given_out_and_never_zero() {
        let mut pool = Pool::recover(5, &BTreeSet::from([2]), BTreeMap::new());
        let taken: Vec<_> = std::iter::from_fn(|| pool.take()).map(|(i, _)| i).collect();
        assert_eq!(taken, [1, 3, 4]);
        assert_eq!(pool.used(), 4);
        pool.give_back(3);
        assert_eq!(pool.used(), 3);
        assert_eq!(pool.take(), Some((3, Generation(2))));
    }

    #[test]
    fn an_index_that_was_never_used_keeps_its_generation() {
        let mut pool = Pool::recover(5, &BTreeSet::new(), BTreeMap::from([(1, Generation(7))]));
        for _ in 0..2 {
            assert_eq!(pool.take(), Some((1, Generation(8))));
            pool.undo(1);
            assert_eq!((pool.used(), pool.generation(1)), (0, Generation(7)));
        }
    }

    #[test]
    fn generations_go_on_above_those_found() {
        let mut pool = Pool::recover(5, &BTreeSet::new(), BTreeMap::from([(1, Generation(7))]));
        assert_eq!(pool.take(), Some((1, Generation(8))));
        assert_eq!(pool.take(), Some((2, Generation(1))));
    }

    #[test]
    fn a_capacity_without_room_gives_nothing() {
        for capacity in [0, 1] {
            assert_eq!(Pool::recover(capacity, &BTreeSet::new(), BTreeMap::new()).take(), None);
        }
    }
}
