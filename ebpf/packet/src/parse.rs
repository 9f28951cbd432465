//! Bytes to [`Parsed`].

use abi::{Port, Protocol};

use crate::cursor::{Packet, TooShort};
use crate::eth::EtherType;
use crate::icmp::{self, ICMP, ICMPV6};
use crate::ipv4::{self, Ipv4Header};
use crate::ipv6::{self, Ipv6Header};
use crate::parsed::{Family, FragmentCode, Kind, L3Offset, L4Offset, Parsed, Tuple};
use crate::tcp::{self, TcpFlags};
use crate::{Row, sctp};

/// How many IPv6 extension headers a packet may have. A sender has at most five of those that are skipped: hop-by-hop,
/// destination, routing, fragment, destination (RFC 8200 section 4.1); the bound is for the verifier.
pub const MAX_EXTENSIONS: u32 = 6;

/// How many bytes all of them may have: far more than anybody sends, and few enough that every header, also of a packet
/// inside an error, starts below 2^14 (see [`Packet::opaque`]).
const MAX_EXTENSION_BYTES: u32 = 4096;

/// Why a packet was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Unparsable {
    /// It ends before its headers do, or before the length in its header.
    TooShort,
    /// Neither IPv4 nor IPv6: ARP, LLDP.
    NotIp,
    /// The version is not the one that the link layer announced.
    BadVersion,
    /// A header says that it is shorter than it can be.
    BadHeaderLength,
    /// The length in the network header ends before the headers do.
    BadLength,
    /// More than [`MAX_EXTENSIONS`] extension headers, or more than 4,096 bytes of them.
    TooManyExtensions,
    /// A routing header with segments left: the address in the header is not the destination, which neither policy nor
    /// the checksum's pseudo header (RFC 8200 section 8.1) would be right about.
    SourceRouted,
    /// A fragment inside a fragment.
    NestedFragment,
    /// A fragment that would overwrite the TCP header of the first (RFC 1858 section 3, RFC 3128).
    TinyFragment,
    /// An IPv6 header with a v4-mapped address, which may be neither source nor destination of a datagram (RFC 6890
    /// table 20) and would pass for an IPv4 address here.
    MappedAddress,
    /// Not an ICMP error, or one about an ICMP error.
    BadIcmpInner,
}

impl From<TooShort> for Unparsable {
    #[inline(always)] // a constant
    fn from(_: TooShort) -> Self {
        Self::TooShort
    }
}

/// Understands the packet whose network header is at `l3` and of the type that the link layer announced.
///
/// It is judged as the receiver will see it: a header must lie within the length of the one before, and bytes after the
/// length in the network header are not read. IPv4 options are skipped, and so are hop-by-hop, routing, fragment
/// and destination extension headers. Checksums are not verified.
///
/// # Errors
/// See [`Unparsable`].
#[inline(always)] // once a program; outlined, the result would go through memory
pub fn parse<P: Packet>(packet: &P, l3: L3Offset, ethertype: EtherType) -> Result<Parsed, Unparsable> {
    if ethertype == EtherType::IPV4 {
        parse_ipv4::<P, false>(packet, l3.0, packet.len())
    } else if ethertype == EtherType::IPV6 {
        parse_ipv6::<P, false>(packet, l3.0, packet.len())
    } else {
        Err(Unparsable::NotIp)
    }
}

/// Understands the packet that an ICMP error is about. Eight bytes of its transport header suffice (RFC 792), and it may
/// be cut anywhere after them.
///
/// # Errors
/// See [`Unparsable`].
#[inline(always)] // as `parse`
pub fn parse_inner<P: Packet>(packet: &P, outer: &Parsed) -> Result<Parsed, Unparsable> {
    let Kind::IcmpError { .. } = outer.kind() else {
        return Err(Unparsable::BadIcmpInner);
    };
    let (l3, end) = (outer.inner_l3().0, outer.end(packet.len()));
    let inner = match outer.family {
        Family::V4 => parse_ipv4::<P, true>(packet, l3, end),
        Family::V6 => parse_ipv6::<P, true>(packet, l3, end),
    }?;
    match inner.kind() {
        Kind::IcmpError { .. } => Err(Unparsable::BadIcmpInner),
        Kind::Tcp { .. }
        | Kind::Udp
        | Kind::IcmpEcho { .. }
        | Kind::Icmp { .. }
        | Kind::Sctp
        | Kind::Other
        | Kind::LaterFragment => Ok(inner),
    }
}

