//! What is known between two rounds, and the order in which an update works.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use abi::{
    Addr, CidrKey, Digest, Identity, PolicyId, PolicyKey, PolicyRevision, PolicyValue, PortClassId,
    PortClassKey, PortClassValue, RuleId,
};
use model::{Changes, NodeView, ObjectName, Snapshot};

use super::PodPolicy;
use super::atom::{AtomId, AtomSet, Atoms, PortName, Scope};
use super::region::Regions;
use super::rules::{Flat, PolicySet, RuleName};
use super::select::Selectors;
use crate::delta::Delta;
use crate::ids::contents::{Contents, IdRows};
use crate::limits::PolicyLimits;

/// Whatever has an identity of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Member {
    /// The address of a pod.
    Addr(Addr),
    /// A region.
    Cidr(CidrKey),
}

/// A row that is to be in the kernel before a revision is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wait {
    Member(Member),
    Verdict(PolicyKey),
    PortClass(PortClassKey),
}

/// A policy set in use.
#[derive(Clone, Debug)]
pub(super) struct SetState {
    pub(super) content: PolicySet,
    /// `None` if there was no number left: its pods are closed.
    pub(super) id: Option<PolicyId>,
    /// Local pods that are to have it.
    pub(super) pods: BTreeSet<ObjectName>,
    pub(super) atoms: BTreeSet<AtomId>,
    pub(super) names: BTreeSet<PortName>,
    /// What it says of any peer.
    pub(super) wildcard: Flat,
    pub(super) rules: Vec<(RuleId, Digest)>,
    pub(super) default_rule: (RuleId, Digest),
}

/// A set of atoms that holds for some member.
#[derive(Clone, Debug)]
pub(super) struct IdentityState {
    /// `None` if there was no number left.
    pub(super) id: Option<Identity>,
    pub(super) digest: Digest,
    pub(super) members: BTreeSet<Member>,
}

/// A pod that is a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PeerPod {
    pub(super) addrs: BTreeSet<Addr>,
    /// Selectors and named ports, blocks excepted.
    pub(super) atoms: BTreeSet<AtomId>,
}

/// A port class in use.
#[derive(Clone, Debug)]
pub(super) struct ClassState {
    pub(super) id: PortClassId,
    pub(super) keys: Vec<PortClassKey>,
    /// Rows of `POLICY` that name it.
    pub(super) uses: usize,
}

/// How many rows in the kernel hold an id.
#[derive(Clone, Debug)]
pub(super) struct Held<K>(BTreeMap<K, usize>);

impl<K> Default for Held<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> Held<K> {
    pub(super) fn add(&mut self, id: K) {
        *self.0.entry(id).or_default() += 1;
    }

    pub(super) fn remove(&mut self, id: &K) {
        if let Some(count) = self.0.get_mut(id) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(id);
            }
        }
    }

    pub(super) fn has(&self, id: &K) -> bool {
        self.0.contains_key(id)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }
}

/// What holds which id in the kernel.
#[derive(Clone, Debug, Default)]
pub(super) struct Holds {
    /// Rows of `IDENTITIES` and `IDENTITY_CIDRS`.
    pub(super) members: Held<Identity>,
    /// Rows of `POLICY`.
    pub(super) identities: Held<Identity>,
    pub(super) policies: Held<PolicyId>,
    pub(super) class_users: Held<PortClassId>,
    /// Rows of `PORT_CLASSES`.
    pub(super) class_rows: Held<PortClassId>,
    pub(super) rules: Held<RuleId>,
    /// Rows of `PODS`.
    pub(super) pods: Held<PolicyId>,
}

impl Holds {
    pub(super) fn has_identity(&self, id: u32) -> bool {
        self.members.has(&Identity(id)) || self.identities.has(&Identity(id))
    }

    pub(super) fn has_policy(&self, id: u32) -> bool {
        self.policies.has(&PolicyId(id)) || self.pods.has(&PolicyId(id))
    }

    pub(super) fn has_class(&self, id: u32) -> bool {
        self.class_users.has(&PortClassId(id)) || self.class_rows.has(&PortClassId(id))
    }
}

/// What did not fit.
#[derive(Clone, Debug, Default)]
pub(super) struct Refused {
    /// Rows of policy sets: for an identity, or for any.
    pub(super) verdicts: BTreeSet<(Digest, Option<AtomSet>)>,
    pub(super) addrs: BTreeSet<Addr>,
    pub(super) blocks: BTreeSet<AtomId>,
    /// Regions that have no number and are as the world.
    pub(super) regions: BTreeSet<CidrKey>,
}

/// Ids by kind.
#[derive(Clone, Debug)]
pub(super) struct PolicyIds {
    pub(super) identities: Contents,
    pub(super) policies: Contents,
    pub(super) classes: Contents,
    pub(super) rules: Contents,
}

