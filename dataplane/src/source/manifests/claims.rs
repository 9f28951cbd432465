//! Which file each object is taken from. Knows no files: only their names and what they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::api::Object;
use model::{Event, Kind, ObjectKey};

/// Objects by key.
pub(super) type Objects = BTreeMap<ObjectKey, Arc<Object>>;

/// Who holds an object.
#[derive(Debug)]
struct Claim {
    /// The file that it is taken from: the first that had it, until it drops it.
    owner: String,
    /// Other files that have it too.
    others: BTreeSet<String>,
}

/// All files' objects. An object in two files stays with the file that had it first; the next in the order of names gets
/// it when that one drops it.
#[derive(Debug, Default)]
pub(super) struct Claims {
    files: BTreeMap<String, Objects>,
    claims: BTreeMap<ObjectKey, Claim>,
    /// What was in force at the last [`Claims::take_events`], of objects that changed since.
    before: BTreeMap<ObjectKey, Option<Arc<Object>>>,
}

impl Claims {
    /// Exchanges what a file holds. A file that holds nothing is forgotten.
    pub(super) fn put(&mut self, file: &str, new: Objects) {
        let old = self.files.remove(file).unwrap_or_default();
        let has_changed = |key: &ObjectKey| old.get(key) != new.get(key);
        for key in old.keys().chain(new.keys()).filter(|key| has_changed(key)) {
            if !self.before.contains_key(key) {
                let in_force = match self.claims.get(key) {
                    Some(claim) if claim.owner == file => old.get(key).cloned(),
                    Some(_) => self.in_force(key),
                    None => None,
                };
                self.before.insert(key.clone(), in_force);
            }
        }
        for key in old.keys().filter(|key| !new.contains_key(*key)) {
            self.unclaim(key, file);
        }
        for key in new.keys().filter(|key| !old.contains_key(*key)) {
            self.claim(key, file);
        }
        if !new.is_empty() {
            self.files.insert(file.to_owned(), new);
        }
    }

    fn claim(&mut self, key: &ObjectKey, file: &str) {
        match self.claims.get_mut(key) {
            Some(claim) => drop(claim.others.insert(file.to_owned())),
            None => {
                let claim = Claim { owner: file.to_owned(), others: BTreeSet::new() };
                self.claims.insert(key.clone(), claim);
            }
        }
    }

    fn unclaim(&mut self, key: &ObjectKey, file: &str) {
        let Some(claim) = self.claims.get_mut(key) else { return };
        if claim.owner != file {
            claim.others.remove(file);
        } else if let Some(next) = claim.others.pop_first() {
            claim.owner = next;
        } else {
            self.claims.remove(key);
        }
    }

    fn in_force(&self, key: &ObjectKey) -> Option<Arc<Object>> {
        let claim = self.claims.get(key)?;
        self.files.get(&claim.owner)?.get(key).cloned()
    }

    /// What changed since the last call, as far as it is in force.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        let before = std::mem::take(&mut self.before);
        before
            .into_iter()
            .filter_map(|(key, before)| match (before, self.in_force(&key)) {
                (Some(_), None) => Some(Event::Delete(key)),
                (before, Some(now)) if before.as_ref() != Some(&now) => Some(Event::Apply(now)),
                (None, None) | (_, Some(_)) => None,
            })
            .collect()
    }

    /// Everything in force.
    pub(super) fn objects(&self) -> impl Iterator<Item = Arc<Object>> {
        self.claims.keys().filter_map(|key| self.in_force(key))
    }

    /// How many objects are in force, by kind.
    pub(super) fn counts(&self) -> BTreeMap<Kind, usize> {
        let mut counts = BTreeMap::new();
        for key in self.claims.keys() {
            *counts.entry(key.kind).or_default() += 1;
        }
        counts
    }

    /// Objects that are in several files: by the file whose version is not in force, each with the file whose is.
    pub(super) fn conflicts(&self) -> BTreeMap<&str, Vec<(&ObjectKey, &str)>> {
        let mut conflicts: BTreeMap<&str, Vec<(&ObjectKey, &str)>> = BTreeMap::new();
        for (key, claim) in &self.claims {
            for other in &claim.others {
                conflicts.entry(other).or_default().push((key, &claim.owner));
            }
        }
        conflicts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(services: &[(&str, &str)]) -> Objects {
        services
            .iter()
            .map(|(name, ip)| {
                let document = serde_json::json!({
                    "apiVersion": "v1", "kind": "Service",
                    "metadata": {"name": name}, "spec": {"clusterIP": ip},
                });
                let object = model::api::decode(document).unwrap().objects.remove(0);
                (object.key(), Arc::new(object))
            })
            .collect()
    }

    fn words(events: Vec<Event>) -> Vec<String> {
        events
            .into_iter()
            .map(|event| match &event {
                Event::Apply(object) => {
                    let Object::Service(service) = &**object else { panic!("a Service") };
                    let ip = service.spec.cluster_ip.as_deref().unwrap_or_default();
                    format!("apply {} {ip}", service.metadata.name)
                }
                Event::Delete(key) => format!("delete {}", key.name.name),
                Event::Init(_) | Event::InitApply(_) | Event::InitDone(_) | Event::Incomplete => {
                    panic!("{event:?}")
                }
            })
            .collect()
    }

    #[test]
    fn only_what_differs_becomes_an_event() {
        let mut claims = Claims::default();
        claims.put("a", objects(&[("x", "1"), ("y", "1")]));
        assert_eq!(words(claims.take_events()), ["apply x 1", "apply y 1"]);
        claims.put("a", objects(&[("x", "1"), ("y", "2")]));
        assert_eq!(words(claims.take_events()), ["apply y 2"]);
        claims.put("a", objects(&[("y", "2")]));
        assert_eq!(words(claims.take_events()), ["delete x"]);
    }

    #[test]
    fn an_object_that_moves_to_another_file_is_never_gone_in_either_order() {
        for order in [["a", "b"], ["b", "a"]] {
            let mut claims = Claims::default();
            claims.put("a", objects(&[("x", "1")]));
            claims.take_events();
            for file in order {
                claims.put(file, objects(if file == "a" { &[] } else { &[("x", "1")] }));
            }
            assert_eq!(words(claims.take_events()), [""; 0], "{order:?}");
            assert!(claims.conflicts().is_empty());
        }
    }

    #[test]
    fn who_has_an_object_keeps_it_and_the_next_by_name_inherits() {
        let mut claims = Claims::default();
        for (file, ip) in [("m", "1"), ("z", "2"), ("a", "3")] {
            claims.put(file, objects(&[("x", ip)]));
        }
        assert_eq!(words(claims.take_events()), ["apply x 1"]);
        let conflicts = claims.conflicts();
        assert_eq!(conflicts.keys().copied().collect::<Vec<_>>(), ["a", "z"]);
        assert!(conflicts.values().flatten().all(|(_, owner)| *owner == "m"));
        claims.put("a", objects(&[("x", "4")]));
        assert_eq!(words(claims.take_events()), [""; 0], "a version that is not in force");
        claims.put("m", Objects::new());
        assert_eq!(words(claims.take_events()), ["apply x 4"]);
        claims.put("a", Objects::new());
        claims.put("z", Objects::new());
        assert_eq!(words(claims.take_events()), ["delete x"]);
        assert!(claims.counts().is_empty());
    }
}
