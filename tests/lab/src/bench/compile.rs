//! What compiling costs, in memory; then [`programming`], the whole way from a changed file to the kernel's map.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use compile::{Dump, Engine, Limits, Phase};
use model::{Event, Kind, NodeView, Snapshot, Store, api};
use serde::Serialize;
use serde_json::{Value, json};

use super::report::{Section, Table};
use super::stats::Summary;
use super::{programming, progress};

/// Services, of one port.
const SERVICES: u32 = 10_000;
/// Endpoints of each.
const ENDPOINTS: u32 = 10;
/// Changed slices, one at a time; at most one a Service.
const CHANGES: u32 = 5_000;

/// One thing that was timed.
#[derive(Debug, Serialize)]
pub(super) struct Timing {
    pub(super) what: String,
    /// In microseconds.
    pub(super) us: Summary,
}

/// Measures compiling, then programming.
pub(super) fn run(rounds: u32) -> Result<Section> {
    progress(&format!("compiling {SERVICES} Services of {ENDPOINTS} endpoints"));
    let timings = in_memory(rounds)?;
    let caption = format!("Compiling {SERVICES} Services of {ENDPOINTS} endpoints in memory, one thread.");
    let mut tables = vec![table(caption, &timings)];
    let programming = programming::run(rounds)?;
    tables.extend(programming.tables);
    let json = json!({ "in_memory": timings, "programming": programming.json });
    Ok(Section { title: "Compiling and programming", tables, json })
}

/// Timings as a table.
pub(super) fn table(caption: String, timings: &[Timing]) -> Table {
    let mut table = Table::new(caption, &["what", "median", "least", "greatest", "n"]);
    for Timing { what, us } in timings {
        let times = [us.median, us.min, us.max].map(readable);
        table.row([what.clone()].into_iter().chain(times).chain([us.n.to_string()]));
    }
    table
}

fn readable(us: f64) -> String {
    if us < 1e3 { format!("{us:.1} µs") } else { format!("{:.2} ms", us / 1e3) }
}

/// Times as a timing.
pub(super) fn timing(what: impl Into<String>, times: &[Duration]) -> Timing {
    Timing { what: what.into(), us: Summary::of(times.iter().map(|time| time.as_secs_f64() * 1e6)) }
}

fn in_memory(rounds: u32) -> Result<Vec<Timing>> {
    let mut store = cluster()?;
    let addrs = (1..50).map(|last| [172, 31, 0, last].into()).map(std::net::IpAddr::V4).collect();
    let view = NodeView { name: "node-1".into(), addrs, ..NodeView::default() };
    let snapshot = store.snapshot();
    let changes = store.take_changes();
    let (mut whole, mut applied, mut again) = (Vec::new(), Vec::new(), Vec::new());
    let mut last = None;
    for _ in 0..rounds {
        let mut engine = Engine::new(Limits::default(), Dump::default());
        let mut dump = Dump::default();
        whole.push(timed(|| engine.update(&snapshot, &view, &changes)));
        applied.push(timed(|| round(&mut engine, &mut dump, &snapshot)));
        again.push(timed(|| engine.update_all(&snapshot, &view)));
        last = Some((engine, dump));
    }
    let (mut engine, mut dump) = last.context("no rounds")?;

    let (mut updates, mut rounds, mut both) = (Vec::new(), Vec::new(), Vec::new());
    for change in 0..CHANGES {
        // Each slice once, so that every change is one.
        store.apply(apply(slice(change * 37 % SERVICES, ENDPOINTS - 1))?);
        let (snapshot, changes) = (store.snapshot(), store.take_changes());
        let update = timed(|| engine.update(&snapshot, &view, &changes));
        let mut writes = 0;
        let round = timed(|| writes = round(&mut engine, &mut dump, &snapshot));
        ensure!(writes > 0 && engine.pending() == 0, "{writes} writes, {} undone", engine.pending());
        updates.push(update);
        rounds.push(round);
        both.push(update + round);
    }
    Ok(vec![
        timing("compile everything, for the first time", &whole),
        timing("plan it all and apply it to memory", &applied),
        timing("compile everything again, unchanged", &again),
        timing("compile one changed slice", &updates),
        timing("plan it and apply it to memory", &rounds),
        timing("one changed slice, both", &both),
    ])
}

fn cluster() -> Result<Store> {
    let mut store = Store::new(&Kind::ALL);
    for kind in Kind::ALL {
        store.apply(Event::Init(kind));
        store.apply(Event::InitDone(kind));
    }
    for index in 0..SERVICES {
        store.apply(apply(service(index))?);
        store.apply(apply(slice(index, ENDPOINTS))?);
    }
    Ok(store)
}

fn service(index: u32) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": format!("service-{index}")},
        "spec": {
            "clusterIP": format!("10.97.{}.{}", index / 250, index % 250 + 1),
            "ports": [{"name": "http", "port": 80}],
        },
    })
}

fn slice(index: u32, endpoints: u32) -> Value {
    let endpoint = |number: u32| {
        let [_, high, middle, low] = (index * 16 + number).to_be_bytes();
        json!({
            "addresses": [format!("10.{}.{middle}.{low}", 128 + high)],
            "nodeName": format!("node-{}", (index * 7 + number) % 1_000),
            "zone": format!("zone-{}", number % 3),
        })
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": format!("slice-{index}"),
            "labels": {"kubernetes.io/service-name": format!("service-{index}")},
        },
        "endpoints": (0..endpoints).map(endpoint).collect::<Vec<_>>(),
        "ports": [{"name": "http", "port": 3000}],
    })
}

fn apply(document: Value) -> Result<Event> {
    let object = api::decode(document)?.objects.pop().context("a document without an object")?;
    Ok(Event::Apply(Arc::new(object)))
}

/// All phases of a plan, every write succeeding; returns their number.
fn round(engine: &mut Engine, dump: &mut Dump, snapshot: &Snapshot) -> usize {
    let mut writes = 0;
    for phase in Phase::ALL {
        let ops = engine.plan(phase, snapshot.synced.as_ref());
        ops.iter().for_each(|op| dump.apply(op));
        engine.record(phase, &ops, &vec![true; ops.len()]);
        writes += ops.len();
    }
    engine.end_round().into_iter().for_each(|ticket| engine.release(ticket));
    writes
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}
