//! Internet checksums (RFC 1071): verified, and filled in.

use std::fmt;
use std::net::IpAddr;

use anyhow::Result;

use super::view::Layout;
use super::{be16, icmp, protocol};

/// What is wrong with a packet's checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadChecksum {
    /// Of the IPv4 header.
    IpHeader,
    /// Of the TCP segment.
    Tcp,
    /// Of the UDP datagram.
    Udp,
    /// There is none in a UDP datagram over IPv6, which must have one (RFC 8200, section 8.1).
    UdpMissing,
    /// Of the ICMP message.
    Icmp,
    /// Of the IPv4 header that an ICMP error quotes.
    QuotedIpHeader,
    /// The packet is cut: its checksum cannot be right.
    Cut,
}

impl fmt::Display for BadChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IpHeader => "bad IPv4 header checksum",
            Self::Tcp => "bad TCP checksum",
            Self::Udp => "bad UDP checksum",
            Self::UdpMissing => "UDP over IPv6 without a checksum",
            Self::Icmp => "bad ICMP checksum",
            Self::QuotedIpHeader => "bad checksum of the quoted IPv4 header",
            Self::Cut => "shorter than it says",
        })
    }
}

/// Verifies every checksum of an IP packet. What a fragment is a part of has one that cannot be verified here.
///
/// # Errors
///
/// A header of IP is cut or wrong.
pub fn bad_checksums(bytes: &[u8]) -> Result<Vec<BadChecksum>> {
    let layout = Layout::of(bytes)?;
    let mut bad = Vec::new();
    if layout.source.is_ipv4() && fold(sum(&bytes[..layout.body])) != 0xffff {
        bad.push(BadChecksum::IpHeader);
    }
    let Some(body) = bytes.get(layout.body..layout.end) else {
        bad.push(BadChecksum::Cut);
        return Ok(bad);
    };
    let Some(field) = field_of(&layout) else { return Ok(bad) };
    if body.len() < field + 2 {
        bad.push(BadChecksum::Cut);
        return Ok(bad);
    }
    let is_absent = layout.protocol == protocol::UDP && be16(body, field) == 0;
    let is_right = fold(sum(body) + pseudo_header(&layout, body.len())) == 0xffff;
    bad.extend(match layout.protocol {
        protocol::UDP if is_absent => layout.source.is_ipv6().then_some(BadChecksum::UdpMissing),
        _ if is_right => None,
        protocol::TCP => Some(BadChecksum::Tcp),
        protocol::UDP => Some(BadChecksum::Udp),
        _ => Some(BadChecksum::Icmp),
    });
    if layout.protocol == protocol::ICMP
        && matches!(body[0], icmp::UNREACHABLE | icmp::TIME_EXCEEDED | icmp::PARAMETER_PROBLEM)
    {
        let quoted = &body[8.min(body.len())..];
        if let Ok(inner) = Layout::of(quoted)
            && fold(sum(&quoted[..inner.body])) != 0xffff
        {
            bad.push(BadChecksum::QuotedIpHeader);
        }
    }
    Ok(bad)
}

/// Fills in the checksums of a packet and leaves a quoted one alone: for a packet whose bytes were changed.
///
/// # Errors
///
/// A header of IP is cut or wrong, or its length does not fit.
pub fn seal(bytes: &mut [u8]) -> Result<()> {
    let layout = Layout::of(bytes)?;
    if layout.source.is_ipv4() {
        put(&mut bytes[..layout.body], 10, 0);
    }
    let (field, end) = (field_of(&layout), layout.end.min(bytes.len()));
    if let Some(field) = field
        && let Some(body) = bytes.get_mut(layout.body..end).filter(|body| body.len() >= field + 2)
    {
        let length = body.len();
        let checksum = put(body, field, pseudo_header(&layout, length));
        if checksum == 0 && layout.protocol == protocol::UDP {
            // Zero means none, so the other zero stands for it (RFC 768).
            body[field..field + 2].copy_from_slice(&[0xff, 0xff]);
        }
    }
    Ok(())
}

/// Puts the checksum of `bytes` and of what `more` sums up at `field`, and returns it.
fn put(bytes: &mut [u8], field: usize, more: u64) -> u16 {
    bytes[field..field + 2].fill(0);
    let checksum = !fold(sum(bytes) + more);
    bytes[field..field + 2].copy_from_slice(&checksum.to_be_bytes());
    checksum
}

/// Where in the protocol's part its checksum is.
fn field_of(layout: &Layout) -> Option<usize> {
    match (layout.fragment, layout.protocol) {
        (None, protocol::TCP) => Some(16),
        (None, protocol::UDP) => Some(6),
        (None, protocol::ICMP | protocol::ICMP_V6) => Some(2),
        _ => None,
    }
}

/// The sum of what a checksum covers besides the bytes; ICMP of IPv4 covers nothing else.
fn pseudo_header(layout: &Layout, length: usize) -> u64 {
    if layout.protocol == protocol::ICMP {
        return 0;
    }
    let addresses = [layout.source, layout.destination].map(|address| match address {
        IpAddr::V4(address) => sum(&address.octets()),
        IpAddr::V6(address) => sum(&address.octets()),
    });
    addresses.into_iter().sum::<u64>() + u64::from(layout.protocol) + length as u64
}

/// The sum of the 16-bit words, a last byte alone being a high one.
fn sum(bytes: &[u8]) -> u64 {
    bytes
        .chunks(2)
        .map(|pair| u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
        .sum()
}

/// The ones' complement sum in 16 bits.
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
