//! One round after another, without tasks or timers: events in, writes out. The loop in [`super`] drives it; tests drive
//! it directly.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use compile::{Drift, Engine, Op, Phase, Ticket};
use model::{Changes, Event, Kind, LocalDns, Network, NodeView, ObjectName, Snapshot, Store, Warning};

use crate::cgroups::PodCgroups;
use crate::explain::Sources;
use crate::kernel::{GraceWait, Kernel, KernelError, map_of};

/// What one round did.
#[derive(Debug, Default)]
pub struct Round {
    /// Writes that came through.
    pub applied: usize,
    /// Writes that failed, by map and kind of error; they stay pending.
    pub failed: BTreeMap<(&'static str, &'static str), usize>,
    /// The first failure as text, for the log.
    pub first_failure: Option<String>,
    /// Time for compiling what changed.
    pub compile: Duration,
    /// Time for writing.
    pub apply: Duration,
    /// Writes still to be done after the round.
    pub pending: usize,
    /// Whether everything was known.
    pub is_synced: bool,
    /// What may be reused once the grace period is over, with the wait for it.
    pub retired: Option<Ticket>,
    /// Services and nodes that were compiled.
    pub compiled_units: usize,
}

impl Round {
    /// Whether everything that could be written is. Before everything is known some writes wait for that, and not for
    /// another round.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.failed.is_empty() && (self.pending == 0 || !self.is_synced)
    }
}

/// Store, engine and kernel of one daemon.
pub struct Core<K> {
    kernel: K,
    engine: Engine,
    store: Store,
    view: NodeView,
    snapshot: Snapshot,
    attached: bool,
    triggers: BTreeMap<ObjectName, SystemTime>,
    /// What the last round compiled.
    changes: Changes,
}

impl<K: Kernel> Core<K> {
    /// Reads the kernel's maps; what they hold is the state that the first round starts from.
    ///
    /// # Errors
    ///
    /// The map that cannot be read.
    pub fn new(mut kernel: K, node_name: &str) -> Result<Self, KernelError> {
        let dump = kernel.dump()?;
        let engine = Engine::new(kernel.limits(), dump);
        let store = Store::new(&Kind::ALL);
        let snapshot = store.snapshot();
        let view = NodeView { name: node_name.into(), ..NodeView::default() };
        Ok(Self {
            kernel,
            engine,
            store,
            view,
            snapshot,
            attached: false,
            triggers: BTreeMap::new(),
            changes: Changes::default(),
        })
    }

    /// Takes what a source said. Nothing is written before the next round.
    pub fn event(&mut self, event: Event) {
        self.store.apply(event);
    }

    /// Takes the node's addresses.
    pub fn set_addrs(&mut self, addrs: BTreeSet<IpAddr>) {
        self.view.addrs = addrs;
    }

    /// Takes the node's devices, routes and neighbours.
    pub fn set_network(&mut self, network: Arc<Network>) {
        self.view.network = network;
    }

    /// Takes the names of the uplinks; without them they are found by the routes.
    pub fn set_uplinks(&mut self, uplinks: Option<Arc<BTreeSet<Arc<str>>>>) {
        self.view.uplinks = uplinks;
    }

    /// Takes the cgroups of pods.
    pub fn set_cgroups(&mut self, cgroups: Arc<PodCgroups>) {
        self.view.cgroups = cgroups;
    }

    /// Takes what is known of the node's DNS server.
    pub fn set_dns(&mut self, dns: Option<LocalDns>) {
        self.view.dns = dns;
    }

