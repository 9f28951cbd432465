//! The sync loop: the one task that owns the state and writes to the kernel.
//!
//! It takes what sources say, compiles what changed, writes, and answers queries in between. What fails is tried again
//! with growing delays; freed ids come back after a grace period, which another thread waits for.

pub mod core;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use compile::Ticket;
use model::{Event, Network, ObjectName};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use self::core::{Core, Round};
use crate::admin::Query;
use crate::cgroups::PodCgroups;
use crate::directory::Directory;
use crate::dns::addresses;
use crate::dns::supervisor::NodeDns;
use crate::health::HealthState;
use crate::kernel::real::Start;
use crate::kernel::{Kernel, KernelError};
use crate::metrics::Metrics;
use crate::source::{Source, SourceStatus};

/// How the loop is paced.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From the end of one round to the start of the next.
    pub min_period: Duration,
    /// Between audits.
    pub audit_period: Duration,
    /// First delay before a retry.
    pub retry_first: Duration,
    /// Largest delay before a retry.
    pub retry_last: Duration,
}

/// What the loop reads and where it reports.
#[derive(Debug)]
pub struct Ends {
    /// The source.
    pub source: Source,
    /// The node's network.
    pub network: watch::Receiver<Arc<Network>>,
    /// Cgroups of pods.
    pub cgroups: watch::Receiver<Arc<PodCgroups>>,
    /// Cluster DNS, if this node serves it.
    pub dns: Option<NodeDns>,
    /// Questions.
    pub queries: mpsc::Receiver<Query>,
    /// For the health server.
    pub health: watch::Sender<HealthState>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Becomes true when the daemon is to end.
    pub stop: watch::Receiver<bool>,
}

/// Facts that reports show and the loop does not use.
#[derive(Clone, Debug)]
pub struct Facts {
    /// How the maps were found.
    pub maps_at_start: Start,
    /// The folder.
    pub manifests: String,
    /// The directory of the pins.
    pub pins: String,
    /// Entries of `SOCKETS`, of `SOCK_UDP` and of `SOCK_UDP_FWD`.
    pub socket_entries: u32,
}

/// See the module.
pub struct SyncLoop<K> {
    core: Core<K>,
    ends: Ends,
    facts: Facts,
    pace: Pace,
    started: Instant,
    source_status: SourceStatus,
    last_round: Option<(Instant, Round)>,
    /// What the last round's ids and addresses stand for, if somebody asked.
    directory: Option<Arc<Directory>>,
    last_updated: Option<SystemTime>,
    queued_since: Option<Instant>,
    retry_at: Option<Instant>,
    retry_delay: Duration,
    warned: BTreeSet<String>,
    /// Changes of slices that a later round puts in force: when they happened.
    triggers: BTreeMap<ObjectName, SystemTime>,
    graces: mpsc::Sender<Ticket>,
    graces_over: mpsc::Receiver<Ticket>,
}

/// What woke the loop.
enum Wake {
    Events(Vec<Event>),
    Network,
    Cgroups,
    Dns,
    Status,
    Query(Query),
    GraceOver(Ticket),
    Retry,
    Audit,
    Stop,
}

impl<K: Kernel> SyncLoop<K> {
    /// A loop over a kernel whose maps have been read.
    #[must_use]
    pub fn new(core: Core<K>, ends: Ends, facts: Facts, pace: Pace) -> Self {
        let (graces, graces_over) = mpsc::channel(64);
        Self {
            core,
            ends,
            facts,
            pace,
            started: Instant::now(),
            source_status: SourceStatus::default(),
            last_round: None,
            directory: None,
            last_updated: None,
            queued_since: None,
            retry_at: None,
            retry_delay: pace.retry_first,
            warned: BTreeSet::new(),
            triggers: BTreeMap::new(),
            graces,
            graces_over,
        }
    }

