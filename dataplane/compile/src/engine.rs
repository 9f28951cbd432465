//! What is known between two rounds: compiled Services, ids, and for each map what is desired and what is realised.
//!
//! A round is: [`Engine::update`] with a snapshot, then for each [`Phase`] in order [`Engine::plan`], the kernel's writes,
//! and [`Engine::record`] with their results, then [`Engine::end_round`]. A failed write stays pending and what depends
//! on it is not planned, so that whatever prefix of the writes comes through, no frontend reaches a backend that is not
//! there. The engine does no I/O and reads no clock: the same calls give the same plans.

mod audit;
mod claims;
mod dns;
mod node;
mod place;
mod plan;
mod policy;
mod recover;
mod report;
mod reserve;
mod subjects;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use abi::{
    Addr, BackendEntry, BackendId, CidrKey, Digest, FrontendKey, FrontendKind, FrontendValue, IdKey, IdKind,
    NodeAddrValue, PodId, ServiceEntry, ServiceId,
};
use model::{Changes, Kind, NodeView, ObjectKey, ObjectName, Snapshot, Warning, WarningKind};

pub use self::audit::Drift;
pub use self::report::{BackendView, Fill, FrontendView, ServiceView};
use crate::categorize::Topology;
use crate::delta::Delta;
use crate::ids::blocks::{Block, Blocks};
use crate::ids::contents::IdRows;
use crate::ids::names::Names;
use crate::ids::pool::Pool;
use crate::key::ServiceKey;
use crate::lb::{DnsHere, Retained, Target, Unit, compile_service, stand_in_name};
use crate::limits::Limits;
use crate::policy::{Dirty, Policies};
use crate::subjects::Subjects;

/// What a grace period frees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// A claim of one Service to a frontend. The first in order has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    /// One that does not say when it was created comes after those that do.
    is_undated: bool,
    created: Arc<str>,
    service: ObjectName,
    kind: FrontendKind,
    /// `None` for the row of a ClusterIP's other ports.
    key: Option<ServiceKey>,
}

/// The blocks of one service id's two sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct SetBlocks {
    cluster: Option<Block>,
    local: Option<Block>,
}

impl SetBlocks {
    fn iter(self) -> impl Iterator<Item = Block> {
        [self.cluster, self.local].into_iter().flatten()
    }
}

/// Things that wait for a grace period.
#[derive(Clone, Debug, Default)]
struct Retired {
    services: Vec<ServiceId>,
    backends: Vec<BackendId>,
    blocks: Vec<Block>,
    policy_ids: Vec<(IdKind, u32)>,
    pods: Vec<PodId>,
    /// Rows of hash maps were deleted.
    has_rows: bool,
}

