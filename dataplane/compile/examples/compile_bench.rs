//! What compiling costs, printed as times: 10,000 Services of 10 endpoints at once, then one slice at a time. Run it
//! with `cargo run --release -p compile --example compile_bench`.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "its whole purpose")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use compile::{Dump, Engine, Limits, Phase};
use model::{Event, Kind, NodeView, Snapshot, Store, api};
use serde_json::{Value, json};

const SERVICES: u32 = 10_000;
const CHANGES: u32 = 2_000;

fn main() {
    let mut store = cluster();
    let addrs = (1..50).map(|last| format!("172.31.0.{last}").parse().unwrap()).collect();
    let view = NodeView { name: "node-1".into(), addrs, ..NodeView::default() };
    let mut engine = Engine::new(Limits::default(), Dump::default());
    let mut dump = Dump::default();
    let snapshot = store.snapshot();
    let changes = store.take_changes();
    print("compile everything", timed(|| engine.update(&snapshot, &view, &changes)));
    print("plan and apply everything, in memory", timed(|| round(&mut engine, &mut dump, &snapshot)));
    print("compile everything again, unchanged", timed(|| engine.update_all(&snapshot, &view)));

    let (mut updates, mut rounds) = (Vec::new(), Vec::new());
    for change in 0..CHANGES {
        store.apply(apply(slice(change * 37 % SERVICES, 9 + change % 2)));
        let (snapshot, changes) = (store.snapshot(), store.take_changes());
        updates.push(timed(|| engine.update(&snapshot, &view, &changes)));
        rounds.push(timed(|| round(&mut engine, &mut dump, &snapshot)));
        assert_eq!(engine.pending(), 0);
    }
    print("compile one changed slice, median", median(updates));
    print("plan and apply one changed slice, median", median(rounds));

    let found = dump.clone();
    let mut restarted = None;
    print("start from the maps", timed(|| restarted = Some(Engine::new(Limits::default(), found))));
    let mut engine = restarted.unwrap();
    let snapshot = store.snapshot();
    print("compile everything after the start", timed(|| engine.update_all(&snapshot, &view)));
    assert_eq!(engine.pending(), 0);
    print("audit", timed(|| assert!(engine.audit(&dump).is_empty())));
}

fn cluster() -> Store {
    let mut store = Store::new(&Kind::ALL);
    for kind in Kind::ALL {
        store.apply(Event::Init(kind));
        store.apply(Event::InitDone(kind));
    }
    for i in 0..SERVICES {
        store.apply(apply(service(i)));
        store.apply(apply(slice(i, 10)));
    }
    store
}

fn service(i: u32) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": format!("service-{i}")},
        "spec": {
            "clusterIP": format!("10.96.{}.{}", i / 250, i % 250 + 1),
            "ports": [{"name": "http", "port": 80}],
        },
    })
}

fn slice(i: u32, endpoints: u32) -> Value {
    let endpoint = |e: u32| {
        json!({
            "addresses": [format!("10.{}.{}.{}", 128 + i / 4096, i / 16 % 256, i % 16 * 16 + e)],
            "nodeName": format!("node-{}", (i * 7 + e) % 1000),
            "zone": format!("zone-{}", e % 3),
        })
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": format!("slice-{i}"),
            "labels": {"kubernetes.io/service-name": format!("service-{i}")},
        },
        "endpoints": (0..endpoints).map(endpoint).collect::<Vec<_>>(),
        "ports": [{"name": "http", "port": 3000}],
    })
}

fn apply(document: Value) -> Event {
    Event::Apply(Arc::new(api::decode(document).unwrap().objects.remove(0)))
}

fn round(engine: &mut Engine, dump: &mut Dump, snapshot: &Snapshot) {
    for phase in Phase::ALL {
        let ops = engine.plan(phase, snapshot.synced.as_ref());
        ops.iter().for_each(|op| dump.apply(op));
        engine.record(phase, &ops, &vec![true; ops.len()]);
    }
    engine.end_round().into_iter().for_each(|ticket| engine.release(ticket));
}

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn print(what: &str, time: Duration) {
    println!("{what:45} {time:.1?}");
}
