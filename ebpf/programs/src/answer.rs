//! What we tell the sender of a packet that goes no further: connection refused, too big, no hops left.
//!
//! The answer takes the place of the packet and goes back out of the interface that it came in by.

use abi::DropReason;
use packet::build::{IcmpError, icmp_error, tcp_reset};
use packet::{Kind, Packet};

use crate::ctx::skb::Skb;
use crate::work::Work;

/// `BPF_ADJ_ROOM_MAC`: room goes between link and network header.
const ADJUST_BEHIND_LINK: u32 = 1;

/// Answers the sender, if there is something to tell: the hook's return code.
#[inline(always)] // once a program
pub(crate) fn of(skb: &mut Skb, work: &Work, reason: DropReason) -> Option<i32> {
    let is_refused = matches!(
        reason,
        DropReason::NoEndpoints | DropReason::BackendsLeaving | DropReason::UnknownServicePort
    );
    // Link headers are turned round; interfaces without one (L3) have nothing to answer through yet.
    if work.parsed.l3.0 == 0 {
        return None;
    }
    let is_written = if is_refused && matches!(work.parsed.kind(), Kind::Tcp { .. }) {
        reset(skb, work)
    } else if is_refused {
        error(skb, work, IcmpError::PortUnreachable)
    } else if reason == DropReason::PacketTooBig {
        error(skb, work, IcmpError::TooBig { mtu: work.mtu })
    } else if reason == DropReason::TtlExpired {
        error(skb, work, IcmpError::TimeExceeded)
    } else {
        false
    };
    if is_written { turn_round(skb) } else { None }
}

#[inline(never)] // rare
fn reset(skb: &mut Skb, work: &Work) -> bool {
    let Some(headers) = tcp_reset(skb, &work.parsed) else { return false };
    skb.cut(work.parsed.l3.0 + headers.bytes()) && headers.write(skb, work.parsed.l3).is_ok()
}

/// The sender sees the address that it sent to.
#[inline(never)] // rare
fn error(skb: &mut Skb, work: &Work, error: IcmpError) -> bool {
    let Some(answer) = icmp_error(skb, &work.parsed, error, work.parsed.tuple.dst) else { return false };
    skb.cut(work.parsed.l3.0 + answer.quoted)
        && skb.make_room(answer.headers.bytes(), ADJUST_BEHIND_LINK)
        && answer.headers.write(skb, work.parsed.l3).is_ok()
}

/// Swaps the link addresses and sends the packet back out.
#[inline(never)] // rare
fn turn_round(skb: &mut Skb) -> Option<i32> {
    let [dst, src]: [[u8; 6]; 2] = skb.read(0).ok()?;
    skb.write(0, &[src, dst]).ok()?;
    Some(skb.redirect_back())
}
