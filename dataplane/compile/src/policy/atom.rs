//! What a policy can say of a peer. The set of atoms that hold for an address is its identity.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use abi::Digest;
use model::{IpBlock, Labels, Protocol, Selector};

use crate::key::digest;

/// Something that holds for a peer or not, and that some policy in use asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Atom {
    /// It is a pod of these namespaces with these labels.
    Pods(Scope, Selector),
    /// Its address is in this block.
    Block(IpBlock),
    /// It is a pod that gives this number to a named port.
    Port(PortName, u16),
}

/// Name and protocol of a named port.
pub(crate) type PortName = (Arc<str>, Protocol);

/// Namespaces of a selector of pods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// One, by name.
    Namespace(Arc<str>),
    /// Those whose labels match.
    Matching(Selector),
}

impl Scope {
    pub(crate) fn matches(&self, namespace: &Arc<str>, labels: &Labels) -> bool {
        match self {
            Self::Namespace(name) => name == namespace,
            Self::Matching(selector) => selector.matches(labels),
        }
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pods(Scope::Namespace(namespace), pods) => write!(f, "{namespace}/[{pods}]"),
            Self::Pods(Scope::Matching(namespaces), pods) => write!(f, "[{namespaces}]/[{pods}]"),
            Self::Block(block) => block.fmt(f),
            Self::Port((name, protocol), number) => write!(f, "{name}/{protocol}={number}"),
        }
    }
}

/// Number of an atom. Never given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AtomId(u64);

/// A set of atoms, sorted.
pub(crate) type AtomSet = Arc<[AtomId]>;

/// Atoms in use, by number and by what they say, and the policy sets (by digest) that ask for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Atoms {
    by_content: BTreeMap<Arc<Atom>, AtomId>,
    by_id: BTreeMap<AtomId, Arc<Atom>>,
    users: BTreeMap<AtomId, BTreeSet<Digest>>,
    /// Whoever asks for the name asks for every number that pods give it.
    name_users: BTreeMap<PortName, BTreeSet<Digest>>,
    last: u64,
}

impl Atoms {
    /// The number of an atom; a new one if it has none.
    pub(crate) fn intern(&mut self, atom: &Atom) -> AtomId {
        if let Some(id) = self.by_content.get(atom) {
            return *id;
        }
        self.last += 1;
        let (id, atom) = (AtomId(self.last), Arc::new(atom.clone()));
        self.by_content.insert(Arc::clone(&atom), id);
        self.by_id.insert(id, atom);
        id
    }

    pub(crate) fn get(&self, id: AtomId) -> Option<&Arc<Atom>> {
        self.by_id.get(&id)
    }

    /// A policy set asks it; true if it is the first.
    pub(crate) fn acquire(&mut self, id: AtomId, user: Digest) -> bool {
        let users = self.users.entry(id).or_default();
        users.insert(user) && users.len() == 1
    }

    /// A policy set no longer asks it; true, and forgotten, if it was the last.
    pub(crate) fn let_go(&mut self, id: AtomId, user: &Digest) -> bool {
        let is_last = drop_user(&mut self.users, &id, user);
        if is_last {
            self.forget(id);
        }
        is_last
    }

    /// A policy set asks for a named port; true if it is the first.
    pub(crate) fn acquire_name(&mut self, name: &PortName, user: Digest) -> bool {
        let users = self.name_users.entry(name.clone()).or_default();
        users.insert(user) && users.len() == 1
    }

    /// A policy set no longer asks for a named port. With the last one all its numbers are forgotten; they are returned.
    pub(crate) fn let_go_name(&mut self, name: &PortName, user: &Digest) -> Vec<AtomId> {
        if !drop_user(&mut self.name_users, name, user) {
            return Vec::new();
        }
        let numbers = self.numbers_of(name);
        numbers.iter().for_each(|id| self.forget(*id));
        numbers
    }

    /// The atoms of a named port, whatever its number.
    pub(crate) fn numbers_of(&self, name: &PortName) -> Vec<AtomId> {
        let first = Atom::Port(name.clone(), 0);
        let numbers = self.by_content.range(first..);
        numbers
            .take_while(|(atom, _)| matches!(&***atom, Atom::Port(of, _) if of == name))
            .map(|(_, id)| *id)
            .collect()
    }

    pub(crate) fn is_name_used(&self, name: &PortName) -> bool {
        self.name_users.contains_key(name)
    }

    /// The policy sets that ask it.
    pub(crate) fn users(&self, id: AtomId) -> impl Iterator<Item = &Digest> {
        let by_name = match self.get(id).map(|atom| &**atom) {
            Some(Atom::Port(name, _)) => self.name_users.get(name),
            Some(Atom::Pods(..) | Atom::Block(_)) | None => None,
        };
        self.users.get(&id).into_iter().chain(by_name).flatten()
    }

    fn forget(&mut self, id: AtomId) {
        if let Some(atom) = self.by_id.remove(&id) {
            self.by_content.remove(&atom);
        }
    }

    /// What the atoms of a set say.
    pub(crate) fn contents(&self, set: &[AtomId]) -> BTreeSet<&Atom> {
        set.iter().filter_map(|id| self.by_id.get(id)).map(|atom| &**atom).collect()
    }

    /// The atoms of a set that are still asked, as a set.
    pub(crate) fn alive(&self, atoms: impl IntoIterator<Item = AtomId>) -> AtomSet {
        let sorted: BTreeSet<AtomId> = atoms.into_iter().filter(|id| self.by_id.contains_key(id)).collect();
        sorted.into_iter().collect()
    }

    /// What a set says, sorted, whatever the numbers are.
    pub(crate) fn text(&self, set: &[AtomId]) -> String {
        self.contents(set).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    /// The digest of what a set says.
    pub(crate) fn digest(&self, set: &[AtomId]) -> Digest {
        digest(&format!("{:?}", self.contents(set)))
    }

    /// Blocks in use, in the order of their content.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (AtomId, &IpBlock)> {
        self.by_content.iter().filter_map(|(atom, id)| match &**atom {
            Atom::Block(block) => Some((*id, block)),
            Atom::Pods(..) | Atom::Port(..) => None,
        })
    }
}

/// Takes a user away; true if it was the last.
fn drop_user<K: Ord>(users: &mut BTreeMap<K, BTreeSet<Digest>>, key: &K, user: &Digest) -> bool {
    let Some(of_key) = users.get_mut(key) else { return false };
    let is_last = of_key.remove(user) && of_key.is_empty();
    if is_last {
        users.remove(key);
    }
    is_last
}
