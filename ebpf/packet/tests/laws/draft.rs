//! Random packets that are right.

use abi::{Addr, Port, Protocol};
use packet::{EtherType, Family, ICMP, ICMPV6, L3Offset, Parsed, SlicePacket, parse};
use proptest::prelude::*;

use crate::reference;

/// What a transport header is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Udp,
    UdpWithoutChecksum,
    Echo,
    Sctp,
}

/// A packet before it is bytes.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) family: Family,
    pub(crate) transport: Transport,
    pub(crate) src: [u8; 16],
    pub(crate) dst: [u8; 16],
    pub(crate) ports: [u8; 4],
    /// Bytes before the network header.
    pub(crate) link: usize,
    /// Rows of IPv4 options; extension headers of IPv6, each of so many units of eight bytes.
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) ttl: u8,
}

/// Random drafts; zeros are likely where they matter to ones' complement sums.
pub(crate) fn drafts() -> impl Strategy<Value = Draft> {
    let family = prop_oneof![Just(Family::V4), Just(Family::V6)];
    let transport = prop_oneof![
        Just(Transport::Tcp),
        Just(Transport::Udp),
        Just(Transport::UdpWithoutChecksum),
        Just(Transport::Echo),
        Just(Transport::Sctp),
    ];
    (
        (family, transport, prop_oneof![0..4u8, any::<u8>()]),
        (address(), address(), ports()),
        prop_oneof![Just(0), Just(14), 0..40usize],
        prop::collection::vec(0..3u8, 0..=6),
        prop::collection::vec(any::<u8>(), 0..200),
    )
        .prop_map(|((family, transport, ttl), (src, dst, ports), link, options, payload)| Draft {
            family,
            transport,
            src,
            dst,
            ports,
            link,
            options,
            payload,
            ttl,
        })
}

/// Sixteen bytes that are not v4-mapped; IPv4 takes the last four.
pub(crate) fn address() -> impl Strategy<Value = [u8; 16]> {
    telling().prop_filter("v4-mapped", |bytes| !Addr::v6(*bytes).is_v4())
}

pub(crate) fn ports() -> impl Strategy<Value = [u8; 4]> {
    telling()
}

/// Bytes of which a quarter is zero and a quarter is 0xff.
fn telling<const N: usize>() -> impl Strategy<Value = [u8; N]> {
    (any::<[u8; N]>(), any::<u32>()).prop_map(|(bytes, choices)| {
        let mut bytes = bytes;
        for (i, byte) in bytes.iter_mut().enumerate() {
            match choices >> (2 * i) & 3 {
                0 => *byte = 0,
                1 => *byte = 0xff,
                _ => {}
            }
        }
        bytes
    })
}

/// An address of the family.
pub(crate) fn addr(family: Family, bytes: [u8; 16]) -> Addr {
    match family {
        Family::V4 => Addr::v4([bytes[12], bytes[13], bytes[14], bytes[15]]),
        Family::V6 => Addr::v6(bytes),
    }
}

impl Draft {
    pub(crate) fn src(&self) -> Addr {
        addr(self.family, self.src)
    }

    pub(crate) fn dst(&self) -> Addr {
        addr(self.family, self.dst)
    }

    pub(crate) fn sport(&self) -> Port {
        Port::from_net(u16::from_ne_bytes([self.ports[0], self.ports[1]]))
    }

    pub(crate) fn dport(&self) -> Port {
        Port::from_net(u16::from_ne_bytes([self.ports[2], self.ports[3]]))
    }

    fn protocol(&self) -> Protocol {
        match (self.transport, self.family) {
            (Transport::Tcp, _) => Protocol::TCP,
            (Transport::Udp | Transport::UdpWithoutChecksum, _) => Protocol::UDP,
            (Transport::Sctp, _) => Protocol::SCTP,
            (Transport::Echo, Family::V4) => ICMP,
            (Transport::Echo, Family::V6) => ICMPV6,
        }
    }

    /// Transport header and payload; checksum zero.
    fn segment(&self) -> Vec<u8> {
        let [a, b, c, d] = self.ports;
        let mut segment = match self.transport {
            Transport::Tcp => {
                [&[a, b, c, d, 1, 2, 3, 4, 5, 6, 7, 8, 0x50, 0x18, 0x20, 0, 0, 0, 0, 0][..]].concat()
            }
            Transport::Udp | Transport::UdpWithoutChecksum => {
                let [high, low] = (self.payload.len() as u16 + 8).to_be_bytes();
                vec![a, b, c, d, high, low, 0, 0]
            }
            Transport::Echo => {
                let request = if self.family == Family::V4 { 8 } else { 128 };
                vec![request, 0, 0, 0, c, d, a, b]
            }
            Transport::Sctp => vec![a, b, c, d, 0xca, 0xfe, 0, 1, 0, 0, 0, 0],
        };
        segment.extend(&self.payload);
        segment
    }

    /// The bytes, with checksums.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let segment = self.segment();
        let mut packet = vec![0xee; self.link];
        match self.family {
            Family::V4 => {
                let rows = self.options.len();
                let [high, low] = (20 + 4 * rows as u16 + segment.len() as u16).to_be_bytes();
                packet.extend([0x45 + rows as u8, 0, high, low, 0x12, 0x34, 0, 0, self.ttl]);
                packet.extend([self.protocol().get(), 0, 0]);
                packet.extend(&self.src[12..]);
                packet.extend(&self.dst[12..]);
                packet.extend(vec![1; 4 * rows]);
            }
            Family::V6 => {
                let extensions: usize = self.options.iter().map(|units| 8 + 8 * usize::from(*units)).sum();
                let [high, low] = ((extensions + segment.len()) as u16).to_be_bytes();
                // Hop-by-hop first, then destination options.
                let kinds = std::iter::once(0).chain(std::iter::repeat(60));
                let kinds: Vec<u8> = kinds.take(self.options.len()).chain([self.protocol().get()]).collect();
                packet.extend([0x60, 0, 0, 0, high, low, kinds[0], self.ttl]);
                packet.extend(self.src);
                packet.extend(self.dst);
                for (units, next) in self.options.iter().zip(&kinds[1..]) {
                    packet.extend([*next, *units]);
                    packet.extend(vec![0; 6 + 8 * usize::from(*units)]);
                }
            }
        }
        packet.extend(segment);
        let at = self.parse(&mut packet);
        self.fill_checksums(&mut packet, &at);
        packet
    }

    fn fill_checksums(&self, packet: &mut [u8], at: &Parsed) {
        let l3 = self.link;
        if self.family == Family::V4 {
            let checksum = reference::header_checksum(packet, at);
            packet[l3 + 10..l3 + 12].copy_from_slice(&checksum);
        }
        if self.transport == Transport::UdpWithoutChecksum {
            return;
        }
        let checksum = reference::transport_checksum(packet, at).unwrap();
        let (field, len) = reference::l4_field(at).unwrap();
        packet[field..field + len].copy_from_slice(&checksum);
    }

    /// Parses bytes of this draft, translated or not.
    pub(crate) fn parse(&self, packet: &mut [u8]) -> Parsed {
        let ethertype = match self.family {
            Family::V4 => EtherType::IPV4,
            Family::V6 => EtherType::IPV6,
        };
        parse(&SlicePacket::new(packet), L3Offset(self.link as u32), ethertype).unwrap()
    }
}
