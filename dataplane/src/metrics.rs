//! Prometheus metrics: kube-proxy's names where the meaning is the same, ours with the prefix `ferrule_`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot};

use crate::admin::Query;
use crate::admin::reports::{MapReport, ServiceReport, StatusReport};
use crate::sync::core::Round;

/// Service ports with series of their own; more would make a scrape as large as the cluster.
const SERVICE_SERIES: usize = 5_000;

/// How long a scrape waits for the sync loop.
const DEADLINE: Duration = Duration::from_secs(2);

type Seconds = Gauge<f64, std::sync::atomic::AtomicU64>;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Code {
    code: u16,
}

/// Label names and values that are known at the scrape only.
type Labels = Vec<(&'static str, String)>;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ApplyError {
    map: &'static str,
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ServiceLabels {
    namespace: String,
    name: String,
    port: String,
    protocol: String,
    family: String,
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
    }

    /// Takes in what a round did.
    pub fn observe_round(&self, round: &Round) {
        self.compile_seconds.observe(round.compile.as_secs_f64());
        self.sync_seconds.observe((round.compile + round.apply).as_secs_f64());
        self.writes.inc_by(round.applied as u64);
        for ((map, kind), count) in &round.failed {
            self.apply_errors.get_or_create(&ApplyError { map, kind }).inc_by(*count as u64);
        }
        if round.pending == 0 {
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

    /// Rows were put right.
    pub fn count_drift(&self, rows: usize) {
        self.drift_repairs.inc_by(rows as u64);
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

#[derive(Clone)]
struct Shared {
    metrics: Arc<Metrics>,
    queries: mpsc::Sender<Query>,
}

/// kube-proxy's metrics server.
pub fn router(metrics: Arc<Metrics>, queries: mpsc::Sender<Query>) -> Router {
    Router::new()
        .route("/metrics", get(scrape))
        .route("/proxyMode", get(async || "ebpf"))
        .route("/healthz", get(async || "ok"))
        .with_state(Shared { metrics, queries })
}

async fn scrape(State(shared): State<Shared>) -> impl IntoResponse {
    let mut text = String::new();
    let own = encode(&mut text, &shared.metrics.registry);
    let asked = ask(&shared.queries).await;
    // Each part ends with a mark of its own; the answer has one.
    let mut text = text.trim_end_matches("# EOF\n").to_owned();
    if let (Ok(()), Some(state)) = (own, asked) {
        let registry = state_registry(&state);
        if encode(&mut text, &registry).is_err() {
            tracing::warn!("the kernel's counters cannot be shown");
        }
    } else {
        text.push_str("# EOF\n");
    }
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
}

struct LoopState {
    status: StatusReport,
    services: Vec<ServiceReport>,
    maps: Vec<MapReport>,
}

async fn ask(queries: &mpsc::Sender<Query>) -> Option<LoopState> {
    async fn one<T>(queries: &mpsc::Sender<Query>, query: fn(oneshot::Sender<T>) -> Query) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        queries.send(query(sender)).await.ok()?;
        receiver.await.ok()
    }
    let all = async {
        Some(LoopState {
            status: one(queries, Query::Status).await?,
            services: one(queries, Query::Services).await?,
            maps: one(queries, Query::Maps).await?,
        })
    };
    tokio::time::timeout(DEADLINE, all).await.ok().flatten()
}

/// The loop's and the kernel's numbers, made anew for each scrape.
fn state_registry(state: &LoopState) -> Registry {
    let mut registry = Registry::default();
    let status = &state.status;
    counters(&mut registry, "ferrule_drops", "Calls not let through", "reason", &status.drops);
    let source = &status.source;
    gauges(&mut registry, "ferrule_objects", "Objects in force", "kind", &source.objects);
    gauges(
        &mut registry,
        "ferrule_objects_passed_over",
        "Objects of kinds not used",
        "kind",
        &source.passed_over,
    );
    let files = BTreeMap::from([("manifests".to_owned(), source.problems.len() as u64)]);
    gauges(&mut registry, "ferrule_source_problems", "Files with a problem", "source", &files);
    gauges(&mut registry, "ferrule_pending_writes", "Outstanding writes", "map", &status.pending);
    let mut warnings: BTreeMap<String, u64> = BTreeMap::new();
    for warning in &status.warnings {
        *warnings.entry(warning.kind.clone()).or_default() += 1;
    }
    gauges(&mut registry, "ferrule_warnings", "Warnings in force", "kind", &warnings);
    let of_maps = |pick: fn(&MapReport) -> Option<u64>| -> BTreeMap<String, u64> {
        state.maps.iter().filter_map(|m| Some((m.name.clone(), pick(m)?))).collect()
    };
    gauges(&mut registry, "ferrule_map_entries", "Entries in use", "map", &of_maps(|m| m.used));
    gauges(&mut registry, "ferrule_map_max_entries", "Maximum", "map", &of_maps(|m| m.max));
    let ready = BTreeMap::from([(status.node.clone(), u64::from(status.ready))]);
    gauges(&mut registry, "ferrule_ready", "1 if all that is known is in force", "node", &ready);

    type Pick = fn(&ServiceReport) -> u64;
    let picks: [(&str, &str, Pick); 4] = [
        ("ferrule_service_connections", "Sockets sent to a backend", |s| s.connections),
        ("ferrule_service_refused", "Refused for lack of endpoints", |s| s.refused),
        ("ferrule_service_dropped", "Dropped by a Local policy", |s| s.dropped),
        ("ferrule_service_unremembered", "Sent, but the peer shown is the backend", |s| s.unremembered),
    ];
    for (name, help, pick) in picks {
        let family = Family::<ServiceLabels, Counter>::default();
        for s in state.services.iter().take(SERVICE_SERIES) {
            let labels = ServiceLabels {
                namespace: s.namespace.clone(),
                name: s.name.clone(),
                port: s.port.clone(),
                protocol: s.protocol.clone(),
                family: s.family.clone(),
            };
            family.get_or_create(&labels).inc_by(pick(s));
        }
        registry.register(name, help, family);
    }
    registry
}

fn counters(
    registry: &mut Registry,
    name: &str,
    help: &str,
    label: &'static str,
    values: &BTreeMap<String, u64>,
) {
    let family = Family::<Labels, Counter>::default();
    for (key, value) in values {
        family.get_or_create(&vec![(label, key.clone())]).inc_by(*value);
    }
    registry.register(name, help, family);
}

fn gauges<N: Copy + TryInto<i64>>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    label: &'static str,
    values: &BTreeMap<String, N>,
) {
    let family = Family::<Labels, Gauge>::default();
    for (key, value) in values {
        let value = (*value).try_into().unwrap_or(i64::MAX);
        family.get_or_create(&vec![(label, key.clone())]).set(value);
    }
    registry.register(name, help, family);
}
