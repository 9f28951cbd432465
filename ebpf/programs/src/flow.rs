//! Flows: find, follow, judge as expired, make.

use abi::{
    Addr, FlowFlags, FlowKey, FlowValue, Heading, IfIndex, Judged, Leg, PolicyRevision, Port, Protocol,
    RuleId,
};
use packet::{Kind, TcpFlags, Tuple};

use crate::helpers::random_u32;
use crate::maps::flow::{self as map, Entry};
use crate::work::Work;

const SECOND: u64 = 1_000_000_000;
/// A TCP connection that nobody answered (Linux: 75 s for SYN_SENT at its end, but openers come again).
const TCP_OPENING: u64 = 60 * SECOND;
/// An open TCP connection: at least 2 h 4 min (RFC 5382, REQ-5), and above what keepalive needs to notice (2 h 11 min).
const TCP_OPEN: u64 = 8_000 * SECOND;
/// A closed one: late segments still find their way, then its ends are free.
const TCP_CLOSED: u64 = 2 * SECOND;
/// A datagram that nobody answered.
const UDP_NEW: u64 = 30 * SECOND;
/// Datagrams both ways: at least 2 min (RFC 4787, REQ-5).
const UDP_OPEN: u64 = 180 * SECOND;
/// Echoes, and protocols without ports.
const OTHER: u64 = 60 * SECOND;

const FIN: u32 = TcpFlags::FIN.bits() as u32;
const RST: u32 = TcpFlags::RST.bits() as u32;

/// Where a packet's flow is, or would be.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    /// Which way the packet goes.
    pub(crate) heading: Heading,
    pub(crate) entry: Option<Entry>,
}

/// The flow of a packet, if there is a live one. Who opens (see [`opens_tcp`]) a connection between the ends of a closed one begins anew: it
/// is chosen for, judged, and lives as long as any other.
#[inline(never)] // its key needs no room in the frames of the programs
pub(crate) fn find(tuple: &Tuple, opens: bool, now: u64) -> Found {
    let (key, heading) = key_of(tuple);
    let entry = Entry::find(&key).filter(|entry| {
        entry.nonce() != 0 && is_live(*entry, tuple.protocol, now) && !(opens && has_closed(*entry))
    });
    Found { heading, entry }
}

/// Whether a packet asks for a TCP connection.
#[inline(always)] // a compare
pub(crate) fn opens_tcp(kind: &Kind) -> bool {
    match kind {
        Kind::Tcp { flags } => flags.has(TcpFlags::SYN) && !flags.has(TcpFlags::ACK),
        Kind::Udp
        | Kind::IcmpEcho { .. }
        | Kind::IcmpError { .. }
        | Kind::Icmp { .. }
        | Kind::Sctp
        | Kind::Other
        | Kind::LaterFragment => false,
    }
}

/// The key of a packet's flow, and which way the packet goes.
#[inline(always)] // as `FlowKey::of`
pub(crate) fn key_of(tuple: &Tuple) -> (FlowKey, Heading) {
    FlowKey::of((tuple.src, tuple.sport), (tuple.dst, tuple.dport), tuple.protocol)
}

/// Whether packets of a flow were seen lately enough. An alias lives as its tracking entry does.
#[inline(always)] // once a packet
pub(crate) fn is_live(entry: Entry, protocol: Protocol, now: u64) -> bool {
    if entry.flags().has(FlowFlags::ALIAS) {
        return true;
    }
    let (up, down) = (entry.last_seen(Heading::Up), entry.last_seen(Heading::Down));
    // The clocks of two CPUs may differ by a tick.
    now.saturating_sub(if up > down { up } else { down }) <= patience(entry, protocol)
}

/// How long a flow may be silent.
#[inline(always)] // once a packet
fn patience(entry: Entry, protocol: Protocol) -> u64 {
    let is_answered = entry.packets(Heading::Up) != 0 && entry.packets(Heading::Down) != 0;
    if protocol == Protocol::TCP {
        match (has_closed(entry), is_answered) {
            (true, _) => TCP_CLOSED,
            (false, true) => TCP_OPEN,
            (false, false) => TCP_OPENING,
        }
    } else if protocol == Protocol::UDP {
        if is_answered { UDP_OPEN } else { UDP_NEW }
    } else {
        OTHER
    }
}

/// Whether both ends of a connection have said that it is over, or one that it never was.
#[inline(always)] // a few instructions
fn has_closed(entry: Entry) -> bool {
    let (up, down) = (entry.tcp_flags(Heading::Up), entry.tcp_flags(Heading::Down));
    (up | down) & RST != 0 || up & down & FIN != 0
}

