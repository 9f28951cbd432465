//! Time inside the programs of a node, by the kernel's statistics (`BPF_ENABLE_STATS`, Linux 5.8).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use aya::programs::loaded_programs;
use aya::sys::{Stats, enable_stats};
use serde::Serialize;

use crate::bpf::{self, Kind};
use crate::node::Node;

/// What one program did for one request.
#[derive(Clone, Debug, Serialize)]
pub(super) struct HookTime {
    pub(super) program: String,
    /// Runs for a request.
    pub(super) runs: f64,
    /// Nanoseconds of a run.
    pub(super) ns: f64,
}

/// Runs `work`, which returns the number of requests that it made, with the statistics on.
pub(super) fn times(node: &Node, work: impl FnOnce() -> Result<u64>) -> Result<Vec<HookTime>> {
    let cgroup = node.cgroup().id()?;
    let links = bpf::list(Kind::Link)?;
    let attached = links.iter().filter_map(|link| link.attached).filter(|at| at.cgroup == cgroup);
    let programs: BTreeSet<u32> = attached.map(|at| at.program).collect();
    // They are off again when this is closed.
    let _on = enable_stats(Stats::RunTime).context("switching the statistics on")?;
    let before = read(&programs)?;
    let requests = work()?;
    let mut found = Vec::new();
    for (id, now) in read(&programs)? {
        let (runs, ns) = before.get(&id).map_or((0, 0), |then| (now.runs - then.runs, now.ns - then.ns));
        let (runs, ns, requests) = (runs as f64, ns as f64, requests as f64);
        // What ran only when the turn began says nothing of a request.
        if runs > requests / 100.0 {
            found.push(HookTime { program: now.name, runs: runs / requests, ns: ns / runs });
        }
    }
    Ok(found)
}

/// What a program has done since it was loaded, while statistics were on.
struct Ran {
    name: String,
    runs: u64,
    ns: u128,
}

fn read(programs: &BTreeSet<u32>) -> Result<BTreeMap<u32, Ran>> {
    let mut found = BTreeMap::new();
    for program in loaded_programs() {
        let program = program.context("listing the programs")?;
        if programs.contains(&program.id()) {
            let name = program.name_as_str().unwrap_or_default().to_owned();
            let ran = Ran { name, runs: program.run_count(), ns: program.run_time().as_nanos() };
            found.insert(program.id(), ran);
        }
    }
    Ok(found)
}
