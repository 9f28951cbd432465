//! What a packet says.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result, bail, ensure};

use super::{Mac, be16, be32, icmp, protocol};

/// Length of an Ethernet header without tags.
const ETHERNET: usize = 14;

/// An Ethernet frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// To whom.
    pub destination: Mac,
    /// From whom.
    pub source: Mac,
    /// 0x0800 for IPv4, 0x86dd for IPv6.
    pub ethertype: u16,
    /// What follows, padding included.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// The frame is shorter than that.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let (header, payload) = bytes.split_at_checked(ETHERNET).context("shorter than Ethernet")?;
        let mac = |at: usize| <[u8; 6]>::try_from(&header[at..at + 6]).map(Mac);
        Ok(Self { destination: mac(0)?, source: mac(6)?, ethertype: be16(header, 12), payload })
    }
}

/// An IP packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// From whom.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// What it carries.
    pub body: Body,
}

/// What an IP packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A TCP segment.
    Tcp {
        /// From which port.
        source_port: u16,
        /// To which port.
        destination_port: u16,
        /// Flags.
        flags: TcpFlags,
        /// Sequence number.
        sequence: u32,
        /// Acknowledgement number.
        acknowledgement: u32,
        /// Data.
        payload: Vec<u8>,
    },
    /// A UDP datagram.
    Udp {
        /// From which port.
        source_port: u16,
        /// To which port.
        destination_port: u16,
        /// Data.
        payload: Vec<u8>,
    },
    /// An ICMP message of either family.
    Icmp {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
        /// The second half of the header: the MTU of a packet-too-big, the id and sequence number of an echo.
        rest: u32,
        /// Data: the packet that an error is about.
        payload: Vec<u8>,
    },
    /// A fragment; what it is of cannot be read from it alone.
    Fragment {
        /// Protocol of the whole.
        protocol: u8,
        /// Where it belongs, in bytes.
        offset: usize,
        /// Its part.
        payload: Vec<u8>,
    },
    /// Another protocol.
    Other {
        /// Its number.
        protocol: u8,
        /// All of it.
        payload: Vec<u8>,
    },
}

/// The low eight flags of a TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// FIN.
    pub const FIN: Self = Self(0x01);
    /// SYN.
    pub const SYN: Self = Self(0x02);
    /// RST.
    pub const RST: Self = Self(0x04);
    /// PSH.
    pub const PSH: Self = Self(0x08);
    /// ACK.
    pub const ACK: Self = Self(0x10);
    /// SYN and ACK.
    pub const SYN_ACK: Self = Self(0x12);

    /// Whether all of these are set.
    pub fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }
}

/// Where the headers of a packet end.
pub(super) struct Layout {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) hop_limit: u8,
    pub(super) protocol: u8,
    /// Where the protocol's part begins; the IPv4 header's length, or IPv6's with its extension headers.
    pub(super) body: usize,
    /// Where the packet ends by its own length field.
    pub(super) end: usize,
    /// Offset in bytes and whether more follow, for a fragment.
    pub(super) fragment: Option<(usize, bool)>,
}

impl Layout {
    /// `end` may lie past the bytes: a packet quoted in an ICMP error is cut.
    pub(super) fn of(bytes: &[u8]) -> Result<Self> {
        match bytes.first().context("an empty packet")? >> 4 {
            4 => Self::of_v4(bytes),
            6 => Self::of_v6(bytes),
            version => bail!("IP version {version}"),
        }
    }

    fn of_v4(bytes: &[u8]) -> Result<Self> {
        let body = usize::from(bytes[0] & 15) * 4;
        ensure!(body >= 20 && bytes.len() >= body, "an IPv4 header of {body} in {} bytes", bytes.len());
        let address = |at: usize| Ipv4Addr::from(be32(bytes, at)).into();
        let fragment = be16(bytes, 6);
        let (offset, more) = (usize::from(fragment & 0x1fff) * 8, fragment & 0x2000 != 0);
        Ok(Self {
            source: address(12),
            destination: address(16),
            hop_limit: bytes[8],
            protocol: bytes[9],
            body,
            end: usize::from(be16(bytes, 2)),
            fragment: (offset > 0 || more).then_some((offset, more)),
        })
    }

    fn of_v6(bytes: &[u8]) -> Result<Self> {
        ensure!(bytes.len() >= 40, "an IPv6 header in {} bytes", bytes.len());
        let address = |at: usize| <[u8; 16]>::try_from(&bytes[at..at + 16]).map(Ipv6Addr::from);
        let mut layout = Self {
            source: address(8)?.into(),
            destination: address(24)?.into(),
            hop_limit: bytes[7],
            protocol: bytes[6],
            body: 40,
            end: 40 + usize::from(be16(bytes, 4)),
            fragment: None,
        };
        loop {
            let header = bytes.get(layout.body..).unwrap_or_default();
            let length = match layout.protocol {
                protocol::FRAGMENT => 8,
                protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS => {
                    8 + usize::from(*header.get(1).context("a cut extension header")?) * 8
                }
                _ => return Ok(layout),
            };
            ensure!(header.len() >= length, "a cut extension header");
            if layout.protocol == protocol::FRAGMENT {
                let fragment = be16(header, 2);
                layout.fragment = Some((usize::from(fragment & 0xfff8), fragment & 1 != 0));
            }
            layout.protocol = header[0];
            layout.body += length;
            if layout.fragment.is_some_and(|(offset, _)| offset > 0) {
                return Ok(layout);
            }
        }
    }
}

