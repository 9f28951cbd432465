//! Addresses and regions, and the identities that they have.

use std::collections::BTreeSet;

use abi::{Addr, CidrKey, Identity};

use super::atom::{AtomId, AtomSet};
use super::region::{bounds, keys_of, longest, regions};
use super::state::{IdentityState, Member, Policies, Wait, Work};
use crate::ids::contents::IdRows;

impl Policies {
    /// Makes the regions those of the blocks in use, as far as they fit.
    pub(super) fn update_regions(&mut self, work: &mut Work, ids: &mut IdRows<'_>) {
        if !work.has_new_blocks && self.refused.blocks.is_empty() && self.refused.regions.is_empty() {
            return;
        }
        self.blocks = self.fitting_blocks();
        let wanted = regions(self.atoms.blocks().filter(|(id, _)| self.blocks.contains(id)));
        let had = std::mem::replace(&mut self.regions, wanted);
        self.region_lens = self.regions.keys().map(CidrKey::prefix_len).collect();
        let keys: BTreeSet<CidrKey> = had.keys().chain(self.regions.keys()).copied().collect();
        for key in keys {
            let now = self.regions.get(&key);
            if now == had.get(&key) && !self.refused.regions.contains(&key) {
                continue;
            }
            let (first, last) = bounds(&key);
            work.addrs.extend(self.claims.range(first..=last).map(|(addr, _)| *addr));
            let set = now.map(|blocks| blocks.iter().copied().collect());
            self.set_member(Member::Cidr(key), set, work, ids);
        }
    }

    /// Blocks whose prefixes fit beside those that are not deleted yet: all or nothing of each, for a block without its
    /// holes would be open there. Those in force stay.
    fn fitting_blocks(&mut self) -> BTreeSet<AtomId> {
        self.refused.blocks.clear();
        let all: Vec<(AtomId, Vec<CidrKey>)> =
            self.atoms.blocks().map(|(id, block)| (id, keys_of(block).collect())).collect();
        let mut keys: BTreeSet<CidrKey> = self.identity_cidrs.all_realised().keys().copied().collect();
        let mut fitting = BTreeSet::new();
        let (in_force, others): (Vec<_>, Vec<_>) = all.iter().partition(|(id, _)| self.blocks.contains(id));
        for (id, of_block) in in_force.into_iter().chain(others) {
            let new = of_block.iter().filter(|key| !keys.contains(key)).count();
            if self.blocks.contains(id) || keys.len() + new <= self.limits.identity_cidrs as usize {
                keys.extend(of_block);
                fitting.insert(*id);
            } else {
                self.refused.blocks.insert(*id);
            }
        }
        fitting
    }

    /// Gives every address that may have changed its identity.
    pub(super) fn update_addrs(&mut self, work: &mut Work, ids: &mut IdRows<'_>) {
        for addr in std::mem::take(&mut work.addrs) {
            let wanted = self.wanted(addr);
            self.set_member(Member::Addr(addr), wanted, work, ids);
        }
    }

    /// The blocks around an address.
    fn region(&self, addr: Addr) -> BTreeSet<AtomId> {
        longest(&self.regions, self.region_lens.iter().copied(), addr).cloned().unwrap_or_default()
    }

    /// What an address is to have beyond its region. Of several pods that claim one address, only what holds for all of
    /// them holds for it.
    fn wanted(&self, addr: Addr) -> Option<AtomSet> {
        let mut pods = self.claims.get(&addr)?.iter().filter_map(|name| self.peers.get(name));
        let first = pods.next()?.atoms.clone();
        let common = pods.fold(first, |common, pod| &common & &pod.atoms);
        let region = self.region(addr);
        let set = self.atoms.alive(common.into_iter().chain(region.iter().copied()));
        (set.len() > region.len()).then_some(set)
    }

    fn set_member(&mut self, member: Member, wanted: Option<AtomSet>, work: &mut Work, ids: &mut IdRows<'_>) {
        let had = self.members.get(&member).cloned();
        if had != wanted {
            if let Some(set) = &wanted {
                self.join(member, set);
                self.members.insert(member, set.clone());
            } else {
                self.members.remove(&member);
            }
            if let Some(set) = &had {
                self.leave(member, set);
            }
        }
        let identity = wanted.as_ref().and_then(|set| self.number(set, work, ids));
        self.note_loss(member, had.as_ref(), wanted.as_ref(), identity);
        match member {
            Member::Addr(addr) => self.want_addr(addr, wanted.is_some(), identity),
            Member::Cidr(key) => self.want_region(key, wanted.is_some(), identity),
        }
    }

