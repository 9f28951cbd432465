//! Prometheus metrics: kube-proxy's names where the meaning is the same, ours with the prefix `ferrule_`.
//!
//! What happens is counted here as it happens; what is, the sync loop is asked for at each scrape.

mod dns;
mod format;
mod scrape;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use self::format::Format;
pub use self::scrape::router;
use crate::sync::core::Round;

type Seconds = Gauge<f64, std::sync::atomic::AtomicU64>;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Code {
    code: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ApplyError {
    map: &'static str,
    kind: &'static str,
}

/// What the daemon counts itself.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    sync_seconds: Histogram,
    programming_seconds: Histogram,
    last_timestamp: Seconds,
    last_queued: Seconds,
    compile_seconds: Histogram,
    writes: Counter,
    apply_errors: Family<ApplyError, Counter>,
    drift_repairs: Counter,
    lost_events: Counter,
    healthz: Family<Code, Counter>,
    livez: Family<Code, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let buckets = || exponential_buckets(0.001, 2.0, 15);
        // 0.25, 0.5, 1 to 59 by 1, 60 to 115 by 5, 120 to 300 by 30: kube-proxy's.
        let programming = [0.25, 0.5]
            .into_iter()
            .chain((1..60).map(f64::from))
            .chain((60..120).step_by(5).map(f64::from))
            .chain((120..=300).step_by(30).map(f64::from));
        let mut metrics = Self {
            registry: Registry::default(),
            sync_seconds: Histogram::new(buckets()),
            programming_seconds: Histogram::new(programming),
            last_timestamp: Seconds::default(),
            last_queued: Seconds::default(),
            compile_seconds: Histogram::new(exponential_buckets(0.000_01, 4.0, 12)),
            writes: Counter::default(),
            apply_errors: Family::default(),
            drift_repairs: Counter::default(),
            lost_events: Counter::default(),
            healthz: Family::default(),
            livez: Family::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let r = &mut self.registry;
        r.register(
            "ferrule_build",
            "The version that runs",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        let start = Seconds::default();
        start.set(unix_now());
        r.register("process_start_time_seconds", "When the daemon started", start);
        r.register(
            "kubeproxy_sync_proxy_rules_duration_seconds",
            "One round of writes",
            self.sync_seconds.clone(),
        );
        r.register(
            "kubeproxy_network_programming_duration_seconds",
            "From the change that an EndpointSlice names to its being in force",
            self.programming_seconds.clone(),
        );
        r.register(
            "kubeproxy_sync_proxy_rules_last_timestamp_seconds",
            "When a round last left nothing pending",
            self.last_timestamp.clone(),
        );
        r.register(
            "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds",
            "When a change last came in",
            self.last_queued.clone(),
        );
        r.register("kubeproxy_proxy_healthz", "Answers of /healthz by code", self.healthz.clone());
        r.register("kubeproxy_proxy_livez", "Answers of /livez by code", self.livez.clone());
        r.register("ferrule_compile_seconds", "Compiling what changed", self.compile_seconds.clone());
        r.register("ferrule_writes", "Writes to the kernel that came through", self.writes.clone());
        r.register("ferrule_apply_errors", "Writes that failed, by map and kind", self.apply_errors.clone());
        r.register(
            "ferrule_drift_repairs",
            "Rows put right that somebody else had changed",
            self.drift_repairs.clone(),
        );
        r.register(
            "ferrule_drop_events_lost",
            "Events that came faster than a follower of drops fetched them",
            self.lost_events.clone(),
        );
    }

    /// Takes in what a round did.
    pub fn observe_round(&self, round: &Round) {
        self.compile_seconds.observe(round.compile.as_secs_f64());
        self.sync_seconds.observe((round.compile + round.apply).as_secs_f64());
        self.writes.inc_by(round.applied as u64);
        for ((map, kind), count) in &round.failed {
            self.apply_errors.get_or_create(&ApplyError { map, kind }).inc_by(*count as u64);
        }
        if round.is_done() {
            self.last_timestamp.set(unix_now());
        }
    }

    /// A change came in.
    pub fn observe_queued(&self) {
        self.last_queued.set(unix_now());
    }

    /// A slice's change is in force this long after it happened.
    pub fn observe_programming(&self, took: Duration) {
        self.programming_seconds.observe(took.as_secs_f64());
    }

    /// Events that a follower lost.
    pub fn count_lost_events(&self, events: u64) {
        self.lost_events.inc_by(events);
    }

    /// Rows were put right.
    pub fn count_drift(&self, rows: usize) {
        self.drift_repairs.inc_by(rows as u64);
    }

    /// Writes what is counted here as text.
    fn encode(&self, format: Format, text: &mut String) -> fmt::Result {
        format.encode(text, &self.registry)
    }

    #[cfg(test)]
    pub(crate) fn lost_events(&self) -> u64 {
        self.lost_events.get()
    }

    pub(crate) fn drift_repairs(&self) -> u64 {
        self.drift_repairs.get()
    }

    pub(crate) fn count_healthz(&self, code: u16) {
        self.healthz.get_or_create(&Code { code }).inc();
    }

    pub(crate) fn count_livez(&self, code: u16) {
        self.livez.get_or_create(&Code { code }).inc();
    }
}

fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}
