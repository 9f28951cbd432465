//! Pods as peers: the selectors that match them and the named ports that they have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use abi::Addr;
use model::{Labels, NodeView, ObjectName, Pod, PodUid, Protocol, Snapshot};

use super::atom::{Atom, AtomId};
use super::select::{Matcher, namespace_labels};
use super::state::{Dirty, Member, PeerPod, Policies, Work};
use super::targets::is_somebody;

impl Policies {
    /// Asks every pod anew for which an answer may have changed.
    pub(super) fn update_peers(
        &mut self,
        snapshot: &Snapshot,
        view: &NodeView,
        dirty: Dirty<'_>,
        work: &mut Work,
    ) {
        let mut names = self.dirty_peers(snapshot, dirty, work);
        let dns = dns_pod(view);
        names.insert(dns.name.clone());

        let selectors = std::mem::take(&mut self.selectors);
        let mut matcher = Matcher::new(&selectors, snapshot);
        for name in names {
            let pod = if name == dns.name { Some(&dns) } else { snapshot.pods.get(&name).map(Arc::as_ref) };
            let pod = pod.filter(|pod| is_somebody(pod) && !pod.addrs.is_empty());
            let peer = pod.map(|pod| PeerPod {
                addrs: pod.addrs.iter().map(|addr| Addr::from(*addr)).collect(),
                atoms: matcher.matching(pod).into_iter().chain(self.port_atoms(pod)).collect(),
            });
            self.set_peer(name, peer, work);
        }
        self.selectors = selectors;
    }

    fn dirty_peers(&self, snapshot: &Snapshot, dirty: Dirty<'_>, work: &Work) -> BTreeSet<ObjectName> {
        let changes = match dirty {
            Dirty::All => return snapshot.pods.keys().chain(self.peers.keys()).cloned().collect(),
            Dirty::Some(changes) => changes,
        };
        let mut names = changes.pods.clone();
        let in_namespaces = |namespace| snapshot.pods_in(namespace).map(|pod| pod.name.clone());
        names.extend(changes.namespaces.iter().flat_map(in_namespaces));
        for scope in &work.new_scopes {
            match scope {
                super::atom::Scope::Namespace(namespace) => names.extend(in_namespaces(namespace)),
                super::atom::Scope::Matching(_) => {
                    let mut last: Option<(Arc<str>, bool)> = None;
                    for name in snapshot.pods.keys() {
                        let is_in = match &last {
                            Some((namespace, is_in)) if *namespace == name.namespace => *is_in,
                            Some(_) | None => {
                                let labels = namespace_labels(snapshot, &name.namespace);
                                scope.matches(&name.namespace, &labels)
                            }
                        };
                        last = Some((Arc::clone(&name.namespace), is_in));
                        if is_in {
                            names.insert(name.clone());
                        }
                    }
                }
            }
        }
        if !work.new_names.is_empty() {
            let has_name = |pod: &Pod| work.new_names.iter().any(|name| pod.named_ports.contains_key(name));
            names.extend(snapshot.pods.values().filter(|pod| has_name(pod)).map(|pod| pod.name.clone()));
        }
        names
    }

    fn port_atoms(&mut self, pod: &Pod) -> BTreeSet<AtomId> {
        let used = pod.named_ports.iter().filter(|(name, _)| self.atoms.is_name_used(name));
        let used: Vec<Atom> = used.map(|(name, number)| Atom::Port(name.clone(), *number)).collect();
        used.iter().map(|atom| self.atoms.intern(atom)).collect()
    }

    fn set_peer(&mut self, name: ObjectName, peer: Option<PeerPod>, work: &mut Work) {
        let had = self.peers.remove(&name);
        if had == peer {
            if let Some(peer) = peer {
                self.peers.insert(name, peer);
            }
            return;
        }
        for addr in had.iter().flat_map(|peer| &peer.addrs) {
            work.addrs.insert(*addr);
            if let Some(pods) = self.claims.get_mut(addr) {
                pods.remove(&name);
                if pods.is_empty() {
                    self.claims.remove(addr);
                }
            }
        }
        if let Some(peer) = peer {
            for addr in &peer.addrs {
                work.addrs.insert(*addr);
                self.claims.entry(*addr).or_default().insert(name.clone());
            }
            self.peers.insert(name, peer);
        }
    }

    /// The addresses whose identity has an atom are to be looked at again.
    pub(super) fn touch_members(&self, atom: AtomId, work: &mut Work) {
        let identities = self.by_atom.get(&atom).into_iter().flatten();
        let members = identities.filter_map(|set| self.identity_states.get(set)).flat_map(|i| &i.members);
        work.addrs.extend(members.filter_map(|member| match member {
            Member::Addr(addr) => Some(*addr),
            Member::Cidr(_) => None,
        }));
    }
}

/// The DNS server of this node, as the pod that it stands for: policies that open the cluster DNS open it, and a policy
/// that opens nothing closes it. Its name is one that no pod can have.
fn dns_pod(view: &NodeView) -> Pod {
    let port = |name: &str, protocol| ((Arc::from(name), protocol), 53);
    Pod {
        name: ObjectName::new("kube-system", ""),
        uid: Arc::default(),
        cgroup_uid: PodUid::default(),
        node: Some(Arc::clone(&view.name)),
        addrs: view.dns.iter().flat_map(|dns| &dns.listeners).map(std::net::SocketAddr::ip).collect(),
        is_host_network: false,
        is_finished: false,
        labels: Labels::from([(Arc::from("k8s-app"), Arc::from("kube-dns"))]),
        named_ports: BTreeMap::from([port("dns", Protocol::Udp), port("dns-tcp", Protocol::Tcp)]),
        socket_lb: None,
        per_packet: None,
    }
}
