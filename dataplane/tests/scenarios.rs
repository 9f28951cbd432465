//! Scenarios: objects in, map rows out, step by step. Every file of `tests/scenarios` runs four times: its objects in the
//! order written and in reverse, each on a kernel in memory and on one that fails a third of the writes until the step
//! is judged.
//!
//! A file is a list of steps, each a line that begins with `==` and the lines below it:
//!
//! ```text
//! == node NAME [ADDRESS …]       our node; first step
//! == dns healthy|unhealthy VIP,VIP LISTENER,LISTENER    the node's DNS server; 'auto' or 'none' for the VIPs
//! == network                     devices, routes and neighbours of the node, see `network`
//! == cgroups UID=ID …            cgroups of pods
//! == uplinks NAME …              the operator names the uplinks
//! == limits services=4 …         maxima of the maps; before the first objects
//! == apply                       YAML documents
//! == delete KIND NAMESPACE/NAME  or KIND NAME
//! == incomplete                  the first list cannot be finished yet (a broken file)
//! == synced                      the first list is done; every `apply` before it was part of it
//! == restart                     the daemon starts anew on the same maps, with nothing listed
//! == expect                      all rows of the maps
//! == attachments                 which programs each device carries
//! == warnings                    all warnings
//! ```

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test")]

#[path = "scenarios/network.rs"]
mod network;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use compile::{Hooks, Limits};
use dataplane::cgroups::PodCgroups;
use dataplane::kernel::fake::Fake;
use dataplane::kernel::faulty::Faulty;
use dataplane::sync::core::Core;
use model::{CgroupId, ClusterDns, Event, Kind, LocalDns, Network, ObjectKey, ObjectName, api};

struct Step {
    line: usize,
    words: Vec<String>,
    body: String,
}

#[derive(Clone, Copy, Debug)]
struct Variant {
    is_reverse: bool,
    fail_per_mille: u64,
}

const VARIANTS: [Variant; 4] = [
    Variant { is_reverse: false, fail_per_mille: 0 },
    Variant { is_reverse: true, fail_per_mille: 0 },
    Variant { is_reverse: false, fail_per_mille: 333 },
    Variant { is_reverse: true, fail_per_mille: 333 },
];

struct Run {
    variant: Variant,
    node: String,
    addrs: Vec<std::net::IpAddr>,
    dns: Option<LocalDns>,
    network: Arc<Network>,
    cgroups: Arc<PodCgroups>,
    uplinks: Option<Arc<BTreeSet<Arc<str>>>>,
    limits: Limits,
    core: Option<Core<Faulty<Fake>>>,
    /// What the source would list now.
    listed: BTreeMap<ObjectKey, Arc<api::Object>>,
}

