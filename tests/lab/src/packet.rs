//! Packets as bytes: read, checked and built by plain arithmetic that shares nothing with the programs under test.

mod build;
mod checksum;
mod view;

use std::fmt;

pub use build::Build;
pub use checksum::{BadChecksum, bad_checksums, seal};
pub use view::{Body, Frame, Packet, TcpFlags};

/// Protocol numbers of IANA's registry, those of IPv6's extension headers included.
pub(crate) mod protocol {
    pub(crate) const HOP_BY_HOP: u8 = 0;
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const ROUTING: u8 = 43;
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const ICMP_V6: u8 = 58;
    pub(crate) const DESTINATION_OPTIONS: u8 = 60;
}

/// Types and codes of ICMP errors (RFC 792, RFC 1191, RFC 4443).
pub(crate) mod icmp {
    pub(crate) const UNREACHABLE: u8 = 3;
    pub(crate) const PORT_UNREACHABLE: u8 = 3;
    pub(crate) const FRAGMENTATION_NEEDED: u8 = 4;
    pub(crate) const TIME_EXCEEDED: u8 = 11;
    pub(crate) const PARAMETER_PROBLEM: u8 = 12;
    pub(crate) const V6_UNREACHABLE: u8 = 1;
    pub(crate) const V6_PORT_UNREACHABLE: u8 = 4;
    pub(crate) const V6_TOO_BIG: u8 = 2;
    pub(crate) const V6_TIME_EXCEEDED: u8 = 3;
    /// The first type of ICMPv6 that is no error.
    pub(crate) const V6_FIRST_INFORMATIONAL: u8 = 128;
}

/// Hardware address of an Ethernet device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl TryFrom<Vec<u8>> for Mac {
    type Error = Vec<u8>;

    fn try_from(bytes: Vec<u8>) -> Result<Self, Self::Error> {
        bytes.try_into().map(Self)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A network-order number of two bytes; the bytes must be there.
fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests;
