//! NetworkPolicy: which pods of this node are isolated, and what each peer may do, as rows of maps.
//!
//! ```text
//! policies that select a local pod ─▶ policy set ─▶ policy id ──────────┐
//!          │ selectors, blocks, named ports: atoms                      ├─▶ POLICY row ─▶ port class
//! pods ────┴─▶ atoms that hold ─▶ identity ─▶ IDENTITIES ───────────────┤
//! blocks ─────▶ regions ────────▶ identity ─▶ IDENTITY_CIDRS ───────────┘
//! ```
//!
//! An atom is one thing that a policy in use asks of a peer; the set of atoms that hold for an address is its identity.
//! Policy sets, identities and port classes are named by the digest of their content and never change: an edit makes
//! new ones. So a row of `POLICY` never changes either, and what a packet sees between two writes is the old state or
//! the new one. What was judged and may have lost a reason is judged again: its policy id gets a new revision once the
//! rows that changed are in the kernel.
//!
//! Policies only add (there is no deny), which is what makes it closed wherever something is missing: an address without
//! its row has fewer atoms, a policy id without a row for an identity has the row for any.

mod atom;
mod lookup;
mod members;
mod op;
mod peers;
mod plan;
mod ports;
mod recover;
mod region;
mod report;
mod revise;
mod rows;
mod rules;
mod select;
mod state;
mod targets;

pub use lookup::{Answer, PolicyRows, PolicyTables, identity, lookup};
pub use op::{PolicyDump, PolicyOp};
pub use rules::RuleName;
pub(crate) use state::{Dirty, Policies};

use abi::PolicyId;

/// The policy ids of a local pod: its row of `PODS` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodPolicy {
    /// For connections from the pod.
    pub egress: PolicyId,
    /// For connections to the pod.
    pub ingress: PolicyId,
}

impl PodPolicy {
    /// Nothing isolates the pod.
    pub const OPEN: Self = Self { egress: PolicyId::NONE, ingress: PolicyId::NONE };
    /// Nothing passes.
    pub const CLOSED: Self = Self { egress: PolicyId::CLOSED, ingress: PolicyId::CLOSED };

    /// Both ids.
    #[must_use]
    pub const fn ids(self) -> [PolicyId; 2] {
        [self.egress, self.ingress]
    }
}
