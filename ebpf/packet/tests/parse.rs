//! What is understood, what is refused, and why: both families.

use packet::{
    EtherType, Family, Fragment, Kind, L3Offset, L4Offset, Parsed, SlicePacket, TcpFlags, Unparsable, parse,
    parse_inner,
};

/// An IPv4 packet: row by row, checksums left alone.
fn v4(protocol: u8, fragment: [u8; 2], options: &[u8], body: &[u8]) -> Vec<u8> {
    let rows = 5 + options.len() as u8 / 4;
    let len = (usize::from(rows) * 4 + body.len()) as u16;
    let mut packet = vec![0x40 | rows, 0];
    packet.extend(len.to_be_bytes());
    packet.extend([0xab, 0xcd, fragment[0], fragment[1], 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend(options);
    packet.extend(body);
    packet
}

/// An IPv6 packet whose first extension or transport is `next`.
fn v6(next: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((body.len() as u16).to_be_bytes());
    packet.extend([next, 64]);
    packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    packet.extend(body);
    packet
}

/// The packet of a family that has `protocol` and `body`.
fn ip(family: Family, protocol: u8, body: &[u8]) -> Vec<u8> {
    match family {
        Family::V4 => v4(protocol, [0, 0], &[], body),
        Family::V6 => v6(protocol, body),
    }
}

const BOTH: [Family; 2] = [Family::V4, Family::V6];
const SYN: [u8; 20] = [0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0];
const UDP: [u8; 8] = [0x9c, 0x40, 0, 53, 0, 8, 0, 0];
/// No fragment, and a first and a later one.
const MORE: [u8; 2] = [0x20, 0];
const LATER: [u8; 2] = [0, 100];

fn read(packet: &[u8]) -> Result<Parsed, Unparsable> {
    let ethertype = if packet[0] >> 4 == 4 { EtherType::IPV4 } else { EtherType::IPV6 };
    parse(&SlicePacket::new(&mut packet.to_vec()), L3Offset(0), ethertype)
}

#[test]
fn a_transport_is_its_ports_and_flags() {
    for family in BOTH {
        let l3 = if family == Family::V4 { 20 } else { 40 };
        let at = read(&ip(family, 6, &SYN)).unwrap();
        assert_eq!(at.kind(), Kind::Tcp { flags: TcpFlags::SYN });
        assert_eq!((at.tuple.sport.get(), at.tuple.dport.get()), (40000, 80));
        assert_eq!((at.l4, at.family, at.ttl), (L4Offset(l3), family, 64));
        assert_eq!((at.fragment(), u32::from(at.l3_len)), (Fragment::None, l3 + 20));

        let at = read(&ip(family, 17, &UDP)).unwrap();
        assert_eq!((at.kind(), at.tuple.dport.get()), (Kind::Udp, 53));
        let at = read(&ip(family, 132, &SYN)).unwrap();
        assert_eq!((at.kind(), at.tuple.dport.get()), (Kind::Sctp, 80));
        let at = read(&ip(family, 47, &[])).unwrap();
        assert_eq!((at.kind(), at.tuple.dport.get(), at.tuple.protocol.get()), (Kind::Other, 0, 47));
    }
}

#[test]
fn icmp_is_an_echo_an_error_or_something_else() {
    let error = |icmp_type, code| Kind::IcmpError { icmp_type, code };
    let other = |icmp_type, code| Kind::Icmp { icmp_type, code };
    let request = Kind::IcmpEcho { is_reply: false };
    let reply = Kind::IcmpEcho { is_reply: true };
    let cases = [
        (Family::V4, 8, request),
        (Family::V4, 0, reply),
        (Family::V4, 3, error(3, 4)),
        (Family::V4, 4, error(4, 4)),
        (Family::V4, 5, error(5, 4)),
        (Family::V4, 11, error(11, 4)),
        (Family::V4, 12, error(12, 4)),
        (Family::V4, 13, other(13, 4)),
        (Family::V4, 128, other(128, 4)),
        (Family::V6, 128, request),
        (Family::V6, 129, reply),
        (Family::V6, 1, error(1, 4)),
        (Family::V6, 2, error(2, 4)),
        (Family::V6, 3, error(3, 4)),
        (Family::V6, 4, error(4, 4)),
        (Family::V6, 0, other(0, 4)),
        (Family::V6, 8, other(8, 4)),
        (Family::V6, 135, other(135, 4)),
        (Family::V6, 137, other(137, 4)),
    ];
    for (family, icmp_type, kind) in cases {
        let protocol = if family == Family::V4 { 1 } else { 58 };
        let at = read(&ip(family, protocol, &[icmp_type, 4, 0, 0, 0x12, 0x34, 0, 1])).unwrap();
        assert_eq!(at.kind(), kind);
        let id = if matches!(kind, Kind::IcmpEcho { .. }) { 0x1234 } else { 0 };
        assert_eq!((at.tuple.sport.get(), at.tuple.dport.get()), (id, id));
        // The other family's ICMP means nothing here.
        let at = read(&ip(family, 59 - protocol, &[icmp_type, 4, 0, 0, 0x12, 0x34, 0, 1])).unwrap();
        assert_eq!((at.kind(), at.tuple.sport.get()), (Kind::Other, 0));
    }
}

#[test]
fn fragments_have_ports_in_the_first_only() {
    let id = u32::from_ne_bytes([1, 2, 3, 4]);
    let v4_id = u32::from(u16::from_ne_bytes([0xab, 0xcd]));
    let v6_fragment = |offset_more: [u8; 2], body: &[u8]| {
        let [high, low] = offset_more;
        v6(44, &[&[17, 0, high, low, 1, 2, 3, 4], body].concat())
    };
    let first = Fragment::First { id };
    let cases = [
        (v4(17, MORE, &[], &UDP), Fragment::First { id: v4_id }, Kind::Udp, 53),
        (v4(17, LATER, &[], &UDP), Fragment::Later { id: v4_id }, Kind::LaterFragment, 0),
        (v4(17, [0x20, 100], &[], &[]), Fragment::Later { id: v4_id }, Kind::LaterFragment, 0),
        // "Don't fragment" is none.
        (v4(17, [0x40, 0], &[], &UDP), Fragment::None, Kind::Udp, 53),
        (v6_fragment([0, 1], &UDP), first, Kind::Udp, 53),
        (v6_fragment([3, 0x20], &UDP), Fragment::Later { id }, Kind::LaterFragment, 0),
        (v6_fragment([3, 0x21], &[]), Fragment::Later { id }, Kind::LaterFragment, 0),
        // An atomic fragment is a whole packet.
        (v6_fragment([0, 0], &UDP), Fragment::None, Kind::Udp, 53),
    ];
    for (packet, fragment, kind, dport) in cases {
        let at = read(&packet).unwrap();
        assert_eq!(
            (at.fragment(), at.kind(), at.tuple.dport.get()),
            (fragment, kind, dport),
            "{packet:02x?}"
        );
        assert_eq!(at.tuple.protocol.get(), 17);
    }
}

#[test]
fn options_and_extensions_are_skipped() {
    let at = read(&v4(17, [0, 0], &[1; 40], &UDP)).unwrap();
    assert_eq!((at.l4, at.tuple.dport.get()), (L4Offset(60), 53));

    let options = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let long = [&[17, 2][..], &[0; 22]].concat();
    let routing = |next: u8| [next, 0, 2, 0, 0, 0, 0, 0];
    let fragment = |next: u8| [next, 0, 0, 1, 0, 0, 0, 9];
    let chain = [&options(60)[..], &options(43), &routing(44), &fragment(60), &long, &UDP].concat();
    let at = read(&v6(0, &chain)).unwrap();
    assert_eq!((at.l4, at.kind(), at.tuple.dport.get()), (L4Offset(40 + 56), Kind::Udp, 53));
    assert_eq!(at.fragment(), Fragment::First { id: u32::from_ne_bytes([0, 0, 0, 9]) });

    let of = |count: usize| {
        let next = (0..count).map(|i| if i + 1 == count { 17 } else { 60 });
        v6(60, &[next.flat_map(options).collect::<Vec<u8>>(), UDP.to_vec()].concat())
    };
    assert_eq!(read(&of(6)).unwrap().kind(), Kind::Udp);
    assert_eq!(read(&of(7)), Err(Unparsable::TooManyExtensions));
    let of_units = |units: &[u8]| {
        let mut body = Vec::new();
        for (i, units) in units.iter().rev().enumerate() {
            let next = if i == 0 { 17 } else { 60 };
            body = [&[next, *units][..], &vec![0; 6 + 8 * usize::from(*units)], &body].concat();
        }
        v6(60, &[body, UDP.to_vec()].concat())
    };
    assert_eq!(read(&of_units(&[255, 255])).unwrap().l4, L4Offset(40 + 4096));
    assert_eq!(read(&of_units(&[255, 254, 0])).unwrap().l4, L4Offset(40 + 4096));
    assert_eq!(read(&of_units(&[255, 255, 0])), Err(Unparsable::TooManyExtensions));
    // Authentication, mobility and "no next header" are where the search ends.
    for next in [51, 135, 59] {
        assert_eq!(read(&v6(60, &options(next))).unwrap().kind(), Kind::Other);
    }
}

#[test]
fn what_a_receiver_would_see_otherwise_is_refused() {
    let with = |mut packet: Vec<u8>, at: usize, byte: u8| {
        packet[at] = byte;
        packet
    };
    let udp4 = v4(17, [0, 0], &[], &UDP);
    let udp6 = v6(17, &UDP);
    let fragment = [17, 0, 0, 1, 0, 0, 0, 1];
    let tcp_fragment = |units: u8| v6(44, &[&[6, 0, 0, units << 3, 0, 0, 0, 1], &[0; 24][..]].concat());
    let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1];
    let with_addr = |at: usize| [&udp6[..at], &mapped, &udp6[at + 16..]].concat();
    let cases = [
        ("IHL 4", with(udp4.clone(), 0, 0x44), Unparsable::BadHeaderLength),
        ("IHL beyond the total length", with(udp4.clone(), 0, 0x4f), Unparsable::BadLength),
        ("total length beyond the packet", with(udp4.clone(), 3, 29), Unparsable::TooShort),
        ("total length before the UDP header's end", with(udp4.clone(), 3, 27), Unparsable::BadLength),
        ("total length within the IP header", with(udp4.clone(), 3, 19), Unparsable::BadLength),
        ("payload beyond the packet", with(udp6.clone(), 5, 9), Unparsable::TooShort),
        ("payload before the UDP header's end", with(udp6.clone(), 5, 7), Unparsable::BadLength),
        ("19 bytes of TCP", v4(6, [0, 0], &[], &SYN[..19]), Unparsable::BadLength),
        ("19 bytes of TCP in IPv6", v6(6, &SYN[..19]), Unparsable::BadLength),
        ("19 bytes of TCP in a first fragment", v4(6, MORE, &[], &SYN[..19]), Unparsable::BadLength),
        ("11 bytes of SCTP", v4(132, [0, 0], &[], &SYN[..11]), Unparsable::BadLength),
        ("TCP data offset 4", v4(6, [0, 0], &[], &with(SYN.to_vec(), 12, 0x40)), Unparsable::BadHeaderLength),
        ("TCP flags in a second fragment", v4(6, [0, 1], &[], &[0; 24]), Unparsable::TinyFragment),
        ("TCP urgent pointer in a second fragment", v4(6, [0, 2], &[], &[0; 24]), Unparsable::TinyFragment),
        ("TCP flags in a second fragment of IPv6", tcp_fragment(1), Unparsable::TinyFragment),
        ("segments left", v6(43, &[17, 0, 2, 1, 0, 0, 0, 0]), Unparsable::SourceRouted),
        (
            "a fragment in a fragment",
            v6(44, &[&[44, 0, 0, 1, 0, 0, 0, 1], &fragment[..], &UDP].concat()),
            Unparsable::NestedFragment,
        ),
        ("an extension beyond the payload", v6(60, &[17, 1, 0, 0, 0, 0, 0, 0]), Unparsable::BadLength),
        ("an extension beyond the packet", v6(60, &[]), Unparsable::TooShort),
        ("a v4-mapped source", with_addr(8), Unparsable::MappedAddress),
        ("a v4-mapped destination", with_addr(24), Unparsable::MappedAddress),
    ];
    for (what, packet, reason) in cases {
        assert_eq!(read(&packet), Err(reason), "{what}");
    }
    assert_eq!(read(&v4(6, [0, 3], &[], &[0; 24])).unwrap().kind(), Kind::LaterFragment);
    assert_eq!(read(&tcp_fragment(3)).unwrap().kind(), Kind::LaterFragment);
}

#[test]
fn the_link_layer_names_the_family() {
    let body = [0; 64];
    let (mut udp4, mut udp6) = (v4(17, [0, 0], &[], &body), v6(17, &body));
    let at = |packet: &mut Vec<u8>, ethertype| parse(&SlicePacket::new(packet), L3Offset(0), ethertype);
    assert_eq!(at(&mut udp4, EtherType::IPV6), Err(Unparsable::BadVersion));
    assert_eq!(at(&mut udp6, EtherType::IPV4), Err(Unparsable::BadVersion));
    assert_eq!(at(&mut udp4, EtherType::ARP), Err(Unparsable::NotIp));
}

/// Whatever of a packet arrives, it is not understood before all that the headers promise is there.
#[test]
fn every_prefix_of_a_packet_is_too_short() {
    for packet in [v4(6, [0, 0], &[1; 8], &SYN), v6(60, &[&[6, 0, 0, 0, 0, 0, 0, 0], &SYN[..]].concat())] {
        for len in 1..packet.len() {
            assert_eq!(read(&packet[..len]), Err(Unparsable::TooShort), "{len}");
        }
        assert!(read(&packet).is_ok());
    }
}

/// Buffers of more than 65,535 bytes have no length in their headers.
#[test]
fn a_packet_too_big_for_its_length_field_ends_with_the_buffer() {
    for (family, len_at) in [(Family::V4, 2), (Family::V6, 4)] {
        let mut packet = ip(family, 6, &SYN);
        packet.resize(70_000, 0);
        packet[len_at..len_at + 2].fill(0);
        let at = read(&packet).unwrap();
        assert_eq!((at.kind(), at.end(70_000)), (Kind::Tcp { flags: TcpFlags::SYN }, 70_000));
    }
    // The largest payload that fits the field of IPv6, with its header, does not fit 16 bits.
    let mut packet = v6(17, &UDP);
    packet.resize(40 + 65_535, 0);
    packet[4..6].fill(0xff);
    assert_eq!(read(&packet).unwrap().end(40 + 65_535), 40 + 65_535);
}

#[test]
fn an_error_has_eight_bytes_of_the_packet_that_it_is_about() {
    for family in BOTH {
        let (protocol, port_unreachable) = if family == Family::V4 { (1, [3, 3]) } else { (58, [1, 4]) };
        let header = [&port_unreachable[..], &[0; 6]].concat();
        let error = |inner: &[u8]| ip(family, protocol, &[&header, inner].concat());
        let inside = |packet: Vec<u8>| {
            let outer = read(&packet).unwrap();
            parse_inner(&SlicePacket::new(&mut packet.clone()), &outer)
        };
        let l3 = if family == Family::V4 { 20 } else { 40 };
        let quoted = ip(family, 6, &[&SYN[..], &[0; 1000]].concat());

        let inner = inside(error(&quoted[..l3 + 8])).unwrap();
        assert_eq!((inner.tuple.sport.get(), inner.tuple.dport.get()), (40000, 80));
        assert_eq!(inner.kind(), Kind::Tcp { flags: TcpFlags::default() });
        assert_eq!((inner.l3, inner.l4), (L3Offset(l3 as u32 + 8), L4Offset(2 * l3 as u32 + 8)));
        assert_eq!(usize::from(inner.l3_len), l3 + 1020);
        let inner = inside(error(&quoted[..l3 + 20])).unwrap();
        assert_eq!(inner.kind(), Kind::Tcp { flags: TcpFlags::SYN });

        assert_eq!(inside(error(&quoted[..l3 + 7])), Err(Unparsable::TooShort));
        assert_eq!(inside(error(&quoted[..l3 - 1])), Err(Unparsable::TooShort));
        assert_eq!(inside(error(&error(&quoted))), Err(Unparsable::BadIcmpInner));
        assert_eq!(inside(ip(family, 17, &UDP)), Err(Unparsable::BadIcmpInner));
        let other = ip(if family == Family::V4 { Family::V6 } else { Family::V4 }, 6, &SYN);
        assert_eq!(inside(error(&other)), Err(Unparsable::BadVersion));
        // A fragment is quoted like any packet, and an echo has an identifier.
        let echo = if family == Family::V4 { [8, 0] } else { [128, 0] };
        let echo = ip(family, protocol, &[&echo[..], &[0, 0, 0x12, 0x34, 0, 1]].concat());
        assert_eq!(inside(error(&echo)).unwrap().tuple.dport.get(), 0x1234);
        // Bytes after the end of the error are none of the packet's.
        let mut padded = error(&quoted[..l3 + 7]);
        padded.extend([0; 64]);
        assert_eq!(inside(padded), Err(Unparsable::TooShort));
    }
    let later = v4(17, LATER, &[], &[0; 8]);
    let error = v4(1, [0, 0], &[], &[&[11, 1, 0, 0, 0, 0, 0, 0], &later[..]].concat());
    let outer = read(&error).unwrap();
    let inner = parse_inner(&SlicePacket::new(&mut error.clone()), &outer).unwrap();
    assert_eq!(inner.kind(), Kind::LaterFragment);
}

#[test]
fn a_parse_stays_small() {
    assert!(size_of::<Parsed>() <= 64);
    assert!(size_of::<Result<Parsed, Unparsable>>() <= 64);
}
