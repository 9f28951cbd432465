//! The writes of one phase, and what their results mean.

use std::collections::BTreeSet;

use abi::{
    BackendEntry, BackendId, BackendState, Digest, FrontendKey, FrontendValue, IdKey, IdKind, ServiceId,
};
use model::Synced;

use super::subjects::{policy_of_row, subject_ops};
use super::{Engine, Ticket};
use crate::ids::contents::IdRows;
use crate::op::{Op, Phase};
use crate::policy::PolicyOp;
use crate::subjects::SubjectOp;

impl Engine {
    /// The writes of a phase. What depends on a write that failed or is outstanding is left for a later round.
    #[must_use]
    pub fn plan(&self, phase: Phase, synced: Option<&Synced>) -> Vec<Op> {
        match phase {
            Phase::DeleteFrontends => self.plan_delete_frontends(synced),
            Phase::WriteIds => self.plan_ids(),
            Phase::WriteBackends => self.plan_backends(),
            Phase::WriteSlots => self.plan_slots(),
            Phase::WriteServices => self.plan_services(),
            Phase::WriteFrontends => self.plan_frontends(synced),
            Phase::WriteNode => self.plan_node(synced),
            Phase::WritePortClasses => policy_ops(self.policies.plan_port_classes()),
            Phase::WriteVerdicts => policy_ops(self.policies.plan_verdicts()),
            Phase::WriteIdentities => policy_ops(self.policies.plan_identities(synced)),
            Phase::BumpRevisions => policy_ops(self.policies.plan_revisions()),
            Phase::DeleteVerdicts => policy_ops(self.policies.plan_delete_verdicts(synced)),
            Phase::DeletePortClasses => policy_ops(self.policies.plan_delete_port_classes(synced)),
            Phase::WritePods | Phase::CheckSources => self.plan_pods(),
            Phase::WriteSubjects => subject_ops(self.subjects.plan_subjects()),
            Phase::DeleteSubjects => subject_ops(self.subjects.plan_delete_subjects(synced)),
            Phase::ForgetPods => subject_ops(self.subjects.plan_forget_pods(synced)),
            Phase::MarkGone => self.plan_gone(synced),
        }
    }

    fn plan_delete_frontends(&self, synced: Option<&Synced>) -> Vec<Op> {
        let Some(synced) = synced else { return Vec::new() };
        self.frontends.deletes(synced).map(|key| Op::DeleteFrontend(*key)).collect()
    }

    /// Counters first: what a crash leaves under an id was counted for its new owner.
    fn plan_ids(&self) -> Vec<Op> {
        let services = self.fresh_services.iter().map(|id| Op::ResetServiceStats(*id));
        let backends = self.fresh_backends.iter().map(|id| Op::ResetBackendStats(*id));
        services.chain(backends).chain(self.ids.updates().map(|(key, id)| Op::PutId(*key, *id))).collect()
    }

    fn plan_backends(&self) -> Vec<Op> {
        self.backends
            .updates()
            .filter(|(id, entry)| {
                !is_gone(entry)
                    && !self.fresh_backends.contains(id)
                    && !self.failed_owners.contains(&entry.service)
            })
            .map(|(id, entry)| Op::PutBackend(*id, *entry))
            .collect()
    }

    fn plan_slots(&self) -> Vec<Op> {
        self.slots
            .updates()
            .filter(|(base, _)| {
                self.slot_owners.get(base).is_some_and(|owner| !self.failed_owners.contains(owner))
            })
            .map(|(base, backends)| Op::PutSlots { base: *base, backends: backends.clone() })
            .collect()
    }

    fn plan_services(&self) -> Vec<Op> {
        self.services
            .updates()
            .filter(|(id, _)| !self.leaving_services.contains_key(id) && self.is_backed(**id))
            .map(|(id, entry)| Op::PutService(*id, *entry))
            .collect()
    }

    /// Whether everything that a Service's new words name is in the kernel.
    fn is_backed(&self, id: ServiceId) -> bool {
        let blocks = self.set_blocks.get(&id).copied().unwrap_or_default();
        !self.failed_owners.contains(&id)
            && !self.fresh_services.contains(&id)
            && blocks.iter().all(|block| {
                self.slots.is_in_sync(&block.base)
                    && self
                        .slots
                        .desired(&block.base)
                        .is_some_and(|content| content.iter().all(|backend| self.is_written(*backend)))
            })
    }

    fn is_written(&self, id: BackendId) -> bool {
        self.backends.is_in_sync(&id) && self.backends.realised(&id).is_some_and(|entry| !is_gone(entry))
    }

    /// Until everything is known, a frontend that was found stays with a Service port that no known object names: its
    /// object may be the older claimant.
    fn plan_frontends(&self, synced: Option<&Synced>) -> Vec<Op> {
        let unknown: BTreeSet<ServiceId> = match synced {
            Some(_) => BTreeSet::new(),
            None => self.recovered_services.values().copied().collect(),
        };
        let is_unknown = |key: &FrontendKey| {
            !unknown.is_empty()
                && self.frontends.realised(key).is_some_and(|v| unknown.contains(&v.service()))
        };
        self.frontends
            .updates()
            .filter(|(key, value)| self.is_answering(value.service()) && !is_unknown(key))
            .map(|(key, value)| Op::PutFrontend(*key, *value))
            .collect()
    }