    fn want_addr(&mut self, addr: Addr, is_wanted: bool, identity: Option<Identity>) {
        let rows = &mut self.identities;
        let fits = rows.occupies(&addr) || rows.occupied() < self.limits.identities as usize;
        self.refused.addrs.remove(&addr);
        match identity.filter(|_| fits) {
            Some(identity) => rows.set_desired(addr, identity),
            None => {
                rows.remove_desired(&addr);
                if is_wanted {
                    self.refused.addrs.insert(addr);
                }
            }
        }
    }

    /// Without a number a region is as the world, which has fewer atoms. It must not be left out: it may be a hole.
    fn want_region(&mut self, key: CidrKey, is_wanted: bool, identity: Option<Identity>) {
        self.refused.regions.remove(&key);
        if !is_wanted {
            self.identity_cidrs.remove_desired(&key);
            return;
        }
        if identity.is_none() {
            self.refused.regions.insert(key);
        }
        self.identity_cidrs.set_desired(key, identity.unwrap_or(Identity::WORLD));
    }

    /// Policy sets that let something pass for what no longer holds are to judge again.
    fn note_loss(
        &mut self,
        member: Member,
        had: Option<&AtomSet>,
        wanted: Option<&AtomSet>,
        identity: Option<Identity>,
    ) {
        let wait = Wait::Member(member);
        if let Some(had) = had {
            let Member::Addr(addr) = member else { return };
            let now: BTreeSet<AtomId> = match wanted {
                Some(set) => set.iter().copied().collect(),
                None => self.region(addr),
            };
            let lost: Vec<AtomId> = had.iter().filter(|atom| !now.contains(atom)).copied().collect();
            let users: BTreeSet<_> = lost.iter().flat_map(|atom| self.atoms.users(*atom)).copied().collect();
            users.iter().for_each(|set| self.bump_set(set, wait));
            return;
        }
        // A row of a former run: what it stood for is not known.
        let found = match member {
            Member::Addr(addr) if self.identities.desired(&addr).is_none() => self.identities.realised(&addr),
            Member::Cidr(key) if self.identity_cidrs.desired(&key).is_none() => {
                self.identity_cidrs.realised(&key)
            }
            Member::Addr(_) | Member::Cidr(_) => None,
        };
        if found.is_some_and(|found| wanted.is_some() && identity.unwrap_or(Identity::WORLD) != *found) {
            self.bump_all(wait);
        }
    }

    fn join(&mut self, member: Member, set: &AtomSet) {
        if set.is_empty() {
            return;
        }
        if !self.identity_states.contains_key(set) {
            let digest = self.atoms.digest(set);
            let state = IdentityState { id: None, digest, members: BTreeSet::new() };
            self.identity_states.insert(set.clone(), state);
            for atom in set.iter() {
                self.by_atom.entry(*atom).or_default().insert(set.clone());
            }
        }
        if let Some(state) = self.identity_states.get_mut(set) {
            state.members.insert(member);
        }
    }

    /// The number of an identity that has members, if there is one for it.
    fn number(&mut self, set: &AtomSet, work: &mut Work, ids: &mut IdRows<'_>) -> Option<Identity> {
        if set.is_empty() {
            return Some(Identity::WORLD);
        }
        let state = self.identity_states.get_mut(set)?;
        if state.id.is_none() {
            state.id = self.ids.identities.acquire(state.digest, ids).map(Identity);
            let users = set.iter().flat_map(|atom| self.atoms.users(*atom));
            work.verdicts.extend(users.map(|user| (*user, Some(set.clone()))));
        }
        state.id
    }

    fn leave(&mut self, member: Member, set: &AtomSet) {
        if let Some(state) = self.identity_states.get_mut(set) {
            state.members.remove(&member);
            if state.members.is_empty() {
                self.emptied.insert(set.clone());
            }
        }
    }

    /// Drops the identities that nobody has any more.
    pub(super) fn drop_emptied(&mut self, ids: &mut IdRows<'_>) {
        for set in std::mem::take(&mut self.emptied) {
            if self.identity_states.get(&set).is_none_or(|state| !state.members.is_empty()) {
                continue;
            }
            let Some(state) = self.identity_states.remove(&set) else { continue };
            for atom in set.iter() {
                if let Some(sets) = self.by_atom.get_mut(atom) {
                    sets.remove(&set);
                    if sets.is_empty() {
                        self.by_atom.remove(atom);
                    }
                }
            }
            self.refused.verdicts.retain(|(_, of)| of.as_ref() != Some(&set));
            if let Some(id) = state.id {
                self.remove_rows_for(id, ids);
                self.ids.identities.let_go(&state.digest, ids);
            }
        }
    }
}
