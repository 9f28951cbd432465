//! ICMP errors about packets of flows that are translated: the packet inside must look as its sender sent it, and the
//! error must reach that sender (RFC 5508 section 4).
//!
//! ```text
//! error comes from    is about                   found by        inside becomes          goes to
//! the client's side   a reply, as the client     the alias       as the backend sent it  the backend
//!                     sees it
//! the backend's side  a request, as the backend  the tracking    as the client sent it   the client
//!                     sees it                    entry
//! ```

use abi::FlowFlags;
use packet::{Family, dnat, dnat_inner, parse_inner, snat, snat_inner};

use crate::ctx::skb::Skb;
use crate::flow;
use crate::maps::flow::Entry;
use crate::verdict::Drop;
use crate::work::Work;

/// The live flow of the packet inside an ICMP error.
#[inline(always)] // its parts have frames of their own
pub(crate) fn find(skb: &Skb, work: &mut Work) -> Option<Entry> {
    let is_understood = match work.parsed.family {
        Family::V4 => read_v4(skb, work),
        Family::V6 => read_v6(skb, work),
    };
    if !is_understood {
        return None;
    }
    look_up(work)
}

#[inline(never)] // its frame is gone when the rest begins
fn look_up(work: &mut Work) -> Option<Entry> {
    work.inner_ends = work.inner.tuple;
    flow::find(&work.inner_ends, flow::opens_tcp(&work.inner.kind()), work.now).entry
}

#[inline(never)] // its frame is gone when the rest begins
fn read_v4(skb: &Skb, work: &mut Work) -> bool {
    work.parsed.family == Family::V4 && parse_inner(skb, &work.parsed).map(|inner| work.inner = inner).is_ok()
}

#[inline(never)] // as `read_v4`
fn read_v6(skb: &Skb, work: &mut Work) -> bool {
    work.parsed.family == Family::V6 && parse_inner(skb, &work.parsed).map(|inner| work.inner = inner).is_ok()
}

/// Turns an error about a reply toward the backend; false if it is about something else. `entry` is an alias.
#[inline(always)] // rare
pub(crate) fn turn_to_backend(work: &mut Work, entry: Entry) -> bool {
    let flags = entry.flags();
    if !flags.has(FlowFlags::ALIAS) || is_about_opener(work, flags) {
        return false;
    }
    (work.inner_ends.src, work.inner_ends.sport) = entry.dst();
    work.ends.dst = work.inner_ends.src;
    if flags.has(FlowFlags::SNAT) {
        (work.inner_ends.dst, work.inner_ends.dport) = entry.src();
        work.ends.src = work.inner_ends.dst;
    }
    true
}

/// Turns an error about a request toward the client; false if it is about something else. `entry` tracks.
#[inline(always)] // rare
pub(crate) fn turn_to_client(work: &mut Work, entry: Entry) -> bool {
    let flags = entry.flags();
    if !flags.has(FlowFlags::DNAT) || flags.has(FlowFlags::ALIAS) || !is_about_opener(work, flags) {
        return false;
    }
    let is_from_backend = work.ends.src == work.inner.tuple.dst;
    (work.inner_ends.dst, work.inner_ends.dport) = entry.dst();
    if is_from_backend {
        work.ends.src = work.inner_ends.dst;
    }
    if flags.has(FlowFlags::SNAT) {
        (work.inner_ends.src, work.inner_ends.sport) = entry.src();
        work.ends.dst = work.inner_ends.src;
    }
    true
}

/// Whether the packet inside went from the end that opened the flow.
#[inline(always)] // a few compares
fn is_about_opener(work: &Work, flags: FlowFlags) -> bool {
    flow::is_of_opener(flags, flow::key_of(&work.inner.tuple).1)
}

/// Rewrites the error as it was turned: inside first, then itself.
#[inline(never)] // rare: its frame is gone when the rest begins
pub(crate) fn rewrite(skb: &mut Skb, work: &Work) -> Result<(), Drop> {
    let (outer, inner, to) = (&work.parsed, &work.inner, &work.inner_ends);
    if to.dst != inner.tuple.dst || to.dport != inner.tuple.dport {
        dnat_inner(skb, outer, inner, to.dst, to.dport)?;
    }
    if to.src != inner.tuple.src || to.sport != inner.tuple.sport {
        snat_inner(skb, outer, inner, to.src, to.sport)?;
    }
    if work.ends.dst != outer.tuple.dst {
        dnat(skb, outer, work.ends.dst, outer.tuple.dport)?;
    }
    if work.ends.src != outer.tuple.src {
        snat(skb, outer, work.ends.src, outer.tuple.sport)?;
    }
    Ok(())
}
