//! The addresses of a packet test's cluster.
//!
//! ```text
//! client 203.0.113.i ── router 192.0.2.1 ── outer │ node 192.0.2.10, 172.31.0.10 │ pod 1, 2 ── 10.244.1.1, .2
//! pods of others 10.244.2.i, behind a narrow path 10.244.3.i ── router 172.31.0.2 ── inner │
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The family of a test's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Net {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Net {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The node's address on the outer uplink, where NodePorts answer.
    pub fn node(self) -> IpAddr {
        self.either([192, 0, 2, 10], [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10])
    }

    /// The node's address on the inner uplink: the source of what is masqueraded toward the pods of others. NodePorts
    /// do not answer.
    pub fn inner_node(self) -> IpAddr {
        self.either([172, 31, 0, 10], [0xfd00, 0x172, 0x31, 0, 0, 0, 0, 0x10])
    }

    /// The router of the outer uplink.
    pub fn router(self) -> IpAddr {
        self.either([192, 0, 2, 1], [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1])
    }

    /// The router of the inner uplink.
    pub fn inner_router(self) -> IpAddr {
        self.either([172, 31, 0, 2], [0xfd00, 0x172, 0x31, 0, 0, 0, 0, 2])
    }

    /// A host outside.
    pub fn client(self, i: u8) -> IpAddr {
        self.either([203, 0, 113, i], [0x2001, 0xdb8, 0x113, 0, 0, 0, 0, u16::from(i)])
    }

    /// A pod of this node: 1 and 2 have interfaces.
    pub fn pod(self, i: u8) -> IpAddr {
        self.either([10, 244, 1, i], [0xfd00, 0x244, 0, 1, 0, 0, 0, u16::from(i)])
    }

    /// A pod of another node.
    pub fn remote(self, i: u8) -> IpAddr {
        self.either([10, 244, 2, i], [0xfd00, 0x244, 0, 2, 0, 0, 0, u16::from(i)])
    }

    /// A pod of another node, on a path that takes [`NARROW_MTU`] bytes.
    pub fn narrow(self, i: u8) -> IpAddr {
        self.either([10, 244, 3, i], [0xfd00, 0x244, 0, 3, 0, 0, 0, u16::from(i)])
    }

    /// An address that no route leads to.
    pub fn nowhere(self) -> IpAddr {
        self.either([10, 99, 0, 1], [0xfd00, 0x99, 0, 0, 0, 0, 0, 1])
    }

    /// A service address.
    pub fn vip(self, i: u8) -> IpAddr {
        self.either([10, 96, 0, i], [0xfd00, 0x96, 0, 0, 0, 0, 0, u16::from(i)])
    }

    /// The unspecified address.
    pub fn unspecified(self) -> IpAddr {
        self.either([0; 4], [0; 8])
    }

    /// Bytes of a network header without options and extensions.
    pub fn header(self) -> usize {
        match self {
            Self::V4 => 20,
            Self::V6 => 40,
        }
    }

    /// Bits of a prefix's length in the abi's form of addresses, where IPv4 is behind 96 others.
    pub fn bits(self, v4: u32, v6: u32) -> u32 {
        match self {
            Self::V4 => 96 + v4,
            Self::V6 => v6,
        }
    }

    /// One of two, by family.
    pub fn pick<T>(self, v4: T, v6: T) -> T {
        match self {
            Self::V4 => v4,
            Self::V6 => v6,
        }
    }

    fn either(self, v4: [u8; 4], v6: [u16; 8]) -> IpAddr {
        self.pick(Ipv4Addr::from(v4).into(), Ipv6Addr::from(v6).into())
    }
}

/// The longest packet on the path to [`Net::narrow`], in bytes; the links take [`LINK_MTU`].
pub const NARROW_MTU: u32 = 1400;
/// What links take, in bytes.
pub const LINK_MTU: u32 = 1500;
