//! The writes of one phase, and what their results mean.

use std::collections::BTreeMap;

use abi::{
    Addr, CidrKey, IdKey, IdKind, Identity, PolicyId, PolicyKey, PolicyRevision, PolicyValue, PortClassId,
    PortClassKey, PortClassValue, RuleId,
};
use model::Synced;

use super::PodPolicy;
use super::op::PolicyOp;
use super::region::{bounds, longest};
use super::state::{Policies, PolicyIds, Wait};
use crate::delta::Delta;

/// Written in place of an identity that may or may not be there: no row has it, so whatever is wanted is written.
const UNSURE: Identity = Identity::ANY;

impl Policies {
    /// Port classes: no row names the new ones yet.
    pub(crate) fn plan_port_classes(&self) -> Vec<PolicyOp> {
        self.port_classes.updates().map(|(key, value)| PolicyOp::PutPortClass(*key, *value)).collect()
    }

    /// Rows whose port class is there, and first revisions. No pod has a new policy id and no address a new identity.
    pub(crate) fn plan_verdicts(&self) -> Vec<PolicyOp> {
        let rows = self.verdicts.updates().filter(|(_, value)| self.is_class_written(value.class()));
        let rows = rows.map(|(key, value)| PolicyOp::PutVerdict(*key, *value));
        let firsts = self.revisions.updates().filter(|(id, _)| !self.bumps.contains_key(id));
        rows.chain(firsts.map(|(id, revision)| PolicyOp::PutRevision(*id, *revision))).collect()
    }

    fn is_class_written(&self, class: PortClassId) -> bool {
        let state = self.class_of_id.get(&class).and_then(|digest| self.classes.get(digest));
        state.is_none_or(|state| state.keys.iter().all(|key| self.port_classes.is_in_sync(key)))
    }

    /// Addresses and regions whose identity has all its rows. A prefix is written after those inside it.
    pub(crate) fn plan_identities(&self, synced: Option<&Synced>) -> Vec<PolicyOp> {
        let mut known = BTreeMap::new();
        let mut is_written = |identity: &Identity| {
            *known.entry(*identity).or_insert_with(|| self.is_identity_written(*identity))
        };
        let mut regions: Vec<(CidrKey, Identity)> =
            self.identity_cidrs.updates().map(|(key, identity)| (*key, *identity)).collect();
        regions.sort_by_key(|(key, _)| std::cmp::Reverse(key.prefix_len()));
        let mut ops = Vec::new();
        if !regions.is_empty() && regions.iter().all(|(_, identity)| is_written(identity)) {
            ops.push(PolicyOp::PutIdentityCidrs(regions));
        }
        let addrs = self.identities.updates().filter(|(_, identity)| is_written(identity));
        ops.extend(addrs.map(|(addr, identity)| PolicyOp::PutIdentity(*addr, *identity)));
        if let Some(synced) = synced {
            // Without its row an address is in its region, which has to be there.
            let gone = self.identities.deletes(synced).filter(|addr| self.is_region_written(**addr));
            ops.extend(gone.map(|addr| PolicyOp::DeleteIdentity(*addr)));
        }
        ops
    }

    fn is_identity_written(&self, identity: Identity) -> bool {
        let policies = self.rows_of_identity.get(&identity).into_iter().flatten();
        policies.into_iter().all(|id| self.verdicts.is_in_sync(&PolicyKey::new(*id, identity)))
    }

    fn is_region_written(&self, addr: Addr) -> bool {
        let region = longest(self.identity_cidrs.all_desired(), self.region_lens.iter().copied(), addr);
        region.is_none_or(|identity| self.is_identity_written(*identity))
    }

    /// Revisions whose rows are in the kernel: from here on flows are judged by what is new.
    pub(crate) fn plan_revisions(&self) -> Vec<PolicyOp> {
        let over = |id: &PolicyId| {
            self.bumps.get(id).is_some_and(|waits| waits.iter().all(|wait: &Wait| self.is_over(wait)))
        };
        let due = self.revisions.updates().filter(|(id, _)| over(id));
        due.map(|(id, revision)| PolicyOp::PutRevision(*id, *revision)).collect()
    }