impl Retired {
    fn is_empty(&self) -> bool {
        let Self { services, backends, blocks, policy_ids, pods, has_rows } = self;
        services.is_empty()
            && backends.is_empty()
            && blocks.is_empty()
            && policy_ids.is_empty()
            && pods.is_empty()
            && !has_rows
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Engine {
    limits: Limits,
    topology: Topology,
    dns: DnsHere,

    units: BTreeMap<ObjectName, Unit>,
    /// Units that did not fit; tried again when something was freed.
    refused: BTreeSet<ObjectName>,
    has_freed: bool,
    claims: BTreeMap<FrontendKey, BTreeSet<Claim>>,
    /// The frontends that each Service claims.
    claimed_by: BTreeMap<ObjectName, BTreeSet<FrontendKey>>,
    /// Lost claims: loser → key → winner.
    conflicts: BTreeMap<ObjectName, BTreeMap<FrontendKey, ObjectName>>,
    full: BTreeMap<ObjectKey, Warning>,

    service_ids: BTreeMap<ServiceKey, ServiceId>,
    service_pool: Pool,
    /// Service ids of a former run that no Service took yet.
    recovered_services: BTreeMap<Digest, ServiceId>,
    retained: BTreeMap<Digest, Vec<Retained>>,
    backend_ids: BTreeMap<(ServiceId, Target), BackendId>,
    backend_pool: Pool,
    nodes: Names,
    zones: Names,
    blocks: Blocks,
    set_blocks: BTreeMap<ServiceId, SetBlocks>,
    /// Whose set begins at a slot.
    slot_owners: BTreeMap<u32, ServiceId>,

    frontends: Delta<FrontendKey, FrontendValue>,
    service_cidrs: Delta<CidrKey, u32>,
    services: Delta<ServiceId, ServiceEntry>,
    slots: Delta<u32, Vec<BackendId>>,
    backends: Delta<BackendId, BackendEntry>,
    node_addrs: Delta<Addr, NodeAddrValue>,
    ids: Delta<IdKey, u32>,
    policies: Policies,
    subjects: Subjects,

    /// Realised frontends of each service id: one that has some may not be cleared.
    frontend_refs: BTreeMap<ServiceId, usize>,
    /// Ids that have just been given out: their counters are set to zero before use.
    fresh_services: BTreeSet<ServiceId>,
    fresh_backends: BTreeSet<BackendId>,
    /// Ids on their way out.
    leaving_services: BTreeMap<ServiceId, Digest>,
    leaving_backends: BTreeSet<BackendId>,
    /// Blocks that the next written word of a Service no longer names.
    replaced_blocks: BTreeMap<ServiceId, Vec<Block>>,

    failed_owners: BTreeSet<ServiceId>,
    retired: Retired,
    tickets: BTreeMap<Ticket, Retired>,
    next_ticket: u64,
    is_synced: bool,
}

impl Engine {
    /// Compiles what changed. Services that did not fit are tried again if something was freed.
    pub fn update(&mut self, snapshot: &Snapshot, view: &NodeView, changes: &Changes) {
        let topology = topology(snapshot, view);
        if topology != self.topology || (snapshot.synced.is_some() && !self.is_synced) {
            self.update_all(snapshot, view);
            return;
        }
        let has_freed = std::mem::take(&mut self.has_freed);
        let mut dirty = changes.services.clone();
        dirty.extend(self.set_dns(snapshot, view));
        if has_freed {
            dirty.extend(self.refused.iter().cloned());
        }
        for name in &dirty {
            self.compile_unit(snapshot, name);
        }
        self.compile_stand_in();
        if changes.service_cidrs || has_freed {
            self.set_service_cidrs(snapshot);
        }
        self.set_node_addrs(view);
        self.update_policies(snapshot, view, Dirty::Some(changes));
        self.update_subjects(snapshot, view, Some(changes));
    }

    fn update_policies(&mut self, snapshot: &Snapshot, view: &NodeView, dirty: Dirty<'_>) {
        let mut ids = IdRows { rows: &mut self.ids, limit: self.limits.ids };
        self.policies.update(snapshot, view, dirty, &mut ids);
    }

    /// Compiles everything: the same function over all Services.
    pub fn update_all(&mut self, snapshot: &Snapshot, view: &NodeView) {
        self.topology = topology(snapshot, view);
        self.set_dns(snapshot, view);
        let mut found = BTreeMap::new();
        let becomes_synced = snapshot.synced.is_some() && !self.is_synced;
        if becomes_synced {
            self.is_synced = true;
            found = std::mem::take(&mut self.retained);
        }
        let gone: Vec<ObjectName> =
            self.units.keys().filter(|name| !snapshot.services.contains_key(*name)).cloned().collect();
        for name in gone.iter().filter(|name| **name != stand_in_name()).chain(snapshot.services.keys()) {
            self.compile_unit(snapshot, name);
        }
        self.compile_stand_in();
        if becomes_synced {
            self.keep_refused(snapshot, &found);
            self.sweep();
        }
        self.set_service_cidrs(snapshot);
        self.set_node_addrs(view);
        self.update_policies(snapshot, view, Dirty::All);
        self.update_subjects(snapshot, view, None);
    }

    fn compile_unit(&mut self, snapshot: &Snapshot, name: &ObjectName) {
        let unit = compile_service(snapshot, &self.topology, &self.dns, name, &self.retained);
        let created = snapshot.services.get(name).map(|s| Arc::clone(&s.created)).unwrap_or_default();
        self.place_or_refuse(name, &created, unit);
    }

    fn place_or_refuse(&mut self, name: &ObjectName, created: &Arc<str>, unit: Unit) {
        let object = ObjectKey { kind: Kind::Service, name: name.clone() };
        match self.place(name, created, unit) {
            Ok(()) => {
                self.refused.remove(name);
                self.full.remove(&object);
            }
            Err(full) => {
                self.refused.insert(name.clone());
                let detail = format!("{full} is full: the Service keeps what it had, or is not served");
                self.full.insert(object.clone(), Warning { object, kind: WarningKind::MapFull, detail });
            }
        }
    }

    /// Whether something did not fit: an update after a released ticket may find room for it.
    #[must_use]
    pub fn has_refused(&self) -> bool {
        !self.full.is_empty() || self.policies.has_refused() || self.subjects.has_refused()
    }

    /// What could not be honoured as of now, by object.
    pub fn warnings(&self) -> impl Iterator<Item = Warning> + '_ {
        let conflicts = self.conflicts.iter().flat_map(|(loser, keys)| {
            keys.iter().map(move |(key, winner)| Warning {
                object: ObjectKey { kind: Kind::Service, name: loser.clone() },
                kind: WarningKind::FrontendConflict,
                detail: format!(
                    "{} belongs to Service {winner}: the oldest has it, of equals the first by name",
                    crate::render::frontend_text(key)
                ),
            })
        });
        conflicts
            .chain(self.full.values().cloned())
            .chain(self.policies.warnings())
            .chain(self.subjects.warnings())
    }

    /// How many writes are outstanding.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending_by_map().map(|(_, pending)| pending).sum()
    }

