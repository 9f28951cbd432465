//! What must hold for every input that is a packet.

use abi::{Addr, Port};
use packet::build::{IcmpError, icmp_error, tcp_reset};
use packet::{
    EtherType, Family, Fragment, Kind, L3Offset, Packet, Parsed, SlicePacket, Ttl, Tuple, decrement_ttl,
    dnat, dnat_inner, parse, parse_inner, snat, snat_inner,
};

use crate::reference;

/// Bytes of the Ethernet header.
const L3: L3Offset = L3Offset(14);

/// What an input was good for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) parsed: u64,
    pub(crate) inner: u64,
}

/// The end that a translation replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Src,
    Dst,
}

fn read(frame: &mut [u8]) -> Option<Parsed> {
    let ethertype = EtherType::from_net(u16::from_ne_bytes([*frame.get(12)?, *frame.get(13)?]));
    parse(&SlicePacket::new(frame), L3, ethertype).ok()
}

/// Checks all laws on one frame.
pub(crate) fn check(frame: &[u8], to: (Addr, Addr, Port)) -> Seen {
    let mut bytes = frame.to_vec();
    let Some(at) = read(&mut bytes) else {
        return Seen::default();
    };
    let end = at.end(frame.len() as u32);
    assert!(at.l3 == L3 && at.l3.0 < at.l4.0 && at.l4.0 <= end && end <= frame.len() as u32);
    // Nothing behind the end was read.
    if at.l3_len != 0 {
        assert_eq!(read(&mut bytes[..end as usize]), Some(at));
    }
    let (v4, v6, port) = to;
    let addr = if at.family == Family::V4 { v4 } else { v6 };
    for which in [End::Src, End::Dst] {
        translate_and_back(frame, &at, which, (addr, port));
    }
    hop(frame, &at);
    answers(frame, &at, addr);
    let inner = parse_inner(&SlicePacket::new(&mut bytes), &at).ok();
    if let Some(inner) = inner {
        assert!(inner.family == at.family && inner.l3 == at.inner_l3() && inner.l4.0 <= end);
        for which in [End::Src, End::Dst] {
            translate_inner_and_back(frame, (&at, &inner), which, (addr, port));
        }
    }
    Seen { parsed: 1, inner: u64::from(inner.is_some()) }
}

/// The tuple after a translation.
fn translated(tuple: Tuple, kind: Kind, which: End, (addr, port): (Addr, Port)) -> Tuple {
    let mut now = tuple;
    let has_ports = matches!(kind, Kind::Tcp { .. } | Kind::Udp | Kind::Sctp);
    let is_echo = matches!(kind, Kind::IcmpEcho { .. });
    match which {
        End::Src => now.src = addr,
        End::Dst => now.dst = addr,
    }
    if is_echo || has_ports && which == End::Src {
        now.sport = port;
    }
    if is_echo || has_ports && which == End::Dst {
        now.dport = port;
    }
    now
}

fn end_of(tuple: &Tuple, which: End) -> (Addr, Port) {
    match which {
        End::Src => (tuple.src, tuple.sport),
        End::Dst => (tuple.dst, tuple.dport),
    }
}

fn translate_and_back(frame: &[u8], at: &Parsed, which: End, to: (Addr, Port)) {
    let translate = |bytes: &mut [u8], at: &Parsed, (addr, port)| {
        let packet = &mut SlicePacket::new(bytes);
        match which {
            End::Src => snat(packet, at, addr, port),
            End::Dst => dnat(packet, at, addr, port),
        }
    };
    let mut bytes = frame.to_vec();
    let changes_port = end_of(&at.tuple, which).1 != to.1;
    let done = translate(&mut bytes, at, to);
    if at.kind() == Kind::Sctp && at.fragment() != Fragment::None && changes_port {
        assert!(done.is_err(), "the rest of what the CRC covers is elsewhere");
        return;
    }
    done.expect("what was parsed is there");
    let now = read(&mut bytes).expect("a translated packet is a packet");
    let mut wanted = *at;
    wanted.tuple = translated(at.tuple, at.kind(), which, to);
    assert_eq!(now, wanted);
    if let Some((field, len)) = reference::l4_field(at)
        && at.fragment() == Fragment::None
        && at.l3_len != 0
        && has_right_checksum(frame, at)
        && !(at.kind() == Kind::Sctp && frame[field..field + len] == [0; 4])
    {
        assert!(has_right_checksum(&bytes, &now), "the checksum was right before");
    }
    if at.family == Family::V4 && has_right_header(frame, at) {
        assert!(has_right_header(&bytes, &now), "the header checksum was right before");
    }
    // A CRC that became zero, one in 2^32, is taken for none.
    translate(&mut bytes, &now, end_of(&at.tuple, which)).expect("as before");
    assert_same(frame, &bytes, at);
}

/// Whether the transport checksum is the one that recomputation gives.
fn has_right_checksum(frame: &[u8], at: &Parsed) -> bool {
    let (Some((field, len)), Some(right)) =
        (reference::l4_field(at), reference::transport_checksum(frame, at))
    else {
        return false;
    };
    frame[field..field + len] == right
}

fn has_right_header(frame: &[u8], at: &Parsed) -> bool {
    let field = at.l3.0 as usize + 10;
    frame[field..field + 2] == reference::header_checksum(frame, at)
}