    /// Runs until told to stop. What is in the kernel stays in force.
    pub async fn run(mut self) {
        self.take_network();
        self.take_cgroups();
        self.take_dns();
        let mut audit_at = Instant::now() + self.pace.audit_period;
        loop {
            let wake = self.wait(audit_at).await;
            let needs_round = match wake {
                Wake::Stop => return,
                Wake::Query(query) => {
                    self.answer(query);
                    false
                }
                Wake::Status => {
                    self.source_status = self.ends.source.status.borrow_and_update().clone();
                    self.publish();
                    false
                }
                Wake::Events(events) => {
                    self.take(events);
                    true
                }
                Wake::Network => {
                    self.take_network();
                    true
                }
                Wake::Cgroups => {
                    self.take_cgroups();
                    true
                }
                Wake::Dns => {
                    self.take_dns();
                    true
                }
                Wake::GraceOver(ticket) => {
                    self.core.release(ticket);
                    self.core.has_refused()
                }
                Wake::Retry => true,
                Wake::Audit => {
                    audit_at = Instant::now() + self.pace.audit_period;
                    self.audit()
                }
            };
            if needs_round && self.core.is_ready() {
                // More of the same change may be waiting.
                while let Ok(events) = self.ends.source.events.try_recv() {
                    self.take(events);
                }
                self.round();
                if !self.pace.min_period.is_zero() {
                    tokio::time::sleep(self.pace.min_period).await;
                }
            }
        }
    }

    async fn wait(&mut self, audit_at: Instant) -> Wake {
        let retry = async |at: Option<Instant>| match at {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        };
        let dns = async |dns: Option<&mut NodeDns>| {
            if let Some(dns) = dns
                && dns.here.changed().await.is_ok()
            {
                return;
            }
            // None, or a closed channel: DNS goes on as it was.
            std::future::pending().await
        };
        let retry_at = self.retry_at;
        tokio::select! {
            biased;
            _ = self.ends.stop.wait_for(|stop| *stop) => Wake::Stop,
            Some(events) = self.ends.source.events.recv() => Wake::Events(events),
            Ok(()) = self.ends.network.changed() => Wake::Network,
            Ok(()) = self.ends.cgroups.changed() => Wake::Cgroups,
            () = dns(self.ends.dns.as_mut()) => Wake::Dns,
            Some(ticket) = self.graces_over.recv() => Wake::GraceOver(ticket),
            Ok(()) = self.ends.source.status.changed() => Wake::Status,
            () = retry(retry_at) => Wake::Retry,
            () = sleep_until(audit_at) => Wake::Audit,
            Some(query) = self.ends.queries.recv() => Wake::Query(query),
        }
    }

    /// The node's network. Of its addresses those do not count that only its DNS server has: no NodePort answers there.
    fn take_network(&mut self) {
        let network = Arc::clone(&self.ends.network.borrow_and_update());
        let mut addrs: BTreeSet<IpAddr> = network.addrs().collect();
        if let Some(dns) = &self.ends.dns {
            // A file that cannot be read costs NodePorts on one address too many.
            for addr in addresses::recorded(&dns.state_dir).unwrap_or_default() {
                addrs.remove(&addr);
            }
        }
        self.core.set_addrs(addrs);
        self.core.set_network(network);
    }

    fn take_cgroups(&mut self) {
        let cgroups = Arc::clone(&self.ends.cgroups.borrow_and_update());
        self.core.set_cgroups(cgroups);
    }

    fn take_dns(&mut self) {
        if let Some(dns) = &mut self.ends.dns {
            let here = dns.here.borrow_and_update().clone();
            self.core.set_dns(here);
        }
    }

    fn take(&mut self, events: Vec<Event>) {
        self.queued_since.get_or_insert_with(Instant::now);
        self.ends.metrics.observe_queued();
        for event in events {
            self.core.event(event);
        }
        // A round that hangs in the kernel must be seen from outside.
        self.publish();
    }

