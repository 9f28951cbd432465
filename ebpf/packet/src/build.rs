//! Answers to packets that go no further: ICMP errors and TCP resets.
//!
//! An answer is headers with complete checksums. Where it goes into the buffer of the packet that it answers, that
//! buffer must not be one whose transport checksum a device has yet to complete, unless it stays on this machine:
//! the device would complete it a second time.
//!
//! ```text
//! packet        link │ network │ transport │ payload
//! ICMP error    link │ network, ICMP (`Headers`) │ the packet's first `quoted` bytes
//! TCP reset     link │ network, TCP (`Headers`)
//! ```

mod icmp_error;
mod tcp_reset;

use abi::{Addr, Protocol};

use crate::checksum::Sum;
use crate::cursor::{Packet, TooShort};
use crate::parsed::{Family, Kind, L3Offset, Parsed};
use crate::{Row, ipv6};

pub use icmp_error::{IcmpAnswer, IcmpError, icmp_error};
pub use tcp_reset::tcp_reset;

/// Time to live of what we send: the default that RFC 1700 recommends and Linux uses.
const TTL: u8 = 64;

/// Network and transport header of an answer, in rows: `A` of them in IPv4, `B` in IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Headers<const A: usize, const B: usize> {
    /// IPv4.
    V4([Row; A]),
    /// IPv6.
    V6([Row; B]),
}

impl<const A: usize, const B: usize> Headers<A, B> {
    /// Bytes of the headers.
    #[inline(always)] // a constant in either family
    #[must_use]
    pub fn bytes(&self) -> u32 {
        4 * match self {
            Self::V4(_) => A as u32,
            Self::V6(_) => B as u32,
        }
    }

    /// Writes the headers at `l3`.
    ///
    /// # Errors
    /// [`TooShort`] if there is no room, of which nothing is then written.
    #[inline(always)] // constant lengths are all that the verifier takes
    pub fn write<P: Packet>(&self, packet: &mut P, l3: L3Offset) -> Result<(), TooShort> {
        match self {
            Self::V4(rows) => packet.write(l3.0, rows),
            Self::V6(rows) => packet.write(l3.0, rows),
        }
    }
}

/// Whether the packet may be answered with an error at all (RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e)): it is no
/// ICMP error or redirect itself, no later fragment, and both its addresses are of single hosts. That its frame was not
/// a broadcast is the caller's to know.
#[inline(always)] // once a program
#[must_use]
pub fn may_answer(at: &Parsed) -> bool {
    let is_answerable = match at.kind() {
        Kind::IcmpError { .. } | Kind::LaterFragment => false,
        Kind::Icmp { icmp_type, .. } => !(at.family == Family::V6 && icmp_type == 137),
        Kind::Tcp { .. } | Kind::Udp | Kind::IcmpEcho { .. } | Kind::Sctp | Kind::Other => true,
    };
    is_answerable && is_single_host(at.family, at.tuple.src) && is_single_host(at.family, at.tuple.dst)
}

/// Not unspecified, loopback, multicast, reserved or limited broadcast.
#[inline(always)] // a few comparisons
fn is_single_host(family: Family, addr: Addr) -> bool {
    let [a, b, c, d] = addr.to_net_words();
    match family {
        Family::V4 => {
            let first = d.to_ne_bytes()[0];
            first != 0 && first != 127 && first < 224
        }
        Family::V6 => a.to_ne_bytes()[0] != 0xff && a | b | c | (u32::from_be(d) & !1) != 0,
    }
}

/// The IPv4 header of an answer that cannot be fragmented (RFC 6864: its identification means nothing then).
#[inline(always)] // once a program
fn ipv4_header(tos: u8, total_len: u16, protocol: Protocol, (src, dst): (Addr, Addr)) -> [Row; 5] {
    let [high, low] = total_len.to_be_bytes();
    let mut rows =
        [[0x45, tos, high, low], [0, 0, 0x40, 0], [TTL, protocol.get(), 0, 0], src.last4(), dst.last4()];
    let [a, b] = Sum::default().rows(&rows).checksum().to_ne_bytes();
    rows[2] = [TTL, protocol.get(), a, b];
    rows
}

/// The IPv6 header of an answer.
#[inline(always)] // once a program
fn ipv6_header(payload_len: u16, next_header: Protocol, (src, dst): (Addr, Addr)) -> [Row; 10] {
    let [high, low] = payload_len.to_be_bytes();
    let ([a, b, c, d], [e, f, g, h]) = (ipv6::rows(src), ipv6::rows(dst));
    [[0x60, 0, 0, 0], [high, low, next_header.get(), TTL], a, b, c, d, e, f, g, h]
}

/// The pseudo header before a transport (RFC 9293 section 3.1, RFC 8200 section 8.1).
#[inline(always)] // once a program
fn pseudo_header(family: Family, len: u16, protocol: Protocol, (src, dst): (Addr, Addr)) -> Sum {
    let is_v4 = family == Family::V4;
    let numbers = Sum::default().word(u32::from(len).to_be()).word(u32::from(protocol.get()).to_be());
    numbers.addr(src, is_v4).addr(dst, is_v4)
}

/// Network and transport header in one piece.
#[inline(always)] // once a program
fn join<const A: usize, const B: usize, const C: usize>(network: [Row; A], transport: [Row; B]) -> [Row; C] {
    let mut rows = [[0; 4]; C];
    for (row, from) in rows.iter_mut().zip(network.iter().chain(&transport)) {
        *row = *from;
    }
    rows
}