fn translate_inner_and_back(frame: &[u8], (outer, inner): (&Parsed, &Parsed), which: End, to: (Addr, Port)) {
    let translate = |bytes: &mut [u8], inner: &Parsed, (addr, port)| {
        let packet = &mut SlicePacket::new(bytes);
        match which {
            End::Src => snat_inner(packet, outer, inner, addr, port),
            End::Dst => dnat_inner(packet, outer, inner, addr, port),
        }
    };
    let mut bytes = frame.to_vec();
    translate(&mut bytes, inner, to).expect("what was parsed is there");
    let now = parse_inner(&SlicePacket::new(&mut bytes), outer).expect("a translated packet is a packet");
    let mut wanted = *inner;
    wanted.tuple = translated(inner.tuple, inner.kind(), which, to);
    assert_eq!(now, wanted);
    assert_eq!(read(&mut bytes), Some(*outer), "the error itself goes where it went");
    if outer.fragment() == Fragment::None && outer.l3_len != 0 && has_right_checksum(frame, outer) {
        assert!(has_right_checksum(&bytes, outer), "the error's checksum was right before");
    }
    translate(&mut bytes, &now, end_of(&inner.tuple, which)).expect("as before");
    let mut expected = frame.to_vec();
    // The inner packet's checksums and the error's may come back as the other zero.
    for field in csum_fields(inner).into_iter().chain(csum_fields(outer)) {
        settle_zero(&mut expected, &bytes, field);
    }
    assert!(expected == bytes, "{expected:02x?} came back as {bytes:02x?}");
}

/// Internet checksums of a packet, of which 0000 and ffff are the same number.
fn csum_fields(at: &Parsed) -> Vec<usize> {
    let header = (at.family == Family::V4).then_some(at.l3.0 as usize + 10);
    let transport = reference::l4_field(at).filter(|(_, len)| *len == 2).map(|(field, _)| field);
    header.into_iter().chain(transport).collect()
}

/// Accepts the other zero: nobody sends ffff but for UDP, so what comes back for it is 0000.
fn settle_zero(expected: &mut [u8], bytes: &[u8], field: usize) {
    if let Some([0xff, 0xff]) = expected.get(field..field + 2)
        && bytes[field..field + 2] == [0, 0]
    {
        expected[field..field + 2].fill(0);
    }
}

fn assert_same(frame: &[u8], bytes: &[u8], at: &Parsed) {
    let mut expected = frame.to_vec();
    for field in csum_fields(at) {
        settle_zero(&mut expected, bytes, field);
    }
    assert!(expected == bytes, "{expected:02x?} came back as {bytes:02x?}");
}

fn hop(frame: &[u8], at: &Parsed) {
    let mut bytes = frame.to_vec();
    match decrement_ttl(&mut SlicePacket::new(&mut bytes), at).expect("what was parsed is there") {
        Ttl::Expired => assert_eq!((bytes, at.ttl <= 1), (frame.to_vec(), true)),
        Ttl::Left(left) => {
            let mut wanted = *at;
            wanted.ttl = left;
            assert_eq!(read(&mut bytes), Some(wanted));
            let l3 = at.l3.0 as usize;
            // One byte, and the header checksum of IPv4.
            let (ttl, checksum) = match at.family {
                Family::V4 => (l3 + 8, l3 + 10..l3 + 12),
                Family::V6 => (l3 + 7, 0..0),
            };
            for (i, (now, was)) in bytes.iter().zip(frame).enumerate() {
                assert!(now == was || i == ttl || checksum.contains(&i), "byte {i}");
            }
            if at.family == Family::V4 && has_right_header(frame, at) {
                assert!(has_right_header(&bytes, at));
            }
        }
    }
}

fn answers(frame: &[u8], at: &Parsed, from: Addr) {
    let mut bytes = frame.to_vec();
    let view = SlicePacket::new(&mut bytes);
    if let Some(answer) = icmp_error(&view, at, IcmpError::TooBig { mtu: 1280 }, from) {
        let quote = &frame[L3.0 as usize..][..answer.quoted as usize];
        let mut error = frame[..14].to_vec();
        error.resize(14 + answer.headers.bytes() as usize, 0);
        answer.headers.write(&mut SlicePacket::new(&mut error), L3).expect("there is room");
        error.extend(quote);
        let outer = read(&mut error).expect("an answer is a packet");
        assert!(has_right_checksum(&error, &outer));
        assert_eq!(outer.tuple.dst, at.tuple.src);
    }
    if let Some(headers) = tcp_reset(&view, at) {
        let mut reset = frame[..14].to_vec();
        reset.resize(14 + headers.bytes() as usize, 0);
        headers.write(&mut SlicePacket::new(&mut reset), L3).expect("there is room");
        let answer = read(&mut reset).expect("an answer is a packet");
        assert!(has_right_checksum(&reset, &answer));
        assert_eq!((answer.tuple.dst, answer.tuple.dport), (at.tuple.src, at.tuple.sport));
        assert_eq!(tcp_reset(&SlicePacket::new(&mut reset), &answer), None, "resets are not answered");
    }
    assert_eq!(view.len() as usize, frame.len());
}
