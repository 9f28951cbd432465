//! Packets that another implementation built (`tests/data/generate.py`), byte for byte.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panic")]

use std::net::IpAddr;

use abi::{Addr, Port};
use packet::build::{self, Headers, IcmpError};
use packet::{
    EtherType, L3Offset, Packet, Parsed, SlicePacket, Ttl, decrement_ttl, dnat, dnat_inner, parse,
    parse_inner, snat, snat_inner,
};

/// Bytes of the Ethernet header.
const L3: L3Offset = L3Offset(14);

/// The fields of a case's line.
fn cases<const N: usize>(text: &str) -> Vec<[&str; N]> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let cases: Vec<[&str; N]> = lines
        .map(|line| {
            line.split(' ').collect::<Vec<_>>().try_into().unwrap_or_else(|_| panic!("{N} fields: {line}"))
        })
        .collect();
    assert!(!cases.is_empty());
    cases
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn addr(text: &str) -> Addr {
    text.parse::<IpAddr>().unwrap().into()
}

fn port(text: &str) -> Port {
    Port::new(text.parse().unwrap())
}

fn parsed(bytes: &mut [u8]) -> Parsed {
    let ethertype = EtherType::from_net(u16::from_ne_bytes([bytes[12], bytes[13]]));
    parse(&SlicePacket::new(bytes), L3, ethertype).unwrap()
}

/// `operation` is `dnat` or `snat`.
fn translate(operation: &str, packet: &mut [u8], at: &Parsed, to: Addr, to_port: Port) {
    let packet = &mut SlicePacket::new(packet);
    match operation {
        "dnat" => dnat(packet, at, to, to_port).unwrap(),
        "snat" => snat(packet, at, to, to_port).unwrap(),
        _ => panic!("{operation}"),
    }
}

#[test]
fn a_translated_packet_is_the_one_that_its_new_ends_would_have_sent() {
    for [operation, name, to, to_port, before, after] in cases(include_str!("../data/nat.txt")) {
        let mut packet = bytes(before);
        let at = parsed(&mut packet);
        translate(operation, &mut packet, &at, addr(to), port(to_port));
        assert_eq!(hex(&packet), after, "{operation} of {name}");
    }
}

#[test]
fn a_translation_and_its_reverse_give_back_every_byte() {
    for [operation, name, to, to_port, before, _] in cases(include_str!("../data/nat.txt")) {
        let mut packet = bytes(before);
        let first = parsed(&mut packet);
        translate(operation, &mut packet, &first, addr(to), port(to_port));
        let second = parsed(&mut packet);
        let (back, back_port) = match operation {
            "dnat" => (first.tuple.dst, first.tuple.dport),
            _ => (first.tuple.src, first.tuple.sport),
        };
        translate(operation, &mut packet, &second, back, back_port);
        assert_eq!(hex(&packet), before, "{operation} of {name}");
    }
}

#[test]
fn a_hop_costs_one_and_the_header_stays_whole() {
    for [name, before, after] in cases(include_str!("../data/hops.txt")) {
        let mut packet = bytes(before);
        let at = parsed(&mut packet);
        assert_eq!(
            decrement_ttl(&mut SlicePacket::new(&mut packet), &at),
            Ok(Ttl::Left(at.ttl - 1)),
            "{name}"
        );
        assert_eq!(hex(&packet), after, "{name}");
    }
}

#[test]
fn the_packet_inside_an_error_is_translated_as_far_as_it_is_quoted() {
    for [operation, name, to, to_port, before, after] in cases(include_str!("../data/inner.txt")) {
        let mut packet = bytes(before);
        let outer = parsed(&mut packet);
        let mut packet_view = SlicePacket::new(&mut packet);
        let inner = parse_inner(&packet_view, &outer).unwrap();
        let (to, to_port) = (addr(to), port(to_port));
        match operation {
            "dnat" => dnat_inner(&mut packet_view, &outer, &inner, to, to_port).unwrap(),
            "snat" => snat_inner(&mut packet_view, &outer, &inner, to, to_port).unwrap(),
            _ => panic!("{operation}"),
        }
        assert_eq!(hex(&packet), after, "{operation} inside the error about {name}");
    }
}

/// The frame that leaves: `headers` between the Ethernet header and `rest`.
fn frame<const A: usize, const B: usize>(packet: &[u8], headers: &Headers<A, B>, rest: &[u8]) -> Vec<u8> {
    let mut frame = packet[..L3.0 as usize].to_vec();
    frame.resize(frame.len() + headers.bytes() as usize, 0);
    headers.write(&mut SlicePacket::new(&mut frame), L3).unwrap();
    frame.extend(rest);
    frame
}

#[test]
fn an_error_quotes_what_its_receiver_needs() {
    for [error, name, from, packet, expected] in cases(include_str!("../data/errors.txt")) {
        let mut packet = bytes(packet);
        let at = parsed(&mut packet);
        let error = match error {
            "port" => IcmpError::PortUnreachable,
            "mtu" => IcmpError::TooBig { mtu: 1400 },
            "ttl" => IcmpError::TimeExceeded,
            _ => panic!("{error}"),
        };
        let answer = build::icmp_error(&SlicePacket::new(&mut packet), &at, error, addr(from)).unwrap();
        let quote = &packet[L3.0 as usize..][..answer.quoted as usize];
        assert_eq!(hex(&frame(&packet, &answer.headers, quote)), expected, "{error:?} about {name}");
    }
}

#[test]
fn a_reset_has_the_numbers_that_its_receiver_believes() {
    for [name, packet, expected] in cases(include_str!("../data/resets.txt")) {
        let mut packet = bytes(packet);
        let at = parsed(&mut packet);
        let headers = build::tcp_reset(&SlicePacket::new(&mut packet), &at).unwrap();
        assert_eq!(hex(&frame(&packet, &headers, &[])), expected, "{name}");
    }
}

/// Ethernet pads short frames; what the IP header does not count is not answered, quoted or acknowledged.
#[test]
fn padding_is_not_part_of_a_packet() {
    for [name, packet, expected] in cases(include_str!("../data/resets.txt")) {
        let mut packet = bytes(packet);
        packet.extend([0xaa; 6]);
        let at = parsed(&mut packet);
        let view = SlicePacket::new(&mut packet);
        assert_eq!(at.end(view.len()), view.len() - 6);
        let headers = build::tcp_reset(&view, &at).unwrap();
        assert_eq!(hex(&frame(&packet, &headers, &[])), expected, "{name}");
    }
}
