//! Packets to send.

use std::net::IpAddr;

use super::{TcpFlags, icmp, protocol, seal};

/// The IP header of packets to build; they come out with right checksums, to be spoilt at will.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    source: IpAddr,
    destination: IpAddr,
    hop_limit: u8,
    dont_fragment: bool,
}

impl Build {
    /// From and to whom; both of one family. The hop limit is 64, fragmenting is forbidden.
    pub fn new(source: impl Into<IpAddr>, destination: impl Into<IpAddr>) -> Self {
        let (source, destination) = (source.into(), destination.into());
        Self { source, destination, hop_limit: 64, dont_fragment: true }
    }

    /// The same with that TTL or hop limit.
    #[must_use]
    pub fn hop_limit(self, hop_limit: u8) -> Self {
        Self { hop_limit, ..self }
    }

    /// The same for routers to fragment; IPv6's never do.
    #[must_use]
    pub fn fragmentable(self) -> Self {
        Self { dont_fragment: false, ..self }
    }

    /// A TCP segment without options; the window is 65535.
    pub fn tcp(
        self,
        (source_port, destination_port): (u16, u16),
        flags: TcpFlags,
        (sequence, acknowledgement): (u32, u32),
        payload: &[u8],
    ) -> Vec<u8> {
        let mut body = Vec::with_capacity(20 + payload.len());
        body.extend(source_port.to_be_bytes());
        body.extend(destination_port.to_be_bytes());
        body.extend(sequence.to_be_bytes());
        body.extend(acknowledgement.to_be_bytes());
        body.extend([5 << 4, flags.0, 0xff, 0xff, 0, 0, 0, 0]);
        body.extend(payload);
        self.with(protocol::TCP, &body)
    }

    /// A UDP datagram.
    pub fn udp(self, (source_port, destination_port): (u16, u16), payload: &[u8]) -> Vec<u8> {
        let mut body = Vec::with_capacity(8 + payload.len());
        body.extend(source_port.to_be_bytes());
        body.extend(destination_port.to_be_bytes());
        body.extend(((8 + payload.len()) as u16).to_be_bytes());
        body.extend([0, 0]);
        body.extend(payload);
        self.with(protocol::UDP, &body)
    }

    /// An ICMP message of the family; `rest` is the second half of its header.
    pub fn icmp(self, kind: u8, code: u8, rest: u32, payload: &[u8]) -> Vec<u8> {
        let mut body = vec![kind, code, 0, 0];
        body.extend(rest.to_be_bytes());
        body.extend(payload);
        self.with(if self.is_v6() { protocol::ICMP_V6 } else { protocol::ICMP }, &body)
    }

    /// The error that `about`, whose first bytes it quotes, is too long for a link of that MTU.
    pub fn too_big(self, mtu_bytes: u32, about: &[u8]) -> Vec<u8> {
        let (kind, code) = if self.is_v6() {
            (icmp::V6_TOO_BIG, 0)
        } else {
            (icmp::UNREACHABLE, icmp::FRAGMENTATION_NEEDED)
        };
        self.error(kind, code, mtu_bytes, about)
    }

    /// The error that nobody listens where `about` goes.
    pub fn port_unreachable(self, about: &[u8]) -> Vec<u8> {
        let (kind, code) = if self.is_v6() {
            (icmp::V6_UNREACHABLE, icmp::V6_PORT_UNREACHABLE)
        } else {
            (icmp::UNREACHABLE, icmp::PORT_UNREACHABLE)
        };
        self.error(kind, code, 0, about)
    }

    /// The error that `about` passed too many routers.
    pub fn time_exceeded(self, about: &[u8]) -> Vec<u8> {
        let kind = if self.is_v6() { icmp::V6_TIME_EXCEEDED } else { icmp::TIME_EXCEEDED };
        self.error(kind, 0, 0, about)
    }

    /// Any protocol with any bytes.
    pub fn with(self, protocol: u8, body: &[u8]) -> Vec<u8> {
        let mut packet = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut header = vec![0x45, 0];
                header.extend(((20 + body.len()) as u16).to_be_bytes());
                header.extend([0, 1, if self.dont_fragment { 0x40 } else { 0 }, 0]);
                header.extend([self.hop_limit, protocol, 0, 0]);
                header.extend(source.octets());
                header.extend(destination.octets());
                header
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut header = vec![0x60, 0, 0, 0];
                header.extend((body.len() as u16).to_be_bytes());
                header.extend([protocol, self.hop_limit]);
                header.extend(source.octets());
                header.extend(destination.octets());
                header
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                panic!("{} and {} are not of one family", self.source, self.destination)
            }
        };
        packet.extend(body);
        seal(&mut packet).expect("the header above is whole");
        packet
    }

    /// Quotes as much as keeps the error within the smallest MTU: 576 and 1280 bytes (RFC 1812, RFC 4443).
    fn error(self, kind: u8, code: u8, rest: u32, about: &[u8]) -> Vec<u8> {
        let most = if self.is_v6() { 1280 - 48 } else { 576 - 28 };
        self.icmp(kind, code, rest, &about[..about.len().min(most)])
    }

    fn is_v6(self) -> bool {
        self.source.is_ipv6()
    }
}
