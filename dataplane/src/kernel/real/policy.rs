//! The maps of NetworkPolicy.

use std::os::fd::OwnedFd;

use abi::{
    Addr, CidrKey, Identity, PolicyId, PolicyKey, PolicyRevision, PolicyValue, PortClassKey, PortClassValue,
};
use compile::PolicyLimits;
use compile::policy::{PolicyDump, PolicyOp};

use super::maps::Table;
use crate::kernel::KernelError;

/// Handles on the five maps.
pub(super) struct PolicyMaps {
    identities: Table<Addr, Identity>,
    identity_cidrs: Table<CidrKey, Identity>,
    verdicts: Table<PolicyKey, PolicyValue>,
    port_classes: Table<PortClassKey, PortClassValue>,
    revisions: Table<PolicyId, PolicyRevision>,
}

impl PolicyMaps {
    pub(super) fn open(
        open: impl Fn(&'static str) -> Result<OwnedFd, KernelError>,
    ) -> Result<Self, KernelError> {
        Ok(Self {
            identities: Table::new("IDENTITIES", open("IDENTITIES")?)?,
            identity_cidrs: Table::new("IDENTITY_CIDRS", open("IDENTITY_CIDRS")?)?,
            verdicts: Table::new("POLICY", open("POLICY")?)?,
            port_classes: Table::new("PORT_CLASSES", open("PORT_CLASSES")?)?,
            revisions: Table::new("POLICY_REVISION", open("POLICY_REVISION")?)?,
        })
    }

    /// The maxima of the maps as they are, in place of those of `configured`.
    pub(super) fn limits(&self, configured: &PolicyLimits) -> PolicyLimits {
        PolicyLimits {
            identities: self.identities.max_entries(),
            identity_cidrs: self.identity_cidrs.max_entries(),
            verdicts: self.verdicts.max_entries(),
            port_classes: self.port_classes.max_entries(),
            policies: self.revisions.max_entries(),
            rules: configured.rules,
        }
    }

    pub(super) fn apply(&self, op: &PolicyOp) -> Result<(), KernelError> {
        match op {
            PolicyOp::PutIdentity(addr, identity) => self.identities.put(addr, identity),
            PolicyOp::DeleteIdentity(addr) => self.identities.delete(addr),
            PolicyOp::PutIdentityCidrs(rows) => {
                rows.iter().try_for_each(|(cidr, identity)| self.identity_cidrs.put(cidr, identity))
            }
            PolicyOp::DeleteIdentityCidr(cidr) => self.identity_cidrs.delete(cidr),
            PolicyOp::PutVerdict(key, value) => self.verdicts.put(key, value),
            PolicyOp::DeleteVerdict(key) => self.verdicts.delete(key),
            PolicyOp::PutPortClass(key, value) => self.port_classes.put(key, value),
            PolicyOp::DeletePortClass(key) => self.port_classes.delete(key),
            PolicyOp::PutRevision(id, revision) => self.revisions.put(id, revision),
        }
    }

    pub(super) fn dump(&self) -> Result<PolicyDump, KernelError> {
        let mut dump = PolicyDump::default();
        self.identities.for_each(|addr, identity| {
            dump.identities.insert(addr, identity);
        })?;
        self.identity_cidrs.for_each(|cidr, identity| {
            dump.identity_cidrs.insert(cidr, identity);
        })?;
        self.verdicts.for_each(|key, value| {
            dump.verdicts.insert(key, value);
        })?;
        self.port_classes.for_each(|key, value| {
            dump.port_classes.insert(key, value);
        })?;
        self.revisions.for_each(|id, revision| {
            if revision != PolicyRevision::default() {
                dump.revisions.insert(id, revision);
            }
        })?;
        Ok(dump)
    }
}
