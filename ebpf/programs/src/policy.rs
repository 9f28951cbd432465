//! Verdicts of NetworkPolicy. Fails closed: what is not known to be allowed is dropped, and counted by why.
//!
//! A conversation is judged in the direction of its opener, whichever packet comes: at the opener's pod by that pod's
//! egress, at the other end's pod by that pod's ingress. Replies pass with it.

use abi::{
    Addr, DropReason, FlowFlags, Heading, Judged, PolicyId, PolicyKind, PolicyRevision, PortClassKey, RuleId,
};
use packet::{Family, Kind, Parsed, TcpFlags, Tuple};

use crate::flow::{self, Found};
use crate::maps::flow::Entry;
use crate::maps::policy as map;
use crate::maps::subject as subjects;
use crate::nat;
use crate::subject::Subject;
use crate::verdict::Drop;
use crate::work::Work;

/// Whether policies of a pod concern packets at all.
#[inline(always)] // two compares
pub(crate) fn isolates(subject: &Subject) -> bool {
    subject.entry.egress != PolicyId::NONE || subject.entry.ingress != PolicyId::NONE
}

/// Asks a pod's policies about a packet to or from `work.peer`: by its egress if the pod opened the conversation
/// (`is_opener`), else by its ingress. The port is the one that was dialled: that of the end that did not open. A pod
/// reaches itself whatever its policies say.
#[inline(never)] // where it is called it would be there three times
fn judge(work: &Work, is_sender: bool, is_opener: bool) -> Result<Judged, Drop> {
    let subject = &work.subject;
    let policy = if is_opener { subject.entry.egress } else { subject.entry.ingress };
    if policy == PolicyId::NONE {
        return Ok(Judged { revision: PolicyRevision(0), rule: RuleId::NONE, _pad: 0 });
    }
    let tuple = &work.ends;
    let port = if is_sender == is_opener { tuple.dport } else { tuple.sport };
    // First: rows that are read later are at least as new.
    let revision = map::revision(policy);
    if subjects::pod_of_addr(&work.peer) == Some(subject.id) {
        return Ok(Judged { revision, rule: RuleId::NONE, _pad: 0 });
    }
    let denied = if is_opener { DropReason::EgressDenied } else { DropReason::IngressDenied };
    let Some(row) = map::row(policy, map::identity(&work.peer)) else {
        return Err(Drop::by_policy(DropReason::PolicyNotProgrammed, subject.id, RuleId::NONE));
    };
    let kind = row.kind_code();
    if kind == PolicyKind::AllowAll as u8 {
        return Ok(Judged { revision, rule: row.rule(), _pad: 0 });
    }
    if kind == PolicyKind::Ports as u8
        && let Some(ports) = map::port_class(PortClassKey::lookup(row.class(), tuple.protocol, port))
    {
        return if ports.is_allow() {
            Ok(Judged { revision, rule: ports.rule(), _pad: 0 })
        } else {
            Err(Drop::by_policy(denied, subject.id, ports.rule()))
        };
    }
    Err(Drop::by_policy(denied, subject.id, row.rule()))
}

/// Judges a packet at a pod, by `work.ends`: its ends as the pods behind them know them. Returns the packet's flow, if
/// it has one now.
#[inline(always)] // once a program
pub(crate) fn admit(work: &mut Work, found: &Found, is_sender: bool) -> Result<Option<Entry>, Drop> {
    if let Some(entry) = found.entry {
        admit_known(work, found.heading, entry, is_sender)?;
        return Ok(Some(entry));
    }
    if isolates(&work.subject) { admit_first(work, found.heading, is_sender) } else { Ok(None) }
}

/// Judges a packet of a flow if the policy that judged the flow means something else by now.
#[inline(always)] // a few times a program, its parts are calls
fn admit_known(work: &mut Work, heading: Heading, entry: Entry, is_sender: bool) -> Result<(), Drop> {
    if entry.flags().has(FlowFlags::HOST) {
        return Ok(());
    }
    let is_opener = flow::is_of_opener(entry.flags(), heading) == is_sender;
    let policy = if is_opener { work.subject.entry.egress } else { work.subject.entry.ingress };
    let by = entry.revision(is_opener);
    if by == map::revision(policy) {
        return Ok(());
    }
    // A client whose source is the node's now is judged as who it is.
    let is_masqueraded = !is_opener && entry.flags().has(FlowFlags::SNAT);
    work.peer = if is_masqueraded { entry.src().0 } else { other_end(&work.ends, is_sender) };
    match judge(work, is_sender, is_opener) {
        Ok(judged) => entry.set_judged(is_opener, judged),
        Err(drop) => {
            if by == PolicyRevision::UNJUDGED && entry.flags().has(FlowFlags::ADOPTED) {
                turn(work, entry, is_sender, is_opener);
            }
            return Err(drop);
        }
    }
    Ok(())
}

/// Turns an adopted flow round if this end, which sees it for the first time, passes it that way only: the pod at the
/// other end guessed who opened it. That pod has to judge it anew, so the packet that shows it goes no further.
#[inline(never)] // rare
fn turn(work: &Work, entry: Entry, is_sender: bool, is_opener: bool) {
    if let Ok(judged) = judge(work, is_sender, !is_opener) {
        entry.set_judged(is_opener, flow::UNJUDGED);
        entry.set_judged(!is_opener, judged);
        entry.turn();
    }
}