    /// Whether a frontend may point at a Service port: its words are in the kernel.
    fn is_answering(&self, id: ServiceId) -> bool {
        id == ServiceId::NONE
            || (self.services.realised(&id).is_some()
                && self.services.is_in_sync(&id)
                && !self.failed_owners.contains(&id))
    }

    fn plan_node(&self, synced: Option<&Synced>) -> Vec<Op> {
        let mut ops: Vec<Op> =
            self.service_cidrs.updates().map(|(key, _)| Op::PutServiceCidr(*key)).collect();
        ops.extend(self.node_addrs.updates().map(|(addr, value)| Op::PutNodeAddr(*addr, *value)));
        if let Some(synced) = synced {
            ops.extend(self.service_cidrs.deletes(synced).map(|key| Op::DeleteServiceCidr(*key)));
            ops.extend(self.node_addrs.deletes(synced).map(|addr| Op::DeleteNodeAddr(*addr)));
        }
        ops
    }

    fn plan_gone(&self, synced: Option<&Synced>) -> Vec<Op> {
        let clear = self
            .services
            .updates()
            .filter(|(id, _)| self.leaving_services.contains_key(id) && self.is_unreachable(**id))
            .map(|(id, entry)| Op::PutService(*id, *entry));
        let mut ops: Vec<Op> = clear.collect();
        ops.extend(
            self.backends
                .updates()
                .filter(|(id, entry)| is_gone(entry) && self.is_out_of_sets(**id))
                .map(|(id, entry)| Op::PutBackend(*id, *entry)),
        );
        if let Some(synced) = synced {
            let leaving: BTreeSet<u32> =
                self.leaving_services.keys().filter(|id| !self.is_unreachable(**id)).map(|id| id.0).collect();
            // The row of a Service port that is still reachable stays: it names what a crash would leave.
            let may_go = |key: &&IdKey| {
                self.ids.realised(*key).is_none_or(|id| match key.kind_code() {
                    kind if kind == IdKind::Service as u32 => !leaving.contains(id),
                    kind if kind == IdKind::Pod as u32 => self.subjects.may_forget(*id),
                    _ => self.policies.may_forget(key, *id),
                })
            };
            ops.extend(self.ids.deletes(synced).filter(may_go).map(|key| Op::DeleteId(*key)));
        }
        ops
    }

    /// Whether no frontend in the kernel points at a Service port.
    fn is_unreachable(&self, id: ServiceId) -> bool {
        self.frontend_refs.get(&id).is_none_or(|refs| *refs == 0)
    }

    /// Whether no set that programs can reach names a backend that left.
    fn is_out_of_sets(&self, id: BackendId) -> bool {
        let Some(entry) = self.backends.realised(&id) else { return true };
        if self.leaving_services.contains_key(&entry.service) {
            self.is_unreachable(entry.service)
        } else {
            self.services.is_in_sync(&entry.service)
        }
    }

    /// Learns what became of a phase's writes, in their order; true is success.
    pub fn record(&mut self, phase: Phase, ops: &[Op], results: &[bool]) {
        for (op, came_through) in ops.iter().zip(results) {
            if *came_through {
                self.realise(op);
            } else if let Op::Policy(op) = op {
                self.policies.record(op, false);
            } else {
                self.failed_owners.extend(self.owners(phase, op));
            }
        }
    }

    fn realise(&mut self, op: &Op) {
        match op {
            Op::PutFrontend(key, value) => self.realise_frontend(*key, Some(*value)),
            Op::DeleteFrontend(key) => {
                self.realise_frontend(*key, None);
                self.retired.has_rows = true;
            }
            Op::PutServiceCidr(key) => self.service_cidrs.set_realised(*key, Some(1)),
            Op::DeleteServiceCidr(key) => {
                self.service_cidrs.set_realised(*key, None);
                self.retired.has_rows = true;
            }
            Op::PutService(id, entry) => self.services.set_realised(*id, Some(*entry)),
            Op::PutSlots { base, backends } => self.slots.set_realised(*base, Some(backends.clone())),
            Op::PutBackend(id, entry) => self.backends.set_realised(*id, Some(*entry)),
            Op::PutNodeAddr(addr, value) => self.node_addrs.set_realised(*addr, Some(*value)),
            Op::DeleteNodeAddr(addr) => {
                self.node_addrs.set_realised(*addr, None);
                self.retired.has_rows = true;
            }
            Op::PutId(key, id) => self.ids.set_realised(*key, Some(*id)),
            Op::DeleteId(key) => {
                self.ids.set_realised(*key, None);
                self.retired.has_rows = true;
            }
            Op::ResetServiceStats(id) => drop(self.fresh_services.remove(id)),
            Op::ResetBackendStats(id) => drop(self.fresh_backends.remove(id)),
            Op::Policy(op) => {
                self.policies.record(op, true);
                self.retired.has_rows |= op.is_delete();
            }
            Op::Subject(op) => {
                self.subjects.record(op);
                if let SubjectOp::PutPod(id, entry) = op {
                    self.policies.record_pod(id.0, policy_of_row(entry));
                }
                self.retired.has_rows |= op.is_delete();
            }
        }
    }

