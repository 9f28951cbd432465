//! Packets with something in every field, and what they become: by plain arithmetic on whole packets, which shares
//! nothing with the programs.

use std::net::{IpAddr, SocketAddr};

use lab::packet::{Body, Build, Packet, TcpFlags, seal};

/// Protocol numbers.
pub const ICMP: u8 = 1;
/// See [`ICMP`].
pub const TCP: u8 = 6;
/// See [`ICMP`].
pub const UDP: u8 = 17;
/// See [`ICMP`].
pub const ICMPV6: u8 = 58;
/// An IPv6 extension header.
pub const FRAGMENT: u8 = 44;

/// To whom frames are, and from whom.
const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
/// See [`frame`].
pub const ETHERTYPE_V4: u16 = 0x0800;
/// See [`frame`].
pub const ETHERTYPE_V6: u16 = 0x86dd;

/// An Ethernet frame.
pub fn frame(ethertype: u16, bytes: &[u8]) -> Vec<u8> {
    [MACS.as_flattened(), &ethertype.to_be_bytes(), bytes].concat()
}

/// A TCP segment with options and with precedence, congestion bits and flow label in its network header.
pub fn tcp(src: SocketAddr, dst: SocketAddr, flags: TcpFlags, payload: &[u8]) -> Vec<u8> {
    let mut body = [src.port().to_be_bytes(), dst.port().to_be_bytes()].concat();
    body.extend([0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0]);
    body.extend([8 << 4, flags.0, 0x72, 0x10, 0, 0, 0, 0]);
    // Two times no operation, and time stamps.
    body.extend([1, 1, 8, 10, 0xca, 0xfe, 0, 1, 0xca, 0xfe, 0, 2]);
    body.extend(payload);
    marked(Build::new(src.ip(), dst.ip()).with(TCP, &body))
}

/// A UDP datagram, marked as [`tcp`].
pub fn udp(src: SocketAddr, dst: SocketAddr, payload: &[u8]) -> Vec<u8> {
    marked(Build::new(src.ip(), dst.ip()).udp((src.port(), dst.port()), payload))
}

/// An echo request or reply, marked as [`tcp`].
pub fn echo(src: IpAddr, dst: IpAddr, id: u16, is_reply: bool) -> Vec<u8> {
    let kind = match (src.is_ipv4(), is_reply) {
        (true, false) => 8,
        (true, true) => 0,
        (false, false) => 128,
        (false, true) => 129,
    };
    marked(Build::new(src, dst).icmp(kind, 0, u32::from(id) << 16 | 7, b"are you there"))
}

/// The ICMP error that a node sends about a packet: type and code for each family, the second half of its header, and
/// how it marks it (precedence in IPv4, RFC 1812 section 4.3.2.5; no identification, RFC 6864).
pub fn error(from: IpAddr, to: IpAddr, (v4, v6): ((u8, u8), (u8, u8)), rest: u32, about: &[u8]) -> Vec<u8> {
    let (kind, code) = if from.is_ipv4() { v4 } else { v6 };
    let mut packet = Build::new(from, to).icmp(kind, code, rest, about);
    if from.is_ipv4() {
        packet[1] = 0xc0;
        packet[4..6].fill(0);
    }
    sealed(packet)
}

/// Types and codes of [`error`].
pub const PORT_UNREACHABLE: ((u8, u8), (u8, u8)) = ((3, 3), (1, 4));
/// See [`PORT_UNREACHABLE`].
pub const TOO_BIG: ((u8, u8), (u8, u8)) = ((3, 4), (2, 0));
/// See [`PORT_UNREACHABLE`].
pub const TIME_EXCEEDED: ((u8, u8), (u8, u8)) = ((11, 0), (3, 0));

/// What an error of ours quotes: the network header and 20 bytes, in whole rows of four.
pub fn quoted(packet: &[u8]) -> &[u8] {
    let (_, l4) = transport(packet);
    &packet[..(l4 + 20).min(packet.len()) / 4 * 4]
}

/// The reset that answers a segment: at the number that it acknowledges, or acknowledging all that it holds.
pub fn reset_of(segment: &[u8]) -> Vec<u8> {
    let Packet { source, destination, body, .. } = Packet::parse(segment).expect("a segment");
    let Body::Tcp { source_port, destination_port, flags, sequence, acknowledgement, payload } = body else {
        panic!("no segment")
    };
    let (flags, numbers) = if flags.has(TcpFlags::ACK) {
        (TcpFlags::RST, (acknowledgement, 0))
    } else {
        let len =
            payload.len() as u32 + u32::from(flags.has(TcpFlags::SYN)) + u32::from(flags.has(TcpFlags::FIN));
        (TcpFlags(TcpFlags::RST.0 | TcpFlags::ACK.0), (0, sequence.wrapping_add(len)))
    };
    let mut packet =
        Build::new(destination, source).tcp((destination_port, source_port), flags, numbers, &[]);
    let (_, l4) = transport(&packet);
    // A reset has no window.
    packet[l4 + 14..l4 + 16].fill(0);
    if destination.is_ipv4() {
        packet[4..6].fill(0);
    }
    sealed(packet)
}

