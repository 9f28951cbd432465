//! Resets of TCP connections that nobody has (RFC 9293 sections 3.5.2 and 3.10.7.1).

use abi::Protocol;

use super::{Headers, ipv4_header, ipv6_header, join, may_answer, pseudo_header};
use crate::Row;
use crate::cursor::Packet;
use crate::ipv4;
use crate::parsed::{Family, Fragment, Kind, Parsed};
use crate::tcp::{self, TcpFlags};

/// The reset that answers a segment, from the address and port that it went to, 40 or 60 bytes.
///
/// A segment that acknowledges is answered at the number that it expects next; another one with sequence number zero
/// and an acknowledgement of all that it holds. `None` for what is no segment, for resets, for fragments, where
/// nothing may be answered (see [`may_answer`]), and if the packet has become shorter than it was parsed.
#[inline(always)] // once a program; outlined, the result would go through memory
pub fn tcp_reset<P: Packet>(packet: &P, at: &Parsed) -> Option<Headers<10, 15>> {
    let Kind::Tcp { flags } = at.kind() else {
        return None;
    };
    if flags.has(TcpFlags::RST) || at.fragment() != Fragment::None || !may_answer(at) {
        return None;
    }
    let [_, seq, ack, offset_flags_window]: [Row; 4] = packet.read(at.l4.0).ok()?;
    let (seq, ack, flags) = if flags.has(TcpFlags::ACK) {
        (ack, [0; 4], TcpFlags::RST)
    } else {
        let payload = at.l4.0 + tcp::header_len(offset_flags_window);
        let data = at.end(packet.len()).checked_sub(payload)?;
        let len = data + u32::from(flags.has(TcpFlags::SYN)) + u32::from(flags.has(TcpFlags::FIN));
        let next = u32::from_be_bytes(seq).wrapping_add(len);
        ([0; 4], next.to_be_bytes(), TcpFlags::RST.with(TcpFlags::ACK))
    };
    let ([a, b], [c, d]) = (at.tuple.dport.to_net().to_ne_bytes(), at.tuple.sport.to_net().to_ne_bytes());
    let mut rows: [Row; 5] = [[a, b, c, d], seq, ack, [0x50, flags.bits(), 0, 0], [0; 4]];
    let ends = (at.tuple.dst, at.tuple.src);
    let sum = pseudo_header(at.family, tcp::HEADER as u16, Protocol::TCP, ends).rows(&rows);
    let [a, b] = sum.checksum().to_ne_bytes();
    rows[4] = [a, b, 0, 0];
    Some(match at.family {
        Family::V4 => {
            let len = (ipv4::HEADER + tcp::HEADER) as u16;
            Headers::V4(join(ipv4_header(0, len, Protocol::TCP, ends), rows))
        }
        Family::V6 => Headers::V6(join(ipv6_header(tcp::HEADER as u16, Protocol::TCP, ends), rows)),
    })
}
