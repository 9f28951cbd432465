use super::*;
use std::net::IpAddr;

const PAIRS: [(&str, &str); 2] = [("192.0.2.1", "198.51.100.2"), ("2001:db8::1", "2001:db8::2")];

fn pairs() -> impl Iterator<Item = (IpAddr, IpAddr)> {
    PAIRS.into_iter().map(|(source, destination)| (source.parse().unwrap(), destination.parse().unwrap()))
}

/// One packet of each kind in each family.
fn packets() -> Vec<Vec<u8>> {
    pairs()
        .flat_map(|(source, destination)| {
            let build = Build::new(source, destination);
            let back = Build::new(destination, source);
            let udp = build.udp((1000, 53), b"question");
            vec![
                build.tcp((1000, 80), TcpFlags::SYN, (7, 0), b""),
                build.tcp((1000, 80), TcpFlags::ACK, (8, 9), b"odd"),
                back.too_big(1400, &udp),
                back.port_unreachable(&udp),
                back.time_exceeded(&udp),
                udp,
            ]
        })
        .collect()
}

#[test]
fn a_known_header_has_its_known_checksum() {
    let mut header = [
        0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8,
        0x00, 0xc7,
    ];
    seal(&mut header).unwrap();
    assert_eq!(header[10..12], [0xb8, 0x61]);
    assert_eq!(bad_checksums(&header).unwrap(), [BadChecksum::Cut], "the datagram is missing");
}

#[test]
fn built_packets_have_right_checksums_and_any_changed_byte_shows() {
    for packet in packets() {
        assert_eq!(bad_checksums(&packet).unwrap(), [], "{packet:02x?}");
        let header = if packet[0] >> 4 == 4 { 20 } else { 40 };
        for at in header..packet.len() {
            let mut changed = packet.clone();
            changed[at] ^= 0x55;
            assert_ne!(bad_checksums(&changed).unwrap(), [], "byte {at} of {packet:02x?}");
            seal(&mut changed).unwrap();
            let rest = bad_checksums(&changed).unwrap();
            // Sealing leaves the quoted packet alone.
            assert!(rest.iter().all(|bad| *bad == BadChecksum::QuotedIpHeader), "{rest:?}");
        }
    }
}

#[test]
fn a_changed_address_shows_in_every_checksum_that_covers_it() {
    let (source, destination) = pairs().next().unwrap();
    let mut packet = Build::new(source, destination).udp((1, 2), b"x");
    packet[15] ^= 1;
    assert_eq!(bad_checksums(&packet).unwrap(), [BadChecksum::IpHeader, BadChecksum::Udp]);
    let (source, destination) = pairs().nth(1).unwrap();
    let mut packet = Build::new(source, destination).tcp((1, 2), TcpFlags::RST, (0, 0), b"");
    packet[23] ^= 1;
    assert_eq!(bad_checksums(&packet).unwrap(), [BadChecksum::Tcp]);
}

#[test]
fn an_absent_udp_checksum_is_right_in_one_family_only() {
    let bad: Vec<_> = pairs()
        .map(|(source, destination)| {
            let mut packet = Build::new(source, destination).udp((1, 2), b"x");
            let at = packet.len() - 3;
            packet[at..at + 2].fill(0);
            bad_checksums(&packet).unwrap()
        })
        .collect();
    assert_eq!(bad, [vec![], vec![BadChecksum::UdpMissing]]);
}

#[test]
fn a_packet_reads_as_it_was_built_padding_left_out() {
    for (source, destination) in pairs() {
        let build = Build::new(source, destination).hop_limit(3);
        let mut bytes = build.tcp((1000, 80), TcpFlags::SYN_ACK, (7, 8), b"data");
        bytes.extend([0; 6]);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!((packet.source, packet.destination, packet.hop_limit), (source, destination, 3));
        let body = Body::Tcp {
            source_port: 1000,
            destination_port: 80,
            flags: TcpFlags::SYN_ACK,
            sequence: 7,
            acknowledgement: 8,
            payload: b"data".to_vec(),
        };
        assert_eq!(packet.body, body);
        assert_eq!(bad_checksums(&bytes).unwrap(), []);
    }
}

#[test]
fn an_error_quotes_the_packet_it_is_about_however_little_is_left() {
    for (source, destination) in pairs() {
        let about = Build::new(source, destination).tcp((1000, 80), TcpFlags::ACK, (7, 8), &[0; 2000]);
        let header = if source.is_ipv4() { 20 } else { 40 };
        for left in [header + 8, header + 19, header + 20, about.len()] {
            let bytes = Build::new(destination, source).too_big(1400, &about[..left]);
            let error = Packet::parse(&bytes).unwrap();
            let Body::Icmp { rest: 1400, .. } = error.body else { panic!("{error}") };
            let quoted = error.quoted().unwrap();
            assert_eq!((quoted.source, quoted.ports()), (source, Some((1000, 80))), "{left} bytes");
            assert!(bytes.len() <= 1280);
        }
        assert!(Packet::parse(&about).unwrap().quoted().is_err());
    }
}

#[test]
fn cut_and_foreign_bytes_are_refused_and_never_read_past() {
    for packet in packets() {
        for length in 0..packet.len() {
            assert!(Packet::parse(&packet[..length]).is_err(), "{length} of {packet:02x?}");
        }
        let mut foreign = packet;
        foreign[0] = 0x75;
        assert!(Packet::parse(&foreign).is_err());
    }
}

#[test]
fn fragments_and_extension_headers_are_read() {
    let (source, destination) = pairs().nth(1).unwrap();
    let build = Build::new(source, destination);
    let udp = &build.udp((1, 2), b"x")[40..];
    let options = [&[protocol::UDP, 0, 1, 4, 0, 0, 0, 0], udp].concat();
    let packet = Packet::parse(&build.with(protocol::DESTINATION_OPTIONS, &options)).unwrap();
    assert_eq!(packet.ports(), Some((1, 2)));
    assert_eq!(bad_checksums(&build.with(protocol::DESTINATION_OPTIONS, &options)).unwrap(), []);
    let later = [&[protocol::UDP, 0, 0, 16, 0, 0, 0, 1], &[0; 8][..]].concat();
    let packet = Packet::parse(&build.with(protocol::FRAGMENT, &later)).unwrap();
    let body = Body::Fragment { protocol: protocol::UDP, offset: 16, payload: vec![0; 8] };
    assert_eq!(packet.body, body);
}
