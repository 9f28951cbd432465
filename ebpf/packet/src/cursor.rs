//! Checked access to a packet's bytes: the trait, and its implementation over a slice.

use zerocopy::{FromBytes, Immutable, IntoBytes, Unaligned};

use crate::checksum;
use crate::parsed::Family;

/// A read or write past the end of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooShort;

/// How wide the field is whose change a checksum follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CsumWidth {
    /// Two bytes, in the low half of `from` and `to`.
    Half,
    /// Four bytes, or any number of them as their folded ones' complement sum ([`checksum::Sum::fold32`]).
    Word,
}

/// What must be known to change a transport checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L4Csum {
    /// The width of the field that changed.
    pub width: CsumWidth,
    /// Whether the field is of the pseudo header (`BPF_F_PSEUDO_HDR`): only such a change shows in a checksum that a
    /// device has yet to complete.
    pub is_pseudo_header: bool,
    /// Whether a checksum of zero means that there is none (`BPF_F_MARK_MANGLED_0`): UDP.
    pub is_udp: bool,
    /// The family of the packet. A change of an address leaves the sum of an IPv4 packet as it was, because the
    /// header's own checksum makes up for it, and changes that of an IPv6 packet (`BPF_F_IPV6`).
    pub family: Family,
}

/// The bytes of a packet, from its link layer header on, or from its network header where it has no other.
///
/// Offsets and lengths are in bytes. Nothing here returns a reference: whatever an implementation does to its memory,
/// no borrow outlives it.
pub trait Packet {
    /// The length in bytes; at most 2^24, so that sums of offsets stay within `u32`.
    fn len(&self) -> u32;

    /// Whether there is no byte.
    #[inline(always)] // a comparison
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same offset, of which the verifier is to forget how it came about. Without that it walks whatever follows
    /// the parser once for each way through it, because each way gives an offset of another range. Kernel programs use
    /// instructions that it does not follow; headers start below 2^14, so they may cut the rest away.
    #[inline(always)] // nothing
    fn opaque(offset: u32) -> u32 {
        offset
    }

    /// Reads a value at `at`.
    ///
    /// # Errors
    /// [`TooShort`] if it does not lie within the packet.
    fn read<T: FromBytes + IntoBytes + Immutable + Unaligned + Copy>(&self, at: u32) -> Result<T, TooShort>;

    /// Writes a value at `at`; no checksum follows.
    ///
    /// # Errors
    /// [`TooShort`] if it does not lie within the packet, which is then unchanged.
    fn write<T: FromBytes + IntoBytes + Immutable + Unaligned + Copy>(
        &mut self,
        at: u32,
        value: &T,
    ) -> Result<(), TooShort>;

    /// Follows the change of a header field from `from` to `to` (native integers of the bytes on the wire) in the IPv4
    /// header checksum at `at`.
    ///
    /// # Errors
    /// [`TooShort`] if the checksum does not lie within the packet.
    fn replace_l3_csum(&mut self, at: u32, from: u32, to: u32, width: CsumWidth) -> Result<(), TooShort>;

    /// Follows a change in the TCP, UDP, ICMP or ICMPv6 checksum at `at`; `from` and `to` as in
    /// [`Self::replace_l3_csum`].
    ///
    /// # Errors
    /// [`TooShort`] if the checksum does not lie within the packet.
    fn replace_l4_csum(&mut self, at: u32, from: u32, to: u32, what: L4Csum) -> Result<(), TooShort>;
}

/// A packet in memory whose checksums are complete: on the host and in XDP.
pub struct SlicePacket<'a>(&'a mut [u8]);

/// Longer than every packet.
const MAX_LEN: usize = 1 << 24;

impl<'a> SlicePacket<'a> {
    /// The packet in `bytes`; what is beyond 2^24 bytes is not seen.
    #[must_use]
    pub fn new(bytes: &'a mut [u8]) -> Self {
        let len = bytes.len().min(MAX_LEN);
        Self(&mut bytes[..len])
    }

    fn span<T>(&self, at: u32) -> Result<core::ops::Range<usize>, TooShort> {
        let start = at as usize;
        let end = start.checked_add(size_of::<T>()).ok_or(TooShort)?;
        if end <= self.0.len() { Ok(start..end) } else { Err(TooShort) }
    }

    fn change(&mut self, at: u32, next: impl FnOnce(u16) -> u16) -> Result<(), TooShort> {
        let csum = u16::from_ne_bytes(self.read(at)?);
        self.write(at, &next(csum).to_ne_bytes())
    }
}

impl Packet for SlicePacket<'_> {
    fn len(&self) -> u32 {
        self.0.len() as u32
    }

    fn read<T: FromBytes + IntoBytes + Immutable + Unaligned + Copy>(&self, at: u32) -> Result<T, TooShort> {
        let bytes = self.0.get(self.span::<T>(at)?).ok_or(TooShort)?;
        T::read_from_bytes(bytes).map_err(|_| TooShort)
    }

    fn write<T: FromBytes + IntoBytes + Immutable + Unaligned + Copy>(
        &mut self,
        at: u32,
        value: &T,
    ) -> Result<(), TooShort> {
        let span = self.span::<T>(at)?;
        let bytes = self.0.get_mut(span).ok_or(TooShort)?;
        value.write_to(bytes).map_err(|_| TooShort)
    }

    fn replace_l3_csum(&mut self, at: u32, from: u32, to: u32, _width: CsumWidth) -> Result<(), TooShort> {
        self.change(at, |csum| checksum::update(csum, from, to))
    }

    fn replace_l4_csum(&mut self, at: u32, from: u32, to: u32, what: L4Csum) -> Result<(), TooShort> {
        self.change(at, |csum| checksum::update_l4(csum, from, to, what.is_udp))
    }
}