/// Where the packet ends that starts at `l3` and has `total` bytes by its header, within `end`.
#[inline(always)] // a comparison
fn payload_end<const INNER: bool>(l3: u32, total: u16, end: u32) -> Result<u32, Unparsable> {
    let by_header = l3 + u32::from(total);
    match (total, INNER) {
        (0, _) => Ok(end),
        (_, true) => Ok(if by_header < end { by_header } else { end }),
        (_, false) if by_header > end => Err(Unparsable::TooShort),
        (_, false) => Ok(by_header),
    }
}

#[inline(always)] // called once, from `parse` or `parse_inner`
fn parse_ipv4<P: Packet, const INNER: bool>(packet: &P, l3: u32, end: u32) -> Result<Parsed, Unparsable> {
    let header: Ipv4Header = packet.read(l3)?;
    if header.version() != 4 {
        return Err(Unparsable::BadVersion);
    }
    let header_len = header.header_len();
    if header_len < ipv4::HEADER {
        return Err(Unparsable::BadHeaderLength);
    }
    let (l4, id, offset) = (l3 + header_len, header.id(), header.fragment_offset());
    let total = header.total_len();
    let tuple = Tuple {
        src: ipv4::addr(header.src),
        dst: ipv4::addr(header.dst),
        sport: Port::ANY,
        dport: Port::ANY,
        protocol: Protocol::new(header.protocol()),
    };
    let mut parsed = Parsed::new(tuple, L3Offset(l3), L4Offset(l4), Family::V4);
    parsed.set_fragment(FragmentCode::new(id, offset, header.has_more_fragments()));
    (parsed.l3_len, parsed.ttl) = (total, header.ttl());
    transport::<P, INNER>(packet, &mut parsed, offset, payload_end::<INNER>(l3, total, end)?)?;
    Ok(parsed)
}

#[inline(always)] // called once, from `parse` or `parse_inner`
fn parse_ipv6<P: Packet, const INNER: bool>(packet: &P, l3: u32, end: u32) -> Result<Parsed, Unparsable> {
    let header: Ipv6Header = packet.read(l3)?;
    if header.version() != 6 {
        return Err(Unparsable::BadVersion);
    }
    let (src, dst) = (ipv6::addr(header.src), ipv6::addr(header.dst));
    if src.is_v4() || dst.is_v4() {
        return Err(Unparsable::MappedAddress);
    }
    // Zero means that an option or the socket buffer has the length; what does not fit 16 bits is treated alike.
    let total = match header.payload_len() {
        0 => 0,
        payload => payload.checked_add(ipv6::HEADER as u16).unwrap_or(0),
    };
    let chain = Chain::follow(packet, l3 + ipv6::HEADER, header.next_header())?;
    if chain.at - (l3 + ipv6::HEADER) > MAX_EXTENSION_BYTES {
        return Err(Unparsable::TooManyExtensions);
    }
    let tuple = Tuple { src, dst, sport: Port::ANY, dport: Port::ANY, protocol: Protocol::new(chain.next) };
    let mut parsed = Parsed::new(tuple, L3Offset(l3), L4Offset(chain.at), Family::V6);
    parsed.set_fragment(chain.fragment);
    (parsed.l3_len, parsed.ttl) = (total, header.hop_limit());
    transport::<P, INNER>(packet, &mut parsed, chain.offset, payload_end::<INNER>(l3, total, end)?)?;
    Ok(parsed)
}

/// Extension headers up to the one at `at`.
struct Chain {
    next: u8,
    at: u32,
    fragment: FragmentCode,
    /// Offset of the fragment in units of 8 bytes.
    offset: u16,
}

impl Chain {
    #[inline(always)] // called once, from `parse_ipv6`
    fn follow<P: Packet>(packet: &P, at: u32, next: u8) -> Result<Self, Unparsable> {
        let mut chain = Self { next, at, fragment: FragmentCode::NONE, offset: 0 };
        // The bound is ours (`MAX_EXTENSIONS`): the first header that is no extension ends the loop.
        for _ in 0..MAX_EXTENSIONS {
            match chain.next {
                ipv6::HOP_BY_HOP | ipv6::DESTINATION | ipv6::ROUTING => chain.skip(packet)?,
                ipv6::FRAGMENT => {
                    chain.enter_fragment(packet)?;
                    if chain.offset != 0 {
                        return Ok(chain);
                    }
                }
                _ => return Ok(chain),
            }
        }
        match chain.next {
            ipv6::HOP_BY_HOP | ipv6::DESTINATION | ipv6::ROUTING | ipv6::FRAGMENT => {
                Err(Unparsable::TooManyExtensions)
            }
            _ => Ok(chain),
        }
    }

