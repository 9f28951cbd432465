//! What comes in by an uplink (tc ingress). Fails open: what no frontend and no flow of ours claims is untouched.

use abi::{FlowFlags, Heading, Hook};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use packet::{Kind, Tuple};

use super::packet::read;
use crate::ctx::skb::Skb;
use crate::lb::Client;
use crate::maps::flow::{self as flows, Entry};
use crate::maps::subject as subjects;
use crate::verdict::{self, Drop, Verdict};
use crate::work::Work;
use crate::{flow, forward, lb, nat, related};

/// A packet from outside.
#[classifier]
fn from_net(ctx: TcContext) -> i32 {
    let mut skb = Skb::new(&ctx);
    let (Some(device), Some(work)) = (subjects::device(skb.ifindex()), flows::work()) else {
        return verdict::NEXT;
    };
    let Ok(true) = read(&skb, device, work) else {
        return verdict::NEXT;
    };
    let result = balance(&mut skb, work);
    verdict::of_packet(Hook::FromNet, &mut skb, work, result)
}

#[inline(always)] // once a program
fn balance(skb: &mut Skb, work: &mut Work) -> Result<Verdict, Drop> {
    if let Kind::IcmpError { .. } = work.parsed.kind() {
        return relate(skb, work);
    }
    let found = flow::find(&work.ends, flow::opens_tcp(&work.parsed.kind()), work.now);
    let mut translation = None;
    if let Some(entry) = found.entry {
        if !entry.flags().has(FlowFlags::ALIAS) {
            return reply(skb, work, found.heading, entry);
        }
        translation = nat::follow_alias(entry, work);
    }
    let to = match translation {
        Some(to) => to,
        None => {
            if !nat::may_open(&work.parsed.kind()) {
                return Ok(Verdict::Pass);
            }
            let Tuple { dst, dport, protocol, .. } = work.parsed.tuple;
            let Some(frontend) = lb::find_packet(dst, dport, protocol) else {
                return Ok(Verdict::Pass);
            };
            nat::open(skb, work, frontend, Client::Outside)?
        }
    };
    flow::follow(work, flow::heading_of_opener(to.flags()), to);
    if to.flags().has(FlowFlags::SNAT) {
        return forward::send(skb, work);
    }
    nat::rewrite(skb, work)?;
    Ok(Verdict::Pass)
}

/// An error about a packet that left here translated.
#[inline(always)] // rare
fn relate(skb: &mut Skb, work: &mut Work) -> Result<Verdict, Drop> {
    let Some(entry) = related::find(skb, work) else {
        return Ok(Verdict::Pass);
    };
    let has_snat = entry.flags().has(FlowFlags::SNAT);
    if related::turn_to_backend(work, entry) {
        if has_snat {
            return forward::send(skb, work);
        }
        related::rewrite(skb, work)?;
    } else if has_snat && related::turn_to_client(work, entry) {
        return forward::send(skb, work);
    }
    Ok(Verdict::Pass)
}

/// A remote backend's reply to what left here with an address of this node: straight out again, because a packet with a
/// local source may not come in. What the node itself asked for is the node's.
#[inline(always)] // once a program
fn reply(skb: &mut Skb, work: &mut Work, heading: Heading, entry: Entry) -> Result<Verdict, Drop> {
    let flags = entry.flags();
    if flags.has(FlowFlags::HOST) {
        // Answers keep it alive too, or a node that only listens for a while has it expire under them.
        flow::follow(work, heading, entry);
        return Ok(Verdict::Pass);
    }
    if !flags.has(FlowFlags::SNAT) || !nat::is_reply(flags, heading) {
        return Ok(Verdict::Pass);
    }
    flow::follow(work, heading, entry);
    nat::turn_back(work, entry);
    forward::send(skb, work)
}