/// Fills fields of the network header that translation has no business with.
pub fn marked(mut packet: Vec<u8>) -> Vec<u8> {
    if is_v4(&packet) {
        packet[1] = 0x2a;
        packet[4..6].copy_from_slice(&[0xbe, 0xef]);
    } else {
        packet[..4].copy_from_slice(&[0x62, 0xa5, 0x5a, 0x5a]);
    }
    sealed(packet)
}

/// The packet with right checksums.
pub fn sealed(mut packet: Vec<u8>) -> Vec<u8> {
    seal(&mut packet).expect("a whole packet");
    packet
}

/// The packet between other ends, everything else as it was. What has no ports keeps none: the identifier of an echo
/// becomes the destination's port.
pub fn readdressed(packet: &[u8], src: SocketAddr, dst: SocketAddr) -> Vec<u8> {
    let mut packet = with_addresses(packet, src.ip(), dst.ip());
    let (protocol, at) = transport(&packet);
    match protocol {
        TCP | UDP => {
            packet[at..at + 2].copy_from_slice(&src.port().to_be_bytes());
            packet[at + 2..at + 4].copy_from_slice(&dst.port().to_be_bytes());
        }
        ICMP | ICMPV6 => packet[at + 4..at + 6].copy_from_slice(&dst.port().to_be_bytes()),
        other => panic!("protocol {other} has no ports here"),
    }
    sealed(packet)
}

/// The packet between other addresses, everything else as it was.
pub fn with_addresses(packet: &[u8], src: IpAddr, dst: IpAddr) -> Vec<u8> {
    let mut packet = packet.to_vec();
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            packet[12..16].copy_from_slice(&src.octets());
            packet[16..20].copy_from_slice(&dst.octets());
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            packet[8..24].copy_from_slice(&src.octets());
            packet[24..40].copy_from_slice(&dst.octets());
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => panic!("{src} and {dst}"),
    }
    sealed(packet)
}

/// The packet with that time to live or hop limit.
pub fn with_hops(packet: &[u8], hops: u8) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let at = if is_v4(&packet) { 8 } else { 7 };
    packet[at] = hops;
    sealed(packet)
}

/// The packet in two fragments, of which the first has `at` bytes (a multiple of eight) behind the network header.
pub fn fragments(packet: &[u8], at: usize) -> [Vec<u8>; 2] {
    let (protocol, l4) = transport(packet);
    let (header, body) = packet.split_at(l4);
    let fragment = |part: &[u8], offset: usize, more: bool| {
        let mut header = header.to_vec();
        if is_v4(packet) {
            let len = (l4 + part.len()) as u16;
            header[2..4].copy_from_slice(&len.to_be_bytes());
            let field = (offset / 8) as u16 | if more { 0x2000 } else { 0 };
            header[6..8].copy_from_slice(&field.to_be_bytes());
        } else {
            let len = (l4 - 40 + 8 + part.len()) as u16;
            header[4..6].copy_from_slice(&len.to_be_bytes());
            header[6] = FRAGMENT;
            let field = offset as u16 | u16::from(more);
            header.extend([protocol, 0]);
            header.extend(field.to_be_bytes());
            header.extend([0xfe, 0xed, 0xbe, 0xef]);
        }
        header.extend(part);
        sealed(header)
    };
    [fragment(&body[..at], 0, true), fragment(&body[at..], at, false)]
}

/// Time to live or hop limit.
pub fn hops(packet: &[u8]) -> u8 {
    packet[if is_v4(packet) { 8 } else { 7 }]
}

/// Source port of TCP and UDP.
pub fn source_port(packet: &[u8]) -> u16 {
    let (_, at) = transport(packet);
    u16::from_be_bytes([packet[at], packet[at + 1]])
}

/// Protocol, and where its header is.
pub fn transport(packet: &[u8]) -> (u8, usize) {
    if is_v4(packet) {
        return (packet[9], usize::from(packet[0] & 15) * 4);
    }
    let (mut protocol, mut at) = (packet[6], 40);
    // Hop-by-hop, routing, fragment, destination options.
    while let 0 | 43 | 44 | 60 = protocol {
        let len = if protocol == FRAGMENT { 8 } else { 8 + usize::from(packet[at + 1]) * 8 };
        (protocol, at) = (packet[at], at + len);
    }
    (protocol, at)
}

fn is_v4(packet: &[u8]) -> bool {
    packet[0] >> 4 == 4
}