/// What an update has to look at.
#[derive(Clone, Copy)]
pub(crate) enum Dirty<'a> {
    All,
    Some(&'a Changes),
}

/// What the steps of one update leave for later ones.
#[derive(Default)]
pub(super) struct Work {
    pub(super) new_scopes: BTreeSet<Scope>,
    pub(super) new_names: BTreeSet<PortName>,
    pub(super) new_sets: BTreeSet<Digest>,
    pub(super) has_new_blocks: bool,
    pub(super) addrs: BTreeSet<Addr>,
    /// Rows to be placed.
    pub(super) verdicts: BTreeSet<(Digest, Option<AtomSet>)>,
}

/// See the module [`super`].
#[derive(Clone, Debug)]
pub(crate) struct Policies {
    pub(super) limits: PolicyLimits,
    pub(super) node: Arc<str>,
    pub(super) is_synced: bool,
    /// No update was made yet.
    pub(super) is_first: bool,

    /// Local pods: the digests of their policy sets for ingress and egress.
    pub(super) pods: BTreeMap<ObjectName, [Option<Digest>; 2]>,
    pub(super) sets: BTreeMap<Digest, SetState>,
    pub(super) set_of_id: BTreeMap<PolicyId, Digest>,
    /// Rows of `PODS` as they are in the kernel.
    pub(super) pod_rows: BTreeMap<u32, PodPolicy>,

    pub(super) atoms: Atoms,
    pub(super) selectors: Selectors,
    pub(super) peers: BTreeMap<ObjectName, PeerPod>,
    /// The pods that have an address.
    pub(super) claims: BTreeMap<Addr, BTreeSet<ObjectName>>,
    pub(super) regions: Regions,
    pub(super) region_lens: BTreeSet<u32>,
    pub(super) blocks: BTreeSet<AtomId>,

    pub(super) members: BTreeMap<Member, AtomSet>,
    pub(super) identity_states: BTreeMap<AtomSet, IdentityState>,
    pub(super) by_atom: BTreeMap<AtomId, BTreeSet<AtomSet>>,
    /// Identities without members, to be dropped at the end of the update unless they get one.
    pub(super) emptied: BTreeSet<AtomSet>,

    /// The port class of each wanted row of `POLICY`.
    pub(super) row_classes: BTreeMap<PolicyKey, Option<Digest>>,
    pub(super) rows_of_identity: BTreeMap<Identity, BTreeSet<PolicyId>>,
    pub(super) classes: BTreeMap<Digest, ClassState>,
    pub(super) class_of_id: BTreeMap<PortClassId, Digest>,
    pub(super) rule_names: BTreeMap<RuleId, RuleName>,
    pub(super) ids: PolicyIds,
    pub(super) refused: Refused,

    pub(super) identities: Delta<Addr, Identity>,
    pub(super) identity_cidrs: Delta<CidrKey, Identity>,
    pub(super) verdicts: Delta<PolicyKey, PolicyValue>,
    pub(super) port_classes: Delta<PortClassKey, PortClassValue>,
    pub(super) revisions: Delta<PolicyId, PolicyRevision>,
    pub(super) holds: Holds,
    /// What regions may have whose write failed in the middle of a list.
    pub(super) doubtful: BTreeMap<CidrKey, Vec<Identity>>,

    pub(super) bumps: BTreeMap<PolicyId, BTreeSet<Wait>>,
    pub(super) next_revision: u64,
}

impl Policies {
    /// Compiles what is dirty. Adding comes before taking away throughout, so that what is kept keeps its ids.
    pub(crate) fn update(
        &mut self,
        snapshot: &Snapshot,
        view: &NodeView,
        dirty: Dirty<'_>,
        ids: &mut IdRows<'_>,
    ) {
        let mut work = Work { addrs: self.refused.addrs.clone(), ..Work::default() };
        let becomes_synced = snapshot.synced.is_some() && !self.is_synced;
        self.node = Arc::clone(&view.name);

        self.update_targets(snapshot, dirty, &mut work, ids);
        self.update_peers(snapshot, view, dirty, &mut work);
        self.update_regions(&mut work, ids);
        self.update_addrs(&mut work, ids);
        self.drop_emptied(ids);
        self.place_rows(&mut work, ids);
        if self.is_first {
            self.bump_at_start();
        }
        if becomes_synced {
            self.is_synced = true;
            self.sweep();
        }
        self.is_first = false;
    }

    /// Drops the policy sets that no pod is to have and no row of `PODS` has, with what only they asked.
    pub(crate) fn drop_unused(&mut self, ids: &mut IdRows<'_>) {
        let mut work = Work::default();
        if !self.drop_sets(&mut work, ids) {
            return;
        }
        self.update_regions(&mut work, ids);
        self.update_addrs(&mut work, ids);
        self.drop_emptied(ids);
        self.place_rows(&mut work, ids);
    }
}
