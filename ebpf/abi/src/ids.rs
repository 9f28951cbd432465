//! Names of things that keep their number over a restart.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The first 16 bytes of the SHA-256 of a thing's canonical text.
pub type Digest = [u8; 16];

/// What an id of `IDS` numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum IdKind {
    /// The layout that the pinned maps were written with; the digest is [`crate::LAYOUT_DIGEST`].
    Layout = 1,
    /// A Service port, by `namespace/name:port-name/protocol`.
    Service = 2,
    /// A node, by name.
    Node = 3,
    /// A zone, by the value of `topology.kubernetes.io/zone`.
    Zone = 4,
    /// A class of peers, by the selectors and blocks that match it.
    Identity = 5,
    /// The policies of one direction, by direction and rules.
    Policy = 6,
    /// A port class, by ports and rules.
    PortClass = 7,
    /// A rule, by policy object, direction and index, or a default deny, by the policies that isolate.
    Rule = 8,
    /// A local pod, by namespace, name and UID.
    Pod = 9,
}

impl TryFrom<u32> for IdKind {
    type Error = u32;

    fn try_from(code: u32) -> Result<Self, u32> {
        match code {
            1 => Ok(Self::Layout),
            2 => Ok(Self::Service),
            3 => Ok(Self::Node),
            4 => Ok(Self::Zone),
            5 => Ok(Self::Identity),
            6 => Ok(Self::Policy),
            7 => Ok(Self::PortClass),
            8 => Ok(Self::Rule),
            9 => Ok(Self::Pod),
            other => Err(other),
        }
    }
}

/// Key of `IDS`: kind and digest of the content. The value is the id, a native `u32`. 20 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct IdKey {
    kind: u32,
    digest: Digest,
}

impl IdKey {
    /// The id of the `kind` whose canonical text has this digest.
    #[must_use]
    pub const fn new(kind: IdKind, digest: Digest) -> Self {
        Self { kind: kind as u32, digest }
    }

    /// The kind's code, see [`IdKind`].
    #[must_use]
    pub const fn kind_code(&self) -> u32 {
        self.kind
    }

    /// The digest.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }
}
