//! What a packet was found to be.

use core::fmt;

use abi::{Addr, Port, Protocol};

use crate::icmp;
use crate::tcp::TcpFlags;

/// The family of a packet's network header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Where the network header starts, in bytes from the start of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L3Offset(pub u32);

/// Where the transport header starts, in bytes from the start of the packet. In a fragment that is not the first, and
/// where the transport is unknown, what follows the network header starts there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L4Offset(pub u32);

/// Who talks to whom, as the packet says now.
///
/// IPv4 addresses are v4-mapped. An ICMP echo has its identifier in both ports. Where there are no ports (other ICMP,
/// later fragments, unknown protocols) both are zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tuple {
    /// Source address.
    pub src: Addr,
    /// Destination address.
    pub dst: Addr,
    /// Source port.
    pub sport: Port,
    /// Destination port.
    pub dport: Port,
    /// The protocol after all extension headers. In a later fragment of IPv6: what the fragment header names, which is
    /// another extension header where the sender put one into the fragmentable part.
    pub protocol: Protocol,
}

/// What follows the network header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// TCP. Inside an ICMP error the flags may not have been quoted, and are none then.
    Tcp {
        /// Control bits.
        flags: TcpFlags,
    },
    /// UDP.
    Udp,
    /// An ICMP or ICMPv6 echo.
    IcmpEcho {
        /// Reply, not request.
        is_reply: bool,
    },
    /// An ICMP or ICMPv6 error (redirects of IPv4 included): [`crate::parse_inner`] reads the packet that it is about.
    IcmpError {
        /// Type.
        icmp_type: u8,
        /// Code.
        code: u8,
    },
    /// Other ICMP and ICMPv6: neighbour discovery, router advertisement, timestamps.
    Icmp {
        /// Type.
        icmp_type: u8,
        /// Code.
        code: u8,
    },
    /// SCTP.
    Sctp,
    /// Another protocol; nothing behind the network header was read.
    Other,
    /// A fragment that is not the first of its packet: no transport header.
    LaterFragment,
}

/// Whether the packet is a fragment, and of what. The id is the identification as it lies on the wire, for equality
/// with the other fragments of the same source, destination and protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// A whole packet, atomic fragments (RFC 6946) included.
    None,
    /// The first fragment, with the transport header.
    First {
        /// Identification.
        id: u32,
    },
    /// A later one.
    Later {
        /// Identification.
        id: u32,
    },
}

/// A packet that was understood. Small, and only numbers: it stays what it was when the packet is rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// Ends of the conversation.
    pub tuple: Tuple,
    /// Start of the network header.
    pub l3: L3Offset,
    /// Start of the transport header.
    pub l4: L4Offset,
    fragment: FragmentCode,
    /// Bytes from the network header to the end of the payload, by the header. Zero where the header cannot say (more
    /// than 65,535 bytes, "BIG TCP" since Linux 5.19): see [`Self::end`].
    pub l3_len: u16,
    kind: KindCode,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// Family.
    pub family: Family,
}

/// A [`Fragment`] as numbers, all of which always have a value. In the enum the id has none in a whole packet, and the
/// verifier of Linux 6.1 refuses programs whose compiler kept such a nothing on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FragmentCode {
    id: u32,
    code: u8,
}

impl FragmentCode {
    /// A whole packet.
    pub(crate) const NONE: Self = Self { id: 0, code: 0 };

    /// A fragment at an offset, which has more behind it or not; one at offset zero without more is a whole packet.
    #[inline(always)] // moves
    pub(crate) fn new(id: u32, offset: u16, has_more: bool) -> Self {
        if offset != 0 {
            Self { id, code: 2 }
        } else if has_more {
            Self { id, code: 1 }
        } else {
            Self::NONE
        }
    }

    #[inline(always)] // compares
    fn get(self) -> Fragment {
        match self.code {
            0 => Fragment::None,
            1 => Fragment::First { id: self.id },
            _ => Fragment::Later { id: self.id },
        }
    }
}

