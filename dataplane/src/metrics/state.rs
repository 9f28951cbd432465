//! The loop's and the kernel's numbers, made anew for each scrape: what is gone has no series.

use std::collections::BTreeMap;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use ::dns::metrics::Counters;

use super::dns;
use crate::admin::reports::{MapReport, ServiceReport, StatusReport};
use crate::dns::supervisor::DnsState;

/// Service ports with series of their own; more would make a scrape as large as the cluster.
pub(super) const SERVICE_SERIES: usize = 5_000;

/// One of a Service port's counters.
type Number = fn(&ServiceReport) -> u64;

/// What the loop answered.
pub(super) struct LoopState {
    pub(super) status: StatusReport,
    pub(super) services: Vec<ServiceReport>,
    pub(super) maps: Vec<MapReport>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ServiceLabels {
    namespace: String,
    name: String,
    port: String,
    protocol: String,
    family: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PolicyLabels {
    traffic_policy: &'static str,
    ip_family: &'static str,
}

/// One label, whose name is known here and whose values are not.
type Label = Vec<(&'static str, String)>;

/// The numbers of a loop that answered; else that it did not.
pub(super) fn registry(state: Option<&LoopState>, dns: Option<&(DnsState, Counters)>) -> Registry {
    let mut registry = Registry::default();
    let is_complete = Gauge::<i64>::default();
    is_complete.set(i64::from(state.is_some()));
    registry.register(
        "ferrule_scrape_complete",
        "0 if the sync loop did not answer in time: what it would say is missing",
        is_complete,
    );
    if let Some(state) = state {
        of_status(&mut registry, &state.status);
        of_maps(&mut registry, &state.maps);
        of_services(&mut registry, &state.services);
    }
    if let Some((state, counters)) = dns {
        dns::of_dns(&mut registry, state, counters);
    }
    registry
}

fn of_status(registry: &mut Registry, status: &StatusReport) {
    let drops = Family::<Label, Counter>::default();
    for (reason, n) in &status.drops {
        drops.get_or_create(&vec![("reason", reason.clone())]).inc_by(*n);
    }
    registry.register("ferrule_drops", "Connections, datagrams and packets not let through", drops);

    let source = &status.source;
    let problems = BTreeMap::from([("manifests".to_owned(), source.problems.len())]);
    let ready = BTreeMap::from([(status.node.clone(), u64::from(status.ready))]);
    let mut warnings: BTreeMap<String, u64> = BTreeMap::new();
    for warning in &status.warnings {
        *warnings.entry(warning.kind.clone()).or_default() += 1;
    }
    gauges(registry, "ferrule_objects", "Objects in force", "kind", &source.objects);
    gauges(registry, "ferrule_objects_passed_over", "Objects of kinds not used", "kind", &source.passed_over);
    gauges(registry, "ferrule_source_problems", "Files with a problem", "source", &problems);
    gauges(registry, "ferrule_warnings", "Warnings in force", "kind", &warnings);
    gauges(registry, "ferrule_pending_writes", "Outstanding writes", "map", &status.pending);
    gauges(registry, "ferrule_ready", "1 if all that is known is in force", "node", &ready);
    gauge(registry, "ferrule_attached_programs", "Programs whose links are in force", status.programs.len());
}

fn of_maps(registry: &mut Registry, maps: &[MapReport]) {
    let by_name = |number: fn(&MapReport) -> Option<u64>| -> BTreeMap<String, u64> {
        maps.iter().filter_map(|m| Some((m.name.clone(), number(m)?))).collect()
    };
    gauges(registry, "ferrule_map_entries", "Entries in use", "map", &by_name(|m| m.used));
    gauges(registry, "ferrule_map_max_entries", "Maximum", "map", &by_name(|m| m.max));
}

fn of_services(registry: &mut Registry, services: &[ServiceReport]) {
    let shown = &services[..services.len().min(SERVICE_SERIES)];
    let numbers: [(&str, &str, Number); 4] = [
        ("ferrule_service_connections", "Sockets sent to a backend", |s| s.connections),
        ("ferrule_service_refused", "Refused for lack of endpoints", |s| s.refused),
        ("ferrule_service_dropped", "Dropped by a Local policy", |s| s.dropped),
        ("ferrule_service_unremembered", "Sent, but the peer shown is the backend", |s| s.unremembered),
    ];
    for (name, help, number) in numbers {
        let family = Family::<ServiceLabels, Counter>::default();
        for s in shown {
            let labels = ServiceLabels {
                namespace: s.namespace.clone(),
                name: s.name.clone(),
                port: s.port.clone(),
                protocol: s.protocol.clone(),
                family: s.family.clone(),
            };
            family.get_or_create(&labels).inc_by(number(s));
        }
        registry.register(name, help, family);
    }
    gauge(
        registry,
        "ferrule_services_without_series",
        "Service ports beyond the number that has series of its own",
        services.len() - shown.len(),
    );

    // kube-proxy's name, and like there a gauge in spite of it.
    let family = Family::<PolicyLabels, Gauge>::default();
    for traffic_policy in ["internal", "external"] {
        for ip_family in ["IPv4", "IPv6"] {
            let count =
                services.iter().filter(|s| s.family == ip_family && lacks_local(s, traffic_policy)).count();
            let labels = PolicyLabels { traffic_policy, ip_family };
            family.get_or_create(&labels).set(number(count));
        }
    }
    registry.register(
        "kubeproxy_sync_proxy_rules_no_local_endpoints_total",
        "Service ports with a Local policy that have endpoints and none on this node",
        family,
    );
}

/// Whether the policy is Local and drops: with no endpoint anywhere connections are refused instead.
fn lacks_local(service: &ServiceReport, traffic_policy: &str) -> bool {
    let is_local = service.flags.iter().any(|flag| flag.strip_suffix("-local") == Some(traffic_policy));
    is_local && service.local_backends == 0 && service.cluster_backends > 0
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: usize) {
    let gauge = Gauge::<i64>::default();
    gauge.set(number(value));
    registry.register(name, help, gauge);
}

fn gauges<N: Copy + TryInto<i64>>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    label: &'static str,
    values: &BTreeMap<String, N>,
) {
    let family = Family::<Label, Gauge>::default();
    for (key, value) in values {
        family.get_or_create(&vec![(label, key.clone())]).set(number(*value));
    }
    registry.register(name, help, family);
}

/// A gauge's number; none of ours comes near the limit.
fn number(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}
