//! A start: ids, blocks and realised state from what the maps hold. Whatever a crash left half-written is either taken
//! over or stays unwanted until everything is known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use abi::{
    BackendEntry, BackendId, BackendState, Digest, FrontendKind, Generation, IdKey, IdKind, LAYOUT_DIGEST,
    LAYOUT_VERSION, ServiceId, SetWord,
};

use model::Snapshot;

use super::subjects::policy_of_row;
use super::{Engine, Retired, SetBlocks};
use crate::categorize::Topology;
use crate::delta::Delta;
use crate::dump::Dump;
use crate::ids::blocks::{Block, Blocks};
use crate::ids::names::Names;
use crate::ids::pool::Pool;
use crate::key::ServiceKey;
use crate::lb::{BackendInfo, DnsHere, PortUnit, Retained, Target, compile_service};
use crate::limits::Limits;
use crate::policy::Policies;
use crate::subjects::Subjects;

impl Engine {
    /// An engine that starts from what the maps hold; an empty dump is a first start.
    #[must_use]
    pub fn new(limits: Limits, dump: Dump) -> Self {
        let recovered_services = service_ids(&dump, &limits);
        let by_id: BTreeMap<ServiceId, Digest> = recovered_services.iter().map(|(d, id)| (*id, *d)).collect();
        let (blocks, set_blocks, slots) = blocks(&dump, &limits);
        let backend_ids = backend_ids(&dump, &slots, &set_blocks);
        let retained = retained(&dump, &by_id, &backend_ids, &slots, &set_blocks);

        let used_services: BTreeSet<u32> = by_id
            .keys()
            .copied()
            .chain(dump.services.iter().filter(|(_, e)| e.cluster.0 | e.local.0 != 0).map(|(id, _)| *id))
            .chain(dump.frontends.values().map(abi::FrontendValue::service))
            .map(|id| id.0)
            .filter(|id| *id != 0 && *id < limits.services)
            .collect();
        let used_backends: BTreeSet<u32> =
            dump.backends.iter().filter(|(_, e)| is_in_use(e)).map(|(id, _)| id.0).collect();
        let generations =
            |rows: &mut dyn Iterator<Item = (u32, Generation)>| rows.collect::<BTreeMap<_, _>>();
        let mut frontend_refs: BTreeMap<ServiceId, usize> = BTreeMap::new();
        for value in dump.frontends.values() {
            *frontend_refs.entry(value.service()).or_default() += 1;
        }

        let pod_rows: Vec<_> =
            dump.subjects.pods.iter().map(|(id, entry)| (id.0, policy_of_row(entry))).collect();
        let mut engine = Self {
            topology: Topology::default(),
            dns: DnsHere::default(),
            units: BTreeMap::new(),
            refused: BTreeSet::new(),
            has_freed: false,
            claims: BTreeMap::new(),
            claimed_by: BTreeMap::new(),
            conflicts: BTreeMap::new(),
            full: BTreeMap::new(),
            service_ids: BTreeMap::new(),
            service_pool: Pool::recover(
                limits.services,
                &used_services,
                generations(&mut dump.services.iter().map(|(id, e)| (id.0, e.generation))),
            ),
            recovered_services,
            retained,
            backend_ids,
            backend_pool: Pool::recover(
                limits.backends,
                &used_backends,
                generations(&mut dump.backends.iter().map(|(id, e)| (id.0, e.generation))),
            ),
            nodes: Names::recover(IdKind::Node, limits.ids, &dump.ids),
            zones: Names::recover(IdKind::Zone, limits.ids.min(u32::from(u16::MAX)), &dump.ids),
            blocks,
            slot_owners: set_blocks
                .iter()
                .flat_map(|(id, b)| [b.cluster, b.local].into_iter().flatten().map(|b| (b.base, *id)))
                .collect(),
            set_blocks,
            frontends: Delta::new(dump.frontends),
            service_cidrs: Delta::new(dump.service_cidrs),
            services: Delta::new(dump.services),
            slots: Delta::new(slots),
            backends: Delta::new(dump.backends),
            node_addrs: Delta::new(dump.node_addrs),
            policies: Policies::new(limits.policy.clone(), dump.policy, &dump.ids),
            subjects: Subjects::new(limits.subjects.clone(), dump.subjects, &dump.ids),
            ids: Delta::new(dump.ids),
            frontend_refs,
            fresh_services: BTreeSet::new(),
            fresh_backends: BTreeSet::new(),
            leaving_services: BTreeMap::new(),
            leaving_backends: BTreeSet::new(),
            replaced_blocks: BTreeMap::new(),
            failed_owners: BTreeSet::new(),
            retired: Retired::default(),
            tickets: BTreeMap::new(),
            next_ticket: 1,
            is_synced: false,
            limits,
        };
        engine.ids.set_desired(IdKey::new(IdKind::Layout, LAYOUT_DIGEST), LAYOUT_VERSION);
        for (row, policy) in pod_rows {
            engine.policies.record_pod(row, policy);
        }
        engine
    }

