//! TCP (RFC 9293 section 3.1).

use crate::Row;

/// Offset of the checksum in the header.
pub(crate) const CHECKSUM: u32 = 16;
/// Offset of the row with data offset and flags.
pub(crate) const OFFSET_AND_FLAGS: u32 = 12;
/// Bytes of a header without options.
pub(crate) const HEADER: u32 = 20;

/// The control bits of a segment, one byte (RFC 9293 section 3.1, with RFC 3168's two).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags(u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(1);
    /// Synchronises sequence numbers.
    pub const SYN: Self = Self(1 << 1);
    /// Resets the connection.
    pub const RST: Self = Self(1 << 2);
    /// Push.
    pub const PSH: Self = Self(1 << 3);
    /// The acknowledgement number counts.
    pub const ACK: Self = Self(1 << 4);

    /// The flags from their byte.
    #[inline]
    #[must_use]
    pub const fn new(bits: u8) -> Self {
        Self(bits)
    }

    /// The byte.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Both sets of flags.
    #[inline]
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all flags of `other` are set.
    #[inline]
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether this opens a connection: SYN without ACK.
    #[inline]
    #[must_use]
    pub const fn is_opening(self) -> bool {
        self.0 & (Self::SYN.0 | Self::ACK.0) == Self::SYN.0
    }
}

/// Bytes of the header by its data offset; at least 20 in a valid header, at most 60.
#[inline(always)] // a shift
pub(crate) fn header_len(offset_flags_window: Row) -> u32 {
    u32::from(offset_flags_window[0] >> 4) * 4
}
