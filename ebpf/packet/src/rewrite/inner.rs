//! Translation of the packet that an ICMP error is about (RFC 5508 section 4.2).
//!
//! That packet is payload: its checksums are numbers that nobody completes on the way, so they change by arithmetic
//! also where [`Packet`]'s replacing goes through a kernel helper. What changes in it changes the sum of the ICMP
//! message around it.

use abi::{Addr, Port};

use super::{Csum, End, l4_csum};
use crate::checksum::{self, Sum};
use crate::cursor::{CsumWidth, L4Csum, Packet, TooShort};
use crate::parsed::{Family, Kind, Parsed};
use crate::{icmp, ipv4, ipv6};

/// Replaces the destination of the packet inside the ICMP error `outer`: address, port or echo identifier, its
/// checksums as far as they are quoted, and the checksum of the error.
///
/// `addr` is of the packet's family. The addresses of the error itself are not touched. The CRC of a quoted SCTP packet
/// stays: it covers bytes that are not here, so nobody can check it.
///
/// # Errors
/// [`TooShort`] if the packet has become shorter than it was parsed.
#[inline(always)] // `end` is constant; five arguments are what the bpf target has registers for
pub fn dnat_inner<P: Packet>(
    packet: &mut P,
    outer: &Parsed,
    inner: &Parsed,
    addr: Addr,
    port: Port,
) -> Result<(), TooShort> {
    rewrite(packet, (outer, inner), End::Dst, (addr, port))
}

/// Replaces the source of the packet inside the ICMP error `outer`; the rest as in [`dnat_inner`].
///
/// # Errors
/// [`TooShort`] if the packet has become shorter than it was parsed.
#[inline(always)] // as `dnat_inner`
pub fn snat_inner<P: Packet>(
    packet: &mut P,
    outer: &Parsed,
    inner: &Parsed,
    addr: Addr,
    port: Port,
) -> Result<(), TooShort> {
    rewrite(packet, (outer, inner), End::Src, (addr, port))
}

/// What all that changed was, and is: for the checksum of the error.
#[derive(Clone, Copy, Default)]
struct Change {
    from: Sum,
    to: Sum,
}

impl Change {
    #[inline(always)] // two additions
    fn half(&mut self, from: u16, to: u16) {
        self.from = self.from.word(u32::from(from));
        self.to = self.to.word(u32::from(to));
    }
}

/// No checksum: no header of a packet inside another is at offset zero.
const NO_CSUM: Csum = Csum { at: 0, counts_addrs: false, is_udp: false };

#[inline(always)] // as `dnat_inner`
fn rewrite<P: Packet>(
    packet: &mut P,
    (outer, inner): (&Parsed, &Parsed),
    end: End,
    (addr, port): (Addr, Port),
) -> Result<(), TooShort> {
    let is_v4 = inner.family == Family::V4;
    let (old_addr, _) = end.of(inner);
    let mut change =
        Change { from: Sum::default().addr(old_addr, is_v4), to: Sum::default().addr(addr, is_v4) };
    // What the inner transport checksum follows, as against the outer one, which follows everything.
    let mut l4 = Change::default();
    // verifier: no option, whose content would have no value where there is none, and Linux 6.1 reads no such thing.
    let csum = l4_csum(inner).unwrap_or(NO_CSUM);
    if csum.counts_addrs {
        l4 = change;
    }
    match inner.family {
        Family::V4 => {
            let (from, to) = (change.from.fold32(), change.to.fold32());
            packet.write(end.addr_at(inner), &to.to_ne_bytes())?;
            let at = inner.l3.0 + ipv4::CHECKSUM;
            replace(packet, at, &mut change, |csum| checksum::update(csum, from, to))?;
        }
        Family::V6 => packet.write(end.addr_at(inner), &ipv6::rows(addr))?,
    }
    if let Some(at) = port_at(inner, end) {
        let from = u16::from_ne_bytes(packet.read(at)?);
        packet.write(at, &port.to_net().to_ne_bytes())?;
        change.half(from, port.to_net());
        l4.half(from, port.to_net());
    }
    if csum.at != NO_CSUM.at && csum.at + 2 <= outer.end(packet.len()) {
        let (from, to) = (l4.from.fold32(), l4.to.fold32());
        replace(packet, csum.at, &mut change, |old| checksum::update_l4(old, from, to, csum.is_udp))?;
    }
    let what =
        L4Csum { width: CsumWidth::Word, is_pseudo_header: false, is_udp: false, family: outer.family };
    let at = outer.l4.0 + icmp::CHECKSUM;
    packet.replace_l4_csum(at, change.from.fold32(), change.to.fold32(), what)
}

/// Where the port or identifier is that this end's translation replaces; within the eight bytes that parsing saw.
#[inline(always)] // once a translated error
fn port_at(inner: &Parsed, end: End) -> Option<u32> {
    match inner.kind() {
        Kind::Tcp { .. } | Kind::Udp | Kind::Sctp => Some(end.port_at(inner)),
        Kind::IcmpEcho { .. } => Some(inner.l4.0 + icmp::ECHO_ID),
        Kind::IcmpError { .. } | Kind::Icmp { .. } | Kind::Other | Kind::LaterFragment => None,
    }
}

/// Replaces a checksum and notes the change.
#[inline(always)] // twice a translated error
fn replace<P: Packet>(
    packet: &mut P,
    at: u32,
    change: &mut Change,
    update: impl FnOnce(u16) -> u16,
) -> Result<(), TooShort> {
    let from = u16::from_ne_bytes(packet.read(at)?);
    let to = update(from);
    packet.write(at, &to.to_ne_bytes())?;
    change.half(from, to);
    Ok(())
}
