//! The one place that knows a hook's return codes and errnos.

use abi::{Addr, DropEvent, DropReason, Hook, PodId, Port, Protocol, RuleId};
use packet::{Packet, TooShort, Tuple};

use crate::answer;
use crate::ctx::skb::Skb;
use crate::helpers::{now, set_retval};
use crate::maps::events;
use crate::maps::stats::count_drop;
use crate::work::Work;

/// Let the call go on.
const ALLOW: i32 = 1;
/// Refuse the call; without [`set_retval`] that is EPERM.
const REFUSE: i32 = 0;

const ECONNREFUSED: i32 = 111;
const EHOSTUNREACH: i32 = 113;
const ENOBUFS: i32 = 105;
const EPERM: i32 = 1;

/// The return code of connect and sendmsg hooks. A reason is counted here and nowhere else.
#[inline(always)] // once a program
pub(crate) fn of_call(result: Result<(), DropReason>) -> i32 {
    match result {
        Ok(()) => ALLOW,
        Err(reason) => {
            count_drop(reason);
            set_retval(-errno(reason));
            REFUSE
        }
    }
}

/// The return code of recvmsg and getpeername hooks, where the verifier takes no other, and of sock_release, whose code
/// nobody looks at.
pub(crate) const OF_ANSWER: i32 = ALLOW;

/// What the application sees.
#[inline(always)] // a table
fn errno(reason: DropReason) -> i32 {
    match reason {
        DropReason::NoEndpoints | DropReason::UnknownServicePort | DropReason::BackendsLeaving => {
            ECONNREFUSED
        }
        DropReason::NoLocalEndpoint | DropReason::UnallocatedServiceAddress => EHOSTUNREACH,
        DropReason::SocketNotRemembered => ENOBUFS,
        // Reasons of packets: no socket hook has them.
        DropReason::SpoofedSource
        | DropReason::EgressDenied
        | DropReason::IngressDenied
        | DropReason::PolicyNotProgrammed
        | DropReason::Malformed
        | DropReason::FragmentWithoutFirst
        | DropReason::NoSnatPort
        | DropReason::NoRoute
        | DropReason::PacketTooBig
        | DropReason::TtlExpired => EPERM,
    }
}

/// Let the packet go on: other programs on the hook see it too (`TCX_NEXT`, `TC_ACT_UNSPEC`).
pub(crate) const NEXT: i32 = -1;
/// `TC_ACT_SHOT`.
const SHOT: i32 = 2;

/// What becomes of a packet.
#[derive(Clone, Copy)]
pub(crate) enum Verdict {
    /// It goes on as it is.
    Pass,
    /// It leaves by the road that a redirect helper prepared: the helper's return code.
    Redirect(i32),
}

/// A packet that is dropped, and who decided.
#[derive(Clone, Copy)]
pub(crate) struct Drop {
    pub(crate) reason: DropReason,
    pub(crate) pod: PodId,
    pub(crate) rule: RuleId,
}

impl Drop {
    /// A pod's policy decided.
    #[inline(always)] // moves
    pub(crate) fn by_policy(reason: DropReason, pod: PodId, rule: RuleId) -> Self {
        Self { reason, pod, rule }
    }
}

impl From<DropReason> for Drop {
    #[inline(always)] // moves
    fn from(reason: DropReason) -> Self {
        Self { reason, pod: PodId::NONE, rule: RuleId::NONE }
    }
}

/// The headers could not be changed: the kernel had no memory, or the packet is shorter than it was.
impl From<TooShort> for Drop {
    #[inline(always)] // a constant
    fn from(_: TooShort) -> Self {
        DropReason::Malformed.into()
    }
}

/// The return code of a packet hook.
#[inline(always)] // once a program
pub(crate) fn of_packet(hook: Hook, skb: &mut Skb, work: &Work, result: Result<Verdict, Drop>) -> i32 {
    match result {
        Ok(Verdict::Pass) => NEXT,
        Ok(Verdict::Redirect(code)) => code,
        Err(drop) => {
            tell(hook, skb, Some(work), &drop);
            answer::of(skb, work, drop.reason).unwrap_or(SHOT)
        }
    }
}

/// The return code for a packet that could not be read.
#[inline(always)] // once a program
pub(crate) fn of_unreadable(hook: Hook, skb: &Skb, drop: &Drop) -> i32 {
    tell(hook, skb, None, drop);
    SHOT
}

/// Counts a drop, here and nowhere else, and tells who listens.
#[inline(never)] // rare: the event needs no room in the frames of the programs
fn tell(hook: Hook, skb: &Skb, read: Option<&Work>, drop: &Drop) {
    count_drop(drop.reason);
    if !events::are_wanted() {
        return;
    }
    let (sent, went) = read.map_or((NOBODY, NOBODY), |read| (read.parsed.tuple, read.ends));
    events::tell(&DropEvent {
        at: now(),
        reason: drop.reason as u32,
        ifindex: skb.ifindex(),
        pod: drop.pod,
        rule: drop.rule,
        len: read.map_or(skb.len(), |read| read.len),
        hook: hook as u8,
        protocol: sent.protocol,
        src_port: sent.sport,
        dst_port: went.dport,
        _pad: [0; 6],
        src: sent.src,
        dst: went.dst,
    });
}

/// The ends of a packet that was not understood.
const NOBODY: Tuple = Tuple {
    src: Addr::ANY_V6,
    dst: Addr::ANY_V6,
    sport: Port::ANY,
    dport: Port::ANY,
    protocol: Protocol::ANY,
};
