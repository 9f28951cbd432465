//! What a pod receives, at the host's side of its interface (tc egress). Policy fails closed, reverse translation open.

use abi::{Addr, FlowFlags, Hook, PodFlags};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use packet::Kind;

use super::packet::read;
use crate::ctx::skb::Skb;
use crate::flow::Found;
use crate::maps::{flow as flows, subject as subjects};
use crate::subject::Subject;
use crate::verdict::{self, Drop, Verdict};
use crate::work::Work;
use crate::{flow, nat, policy, related};

/// A packet to a pod.
#[classifier]
fn to_pod(ctx: TcContext) -> i32 {
    let mut skb = Skb::new(&ctx);
    let (Some(device), Some(work)) = (subjects::device(skb.ifindex()), flows::work()) else {
        return verdict::NEXT;
    };
    let read = read(&skb, device, work);
    let dst = if read.is_ok() { work.parsed.tuple.dst } else { Addr::ANY_V6 };
    match Subject::receiving(device, &dst) {
        Some(subject) => work.subject = subject,
        None => return verdict::NEXT,
    }
    match read {
        Ok(true) => {
            let result = judge(&mut skb, work);
            verdict::of_packet(Hook::ToPod, &mut skb, work, result)
        }
        Err(drop) if policy::isolates(&work.subject) => verdict::of_unreadable(Hook::ToPod, &skb, &drop),
        Ok(false) | Err(_) => verdict::NEXT,
    }
}

#[inline(always)] // once a program
fn judge(skb: &mut Skb, work: &mut Work) -> Result<Verdict, Drop> {
    let is_concerned = policy::isolates(&work.subject) || work.subject.entry.flags.has(PodFlags::PER_PACKET);
    if policy::is_exempt(&work.parsed) || !is_concerned {
        return Ok(Verdict::Pass);
    }
    if let Kind::IcmpError { .. } = work.parsed.kind() {
        return judge_error(skb, work);
    }
    let mut found = flow::find(&work.ends, flow::opens_tcp(&work.parsed.kind()), work.now);
    if let Some(alias) = found.entry
        && alias.flags().has(FlowFlags::ALIAS)
    {
        // A reply that another hook has turned back already.
        found = nat::behind(alias, work);
    }
    let entry = if found.entry.is_none() && is_of_own_node(skb, &work.ends.src) {
        policy::admit_node(work, found.heading)
    } else {
        policy::admit(work, &found, false)?
    };
    let Some(entry) = entry else { return Ok(Verdict::Pass) };
    flow::follow(work, found.heading, entry);
    if nat::is_reply(entry.flags(), found.heading) && !entry.flags().has(FlowFlags::SNAT) {
        nat::turn_back(work, entry);
        nat::rewrite(skb, work)?;
    }
    Ok(Verdict::Pass)
}

/// An error about a packet that the pod sent: it passes with the flow that it is about.
#[inline(always)] // rare
fn judge_error(skb: &mut Skb, work: &mut Work) -> Result<Verdict, Drop> {
    let Some(entry) = related::find(skb, work) else {
        let found = Found { heading: flow::key_of(&work.ends).1, entry: None };
        policy::admit(work, &found, false)?;
        return Ok(Verdict::Pass);
    };
    policy::admit_error(work, entry, false)?;
    if !entry.flags().has(FlowFlags::SNAT) && related::turn_to_client(work, entry) {
        related::rewrite(skb, work)?;
    }
    Ok(Verdict::Pass)
}

/// Whether the node itself sends: one of its addresses alone does not say so, for what it masquerades has one too.
#[inline(always)] // one look-up
fn is_of_own_node(skb: &Skb, src: &Addr) -> bool {
    skb.has_local_socket() && subjects::is_node_addr(src)
}
