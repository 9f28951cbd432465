//! Which Service has a frontend that several claim: the oldest, then the first by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use abi::{FrontendKey, FrontendKind, FrontendValue, ServiceId};
use model::ObjectName;

use super::{Claim, Engine};
use crate::lb::Unit;

impl Engine {
    /// Makes the unit's frontends the Service's only claims, and gives every key concerned to its first claimant.
    pub(super) fn set_claims(&mut self, name: &ObjectName, created: &Arc<str>, unit: &Unit) {
        let mut wanted: BTreeMap<FrontendKey, Claim> = BTreeMap::new();
        let claim = |kind, key| Claim {
            is_undated: created.is_empty(),
            created: Arc::clone(created),
            service: name.clone(),
            kind,
            key,
        };
        for (key, port) in &unit.ports {
            for (frontend, kind) in &port.frontends {
                // A NodePort or externalIP that two ports of one Service have goes to the first port.
                wanted.entry(*frontend).or_insert_with(|| claim(*kind, Some(key.clone())));
            }
        }
        for frontend in &unit.other_ports {
            wanted.entry(*frontend).or_insert_with(|| claim(FrontendKind::OtherPorts, None));
        }
        let had: Vec<FrontendKey> = self.claimed_by.get(name).into_iter().flatten().copied().collect();
        for frontend in had.iter().filter(|f| !wanted.contains_key(*f)) {
            self.drop_claim(name, frontend);
            self.settle(frontend);
        }
        for (frontend, claim) in &wanted {
            if self.claims.get(frontend).is_some_and(|claims| claims.contains(claim)) {
                self.settle(frontend);
                continue;
            }
            self.drop_claim(name, frontend);
            self.claims.entry(*frontend).or_default().insert(claim.clone());
            self.settle(frontend);
        }
        if wanted.is_empty() {
            self.claimed_by.remove(name);
        } else {
            self.claimed_by.insert(name.clone(), wanted.into_keys().collect());
        }
    }

    fn drop_claim(&mut self, name: &ObjectName, frontend: &FrontendKey) {
        if let Some(claims) = self.claims.get_mut(frontend) {
            claims.retain(|claim| claim.service != *name);
            if claims.is_empty() {
                self.claims.remove(frontend);
            }
        }
        if let Some(lost) = self.conflicts.get_mut(name) {
            lost.remove(frontend);
            if lost.is_empty() {
                self.conflicts.remove(name);
            }
        }
    }

    /// The first claimant has the frontend, the others are told.
    fn settle(&mut self, frontend: &FrontendKey) {
        let Some(claims) = self.claims.get(frontend) else {
            self.frontends.remove_desired(frontend);
            return;
        };
        let Some(winner) = claims.first().cloned() else { return };
        let value = match &winner.key {
            None => Some(FrontendValue::new(ServiceId::NONE, winner.kind)),
            Some(key) => self.service_ids.get(key).map(|id| FrontendValue::new(*id, winner.kind)),
        };
        if let Some(value) = value
            && self.frontends.desired(frontend) != Some(&value)
        {
            self.frontends.set_desired(*frontend, value);
        }
        if claims.len() > 1 || self.conflicts.contains_key(&winner.service) {
            let losers: Vec<ObjectName> = claims.iter().skip(1).map(|c| c.service.clone()).collect();
            for loser in losers {
                self.conflicts.entry(loser).or_default().insert(*frontend, winner.service.clone());
            }
            if let Some(lost) = self.conflicts.get_mut(&winner.service) {
                lost.remove(frontend);
                if lost.is_empty() {
                    self.conflicts.remove(&winner.service);
                }
            }
        }
    }
}