    /// Options or routing: next header, length in units of 8 bytes without the first 8, and in a routing header type
    /// and segments left.
    #[inline(always)] // called once, from `follow`
    fn skip<P: Packet>(&mut self, packet: &P) -> Result<(), Unparsable> {
        let [next, len, _, segments_left]: Row = packet.read(self.at)?;
        if self.next == ipv6::ROUTING && segments_left != 0 {
            return Err(Unparsable::SourceRouted);
        }
        self.next = next;
        self.at += (u32::from(len) + 1) * 8;
        Ok(())
    }

    #[inline(always)] // called once, from `follow`
    fn enter_fragment<P: Packet>(&mut self, packet: &P) -> Result<(), Unparsable> {
        if self.fragment != FragmentCode::NONE {
            return Err(Unparsable::NestedFragment);
        }
        let [[next, _, high, low], id]: [Row; 2] = packet.read(self.at)?;
        let offset_and_more = u16::from_be_bytes([high, low]);
        let id = u32::from_ne_bytes(id);
        self.offset = offset_and_more >> 3;
        self.fragment = FragmentCode::new(id, self.offset, offset_and_more & 1 != 0);
        self.next = next;
        self.at += 8;
        Ok(())
    }
}

/// Reads ports and kind of a packet whose payload ends at `end`.
#[inline(always)] // called once, from `parse_ipv4` or `parse_ipv6`
fn transport<P: Packet, const INNER: bool>(
    packet: &P,
    parsed: &mut Parsed,
    fragment_offset: u16,
    end: u32,
) -> Result<(), Unparsable> {
    let (l4, protocol) = (P::opaque(parsed.l4.0), parsed.tuple.protocol);
    parsed.l4 = L4Offset(l4);
    let short = if INNER { Unparsable::TooShort } else { Unparsable::BadLength };
    if l4 > end {
        return Err(short);
    }
    if fragment_offset != 0 {
        // 20 bytes of TCP header are within the first fragment, or that one is refused; here they must not come again.
        if protocol == Protocol::TCP && u32::from(fragment_offset) * 8 < tcp::HEADER {
            return Err(Unparsable::TinyFragment);
        }
        parsed.set_kind(Kind::LaterFragment);
        return Ok(());
    }
    let is_icmp = match parsed.family {
        Family::V4 => protocol == ICMP,
        Family::V6 => protocol == ICMPV6,
    };
    if !(is_icmp || protocol == Protocol::TCP || protocol == Protocol::UDP || protocol == Protocol::SCTP) {
        return Ok(());
    }
    if l4 + 8 > end {
        return Err(short);
    }
    let [first, second]: [Row; 2] = packet.read(l4)?;
    let [a, b, c, d] = first;
    if is_icmp {
        let kind = icmp::kind(parsed.family, a, b);
        parsed.set_kind(kind);
        if let Kind::IcmpEcho { .. } = kind {
            let id = Port::from_net(u16::from_ne_bytes([second[0], second[1]]));
            (parsed.tuple.sport, parsed.tuple.dport) = (id, id);
        }
        return Ok(());
    }
    parsed.tuple.sport = Port::from_net(u16::from_ne_bytes([a, b]));
    parsed.tuple.dport = Port::from_net(u16::from_ne_bytes([c, d]));
    let kind = if protocol == Protocol::TCP {
        Kind::Tcp { flags: tcp_flags::<P, INNER>(packet, l4, end)? }
    } else if protocol == Protocol::UDP {
        Kind::Udp
    } else if l4 + sctp::HEADER > end && !INNER {
        return Err(short);
    } else {
        Kind::Sctp
    };
    parsed.set_kind(kind);
    Ok(())
}

#[inline(always)] // called once, from `transport`
fn tcp_flags<P: Packet, const INNER: bool>(packet: &P, l4: u32, end: u32) -> Result<TcpFlags, Unparsable> {
    if l4 + tcp::HEADER > end {
        return if INNER { Ok(TcpFlags::default()) } else { Err(Unparsable::BadLength) };
    }
    let row: Row = packet.read(l4 + tcp::OFFSET_AND_FLAGS)?;
    if tcp::header_len(row) < tcp::HEADER && !INNER {
        return Err(Unparsable::BadHeaderLength);
    }
    Ok(TcpFlags::new(row[1]))
}
