//! The store: applies events and hands out snapshots.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;

use imbl::OrdMap;

use crate::api::Object;
use crate::convert;
use crate::{Changes, EndpointSlice, Event, Kind, ObjectKey, ObjectName, Snapshot, Synced, Warning};

/// Applies what sources say, in any order: a slice before its Service is as good as after it. Knows which first lists
/// are done.
#[derive(Debug)]
pub struct Store {
    snapshot: Snapshot,
    changes: Changes,
    /// Where each visible slice is filed: slice → Service.
    slice_services: BTreeMap<ObjectName, ObjectName>,
    /// Lists under way.
    lists: BTreeMap<Kind, List>,
    /// Kinds whose first list is still to be done.
    unlisted: BTreeSet<Kind>,
    said_incomplete: bool,
}

/// A list between `Init` and `InitDone`.
#[derive(Debug, Default)]
struct List {
    /// What it named so far. Not visible yet.
    objects: BTreeMap<ObjectName, Arc<Object>>,
    /// Objects that were changed or deleted since it began. That is newer than whatever the list says of them.
    overtaken: BTreeSet<ObjectName>,
}

impl Store {
    /// An empty store; its sources will list these kinds. Without any kind it never becomes synced.
    #[must_use]
    pub fn new(kinds: &[Kind]) -> Self {
        Self {
            snapshot: Snapshot::default(),
            changes: Changes::default(),
            slice_services: BTreeMap::new(),
            lists: BTreeMap::new(),
            unlisted: kinds.iter().copied().collect(),
            said_incomplete: false,
        }
    }

    /// Applies one event.
    ///
    /// An object that converts to what is there already changes nothing. A list that begins again starts over; one that
    /// ends without having begun says nothing; an object of a list that never began is an ordinary change.
    pub fn apply(&mut self, event: Event) {
        let has_changed = match event {
            Event::Init(kind) => {
                self.lists.insert(kind, List::default());
                false
            }
            Event::InitApply(object) => {
                let ObjectKey { kind, name } = object.key();
                match self.lists.get_mut(&kind) {
                    Some(list) => {
                        list.objects.insert(name, object);
                        false
                    }
                    None => self.put(&object),
                }
            }
            Event::InitDone(kind) => match self.lists.remove(&kind) {
                Some(list) => self.finish_list(kind, list),
                None => false,
            },
            Event::Apply(object) => {
                self.overtake_list(object.key());
                self.put(&object)
            }
            Event::Delete(key) => {
                self.overtake_list(key.clone());
                self.remove(&key)
            }
            Event::Incomplete => {
                self.said_incomplete = true;
                false
            }
        };
        self.snapshot.revision.0 += u64::from(has_changed);
    }

