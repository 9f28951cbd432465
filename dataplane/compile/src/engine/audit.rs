//! The kernel compared with what is believed of it.

use std::collections::{BTreeMap, BTreeSet};

use abi::{BackendEntry, Generation, ServiceEntry};

use super::Engine;
use super::subjects::policy_of_row;
use crate::delta::Delta;
use crate::dump::Dump;
use crate::render;

/// A row that somebody else changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drift {
    /// The map.
    pub map: &'static str,
    /// The key, as text.
    pub key: String,
}

impl Engine {
    /// Takes a fresh dump for the truth: what differs from what was believed is returned, and repaired by the next round.
    pub fn audit(&mut self, dump: &Dump) -> Vec<Drift> {
        let mut drift = Vec::new();
        for key in self.frontends.differing(&dump.frontends) {
            drift.push(Drift { map: "FRONTENDS", key: render::frontend_text(&key) });
            self.realise_frontend(key, dump.frontends.get(&key).copied());
        }
        let mut report =
            |map, keys: Vec<String>| drift.extend(keys.into_iter().map(|key| Drift { map, key }));
        report(
            "SERVICE_CIDRS",
            self.service_cidrs.adopt(&dump.service_cidrs, |k| format!("{}/{}", k.addr(), k.prefix_len())),
        );
        report("NODE_ADDRS", self.node_addrs.adopt(&dump.node_addrs, ToString::to_string));
        report("IDS", self.ids.adopt(&dump.ids, |k| format!("{k:?}")));

        let empty = ServiceEntry::empty(Generation(0));
        for id in keys(&self.services, &dump.services) {
            let found = dump.services.get(&id).copied().unwrap_or(empty);
            if self.services.realised(&id).copied().unwrap_or(empty) != found {
                report("SERVICES", vec![id.0.to_string()]);
                self.services.set_realised(id, Some(found));
                // Until everything is known, what no known object names is not ours to clear.
                if self.is_synced && self.services.desired(&id).is_none() {
                    self.services.set_desired(id, ServiceEntry::empty(found.generation));
                }
            }
        }
        let gone = BackendEntry::gone(Generation(0));
        for id in keys(&self.backends, &dump.backends) {
            let found = dump.backends.get(&id).copied().unwrap_or(gone);
            if self.backends.realised(&id).copied().unwrap_or(gone) != found {
                report("BACKENDS", vec![id.0.to_string()]);
                self.backends.set_realised(id, Some(found));
                if self.is_synced && self.backends.desired(&id).is_none() {
                    self.backends.set_desired(id, BackendEntry::gone(found.generation));
                }
            }
        }
        report("SLOTS", self.audit_slots(dump));
        drift.append(&mut self.policies.audit(&dump.policy));
        drift.append(&mut self.subjects.audit(&dump.subjects));
        for (id, entry) in &dump.subjects.pods {
            self.policies.record_pod(id.0, policy_of_row(entry));
        }
        drift
    }

    /// A dump has the slots inside the sets of its Services. A block that no word names any more may hold anything: it
    /// is written again before its word is.
    fn audit_slots(&mut self, dump: &Dump) -> Vec<String> {
        let words: BTreeSet<u32> =
            dump.services.values().flat_map(|e| [e.cluster, e.local]).map(|set| set.base()).collect();
        let mut drifted = Vec::new();
        let believed: Vec<(u32, usize)> =
            self.slots.all_realised().iter().map(|(base, content)| (*base, content.len())).collect();
        for (base, count) in believed {
            if !words.contains(&base) {
                self.slots.set_realised(base, None);
                continue;
            }
            let found: Vec<_> = (base..)
                .take(count)
                .map(|slot| dump.slots.get(&slot).copied().unwrap_or(abi::BackendId(0)))
                .collect();
            if self.slots.realised(&base) != Some(&found) {
                drifted.push(base.to_string());
                self.slots.set_realised(base, Some(found));
            }
        }
        drifted
    }
}

fn keys<K: Ord + Copy, V: PartialEq>(delta: &Delta<K, V>, dump: &BTreeMap<K, V>) -> BTreeSet<K> {
    delta.all_realised().keys().chain(dump.keys()).copied().collect()
}
