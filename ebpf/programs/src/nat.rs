//! Translation of flows: made with the first packet, done and undone with every other. Fails open.

use abi::{Addr, DropReason, FlowFlags, FrontendValue, Heading, Port, Protocol};
use packet::{Kind, dnat, snat};

use crate::ctx::skb::Skb;
use crate::flow::{self, Found};
use crate::forward;
use crate::helpers::random_u32;
use crate::lb::{self, Client};
use crate::maps::flow::{self as map, Entry};
use crate::maps::lb as lb_maps;
use crate::maps::subject as subjects;
use crate::verdict::Drop;
use crate::work::Work;

/// Source ports of translated flows: above what nodes give to sockets by default, and kept out of their reach by
/// `ip_local_reserved_ports`.
const FIRST_PORT: u32 = 40_000;
const PORTS: u32 = 65_536 - FIRST_PORT;
/// Ports that are tried for a flow. With four of five taken, one new flow of a thousand finds none, and its client tries
/// again.
const PORT_TRIES: u32 = 32;
/// Between one port that is tried and the next: prime to [`PORTS`], so that all are different.
const PORT_STRIDE: u32 = 7_919;

/// The tracking entry of a packet of the opener's whose alias was found, if it is still the one; `work.ends` are then
/// those behind the translation.
///
/// UDP whose backend has left is forgotten: the next datagram finds a live one. TCP keeps what it has.
#[inline(never)] // its key needs no room in the frames of the programs
pub(crate) fn follow_alias(alias: Entry, work: &mut Work) -> Option<Entry> {
    (work.ends.dst, work.ends.dport) = alias.dst();
    if alias.flags().has(FlowFlags::SNAT) {
        (work.ends.src, work.ends.sport) = alias.src();
    }
    if let Some(entry) = flow::find(&work.ends, flow::opens_tcp(&work.parsed.kind()), work.now).entry
        && entry.nonce() == alias.nonce()
        && !(work.ends.protocol == Protocol::UDP && has_left(alias))
    {
        return Some(entry);
    }
    work.ends = work.parsed.tuple;
    None
}

/// The tracking entry of a reply that has been turned back, by its alias; `work.ends` are then those that it came with.
#[inline(never)] // as `follow_alias`
pub(crate) fn behind(alias: Entry, work: &mut Work) -> Found {
    (work.ends.src, work.ends.sport) = alias.dst();
    if alias.flags().has(FlowFlags::SNAT) {
        (work.ends.dst, work.ends.dport) = alias.src();
    }
    let mut found = flow::find(&work.ends, flow::opens_tcp(&work.parsed.kind()), work.now);
    found.entry = found.entry.filter(|entry| entry.nonce() == alias.nonce());
    found
}

#[inline(always)] // one look-up
fn has_left(alias: Entry) -> bool {
    let (service, id, generation) = alias.backend();
    lb_maps::backend(id, service).is_none_or(|backend| backend.generation != generation)
}

/// Whether a packet without a live flow may open one that is translated: TCP by SYN only; errors and fragments never.
#[inline(always)] // a match
pub(crate) fn may_open(kind: &Kind) -> bool {
    flow::opens_tcp(kind) || matches!(kind, Kind::Udp)
}

/// Chooses a backend for a packet to a frontend and makes the two entries of its flow.
#[inline(always)] // its parts have frames of their own
pub(crate) fn open(
    skb: &Skb,
    work: &mut Work,
    frontend: FrontendValue,
    client: Client,
) -> Result<Entry, Drop> {
    let must_snat = begin(skb, work, frontend, client)?;
    if !must_snat && let Some(made) = make(work) {
        return Ok(made);
    }
    // Also the same client port through two frontends to one backend: only another source tells them apart.
    open_with_source(skb, work)
}

/// Begins a flow to a backend of the frontend; whether the reply would not come back here by itself: the backend is
/// elsewhere, or is the client.
#[inline(never)] // once a flow
fn begin(skb: &Skb, work: &mut Work, frontend: FrontendValue, client: Client) -> Result<bool, Drop> {
    let backend = lb::choose(frontend, client)?;
    (work.ends.dst, work.ends.dport) = (backend.addr, backend.port);
    flow::begin(&mut work.value, skb.ifindex(), FlowFlags::DNAT, work.now);
    work.value.service = frontend.service();
    work.value.backend = backend.id;
    work.value.generation = backend.generation;
    Ok(backend.addr == work.parsed.tuple.src || (client == Client::Outside && !backend.is_local))
}

