//! The laws of compiling and planning, for random clusters (docs/testing.md). The kernel of these tests looks at its
//! maps after every single write: law (e) and the limits are part of every other law.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test and its helpers")]

mod cases;
mod common;
mod limits;
mod restart;

use common::*;
use compile::{Dump, Engine, oracle};
use proptest::prelude::*;

proptest! {
    #![proptest_config(config())]

    /// (a) Any interleaving of the same objects gives the same desired state.
    #[test]
    fn the_order_of_events_does_not_matter(steps in steps(), seed in any::<u64>()) {
        let forward: Vec<Step> = last_words(&steps).into_values().map(Step::Apply).collect();
        let mut shuffled = forward.clone();
        let mut state_of_generator = seed | 1;
        for i in (1..shuffled.len()).rev() {
            state_of_generator = state_of_generator.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(i, usize::try_from((state_of_generator >> 33) % (i as u64 + 1)).unwrap());
        }
        let run = |steps: &[Step]| {
            let mut store = synced_store();
            let mut engine = Engine::new(limits(), Dump::default());
            let mut kernel = Kernel::new(limits(), 1, 0);
            for step in steps {
                store.apply(event(step));
                engine.update(&store.snapshot(), &view(), &store.take_changes());
                settle(&mut engine, &mut kernel, &store.snapshot());
            }
            let mut warnings: Vec<String> = engine.warnings().map(|w| w.to_string()).collect();
            warnings.sort();
            (state(&engine, &kernel.dump), warnings)
        };
        prop_assert_eq!(run(&forward), run(&shuffled));
    }

    /// (b) Compiling after each event equals compiling once, and nothing is left over. (c) What is in the kernel is what
    /// is desired. Ids of what stays are kept.
    #[test]
    fn many_small_compiles_equal_one(steps in steps()) {
        let mut store = synced_store();
        let mut engine = Engine::new(limits(), Dump::default());
        let mut kernel = Kernel::new(limits(), 1, 0);
        for step in &steps {
            let before = ids_in_use(&kernel.dump);
            store.apply(event(step));
            engine.update(&store.snapshot(), &view(), &store.take_changes());
            // One round is enough when nothing fails.
            let ticket = round(&mut engine, &mut kernel, &store.snapshot(), |_| {});
            ticket.into_iter().for_each(|ticket| engine.release(ticket));
            prop_assert_eq!(engine.pending(), 0);
            prop_assert_eq!(renumbered(&before, &ids_in_use(&kernel.dump)), Vec::<String>::new());
        }
        prop_assert_eq!(state(&engine, &kernel.dump), from_scratch(&store.snapshot()));
        prop_assert!(engine.audit(&kernel.dump).is_empty());
    }

    /// (d) With any failures it converges once they stop, whenever grace periods end.
    #[test]
    fn failures_are_made_good(steps in steps(), seed in any::<u64>(), rate in 0u64..600) {
        let mut store = synced_store();
        let mut engine = Engine::new(limits(), Dump::default());
        let mut kernel = Kernel::new(limits(), seed, rate);
        let mut tickets = Vec::new();
        for (i, step) in steps.iter().enumerate() {
            store.apply(event(step));
            engine.update(&store.snapshot(), &view(), &store.take_changes());
            tickets.extend(round(&mut engine, &mut kernel, &store.snapshot(), |_| {}));
            if seed >> (i % 64) & 1 == 1 {
                tickets.drain(..).for_each(|ticket| engine.release(ticket));
            }
        }
        kernel.fail_per_mille = 0;
        tickets.drain(..).for_each(|ticket| engine.release(ticket));
        settle(&mut engine, &mut kernel, &store.snapshot());
        prop_assert_eq!(state(&engine, &kernel.dump), from_scratch(&store.snapshot()));
    }

    /// (g) The maps, walked as the programs walk them, agree with the slow evaluator.
    #[test]
    fn maps_and_oracle_agree(steps in steps()) {
        let mut store = synced_store();
        for step in &steps {
            store.apply(event(step));
        }
        let snapshot = store.snapshot();
        let mut engine = Engine::new(limits(), Dump::default());
        let mut kernel = Kernel::new(limits(), 1, 0);
        engine.update_all(&snapshot, &view());
        settle(&mut engine, &mut kernel, &snapshot);
        for query in queries() {
            let traced = oracle::trace(&kernel.dump, &query);
            prop_assert_eq!(traced, Ok(oracle::evaluate(&snapshot, &view(), &query)), "{:?}", query);
        }
    }

    /// The maps of another cluster in the place of ours are found and repaired: all rows, or the frontends alone.
    #[test]
    fn drift_is_found_and_repaired(steps in steps(), other in steps(), only_frontends in any::<bool>()) {
        let settled = |steps: &[Step]| {
            let mut store = synced_store();
            for step in steps { store.apply(event(step)); }
            let snapshot = store.snapshot();
            let mut engine = Engine::new(limits(), Dump::default());
            let mut kernel = Kernel::new(limits(), 1, 0);
            engine.update_all(&snapshot, &view());
            settle(&mut engine, &mut kernel, &snapshot);
            (snapshot, engine, kernel)
        };
        let (snapshot, mut engine, mut kernel) = settled(&steps);
        let (_, _, theirs) = settled(&other);
        let want = state(&engine, &kernel.dump);
        let ours = kernel.dump.clone();
        if only_frontends {
            kernel.dump.frontends = theirs.dump.frontends.clone();
        } else {
            kernel = theirs;
        }
        let differs = kernel.dump != ours;
        prop_assert_eq!(differs, !engine.audit(&kernel.dump).is_empty());
        // The foreign frontends are ours to mend, not to be right about: only the end is checked.
        repair(&mut engine, &mut kernel, &snapshot);
        prop_assert!(engine.audit(&kernel.dump).is_empty());
        prop_assert_eq!(state(&engine, &kernel.dump), want);
    }
}
