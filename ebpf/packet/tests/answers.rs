//! What is answered and what is not.

#![expect(clippy::unwrap_used, reason = "tests fail by panic")]

use std::net::IpAddr;

use abi::{Addr, Port, Protocol};
use packet::build::{IcmpError, icmp_error, may_answer, tcp_reset};
use packet::{
    Family, Fragment, Kind, L3Offset, L4Offset, Packet, Parsed, SlicePacket, TcpFlags, TooShort, Tuple,
};

fn addr(text: &str) -> Addr {
    text.parse::<IpAddr>().unwrap().into()
}

/// A segment of 20 bytes between two hosts, as it would be parsed.
fn segment(src: &str, dst: &str, flags: TcpFlags) -> Parsed {
    let (src, dst) = (addr(src), addr(dst));
    let (family, l4) = if src.is_v4() { (Family::V4, 20) } else { (Family::V6, 40) };
    let tuple = Tuple { src, dst, sport: Port::new(1), dport: Port::new(2), protocol: Protocol::TCP };
    let mut at = Parsed::new(tuple, L3Offset(0), L4Offset(l4), family).with_kind(Kind::Tcp { flags });
    (at.l3_len, at.ttl) = (l4 as u16 + 20, 1);
    at
}

const HOSTS: [(&str, &str); 2] = [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")];

#[test]
fn only_what_single_hosts_say_to_each_other_is_answered() {
    for (src, dst) in HOSTS {
        assert!(may_answer(&segment(src, dst, TcpFlags::SYN)));
    }
    let v4 = ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"];
    let v6 = ["::", "::1", "ff02::1", "ff0e::1"];
    for (others, (src, dst)) in [(&v4[..], HOSTS[0]), (&v6[..], HOSTS[1])] {
        for other in others {
            assert!(!may_answer(&segment(other, dst, TcpFlags::SYN)), "from {other}");
            assert!(!may_answer(&segment(src, other, TcpFlags::SYN)), "to {other}");
        }
    }
    for (src, dst) in [("1.0.0.1", "223.255.255.254"), ("::2", "fe80::1"), ("::1:0", "1::")] {
        assert!(may_answer(&segment(src, dst, TcpFlags::SYN)), "{src} to {dst}");
    }
}

#[test]
fn errors_redirects_and_later_fragments_are_not_answered() {
    for (src, dst) in HOSTS {
        let at = segment(src, dst, TcpFlags::SYN);
        let with = |kind| at.with_kind(kind);
        for kind in [Kind::IcmpError { icmp_type: 3, code: 1 }, Kind::LaterFragment] {
            assert!(!may_answer(&with(kind)), "{kind:?}");
            let mut bytes = [0; 80];
            let view = SlicePacket::new(&mut bytes);
            assert_eq!(icmp_error(&view, &with(kind), IcmpError::TimeExceeded, at.tuple.dst), None);
        }
        for kind in [Kind::Udp, Kind::Sctp, Kind::Other, Kind::IcmpEcho { is_reply: false }] {
            assert!(may_answer(&with(kind)), "{kind:?}");
        }
        let redirect = with(Kind::Icmp { icmp_type: 137, code: 0 });
        assert_eq!(may_answer(&redirect), at.family == Family::V4);
    }
}

#[test]
fn a_reset_answers_segments_only() {
    for (src, dst) in HOSTS {
        let mut bytes = [0x50; 60];
        let view = SlicePacket::new(&mut bytes);
        let at = segment(src, dst, TcpFlags::SYN);
        assert!(tcp_reset(&view, &at).is_some());
        assert_eq!(tcp_reset(&view, &segment(src, dst, TcpFlags::RST)), None);
        assert_eq!(tcp_reset(&view, &segment(src, dst, TcpFlags::RST.with(TcpFlags::ACK))), None);
        assert_eq!(tcp_reset(&view, &at.with_kind(Kind::Udp)), None);
        assert_eq!(tcp_reset(&view, &at.with_fragment(Fragment::First { id: 1 })), None);
    }
}

#[test]
fn a_packet_that_has_become_shorter_is_not_answered() {
    for (src, dst) in HOSTS {
        let at = segment(src, dst, TcpFlags::SYN);
        let mut bytes = [0x50; 30];
        let view = SlicePacket::new(&mut bytes);
        assert_eq!(tcp_reset(&view, &at), None);
        assert_eq!(icmp_error(&view, &at, IcmpError::PortUnreachable, at.tuple.dst), None);
    }
}

#[test]
fn nothing_is_read_or_written_past_the_end() {
    let mut bytes = [1, 2, 3, 4, 5];
    let mut view = SlicePacket::new(&mut bytes);
    assert_eq!(view.read(1), Ok([2u8, 3, 4, 5]));
    assert_eq!(view.read::<[u8; 4]>(2), Err(TooShort));
    assert_eq!(view.read::<[u8; 1]>(5), Err(TooShort));
    assert_eq!(view.read::<[u8; 0]>(5), Ok([]));
    assert_eq!(view.read::<[u8; 1]>(u32::MAX), Err(TooShort));
    assert_eq!(view.write(2, &[9u8; 4]), Err(TooShort));
    assert_eq!(view.write(3, &[9u8; 2]), Ok(()));
    assert_eq!((view.len(), bytes), (5, [1, 2, 3, 9, 9]));
}
