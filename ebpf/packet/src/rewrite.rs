//! Network address translation on a parsed packet, and the hop that forwarding costs.
//!
//! On an error part of the packet may be changed already: the caller drops it.

mod inner;

use abi::{Addr, Port};

use crate::checksum::Sum;
use crate::cursor::{CsumWidth, L4Csum, Packet, TooShort};
use crate::parsed::{Family, Kind, Parsed};
use crate::{icmp, ipv4, ipv6, sctp, tcp, udp};

pub use inner::{dnat_inner, snat_inner};

/// The end of the conversation that a translation replaces.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Src,
    Dst,
}

impl End {
    #[inline(always)] // constant after inlining
    fn addr_at(self, at: &Parsed) -> u32 {
        let offset = match (at.family, self) {
            (Family::V4, Self::Src) => ipv4::SRC,
            (Family::V4, Self::Dst) => ipv4::DST,
            (Family::V6, Self::Src) => ipv6::SRC,
            (Family::V6, Self::Dst) => ipv6::DST,
        };
        at.l3.0 + offset
    }

    /// TCP, UDP and SCTP begin with source and destination port.
    #[inline(always)] // constant after inlining
    fn port_at(self, at: &Parsed) -> u32 {
        at.l4.0 + if self == Self::Src { 0 } else { 2 }
    }

    #[inline(always)] // moves
    fn of(self, at: &Parsed) -> (Addr, Port) {
        match self {
            Self::Src => (at.tuple.src, at.tuple.sport),
            Self::Dst => (at.tuple.dst, at.tuple.dport),
        }
    }
}

/// A checksum in the transport header.
#[derive(Clone, Copy)]
struct Csum {
    at: u32,
    counts_addrs: bool,
    is_udp: bool,
}

/// The Internet checksum of the transport header, if it has one and is here.
#[inline(always)] // on the path of every translated packet
fn l4_csum(at: &Parsed) -> Option<Csum> {
    let l4 = at.l4.0;
    match at.kind() {
        Kind::Tcp { .. } => Some(Csum { at: l4 + tcp::CHECKSUM, counts_addrs: true, is_udp: false }),
        Kind::Udp => Some(Csum { at: l4 + udp::CHECKSUM, counts_addrs: true, is_udp: true }),
        Kind::IcmpEcho { .. } | Kind::IcmpError { .. } | Kind::Icmp { .. } => {
            Some(Csum { at: l4 + icmp::CHECKSUM, counts_addrs: at.family == Family::V6, is_udp: false })
        }
        // SCTP has a CRC; the checksum of a later fragment is in the first one and changes there.
        Kind::Sctp | Kind::Other | Kind::LaterFragment => None,
    }
}

/// Replaces the destination address and port, and makes the checksums follow.
///
/// `addr` is of the packet's family. `port` replaces the destination port of TCP, UDP and SCTP and the identifier of an
/// ICMP echo; the rest has none. A UDP checksum of zero stays zero. A later fragment gets the address only: the first
/// one carries ports and checksum for all. Transport checksums of other protocols (DCCP, UDP-Lite) do not follow.
///
/// # Errors
/// [`TooShort`] if the packet has become shorter than it was parsed.
#[inline(always)] // on the path of every translated packet; `end` is constant
pub fn dnat<P: Packet>(packet: &mut P, at: &Parsed, addr: Addr, port: Port) -> Result<(), TooShort> {
    rewrite(packet, at, End::Dst, (addr, port))
}

/// Replaces the source address and port, and makes the checksums follow; the rest as in [`dnat`].
///
/// # Errors
/// [`TooShort`] if the packet has become shorter than it was parsed.
#[inline(always)] // as `dnat`
pub fn snat<P: Packet>(packet: &mut P, at: &Parsed, addr: Addr, port: Port) -> Result<(), TooShort> {
    rewrite(packet, at, End::Src, (addr, port))
}

