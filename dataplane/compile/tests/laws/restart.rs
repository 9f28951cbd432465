//! A daemon that ends at any moment and starts again from the maps.

use std::collections::BTreeSet;

use compile::{Dump, Engine, oracle};
use model::{Event, Kind, Snapshot};
use proptest::prelude::*;

use super::common::*;

/// An engine that starts from the maps as they are.
fn restart(kernel: &Kernel, snapshot: &Snapshot) -> Engine {
    let mut engine = Engine::new(limits(), kernel.dump.clone());
    engine.update_all(snapshot, &view());
    engine
}

/// Addresses that any slice of the snapshot mentions, whatever it says of them.
fn mentioned(snapshot: &Snapshot) -> BTreeSet<std::net::IpAddr> {
    snapshot.slices.values().flat_map(|slice| slice.endpoints.iter().map(|endpoint| endpoint.addr)).collect()
}

proptest! {
    #![proptest_config(config())]

    /// (f) Crashes in the middle of any rounds, with failures on top: the maps come to the same, and what a start finds
    /// keeps its number.
    #[test]
    fn a_restart_at_any_point_comes_to_the_same(
        lives in proptest::collection::vec((steps(), 0usize..60), 1..4), seed in any::<u64>(), rate in prop_oneof![Just(0u64), 0u64..500],
    ) {
        let mut store = synced_store();
        let mut kernel = Kernel::new(limits(), seed, rate);
        let mut engine = restart(&kernel, &store.snapshot());
        for (steps, writes) in lives {
            for step in &steps {
                store.apply(event(step));
                engine.update(&store.snapshot(), &view(), &store.take_changes());
                let ticket = round(&mut engine, &mut kernel, &store.snapshot(), |_| {});
                ticket.into_iter().for_each(|ticket| engine.release(ticket));
            }
            let mut crashed = kernel.clone();
            let mut seen = 0;
            store.apply(Event::Delete(object_key(Kind::Service, "a")));
            engine.update(&store.snapshot(), &view(), &store.take_changes());
            round(&mut engine, &mut kernel, &store.snapshot(), |kernel| {
                if seen < writes {
                    crashed = kernel.clone();
                }
                seen += 1;
            });
            kernel = crashed;
            let found = ids_in_use(&kernel.dump);
            engine = restart(&kernel, &store.snapshot());
            let ticket = round(&mut engine, &mut kernel, &store.snapshot(), |_| {});
            ticket.into_iter().for_each(|ticket| engine.release(ticket));
            prop_assert_eq!(renumbered(&found, &ids_in_use(&kernel.dump)), Vec::<String>::new());
        }
        kernel.fail_per_mille = 0;
        settle(&mut engine, &mut kernel, &store.snapshot());
        prop_assert_eq!(state(&engine, &kernel.dump), from_scratch(&store.snapshot()));
        prop_assert!(engine.audit(&kernel.dump).is_empty());
    }

    /// Until everything is known, nothing that was found is deleted or made smaller; then the maps are as they should be.
    #[test]
    fn before_synced_nothing_shrinks(before in steps(), after in steps(), keep in any::<u64>()) {
        let mut store = synced_store();
        for step in &before {
            store.apply(event(step));
        }
        let mut kernel = Kernel::new(limits(), 1, 0);
        let mut engine = restart(&kernel, &store.snapshot());
        settle(&mut engine, &mut kernel, &store.snapshot());
        let found = kernel.dump.clone();

        // A restart with a folder of which a part is unreadable: some of the same objects, nothing else.
        let mut partial = model::Store::new(&Kind::ALL);
        for (i, document) in last_words(&before).into_values().enumerate() {
            if keep >> (i % 64) & 1 == 1 {
                partial.apply(Event::Apply(object(&document)));
            }
        }
        partial.apply(Event::Incomplete);
        let mut engine = Engine::new(limits(), found.clone());
        engine.update(&partial.snapshot(), &view(), &partial.take_changes());
        for _ in 0..4 {
            let ticket = round(&mut engine, &mut kernel, &partial.snapshot(), |_| {});
            ticket.into_iter().for_each(|ticket| engine.release(ticket));
        }
        for key in found.frontends.keys() {
            prop_assert!(kernel.dump.frontends.contains_key(key), "{:?} is gone", key);
        }
        prop_assert!(found.service_cidrs.keys().all(|key| kernel.dump.service_cidrs.contains_key(key)));
        prop_assert!(found.ids.iter().all(|(key, id)| kernel.dump.ids.get(key) == Some(id)));
        let mentioned = mentioned(&partial.snapshot());
        for query in queries() {
            let (was, is) = (oracle::trace(&found, &query), oracle::trace(&kernel.dump, &query));
            let Ok(oracle::Verdict::To(was)) = was else { continue };
            // Of what a slice mentions the slice knows more.
            let kept: Vec<_> = was.iter().filter(|to| !mentioned.contains(&to.ip())).collect();
            match is {
                Ok(oracle::Verdict::To(is)) if owner(&found, &query) == owner(&kernel.dump, &query) => {
                    prop_assert!(kept.iter().all(|to| is.contains(to)), "{:?} was {:?}, is {:?}", query, was, is);
                }
                Ok(oracle::Verdict::To(_)) => {}
                other => prop_assert!(kept.is_empty(), "{:?} was {:?}, is {:?}", query, was, other),
            }
        }

        // Then the rest becomes readable, with changes on top.
        let mut store = synced_store();
        for step in before.iter().chain(&after) {
            store.apply(event(step));
        }
        engine.update(&store.snapshot(), &view(), &store.take_changes());
        settle(&mut engine, &mut kernel, &store.snapshot());
        prop_assert_eq!(state(&engine, &kernel.dump), from_scratch(&store.snapshot()));
    }

    /// Maps that another cluster's daemon left, some rows of them lost: the first synced rounds mend them.
    #[test]
    fn a_start_mends_whatever_it_finds(left in steps(), steps in steps(), lost in any::<u64>()) {
        let mut store = synced_store();
        for step in &left {
            store.apply(event(step));
        }
        let mut kernel = Kernel::new(limits(), 1, 0);
        let mut engine = restart(&kernel, &store.snapshot());
        settle(&mut engine, &mut kernel, &store.snapshot());
        lose(&mut kernel.dump, lost);

        let mut store = synced_store();
        for step in &steps {
            store.apply(event(step));
        }
        let mut engine = restart(&kernel, &store.snapshot());
        repair(&mut engine, &mut kernel, &store.snapshot());
        prop_assert_eq!(state(&engine, &kernel.dump), from_scratch(&store.snapshot()));
        prop_assert!(engine.audit(&kernel.dump).is_empty());
    }
}

/// Loses rows of all maps by the bits of a number.
fn lose(dump: &mut Dump, bits: u64) {
    let mut row = 0u32;
    let mut keeps = || {
        row += 1;
        bits.rotate_left(row) & 3 != 0
    };
    dump.frontends.retain(|_, _| keeps());
    dump.service_cidrs.retain(|_, _| keeps());
    dump.services.retain(|_, _| keeps());
    dump.slots.retain(|_, _| keeps());
    dump.backends.retain(|_, _| keeps());
    dump.node_addrs.retain(|_, _| keeps());
    dump.ids.retain(|_, _| keeps());
}
