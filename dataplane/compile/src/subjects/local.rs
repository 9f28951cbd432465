//! The pods of this node and their ids.

use std::collections::BTreeSet;

use abi::{Addr, Digest, IdKey, IdKind, PodId, PolicyId};
use model::{Changes, ObjectName, PerPacket, Pod, PodUid, Snapshot};

use super::{IdTable, PolicyOf, Subjects};
use crate::key::digest;

/// A pod of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LocalPod {
    pub(super) digest: Digest,
    /// [`PodId::NONE`] if there is no room and nothing isolates the pod.
    pub(super) id: PodId,
    /// None for a pod that shares the host's network.
    pub(super) addrs: Vec<Addr>,
    pub(super) cgroup_uid: PodUid,
    pub(super) is_per_packet: bool,
}

impl LocalPod {
    /// The pod if it is one of this node's; a finished one is nobody.
    fn new(snapshot: &Snapshot, node: &str, name: &ObjectName) -> Option<Self> {
        let pod = snapshot.pods.get(name)?;
        if pod.node.as_deref() != Some(node) || pod.is_finished {
            return None;
        }
        let namespace = snapshot.namespaces.get(&name.namespace);
        let is_host = pod.is_host_network;
        Some(Self {
            digest: pod_digest(pod),
            id: if is_host { PodId::HOST } else { PodId::NONE },
            addrs: if is_host { Vec::new() } else { pod.addrs.iter().map(|addr| (*addr).into()).collect() },
            cgroup_uid: pod.cgroup_uid.clone(),
            // The host's packets pass no hook that could balance them.
            is_per_packet: !is_host && PerPacket::of(pod, namespace.map(|namespace| &**namespace)).is_some(),
        })
    }
}

/// A pod is another one if its UID is: a name is given again at once.
fn pod_digest(pod: &Pod) -> Digest {
    digest(&format!("{}/{}", pod.name, pod.uid))
}

impl Subjects {
    /// Takes in the pods that changed; whether any of ours did.
    pub(super) fn update_pods(
        &mut self,
        snapshot: &Snapshot,
        changes: Option<&Changes>,
        policy_of: PolicyOf<'_>,
        ids: &mut IdTable<'_>,
    ) -> bool {
        let names: BTreeSet<ObjectName> = match changes {
            None => self.pods.keys().chain(snapshot.pods.keys()).cloned().collect(),
            Some(changes) => {
                let of_namespaces = self.pods.keys().filter(|n| changes.namespaces.contains(&n.namespace));
                changes.pods.iter().chain(of_namespaces).cloned().collect()
            }
        };
        let mut has_changed = false;
        for name in &names {
            has_changed |= self.update_pod(snapshot, name, ids);
        }
        has_changed | self.find_room(policy_of, ids)
    }

    fn update_pod(&mut self, snapshot: &Snapshot, name: &ObjectName, ids: &mut IdTable<'_>) -> bool {
        let before = self.pods.remove(name);
        let Some(mut pod) = LocalPod::new(snapshot, &self.node, name) else {
            before.iter().for_each(|pod| self.let_go(pod, ids));
            return before.is_some();
        };
        match &before {
            Some(before)
                if before.digest == pod.digest && (before.id == PodId::HOST) == (pod.id == PodId::HOST) =>
            {
                pod.id = before.id;
            }
            Some(before) => self.let_go(before, ids),
            None => {}
        }
        let has_changed = before.as_ref() != Some(&pod);
        self.pods.insert(name.clone(), pod);
        has_changed
    }

    /// Gives ids to the pods that have none. One without room is closed if something isolates it.
    fn find_room(&mut self, policy_of: PolicyOf<'_>, ids: &mut IdTable<'_>) -> bool {
        let without = |pod: &LocalPod| matches!(pod.id, PodId::NONE | PodId::REFUSED);
        let names: Vec<ObjectName> =
            self.pods.iter().filter(|(_, pod)| without(pod)).map(|(name, _)| name.clone()).collect();
        let mut has_changed = false;
        for name in names {
            let Some(pod) = self.pods.get(&name) else { continue };
            let (digest, before) = (pod.digest, pod.id);
            let id = self.acquire(digest, ids).unwrap_or_else(|| {
                let is_open = policy_of(&name) == (PolicyId::NONE, PolicyId::NONE);
                let (id, effect) = if is_open {
                    (PodId::NONE, "the pod is known to no program")
                } else {
                    (PodId::REFUSED, "nothing passes to or from the pod, which policies isolate")
                };
                self.warn(&name, format!("PODS is full: {effect}"));
                id
            });
            has_changed |= id != before;
            if let Some(pod) = self.pods.get_mut(&name) {
                pod.id = id;
            }
        }
        has_changed
    }

    fn acquire(&mut self, digest: Digest, ids: &mut IdTable<'_>) -> Option<PodId> {
        let key = IdKey::new(IdKind::Pod, digest);
        let returning = self.leaving.iter().find(|(_, name)| **name == Some(digest)).map(|(id, _)| *id);
        let id = match self.recovered.remove(&digest).or(returning) {
            Some(id) => id,
            None if ids.rows.occupies(&key) || ids.rows.occupied() < ids.limit as usize => {
                PodId(self.pool.take()?.0)
            }
            None => return None,
        };
        self.leaving.remove(&id);
        ids.rows.set_desired(key, id.0);
        Some(id)
    }

    fn let_go(&mut self, pod: &LocalPod, ids: &mut IdTable<'_>) {
        if pod.id >= PodId::FIRST {
            self.leave(pod.id, Some(pod.digest), ids);
        }
    }

    /// Begins to take an id out.
    pub(super) fn leave(&mut self, id: PodId, digest: Option<Digest>, ids: &mut IdTable<'_>) {
        self.entries.set_desired(id, abi::PodEntry::gone(self.pool.generation(id.0)));
        self.leaving.insert(id, digest);
        if let Some(digest) = digest {
            ids.rows.remove_desired(&IdKey::new(IdKind::Pod, digest));
        }
    }
}
