//! NetworkPolicy: identities of addresses, verdicts of policy ids, port classes, revisions.
//!
//! ```text
//! identity = IDENTITIES[peer]  else IDENTITY_CIDRS[longest prefix of peer]  else WORLD
//! row      = POLICY[policy id, identity]  else POLICY[policy id, ANY]  else closed: not programmed
//! verdict  = the row's, or for a port class PORT_CLASSES[class, protocol, port], where a miss is a deny
//! ```
//!
//! The policy id is the pod's for the direction, the peer is the other end. A row for an identity decides alone: user
//! space has folded into it what holds for any identity.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Port, Protocol, UnknownCode};

/// A class of peers that every policy in use on this node treats alike. Local to the node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct Identity(pub u32);

impl Identity {
    /// Any identity; only in keys of `POLICY`.
    pub const ANY: Self = Self(0);
    /// An address that no selector and no block in use matches.
    pub const WORLD: Self = Self(1);
    /// The smallest that is given out.
    pub const FIRST: Self = Self(2);
}

/// All policies that apply to a pod in one direction. Immutable: other rules are another id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct PolicyId(pub u32);

impl PolicyId {
    /// No policy: the pod is not isolated in this direction, and everything passes.
    pub const NONE: Self = Self(0);
    /// A policy that could not be programmed. It has no rows, so everything is denied, as not programmed.
    pub const CLOSED: Self = Self(1);
    /// The smallest that is given out.
    pub const FIRST: Self = Self(2);
}

/// A set of ports of protocols with a verdict each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct PortClassId(pub u32);

impl PortClassId {
    /// No port class.
    pub const NONE: Self = Self(0);
}

/// What decided: one rule of one policy object, or the default deny of the policies that isolate a pod.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct RuleId(pub u32);

impl RuleId {
    /// Not known: there was no number left.
    pub const NONE: Self = Self(0);
}

/// Key of `POLICY`. 8 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct PolicyKey {
    /// The pod's policy id for the direction.
    pub policy: PolicyId,
    /// The peer's identity, or [`Identity::ANY`] for the row of all that have none of their own.
    pub identity: Identity,
}

impl PolicyKey {
    /// The row of an identity.
    #[inline]
    #[must_use]
    pub const fn new(policy: PolicyId, identity: Identity) -> Self {
        Self { policy, identity }
    }

    /// The row of every identity without one.
    #[inline]
    #[must_use]
    pub const fn any(policy: PolicyId) -> Self {
        Self::new(policy, Identity::ANY)
    }
}

/// Kind of a row of `POLICY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PolicyKind {
    /// Nothing passes.
    DenyAll = 0,
    /// Everything passes, whatever protocol and port.
    AllowAll = 1,
    /// The port class decides.
    Ports = 2,
}

impl TryFrom<u8> for PolicyKind {
    type Error = UnknownCode;

    fn try_from(code: u8) -> Result<Self, UnknownCode> {
        match code {
            0 => Ok(Self::DenyAll),
            1 => Ok(Self::AllowAll),
            2 => Ok(Self::Ports),
            other => Err(UnknownCode(other)),
        }
    }
}

/// Value of `POLICY`. 12 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct PolicyValue {
    rule: RuleId,
    class: PortClassId,
    kind: u8,
    _pad: [u8; 3],
}

impl PolicyValue {
    /// Everything passes by this rule.
    #[must_use]
    pub const fn allow_all(rule: RuleId) -> Self {
        Self { rule, class: PortClassId::NONE, kind: PolicyKind::AllowAll as u8, _pad: [0; 3] }
    }

    /// Nothing passes; `rule` is the default deny.
    #[must_use]
    pub const fn deny_all(rule: RuleId) -> Self {
        Self { rule, class: PortClassId::NONE, kind: PolicyKind::DenyAll as u8, _pad: [0; 3] }
    }

    /// The port class decides; `rule` is the default deny, which a port has that the class does not name.
    #[must_use]
    pub const fn ports(class: PortClassId, rule: RuleId) -> Self {
        Self { rule, class, kind: PolicyKind::Ports as u8, _pad: [0; 3] }
    }

    /// What decides, see the constructors.
    #[inline]
    #[must_use]
    pub const fn rule(&self) -> RuleId {
        self.rule
    }