#[inline(never)] // once a flow
fn open_with_source(skb: &Skb, work: &mut Work) -> Result<Entry, Drop> {
    work.ends.src = snat_source(skb, work).ok_or(DropReason::NoRoute)?;
    let first = random_u32() % PORTS;
    // Bounded: PORT_TRIES.
    for n in 0..PORT_TRIES {
        let port = FIRST_PORT + (first + n * PORT_STRIDE) % PORTS;
        work.ends.sport = Port::new(port as u16);
        if let Some(made) = make(work) {
            return Ok(made);
        }
    }
    Err(DropReason::NoSnatPort.into())
}

/// Makes the two entries of a flow between `work.ends`, unless these are another live flow's.
#[inline(never)] // in a loop
fn make(work: &mut Work) -> Option<Entry> {
    let tuple = work.parsed.tuple;
    let (key, heading) = flow::key_of(&work.ends);
    work.key = key;
    let has_snat = work.ends.sport != tuple.sport || work.ends.src != tuple.src;
    let flags = if has_snat { FlowFlags::DNAT.with(FlowFlags::SNAT) } else { FlowFlags::DNAT };

    work.value.flags = flags.with(flow::opened_by(heading));
    (work.value.dst, work.value.dst_port) = (tuple.dst, tuple.dport);
    (work.value.src, work.value.src_port) = (tuple.src, tuple.sport);
    if !take(work) {
        return None;
    }
    let entry = Entry::find(&work.key)?;

    let (key, heading_before) = flow::key_of(&tuple);
    work.key = key;
    work.value.flags = flags.with(FlowFlags::ALIAS).with(flow::opened_by(heading_before));
    (work.value.dst, work.value.dst_port) = (work.ends.dst, work.ends.dport);
    (work.value.src, work.value.src_port) = (work.ends.src, work.ends.sport);
    // Without its alias the tracking entry is nobody's, and expires.
    map::put_new(&work.key, &work.value).then_some(entry)
}

/// Writes the tracking entry: where nothing is, where a flow is over, or in place of the same conversation's last one.
#[inline(always)] // as `make`
fn take(work: &mut Work) -> bool {
    let Some(entry) = Entry::find(&work.key) else {
        return map::put_if_free(&work.key, &work.value);
    };
    let nonce = entry.nonce();
    if nonce == 0 {
        return false;
    }
    let is_same = entry.flags().has(FlowFlags::DNAT)
        && entry.dst() == (work.value.dst, work.value.dst_port)
        && entry.src() == (work.value.src, work.value.src_port);
    if !is_same && flow::is_live(entry, work.ends.protocol, work.now) {
        return false;
    }
    if !entry.claim(nonce) {
        return false;
    }
    entry.fill(&mut work.value);
    true
}

/// The node's address that a packet to a backend leaves with.
#[inline(always)] // once a flow
fn snat_source(skb: &Skb, work: &Work) -> Option<Addr> {
    let dst = work.ends.dst;
    let out = forward::way_out(skb, work);
    out.and_then(|ifindex| subjects::snat_source(ifindex, dst))
        .or_else(|| subjects::snat_source(skb.ifindex(), dst))
}

/// Sets `work.ends` to those that a reply has with the translation undone.
#[inline(always)] // once a program
pub(crate) fn turn_back(work: &mut Work, entry: Entry) {
    (work.ends.src, work.ends.sport) = entry.dst();
    if entry.flags().has(FlowFlags::SNAT) {
        (work.ends.dst, work.ends.dport) = entry.src();
    }
}

/// Gives the packet the ends that `work.ends` says.
#[inline(never)] // its frame is gone when the rest begins
pub(crate) fn rewrite(skb: &mut Skb, work: &Work) -> Result<(), Drop> {
    let (from, to) = (&work.parsed.tuple, &work.ends);
    if to.dst != from.dst || to.dport != from.dport {
        dnat(skb, &work.parsed, to.dst, to.dport)?;
    }
    if to.src != from.src || to.sport != from.sport {
        snat(skb, &work.parsed, to.src, to.sport)?;
    }
    Ok(())
}

/// Whether a port is one that translated flows leave from.
#[inline(always)] // a compare
pub(crate) fn is_snat_port(port: Port) -> bool {
    u32::from(port.get()) >= FIRST_PORT
}

/// Whether a packet in this flow is a reply that must be translated back.
#[inline(always)] // compares
pub(crate) fn is_reply(flags: FlowFlags, heading: Heading) -> bool {
    flags.has(FlowFlags::DNAT) && !flags.has(FlowFlags::ALIAS) && !flow::is_of_opener(flags, heading)
}
