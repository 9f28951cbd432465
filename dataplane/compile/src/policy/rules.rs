//! All policies of a pod in one direction as one list of rules, and what they say of one peer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use abi::Digest;
use model::{
    Direction, NetworkPolicy, ObjectName, Peer, PeerNamespaces, Pod, PolicyRule, PortMatch, Protocol,
};

use super::atom::{Atom, PortName, Scope};
use super::ports::{Interval, flatten};
use crate::key::digest;

/// What decided: the name behind a rule id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RuleName {
    /// A rule of a policy object.
    Rule {
        /// The object.
        policy: ObjectName,
        /// Direction.
        direction: Direction,
        /// Index in the object's list of the direction.
        index: u32,
    },
    /// No rule: these policies isolate the pod, and none allows.
    Default {
        /// Direction.
        direction: Direction,
        /// The objects.
        policies: Arc<[ObjectName]>,
    },
}

impl RuleName {
    pub(crate) fn digest(&self) -> Digest {
        digest(&format!("{self:?}"))
    }

    /// The policy objects that it names.
    #[must_use]
    pub fn policies(&self) -> &[ObjectName] {
        match self {
            Self::Rule { policy, .. } => std::slice::from_ref(policy),
            Self::Default { policies, .. } => policies,
        }
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule { policy, direction, index } => write!(f, "{policy} {direction}[{index}]"),
            Self::Default { direction, policies } => {
                write!(f, "{direction} default of {}", names(policies))
            }
        }
    }
}