    fn round(&mut self) {
        let mut round = self.core.round();
        self.directory = None;
        if let Some(dns) = &self.ends.dns {
            dns.feed.publish(self.core.snapshot(), self.core.changes());
        }
        self.ends.metrics.observe_round(&round);
        if let Some(ticket) = round.retired {
            self.begin_grace(ticket);
        }
        match self.attach() {
            Ok(true) => {
                tracing::info!(node = %self.core.view().name, "programs attached");
                self.core.attach_devices(&mut round);
            }
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "programs cannot be attached: trying again"),
        }
        if !round.is_done() || !self.core.is_attached() {
            let count: usize = round.failed.values().sum();
            if let Some(error) = &round.first_failure {
                tracing::warn!(count, error, retry_ms = self.retry_delay.as_millis() as u64, "writes failed");
            }
            self.retry_at = Some(Instant::now() + self.retry_delay);
            self.retry_delay = (self.retry_delay * 2).min(self.pace.retry_last);
        } else {
            self.retry_at = None;
            self.retry_delay = self.pace.retry_first;
        }
        if round.is_done() {
            self.queued_since = None;
            self.last_updated = Some(SystemTime::now());
            self.observe_programming();
        }
        tracing::debug!(
            revision = self.core.snapshot().revision.0,
            count = round.applied,
            pending = round.pending,
            elapsed_ms = (round.compile + round.apply).as_secs_f64() * 1e3,
            "round"
        );
        self.last_round = Some((Instant::now(), round));
        self.log_warnings();
        self.publish();
    }

    /// Puts the programs in force, once. Links of replaced maps are switched only when everything is known: until then
    /// the old programs go on with the old maps, which may hold what could not be read yet.
    fn attach(&mut self) -> Result<bool, KernelError> {
        if self.facts.maps_at_start == Start::Replaced && self.core.snapshot().synced.is_none() {
            return Ok(false);
        }
        self.core.attach()
    }

    fn begin_grace(&mut self, ticket: Ticket) {
        match self.core.grace() {
            Ok(wait) => {
                let graces = self.graces.clone();
                tokio::task::spawn_blocking(move || match wait() {
                    // A closed channel means that the loop is gone, and its ids with it.
                    Ok(()) => drop(graces.blocking_send(ticket)),
                    Err(error) => tracing::warn!(%error, "a grace period failed: its ids stay taken"),
                });
            }
            Err(error) => tracing::warn!(%error, "no grace period: ids stay taken"),
        }
    }

    /// Compares the kernel with what is believed; whether a round is needed.
    fn audit(&mut self) -> bool {
        let has_lost_links = match self.core.reattach() {
            Ok(false) => false,
            Ok(true) => {
                tracing::warn!("a link had been removed: programs attached again");
                true
            }
            Err(error) => {
                tracing::error!(%error, "programs cannot be attached");
                self.publish();
                true
            }
        };
        let drift = match self.core.audit() {
            Ok(drift) => drift,
            Err(error) => {
                tracing::warn!(%error, "the maps cannot be compared");
                return has_lost_links;
            }
        };
        if let Some(first) = drift.first() {
            tracing::warn!(
                count = drift.len(),
                map = first.map,
                key = first.key,
                "maps had been changed: repairing"
            );
            self.ends.metrics.count_drift(drift.len());
        }
        !drift.is_empty() || has_lost_links || !self.core.is_attached()
    }

    /// Logs warnings once, when they appear and when they go.
    fn log_warnings(&mut self) {
        let now: BTreeSet<String> = self.core.warnings().map(|w| w.to_string()).collect();
        for warning in now.difference(&self.warned) {
            tracing::warn!("{warning}");
        }
        for warning in self.warned.difference(&now) {
            tracing::info!("no longer: {warning}");
        }
        self.warned = now;
    }

    /// Observes, once, how long changes of slices took until they were in force.
    fn observe_programming(&mut self) {
        for (name, happened) in self.core.take_triggers() {
            // One trigger is observed once, and none that is older than this daemon.
            if self.triggers.insert(name, happened) == Some(happened) {
                continue;
            }
            if let Ok(took) = happened.elapsed()
                && took < self.started.elapsed()
            {
                self.ends.metrics.observe_programming(took);
            }
        }
    }

    fn publish(&mut self) {
        let state = self.health();
        self.ends.health.send_replace(state);
    }

    fn health(&self) -> HealthState {
        let pending = self.core.engine().pending();
        HealthState {
            last_updated: self.last_updated,
            queued_since: self.queued_since,
            is_synced: self.core.snapshot().synced.is_some(),
            is_attached: self.core.is_attached(),
            pending,
            problems: self.source_status.problems.clone(),
            is_node_leaving: self
                .core
                .snapshot()
                .nodes
                .get(&self.core.view().name)
                .is_some_and(|node| node.is_leaving || node.is_deleting),
        }
    }
}
