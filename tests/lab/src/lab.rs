//! A lab: a fabric, nodes on it, and the folder of manifests that their daemons read.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::client::lock;
use crate::fabric::Fabric;
use crate::gate::Gate;
use crate::manifests::Manifests;
use crate::netns::Netns;
use crate::node::{Node, NodeSpec};
use crate::outside::{self, Outside, OutsideSpec};
use crate::registry::{LabId, Owner};
use crate::wiring::Wiring;

/// What a lab is to be.
#[derive(Clone, Debug)]
pub struct LabSpec {
    /// The nodes, at most 9: their number is a digit of their addresses.
    pub nodes: Vec<NodeSpec>,
}

impl Default for LabSpec {
    /// Two nodes in two zones, one for each wiring.
    fn default() -> Self {
        let node = |name: &str, zone: &str, wiring| NodeSpec { name: name.into(), zone: zone.into(), wiring };
        Self { nodes: vec![node("node-1", "zone-a", Wiring::Ptp), node("node-2", "zone-b", Wiring::Bridge)] }
    }
}

/// A lab. Dropping it takes everything away; so does the next start of any lab when the owner was killed.
#[derive(Debug)]
pub struct Lab {
    id: LabId,
    nodes: Vec<Node>,
    manifests: Manifests,
    fabric: Arc<Fabric>,
    outside: Mutex<Vec<Outside>>,
    /// Last, so that the nodes' handles are gone when everything is taken away.
    rights: Arc<Rights>,
}

/// What taking a lab away needs.
#[derive(Debug)]
struct Rights {
    gate: Arc<Gate>,
    /// Nothing once the lab is to be kept.
    owner: Mutex<Option<Owner>>,
}

/// The labs of this process, for [`take_down_all`].
static LABS: Mutex<Vec<Weak<Rights>>> = Mutex::new(Vec::new());

impl Lab {
    /// Clears up labs whose owner is gone, then makes a new one.
    ///
    /// # Errors
    ///
    /// This process is not root, or the kernel refused a part; nothing is left then.
    pub fn new(spec: LabSpec) -> Result<Self> {
        ensure!(
            nix::unistd::geteuid().is_root(),
            "a lab needs root: it makes namespaces, cgroups and mounts"
        );
        ensure!(spec.nodes.len() <= 9, "a lab has at most 9 nodes");
        ensure!(
            spec.nodes.iter().all(|node| node.name != outside::NAME),
            "no node is named {}",
            outside::NAME
        );
        let owner = Owner::register()?;
        let id = owner.id().clone();
        let rights = Arc::new(Rights { gate: Arc::default(), owner: Mutex::new(Some(owner)) });
        let mut labs = lock(&LABS);
        labs.retain(|lab| lab.strong_count() > 0);
        labs.push(Arc::downgrade(&rights));
        drop(labs);

        let (manifests, fabric) = {
            let _open = rights.gate.pass()?;
            for dir in ["places", "log"] {
                std::fs::create_dir(id.dir().join(dir)).with_context(|| format!("creating {dir}"))?;
            }
            (Manifests::new(&id.dir())?, Arc::new(Fabric::new(&id)?))
        };
        let mut nodes: Vec<Node> = Vec::new();
        for (index, spec) in (1..).zip(spec.nodes) {
            let name = spec.name.clone();
            let node = Node::new(&id, &fabric, index, spec, &rights.gate)
                .with_context(|| format!("making node {name}"))?;
            for other in &nodes {
                node.add_route_to(other)?;
                other.add_route_to(&node)?;
            }
            manifests.apply(&crate::manifests::node(&node))?;
            nodes.push(node);
        }
        Ok(Self { id, nodes, manifests, fabric, outside: Mutex::default(), rights })
    }

    /// Its name.
    pub fn id(&self) -> &LabId {
        &self.id
    }

