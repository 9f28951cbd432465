//! Out by the way that the routing tables say, without the stack. It does what the stack would do on that way: take a
//! hop from the time to live, and refuse what the path cannot carry.

use abi::{DropReason, IfIndex};
use packet::{Kind, Packet, Parsed, decrement_ttl};

use crate::ctx::route::{Answer, Route};
use crate::ctx::skb::Skb;
use crate::verdict::{Drop, Verdict};
use crate::work::Work;
use crate::{nat, related};

/// Rewrites the packet as `work.ends` says and sends it there. What cannot go is not rewritten, so that its sender can be
/// told about what it sent.
#[inline(never)] // the question and the next hop need no room in the frames of the programs
pub(crate) fn send(skb: &mut Skb, work: &mut Work) -> Result<Verdict, Drop> {
    if work.parsed.ttl <= 1 {
        return Err(DropReason::TtlExpired.into());
    }
    let len = segment_len(skb, &work.parsed);
    let mut route = Route::of(skb.ifindex(), work.parsed.family, &work.ends, len);
    let answer = route.ask(skb);
    if answer == Answer::FRAG_NEEDED {
        work.mtu = route.mtu();
        return Err(DropReason::PacketTooBig.into());
    }
    if !answer.is_way() {
        return Err(DropReason::NoRoute.into());
    }
    if let Kind::IcmpError { .. } = work.parsed.kind() {
        related::rewrite(skb, work)?;
    } else {
        nat::rewrite(skb, work)?;
    }
    decrement_ttl(skb, &work.parsed)?;
    Ok(Verdict::Redirect(route.redirect()))
}

/// The interface by which packets to `work.ends.dst` leave.
#[inline(never)] // as `send`
pub(crate) fn way_out(skb: &Skb, work: &Work) -> Option<IfIndex> {
    let mut route = Route::of(skb.ifindex(), work.parsed.family, &work.ends, 0);
    route.ask(skb).is_way().then_some(route.ifindex())
}

/// Bytes of the largest packet on the wire that this one becomes, network header included; zero asks for no check.
#[inline(always)] // two context accesses
fn segment_len(skb: &Skb, parsed: &Parsed) -> u16 {
    let gso = skb.gso_size();
    if gso == 0 {
        return parsed.l3_len;
    }
    let headers = parsed.l4.0.wrapping_sub(parsed.l3.0);
    let transport = match parsed.kind() {
        // The data offset counts words of four bytes, in the upper half of byte 12.
        Kind::Tcp { .. } => skb.read::<u8>(parsed.l4.0 + 12).map_or(20, |row| u32::from(row >> 4) * 4),
        Kind::Udp
        | Kind::IcmpEcho { .. }
        | Kind::IcmpError { .. }
        | Kind::Icmp { .. }
        | Kind::Sctp
        | Kind::Other
        | Kind::LaterFragment => 8,
    };
    let len = headers + transport + gso;
    if len > 0xffff { 0 } else { len as u16 }
}
