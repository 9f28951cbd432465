//! The addresses of a test's little cluster.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use abi::{Addr, Port};

/// Addresses that the test's namespace has on loopback: pods, and two of the node's own.
pub const LOCAL_V4: [Ipv4Addr; 5] = [
    Ipv4Addr::new(10, 244, 1, 1),
    Ipv4Addr::new(10, 244, 1, 2),
    Ipv4Addr::new(10, 244, 1, 3),
    Ipv4Addr::new(192, 0, 2, 10),
    Ipv4Addr::new(192, 0, 2, 11),
];

/// The same for IPv6.
pub const LOCAL_V6: [Ipv6Addr; 5] = [
    Ipv6Addr::new(0xfd00, 0x244, 0, 0, 0, 0, 1, 1),
    Ipv6Addr::new(0xfd00, 0x244, 0, 0, 0, 0, 1, 2),
    Ipv6Addr::new(0xfd00, 0x244, 0, 0, 0, 0, 1, 3),
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10),
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x11),
];

/// How a client dials: the two families, and an `AF_INET6` socket that dials an IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `AF_INET`.
    V4,
    /// `AF_INET6`.
    V6,
    /// `AF_INET6` to `::ffff:a.b.c.d`.
    Mapped,
}

impl Family {
    /// All ways.
    pub const ALL: [Self; 3] = [Self::V4, Self::V6, Self::Mapped];

    /// The kernel's number of the socket's family.
    pub fn domain(self) -> i32 {
        match self {
            Self::V4 => libc::AF_INET,
            Self::V6 | Self::Mapped => libc::AF_INET6,
        }
    }

    /// The address of pod `i`, 0 to 2, as servers bind it.
    pub fn pod(self, i: usize) -> IpAddr {
        self.local(i)
    }

    /// The node's first address: NodePorts answer here once the test says so. Spelled as clients dial it.
    pub fn node(self) -> IpAddr {
        self.spelled(self.local(3))
    }

    /// Another address of the node's, where NodePorts do not answer. Spelled as clients dial it.
    pub fn other_node(self) -> IpAddr {
        self.spelled(self.local(4))
    }

    /// The `i`th service address, as clients dial it. Nobody has it: it exists only through the programs.
    pub fn vip(self, i: u8) -> IpAddr {
        self.spelled(match self {
            Self::V4 | Self::Mapped => IpAddr::V4(Ipv4Addr::new(10, 96, 0, i)),
            Self::V6 => IpAddr::V6(Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, u16::from(i))),
        })
    }

    /// Loopback, as clients dial it.
    pub fn loopback(self) -> IpAddr {
        self.spelled(match self {
            Self::V4 | Self::Mapped => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Self::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
        })
    }

    /// The unspecified address, as clients dial it.
    pub fn unspecified(self) -> IpAddr {
        self.spelled(match self {
            Self::V4 | Self::Mapped => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        })
    }

    /// The unspecified address of the socket's own family: binds to any address.
    pub fn any(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::V6 | Self::Mapped => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }

    /// An address as a client of this kind dials it and is shown it.
    pub fn as_dialled(self, addr: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.spelled(addr.ip()), addr.port())
    }

    fn local(self, i: usize) -> IpAddr {
        match self {
            Self::V4 | Self::Mapped => LOCAL_V4[i].into(),
            Self::V6 => LOCAL_V6[i].into(),
        }
    }

    fn spelled(self, ip: IpAddr) -> IpAddr {
        match (self, ip) {
            (Self::Mapped, IpAddr::V4(v4)) => v4.to_ipv6_mapped().into(),
            (Self::V4 | Self::V6 | Self::Mapped, ip) => ip,
        }
    }
}

/// The abi's form of a socket address.
pub fn abi_of(addr: SocketAddr) -> (Addr, Port) {
    (addr.ip().into(), Port::new(addr.port()))
}