    /// The node of that name.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn node(&self, name: &str) -> Result<&Node> {
        self.nodes
            .iter()
            .find(|node| node.name() == name)
            .with_context(|| format!("the lab has no node {name}"))
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A host on the fabric that is no node; made at the first use.
    ///
    /// # Errors
    ///
    /// The kernel refused a part.
    pub fn outside(&self) -> Result<Outside> {
        let mut hosts = lock(&self.outside);
        match hosts.iter().find(|host| host.name() == outside::NAME) {
            Some(host) => Ok(host.clone()),
            None => self.make_outside(&mut hosts, OutsideSpec::new(outside::NAME)),
        }
    }

    /// Makes one more host that is no node.
    ///
    /// # Errors
    ///
    /// Its name is taken, or the kernel refused a part.
    pub fn add_outside(&self, spec: OutsideSpec) -> Result<Outside> {
        let mut hosts = lock(&self.outside);
        let is_taken = self.nodes.iter().map(Node::name).any(|name| name == spec.name)
            || hosts.iter().any(|host| host.name() == spec.name);
        ensure!(!is_taken, "the lab has a {} already", spec.name);
        self.make_outside(&mut hosts, spec)
    }

    fn make_outside(&self, hosts: &mut Vec<Outside>, spec: OutsideSpec) -> Result<Outside> {
        let name = spec.name.clone();
        let numbered = (hosts.len(), spec);
        let made = Outside::new(&self.id, &self.fabric, &self.nodes, &self.rights.gate, numbered)
            .with_context(|| format!("making the host {name} outside"))?;
        hosts.push(made.clone());
        Ok(made)
    }

    /// The namespace of the fabric: a capture of its device `fabric` sees what is on the wire between the hosts.
    pub fn fabric(&self) -> &Netns {
        self.fabric.netns()
    }

    /// The folder of manifests, which all daemons read.
    pub fn manifests(&self) -> &Manifests {
        &self.manifests
    }

    /// Starts `ferrule run` on every node and waits until all are ready.
    ///
    /// # Errors
    ///
    /// A daemon did not start or is not ready after `limit`.
    pub fn start_ferrule(&self, limit: Duration) -> Result<()> {
        self.start_ferrule_with(limit, &[])
    }

    /// The same with more arguments, `["--cluster-dns", "10.96.0.10"]` for one.
    ///
    /// # Errors
    ///
    /// A daemon did not start or is not ready after `limit`.
    pub fn start_ferrule_with(&self, limit: Duration, more: &[&str]) -> Result<()> {
        for node in &self.nodes {
            node.start_ferrule(self.manifests.dir(), more)?;
        }
        self.nodes.iter().try_for_each(|node| node.wait_ready(limit).map(drop))
    }

    /// Lets the lab live on after this process, pods and daemons too.
    ///
    /// # Errors
    ///
    /// It could not be marked.
    pub fn keep(self) -> Result<()> {
        let owner = lock(&self.rights.owner).take().context("the lab has been taken away")?;
        owner.keep()
    }

    /// Takes everything away now, and says what could not be.
    ///
    /// # Errors
    ///
    /// A part could not be removed; all others are.
    pub fn take_down(self) -> Result<()> {
        self.rights.take_down()
    }
}

impl Rights {
    fn take_down(&self) -> Result<()> {
        // Makers get out before the owner is looked for: they may be making what it takes away.
        self.gate.close();
        let Some(owner) = lock(&self.owner).take() else { return Ok(()) };
        let torn_down = owner.tear_down();
        self.gate.collect_children()?;
        torn_down
    }
}

impl Drop for Rights {
    fn drop(&mut self) {
        if let Err(error) = self.take_down() {
            eprintln!("the lab could not be taken away whole: {error:#}");
        }
    }
}

/// Takes all labs of this process away, for a process that is about to end on a signal.
///
/// # Errors
///
/// A part could not be removed; all others are.
pub fn take_down_all() -> Result<()> {
    let labs: Vec<_> = lock(&LABS).drain(..).collect();
    labs.iter().filter_map(Weak::upgrade).try_for_each(|lab| lab.take_down())
}