    pub(super) fn realise_frontend(&mut self, key: FrontendKey, value: Option<FrontendValue>) {
        if let Some(before) = self.frontends.realised(&key)
            && let Some(refs) = self.frontend_refs.get_mut(&before.service())
        {
            *refs = refs.saturating_sub(1);
        }
        if let Some(value) = value {
            *self.frontend_refs.entry(value.service()).or_default() += 1;
        }
        self.frontends.set_realised(key, value);
    }

    /// The Service ports that a failed write holds up.
    fn owners(&self, phase: Phase, op: &Op) -> Vec<ServiceId> {
        match op {
            Op::PutFrontend(key, value) => {
                let before = self.frontends.realised(key).map(|v| v.service());
                before.into_iter().chain([value.service()]).collect()
            }
            Op::DeleteFrontend(key) => {
                self.frontends.realised(key).map(|v| v.service()).into_iter().collect()
            }
            Op::PutService(id, _) | Op::ResetServiceStats(id) => vec![*id],
            Op::PutSlots { base, .. } => self.slot_owners.get(base).copied().into_iter().collect(),
            Op::PutBackend(_, entry) if phase == Phase::WriteBackends => vec![entry.service],
            Op::PutId(key, id) if key.kind_code() == IdKind::Service as u32 => vec![ServiceId(*id)],
            Op::PutBackend(..)
            | Op::PutId(..)
            | Op::DeleteId(_)
            | Op::PutServiceCidr(_)
            | Op::DeleteServiceCidr(_)
            | Op::PutNodeAddr(..)
            | Op::DeleteNodeAddr(_)
            | Op::ResetBackendStats(_)
            | Op::Policy(_)
            | Op::Subject(_) => Vec::new(),
        }
    }

    /// Ends a round. What it unlinked may be reused after a grace period: the ticket names it.
    pub fn end_round(&mut self) -> Option<Ticket> {
        self.failed_owners.clear();
        self.retire_blocks();
        self.retire_ids();
        self.policies.drop_unused(&mut IdRows { rows: &mut self.ids, limit: self.limits.ids });
        self.retired.policy_ids.extend(self.policies.retire(&self.ids));
        self.retired.pods.append(&mut self.subjects.retire(&self.ids));
        // Rows need no grace period: they matter to those who wait for room.
        self.retired.has_rows &= self.has_refused();
        if self.retired.is_empty() {
            return None;
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.tickets.insert(ticket, std::mem::take(&mut self.retired));
        Some(ticket)
    }

    /// Blocks that no word names any more: the words that replaced them are in the kernel.
    fn retire_blocks(&mut self) {
        let done = |id: &ServiceId| self.services.is_in_sync(id);
        let ids: Vec<ServiceId> = self.replaced_blocks.keys().filter(|id| done(id)).copied().collect();
        for block in ids.iter().filter_map(|id| self.replaced_blocks.remove(id)).flatten() {
            self.slots.forget(&block.base);
            self.slot_owners.remove(&block.base);
            self.retired.blocks.push(block);
        }
    }

    /// Ids that are cleared in the kernel, and that no row of `IDS` gives to a name.
    fn retire_ids(&mut self) {
        let is_nameless = |id: &ServiceId, digest: &Digest| {
            let row = self.ids.realised(&IdKey::new(IdKind::Service, *digest));
            row.is_none_or(|row| *row != id.0)
        };
        let services = self.leaving_services.iter();
        let cleared = services.filter(|(id, digest)| self.services.is_in_sync(id) && is_nameless(id, digest));
        let cleared: Vec<ServiceId> = cleared.map(|(id, _)| *id).collect();
        for id in cleared {
            self.leaving_services.remove(&id);
            self.retired.services.push(id);
        }
        let gone = self.leaving_backends.iter().filter(|id| self.backends.is_in_sync(id));
        let gone: Vec<BackendId> = gone.copied().collect();
        for id in gone {
            self.leaving_backends.remove(&id);
            self.retired.backends.push(id);
        }
    }

    /// Whether a ticket is outstanding: something waits for its grace period.
    #[must_use]
    pub fn has_tickets(&self) -> bool {
        !self.tickets.is_empty() || !self.retired.is_empty()
    }
}

fn policy_ops(ops: Vec<PolicyOp>) -> Vec<Op> {
    ops.into_iter().map(Op::Policy).collect()
}

fn is_gone(entry: &BackendEntry) -> bool {
    entry.state == BackendState::Gone as u8
}
