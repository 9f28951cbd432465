//! Addresses, ports and protocols as bytes in network order.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// An IPv4 or IPv6 address: 16 bytes in network order.
///
/// IPv4 is held in its v4-mapped form `::ffff:a.b.c.d` (RFC 4291 section 2.5.5.2), which is also what an `AF_INET6`
/// socket that dials an IPv4 peer hands to the kernel; both spellings meet in one map key.
///
/// In memory these are the sixteen bytes, held as four words of four bytes each: programs read contexts and compare
/// keys by words, and the compiler for the bpf target does not find words in a byte array again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Addr([u32; 4]);

/// The third word of every v4-mapped address.
const V4_MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

impl Addr {
    /// The IPv4 wildcard `0.0.0.0` (v4-mapped): the address of NodePort frontends of IPv4.
    pub const ANY_V4: Self = Self::v4([0, 0, 0, 0]);
    /// The IPv6 wildcard `::`: the address of NodePort frontends of IPv6.
    pub const ANY_V6: Self = Self([0; 4]);

    /// An IPv4 address from its four bytes in network order.
    #[inline]
    #[must_use]
    pub const fn v4(b: [u8; 4]) -> Self {
        Self([0, 0, V4_MAPPED, u32::from_ne_bytes(b)])
    }

    /// An address from its sixteen bytes in network order; v4-mapped bytes are an IPv4 address.
    #[inline]
    #[must_use]
    pub const fn v6(b: [u8; 16]) -> Self {
        Self([
            u32::from_ne_bytes([b[0], b[1], b[2], b[3]]),
            u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
            u32::from_ne_bytes([b[8], b[9], b[10], b[11]]),
            u32::from_ne_bytes([b[12], b[13], b[14], b[15]]),
        ])
    }

    /// An address from four words that hold network order, as socket contexts do.
    #[inline]
    #[must_use]
    pub const fn from_net_words(words: [u32; 4]) -> Self {
        Self(words)
    }

    /// The four words in network order.
    #[inline]
    #[must_use]
    pub const fn to_net_words(self) -> [u32; 4] {
        self.0
    }

    /// The sixteen bytes in network order.
    #[inline]
    #[must_use]
    pub const fn octets(self) -> [u8; 16] {
        let (a, b) = (self.0[0].to_ne_bytes(), self.0[1].to_ne_bytes());
        let (c, d) = (self.0[2].to_ne_bytes(), self.0[3].to_ne_bytes());
        [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3], d[0], d[1], d[2], d[3]]
    }

    /// Whether this is an IPv4 address (v4-mapped).
    #[inline]
    #[must_use]
    pub const fn is_v4(self) -> bool {
        self.0[0] | self.0[1] == 0 && self.0[2] == V4_MAPPED
    }

    /// Whether the kernel takes the address for this namespace's loopback: 127.0.0.0/8, `::1`, and the unspecified
    /// addresses `0.0.0.0` and `::` as a destination.
    #[inline]
    #[must_use]
    pub const fn is_loopback_or_unspecified(self) -> bool {
        let last = u32::from_be(self.0[3]);
        if self.is_v4() {
            last >> 24 == 127 || last == 0
        } else {
            self.0[0] | self.0[1] | self.0[2] == 0 && last <= 1
        }
    }

    /// The last four bytes: the IPv4 address where [`Self::is_v4`] holds.
    #[inline]
    #[must_use]
    pub const fn last4(self) -> [u8; 4] {
        self.0[3].to_ne_bytes()
    }

    /// The wildcard address of this address's family.
    #[inline]
    #[must_use]
    pub const fn any_of_family(self) -> Self {
        if self.is_v4() { Self::ANY_V4 } else { Self::ANY_V6 }
    }
}

/// In the order of the bytes: IPv6 below `::ffff:0:0`, then IPv4 by number, then the rest.
impl Ord for Addr {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.octets().cmp(&other.octets())
    }
}

impl PartialOrd for Addr {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(feature = "user")]
impl From<std::net::IpAddr> for Addr {
    fn from(ip: std::net::IpAddr) -> Self {
        match ip {
            std::net::IpAddr::V4(v4) => Self::v4(v4.octets()),
            std::net::IpAddr::V6(v6) => Self::v6(v6.octets()),
        }
    }
}

#[cfg(feature = "user")]
impl From<Addr> for std::net::IpAddr {
    fn from(addr: Addr) -> Self {
        if addr.is_v4() { Self::V4(addr.last4().into()) } else { Self::V6(addr.octets().into()) }
    }
}

#[cfg(feature = "user")]
impl std::fmt::Display for Addr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::net::IpAddr::from(*self).fmt(f)
    }
}

#[cfg(feature = "user")]
impl std::fmt::Debug for Addr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// A transport port: two bytes in network order. Zero stands for "every other port" in a frontend's key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Port(u16);

impl Port {
    /// Port 0, "every other port".
    pub const ANY: Self = Self(0);

    /// A port from its number in host order.
    #[inline]
    #[must_use]
    pub const fn new(host: u16) -> Self {
        Self(host.to_be())
    }

    /// A port from a `u16` that holds network order, as socket contexts do.
    #[inline]
    #[must_use]
    pub const fn from_net(net: u16) -> Self {
        Self(net)
    }

    /// The port as a `u16` in network order.
    #[inline]
    #[must_use]
    pub const fn to_net(self) -> u16 {
        self.0
    }

    /// The port's number in host order.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u16 {
        u16::from_be(self.0)
    }
}

/// By number.
impl Ord for Port {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.get().cmp(&other.get())
    }
}

impl PartialOrd for Port {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(feature = "user")]
impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.get(), f)
    }
}

/// An IP protocol number (IANA), one byte. Zero stands for "every protocol" in the key of an "other ports" frontend.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct Protocol(u8);

impl Protocol {
    /// Every protocol; only in the key of an "other ports" frontend.
    pub const ANY: Self = Self(0);
    /// TCP, 6.
    pub const TCP: Self = Self(6);
    /// UDP, 17.
    pub const UDP: Self = Self(17);
    /// SCTP, 132.
    pub const SCTP: Self = Self(132);

    /// A protocol from its IANA number.
    #[inline]
    #[must_use]
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// The IANA number.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

#[cfg(feature = "user")]
impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::ANY => f.write_str("any"),
            Self::TCP => f.write_str("TCP"),
            Self::UDP => f.write_str("UDP"),
            Self::SCTP => f.write_str("SCTP"),
            Self(n) => write!(f, "proto-{n}"),
        }
    }
}
