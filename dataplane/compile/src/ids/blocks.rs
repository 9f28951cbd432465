//! Power-of-two blocks of slots: a buddy allocator.

use std::collections::BTreeSet;

/// A block of `1 << order` slots from `base` on; `base` is a multiple of its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Block {
    /// First slot.
    pub(crate) base: u32,
    /// Logarithm of the size.
    pub(crate) order: u32,
}

impl Block {
    /// The order of the smallest block that holds `count` slots, for a `count` of at least one.
    pub(crate) fn order_for(count: u32) -> u32 {
        count.max(1).checked_next_power_of_two().map_or(31, u32::trailing_zeros)
    }
}

/// Free blocks of an array of slots.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    /// Free bases by order.
    free: Vec<BTreeSet<u32>>,
    free_slots: u64,
}

impl Blocks {
    /// An array of `capacity` free slots.
    pub(crate) fn new(capacity: u32) -> Self {
        let mut blocks = Self { free: vec![BTreeSet::new(); 32], free_slots: u64::from(capacity) };
        let mut base = 0u32;
        for order in (0..32).rev() {
            let size = 1u32 << order;
            if capacity & size != 0 {
                blocks.free[order].insert(base);
                base = base.wrapping_add(size);
            }
        }
        blocks
    }

    /// Slots in free blocks.
    pub(crate) fn free_slots(&self) -> u64 {
        self.free_slots
    }

    /// A block for `count` slots: of the smallest that fit, the one with the lowest base.
    pub(crate) fn take(&mut self, count: u32) -> Option<Block> {
        let order = Block::order_for(count);
        let from = (order..32).find(|o| !self.free[*o as usize].is_empty())?;
        let base = self.free[from as usize].pop_first()?;
        self.split(base, from, order, base);
        self.free_slots -= 1u64 << order;
        Some(Block { base, order })
    }

    /// Takes one certain block; false if any of it is taken or outside.
    pub(crate) fn take_exact(&mut self, block: Block) -> bool {
        if block.order > 31 || block.base & ((1u32 << block.order) - 1) != 0 {
            return false;
        }
        for from in block.order..32 {
            let base = block.base & !((1u32 << from) - 1);
            if self.free[from as usize].remove(&base) {
                self.split(base, from, block.order, block.base);
                self.free_slots -= 1u64 << block.order;
                return true;
            }
        }
        false
    }

    /// Cuts the block `base` of order `from` down to the one of order `to` that begins at `keep`; the rest is free.
    fn split(&mut self, mut base: u32, from: u32, to: u32, keep: u32) {
        for order in (to..from).rev() {
            let half = 1u32 << order;
            if keep & half == 0 {
                self.free[order as usize].insert(base + half);
            } else {
                self.free[order as usize].insert(base);
                base += half;
            }
        }
    }

    /// Gives a block back; neighbours grow together again.
    pub(crate) fn give_back(&mut self, block: Block) {
        self.free_slots += 1u64 << block.order;
        let Block { mut base, mut order } = block;
        while order < 31 && self.free[order as usize].remove(&(base ^ (1u32 << order))) {
            base &= !(1u32 << order);
            order += 1;
        }
        self.free[order as usize].insert(base);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slots(block: Block) -> std::ops::Range<u32> {
        block.base..block.base + (1 << block.order)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn blocks_are_aligned_inside_and_nobody_elses(
            capacity in 0u32..300,
            wishes in proptest::collection::vec((any::<bool>(), 1u32..40, any::<prop::sample::Index>()), 0..60),
        ) {
            let whole = format!("{:?}", Blocks::new(capacity));
            let mut blocks = Blocks::new(capacity);
            let mut taken: Vec<Block> = Vec::new();
            for (takes, count, choice) in wishes {
                if takes {
                    let Some(block) = blocks.take(count) else {
                        let order = Block::order_for(count);
                        let is_free = |base: u32| {
                            taken.iter().all(|t| slots(*t).end <= base || base + (1 << order) <= slots(*t).start)
                        };
                        let last = capacity.saturating_sub(1 << order);
                        let fits = (1 << order) <= capacity && (0..=last).step_by(1 << order).any(is_free);
                        prop_assert!(!fits, "{} slots were free", count);
                        continue;
                    };
                    prop_assert!(slots(block).len() >= count as usize && slots(block).end <= capacity);
                    prop_assert_eq!(block.base % (1 << block.order), 0);
                    for other in &taken {
                        prop_assert!(slots(*other).end <= block.base || slots(block).end <= other.base);
                    }
                    taken.push(block);
                } else if !taken.is_empty() {
                    blocks.give_back(taken.swap_remove(choice.index(taken.len())));
                }
                let used: u64 = taken.iter().map(|block| 1u64 << block.order).sum();
                prop_assert_eq!(blocks.free_slots(), u64::from(capacity) - used);
            }
            // A start finds the same blocks taken, in whatever order it meets them.
            let mut recovered = Blocks::new(capacity);
            for block in taken.iter().rev() {
                prop_assert!(recovered.take_exact(*block));
                prop_assert!(!recovered.take_exact(*block));
            }
            prop_assert_eq!(format!("{recovered:?}"), format!("{blocks:?}"));
            taken.into_iter().for_each(|block| blocks.give_back(block));
            prop_assert_eq!(format!("{blocks:?}"), whole);
        }
    }

    #[test]
    fn blocks_are_the_smallest_power_of_two_that_fits() {
        for (count, order) in [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (250, 8)] {
            assert_eq!(Block::order_for(count), order, "{count}");
        }
    }

    #[test]
    fn everything_given_back_grows_together_again() {
        let mut blocks = Blocks::new(16);
        let taken: Vec<_> = [1, 3, 2, 4].iter().map(|n| blocks.take(*n).unwrap()).collect();
        assert_eq!(blocks.free_slots(), 16 - 1 - 4 - 2 - 4);
        for block in taken {
            blocks.give_back(block);
        }
        assert_eq!(blocks.take(16), Some(Block { base: 0, order: 4 }));
        assert_eq!(blocks.take(1), None);
    }

    #[test]
    fn a_capacity_that_is_no_power_of_two_is_used_whole() {
        let mut blocks = Blocks::new(7);
        let bases: BTreeSet<u32> = std::iter::from_fn(|| blocks.take(1)).map(|b| b.base).collect();
        assert_eq!(bases, (0..7).collect());
    }

    #[test]
    fn a_certain_block_is_taken_once() {
        let mut blocks = Blocks::new(16);
        let block = Block { base: 4, order: 2 };
        assert!(blocks.take_exact(block));
        assert!(!blocks.take_exact(block));
        assert!(!blocks.take_exact(Block { base: 6, order: 0 }));
        assert!(!blocks.take_exact(Block { base: 5, order: 1 }), "not aligned");
        assert!(!blocks.take_exact(Block { base: 16, order: 0 }), "outside");
        assert_eq!(blocks.take(8), Some(Block { base: 8, order: 3 }));
        blocks.give_back(block);
        assert_eq!(blocks.take(8), Some(Block { base: 0, order: 3 }));
    }
}
