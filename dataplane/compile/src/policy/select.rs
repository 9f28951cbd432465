//! Which selectors match a pod, without asking all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Labels, Namespace, Pod, Requirement, Selector, Snapshot};

use super::atom::{AtomId, Scope};

/// Selectors of pods in use, filed by scope and, where they have one, by a label that their pods must have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selectors {
    scopes: BTreeMap<Scope, Filed>,
}

/// Selectors of one scope.
#[derive(Clone, Debug, Default)]
struct Filed {
    anchored: BTreeMap<Label, ById>,
    loose: ById,
}

type Label = (Arc<str>, Arc<str>);
type ById = BTreeMap<AtomId, Arc<Selector>>;

/// The first requirement that names values: pods that match have one of these labels.
fn anchors(selector: &Selector) -> Option<impl Iterator<Item = Label> + '_> {
    selector.requirements.iter().find_map(|requirement| match requirement {
        Requirement::In(key, values) => Some(values.iter().map(|value| (Arc::clone(key), Arc::clone(value)))),
        Requirement::NotIn(..) | Requirement::Exists(_) | Requirement::DoesNotExist(_) => None,
    })
}

impl Selectors {
    pub(crate) fn insert(&mut self, id: AtomId, scope: &Scope, selector: &Selector) {
        let filed = self.scopes.entry(scope.clone()).or_default();
        let shared = Arc::new(selector.clone());
        match anchors(selector) {
            Some(anchors) => anchors.for_each(|anchor| {
                filed.anchored.entry(anchor).or_default().insert(id, Arc::clone(&shared));
            }),
            None => drop(filed.loose.insert(id, shared)),
        }
    }

    pub(crate) fn remove(&mut self, id: AtomId, scope: &Scope, selector: &Selector) {
        let Some(filed) = self.scopes.get_mut(scope) else { return };
        filed.loose.remove(&id);
        for anchor in anchors(selector).into_iter().flatten() {
            if let Some(ids) = filed.anchored.get_mut(&anchor) {
                ids.remove(&id);
                if ids.is_empty() {
                    filed.anchored.remove(&anchor);
                }
            }
        }
        if filed.loose.is_empty() && filed.anchored.is_empty() {
            self.scopes.remove(scope);
        }
    }

    /// The scopes that a namespace is in.
    fn scopes_of(&self, namespace: &Arc<str>, labels: &Labels) -> Vec<&Filed> {
        let own = self.scopes.get(&Scope::Namespace(Arc::clone(namespace)));
        let by_label = self.scopes.iter().filter_map(|(scope, filed)| match scope {
            Scope::Matching(selector) => selector.matches(labels).then_some(filed),
            Scope::Namespace(_) => None,
        });
        own.into_iter().chain(by_label).collect()
    }
}

/// Asks the selectors about many pods of one snapshot: what holds for a namespace is found once.
pub(crate) struct Matcher<'a> {
    selectors: &'a Selectors,
    snapshot: &'a Snapshot,
    scopes: BTreeMap<Arc<str>, Vec<&'a Filed>>,
}

impl<'a> Matcher<'a> {
    pub(crate) fn new(selectors: &'a Selectors, snapshot: &'a Snapshot) -> Self {
        Self { selectors, snapshot, scopes: BTreeMap::new() }
    }

    /// The selectors that match a pod.
    pub(crate) fn matching(&mut self, pod: &Pod) -> BTreeSet<AtomId> {
        let namespace = &pod.name.namespace;
        let (selectors, snapshot) = (self.selectors, self.snapshot);
        let scopes = self
            .scopes
            .entry(Arc::clone(namespace))
            .or_insert_with(|| selectors.scopes_of(namespace, &namespace_labels(snapshot, namespace)));
        let mut found = BTreeSet::new();
        for filed in scopes.iter() {
            let mut take = |ids: &ById| {
                found.extend(ids.iter().filter(|(_, s)| s.matches(&pod.labels)).map(|(id, _)| *id));
            };
            take(&filed.loose);
            if filed.anchored.is_empty() {
                continue;
            }
            for (key, value) in &pod.labels {
                if let Some(ids) = filed.anchored.get(&(Arc::clone(key), Arc::clone(value))) {
                    take(ids);
                }
            }
        }
        found
    }
}

/// The labels of a namespace; of one without an object only its name is known.
pub(crate) fn namespace_labels(snapshot: &Snapshot, name: &Arc<str>) -> Labels {
    let known = snapshot.namespaces.get(name).map(|namespace| namespace.labels.clone());
    known.unwrap_or_else(|| Namespace::unknown(name).labels)
}
