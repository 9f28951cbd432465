//! What a pod sends, at the host's side of its interface (tc ingress). Policy fails closed, load balancing open.

use abi::{DropReason, FlowFlags, FrontendKey, Hook, PodFlags};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use packet::{Kind, Parsed, Tuple};

use super::packet::read;
use crate::ctx::skb::Skb;
use crate::flow::Found;
use crate::lb::Client;
use crate::maps::flow::{self as flows, Entry};
use crate::maps::{lb as lb_maps, subject as subjects};
use crate::subject::Subject;
use crate::verdict::{self, Drop, Verdict};
use crate::work::Work;
use crate::{flow, forward, lb, nat, policy, related};

/// A packet from a pod.
#[classifier]
fn from_pod(ctx: TcContext) -> i32 {
    let mut skb = Skb::new(&ctx);
    let (Some(device), Some(work)) = (subjects::device(skb.ifindex()), flows::work()) else {
        return verdict::NEXT;
    };
    match Subject::sending(&skb, device) {
        Some(subject) => work.subject = subject,
        None => return verdict::NEXT,
    }
    match read(&skb, device, work) {
        Ok(true) => {
            let result = judge(&mut skb, work);
            verdict::of_packet(Hook::FromPod, &mut skb, work, result)
        }
        Err(drop) if policy::isolates(&work.subject) => verdict::of_unreadable(Hook::FromPod, &skb, &drop),
        Ok(false) | Err(_) => verdict::NEXT,
    }
}

#[inline(always)] // once a program
fn judge(skb: &mut Skb, work: &mut Work) -> Result<Verdict, Drop> {
    work.subject.check_source(&work.parsed.tuple, &work.parsed.kind())?;
    if policy::is_exempt(&work.parsed) || !needs_flow(&work.subject, &work.parsed) {
        return Ok(Verdict::Pass);
    }
    if let Kind::IcmpError { .. } = work.parsed.kind() {
        return judge_error(skb, work);
    }
    let found = flow::find(&work.ends, flow::opens_tcp(&work.parsed.kind()), work.now);
    if let Some(entry) = translation(skb, work, &found)? {
        let heading = flow::heading_of_opener(entry.flags());
        policy::admit(work, &Found { heading, entry: Some(entry) }, true)?;
        flow::follow(work, heading, entry);
        return go(skb, work, entry.flags());
    }
    let Some(entry) = policy::admit(work, &found, true)? else {
        return Ok(Verdict::Pass);
    };
    flow::follow(work, found.heading, entry);
    let flags = entry.flags();
    if !flags.has(FlowFlags::SNAT) || !nat::is_reply(flags, found.heading) {
        return Ok(Verdict::Pass);
    }
    // To an address of the node that stands for somebody else: the stack would take it for its own.
    nat::turn_back(work, entry);
    forward::send(skb, work)
}

/// Sends a translated packet on: straight out if its source is the node's now, which the stack would not take.
#[inline(always)] // once a program
fn go(skb: &mut Skb, work: &mut Work, flags: FlowFlags) -> Result<Verdict, Drop> {
    if flags.has(FlowFlags::SNAT) {
        return forward::send(skb, work);
    }
    nat::rewrite(skb, work)?;
    Ok(Verdict::Pass)
}

/// An error that the pod sends about a packet that it got.
#[inline(always)] // rare
fn judge_error(skb: &mut Skb, work: &mut Work) -> Result<Verdict, Drop> {
    let Some(entry) = related::find(skb, work) else {
        let found = Found { heading: flow::key_of(&work.ends).1, entry: None };
        policy::admit(work, &found, true)?;
        return Ok(Verdict::Pass);
    };
    policy::admit_error(work, entry, true)?;
    let has_snat = entry.flags().has(FlowFlags::SNAT);
    if has_snat && related::turn_to_client(work, entry) {
        return forward::send(skb, work);
    }
    if related::turn_to_backend(work, entry) {
        if has_snat {
            return forward::send(skb, work);
        }
        related::rewrite(skb, work)?;
    }
    Ok(Verdict::Pass)
}

/// Whether the pod's packet can belong to a flow of ours, or be an error about one: else it costs nothing more.
#[inline(always)] // compares, rarely a look-up
fn needs_flow(subject: &Subject, parsed: &Parsed) -> bool {
    let may_be_masqueraded =
        matches!(parsed.kind(), Kind::IcmpError { .. }) || nat::is_snat_port(parsed.tuple.dport);
    policy::isolates(subject)
        || subject.entry.flags.has(PodFlags::PER_PACKET)
        || (may_be_masqueraded && subjects::is_node_addr(&parsed.tuple.dst))
}

/// How a Service translates the packet, if one does.
#[inline(always)] // once a program
fn translation(skb: &Skb, work: &mut Work, found: &Found) -> Result<Option<Entry>, Drop> {
    if let Some(entry) = found.entry {
        if !entry.flags().has(FlowFlags::ALIAS) {
            return Ok(None);
        }
        if let Some(to) = nat::follow_alias(entry, work) {
            return Ok(Some(to));
        }
    }
    if !work.subject.entry.flags.has(PodFlags::PER_PACKET) || !nat::may_open(&work.parsed.kind()) {
        return Ok(None);
    }
    open(skb, work)
}

/// A new flow to a Service, if the packet dials one.
#[inline(never)] // its keys need no room in the program's frame
fn open(skb: &Skb, work: &mut Work) -> Result<Option<Entry>, Drop> {
    let Tuple { dst, dport, protocol, .. } = work.parsed.tuple;
    if let Some(frontend) = lb::find_packet(dst, dport, protocol) {
        return nat::open(skb, work, frontend, Client::Inside).map(Some);
    }
    if lb_maps::frontend(&FrontendKey::other_ports(dst)).is_some() {
        return Err(DropReason::UnknownServicePort.into());
    }
    if lb_maps::is_service_addr(dst) {
        return Err(DropReason::UnallocatedServiceAddress.into());
    }
    Ok(None)
}