/// Notes a packet that passes, and moves an answered flow where openers cannot evict it: TCP with its third packet,
/// the others when the second direction speaks. `work.ends` are the ends that the flow is found by.
#[inline(always)] // once a packet
pub(crate) fn follow(work: &mut Work, heading: Heading, entry: Entry) {
    let flags = if let Kind::Tcp { flags } = work.parsed.kind() { flags } else { TcpFlags::default() };
    let packets = entry.note(heading, work.now, work.len, flags.bits());
    if !entry.flags().has(FlowFlags::ANSWERED) {
        let other = entry.packets(opposite(heading));
        let enough = if work.ends.protocol == Protocol::TCP { 3 } else { 2 };
        if other != 0 && other.wrapping_add(packets) >= enough {
            promote(work, entry);
        }
    }
}

#[inline(never)] // once a flow
fn promote(work: &mut Work, entry: Entry) {
    let (nonce, flags) = (entry.nonce(), entry.flags());
    let (client, dialled) = (entry.src(), entry.dst());
    work.key = key_of(&work.ends).0;
    entry.promote(&work.key);
    if !flags.has(FlowFlags::DNAT) {
        return;
    }
    // Its alias too: openers would evict the flow by the half that is left there.
    work.key = FlowKey::of(client, dialled, work.ends.protocol).0;
    if let Some(alias) = Entry::find(&work.key)
        && alias.nonce() == nonce
    {
        alias.promote(&work.key);
    }
}

/// The other way.
#[inline(always)] // a branch
pub(crate) fn opposite(heading: Heading) -> Heading {
    match heading {
        Heading::Up => Heading::Down,
        Heading::Down => Heading::Up,
    }
}

/// Whether a packet that goes this way comes from the end that opened the flow.
#[inline(always)] // a compare
pub(crate) fn is_of_opener(flags: FlowFlags, heading: Heading) -> bool {
    (heading == Heading::Down) == flags.has(FlowFlags::OPENED_DOWN)
}

/// Which way the opener's packets go.
#[inline(always)] // a branch
pub(crate) fn heading_of_opener(flags: FlowFlags) -> Heading {
    if flags.has(FlowFlags::OPENED_DOWN) { Heading::Down } else { Heading::Up }
}

/// The flag that says which end opened a flow.
#[inline(always)] // a compare
pub(crate) fn opened_by(heading: Heading) -> FlowFlags {
    match heading {
        Heading::Up => FlowFlags(0),
        Heading::Down => FlowFlags::OPENED_DOWN,
    }
}

/// A number for a new flow; never zero.
#[inline(always)] // two helper calls
pub(crate) fn new_nonce() -> u64 {
    u64::from(random_u32()) << 32 | u64::from(random_u32()) | 1
}

pub(crate) const UNJUDGED: Judged =
    Judged { revision: PolicyRevision::UNJUDGED, rule: RuleId::NONE, _pad: 0 };
const SILENT: Leg = Leg { last_seen: 0, packets: 0, bytes: 0, tcp_flags: 0, _pad: 0 };

/// Fills room for a flow with one that a packet opens and that nothing translates.
#[inline(always)] // once a flow
pub(crate) fn begin(room: &mut FlowValue, ifindex: IfIndex, flags: FlowFlags, now: u64) {
    // Both legs have the time, or the flow would be expired; packets are counted when they pass.
    let leg = Leg { last_seen: now, ..SILENT };
    *room = FlowValue {
        nonce: new_nonce(),
        egress: UNJUDGED,
        ingress: UNJUDGED,
        up: leg,
        down: leg,
        service: abi::ServiceId::NONE,
        backend: abi::BackendId(0),
        generation: abi::Generation(0),
        ifindex,
        flags,
        dst_port: Port::ANY,
        src_port: Port::ANY,
        _pad: [0; 2],
        dst: Addr::ANY_V6,
        src: Addr::ANY_V6,
    };
}

/// Makes the flow of a packet that nothing translates. A flow that does not fit is judged again with the next packet.
#[inline(never)] // once a flow
pub(crate) fn track(work: &mut Work, flags: FlowFlags, ifindex: IfIndex) -> Option<Entry> {
    work.key = key_of(&work.ends).0;
    begin(&mut work.value, ifindex, flags, work.now);
    if !map::put_new(&work.key, &work.value) {
        return None;
    }
    Entry::find(&work.key)
}