    /// Rows that no packet asks for any more, and regions, from the outside in: one inside another only after it.
    pub(crate) fn plan_delete_verdicts(&self, synced: Option<&Synced>) -> Vec<PolicyOp> {
        let Some(synced) = synced else { return Vec::new() };
        let is_reached = |key: &PolicyKey| {
            let is_pods = self.set_of_id.contains_key(&key.policy) || self.holds.pods.has(&key.policy);
            let is_peers = key.identity == Identity::ANY || self.holds.members.has(&key.identity);
            is_pods && is_peers
        };
        let rows = self.verdicts.deletes(synced).filter(|key| !is_reached(key));
        let mut ops: Vec<PolicyOp> = rows.map(|key| PolicyOp::DeleteVerdict(*key)).collect();
        if self.identity_cidrs.pending(None) == 0 {
            let gone: Vec<&CidrKey> = self.identity_cidrs.deletes(synced).collect();
            let contains = |outer: &CidrKey, inner: &CidrKey| {
                let (first, last) = bounds(outer);
                outer != inner
                    && first <= inner.addr()
                    && inner.addr() <= last
                    && outer.prefix_len() <= inner.prefix_len()
            };
            let outermost = gone.iter().filter(|key| !gone.iter().any(|outer| contains(outer, key)));
            ops.extend(outermost.map(|key| PolicyOp::DeleteIdentityCidr(**key)));
        }
        ops
    }

    /// Port classes that no row names.
    pub(crate) fn plan_delete_port_classes(&self, synced: Option<&Synced>) -> Vec<PolicyOp> {
        let Some(synced) = synced else { return Vec::new() };
        let rows = self.port_classes.deletes(synced).filter(|key| !self.holds.class_users.has(&key.class()));
        rows.map(|key| PolicyOp::DeletePortClass(*key)).collect()
    }

    /// Whether the row of `IDS` may be forgotten: no map holds the id.
    pub(crate) fn may_forget(&self, key: &IdKey, id: u32) -> bool {
        match IdKind::try_from(key.kind_code()) {
            Ok(IdKind::Identity) => !self.holds.has_identity(id),
            Ok(IdKind::Policy) => !self.holds.has_policy(id),
            Ok(IdKind::PortClass) => !self.holds.has_class(id),
            Ok(IdKind::Rule) => !self.holds.rules.has(&RuleId(id)),
            Ok(IdKind::Layout | IdKind::Service | IdKind::Node | IdKind::Zone | IdKind::Pod) | Err(_) => true,
        }
    }

    /// Learns what became of a write.
    pub(crate) fn record(&mut self, op: &PolicyOp, came_through: bool) {
        if !came_through {
            // How far a list of regions came is not known.
            if let PolicyOp::PutIdentityCidrs(rows) = op {
                rows.iter().for_each(|(key, identity)| self.doubt_cidr(*key, *identity));
            }
            return;
        }
        match op {
            PolicyOp::PutIdentity(addr, identity) => self.realise_addr(*addr, Some(*identity)),
            PolicyOp::DeleteIdentity(addr) => self.realise_addr(*addr, None),
            PolicyOp::PutIdentityCidrs(rows) => {
                rows.iter().for_each(|(key, identity)| self.realise_cidr(*key, Some(*identity)));
            }
            PolicyOp::DeleteIdentityCidr(key) => self.realise_cidr(*key, None),
            PolicyOp::PutVerdict(key, value) => self.realise_verdict(*key, Some(*value)),
            PolicyOp::DeleteVerdict(key) => self.realise_verdict(*key, None),
            PolicyOp::PutPortClass(key, value) => self.realise_class_row(*key, Some(*value)),
            PolicyOp::DeletePortClass(key) => self.realise_class_row(*key, None),
            PolicyOp::PutRevision(id, revision) => self.realise_revision(*id, Some(*revision)),
        }
    }

    pub(super) fn realise_addr(&mut self, addr: Addr, identity: Option<Identity>) {
        let had = self.identities.realised(&addr).copied();
        had.iter().for_each(|id| self.holds.members.remove(id));
        identity.into_iter().for_each(|id| self.holds.members.add(id));
        self.identities.set_realised(addr, identity);
    }

    pub(super) fn realise_cidr(&mut self, key: CidrKey, identity: Option<Identity>) {
        let possible = self.doubtful.remove(&key).unwrap_or_default();
        let had = self.identity_cidrs.realised(&key).copied();
        possible.iter().chain(&had).for_each(|id| self.holds.members.remove(id));
        identity.into_iter().for_each(|id| self.holds.members.add(id));
        self.identity_cidrs.set_realised(key, identity);
    }

