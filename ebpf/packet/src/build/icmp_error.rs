//! ICMP (RFC 792, RFC 1191) and ICMPv6 errors (RFC 4443).

use abi::Addr;

use super::{Headers, ipv4_header, ipv6_header, join, may_answer, pseudo_header};
use crate::Row;
use crate::checksum::Sum;
use crate::cursor::{Packet, TooShort};
use crate::icmp::{self, ICMP, ICMPV6};
use crate::ipv4;
use crate::parsed::{Family, Parsed};

/// Precedence "internetwork control", as routers mark their errors (RFC 1812 section 4.3.2.5) and Linux does.
const TOS: u8 = 0xc0;
/// Bytes of transport header that are quoted if they are there. Receivers need 8 (RFC 792). A buffer whose checksum
/// a device has yet to complete cannot be cut before that checksum, and TCP's ends at byte 18.
const QUOTED_L4: u32 = 20;
/// Bytes quoted at most: the longest IPv4 header and [`QUOTED_L4`] are 80; an IPv6 header leaves 48 for its extensions
/// and what is longer is quoted without its transport. A constant number, for the verifier.
const MAX_QUOTED: u32 = 108;

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpError {
    /// Nobody listens on the port.
    PortUnreachable,
    /// It does not fit the next link ("fragmentation needed" in IPv4, "packet too big" in IPv6).
    TooBig {
        /// The largest packet that fits, in bytes from its network header on.
        mtu: u32,
    },
    /// It has made all its hops.
    TimeExceeded,
}

impl IcmpError {
    /// Type and code, checksum zero; then what follows it.
    #[inline(always)] // a few constants
    fn rows(self, family: Family) -> [Row; 2] {
        match (family, self) {
            (Family::V4, Self::PortUnreachable) => [[3, 3, 0, 0], [0; 4]],
            (Family::V4, Self::TooBig { mtu }) => {
                let mtu = if mtu > 0xffff { 0xffff } else { mtu };
                [[3, 4, 0, 0], mtu.to_be_bytes()]
            }
            (Family::V4, Self::TimeExceeded) => [[11, 0, 0, 0], [0; 4]],
            (Family::V6, Self::PortUnreachable) => [[1, 4, 0, 0], [0; 4]],
            (Family::V6, Self::TooBig { mtu }) => [[2, 0, 0, 0], mtu.to_be_bytes()],
            (Family::V6, Self::TimeExceeded) => [[3, 0, 0, 0], [0; 4]],
        }
    }
}

/// An error message: the headers, and how much of the packet that it is about comes after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpAnswer {
    /// Network and ICMP header, 28 or 48 bytes.
    pub headers: Headers<7, 12>,
    /// Bytes of the packet, from its network header on, that follow; a multiple of four. The checksums hold for this
    /// number.
    pub quoted: u32,
}

/// The error message about a packet, from `from` to its sender. `None` where none may be sent
/// (see [`may_answer`]) and if the packet has become shorter than it was parsed.
#[inline(always)] // once a program; outlined, the result would go through memory
pub fn icmp_error<P: Packet>(packet: &P, at: &Parsed, error: IcmpError, from: Addr) -> Option<IcmpAnswer> {
    if !may_answer(at) {
        return None;
    }
    let quoted = quoted(packet, at);
    let (ends, mut rows) = ((from, at.tuple.src), error.rows(at.family));
    let len = (icmp::HEADER + quoted) as u16;
    let pseudo = match at.family {
        Family::V4 => Sum::default(),
        Family::V6 => pseudo_header(Family::V6, len, ICMPV6, ends),
    };
    let sum = quote_sum(packet, at.l3.0, quoted, pseudo.rows(&rows)).ok()?;
    let ([icmp_type, code, _, _], [a, b]) = (rows[0], sum.checksum().to_ne_bytes());
    rows[0] = [icmp_type, code, a, b];
    let headers = match at.family {
        Family::V4 => Headers::V4(join(ipv4_header(TOS, len + ipv4::HEADER as u16, ICMP, ends), rows)),
        Family::V6 => Headers::V6(join(ipv6_header(len, ICMPV6, ends), rows)),
    };
    Some(IcmpAnswer { headers, quoted })
}

/// How much of the packet is quoted: whole rows, so that the sum needs no odd bytes.
#[inline(always)] // once a program
fn quoted<P: Packet>(packet: &P, at: &Parsed) -> u32 {
    let wanted = at.l4.0 - at.l3.0 + QUOTED_L4;
    let there = at.end(packet.len()).saturating_sub(at.l3.0);
    let quoted = if wanted < there { wanted } else { there };
    (if quoted < MAX_QUOTED { quoted } else { MAX_QUOTED }) & !3
}

/// Adds the quoted rows to a sum.
#[inline(always)] // once a program
fn quote_sum<P: Packet>(packet: &P, l3: u32, quoted: u32, sum: Sum) -> Result<Sum, TooShort> {
    let mut sum = sum;
    // The bound is `MAX_QUOTED`, in rows.
    for row in 0..MAX_QUOTED / 4 {
        if row * 4 >= quoted {
            break;
        }
        let row: Row = packet.read(l3 + row * 4)?;
        sum = sum.word(u32::from_ne_bytes(row));
    }
    Ok(sum)
}
