//! What holds for every packet.

#![expect(clippy::unwrap_used, reason = "tests fail by panic")]

mod draft;
mod reference;

use abi::{Addr, Port};
use draft::{Draft, Transport, addr, address, drafts, ports};
use packet::build::{self, IcmpError};
use packet::{
    EtherType, L3Offset, Parsed, SlicePacket, Ttl, decrement_ttl, dnat, dnat_inner, parse, parse_inner, snat,
    snat_inner,
};
use proptest::prelude::*;

type Translate = fn(&mut SlicePacket<'_>, &Parsed, Addr, Port) -> Result<(), packet::TooShort>;

/// DNAT and SNAT, and the draft of what they should make of one.
fn translations(draft: &Draft, to: [u8; 16], to_ports: [u8; 4]) -> [(Translate, Draft); 2] {
    let (mut dnated, mut snated) = (draft.clone(), draft.clone());
    dnated.dst = to;
    snated.src = to;
    dnated.ports[2..].copy_from_slice(&to_ports[2..]);
    if draft.transport == Transport::Echo {
        // The identifier is either port; drafts hold it in the second.
        snated.ports[2..].copy_from_slice(&to_ports[..2]);
    } else {
        snated.ports[..2].copy_from_slice(&to_ports[..2]);
    }
    [
        (|packet, at, addr, port| dnat(packet, at, addr, port), dnated),
        (|packet, at, addr, port| snat(packet, at, addr, port), snated),
    ]
}

/// The other end's port and address as a translation takes them.
fn target(index: usize, draft: &Draft) -> (Addr, Port) {
    match (index, draft.transport) {
        (0, _) => (draft.dst(), draft.dport()),
        (_, Transport::Echo) => (draft.src(), draft.dport()),
        (_, _) => (draft.src(), draft.sport()),
    }
}

/// An SCTP packet whose CRC is zero is taken for one without; one in 2^32 has it.
fn has_lost_its_crc(draft: &Draft, bytes: &[u8]) -> bool {
    draft.transport == Transport::Sctp && {
        let at = draft.parse(&mut bytes.to_vec());
        let (field, len) = reference::l4_field(&at).unwrap();
        bytes[field..field + len] == [0; 4]
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn changing_a_checksum_is_computing_it_anew(
        draft in drafts(), to in address(), to_ports in ports(),
    ) {
        for (index, (translate, expected)) in translations(&draft, to, to_ports).into_iter().enumerate() {
            let mut packet = draft.bytes();
            prop_assume!(!has_lost_its_crc(&draft, &packet));
            let at = draft.parse(&mut packet);
            let (to, port) = target(index, &expected);
            translate(&mut SlicePacket::new(&mut packet), &at, to, port).unwrap();
            prop_assert_eq!(&packet, &expected.bytes());
            // And back.
            let at = draft.parse(&mut packet);
            let (to, port) = target(index, &draft);
            translate(&mut SlicePacket::new(&mut packet), &at, to, port).unwrap();
            prop_assert_eq!(&packet, &draft.bytes());
        }
    }

    /// The two bytes at the end of the payload make the checksum of the translated packet zero.
    #[test]
    fn a_checksum_that_becomes_zero_is_the_zero_of_its_protocol(
        draft in drafts(), to in address(), to_ports in ports(), both_ways in any::<bool>(),
    ) {
        let mut draft = draft;
        if matches!(draft.transport, Transport::Sctp | Transport::UdpWithoutChecksum) {
            draft.transport = Transport::Udp;
        }
        draft.payload.resize(draft.payload.len() / 2 * 2, 0);
        draft.payload.extend([0, 0]);
        let end = draft.payload.len() - 2;
        let [(translate, mut expected), _] = translations(&draft, to, to_ports);
        // Without them the checksum is what they have to add.
        let source = if both_ways { &draft } else { &expected };
        let mut without = source.bytes();
        let at = source.parse(&mut without);
        let rest = reference::transport_checksum(&without, &at).unwrap();
        draft.payload[end..].copy_from_slice(&rest);
        expected.payload[end..].copy_from_slice(&rest);

        let mut packet = draft.bytes();
        let at = draft.parse(&mut packet);
        let zero = if draft.transport == Transport::Udp { [0xff; 2] } else { [0; 2] };
        let (field, _) = reference::l4_field(&at).unwrap();
        translate(&mut SlicePacket::new(&mut packet), &at, expected.dst(), expected.dport()).unwrap();
        prop_assert_eq!(&packet, &expected.bytes());
        let of_zero = if both_ways { draft.bytes() } else { packet };
        prop_assert_eq!(&of_zero[field..field + 2], &zero[..]);
    }

    #[test]
    fn both_ends_may_be_translated_from_one_parse(draft in drafts(), to in address(), to_ports in ports()) {
        let mut packet = draft.bytes();
        prop_assume!(!has_lost_its_crc(&draft, &packet));
        let mut expected = draft.clone();
        (expected.src, expected.dst) = (to, draft.src);
        expected.ports = to_ports;
        let at = draft.parse(&mut packet);
        let echo = draft.transport == Transport::Echo;
        let view = &mut SlicePacket::new(&mut packet);
        dnat(view, &at, expected.dst(), expected.dport()).unwrap();
        let sport = if echo { expected.dport() } else { expected.sport() };
        snat(view, &at, expected.src(), sport).unwrap();
        if echo {
            // The other two bytes are the sequence number.
            expected.ports[..2].copy_from_slice(&draft.ports[..2]);
        }
        prop_assert!(!has_lost_its_crc(&draft, &packet));
        prop_assert_eq!(&packet, &expected.bytes());
    }

    #[test]
    fn a_hop_changes_nothing_else(draft in drafts()) {
        let mut packet = draft.bytes();
        let at = draft.parse(&mut packet);
        let ttl = decrement_ttl(&mut SlicePacket::new(&mut packet), &at).unwrap();
        let mut expected = draft.clone();
        match ttl {
            Ttl::Expired => prop_assert!(draft.ttl <= 1),
            Ttl::Left(left) => {
                prop_assert!(left > 0 && left + 1 == draft.ttl);
                expected.ttl = left;
            }
        }
        prop_assert_eq!(&packet, &expected.bytes());
    }

    #[test]
    fn the_tuple_is_what_the_sender_wrote(draft in drafts()) {
        let at = draft.parse(&mut draft.bytes());
        let sport = if draft.transport == Transport::Echo { draft.dport() } else { draft.sport() };
        prop_assert_eq!((at.tuple.src, at.tuple.dst), (draft.src(), draft.dst()));
        prop_assert_eq!((at.tuple.sport, at.tuple.dport), (sport, draft.dport()));
        prop_assert_eq!((at.ttl, at.family), (draft.ttl, draft.family));
        prop_assert_eq!(at.end(u32::MAX) as usize, draft.bytes().len());
    }

    /// An error of ours about a packet is a packet whose inner one is that packet, whatever is translated in it.
    #[test]
    fn an_error_about_a_packet_stays_right_when_its_inner_packet_is_translated(
        draft in drafts(), from in address(), to in address(), to_ports in ports(), is_source in any::<bool>(),
    ) {
        let mut draft = draft;
        // Single hosts, and extensions that leave room for the transport.
        (draft.src[0], draft.src[12], draft.dst[0], draft.dst[12]) = (0x20, 10, 0x20, 10);
        draft.options.fill(0);
        let mut packet = draft.bytes();
        let at = draft.parse(&mut packet);
        let answer = build::icmp_error(
            &SlicePacket::new(&mut packet), &at, IcmpError::TooBig { mtu: 1280 }, addr(draft.family, from),
        );
        let answer = answer.unwrap();
        let quote = &packet[draft.link..][..answer.quoted as usize];
        let mut error = vec![0; draft.link + answer.headers.bytes() as usize];
        answer.headers.write(&mut SlicePacket::new(&mut error), at.l3).unwrap();
        error.extend(quote);
        let outer = draft.parse(&mut error);
        prop_assert_eq!(outer.tuple.dst, draft.src());
        check_error(&error, &outer)?;
        let view = &mut SlicePacket::new(&mut error);
        let inner = parse_inner(view, &outer).unwrap();
        prop_assert_eq!(inner.tuple, at.tuple);
        let before = error.clone();
        let view = &mut SlicePacket::new(&mut error);
        let echo = draft.transport == Transport::Echo;
        let port = Port::from_net(u16::from_ne_bytes([to_ports[0], to_ports[1]]));
        let (translate, back): (Inner, _) = if is_source {
            (|p, o, i, a, port| snat_inner(p, o, i, a, port), (at.tuple.src, at.tuple.sport))
        } else {
            (|p, o, i, a, port| dnat_inner(p, o, i, a, port), (at.tuple.dst, at.tuple.dport))
        };
        translate(view, &outer, &inner, addr(draft.family, to), port).unwrap();
        let now = parse_inner(view, &outer).unwrap();
        let mut expected = at.tuple;
        if is_source {
            (expected.src, expected.sport) = (addr(draft.family, to), port);
        } else {
            (expected.dst, expected.dport) = (addr(draft.family, to), port);
        }
        if echo {
            (expected.sport, expected.dport) = (port, port);
        }
        prop_assert_eq!(now.tuple, expected);
        check_error(&error, &outer)?;
        let view = &mut SlicePacket::new(&mut error);
        translate(view, &outer, &now, back.0, back.1).unwrap();
        prop_assert_eq!(&error, &before);
    }

    #[test]
    fn any_bytes_are_a_packet_or_a_reason(
        bytes in prop::collection::vec(any::<u8>(), 0..200), l3 in 0..300u32, is_v4 in any::<bool>(),
    ) {
        let mut bytes = bytes;
        let ethertype = if is_v4 { EtherType::IPV4 } else { EtherType::IPV6 };
        if let Some(first) = bytes.get_mut(l3 as usize) {
            // Else hardly any gets past the version.
            *first = if is_v4 { 0x45 } else { 0x60 };
        }
        let view = SlicePacket::new(&mut bytes);
        if let Ok(at) = parse(&view, L3Offset(l3), ethertype) {
            let _ = parse_inner(&view, &at);
        }
    }
}

type Inner = fn(&mut SlicePacket<'_>, &Parsed, &Parsed, Addr, Port) -> Result<(), packet::TooShort>;

/// Both checksums of an ICMP error are what its bytes say.
fn check_error(error: &[u8], outer: &Parsed) -> Result<(), TestCaseError> {
    let l3 = outer.l3.0 as usize;
    if outer.family == packet::Family::V4 {
        prop_assert_eq!(&error[l3 + 10..l3 + 12], reference::header_checksum(error, outer));
    }
    let (field, len) = reference::l4_field(outer).unwrap();
    prop_assert_eq!(&error[field..field + len], reference::transport_checksum(error, outer).unwrap());
    Ok(())
}