#[test]
fn every_scenario_holds_in_both_orders_and_with_a_failing_kernel() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "scn"));
    files.sort();
    assert!(files.len() >= 8, "scenarios are missing in {}", dir.display());
    let mut failures = String::new();
    for file in &files {
        let steps = steps(&std::fs::read_to_string(file).unwrap());
        for variant in VARIANTS {
            if let Err(failure) = run(&steps, variant) {
                let name = file.file_name().unwrap().to_string_lossy();
                writeln!(failures, "{name} ({variant:?}): {failure}").unwrap();
            }
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (i, line) in text.lines().enumerate() {
        if let Some(head) = line.strip_prefix("== ") {
            let words = head.split_whitespace().map(str::to_owned).collect();
            steps.push(Step { line: i + 1, words, body: String::new() });
        } else if let Some(step) = steps.last_mut() {
            step.body.push_str(line);
            step.body.push('\n');
        }
    }
    steps
}

fn run(steps: &[Step], variant: Variant) -> Result<(), String> {
    let mut run = Run {
        variant,
        node: "node".to_owned(),
        addrs: Vec::new(),
        dns: None,
        network: Arc::default(),
        cgroups: Arc::default(),
        uplinks: None,
        limits: Limits::default(),
        core: None,
        listed: BTreeMap::new(),
    };
    for step in steps {
        run.step(step).map_err(|e| format!("line {}: {e}", step.line))?;
    }
    Ok(())
}

impl Run {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        let words: Vec<&str> = step.words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["node", name, addrs @ ..] => {
                self.node = (*name).to_owned();
                self.addrs = addrs.iter().map(|a| a.parse().unwrap()).collect();
                let addrs = self.addrs.clone();
                if let Some(core) = &mut self.core {
                    core.set_addrs(addrs.into_iter().collect());
                }
            }
            ["dns", state, vips, listeners] => {
                let vips = match *vips {
                    "auto" => ClusterDns::Auto,
                    "none" => ClusterDns::Addrs(Vec::new()),
                    vips => ClusterDns::Addrs(vips.split(',').map(|ip| ip.parse().unwrap()).collect()),
                };
                let listeners = listeners.split(',').map(|addr| addr.parse().unwrap()).collect();
                let is_healthy = match *state {
                    "healthy" => true,
                    "unhealthy" => false,
                    other => return Err(format!("no state {other}")),
                };
                self.dns = Some(LocalDns { vips, listeners, is_healthy });
                let dns = self.dns.clone();
                if let Some(core) = &mut self.core {
                    core.set_dns(dns);
                    round(core);
                }
            }
            ["network"] => {
                self.network = Arc::new(network::parse(&step.body));
                self.see();
            }
            ["cgroups", cgroups @ ..] => {
                let cgroup = |text: &&str| {
                    let (uid, id) = text.split_once('=').unwrap();
                    (uid.into(), CgroupId(id.parse().unwrap()))
                };
                self.cgroups = Arc::new(cgroups.iter().map(cgroup).collect());
                self.see();
            }
            ["uplinks", names @ ..] => {
                self.uplinks = Some(Arc::new(names.iter().map(|name| Arc::from(*name)).collect()));
                self.see();
            }
            ["limits", limits @ ..] => {
                for limit in limits {
                    let (name, value) = limit.split_once('=').unwrap();
                    let value = value.parse().unwrap();
                    match name {
                        "frontends" => self.limits.frontends = value,
                        "services" => self.limits.services = value + 1,
                        "backends" => self.limits.backends = value + 1,
                        "slots" => self.limits.slots = value,
                        "pods" => self.limits.subjects.pods = value + abi::PodId::FIRST.0,
                        "local-pods" => self.limits.subjects.local_pods = value,
                        "cgroups" => self.limits.subjects.cgroups = value,
                        "devices" => self.limits.subjects.devices = value,
                        other => return Err(format!("no limit {other}")),
                    }
                }
            }
            ["apply"] => {
                let mut events: Vec<Event> =
                    objects(&step.body).into_iter().map(|o| Event::Apply(Arc::new(o))).collect();
                if self.variant.is_reverse {
                    events.reverse();
                }
                self.events(events);
            }
            ["delete", kind, name] => {
                let kind = Kind::ALL.into_iter().find(|k| k.as_str() == *kind).unwrap();
                let (namespace, name) = name.split_once('/').unwrap_or(("", name));
                self.events(vec![Event::Delete(ObjectKey { kind, name: ObjectName::new(namespace, name) })]);
            }
            ["incomplete"] => self.events(vec![Event::Incomplete]),
            ["synced"] => {
                let mut events: Vec<Event> = Kind::ALL.into_iter().map(Event::Init).collect();
                events.extend(self.listed.values().cloned().map(Event::InitApply));
                events.extend(Kind::ALL.into_iter().map(Event::InitDone));
                self.events(events);
            }
            ["restart"] => {
                let kernel = self.core().kernel_mut().inner().clone();
                self.listed.clear();
                self.core = None;
                self.start(kernel);
            }
            ["expect"] => {
                self.converge()?;
                let core = self.core();
                let names = core.engine().names();
                let rows = compile::render::render(core.kernel_mut().inner().maps(), &names);
                same(&step.body, rows)?;
            }
            ["attachments"] => {
                self.converge()?;
                let engine = self.core().engine();
                let devices = engine.names().subjects.devices;
                let text = |(index, hooks): (abi::IfIndex, Hooks)| match hooks {
                    Hooks::Pod => format!("{} from_pod to_pod", devices[&index]),
                    Hooks::Net => format!("{} from_net to_net", devices[&index]),
                };
                let mut rows: Vec<String> = engine.attachments().into_iter().map(text).collect();
                rows.sort();
                same(&step.body, rows)?;
            }
            ["warnings"] => {
                let mut warnings: Vec<String> = self.core().warnings().map(|w| w.to_string()).collect();
                warnings.sort();
                same(&step.body, warnings)?;
            }
            other => return Err(format!("no step {other:?}")),
        }
        Ok(())
    }

    fn start(&mut self, kernel: Fake) {
        let kernel = Faulty::new(kernel, 7, self.variant.fail_per_mille);
        let mut core = Core::new(kernel, &self.node).unwrap();
        core.set_addrs(self.addrs.iter().copied().collect());
        core.set_dns(self.dns.clone());
        self.core = Some(core);
        self.show();
    }

    /// The daemon, if it runs, sees the node as it is now.
    fn show(&mut self) {
        if let Some(core) = &mut self.core {
            core.set_network(Arc::clone(&self.network));
            core.set_cgroups(Arc::clone(&self.cgroups));
            core.set_uplinks(self.uplinks.clone());
        }
    }

    fn see(&mut self) {
        self.show();
        self.core.iter_mut().for_each(round);
    }

    fn core(&mut self) -> &mut Core<Faulty<Fake>> {
        if self.core.is_none() {
            self.start(Fake::new(self.limits.clone()));
        }
        self.core.as_mut().unwrap()
    }

    /// A round after each event, as if they came slowly.
    fn events(&mut self, events: Vec<Event>) {
        for event in &events {
            match event {
                Event::Apply(object) => drop(self.listed.insert(object.key(), Arc::clone(object))),
                Event::Delete(key) => drop(self.listed.remove(key)),
                Event::Init(_) | Event::InitApply(_) | Event::InitDone(_) | Event::Incomplete => {}
            }
        }
        let core = self.core();
        for event in events {
            core.event(event);
            round(core);
        }
    }

    fn converge(&mut self) -> Result<(), String> {
        let rate = self.variant.fail_per_mille;
        let core = self.core();
        core.kernel_mut().set_rate(0);
        for _ in 0..10 {
            round(core);
        }
        core.kernel_mut().set_rate(rate);
        let pending: Vec<_> = core.engine().pending_by_map().filter(|(_, n)| *n > 0).collect();
        if pending.is_empty() { Ok(()) } else { Err(format!("still pending: {pending:?}")) }
    }
}

/// One round, with an instant grace period.
fn round(core: &mut Core<Faulty<Fake>>) {
    if core.is_ready() {
        let round = core.round();
        if let Some(ticket) = round.retired {
            core.release(ticket);
        }
    }
}

fn objects(yaml: &str) -> Vec<api::Object> {
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(yaml).unwrap();
    documents.into_iter().filter(|d| !d.is_null()).flat_map(|d| api::decode(d).unwrap().objects).collect()
}

fn same(expected: &str, got: Vec<String>) -> Result<(), String> {
    let mut expected: Vec<&str> =
        expected.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    expected.sort_unstable();
    let got: Vec<&str> = got.iter().map(String::as_str).collect();
    if expected == got {
        return Ok(());
    }
    let mut text = String::from("rows differ\n");
    for row in expected.iter().filter(|row| !got.contains(row)) {
        writeln!(text, "  missing    {row}").unwrap();
    }
    for row in got.iter().filter(|row| !expected.contains(row)) {
        writeln!(text, "  unexpected {row}").unwrap();
    }
    Err(text)
}
