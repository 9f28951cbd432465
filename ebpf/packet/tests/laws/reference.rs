//! Checksums the slow and obvious way: over all bytes, in host order, one after the other.

use packet::{Family, Kind, Parsed};

/// The Internet checksum of a byte string (RFC 1071).
pub(crate) fn internet_checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([pair[0], low]));
        if sum > 0xffff {
            sum -= 0xffff;
        }
    }
    !(sum as u16)
}

/// CRC32c, bit by bit.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

/// Where the transport's checksum is and how long.
pub(crate) fn l4_field(at: &Parsed) -> Option<(usize, usize)> {
    let l4 = at.l4.0 as usize;
    match at.kind() {
        Kind::Tcp { .. } => Some((l4 + 16, 2)),
        Kind::Udp => Some((l4 + 6, 2)),
        Kind::IcmpEcho { .. } | Kind::IcmpError { .. } | Kind::Icmp { .. } => Some((l4 + 2, 2)),
        Kind::Sctp => Some((l4 + 8, 4)),
        Kind::Other | Kind::LaterFragment => None,
    }
}

/// The bytes of the IPv4 header checksum that the packet should have.
pub(crate) fn header_checksum(packet: &[u8], at: &Parsed) -> [u8; 2] {
    let l3 = at.l3.0 as usize;
    let mut header = packet[l3..l3 + usize::from(packet[l3] & 15) * 4].to_vec();
    header[10..12].fill(0);
    internet_checksum(&header).to_be_bytes()
}

/// The bytes of the transport checksum that the packet should have, which is no fragment.
pub(crate) fn transport_checksum(packet: &[u8], at: &Parsed) -> Option<Vec<u8>> {
    let (field, len) = l4_field(at)?;
    let (l3, l4) = (at.l3.0 as usize, at.l4.0 as usize);
    let mut body = packet[l4..l3 + usize::from(at.l3_len)].to_vec();
    body[field - l4..field - l4 + len].fill(0);
    if at.kind() == Kind::Sctp {
        return Some(crc32c(&body).to_le_bytes().to_vec());
    }
    let mut covered = Vec::new();
    match at.family {
        Family::V4 if at.tuple.protocol == packet::ICMP => {}
        Family::V4 => covered.extend(&packet[l3 + 12..l3 + 20]),
        Family::V6 => covered.extend(&packet[l3 + 8..l3 + 40]),
    }
    if !covered.is_empty() {
        covered.extend((body.len() as u32).to_be_bytes());
        covered.extend([0, 0, 0, at.tuple.protocol.get()]);
    }
    covered.extend(&body);
    let checksum = internet_checksum(&covered);
    let is_mangled = at.kind() == Kind::Udp && checksum == 0;
    Some(if is_mangled { vec![0xff, 0xff] } else { checksum.to_be_bytes().to_vec() })
}