    /// Whether a round may write: every first list is done, or a source said that it cannot finish for now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.store.is_synced() || self.store.is_incomplete()
    }

    /// Compiles what changed and writes what is pending.
    pub fn round(&mut self) -> Round {
        let mut round = Round::default();
        let began = Instant::now();
        self.snapshot = self.store.snapshot();
        let changes = self.store.take_changes();
        round.compiled_units = changes.services.len() + changes.nodes.len();
        self.engine.update(&self.snapshot, &self.view, &changes);
        self.collect_triggers(&changes);
        self.changes = changes;
        round.compile = began.elapsed();

        let began = Instant::now();
        for phase in Phase::ALL {
            let ops = self.engine.plan(phase, self.snapshot.synced.as_ref());
            if ops.is_empty() {
                continue;
            }
            let results = self.kernel.apply(&ops);
            count(&mut round, &ops, &results);
            let came_through: Vec<bool> = results.iter().map(Result::is_ok).collect();
            self.engine.record(phase, &ops, &came_through);
        }
        if self.attached {
            self.attach_devices(&mut round);
        }
        round.retired = self.engine.end_round();
        round.apply = began.elapsed();
        round.pending = self.engine.pending();
        round.is_synced = self.snapshot.synced.is_some();
        round
    }

    /// Puts the programs in force, once; true if this call did it.
    ///
    /// # Errors
    ///
    /// The link that could not be made; the next call tries again.
    pub fn attach(&mut self) -> Result<bool, KernelError> {
        if self.attached {
            return Ok(false);
        }
        self.kernel.attach()?;
        self.attached = true;
        Ok(true)
    }

    /// Puts the packet programs in force where they belong now; what failed is counted and tried again.
    pub fn attach_devices(&mut self, round: &mut Round) {
        for error in self.kernel.attach_devices(&self.engine.attachments()) {
            round.first_failure.get_or_insert_with(|| error.to_string());
            *round.failed.entry(("links", error.kind())).or_default() += 1;
        }
    }

    /// Makes links again that somebody removed; true if there was one.
    ///
    /// # Errors
    ///
    /// The link that could not be made.
    pub fn reattach(&mut self) -> Result<bool, KernelError> {
        if !self.attached {
            return Ok(false);
        }
        let has_lost = self.kernel.check_devices() > 0;
        if self.kernel.attached().len() == crate::kernel::real::PROGRAMS.len() {
            return Ok(has_lost);
        }
        // Until it succeeds the programs are not in force.
        self.attached = false;
        self.kernel.attach()?;
        self.attached = true;
        Ok(true)
    }

    /// Begins the grace period of what the round retired.
    ///
    /// # Errors
    ///
    /// The kernel has no means of waiting now; what was retired stays retired.
    pub fn grace(&mut self) -> Result<GraceWait, KernelError> {
        self.kernel.grace()
    }

    /// Gives back what a finished grace period has freed.
    pub fn release(&mut self, ticket: Ticket) {
        self.engine.release(ticket);
    }

    /// Compares the kernel with what is believed of it. Differences are repaired by the next round.
    ///
    /// # Errors
    ///
    /// The map that cannot be read.
    pub fn audit(&mut self) -> Result<Vec<Drift>, KernelError> {
        let dump = self.kernel.dump()?;
        Ok(self.engine.audit(&dump))
    }

    /// Whether a Service was refused for lack of room: what a grace period freed may be enough for it.
    #[must_use]
    pub fn has_refused(&self) -> bool {
        self.engine.has_refused()
    }

    /// Warnings of conversion and of compiling, as of now.
    pub fn warnings(&self) -> impl Iterator<Item = Warning> + '_ {
        let of_objects = self.snapshot.warnings.values().flat_map(|list| list.iter().cloned());
        of_objects.chain(self.engine.warnings())
    }

    /// When the changes of slices happened that rounds since the last call put in force, by slice.
    pub fn take_triggers(&mut self) -> BTreeMap<ObjectName, SystemTime> {
        std::mem::take(&mut self.triggers)
    }

    fn collect_triggers(&mut self, changes: &Changes) {
        for service in &changes.services {
            for slice in self.snapshot.slices_of(service) {
                let text = slice.trigger_time.as_deref();
                if let Some(time) = text.and_then(|t| humantime::parse_rfc3339(t).ok()) {
                    self.triggers.insert(slice.name.clone(), time);
                }
            }
        }
    }

    /// What changed up to the snapshot of the last round.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// The engine, for reports.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The snapshot of the last round.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// This node as it sees itself.
    #[must_use]
    pub fn view(&self) -> &NodeView {
        &self.view
    }

    /// What explanations are made from.
    #[must_use]
    pub fn sources(&self) -> Sources<'_> {
        let (snapshot, view) = (&self.snapshot, &self.view);
        Sources { snapshot, view, engine: &self.engine, live: self.kernel.live() }
    }

    /// The kernel, for reports.
    pub fn kernel_mut(&mut self) -> &mut K {
        &mut self.kernel
    }

    /// Whether the programs were put in force by this daemon.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.attached
    }
}

fn count(round: &mut Round, ops: &[Op], results: &[Result<(), KernelError>]) {
    for (op, result) in ops.iter().zip(results) {
        match result {
            Ok(()) => round.applied += 1,
            Err(error) => {
                *round.failed.entry((map_of(op), error.kind())).or_default() += 1;
                round.first_failure.get_or_insert_with(|| error.to_string());
            }
        }
    }
}
