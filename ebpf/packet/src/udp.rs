//! UDP (RFC 768).

/// Offset of the checksum in the header.
pub(crate) const CHECKSUM: u32 = 6;
