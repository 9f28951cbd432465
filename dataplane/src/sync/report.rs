//! Answers to queries, from what the loop knows and the kernel counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use abi::maps::MAPS;
use abi::{BackendId, ServiceId, ServiceStats};
use compile::render::{flags_text, frontend_text, kind_text, state_text};
use model::AddressFamily;

use super::SyncLoop;
use crate::admin::Query;
use crate::admin::reports::{
    EndpointReport, FrontendReport, MapReport, ServiceReport, SourceReport, StatusReport, SyncReport,
    WarningReport,
};
use crate::directory::Directory;
use crate::explain;
use crate::kernel::Kernel;

impl<K: Kernel> SyncLoop<K> {
    /// Answers a query. Who asked may have gone.
    pub(super) fn answer(&mut self, query: Query) {
        match query {
            Query::Status(to) => drop(to.send(self.status())),
            Query::Services(to) => drop(to.send(self.services())),
            Query::Endpoints(to) => drop(to.send(self.endpoints())),
            Query::Maps(to) => drop(to.send(self.maps())),
            Query::Dump(to) => drop(to.send(self.dump())),
            Query::Policies(to) => drop(to.send(explain::policies(&self.core.sources()))),
            Query::Pods(to) => drop(to.send(explain::pods(&self.core.sources()))),
            Query::Explain(question, to) => {
                drop(to.send(explain::explain(&self.core.sources(), &question)));
            }
            Query::Directory(to) => drop(to.send(self.directory())),
        }
    }

    /// Made once a round, and only if somebody asks.
    fn directory(&mut self) -> Arc<Directory> {
        let core = &self.core;
        let new = || Arc::new(Directory::new(core.snapshot(), core.view(), core.engine()));
        Arc::clone(self.directory.get_or_insert_with(new))
    }