    /// The row may have what it had or `identity`: both numbers stay held until it is written.
    fn doubt_cidr(&mut self, key: CidrKey, identity: Identity) {
        let mut possible = self.doubtful.remove(&key).unwrap_or_default();
        let had = self.identity_cidrs.realised(&key).copied().filter(|had| *had != UNSURE);
        self.realise_cidr(key, Some(UNSURE));
        for id in had.into_iter().chain([identity]) {
            self.holds.members.add(id);
            possible.push(id);
        }
        self.doubtful.insert(key, possible);
    }

    pub(super) fn realise_verdict(&mut self, key: PolicyKey, value: Option<PolicyValue>) {
        if let Some(had) = self.verdicts.realised(&key).copied() {
            self.holds.policies.remove(&key.policy);
            self.holds.identities.remove(&key.identity);
            self.holds.class_users.remove(&had.class());
            self.holds.rules.remove(&had.rule());
        }
        if let Some(value) = &value {
            self.holds.policies.add(key.policy);
            self.holds.identities.add(key.identity);
            self.holds.class_users.add(value.class());
            self.holds.rules.add(value.rule());
        }
        self.verdicts.set_realised(key, value);
    }

    pub(super) fn realise_class_row(&mut self, key: PortClassKey, value: Option<PortClassValue>) {
        if let Some(had) = self.port_classes.realised(&key).copied() {
            self.holds.class_rows.remove(&key.class());
            self.holds.rules.remove(&had.rule());
        }
        if let Some(value) = &value {
            self.holds.class_rows.add(key.class());
            self.holds.rules.add(value.rule());
        }
        self.port_classes.set_realised(key, value);
    }

    pub(super) fn realise_revision(&mut self, id: PolicyId, revision: Option<PolicyRevision>) {
        self.revisions.set_realised(id, revision);
        if self.revisions.is_in_sync(&id) {
            self.bumps.remove(&id);
        }
    }

    /// Learns what a row of `PODS` has: its policy ids keep their rows as long as it does.
    pub(crate) fn record_pod(&mut self, row: u32, policy: Option<PodPolicy>) {
        let had = match policy {
            Some(policy) => self.pod_rows.insert(row, policy),
            None => self.pod_rows.remove(&row),
        };
        had.iter().flat_map(|policy| policy.ids()).for_each(|id| self.holds.pods.remove(&id));
        policy.iter().flat_map(|policy| policy.ids()).for_each(|id| self.holds.pods.add(id));
    }

    /// Whether everything that a policy id means is in the kernel, so that a row of `PODS` may have it.
    pub(crate) fn is_programmed(&self, id: PolicyId) -> bool {
        match id {
            PolicyId::NONE => true,
            PolicyId::CLOSED => self.revisions.realised(&id) == Some(&PolicyRevision::CLOSED),
            id => {
                let has_revision = self.bumps.contains_key(&id) || self.revisions.is_in_sync(&id);
                let is_known = self.set_of_id.contains_key(&id) && has_revision;
                is_known && self.rows_of(id).all(|key| self.verdicts.is_in_sync(key))
            }
        }
    }

    /// Takes out the ids that no map holds any more.
    pub(crate) fn retire(&mut self, ids: &Delta<IdKey, u32>) -> Vec<(IdKind, u32)> {
        let Self { ids: contents, holds, .. } = self;
        let PolicyIds { identities, policies, classes, rules } = contents;
        let retired = [
            (IdKind::Identity, identities.retire(ids, |id| holds.has_identity(id))),
            (IdKind::Policy, policies.retire(ids, |id| holds.has_policy(id))),
            (IdKind::PortClass, classes.retire(ids, |id| holds.has_class(id))),
            (IdKind::Rule, rules.retire(ids, |id| holds.rules.has(&RuleId(id)))),
        ];
        retired.into_iter().flat_map(|(kind, ids)| ids.into_iter().map(move |id| (kind, id))).collect()
    }

    /// Gives back an id after its grace period.
    pub(crate) fn give_back(&mut self, kind: IdKind, id: u32) {
        match kind {
            IdKind::Identity => self.ids.identities.give_back(id),
            IdKind::Policy => self.ids.policies.give_back(id),
            IdKind::PortClass => self.ids.classes.give_back(id),
            IdKind::Rule => {
                self.rule_names.remove(&RuleId(id));
                self.ids.rules.give_back(id);
            }
            IdKind::Layout | IdKind::Service | IdKind::Node | IdKind::Zone | IdKind::Pod => {}
        }
    }
}
