//! ICMP (RFC 792) and ICMPv6 (RFC 4443): both have type, code, checksum and four more bytes before the rest.

use abi::Protocol;

use crate::parsed::{Family, Kind};

/// ICMP, protocol 1.
pub const ICMP: Protocol = Protocol::new(1);
/// ICMPv6, protocol 58.
pub const ICMPV6: Protocol = Protocol::new(58);

/// Offset of the checksum in the header.
pub(crate) const CHECKSUM: u32 = 2;
/// Offset of an echo's identifier.
pub(crate) const ECHO_ID: u32 = 4;
/// Bytes of the header; in an error the packet that it is about follows.
pub(crate) const HEADER: u32 = 8;

/// What a message is.
#[inline(always)] // a few comparisons on the path of every ICMP packet
pub(crate) fn kind(family: Family, icmp_type: u8, code: u8) -> Kind {
    match (family, icmp_type) {
        (Family::V4, 8) | (Family::V6, 128) => Kind::IcmpEcho { is_reply: false },
        (Family::V4, 0) | (Family::V6, 129) => Kind::IcmpEcho { is_reply: true },
        // Destination unreachable, source quench, redirect, time exceeded, parameter problem.
        (Family::V4, 3 | 4 | 5 | 11 | 12)
        // Destination unreachable, packet too big, time exceeded, parameter problem.
        | (Family::V6, 1..=4) => Kind::IcmpError { icmp_type, code },
        (Family::V4 | Family::V6, _) => Kind::Icmp { icmp_type, code },
    }
}