#[inline(always)] // as `dnat`
fn rewrite<P: Packet>(packet: &mut P, at: &Parsed, end: End, to: (Addr, Port)) -> Result<(), TooShort> {
    let (addr, port) = to;
    let (old_addr, old_port) = end.of(at);
    rewrite_addr(packet, at, end, addr)?;
    let is_v4 = at.family == Family::V4;
    if let Some(csum) = l4_csum(at)
        && csum.counts_addrs
    {
        let from = Sum::default().addr(old_addr, is_v4).fold32();
        let to = Sum::default().addr(addr, is_v4).fold32();
        let what =
            L4Csum { width: CsumWidth::Word, is_pseudo_header: true, is_udp: csum.is_udp, family: at.family };
        packet.replace_l4_csum(csum.at, from, to, what)?;
    }
    match at.kind() {
        Kind::Tcp { .. } | Kind::Udp if port != old_port => {
            rewrite_half(packet, at, end.port_at(at), (old_port, port))
        }
        Kind::IcmpEcho { .. } => {
            // From the packet: a translation of the other end may have replaced the identifier since it was parsed.
            let id_at = at.l4.0 + icmp::ECHO_ID;
            let id = Port::from_net(u16::from_ne_bytes(packet.read(id_at)?));
            rewrite_half(packet, at, id_at, (id, port))
        }
        Kind::Sctp if port != old_port => sctp::rewrite_port(packet, at, end.port_at(at), port),
        Kind::Tcp { .. }
        | Kind::Udp
        | Kind::Sctp
        | Kind::IcmpError { .. }
        | Kind::Icmp { .. }
        | Kind::Other
        | Kind::LaterFragment => Ok(()),
    }
}

/// Replaces an address, and makes IPv4's header checksum follow.
#[inline(always)] // as `dnat`
fn rewrite_addr<P: Packet>(packet: &mut P, at: &Parsed, end: End, addr: Addr) -> Result<(), TooShort> {
    match at.family {
        Family::V4 => {
            let [_, _, _, from] = end.of(at).0.to_net_words();
            let [_, _, _, to] = addr.to_net_words();
            packet.write(end.addr_at(at), &to.to_ne_bytes())?;
            packet.replace_l3_csum(at.l3.0 + ipv4::CHECKSUM, from, to, CsumWidth::Word)
        }
        Family::V6 => packet.write(end.addr_at(at), &ipv6::rows(addr)),
    }
}

/// Replaces two bytes of the transport header, and makes its checksum follow.
#[inline(always)] // as `dnat`
fn rewrite_half<P: Packet>(
    packet: &mut P,
    at: &Parsed,
    offset: u32,
    (from, to): (Port, Port),
) -> Result<(), TooShort> {
    packet.write(offset, &to.to_net().to_ne_bytes())?;
    let Some(csum) = l4_csum(at) else {
        return Ok(());
    };
    let what =
        L4Csum { width: CsumWidth::Half, is_pseudo_header: false, is_udp: csum.is_udp, family: at.family };
    packet.replace_l4_csum(csum.at, u32::from(from.to_net()), u32::from(to.to_net()), what)
}

/// What is left of a packet's time to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// Hops that it may still make.
    Left(u8),
    /// It may not be forwarded (RFC 1812 section 5.3.1, RFC 8200 section 3) and is unchanged.
    Expired,
}

/// Takes one hop from time to live or hop limit, as whoever forwards a packet must. Call it once a packet: what it
/// takes from is what was parsed.
///
/// # Errors
/// [`TooShort`] if the packet has become shorter than it was parsed.
#[inline(always)] // on the path of every redirected packet
pub fn decrement_ttl<P: Packet>(packet: &mut P, at: &Parsed) -> Result<Ttl, TooShort> {
    if at.ttl <= 1 {
        return Ok(Ttl::Expired);
    }
    let left = at.ttl - 1;
    match at.family {
        Family::V4 => {
            let row_at = at.l3.0 + ipv4::TTL_ROW;
            let [_, protocol]: [u8; 2] = packet.read(row_at)?;
            packet.write(row_at, &left)?;
            let from = u32::from(u16::from_ne_bytes([at.ttl, protocol]));
            let to = u32::from(u16::from_ne_bytes([left, protocol]));
            packet.replace_l3_csum(at.l3.0 + ipv4::CHECKSUM, from, to, CsumWidth::Half)?;
        }
        Family::V6 => packet.write(at.l3.0 + ipv6::HOP_LIMIT, &left)?,
    }
    Ok(Ttl::Left(left))
}
