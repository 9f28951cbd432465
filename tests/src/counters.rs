//! What was counted: all of it, so that a test names every counter that moved.

use std::collections::BTreeMap;

use abi::{BackendId, DropReason, ServiceId, ServiceStats};

use crate::tables::Tables;

/// Counters that are not zero. As an expectation it is built up: `Counters::none().sent(service, backend, 1)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    services: BTreeMap<ServiceId, ServiceStats>,
    backends: BTreeMap<BackendId, u64>,
    drops: BTreeMap<u32, u64>,
}

impl Counters {
    /// Nothing counted.
    pub fn none() -> Self {
        Self::default()
    }

    /// `n` sockets or flows of a Service port sent to a backend.
    pub fn sent(mut self, service: ServiceId, backend: BackendId, n: u64) -> Self {
        self.services.entry(service).or_default().connections += n;
        *self.backends.entry(backend).or_default() += n;
        self
    }

    /// `n` calls refused for a Service port.
    pub fn refused(mut self, service: ServiceId, n: u64) -> Self {
        self.services.entry(service).or_default().refused += n;
        self
    }

    /// `n` calls dropped for a Service port.
    pub fn dropped(mut self, service: ServiceId, n: u64) -> Self {
        self.services.entry(service).or_default().dropped += n;
        self
    }

    /// `n` sockets sent to a backend that cannot remember what they dialled.
    pub fn unremembered(mut self, service: ServiceId, n: u64) -> Self {
        self.services.entry(service).or_default().unremembered += n;
        self
    }

    /// `n` drops of a reason.
    pub fn drops(mut self, reason: DropReason, n: u64) -> Self {
        *self.drops.entry(reason as u32).or_default() += n;
        self
    }

    /// How often the backend was chosen.
    pub fn of_backend(&self, backend: BackendId) -> u64 {
        self.backends.get(&backend).copied().unwrap_or_default()
    }

    /// Reads them all.
    pub fn read(tables: &Tables) -> Self {
        let services = (0..).map(ServiceId).zip(tables.service_stats());
        let backends = (0..).map(BackendId).zip(tables.backend_stats().into_iter().map(|s| s.connections));
        let drops = (0..).zip(tables.drops());
        Self {
            services: services.filter(|(_, stats)| *stats != ServiceStats::default()).collect(),
            backends: backends.filter(|(_, n)| *n != 0).collect(),
            drops: drops.filter(|(_, n)| *n != 0).collect(),
        }
    }

    /// What was counted since `before`.
    pub fn since(&self, before: &Self) -> Self {
        let services = self.services.iter().map(|(id, now)| {
            let then = before.services.get(id).copied().unwrap_or_default();
            let moved = ServiceStats {
                connections: now.connections - then.connections,
                refused: now.refused - then.refused,
                dropped: now.dropped - then.dropped,
                unremembered: now.unremembered - then.unremembered,
            };
            (*id, moved)
        });
        Self {
            services: services.filter(|(_, moved)| *moved != ServiceStats::default()).collect(),
            backends: moved(&self.backends, &before.backends),
            drops: moved(&self.drops, &before.drops),
        }
    }
}

fn moved<K: Ord + Copy>(now: &BTreeMap<K, u64>, then: &BTreeMap<K, u64>) -> BTreeMap<K, u64> {
    now.iter()
        .map(|(key, n)| (*key, n - then.get(key).copied().unwrap_or_default()))
        .filter(|(_, n)| *n != 0)
        .collect()
}