/// The address of the end that is not the pod's.
#[inline(always)] // a branch
fn other_end(tuple: &Tuple, is_sender: bool) -> Addr {
    if is_sender { tuple.dst } else { tuple.src }
}

/// Judges an ICMP error at a pod by the conversation that it is about: as a packet the other way than the one inside.
#[inline(always)] // once a program
pub(crate) fn admit_error(work: &mut Work, entry: Entry, is_sender: bool) -> Result<(), Drop> {
    let heading = answer_inner(work);
    let tracking =
        if entry.flags().has(FlowFlags::ALIAS) { nat::follow_alias(entry, work) } else { Some(entry) };
    if let Some(entry) = tracking {
        admit_known(work, heading, entry, is_sender)?;
    }
    work.ends = work.parsed.tuple;
    Ok(())
}

/// Sets `work.ends` to those of an answer to the packet inside, and says which way it would go.
#[inline(never)] // its key needs no room in the frames of the programs
fn answer_inner(work: &mut Work) -> Heading {
    work.ends.src = work.inner.tuple.dst;
    work.ends.dst = work.inner.tuple.src;
    work.ends.sport = work.inner.tuple.dport;
    work.ends.dport = work.inner.tuple.sport;
    work.ends.protocol = work.inner.tuple.protocol;
    flow::key_of(&work.ends).1
}

/// Judges a packet without a flow, and makes its flow. What can only be a reply or from the middle of a connection
/// (adopted after attach, eviction, a new layout, or because nothing isolated the pod before) goes the way that its ports
/// tell; where they do not, it may pass either way round.
#[inline(never)] // once a flow
fn admit_first(work: &mut Work, heading: Heading, is_sender: bool) -> Result<Option<Entry>, Drop> {
    let is_opener = is_opener_packet(&work.parsed.kind());
    work.peer = other_end(&work.ends, is_sender);
    let by_ports = if is_opener { Direction::FORWARD } else { Direction::by_ports(&work.ends) };
    let (is_sender_opener, judged) = if by_ports == Direction::BACK {
        (false, judge(work, is_sender, !is_sender)?)
    } else {
        match judge(work, is_sender, is_sender) {
            Ok(judged) => (true, judged),
            Err(drop) if by_ports == Direction::FORWARD => return Err(drop),
            Err(_) => (false, judge(work, is_sender, !is_sender)?),
        }
    };
    let opener = if is_sender_opener { heading } else { flow::opposite(heading) };
    let adopted = if is_opener { FlowFlags(0) } else { FlowFlags::ADOPTED };
    let entry = flow::track(work, flow::opened_by(opener).with(adopted), work.ifindex);
    if let Some(entry) = entry {
        entry.set_judged(is_sender_opener == is_sender, judged);
    }
    Ok(entry)
}

/// Who opened the conversation of a packet from its middle. Numbers, for what is passed to functions must have a value.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Direction(u8);

impl Direction {
    const UNKNOWN: Self = Self(0);
    /// The sender.
    const FORWARD: Self = Self(1);
    /// The receiver.
    const BACK: Self = Self(2);

    /// Linux gives 32768 to 60999 to those who dial, and servers rarely listen there.
    const FIRST_EPHEMERAL: u16 = 32_768;

    #[inline(always)] // compares
    fn by_ports(tuple: &Tuple) -> Self {
        let (from, to) =
            (tuple.sport.get() >= Self::FIRST_EPHEMERAL, tuple.dport.get() >= Self::FIRST_EPHEMERAL);
        if from == to {
            Self::UNKNOWN
        } else if from {
            Self::FORWARD
        } else {
            Self::BACK
        }
    }
}

/// Admits a packet that the pod's own node sends, and remembers that its replies pass.
#[inline(always)] // once a program
pub(crate) fn admit_node(work: &mut Work, heading: Heading) -> Option<Entry> {
    if !isolates(&work.subject) {
        return None;
    }
    flow::track(work, flow::opened_by(heading).with(FlowFlags::HOST), work.ifindex)
}

/// Whether policy never asks about a packet: neighbour and router discovery and group membership, without which a link
/// does not work (ICMPv6 types of RFC 4861, 2710 and 3810).
#[inline(always)] // a match
pub(crate) fn is_exempt(parsed: &Parsed) -> bool {
    match parsed.kind() {
        Kind::Icmp { icmp_type, .. } => parsed.family == Family::V6 && matches!(icmp_type, 130..=137 | 143),
        Kind::Tcp { .. }
        | Kind::Udp
        | Kind::IcmpEcho { .. }
        | Kind::IcmpError { .. }
        | Kind::Sctp
        | Kind::Other
        | Kind::LaterFragment => false,
    }
}

/// Whether only the opener of a conversation sends such a packet.
#[inline(always)] // a match
pub(crate) fn is_opener_packet(kind: &Kind) -> bool {
    match kind {
        Kind::Tcp { flags } => flags.has(TcpFlags::SYN) && !flags.has(TcpFlags::ACK),
        Kind::IcmpEcho { is_reply } => !is_reply,
        Kind::Udp
        | Kind::IcmpError { .. }
        | Kind::Icmp { .. }
        | Kind::Sctp
        | Kind::Other
        | Kind::LaterFragment => true,
    }
}