impl From<Fragment> for FragmentCode {
    fn from(fragment: Fragment) -> Self {
        match fragment {
            Fragment::None => Self::NONE,
            Fragment::First { id } => Self { id, code: 1 },
            Fragment::Later { id } => Self { id, code: 2 },
        }
    }
}

/// A [`Kind`] as numbers, for the same reason as [`FragmentCode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KindCode {
    code: u8,
    a: u8,
    b: u8,
}

impl From<Kind> for KindCode {
    #[inline(always)] // moves
    fn from(kind: Kind) -> Self {
        let (code, a, b) = match kind {
            Kind::Tcp { flags } => (0, flags.bits(), 0),
            Kind::Udp => (1, 0, 0),
            Kind::IcmpEcho { is_reply } => (2, is_reply as u8, 0),
            Kind::IcmpError { icmp_type, code } => (3, icmp_type, code),
            Kind::Icmp { icmp_type, code } => (4, icmp_type, code),
            Kind::Sctp => (5, 0, 0),
            Kind::Other => (6, 0, 0),
            Kind::LaterFragment => (7, 0, 0),
        };
        Self { code, a, b }
    }
}

impl KindCode {
    #[inline(always)] // compares
    fn get(self) -> Kind {
        match self.code {
            0 => Kind::Tcp { flags: TcpFlags::new(self.a) },
            1 => Kind::Udp,
            2 => Kind::IcmpEcho { is_reply: self.a != 0 },
            3 => Kind::IcmpError { icmp_type: self.a, code: self.b },
            4 => Kind::Icmp { icmp_type: self.a, code: self.b },
            5 => Kind::Sctp,
            6 => Kind::Other,
            _ => Kind::LaterFragment,
        }
    }
}

impl Parsed {
    /// A whole packet whose transport was not read.
    #[inline(always)] // moves
    #[must_use]
    pub const fn new(tuple: Tuple, l3: L3Offset, l4: L4Offset, family: Family) -> Self {
        Self {
            tuple,
            l3,
            l4,
            fragment: FragmentCode::NONE,
            l3_len: 0,
            kind: KindCode { code: 6, a: 0, b: 0 },
            ttl: 0,
            family,
        }
    }

    /// What follows the network header.
    #[inline(always)] // compares
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind.get()
    }

    /// Whether it is part of a larger packet.
    #[inline(always)] // compares
    #[must_use]
    pub fn fragment(&self) -> Fragment {
        self.fragment.get()
    }

    /// The same with that behind its network header.
    #[inline(always)] // moves
    #[must_use]
    pub fn with_kind(self, kind: Kind) -> Self {
        Self { kind: kind.into(), ..self }
    }

    /// The same as such a part.
    #[must_use]
    pub fn with_fragment(self, fragment: Fragment) -> Self {
        Self { fragment: fragment.into(), ..self }
    }

    #[inline(always)] // moves
    pub(crate) fn set_kind(&mut self, kind: Kind) {
        self.kind = kind.into();
    }

    #[inline(always)] // moves
    pub(crate) fn set_fragment(&mut self, fragment: FragmentCode) {
        self.fragment = fragment;
    }

    /// Where the payload ends, in bytes from the start of a packet of `packet_len` bytes. Link layers pad short frames,
    /// so this may be before the end of the packet; of a packet inside an ICMP error it is mostly after.
    #[inline(always)] // an addition
    #[must_use]
    pub fn end(&self, packet_len: u32) -> u32 {
        if self.l3_len == 0 { packet_len } else { self.l3.0 + u32::from(self.l3_len) }
    }

    /// Where the packet starts that an ICMP error is about; meaningless in others.
    #[inline(always)] // an addition
    #[must_use]
    pub fn inner_l3(&self) -> L3Offset {
        L3Offset(self.l4.0 + icmp::HEADER)
    }
}

/// Bytes of addresses and numbers; the abi's text forms are for user space only.
impl fmt::Debug for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tuple")
            .field("src", &self.src.octets())
            .field("dst", &self.dst.octets())
            .field("sport", &self.sport.get())
            .field("dport", &self.dport.get())
            .field("protocol", &self.protocol.get())
            .finish()
    }
}
