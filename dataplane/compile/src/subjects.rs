//! Subjects: pods of this node and the devices that packets come and go by, as rows of maps, and which devices carry
//! programs.
//!
//! ```text
//! pods of this node ─▶ pod id ───────────────┬─▶ PODS, LOCAL_PODS, PODS_BY_CGROUP
//! network ─▶ model::classify ─▶ role of each ┴─▶ DEVICES ─▶ attachments
//! ```
//!
//! A pod's row is written before anything names it and taken out after everything that did, so that a program never
//! finds a number without a pod; a source is checked only once all addresses of its pod can be found. A pod keeps its
//! id over updates and restarts (`IDS`, by namespace, name and UID).

mod local;
mod op;
mod plan;
mod recover;
mod report;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use abi::{Addr, CgroupId, DeviceEntry, Digest, IdKey, PodEntry, PodId, PolicyId};
use model::{Changes, Network, NodeView, ObjectKey, ObjectName, Role, Snapshot};

use self::local::LocalPod;
pub use self::op::{SubjectDump, SubjectOp};
pub use self::report::SubjectNames;
use crate::delta::Delta;
use crate::ids::pool::Pool;
use crate::limits::SubjectLimits;

/// Policy ids of a local pod: for what it sends, and for what it receives.
pub(crate) type PolicyOf<'a> = &'a dyn Fn(&ObjectName) -> (PolicyId, PolicyId);

/// The programs that a device carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hooks {
    /// `from_pod` at ingress and `to_pod` at egress.
    Pod,
    /// `from_net` at ingress and `to_net` at egress.
    Net,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Subjects {
    limits: SubjectLimits,
    node: Arc<str>,
    is_synced: bool,
    pods: BTreeMap<ObjectName, LocalPod>,
    /// Addresses of other nodes.
    peers: BTreeSet<IpAddr>,
    network: Arc<Network>,
    uplinks: Option<Arc<BTreeSet<Arc<str>>>>,
    roles: BTreeMap<model::IfIndex, Role<PodId>>,
    /// Whose each pod's interface was found to be, last.
    owners: BTreeMap<model::IfIndex, PodId>,

    pool: Pool,
    /// Ids of a former run that no pod took yet.
    recovered: BTreeMap<Digest, PodId>,
    /// Ids on their way out, with the name that `IDS` may still have for them.
    leaving: BTreeMap<PodId, Option<Digest>>,

    entries: Delta<PodId, PodEntry>,
    local_pods: Delta<Addr, PodId>,
    cgroups: Delta<CgroupId, PodId>,
    devices: Delta<abi::IfIndex, DeviceEntry>,
    /// What did not fit.
    full: BTreeMap<ObjectKey, BTreeSet<String>>,
}

/// The rows of `IDS` and their maximum.
pub(crate) struct IdTable<'a> {
    pub(crate) rows: &'a mut Delta<IdKey, u32>,
    pub(crate) limit: u32,
}

impl Subjects {
    /// Compiles what changed; all if nothing says what did.
    pub(crate) fn update(
        &mut self,
        snapshot: &Snapshot,
        view: &NodeView,
        changes: Option<&Changes>,
        policy_of: PolicyOf<'_>,
        mut ids: IdTable<'_>,
    ) {
        let changes = changes.filter(|_| self.node == view.name);
        self.node = Arc::clone(&view.name);
        let becomes_synced = snapshot.synced.is_some() && !self.is_synced;
        self.is_synced |= becomes_synced;
        self.full.clear();

        let have_pods_changed = self.update_pods(snapshot, changes, policy_of, &mut ids);
        if becomes_synced {
            self.sweep(&mut ids);
        }
        let is_known = |changes: &Changes| changes.nodes.is_empty();
        if !changes.is_some_and(is_known) {
            let others = snapshot.nodes.values().filter(|node| node.name != view.name);
            self.peers = others.flat_map(|node| &node.addrs).copied().collect();
        }
        let is_same_network = Arc::ptr_eq(&self.network, &view.network) && self.uplinks == view.uplinks;
        if have_pods_changed || becomes_synced || !is_same_network || !changes.is_some_and(is_known) {
            (self.network, self.uplinks) = (Arc::clone(&view.network), view.uplinks.clone());
            self.classify();
        }
        self.set_local_pods(view);
        self.set_cgroups(view);
        self.set_devices(snapshot, view);
        self.set_entries(policy_of);
    }

    /// The programs that each device is to carry: those whose row is in the kernel, so that the first packet finds it.
    pub(crate) fn attachments(&self) -> BTreeMap<abi::IfIndex, Hooks> {
        let wanted = self.devices.all_desired().iter();
        wanted
            .filter(|(index, _)| self.devices.realised(index).is_some())
            .map(|(index, entry)| {
                let is_pod = entry.kind_code() == abi::DeviceKind::Pod as u8;
                (*index, if is_pod { Hooks::Pod } else { Hooks::Net })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