pub(crate) fn names(policies: &[ObjectName]) -> String {
    policies.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// The content of a policy id: it never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PolicySet {
    pub(crate) direction: Direction,
    /// Objects that isolate, in the order of their names.
    pub(crate) policies: Arc<[ObjectName]>,
    rules: Vec<SetRule>,
    /// Numbers of the target's named ports that rules for ingress ask for.
    pub(crate) target_ports: BTreeMap<PortName, u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct SetRule {
    /// Index in `policies`.
    policy: usize,
    index: u32,
    peers: Option<Vec<Atom>>,
    ports: Option<Vec<SetPort>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum SetPort {
    Range(Protocol, u16, u16),
    /// Of the peer.
    Named(PortName),
}

/// What a policy set says of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flat {
    Deny,
    /// By the rule at this place of the set.
    AllowAll(usize),
    /// Sorted, not overlapping, at least one; the value is the rule's place.
    Ports(Vec<Interval<usize>>),
}

impl PolicySet {
    /// The set of the policies of a pod in a direction, if there is one.
    pub(crate) fn of_pod<'a>(
        pod: &Pod,
        direction: Direction,
        policies: impl Iterator<Item = &'a Arc<NetworkPolicy>>,
    ) -> Option<Self> {
        let isolating: Vec<&Arc<NetworkPolicy>> =
            policies.filter(|p| p.rules(direction).is_some() && p.pods.matches(&pod.labels)).collect();
        if isolating.is_empty() {
            return None;
        }
        let mut set = Self {
            direction,
            policies: isolating.iter().map(|policy| policy.name.clone()).collect(),
            rules: Vec::new(),
            target_ports: BTreeMap::new(),
        };
        for (i, policy) in isolating.iter().enumerate() {
            for (index, rule) in (0u32..).zip(policy.rules(direction).into_iter().flat_map(|r| r.iter())) {
                let peers = rule.peers.as_ref().map(|peers| {
                    let each = peers.iter().map(|peer| atom_of(peer, &policy.name.namespace));
                    each.collect()
                });
                let ports = set.ports(rule, pod);
                set.rules.push(SetRule { policy: i, index, peers, ports });
            }
        }
        Some(set)
    }

    fn ports(&mut self, rule: &PolicyRule, pod: &Pod) -> Option<Vec<SetPort>> {
        let ports = rule.ports.as_ref()?;
        let each = ports.iter().filter_map(|port| match &port.ports {
            PortMatch::All => Some(SetPort::Range(port.protocol, 0, u16::MAX)),
            PortMatch::Range(first, last) => Some(SetPort::Range(port.protocol, *first, *last)),
            PortMatch::Named(name) => {
                let name = (Arc::clone(name), port.protocol);
                match self.direction {
                    Direction::Egress => Some(SetPort::Named(name)),
                    Direction::Ingress => {
                        let number = *pod.named_ports.get(&name)?;
                        self.target_ports.insert(name, number);
                        Some(SetPort::Range(port.protocol, number, number))
                    }
                }
            }
        });
        Some(each.collect())
    }

    pub(crate) fn digest(&self) -> Digest {
        digest(&format!("{self:?}"))
    }

    /// Every selector and block that rules ask.
    pub(crate) fn atoms(&self) -> BTreeSet<&Atom> {
        self.rules.iter().flat_map(|rule| rule.peers.iter().flatten()).collect()
    }

    /// Every named port of peers that rules ask.
    pub(crate) fn names(&self) -> BTreeSet<&PortName> {
        let ports = self.rules.iter().flat_map(|rule| rule.ports.iter().flatten());
        ports
            .filter_map(|port| match port {
                SetPort::Named(name) => Some(name),
                SetPort::Range(..) => None,
            })
            .collect()
    }

    /// The names of the rules by their place, and of the default behind them.
    pub(crate) fn rule_names(&self) -> (Vec<RuleName>, RuleName) {
        let rules = self.rules.iter().map(|rule| RuleName::Rule {
            policy: self.policies[rule.policy].clone(),
            direction: self.direction,
            index: rule.index,
        });
        let policies = Arc::clone(&self.policies);
        (rules.collect(), RuleName::Default { direction: self.direction, policies })
    }

    /// What the set says of a peer for which exactly the atoms of `peer`
    /// hold; of the empty set, what it says of any.
    pub(crate) fn flatten(&self, peer: &BTreeSet<&Atom>) -> Flat {
        let mut ports = Vec::new();
        for (at, rule) in self.rules.iter().enumerate() {
            let is_meant = rule.peers.as_ref().is_none_or(|peers| peers.iter().any(|a| peer.contains(a)));
            if !is_meant {
                continue;
            }
            let Some(of_rule) = &rule.ports else { return Flat::AllowAll(at) };
            for port in of_rule {
                match port {
                    SetPort::Range(protocol, first, last) => {
                        ports.push(Interval { protocol: *protocol, first: *first, last: *last, value: at });
                    }
                    SetPort::Named(name) => {
                        let numbers = peer.iter().filter_map(|atom| match atom {
                            Atom::Port(of, number) if of == name => Some(*number),
                            Atom::Pods(..) | Atom::Block(_) | Atom::Port(..) => None,
                        });
                        ports.extend(numbers.map(|number| Interval {
                            protocol: name.1,
                            first: number,
                            last: number,
                            value: at,
                        }));
                    }
                }
            }
        }
        let ports = flatten(ports);
        if ports.is_empty() { Flat::Deny } else { Flat::Ports(ports) }
    }
}

/// Direction and objects, and the numbers that named ports of the target have.
impl fmt::Display for PolicySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.direction, names(&self.policies))?;
        for ((name, protocol), number) in &self.target_ports {
            write!(f, " {name}/{protocol}={number}")?;
        }
        Ok(())
    }
}

fn atom_of(peer: &Peer, namespace: &Arc<str>) -> Atom {
    match peer {
        Peer::Pods { namespaces: PeerNamespaces::Own, pods } => {
            Atom::Pods(Scope::Namespace(Arc::clone(namespace)), pods.clone())
        }
        Peer::Pods { namespaces: PeerNamespaces::Matching(namespaces), pods } => {
            Atom::Pods(Scope::Matching(namespaces.clone()), pods.clone())
        }
        Peer::Block(block) => Atom::Block(block.clone()),
    }
}
