//! The Internet checksum: the ones' complement of the ones' complement sum of 16-bit units (RFC 1071), and how it
//! changes with the data (RFC 1624).
//!
//! Sums are of native `u16` and `u32` that hold bytes as they lie on the wire; the sum does not mind the order of the
//! bytes as long as it is always the same (RFC 1071 section 2). A `u32` counts as its two halves.

use abi::Addr;

use crate::Row;

/// A sum under way: `u32` units, carries not yet folded in. Good for 2^32 of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// Adds four bytes of the wire.
    #[inline(always)] // an addition
    #[must_use]
    pub fn word(self, unit: u32) -> Self {
        Self(self.0 + u64::from(unit))
    }

    /// Adds rows of four bytes.
    #[inline(always)] // on the path of every packet that is answered; `N` is small
    #[must_use]
    pub fn rows<const N: usize>(self, rows: &[Row; N]) -> Self {
        rows.iter().fold(self, |sum, row| sum.word(u32::from_ne_bytes(*row)))
    }

    /// Adds an address as its header and the pseudo header hold it: IPv4's four bytes, or IPv6's sixteen. The prefix
    /// of a v4-mapped address is in no packet.
    #[inline(always)] // on the path of every translated packet
    #[must_use]
    pub fn addr(self, addr: Addr, is_v4: bool) -> Self {
        let [a, b, c, d] = addr.to_net_words();
        if is_v4 { self.word(d) } else { self.word(a).word(b).word(c).word(d) }
    }

    /// Folds into 32 bits: as good as all that was added, to [`update`] and to the kernel's helpers.
    #[inline(always)] // a few shifts
    #[must_use]
    pub fn fold32(self) -> u32 {
        let once = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        ((once & 0xffff_ffff) + (once >> 32)) as u32
    }

    /// Folds into 16 bits; zero only if all that was added was zero.
    #[inline(always)] // a few shifts
    #[must_use]
    pub fn fold16(self) -> u16 {
        let sum = self.fold32();
        let once = (sum & 0xffff) + (sum >> 16);
        ((once & 0xffff) + (once >> 16)) as u16
    }

    /// The checksum of what was added, as it lies on the wire.
    #[inline(always)] // a few shifts
    #[must_use]
    pub fn checksum(self) -> u16 {
        !self.fold16()
    }
}

/// The checksum after `from` in its data became `to`: `~(~C + ~m + m')`, RFC 1624 equation 3. All as on the wire.
///
/// A checksum that recomputation could have given (not `0xffff`, the sum of nothing but zeros) becomes what
/// recomputation gives.
#[inline(always)] // a few additions on the path of every translated packet
#[must_use]
pub fn update(checksum: u16, from: u32, to: u32) -> u16 {
    Sum::default().word(u32::from(!checksum)).word(!from).word(to).checksum()
}

/// [`update`] of a transport checksum. In UDP a checksum of zero says that there is none (RFC 768): it stays, and a
/// computed zero is sent as its other representation `0xffff`.
#[inline(always)] // as `update`
#[must_use]
pub fn update_l4(checksum: u16, from: u32, to: u32, is_udp: bool) -> u16 {
    if is_udp && checksum == 0 {
        return 0;
    }
    match update(checksum, from, to) {
        0 if is_udp => 0xffff,
        computed => computed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 1624 section 4, with numbers as on the wire.
    #[test]
    fn the_older_equation_would_give_the_wrong_zero_here() {
        let wire = u16::to_be;
        let changed = update(wire(0xdd2f), wire(0x5555).into(), wire(0x3285).into());
        assert_eq!(changed, 0x0000);
        assert_eq!(update_l4(wire(0xdd2f), wire(0x5555).into(), wire(0x3285).into(), true), 0xffff);
    }

    #[test]
    fn a_udp_checksum_that_is_not_there_does_not_appear() {
        assert_eq!(update_l4(0, 1, 2, true), 0);
        assert_ne!(update_l4(0, 1, 2, false), 0);
        assert_eq!(update_l4(0xffff, 7, 7, true), 0xffff);
    }

    #[test]
    fn a_sum_of_large_units_loses_no_carry() {
        let sum = Sum::default().word(u32::MAX).word(u32::MAX).word(u32::MAX).word(1);
        assert_eq!((sum.fold32(), sum.fold16(), sum.checksum()), (1, 1, 0xfffe));
        assert_eq!(Sum::default().word(0xffff_0000).word(0x0001_0000).fold16(), 1);
        assert_eq!(Sum::default().fold16(), 0);
    }

    #[test]
    fn the_prefix_of_a_mapped_address_is_in_no_packet() {
        let addr = Addr::v4([1, 2, 3, 4]);
        assert_eq!(Sum::default().addr(addr, true), Sum::default().word(u32::from_ne_bytes([1, 2, 3, 4])));
    }
}