    /// Outstanding writes by map.
    pub fn pending_by_map(&self) -> impl Iterator<Item = (&'static str, usize)> {
        let synced = self.is_synced;
        let count = |updates: usize, unwanted: usize| updates + if synced { unwanted } else { 0 };
        [
            ("FRONTENDS", count(self.frontends.pending(None), self.frontends.unwanted().count())),
            ("SERVICE_CIDRS", count(self.service_cidrs.pending(None), self.service_cidrs.unwanted().count())),
            ("SERVICES", self.services.pending(None)),
            ("SLOTS", self.slots.pending(None)),
            ("BACKENDS", self.backends.pending(None)),
            ("NODE_ADDRS", count(self.node_addrs.pending(None), self.node_addrs.unwanted().count())),
            ("IDS", count(self.ids.pending(None), self.ids.unwanted().count())),
            ("SERVICE_STATS", self.fresh_services.len()),
            ("BACKEND_STATS", self.fresh_backends.len()),
        ]
        .into_iter()
        .chain(self.policies.pending_by_map(synced))
        .chain(self.subjects.pending_by_map(synced))
    }

    /// Gives back what a finished grace period has freed.
    pub fn release(&mut self, ticket: Ticket) {
        let Some(retired) = self.tickets.remove(&ticket) else { return };
        for id in retired.services {
            self.service_pool.give_back(id.0);
        }
        for id in retired.backends {
            self.backend_pool.give_back(id.0);
        }
        for (kind, id) in retired.policy_ids {
            self.policies.give_back(kind, id);
        }
        for id in retired.pods {
            self.subjects.give_back(id);
        }
        for block in retired.blocks {
            self.blocks.give_back(block);
        }
        self.has_freed = true;
    }
}

fn topology(snapshot: &Snapshot, view: &NodeView) -> Topology {
    let zone = snapshot.nodes.get(&view.name).and_then(|node| node.zone.clone());
    Topology { node: Arc::clone(&view.name), zone }
}