    /// The state after all events so far. O(1).
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.clone()
    }

    /// What changed since the last call.
    pub fn take_changes(&mut self) -> Changes {
        mem::take(&mut self.changes)
    }

    /// Whether every kind's first list is done.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.snapshot.synced.is_some()
    }

    /// Whether a source said that the first list cannot be completed for now: what is there is to be used as it is. Over
    /// once the store is synced.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.said_incomplete && !self.is_synced()
    }

    fn overtake_list(&mut self, key: ObjectKey) {
        if let Some(list) = self.lists.get_mut(&key.kind) {
            list.overtaken.insert(key.name);
        }
    }

    /// Makes a list visible; what it did not name is gone.
    fn finish_list(&mut self, kind: Kind, list: List) -> bool {
        let mut has_changed = false;
        for name in self.names(kind) {
            if !list.objects.contains_key(&name) && !list.overtaken.contains(&name) {
                has_changed |= self.remove(&ObjectKey { kind, name });
            }
        }
        for (name, object) in &list.objects {
            if !list.overtaken.contains(name) {
                has_changed |= self.put(object);
            }
        }
        if self.unlisted.remove(&kind) && self.unlisted.is_empty() {
            self.snapshot.synced = Some(Synced(()));
            self.changes.synced = true;
            has_changed = true;
        }
        has_changed
    }

    /// Names of everything of the kind that the snapshot knows, if only a warning.
    fn names(&self, kind: Kind) -> BTreeSet<ObjectName> {
        let snapshot = &self.snapshot;
        let first = ObjectKey { kind, name: ObjectName::new("", "") };
        let warned = snapshot.warnings.range(first..).map(|(key, _)| key).take_while(|key| key.kind == kind);
        let mut names: BTreeSet<ObjectName> = warned.map(|key| key.name.clone()).collect();
        match kind {
            Kind::Service => names.extend(snapshot.services.keys().cloned()),
            Kind::EndpointSlice => names.extend(self.slice_services.keys().cloned()),
            Kind::Pod => names.extend(snapshot.pods.keys().cloned()),
            Kind::Namespace => names.extend(snapshot.namespaces.keys().map(cluster_scoped)),
            Kind::Node => names.extend(snapshot.nodes.keys().map(cluster_scoped)),
            Kind::ServiceCidr => names.extend(snapshot.service_cidrs.keys().map(cluster_scoped)),
            Kind::NetworkPolicy => names.extend(snapshot.network_policies.keys().cloned()),
        }
        names
    }

    /// Makes an object visible; whether the snapshot changed.
    fn put(&mut self, object: &Object) -> bool {
        let key = object.key();
        let name = &key.name;
        let (has_changed, warnings) = match object {
            Object::Service(object) => {
                let (service, warnings) = convert::service::from_object(object);
                let has_changed = set(&mut self.snapshot.services, name, service);
                if has_changed {
                    self.changes.services.insert(name.clone());
                }
                (has_changed, warnings)
            }
            Object::EndpointSlice(object) => {
                let (slice, warnings) = convert::endpoint_slice::from_object(object);
                (self.put_slice(name, slice), warnings)
            }
            Object::Pod(object) => {
                let (pod, warnings) = convert::pod::from_object(object);
                let has_changed = set(&mut self.snapshot.pods, name, pod);
                if has_changed {
                    self.changes.pods.insert(name.clone());
                }
                (has_changed, warnings)
            }
            Object::Namespace(object) => {
                let (namespace, warnings) = convert::namespace::from_object(object);
                let has_changed = set(&mut self.snapshot.namespaces, &name.name, namespace);
                if has_changed {
                    self.changes.namespaces.insert(Arc::clone(&name.name));
                }
                (has_changed, warnings)
            }
            Object::Node(object) => {
                let (node, warnings) = convert::node::from_object(object);
                let has_changed = set(&mut self.snapshot.nodes, &name.name, node);
                if has_changed {
                    self.changes.nodes.insert(Arc::clone(&name.name));
                }
                (has_changed, warnings)
            }
            Object::ServiceCidr(object) => {
                let (service_cidr, warnings) = convert::service_cidr::from_object(object);
                let has_changed = set(&mut self.snapshot.service_cidrs, &name.name, service_cidr);
                self.changes.service_cidrs |= has_changed;
                (has_changed, warnings)
            }
            Object::NetworkPolicy(object) => {
                let (policy, warnings) = convert::network_policy::from_object(object);
                let has_changed = set(&mut self.snapshot.network_policies, name, policy);
                if has_changed {
                    self.changes.network_policies.insert(name.clone());
                }
                (has_changed, warnings)
            }
        };
        self.set_warnings(key, warnings) | has_changed
    }

    /// Files a slice under its Service. One that moved from another Service changes both; one that is nobody's is not
    /// filed at all.
    fn put_slice(&mut self, name: &ObjectName, slice: Option<EndpointSlice>) -> bool {
        let filed = slice.and_then(|slice| Some((slice.service.clone()?, slice)));
        let old_service = self.slice_services.get(name);
        let has_moved = old_service.is_some() && old_service != filed.as_ref().map(|(service, _)| service);
        let mut has_changed = has_moved && self.remove_slice(name);
        if let Some((service, slice)) = filed
            && set(&mut self.snapshot.slices, &(service.clone(), name.clone()), slice)
        {
            self.slice_services.insert(name.clone(), service.clone());
            self.changes.services.insert(service);
            has_changed = true;
        }
        has_changed
    }

    fn remove_slice(&mut self, name: &ObjectName) -> bool {
        let Some(service) = self.slice_services.remove(name) else { return false };
        self.snapshot.slices.remove(&(service.clone(), name.clone()));
        self.changes.services.insert(service);
        true
    }

    /// Takes an object out; whether the snapshot changed.
    fn remove(&mut self, key: &ObjectKey) -> bool {
        let ObjectKey { kind, name } = key;
        let snapshot = &mut self.snapshot;
        let was_there = match kind {
            Kind::Service => {
                let was_there = snapshot.services.remove(name).is_some();
                if was_there {
                    self.changes.services.insert(name.clone());
                }
                was_there
            }
            Kind::EndpointSlice => self.remove_slice(name),
            Kind::Pod => {
                let was_there = snapshot.pods.remove(name).is_some();
                if was_there {
                    self.changes.pods.insert(name.clone());
                }
                was_there
            }
            Kind::Namespace => {
                let was_there = snapshot.namespaces.remove(&name.name).is_some();
                if was_there {
                    self.changes.namespaces.insert(Arc::clone(&name.name));
                }
                was_there
            }
            Kind::Node => {
                let was_there = snapshot.nodes.remove(&name.name).is_some();
                if was_there {
                    self.changes.nodes.insert(Arc::clone(&name.name));
                }
                was_there
            }
            Kind::ServiceCidr => {
                let was_there = snapshot.service_cidrs.remove(&name.name).is_some();
                self.changes.service_cidrs |= was_there;
                was_there
            }
            Kind::NetworkPolicy => {
                let was_there = snapshot.network_policies.remove(name).is_some();
                if was_there {
                    self.changes.network_policies.insert(name.clone());
                }
                was_there
            }
        };
        self.snapshot.warnings.remove(key).is_some() | was_there
    }

    fn set_warnings(&mut self, key: ObjectKey, warnings: Vec<Warning>) -> bool {
        let old = self.snapshot.warnings.get(&key);
        if old.map_or(&[][..], |old| old) == warnings {
            return false;
        }
        if warnings.is_empty() {
            self.snapshot.warnings.remove(&key);
        } else {
            self.snapshot.warnings.insert(key, warnings.into());
        }
        true
    }
}

fn cluster_scoped(name: &Arc<str>) -> ObjectName {
    ObjectName { namespace: Arc::default(), name: Arc::clone(name) }
}

/// Puts a value into a map unless an equal one is there; whether it did.
fn set<K: Ord + Clone, V: PartialEq>(map: &mut OrdMap<K, Arc<V>>, key: &K, value: V) -> bool {
    if map.get(key).is_some_and(|old| **old == value) {
        return false;
    }
    map.insert(key.clone(), Arc::new(value));
    true
}

#[cfg(test)]
mod tests;
