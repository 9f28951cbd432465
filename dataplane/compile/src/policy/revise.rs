//! Revisions: numbers that tell a flow whether what judged it is still what it was.

use abi::{Digest, PolicyId, PolicyRevision};

use super::state::{Member, Policies, Wait};

impl Policies {
    /// A number that no policy id of this node had before.
    pub(super) fn new_revision(&mut self) -> PolicyRevision {
        self.next_revision += 1;
        PolicyRevision(self.next_revision - 1)
    }

    /// Flows of a policy set are to be judged again, once a row is as it is to be.
    pub(super) fn bump_set(&mut self, set: &Digest, wait: Wait) {
        if let Some(id) = self.sets.get(set).and_then(|set| set.id) {
            self.bump(id, [wait]);
        }
    }

    /// Flows of all policy sets are to be judged again.
    pub(super) fn bump_all(&mut self, wait: Wait) {
        let ids: Vec<PolicyId> = self.set_of_id.keys().copied().collect();
        ids.into_iter().for_each(|id| self.bump(id, [wait]));
    }

    /// A former run may have ended between a row and the revision that was to follow it: all flows are judged again, once
    /// what this run changes is in the kernel.
    pub(super) fn bump_at_start(&mut self) {
        let addrs = self.identities.updates().map(|(addr, _)| Wait::Member(Member::Addr(*addr)));
        let regions = self.identity_cidrs.updates().map(|(key, _)| Wait::Member(Member::Cidr(*key)));
        let waits: Vec<Wait> = addrs.chain(regions).collect();
        let ids: Vec<PolicyId> = self.set_of_id.keys().copied().collect();
        ids.into_iter().for_each(|id| self.bump(id, waits.iter().copied()));
    }

    fn bump(&mut self, id: PolicyId, waits: impl IntoIterator<Item = Wait>) {
        // Before its first revision is in the kernel no flow has it.
        if !self.bumps.contains_key(&id) && !self.revisions.is_in_sync(&id) {
            return;
        }
        let revision = self.new_revision();
        self.revisions.set_desired(id, revision);
        self.bumps.entry(id).or_default().extend(waits);
    }

    /// Whether the rows that a revision waits for are in the kernel.
    pub(super) fn is_over(&self, wait: &Wait) -> bool {
        match wait {
            Wait::Member(Member::Addr(addr)) => self.identities.is_in_sync(addr),
            Wait::Member(Member::Cidr(key)) => self.identity_cidrs.is_in_sync(key),
            Wait::Verdict(key) => self.verdicts.is_in_sync(key),
            Wait::PortClass(key) => self.port_classes.is_in_sync(key),
        }
    }

    /// Everything is known: rows of a former run that nobody wants go, and what they let pass is judged again.
    pub(super) fn sweep(&mut self) {
        let addrs = self.identities.unwanted().map(|addr| Wait::Member(Member::Addr(*addr)));
        let cidrs = self.identity_cidrs.unwanted().map(|key| Wait::Member(Member::Cidr(*key)));
        let waits: Vec<Wait> = addrs.chain(cidrs).collect();
        waits.into_iter().for_each(|wait| self.bump_all(wait));
        let ids = &mut self.ids;
        [&mut ids.identities, &mut ids.policies, &mut ids.classes, &mut ids.rules]
            .into_iter()
            .for_each(crate::ids::contents::Contents::sweep);
    }
}
