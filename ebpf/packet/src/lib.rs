//! Packets as bytes: what they are, and how network address translation changes them.
//!
//! ```text
//! bytes ──parse──▶ Parsed (family, offsets, tuple, kind, fragment) ──▶ dnat, snat, decrement_ttl
//!                     │
//!                     ├─parse_inner──▶ Parsed of the packet that an ICMP error quotes ──▶ dnat_inner, snat_inner
//!                     └─build──▶ headers of an ICMP error or a TCP reset that answers it
//! ```
//!
//! The crate knows no hook, no map and no policy. It reads and writes through [`Packet`], which the kernel programs
//! implement over a socket buffer and [`SlicePacket`] over bytes, so that the code that runs in the kernel is the code
//! that is tested and fuzzed on the host. Start reading at [`Parsed`].
//!
//! Three rules hold everywhere:
//!
//! 1. **What is on the wire stays as on the wire.** Headers are rows of four bytes, because the compiler for the bpf
//!    target does not find words in single bytes again.
//! 2. **Only this crate knows the family.** Addresses of IPv4 are v4-mapped; IPv6 packets that carry a v4-mapped
//!    address themselves are refused, or one would pass for the other.
//! 3. **Checksums change by difference**, never by recomputation: a packet that arrives broken leaves broken.

#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod build;
pub mod checksum;
mod cursor;
mod eth;
mod icmp;
mod ipv4;
mod ipv6;
mod parse;
mod parsed;
mod rewrite;
mod sctp;
mod tcp;
mod udp;

pub use cursor::{CsumWidth, L4Csum, Packet, SlicePacket, TooShort};
pub use eth::EtherType;
pub use icmp::{ICMP, ICMPV6};
pub use parse::{MAX_EXTENSIONS, Unparsable, parse, parse_inner};
pub use parsed::{Family, Fragment, Kind, L3Offset, L4Offset, Parsed, Tuple};
pub use rewrite::{Ttl, decrement_ttl, dnat, dnat_inner, snat, snat_inner};
pub use tcp::TcpFlags;

/// Four bytes as they lie on the wire.
pub type Row = [u8; 4];