    /// A Service that does not fit keeps what it had in the former run: it is placed as it was found.
    pub(super) fn keep_refused(&mut self, snapshot: &Snapshot, found: &BTreeMap<Digest, Vec<Retained>>) {
        for name in
            self.refused.clone().iter().filter(|name| !self.units.contains_key(*name)).collect::<Vec<_>>()
        {
            let mut wanted = compile_service(snapshot, &self.topology, &self.dns, name, &BTreeMap::new());
            wanted.other_ports.retain(|key| self.frontends.realised(key).is_some());
            let keys: Vec<ServiceKey> = wanted.ports.keys().cloned().collect();
            for key in keys {
                match self.port_as_found(&key, found) {
                    Some(port) => wanted.ports.insert(key, port),
                    None => wanted.ports.remove(&key),
                };
            }
            if wanted.ports.is_empty() {
                continue;
            }
            let created = snapshot.services.get(name).map(|s| Arc::clone(&s.created)).unwrap_or_default();
            // It has its ids, blocks and rows already, so it fits; if it should not, it is swept as it would have been.
            let _ = self.place(name, &created, wanted);
        }
    }

    fn port_as_found(&self, key: &ServiceKey, found: &BTreeMap<Digest, Vec<Retained>>) -> Option<PortUnit> {
        let digest = key.digest();
        let id = self.recovered_services.get(&digest)?;
        let entry = self.services.realised(id)?;
        let backends = found.get(&digest).map_or(&[][..], Vec::as_slice);
        let targets = |is_in: fn(&Retained) -> bool| {
            let set: BTreeSet<Target> = backends.iter().filter(|r| is_in(r)).map(|r| r.target).collect();
            set.into_iter().collect()
        };
        let frontends = self.frontends.all_realised().iter().filter(|(_, value)| value.service() == *id);
        Some(PortUnit {
            flags: entry.flags,
            frontends: frontends
                .filter_map(|(key, value)| Some((*key, FrontendKind::try_from(value.kind_code()).ok()?)))
                .collect(),
            backends: backends
                .iter()
                .map(|r| {
                    (r.target, BackendInfo { state: r.state, is_local: r.is_local, node: None, zone: None })
                })
                .collect(),
            cluster: targets(|r| r.in_cluster),
            local: targets(|r| r.in_local),
        })
    }

    /// Everything is known now: what a former run left and no object claims is to go.
    pub(super) fn sweep(&mut self) {
        for (digest, id) in std::mem::take(&mut self.recovered_services) {
            self.retire_service(id, digest);
        }
        // Service ports without a name: their rows of IDS were lost.
        let claimed: BTreeSet<ServiceId> = self.service_ids.values().copied().collect();
        let found: BTreeSet<ServiceId> =
            self.services.unwanted().chain(self.frontend_refs.keys()).copied().collect();
        let is_ours = |id: &ServiceId| *id != ServiceId::NONE && id.0 < self.limits.services;
        let strays: Vec<ServiceId> = found
            .into_iter()
            .filter(|id| is_ours(id) && !claimed.contains(id) && !self.leaving_services.contains_key(id))
            .collect();
        for id in strays {
            let written = self.services.realised(&id).copied();
            match written.filter(|e| e.cluster.0 | e.local.0 == 0 && !self.frontend_refs.contains_key(&id)) {
                // A free id is only remembered for its generation.
                Some(entry) => self.services.set_desired(id, entry),
                // There is no row to delete, so any digest serves.
                None => self.retire_service(id, Digest::default()),
            }
        }
        let unwanted: Vec<(BackendId, BackendEntry)> = self
            .backends
            .unwanted()
            .filter_map(|id| self.backends.realised(id).map(|entry| (*id, *entry)))
            .collect();
        for (id, entry) in unwanted {
            if is_in_use(&entry) {
                self.backend_ids.remove(&(entry.service, (entry.addr, entry.port)));
                self.retire_backend(id);
            } else {
                self.backends.set_desired(id, entry);
            }
        }
        self.nodes.drop_recovered();
        self.zones.drop_recovered();
    }
}

