//! How a conversation stands, and for how long it may be silent: as the packet programs have it.

use abi::{FlowKey, FlowValue, Protocol};

const SECOND: u64 = 1_000_000_000;
/// FIN, SYN, RST, ACK (RFC 9293, 3.1).
const FIN: u32 = 1;
const RST: u32 = 4;

/// How a conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// TCP: one end has spoken.
    Opening,
    /// TCP: both have.
    Open,
    /// TCP: one end has said that it sends no more.
    Closing,
    /// TCP: both have, or one broke it off.
    Closed,
    /// Other protocols: one end has spoken.
    Unanswered,
    /// Other protocols: both have.
    Answered,
}

impl State {
    pub(super) fn of(key: &FlowKey, value: &FlowValue) -> Self {
        let is_answered = value.up.packets != 0 && value.down.packets != 0;
        let (up, down) = (value.up.tcp_flags, value.down.tcp_flags);
        match (key.protocol() == Protocol::TCP, is_answered) {
            (true, _) if (up | down) & RST != 0 || up & down & FIN != 0 => Self::Closed,
            (true, _) if (up | down) & FIN != 0 => Self::Closing,
            (true, true) => Self::Open,
            (true, false) => Self::Opening,
            (false, true) => Self::Answered,
            (false, false) => Self::Unanswered,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Open => "open",
            Self::Closing => "closing",
            Self::Closed => "closed",
            Self::Unanswered => "unanswered",
            Self::Answered => "answered",
        }
    }
}

/// Whether the programs would still find the conversation: entries that expired stay until somebody needs their place.
pub(super) fn is_live(key: &FlowKey, value: &FlowValue, now: u64) -> bool {
    now.saturating_sub(last_seen(value)) <= patience(key, value)
}

/// When its last packet came, in either direction.
pub(super) fn last_seen(value: &FlowValue) -> u64 {
    value.up.last_seen.max(value.down.last_seen)
}

/// The patience of `flow.rs` in the packet programs, which has the sources of these numbers.
fn patience(key: &FlowKey, value: &FlowValue) -> u64 {
    let is_answered = value.up.packets != 0 && value.down.packets != 0;
    let secs = match State::of(key, value) {
        State::Closed => 2,
        State::Open | State::Closing | State::Opening if is_answered => 8_000,
        State::Open | State::Closing | State::Opening => 60,
        State::Answered if key.protocol() == Protocol::UDP => 180,
        State::Unanswered if key.protocol() == Protocol::UDP => 30,
        State::Answered | State::Unanswered => 60,
    };
    secs * SECOND
}