    fn status(&mut self) -> StatusReport {
        let health = self.health();
        let not_ready = health.not_ready();
        let drops = self.counters(&[], &[]).2;
        let attached = self.core.kernel_mut().attached();
        let mut warnings: Vec<WarningReport> = self
            .core
            .warnings()
            .map(|w| WarningReport {
                object: w.object.to_string(),
                kind: w.kind.as_str().to_owned(),
                detail: w.detail,
            })
            .collect();
        warnings.sort();
        let source = &self.source_status;
        StatusReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.core.view().name.to_string(),
            ready: not_ready.is_empty(),
            not_ready,
            synced: health.is_synced,
            revision: self.core.snapshot().revision.0,
            uptime_secs: self.started.elapsed().as_secs(),
            maps_at_start: self.facts.maps_at_start.as_str().to_owned(),
            last_sync: self.last_round.as_ref().map(|(ended, round)| SyncReport {
                age_secs: ended.elapsed().as_secs_f64(),
                compile_ms: round.compile.as_secs_f64() * 1e3,
                apply_ms: round.apply.as_secs_f64() * 1e3,
                applied: round.applied,
                failed: round.failed.values().sum(),
            }),
            pending: self
                .core
                .engine()
                .pending_by_map()
                .filter(|(_, pending)| *pending > 0)
                .map(|(map, pending)| (map.to_owned(), pending))
                .collect(),
            programs: attached.into_iter().map(str::to_owned).collect(),
            source: SourceReport {
                manifests: self.facts.manifests.clone(),
                objects: source.objects.iter().map(|(kind, n)| (kind.as_str().to_owned(), *n)).collect(),
                passed_over: source.passed_over.clone(),
                problems: source.problems.clone(),
            },
            warnings,
            drops,
            drift_repairs: self.ends.metrics.drift_repairs(),
        }
    }

    fn services(&mut self) -> Vec<ServiceReport> {
        let views: Vec<_> = self.core.engine().services().collect();
        let ids: Vec<ServiceId> = views.iter().map(|v| v.id).collect();
        let (stats, _, _) = self.counters(&ids, &[]);
        views
            .into_iter()
            .map(|v| {
                let s = stats.get(&v.id).copied().unwrap_or_default();
                let flags = flags_text(v.flags);
                ServiceReport {
                    namespace: v.key.port.service.namespace.to_string(),
                    name: v.key.port.service.name.to_string(),
                    port: v.key.port.port.to_string(),
                    protocol: v.key.port.protocol.to_string(),
                    family: family_text(v.key.family).to_owned(),
                    id: v.id.0,
                    frontends: v
                        .frontends
                        .iter()
                        .map(|f| FrontendReport {
                            kind: kind_text(f.kind).to_owned(),
                            address: frontend_text(&f.key),
                            held: f.is_held,
                        })
                        .collect(),
                    flags: flags.split_whitespace().map(str::to_owned).collect(),
                    cluster_backends: v.backends.iter().filter(|b| b.in_cluster).count(),
                    local_backends: v.backends.iter().filter(|b| b.in_local).count(),
                    connections: s.connections,
                    refused: s.refused,
                    dropped: s.dropped,
                    unremembered: s.unremembered,
                }
            })
            .collect()
    }

    fn endpoints(&mut self) -> Vec<EndpointReport> {
        let views: Vec<_> = self.core.engine().services().collect();
        let ids: Vec<BackendId> = views.iter().flat_map(|v| &v.backends).map(|b| b.id).collect();
        let (_, stats, _) = self.counters(&[], &ids);
        let mut reports = Vec::with_capacity(ids.len());
        for v in &views {
            for b in &v.backends {
                reports.push(EndpointReport {
                    namespace: v.key.port.service.namespace.to_string(),
                    service: v.key.port.service.name.to_string(),
                    port: v.key.port.port.to_string(),
                    protocol: v.key.port.protocol.to_string(),
                    address: std::net::SocketAddr::new(b.addr, b.port).to_string(),
                    state: state_text(b.state).to_owned(),
                    in_cluster_set: b.in_cluster,
                    in_local_set: b.in_local,
                    local: b.is_local,
                    node: b.node.as_deref().map(str::to_owned),
                    zone: b.zone.as_deref().map(str::to_owned),
                    connections: stats.get(&b.id).copied().unwrap_or_default(),
                });
            }
        }
        reports
    }

    fn maps(&mut self) -> Vec<MapReport> {
        let fill = self.core.engine().fill();
        MAPS.iter()
            .map(|spec| {
                // Statistics are as large as what they count.
                let like = match spec.name {
                    "SERVICE_STATS" => "SERVICES",
                    "BACKEND_STATS" => "BACKENDS",
                    name => name,
                };
                let known = fill.iter().find(|f| f.map == like);
                let unwritten = match spec.name {
                    "SOCKETS" | "SOCK_UDP" | "SOCK_UDP_FWD" => Some(self.facts.socket_entries),
                    "SOCKETS_HINT" | "DROPS" => Some(spec.default_entries),
                    _ => None,
                };
                MapReport {
                    name: spec.name.to_owned(),
                    r#type: spec.kind.as_str().to_owned(),
                    key_bytes: spec.key_bytes,
                    value_bytes: spec.value_bytes,
                    used: known.map(|f| f.used),
                    max: known.map(|f| f.max).or(unwritten.map(u64::from)),
                    pin: format!("{}/{}", self.facts.pins, spec.name),
                }
            })
            .collect()
    }

    fn dump(&mut self) -> String {
        match self.core.kernel_mut().dump() {
            Ok(dump) => compile::render::render(&dump, &self.core.engine().names()).join("\n") + "\n",
            Err(error) => format!("the maps cannot be read: {error}\n"),
        }
    }

    /// Counters by id. What cannot be read counts as zero, and is said.
    fn counters(
        &mut self,
        services: &[ServiceId],
        backends: &[BackendId],
    ) -> (BTreeMap<ServiceId, ServiceStats>, BTreeMap<BackendId, u64>, BTreeMap<String, u64>) {
        match self.core.kernel_mut().counters(services, backends) {
            Ok(c) => (
                c.services.into_iter().collect(),
                c.backends.into_iter().map(|(id, stats)| (id, stats.connections)).collect(),
                c.drops.into_iter().map(|(reason, n)| (reason.as_str().to_owned(), n)).collect(),
            ),
            Err(error) => {
                tracing::warn!(%error, "counters cannot be read");
                (BTreeMap::new(), BTreeMap::new(), BTreeMap::new())
            }
        }
    }
}

fn family_text(family: AddressFamily) -> &'static str {
    match family {
        AddressFamily::V4 => "IPv4",
        AddressFamily::V6 => "IPv6",
    }
}