fn is_in_use(entry: &BackendEntry) -> bool {
    entry.state != BackendState::Gone as u8
}

/// Service ids by digest, each id once.
fn service_ids(dump: &Dump, limits: &Limits) -> BTreeMap<Digest, ServiceId> {
    let mut seen = BTreeSet::new();
    dump.ids
        .iter()
        .filter(|(key, _)| key.kind_code() == IdKind::Service as u32)
        .filter(|(_, id)| **id != 0 && **id < limits.services && seen.insert(**id))
        .map(|(key, id)| (*key.digest(), ServiceId(*id)))
        .collect()
}

/// Slots in use, whose they are, and what they hold. A set that lies outside or over another is not taken over.
fn blocks(
    dump: &Dump,
    limits: &Limits,
) -> (Blocks, BTreeMap<ServiceId, SetBlocks>, BTreeMap<u32, Vec<BackendId>>) {
    let mut blocks = Blocks::new(limits.slots);
    let mut set_blocks = BTreeMap::new();
    let mut slots = BTreeMap::new();
    for (id, entry) in &dump.services {
        let mut take = |set: SetWord| {
            if set.count() == 0 || set.count() > limits.slots {
                return None;
            }
            let block = Block { base: set.base(), order: Block::order_for(set.count()) };
            if !blocks.take_exact(block) {
                return None;
            }
            let content = (set.base()..set.base() + set.count())
                .map(|slot| dump.slots.get(&slot).copied().unwrap_or(BackendId(0)))
                .collect();
            slots.insert(block.base, content);
            Some(block)
        };
        let taken = SetBlocks { cluster: take(entry.cluster), local: take(entry.local) };
        if taken != SetBlocks::default() {
            set_blocks.insert(*id, taken);
        }
    }
    (blocks, set_blocks, slots)
}

/// Backends by what they are. Of two rows for one endpoint the one in a set counts.
fn backend_ids(
    dump: &Dump,
    slots: &BTreeMap<u32, Vec<BackendId>>,
    set_blocks: &BTreeMap<ServiceId, SetBlocks>,
) -> BTreeMap<(ServiceId, Target), BackendId> {
    let in_sets: BTreeSet<BackendId> = set_blocks
        .values()
        .flat_map(|b| [b.cluster, b.local])
        .flatten()
        .filter_map(|block| slots.get(&block.base))
        .flatten()
        .copied()
        .collect();
    let mut ids: BTreeMap<(ServiceId, Target), BackendId> = BTreeMap::new();
    for (id, entry) in dump.backends.iter().filter(|(_, entry)| is_in_use(entry)) {
        let known = ids.entry((entry.service, (entry.addr, entry.port))).or_insert(*id);
        if !in_sets.contains(known) && in_sets.contains(id) {
            *known = *id;
        }
    }
    ids
}

/// Backends of each named Service port, with the sets that they are in.
fn retained(
    dump: &Dump,
    names: &BTreeMap<ServiceId, Digest>,
    backend_ids: &BTreeMap<(ServiceId, Target), BackendId>,
    slots: &BTreeMap<u32, Vec<BackendId>>,
    set_blocks: &BTreeMap<ServiceId, SetBlocks>,
) -> BTreeMap<Digest, Vec<Retained>> {
    let mut retained: BTreeMap<Digest, Vec<Retained>> = BTreeMap::new();
    let holds = |block: Option<Block>, id: &BackendId| {
        block.and_then(|b| slots.get(&b.base)).is_some_and(|content| content.contains(id))
    };
    for ((service, target), id) in backend_ids {
        let (Some(digest), Some(entry)) = (names.get(service), dump.backends.get(id)) else { continue };
        let blocks = set_blocks.get(service).copied().unwrap_or_default();
        retained.entry(*digest).or_default().push(Retained {
            target: *target,
            state: BackendState::try_from(entry.state).unwrap_or(BackendState::Live),
            is_local: entry.local != 0,
            in_cluster: holds(blocks.cluster, id),
            in_local: holds(blocks.local, id),
        });
    }
    retained
}
