//! Maps that are too small: what does not fit is named and changes nothing, and no write ever finds a map full.

use compile::{Dump, Engine, Limits};
use model::{Kind, WarningKind};
use proptest::prelude::*;

use super::common::*;

fn small() -> impl Strategy<Value = Limits> {
    let hashes = (1u32..16, 1u32..3, 1u32..3, 3u32..12);
    (hashes, 2u32..8, 1u32..12, 2u32..10).prop_map(
        |((frontends, service_cidrs, node_addrs, ids), services, slots, backends)| Limits {
            frontends,
            service_cidrs,
            services,
            slots,
            backends,
            node_addrs,
            ids,
            ..Limits::default()
        },
    )
}

/// The rows that describe a Service port's sets, of Services that are served as they are.
fn service_rows(rows: &[String], refused: &[String]) -> Vec<String> {
    let is_refused = |row: &str| refused.iter().any(|name| row.starts_with(&format!("service {name}:")));
    rows.iter().filter(|row| row.starts_with("service ") && !is_refused(row)).cloned().collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_does_not_fit_is_named_and_the_rest_is_served(
        steps in steps(), limits in small(), seed in any::<u64>(), rate in prop_oneof![Just(0u64), 0u64..400],
    ) {
        let mut store = synced_store();
        let mut engine = Engine::new(limits.clone(), Dump::default());
        let mut kernel = Kernel::new(limits, seed, rate);
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

        let full = engine.warnings().filter(|w| w.kind == WarningKind::MapFull && w.object.kind == Kind::Service);
        let refused: Vec<String> = full.map(|w| w.object.name.to_string()).collect();
        let (rows, _) = state(&engine, &kernel.dump);
        let (all, _) = from_scratch(&store.snapshot());
        prop_assert_eq!(service_rows(&rows, &refused), service_rows(&all, &refused));

        // With everything gone there is room for everything, and nothing has leaked.
        for key in last_words(&steps).into_keys() {
            store.apply(model::Event::Delete(key));
        }
        engine.update(&store.snapshot(), &model::NodeView { addrs: Default::default(), ..view() }, &store.take_changes());
        settle(&mut engine, &mut kernel, &store.snapshot());
        engine.update(&store.snapshot(), &model::NodeView { addrs: Default::default(), ..view() }, &store.take_changes());
        settle(&mut engine, &mut kernel, &store.snapshot());
        prop_assert_eq!(engine.warnings().count(), 0);
        for fill in engine.fill() {
            // The layout's row of IDS stays.
            prop_assert_eq!(fill.used, u64::from(fill.map == "IDS"), "{}", fill.map);
        }
    }
}
