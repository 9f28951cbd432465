//! Writes to the maps of NetworkPolicy, and the maps' content as values.

use std::collections::BTreeMap;

use abi::{
    Addr, CidrKey, Identity, PolicyId, PolicyKey, PolicyRevision, PolicyValue, PortClassKey, PortClassValue,
};

/// One write. Writing what is there already, and deleting what is absent, succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyOp {
    /// `IDENTITIES` insert or replace.
    PutIdentity(Addr, Identity),
    /// `IDENTITIES` delete.
    DeleteIdentity(Addr),
    /// `IDENTITY_CIDRS` inserts or replacements **in this order, up to the first that fails**: a prefix comes after those
    /// inside it, lest a hole be open before it is there.
    PutIdentityCidrs(Vec<(CidrKey, Identity)>),
    /// `IDENTITY_CIDRS` delete.
    DeleteIdentityCidr(CidrKey),
    /// `POLICY` insert or replace.
    PutVerdict(PolicyKey, PolicyValue),
    /// `POLICY` delete.
    DeleteVerdict(PolicyKey),
    /// `PORT_CLASSES` insert or replace.
    PutPortClass(PortClassKey, PortClassValue),
    /// `PORT_CLASSES` delete.
    DeletePortClass(PortClassKey),
    /// `POLICY_REVISION` store.
    PutRevision(PolicyId, PolicyRevision),
}

impl PolicyOp {
    /// Whether it makes room.
    pub(crate) const fn is_delete(&self) -> bool {
        match self {
            Self::DeleteIdentity(_)
            | Self::DeleteIdentityCidr(_)
            | Self::DeleteVerdict(_)
            | Self::DeletePortClass(_) => true,
            Self::PutIdentity(..)
            | Self::PutIdentityCidrs(_)
            | Self::PutVerdict(..)
            | Self::PutPortClass(..)
            | Self::PutRevision(..) => false,
        }
    }

    /// The map that it goes to.
    #[must_use]
    pub const fn map(&self) -> &'static str {
        match self {
            Self::PutIdentity(..) | Self::DeleteIdentity(_) => "IDENTITIES",
            Self::PutIdentityCidrs(_) | Self::DeleteIdentityCidr(_) => "IDENTITY_CIDRS",
            Self::PutVerdict(..) | Self::DeleteVerdict(_) => "POLICY",
            Self::PutPortClass(..) | Self::DeletePortClass(_) => "PORT_CLASSES",
            Self::PutRevision(..) => "POLICY_REVISION",
        }
    }
}

/// The maps of NetworkPolicy. Elements of the array that are zero are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyDump {
    /// `IDENTITIES`.
    pub identities: BTreeMap<Addr, Identity>,
    /// `IDENTITY_CIDRS`.
    pub identity_cidrs: BTreeMap<CidrKey, Identity>,
    /// `POLICY`.
    pub verdicts: BTreeMap<PolicyKey, PolicyValue>,
    /// `PORT_CLASSES`.
    pub port_classes: BTreeMap<PortClassKey, PortClassValue>,
    /// `POLICY_REVISION`, used elements: of free ids too, lest a revision come back.
    pub revisions: BTreeMap<PolicyId, PolicyRevision>,
}

impl PolicyDump {
    /// Does what the kernel does with one write.
    pub fn apply(&mut self, op: &PolicyOp) {
        match op {
            PolicyOp::PutIdentity(addr, identity) => drop(self.identities.insert(*addr, *identity)),
            PolicyOp::DeleteIdentity(addr) => drop(self.identities.remove(addr)),
            PolicyOp::PutIdentityCidrs(rows) => self.identity_cidrs.extend(rows.iter().copied()),
            PolicyOp::DeleteIdentityCidr(key) => drop(self.identity_cidrs.remove(key)),
            PolicyOp::PutVerdict(key, value) => drop(self.verdicts.insert(*key, *value)),
            PolicyOp::DeleteVerdict(key) => drop(self.verdicts.remove(key)),
            PolicyOp::PutPortClass(key, value) => drop(self.port_classes.insert(*key, *value)),
            PolicyOp::DeletePortClass(key) => drop(self.port_classes.remove(key)),
            PolicyOp::PutRevision(id, revision) => drop(self.revisions.insert(*id, *revision)),
        }
    }
}
