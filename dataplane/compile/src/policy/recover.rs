//! A start from what the maps hold, and an audit of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use abi::{IdKey, IdKind, Identity, PolicyId, PolicyRevision};

use super::atom::Atoms;
use super::op::PolicyDump;
use super::region::Regions;
use super::select::Selectors;
use super::state::{Holds, Member, Policies, PolicyIds, Refused, Wait};
use crate::delta::Delta;
use crate::engine::Drift;
use crate::ids::contents::Contents;
use crate::limits::PolicyLimits;

impl Policies {
    /// A start; an empty dump is the first one.
    pub(crate) fn new(limits: PolicyLimits, dump: PolicyDump, rows: &BTreeMap<IdKey, u32>) -> Self {
        let holds = holds(&dump);
        let numbers = |ids: [&mut dyn Iterator<Item = u32>; 2]| -> BTreeSet<u32> {
            ids.into_iter().flatten().collect()
        };
        let found_identities =
            numbers([&mut holds.members.keys().map(|id| id.0), &mut holds.identities.keys().map(|id| id.0)]);
        let found_classes = numbers([
            &mut holds.class_users.keys().map(|id| id.0),
            &mut holds.class_rows.keys().map(|id| id.0),
        ]);
        let found_policies = holds.policies.keys().map(|id| id.0).collect();
        let found_rules = holds.rules.keys().map(|id| id.0).collect();
        // One identity a row at most, and one port class a row of POLICY.
        let most_identities = limits.identities.saturating_add(limits.identity_cidrs).saturating_add(2);
        let most_classes = limits.verdicts.saturating_add(1);
        let recover = |kind, first, most, found| Contents::recover(kind, first, most, rows, found);
        let ids = PolicyIds {
            identities: recover(IdKind::Identity, Identity::FIRST.0, most_identities, found_identities),
            policies: recover(IdKind::Policy, PolicyId::FIRST.0, limits.policies, found_policies),
            classes: recover(IdKind::PortClass, 1, most_classes, found_classes),
            rules: recover(IdKind::Rule, 1, limits.rules, found_rules),
        };
        let last = dump.revisions.values().max().copied().unwrap_or_default();
        let mut revisions = Delta::new(dump.revisions);
        revisions.set_desired(PolicyId::CLOSED, PolicyRevision::CLOSED);
        Self {
            limits,
            node: Arc::default(),
            is_synced: false,
            is_first: true,
            pods: BTreeMap::new(),
            sets: BTreeMap::new(),
            set_of_id: BTreeMap::new(),
            pod_rows: BTreeMap::new(),
            atoms: Atoms::default(),
            selectors: Selectors::default(),
            peers: BTreeMap::new(),
            claims: BTreeMap::new(),
            regions: Regions::new(),
            region_lens: BTreeSet::new(),
            blocks: BTreeSet::new(),
            members: BTreeMap::new(),
            identity_states: BTreeMap::new(),
            by_atom: BTreeMap::new(),
            emptied: BTreeSet::new(),
            row_classes: BTreeMap::new(),
            rows_of_identity: BTreeMap::new(),
            classes: BTreeMap::new(),
            class_of_id: BTreeMap::new(),
            rule_names: BTreeMap::new(),
            ids,
            refused: Refused::default(),
            identities: Delta::new(dump.identities),
            identity_cidrs: Delta::new(dump.identity_cidrs),
            verdicts: Delta::new(dump.verdicts),
            port_classes: Delta::new(dump.port_classes),
            revisions,
            holds,
            doubtful: BTreeMap::new(),
            bumps: BTreeMap::new(),
            next_revision: last.max(PolicyRevision::CLOSED).0 + 1,
        }
    }

    /// Takes a fresh dump for the truth. Whatever differs may have let something pass: flows are judged again once it is
    /// repaired.
    pub(crate) fn audit(&mut self, dump: &PolicyDump) -> Vec<Drift> {
        let mut drift = Vec::new();
        let mut waits = Vec::new();
        for addr in self.identities.differing(&dump.identities) {
            drift.push(Drift { map: "IDENTITIES", key: addr.to_string() });
            waits.push(Wait::Member(Member::Addr(addr)));
            self.realise_addr(addr, dump.identities.get(&addr).copied());
        }
        for key in self.identity_cidrs.differing(&dump.identity_cidrs) {
            drift.push(Drift { map: "IDENTITY_CIDRS", key: crate::render::cidr_text(&key) });
            waits.push(Wait::Member(Member::Cidr(key)));
            self.realise_cidr(key, dump.identity_cidrs.get(&key).copied());
        }
        for key in self.verdicts.differing(&dump.verdicts) {
            let text = format!("{} {}", key.policy.0, key.identity.0);
            drift.push(Drift { map: "POLICY", key: text });
            waits.push(Wait::Verdict(key));
            self.realise_verdict(key, dump.verdicts.get(&key).copied());
        }
        for key in self.port_classes.differing(&dump.port_classes) {
            let text =
                format!("{} {}:{}/{}", key.class().0, key.protocol(), key.port().get(), key.port_bits());
            drift.push(Drift { map: "PORT_CLASSES", key: text });
            waits.push(Wait::PortClass(key));
            self.realise_class_row(key, dump.port_classes.get(&key).copied());
        }
        waits.into_iter().for_each(|wait| self.bump_all(wait));
        for id in self.revisions.differing(&dump.revisions) {
            drift.push(Drift { map: "POLICY_REVISION", key: id.0.to_string() });
            self.revisions.set_realised(id, dump.revisions.get(&id).copied());
            self.next_revision = self.next_revision.max(dump.revisions.get(&id).map_or(0, |r| r.0) + 1);
            if self.set_of_id.contains_key(&id) {
                let revision = self.new_revision();
                self.revisions.set_desired(id, revision);
            }
        }
        drift
    }
}

fn holds(dump: &PolicyDump) -> Holds {
    let mut holds = Holds::default();
    dump.identities.values().chain(dump.identity_cidrs.values()).for_each(|id| holds.members.add(*id));
    for (key, value) in &dump.verdicts {
        holds.policies.add(key.policy);
        holds.identities.add(key.identity);
        holds.class_users.add(value.class());
        holds.rules.add(value.rule());
    }
    for (key, value) in &dump.port_classes {
        holds.class_rows.add(key.class());
        holds.rules.add(value.rule());
    }
    holds
}
