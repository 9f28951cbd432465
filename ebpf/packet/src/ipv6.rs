//! The IPv6 header and its extensions (RFC 8200 sections 3 and 4).

use abi::Addr;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::Row;

/// Offset of the hop limit.
pub(crate) const HOP_LIMIT: u32 = 7;
/// Offset of the source address.
pub(crate) const SRC: u32 = 8;
/// Offset of the destination address.
pub(crate) const DST: u32 = 24;
/// Bytes of the header.
pub(crate) const HEADER: u32 = 40;

/// Next header: hop-by-hop options.
pub(crate) const HOP_BY_HOP: u8 = 0;
/// Next header: routing.
pub(crate) const ROUTING: u8 = 43;
/// Next header: fragment.
pub(crate) const FRAGMENT: u8 = 44;
/// Next header: destination options.
pub(crate) const DESTINATION: u8 = 60;

/// The header, in rows.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Ipv6Header {
    pub(crate) version_class_flow: Row,
    pub(crate) len_next_hops: Row,
    pub(crate) src: [Row; 4],
    pub(crate) dst: [Row; 4],
}

impl Ipv6Header {
    #[inline(always)] // a shift
    pub(crate) fn version(&self) -> u8 {
        self.version_class_flow[0] >> 4
    }

    /// Bytes after this header, extensions included; zero in a packet too big for the field.
    #[inline(always)] // a byte swap
    pub(crate) fn payload_len(&self) -> u16 {
        let [high, low, _, _] = self.len_next_hops;
        u16::from_be_bytes([high, low])
    }

    #[inline(always)] // a field
    pub(crate) fn next_header(&self) -> u8 {
        self.len_next_hops[2]
    }

    #[inline(always)] // a field
    pub(crate) fn hop_limit(&self) -> u8 {
        self.len_next_hops[3]
    }
}

/// An address from its rows.
#[inline(always)] // moves
pub(crate) fn addr(rows: [Row; 4]) -> Addr {
    let [a, b, c, d] = rows;
    Addr::from_net_words([
        u32::from_ne_bytes(a),
        u32::from_ne_bytes(b),
        u32::from_ne_bytes(c),
        u32::from_ne_bytes(d),
    ])
}

/// The rows of an address.
#[inline(always)] // moves
pub(crate) fn rows(addr: Addr) -> [Row; 4] {
    let [a, b, c, d] = addr.to_net_words();
    [a.to_ne_bytes(), b.to_ne_bytes(), c.to_ne_bytes(), d.to_ne_bytes()]
}
