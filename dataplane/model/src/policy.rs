//! NetworkPolicies.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::{ObjectName, Protocol, Selector};

/// A networking.k8s.io/v1 NetworkPolicy.
///
/// It fails closed: what could not be read of it allows nothing, and what it may isolate is isolated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// Namespace and name.
    pub name: ObjectName,
    /// The pods of its namespace that it applies to.
    pub pods: Selector,
    /// Rules for connections to the pods; `None` leaves that direction alone, an empty list allows nothing.
    pub ingress: Option<Arc<[PolicyRule]>>,
    /// Rules for connections from the pods, as for ingress.
    pub egress: Option<Arc<[PolicyRule]>>,
}

impl NetworkPolicy {
    /// The rules of a direction, if the policy isolates in it.
    #[must_use]
    pub fn rules(&self, direction: Direction) -> Option<&Arc<[PolicyRule]>> {
        match direction {
            Direction::Ingress => self.ingress.as_ref(),
            Direction::Egress => self.egress.as_ref(),
        }
    }
}

/// The direction of connections, seen from the pod that a policy selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// To the pod.
    Ingress,
    /// From the pod.
    Egress,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ingress, Self::Egress];

    /// The word in tables and rule names.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A rule: one of the peers and one of the ports. Rules keep their place in the object, also those that allow nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyRule {
    /// The other ends; `None` is anybody, an empty list nobody.
    pub peers: Option<Vec<Peer>>,
    /// The destination's ports; `None` is every port of every protocol, an empty list none.
    pub ports: Option<Vec<PolicyPort>>,
}

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// Pods by label.
    Pods {
        /// Their namespaces.
        namespaces: PeerNamespaces,
        /// The pods in them.
        pods: Selector,
    },
    /// Addresses.
    Block(IpBlock),
}

/// Namespaces of a peer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerNamespaces {
    /// The policy's own.
    Own,
    /// Those whose labels match.
    Matching(Selector),
}

/// A prefix without some prefixes inside it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpBlock {
    /// The prefix, without host bits.
    pub cidr: IpNet,
    /// Holes: prefixes inside it, without host bits, sorted, none inside another.
    pub except: Vec<IpNet>,
}

impl IpBlock {
    /// Whether an address is in the prefix and in no hole.
    #[must_use]
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.cidr.contains(&addr) && !self.except.iter().any(|hole| hole.contains(&addr))
    }
}

impl fmt::Display for IpBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cidr.fmt(f)?;
        for (i, hole) in self.except.iter().enumerate() {
            write!(f, "{}{hole}", if i == 0 { " except " } else { "," })?;
        }
        Ok(())
    }
}

/// Ports of a protocol.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyPort {
    /// The protocol.
    pub protocol: Protocol,
    /// Which of its ports.
    pub ports: PortMatch,
}

/// Which ports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PortMatch {
    /// Every one.
    All,
    /// From the first to the last, both included (`endPort`, KEP-2079).
    Range(u16, u16),
    /// The one that the destination pod's containers give this name, for the protocol.
    Named(Arc<str>),
}