impl Packet {
    /// Reads a packet; padding after it is left out.
    ///
    /// # Errors
    ///
    /// A header is cut or wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let layout = Layout::of(bytes)?;
        let body = bytes
            .get(layout.body..layout.end)
            .with_context(|| format!("a packet of {} bytes that says it has {}", bytes.len(), layout.end))?;
        Self::with_body(&layout, body)
    }

    /// Reads the packet that an ICMP error quotes: its end may be cut off, down to the ports.
    ///
    /// # Errors
    ///
    /// This is no ICMP error, or the quoted headers are cut or wrong.
    pub fn quoted(&self) -> Result<Self> {
        let bytes = match (&self.body, self.source) {
            (Body::Icmp { kind, payload, .. }, IpAddr::V4(_))
                if matches!(*kind, icmp::UNREACHABLE | icmp::TIME_EXCEEDED | icmp::PARAMETER_PROBLEM) =>
            {
                payload
            }
            (Body::Icmp { kind, payload, .. }, IpAddr::V6(_)) if *kind < icmp::V6_FIRST_INFORMATIONAL => {
                payload
            }
            _ => bail!("{self} is no ICMP error"),
        };
        let layout = Layout::of(bytes)?;
        let mut body = bytes.get(layout.body..layout.end.min(bytes.len())).unwrap_or_default().to_vec();
        if layout.protocol == protocol::TCP && body.len() >= 8 && body.len() < 20 {
            // Eight bytes are what RFC 792 asks for: ports and sequence number, the rest is read as zero.
            body.resize(20, 0);
            body[12] = 5 << 4;
        }
        Self::with_body(&layout, &body)
    }

    /// Source address and port.
    pub fn from(&self) -> Option<SocketAddr> {
        self.ports().map(|(port, _)| SocketAddr::new(self.source, port))
    }

    /// Destination address and port.
    pub fn to(&self) -> Option<SocketAddr> {
        self.ports().map(|(_, port)| SocketAddr::new(self.destination, port))
    }

    /// Source and destination port, where there are any.
    pub fn ports(&self) -> Option<(u16, u16)> {
        match self.body {
            Body::Tcp { source_port, destination_port, .. }
            | Body::Udp { source_port, destination_port, .. } => Some((source_port, destination_port)),
            Body::Icmp { .. } | Body::Fragment { .. } | Body::Other { .. } => None,
        }
    }

    fn with_body(layout: &Layout, bytes: &[u8]) -> Result<Self> {
        let protocol = layout.protocol;
        let need = |length: usize| {
            ensure!(bytes.len() >= length, "protocol {protocol} in {} bytes", bytes.len());
            Ok(())
        };
        let body = match (layout.fragment, protocol) {
            (Some((offset, _)), _) => Body::Fragment { protocol, offset, payload: bytes.to_vec() },
            (None, protocol::TCP) => {
                need(20)?;
                let data = usize::from(bytes[12] >> 4) * 4;
                ensure!(data >= 20 && data <= bytes.len(), "a TCP header of {data} bytes");
                Body::Tcp {
                    source_port: be16(bytes, 0),
                    destination_port: be16(bytes, 2),
                    flags: TcpFlags(bytes[13]),
                    sequence: be32(bytes, 4),
                    acknowledgement: be32(bytes, 8),
                    payload: bytes[data..].to_vec(),
                }
            }
            (None, protocol::UDP) => {
                need(8)?;
                Body::Udp {
                    source_port: be16(bytes, 0),
                    destination_port: be16(bytes, 2),
                    payload: bytes[8..].to_vec(),
                }
            }
            (None, protocol::ICMP | protocol::ICMP_V6) => {
                need(8)?;
                Body::Icmp {
                    kind: bytes[0],
                    code: bytes[1],
                    rest: be32(bytes, 4),
                    payload: bytes[8..].to_vec(),
                }
            }
            (None, protocol) => Body::Other { protocol, payload: bytes.to_vec() },
        };
        let Layout { source, destination, hop_limit, .. } = *layout;
        Ok(Self { source, destination, hop_limit, body })
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, destination, hop_limit, body } = self;
        match (body, self.from(), self.to()) {
            (Body::Tcp { flags, payload, .. }, Some(from), Some(to)) => {
                write!(f, "TCP {from} > {to} flags {:#04x}, {} bytes", flags.0, payload.len())?;
            }
            (Body::Udp { payload, .. }, Some(from), Some(to)) => {
                write!(f, "UDP {from} > {to}, {} bytes", payload.len())?;
            }
            (Body::Icmp { kind, code, payload, .. }, ..) => {
                write!(f, "ICMP {source} > {destination} type {kind} code {code}, {} bytes", payload.len())?
            }
            (Body::Fragment { protocol, offset, payload }, ..) => write!(
                f,
                "fragment {source} > {destination} of protocol {protocol} at {offset}, {} bytes",
                payload.len()
            )?,
            (Body::Other { protocol, payload }, ..) => {
                write!(f, "{source} > {destination} protocol {protocol}, {} bytes", payload.len())?
            }
            (Body::Tcp { .. } | Body::Udp { .. }, ..) => write!(f, "{source} > {destination}")?,
        }
        write!(f, ", hop limit {hop_limit}")
    }
}
