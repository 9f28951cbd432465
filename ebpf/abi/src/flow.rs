//! Flows: what packets of one conversation have in common, found again by either direction.
//!
//! ```text
//! tracking  FLOWS[ends as the backend sees them]   who opened it, what judged it, how to undo the translation
//! alias     FLOWS[ends as the client sees them]    how to do the translation; carries the tracking entry's nonce
//! ```
//!
//! A conversation that nothing translates has only the tracking entry. An alias whose tracking entry is absent, or has
//! another nonce, counts as absent: an evicted half is never believed. `FLOWS_NEW` has the same layout and holds what
//! has not been answered yet, so that a flood of openers evicts openers.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Addr, BackendId, Generation, IfIndex, PolicyRevision, Port, Protocol, RuleId, ServiceId};

/// Key of `FLOWS` and `FLOWS_NEW`: both ends, the smaller (address, port) first, so that both directions meet. 40 bytes.
///
/// Ports of an ICMP echo are its identifier, both alike.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct FlowKey {
    low: Addr,
    high: Addr,
    low_port: Port,
    high_port: Port,
    protocol: Protocol,
    _pad: [u8; 3],
}

/// Which way a packet goes, seen from its flow's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heading {
    /// From the smaller end to the larger.
    Up,
    /// From the larger end to the smaller.
    Down,
}

impl FlowKey {
    /// The key of a packet from `src` to `dst`, and which way the packet goes.
    #[inline(always)] // once a packet: as a call it would need more than five arguments
    #[must_use]
    pub fn of(src: (Addr, Port), dst: (Addr, Port), protocol: Protocol) -> (Self, Heading) {
        if is_below(src, dst) {
            (Self::ordered(src, dst, protocol), Heading::Up)
        } else {
            (Self::ordered(dst, src, protocol), Heading::Down)
        }
    }

    #[inline(always)] // as `of`
    const fn ordered(low: (Addr, Port), high: (Addr, Port), protocol: Protocol) -> Self {
        Self { low: low.0, high: high.0, low_port: low.1, high_port: high.1, protocol, _pad: [0; 3] }
    }

    /// The smaller end.
    #[must_use]
    pub const fn low(&self) -> (Addr, Port) {
        (self.low, self.low_port)
    }

    /// The larger end.
    #[must_use]
    pub const fn high(&self) -> (Addr, Port) {
        (self.high, self.high_port)
    }

    /// The protocol.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }
}

/// The order of ends: any total order does, as long as both directions use the same; this one compares words.
#[inline(always)] // as `FlowKey::of`
fn is_below(a: (Addr, Port), b: (Addr, Port)) -> bool {
    let [a0, a1, a2, a3] = a.0.to_net_words();
    let [b0, b1, b2, b3] = b.0.to_net_words();
    if a3 != b3 {
        return a3 < b3;
    }
    if a2 != b2 {
        return a2 < b2;
    }
    if a1 != b1 {
        return a1 < b1;
    }
    if a0 != b0 {
        return a0 < b0;
    }
    a.1.to_net() < b.1.to_net()
}

/// Flag bits of a flow.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct FlowFlags(pub u16);

impl FlowFlags {
    /// The flow was opened by the key's larger end.
    pub const OPENED_DOWN: Self = Self(1);
    /// An alias: the key is what the client sees.
    pub const ALIAS: Self = Self(1 << 1);
    /// The destination is translated.
    pub const DNAT: Self = Self(1 << 2);
    /// The source is translated too, to an address of this node.
    pub const SNAT: Self = Self(1 << 3);
    /// Made from a packet in the middle of a conversation.
    pub const ADOPTED: Self = Self(1 << 4);
    /// The node itself opened it: never balanced, and no policy asks.
    pub const HOST: Self = Self(1 << 5);
    /// In `FLOWS`: both ends have spoken.
    pub const ANSWERED: Self = Self(1 << 6);

    /// Both sets of flags.
    #[inline]
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all bits of `other` are set.
    #[inline]
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// One direction of a flow, written by packets of that direction only. 32 bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct Leg {
    /// Time of the last packet, in nanoseconds of `CLOCK_MONOTONIC_COARSE`; zero before the first.
    pub last_seen: u64,
    /// Packets.
    pub packets: u64,
    /// Bytes, network headers included.
    pub bytes: u64,
    /// TCP control bits seen, or-ed (FIN 1, SYN 2, RST 4, ACK 16).
    pub tcp_flags: u32,
    #[doc(hidden)]
    pub _pad: u32,
}

/// What judged a flow in one direction. 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct Judged {
    /// The policy id's revision at that time; another one now means judge again. [`PolicyRevision::UNJUDGED`] before
    /// the first packet there.
    pub revision: PolicyRevision,
    /// The rule that let it pass.
    pub rule: RuleId,
    #[doc(hidden)]
    pub _pad: u32,
}

/// Value of `FLOWS` and `FLOWS_NEW`. 160 bytes.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct FlowValue {
    /// Random, never zero: ties an alias to its tracking entry. Zero while the entry is being taken over for another
    /// flow, which a compare-and-swap on this word decides.
    pub nonce: u64,
    /// Egress at the opener's pod.
    pub egress: Judged,
    /// Ingress at the other end's pod.
    pub ingress: Judged,
    /// The key's smaller end sends.
    pub up: Leg,
    /// The key's larger end sends.
    pub down: Leg,
    /// The Service port that translates it; zero is none.
    pub service: ServiceId,
    /// The backend chosen.
    pub backend: BackendId,
    /// Its generation at that time.
    pub generation: Generation,
    /// Interface that the opener's packets come in by.
    pub ifindex: IfIndex,
    /// Flags.
    pub flags: FlowFlags,
    /// Tracking entry: the port that the client dialled. Alias: the backend's port.
    pub dst_port: Port,
    /// Tracking entry: the client's port. Alias: the port that it is translated to.
    pub src_port: Port,
    #[doc(hidden)]
    pub _pad: [u8; 2],
    /// Tracking entry: the address that the client dialled. Alias: the backend's.
    pub dst: Addr,
    /// Tracking entry: the client's address. Alias: the one that it is translated to.
    pub src: Addr,
}

/// Key of `FRAGMENTS`: the fragments of one packet. 40 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct FragmentKey {
    src: Addr,
    dst: Addr,
    id: u32,
    protocol: Protocol,
    _pad: [u8; 3],
}

impl FragmentKey {
    /// The packet `id` (as on the wire) of `protocol` from `src` to `dst`.
    #[inline]
    #[must_use]
    pub const fn new(src: Addr, dst: Addr, id: u32, protocol: Protocol) -> Self {
        Self { src, dst, id, protocol, _pad: [0; 3] }
    }
}

/// Value of `FRAGMENTS`: what only the first fragment says. 4 bytes.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[cfg_attr(feature = "user", derive(Debug))]
#[repr(C)]
pub struct FragmentValue {
    /// Source port.
    pub src_port: Port,
    /// Destination port.
    pub dst_port: Port,
}
