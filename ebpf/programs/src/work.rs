//! What a packet program works on: more than its stack of 512 bytes holds.

use abi::{Addr, FlowKey, FlowValue, IfIndex};
use packet::{Parsed, Tuple};

use crate::subject::Subject;

/// One packet, while a program has it.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Work {
    /// Nanoseconds of `CLOCK_MONOTONIC_COARSE`.
    pub(crate) now: u64,
    /// Bytes, network header included.
    pub(crate) len: u32,
    /// The interface whose hook it is at.
    pub(crate) ifindex: IfIndex,
    /// What it is.
    pub(crate) parsed: Parsed,
    /// Its ends as the program goes on: as parsed, then behind a translation or with one undone.
    pub(crate) ends: Tuple,
    /// The packet inside an ICMP error, and its ends as the error goes on.
    pub(crate) inner: Parsed,
    pub(crate) inner_ends: Tuple,
    /// Bytes that the path takes, network header included, where the packet was too big for it.
    pub(crate) mtu: u32,
    /// The pod whose hook it is; what the last packet left in hooks of no pod.
    pub(crate) subject: Subject,
    /// Whom policy is asked about.
    pub(crate) peer: Addr,
    /// Room for a flow that is being made.
    pub(crate) value: FlowValue,
    /// Room for its key.
    pub(crate) key: FlowKey,
}
