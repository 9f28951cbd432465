//! The IPv4 header (RFC 791 section 3.1).

use abi::Addr;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::Row;

/// Offset of the row with time to live, protocol and checksum.
pub(crate) const TTL_ROW: u32 = 8;
/// Offset of the header checksum.
pub(crate) const CHECKSUM: u32 = 10;
/// Offset of the source address.
pub(crate) const SRC: u32 = 12;
/// Offset of the destination address.
pub(crate) const DST: u32 = 16;
/// Bytes of a header without options.
pub(crate) const HEADER: u32 = 20;

/// A header without its options, in rows.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Ipv4Header {
    pub(crate) version_tos_len: Row,
    pub(crate) id_fragment: Row,
    pub(crate) ttl_protocol_checksum: Row,
    pub(crate) src: Row,
    pub(crate) dst: Row,
}

impl Ipv4Header {
    #[inline(always)] // a shift
    pub(crate) fn version(&self) -> u8 {
        self.version_tos_len[0] >> 4
    }

    /// Bytes of header and options: at most 60, which the verifier sees from the mask.
    #[inline(always)] // a shift
    pub(crate) fn header_len(&self) -> u32 {
        u32::from(self.version_tos_len[0] & 15) * 4
    }

    /// Bytes of header and payload; zero in a packet too big for the field.
    #[inline(always)] // a byte swap
    pub(crate) fn total_len(&self) -> u16 {
        let [_, _, high, low] = self.version_tos_len;
        u16::from_be_bytes([high, low])
    }

    /// The identification, as on the wire.
    #[inline(always)] // a mask
    pub(crate) fn id(&self) -> u32 {
        let [a, b, _, _] = self.id_fragment;
        u32::from(u16::from_ne_bytes([a, b]))
    }

    /// Offset of this fragment in units of 8 bytes.
    #[inline(always)] // a byte swap and a mask
    pub(crate) fn fragment_offset(&self) -> u16 {
        let [_, _, high, low] = self.id_fragment;
        u16::from_be_bytes([high, low]) & 0x1fff
    }

    /// Whether more fragments follow.
    #[inline(always)] // a mask
    pub(crate) fn has_more_fragments(&self) -> bool {
        self.id_fragment[2] & 0x20 != 0
    }

    #[inline(always)] // a field
    pub(crate) fn ttl(&self) -> u8 {
        self.ttl_protocol_checksum[0]
    }

    #[inline(always)] // a field
    pub(crate) fn protocol(&self) -> u8 {
        self.ttl_protocol_checksum[1]
    }
}

/// An address from its row.
#[inline(always)] // a move
pub(crate) fn addr(row: Row) -> Addr {
    Addr::v4(row)
}