    /// The port class; [`PortClassId::NONE`] unless the kind is [`PolicyKind::Ports`].
    #[inline]
    #[must_use]
    pub const fn class(&self) -> PortClassId {
        self.class
    }

    /// The kind's code, see [`PolicyKind`]. One that is unknown denies.
    #[inline]
    #[must_use]
    pub const fn kind_code(&self) -> u8 {
        self.kind
    }
}

/// Key of `PORT_CLASSES` (LPM trie): a prefix of port numbers of a protocol in a class. 12 bytes.
///
/// The prefix length counts class, protocol, the zero byte behind it, and then bits of the port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct PortClassKey {
    prefix_len: u32,
    class: PortClassId,
    protocol: Protocol,
    _pad: u8,
    port: Port,
}

impl PortClassKey {
    /// Bits before the port.
    pub const FIXED_BITS: u32 = 48;

    /// The ports whose first `port_bits` bits (0..=16) are those of `port`; the bits of `port` behind them are zero.
    #[inline]
    #[must_use]
    pub const fn new(class: PortClassId, protocol: Protocol, port: Port, port_bits: u32) -> Self {
        Self { prefix_len: Self::FIXED_BITS + port_bits, class, protocol, _pad: 0, port }
    }

    /// The key that finds the longest prefix of `port`. Protocols without ports have port 0.
    #[inline]
    #[must_use]
    pub const fn lookup(class: PortClassId, protocol: Protocol, port: Port) -> Self {
        Self::new(class, protocol, port, 16)
    }

    /// Bits that the prefix fixes, of class, protocol, zero byte and port.
    #[inline]
    #[must_use]
    pub const fn prefix_len(&self) -> u32 {
        self.prefix_len
    }

    /// The key without its length, as a trie compares it.
    #[inline]
    #[must_use]
    pub const fn data(&self) -> [u8; 8] {
        let [a, b, c, d] = self.class.0.to_ne_bytes();
        let [high, low] = self.port.to_net().to_ne_bytes();
        [a, b, c, d, self.protocol.get(), 0, high, low]
    }

    /// The class.
    #[must_use]
    pub const fn class(&self) -> PortClassId {
        self.class
    }

    /// The protocol.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The first port of the prefix.
    #[must_use]
    pub const fn port(&self) -> Port {
        self.port
    }

    /// Bits of the port that the prefix fixes, 0..=16.
    #[must_use]
    pub const fn port_bits(&self) -> u32 {
        self.prefix_len.saturating_sub(Self::FIXED_BITS)
    }
}

/// Value of `PORT_CLASSES`. 8 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct PortClassValue {
    rule: RuleId,
    verdict: u8,
    _pad: [u8; 3],
}

impl PortClassValue {
    /// Denied.
    pub const DENY: u8 = 0;
    /// Allowed.
    pub const ALLOW: u8 = 1;

    /// These ports pass by this rule.
    #[must_use]
    pub const fn allow(rule: RuleId) -> Self {
        Self { rule, verdict: Self::ALLOW, _pad: [0; 3] }
    }

    /// These ports are denied by this rule.
    #[must_use]
    pub const fn deny(rule: RuleId) -> Self {
        Self { rule, verdict: Self::DENY, _pad: [0; 3] }
    }

    /// What decides.
    #[inline]
    #[must_use]
    pub const fn rule(&self) -> RuleId {
        self.rule
    }

    /// Whether the ports pass; a code that is unknown denies.
    #[inline]
    #[must_use]
    pub const fn is_allow(&self) -> bool {
        self.verdict == Self::ALLOW
    }
}

/// Value of `POLICY_REVISION`: a number that no policy id of this node had before. 8 bytes.
///
/// A flow's leg carries the revision of the policy id that judged it; another one now means judge again. It is to be
/// read before the rows that it stands for. [`PolicyId::NONE`] has zero, [`PolicyId::CLOSED`] one.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct PolicyRevision(pub u64);

impl PolicyRevision {
    /// Of [`PolicyId::CLOSED`].
    pub const CLOSED: Self = Self(1);
    /// No policy's: what a flow's leg has that nobody has judged yet.
    pub const UNJUDGED: Self = Self(u64::MAX);
}
