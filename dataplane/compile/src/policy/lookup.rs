//! The look-up of the packet programs as a function: what the maps say of a packet. `ferrule explain` and tests use it.

use std::collections::BTreeMap;
use std::convert::Infallible;

use abi::{
    Addr, CidrKey, Identity, PolicyId, PolicyKey, PolicyKind, PolicyValue, Port, PortClassId, PortClassKey,
    PortClassValue, Protocol, RuleId,
};

use super::op::PolicyDump;
use super::region::longest;

/// Where the rows are read: one look-up a map, each as programs do it. Rows in user space ([`PolicyRows`]) and the
/// kernel's maps both have it, so that one function asks both.
pub trait PolicyTables {
    /// Why a map cannot be read.
    type Error;

    /// `IDENTITIES`: of a pod's address.
    ///
    /// # Errors
    ///
    /// The map cannot be read.
    fn identity(&self, addr: Addr) -> Result<Option<Identity>, Self::Error>;

    /// `IDENTITY_CIDRS`: of the longest prefix that contains an address.
    ///
    /// # Errors
    ///
    /// The map cannot be read.
    fn identity_of_block(&self, addr: Addr) -> Result<Option<Identity>, Self::Error>;

    /// `POLICY`.
    ///
    /// # Errors
    ///
    /// The map cannot be read.
    fn verdict(&self, key: PolicyKey) -> Result<Option<PolicyValue>, Self::Error>;

    /// `PORT_CLASSES`: the longest prefix of a port.
    ///
    /// # Errors
    ///
    /// The map cannot be read.
    fn ports(
        &self,
        class: PortClassId,
        protocol: Protocol,
        port: Port,
    ) -> Result<Option<PortClassValue>, Self::Error>;
}

/// Rows in user space: of a dump, or those that the maps are to have.
#[derive(Clone, Copy, Debug)]
pub struct PolicyRows<'a> {
    pub(super) identities: &'a BTreeMap<Addr, Identity>,
    pub(super) identity_cidrs: &'a BTreeMap<CidrKey, Identity>,
    pub(super) verdicts: &'a BTreeMap<PolicyKey, PolicyValue>,
    pub(super) port_classes: &'a BTreeMap<PortClassKey, PortClassValue>,
}

impl PolicyDump {
    /// The rows, for [`lookup`].
    #[must_use]
    pub fn rows(&self) -> PolicyRows<'_> {
        PolicyRows {
            identities: &self.identities,
            identity_cidrs: &self.identity_cidrs,
            verdicts: &self.verdicts,
            port_classes: &self.port_classes,
        }
    }
}

impl PolicyTables for PolicyRows<'_> {
    type Error = Infallible;

    fn identity(&self, addr: Addr) -> Result<Option<Identity>, Infallible> {
        Ok(self.identities.get(&addr).copied())
    }

    fn identity_of_block(&self, addr: Addr) -> Result<Option<Identity>, Infallible> {
        Ok(longest(self.identity_cidrs, 0..129, addr).copied())
    }

    fn verdict(&self, key: PolicyKey) -> Result<Option<PolicyValue>, Infallible> {
        Ok(self.verdicts.get(&key).copied())
    }

    fn ports(
        &self,
        class: PortClassId,
        protocol: Protocol,
        port: Port,
    ) -> Result<Option<PortClassValue>, Infallible> {
        Ok((0..=16u32).rev().find_map(|bits| {
            let mask = u16::MAX.checked_shl(16 - bits).unwrap_or(0);
            let key = PortClassKey::new(class, protocol, Port::new(port.get() & mask), bits);
            self.port_classes.get(&key).copied()
        }))
    }
}

/// What the maps say of one direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The pod has no policy in this direction.
    NotIsolated,
    /// A rule allows it.
    Allowed(RuleId),
    /// A rule or the default denies it.
    Denied(RuleId),
    /// The policy is not in the maps, so it is denied.
    NotProgrammed,
}

impl Answer {
    /// Whether the packet passes.
    #[must_use]
    pub const fn passes(self) -> bool {
        match self {
            Self::NotIsolated | Self::Allowed(_) => true,
            Self::Denied(_) | Self::NotProgrammed => false,
        }
    }
}

/// The identity of an address: of a pod, else of the longest prefix, else the world's.
///
/// # Errors
///
/// A map cannot be read.
pub fn identity<T: PolicyTables + ?Sized>(tables: &T, addr: Addr) -> Result<Identity, T::Error> {
    if let Some(identity) = tables.identity(addr)? {
        return Ok(identity);
    }
    Ok(tables.identity_of_block(addr)?.unwrap_or(Identity::WORLD))
}

/// What the policy id of a pod's direction says of a packet. `peer` is the other end, `port` the destination's; protocols
/// without ports have port 0.
///
/// # Errors
///
/// A map cannot be read.
pub fn lookup<T: PolicyTables + ?Sized>(
    tables: &T,
    policy: PolicyId,
    peer: Addr,
    protocol: Protocol,
    port: Port,
) -> Result<Answer, T::Error> {
    if policy == PolicyId::NONE {
        return Ok(Answer::NotIsolated);
    }
    let exact = tables.verdict(PolicyKey::new(policy, identity(tables, peer)?))?;
    let row = match exact {
        Some(row) => Some(row),
        None => tables.verdict(PolicyKey::any(policy))?,
    };
    let Some(row) = row else { return Ok(Answer::NotProgrammed) };
    Ok(match PolicyKind::try_from(row.kind_code()) {
        Ok(PolicyKind::AllowAll) => Answer::Allowed(row.rule()),
        Ok(PolicyKind::DenyAll) | Err(_) => Answer::Denied(row.rule()),
        Ok(PolicyKind::Ports) => match tables.ports(row.class(), protocol, port)? {
            Some(value) if value.is_allow() => Answer::Allowed(value.rule()),
            Some(value) => Answer::Denied(value.rule()),
            None => Answer::Denied(row.rule()),
        },
    })
}
