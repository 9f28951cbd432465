//! Pods of two namespaces on two nodes, all of them servers and clients, and the table of who reaches whom.
//!
//! ```text
//!          node-1 (ptp)           node-2 (bridge)
//!   x      a                      b, c
//!   y      a                      b
//! ```

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::manifests::{self, Condition, Object, PolicySpec};
use lab::{Lab, LabSpec, Node, Outside, Pod, PodSpec, Protocol, Reach, Site, Target, TruthTable};

use crate::world::LIMIT;

/// For what is silent: what is not dropped comes within milliseconds, the second of a SYN within this.
const SILENCE: Duration = Duration::from_millis(1_500);
/// Ports on which every pod answers.
pub(crate) const PORTS: [u16; 3] = [80, 81, 90];

/// See the module.
pub(crate) struct Town {
    pub(crate) lab: Lab,
    pub(crate) pods: Vec<Pod>,
    pub(crate) outside: Outside,
}

/// A pair of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair<'a> {
    /// Name of the site that asks.
    pub(crate) from: &'a str,
    /// Name of the pod that is asked.
    pub(crate) to: &'a str,
    /// Port of the pod.
    pub(crate) port: u16,
    pub(crate) protocol: Protocol,
}

impl Town {
    /// The town, open, its daemons ready.
    pub(crate) fn new() -> Result<Self> {
        Self::with(&[])
    }

    /// The same, its daemons started with more arguments.
    pub(crate) fn with(more: &[&str]) -> Result<Self> {
        let lab = Lab::new(LabSpec::default())?;
        let outside = lab.outside()?;
        for (name, team) in [("x", "one"), ("y", "two")] {
            lab.manifests().apply(&manifests::namespace(name).with("/metadata/labels/team", team))?;
        }
        let mut pods = Vec::new();
        for (node, namespace, name) in
            [(0, "x", "a"), (1, "x", "b"), (1, "x", "c"), (0, "y", "a"), (1, "y", "b")]
        {
            let spec = PodSpec::idle(namespace, name).label("app", name);
            let spec = if name == "c" { spec.label("tier", "back") } else { spec };
            pods.push(lab.nodes()[node].add_pod(spec)?);
        }
        let town = Self { lab, pods, outside };
        for pod in &town.pods {
            pod.site().echo(&PORTS)?;
            town.apply(&town.object_of(pod))?;
        }
        town.lab.start_ferrule_with(LIMIT, more)?;
        Ok(town)
    }

    pub(crate) fn node(&self, n: usize) -> &Node {
        &self.lab.nodes()[n]
    }

    /// The pod of that name, `x.a`.
    pub(crate) fn pod(&self, name: &str) -> &Pod {
        self.pods.iter().find(|pod| pod.place() == name).expect("a pod of the town")
    }

    /// The pod as its kubelet reports it. A port named web is 80 in pods named a, 81 in others.
    pub(crate) fn object_of(&self, pod: &Pod) -> Object {
        let web = if pod.name() == "a" { 80 } else { 81 };
        let ports = serde_json::json!([{ "name": "web", "containerPort": web, "protocol": "TCP" }]);
        manifests::pod(pod, Condition::Ready).with("/spec/containers/0/ports", ports)
    }

    pub(crate) fn apply(&self, object: &Object) -> Result<()> {
        self.lab.manifests().apply(object)
    }

    pub(crate) fn delete(&self, object: &Object) -> Result<()> {
        self.lab.manifests().delete(object)
    }

    /// All that ask: pods, nodes, the host outside.
    pub(crate) fn sites(&self) -> Vec<Site> {
        let pods = self.pods.iter().map(Pod::site);
        let nodes = self.lab.nodes().iter().map(Node::site);
        pods.chain(nodes).chain([self.outside.site()]).collect()
    }

    /// These ports of all pods.
    pub(crate) fn targets(&self, ports: &[u16]) -> Vec<Target> {
        self.pods.iter().flat_map(|pod| ports.iter().flat_map(|port| Target::of_pod(pod, *port))).collect()
    }

    /// Waits until it is so who reaches whom on these ports, where policy decides: a pod always reaches itself, and a
    /// node its own pods.
    pub(crate) fn expect(&self, what: &str, ports: &[u16], is_open: impl Fn(Pair<'_>) -> bool) -> Result<()> {
        let homes: BTreeSet<_> = self.pods.iter().map(|pod| (pod.node().name(), pod.place())).collect();
        self.expect_of(what, &self.sites(), &self.targets(ports), |from, target| {
            let to = target.by[0].as_str();
            let pair = Pair { from, to, port: target.to.port(), protocol: target.protocol };
            from == to || homes.contains(&(from, to)) || is_open(pair)
        })
    }

    /// Waits until it is so who of these reaches which target.
    pub(crate) fn expect_of(
        &self,
        what: &str,
        sites: &[Site],
        targets: &[Target],
        is_open: impl Fn(&str, &Target) -> bool,
    ) -> Result<()> {
        let wanted =
            TruthTable::expected(
                sites,
                targets,
                |from, target| {
                    if is_open(from, target) { Reach::Yes } else { Reach::No }
                },
            );
        settle(sites, targets, &wanted).with_context(|| what.to_owned())
    }

    /// Puts policies in force for as long as it takes to see that they are.
    pub(crate) fn with_policies(
        &self,
        what: &str,
        policies: &[PolicySpec],
        ports: &[u16],
        is_open: impl Fn(Pair<'_>) -> bool,
    ) -> Result<()> {
        policies.iter().try_for_each(|policy| self.apply(&policy.object()))?;
        self.expect(what, ports, is_open)?;
        policies.iter().try_for_each(|policy| self.delete(&policy.object()))
    }

    /// Waits until `ferrule status` of a node says this.
    pub(crate) fn wait_for_status(&self, node: usize, texts: &[&str]) -> Result<()> {
        let mut said = String::new();
        let result = lab::until("a status", LIMIT, || {
            said = self.node(node).ferrule(&["status"])?.stdout;
            Ok(texts.iter().all(|text| said.contains(text)))
        });
        result.map(drop).with_context(|| format!("{texts:?} in\n{said}"))
    }
}

/// Probes until the table is as wanted, with more patience each time: a loaded machine answers late.
fn settle(sites: &[Site], targets: &[Target], wanted: &TruthTable) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    let mut patience = SILENCE;
    loop {
        let found = TruthTable::probe(sites, targets, patience)?;
        let is_so = found.ensure_is(wanted);
        if is_so.is_ok() || Instant::now() >= deadline {
            return is_so;
        }
        patience = (patience * 2).min(LIMIT / 4);
    }
}

/// Makes sure that each of these is so right now.
pub(crate) fn ensure_reach(from: &Site, to: &[(Protocol, SocketAddr)], is_open: bool) -> Result<()> {
    use lab::{Probe, ProbeResult};
    let probes: Vec<_> = to
        .iter()
        .map(|(protocol, to)| match protocol {
            Protocol::Tcp => Probe::tcp(*to),
            Protocol::Udp => Probe::udp(*to),
        })
        .collect();
    let results = from.probe(&probes, if is_open { LIMIT } else { SILENCE })?;
    for (probe, result) in probes.iter().zip(results) {
        let is_so = if is_open { result.answer().is_ok() } else { result == ProbeResult::Silent };
        ensure!(is_so, "{} to {probe:?}: {result:?}", from.name());
    }
    Ok(())
}
