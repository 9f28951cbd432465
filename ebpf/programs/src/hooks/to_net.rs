//! What leaves by an uplink (tc egress). Fails open.

use abi::{FlowFlags, FrontendKey, Hook, Protocol};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use packet::{Kind, Tuple};

use super::packet::read;
use crate::ctx::skb::Skb;
use crate::maps::{flow as flows, lb as lb_maps, subject as subjects};
use crate::verdict::{self, Drop, Verdict};
use crate::work::Work;
use crate::{flow, nat, related};

/// A packet to the outside.
#[classifier]
fn to_net(ctx: TcContext) -> i32 {
    let mut skb = Skb::new(&ctx);
    let (Some(device), Some(work)) = (subjects::device(skb.ifindex()), flows::work()) else {
        return verdict::NEXT;
    };
    let Ok(true) = read(&skb, device, work) else {
        return verdict::NEXT;
    };
    let result = leave(&mut skb, work);
    verdict::of_packet(Hook::ToNet, &mut skb, work, result)
}

#[inline(always)] // once a program
fn leave(skb: &mut Skb, work: &mut Work) -> Result<Verdict, Drop> {
    if let Kind::IcmpError { .. } = work.parsed.kind() {
        return relate(skb, work);
    }
    let found = flow::find(&work.ends, flow::opens_tcp(&work.parsed.kind()), work.now);
    let Some(entry) = found.entry else {
        if is_from_node_port(&work.ends) {
            // The host's own: its answer must not be taken for somebody who dials the NodePort.
            let flags = flow::opened_by(found.heading).with(FlowFlags::HOST);
            if let Some(entry) = flow::track(work, flags, skb.ifindex()) {
                flow::follow(work, found.heading, entry);
            }
        }
        return Ok(Verdict::Pass);
    };
    let flags = entry.flags();
    if flags.has(FlowFlags::HOST) {
        flow::follow(work, found.heading, entry);
    } else if nat::is_reply(flags, found.heading) && !flags.has(FlowFlags::SNAT) {
        flow::follow(work, found.heading, entry);
        nat::turn_back(work, entry);
        nat::rewrite(skb, work)?;
    }
    Ok(Verdict::Pass)
}

/// An error of this node, or of a backend of it, about a client's packet.
#[inline(always)] // rare
fn relate(skb: &mut Skb, work: &mut Work) -> Result<Verdict, Drop> {
    if let Some(entry) = related::find(skb, work)
        && !entry.flags().has(FlowFlags::SNAT)
        && related::turn_to_client(work, entry)
    {
        related::rewrite(skb, work)?;
    }
    Ok(Verdict::Pass)
}

/// Whether the host (or a pod that it masquerades) sends a datagram from a port that is also a NodePort.
#[inline(always)] // one look-up, rarely two
fn is_from_node_port(tuple: &Tuple) -> bool {
    let node_port = FrontendKey::new(tuple.src.any_of_family(), tuple.sport, tuple.protocol);
    tuple.protocol == Protocol::UDP
        && lb_maps::frontend(&node_port).is_some()
        && lb_maps::is_node_port_addr(&tuple.src)
}
