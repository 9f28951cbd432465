//! Conversations that the packet programs follow: the tables in the kernel as reports.
//!
//! A translated one has two rows, see [`abi::FlowValue`]; the tracking entry has all that is told here.

mod state;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use abi::{Addr, FlowFlags, FlowKey, FlowValue, Judged, Leg, PolicyRevision, Port};
use nix::time::{ClockId, clock_gettime};

use self::state::State;
use crate::admin::reports::{FlowReport, FlowsReport, LegReport};
use crate::directory::Directory;
use crate::kernel::KernelError;

/// Conversations in one answer. A table may hold hundreds of thousands.
const MAX_FLOWS: usize = 10_000;

/// Where the tables are read.
pub trait FlowSource: Send + Sync {
    /// Calls `each` with every row, answered conversations first. A row that moves meanwhile may come twice.
    ///
    /// # Errors
    ///
    /// A table cannot be read.
    fn for_each(&self, each: &mut dyn FnMut(FlowKey, FlowValue)) -> Result<(), KernelError>;
}

/// Nanoseconds of `CLOCK_MONOTONIC_COARSE`, the clock of flows and events.
#[must_use]
pub fn now() -> u64 {
    let Ok(now) = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE) else { return 0 };
    let part = |n: i64| u64::try_from(n).unwrap_or(0);
    part(now.tv_sec()).saturating_mul(1_000_000_000).saturating_add(part(now.tv_nsec()))
}

/// The live conversations, those of one pod if its addresses are given, in the order of their ends.
///
/// # Errors
///
/// A table cannot be read.
pub fn report(
    source: &dyn FlowSource,
    directory: &Directory,
    of: Option<&BTreeSet<Addr>>,
    now: u64,
) -> Result<FlowsReport, KernelError> {
    let mut rows: BTreeMap<FlowKey, FlowValue> = BTreeMap::new();
    let mut left_out: u64 = 0;
    source.for_each(&mut |key, value| {
        let is_alias = value.nonce == 0 || value.flags.has(FlowFlags::ALIAS);
        if is_alias || !state::is_live(&key, &value, now) || !of.is_none_or(|of| concerns(&key, &value, of)) {
            return;
        }
        if rows.len() < MAX_FLOWS || rows.contains_key(&key) {
            rows.entry(key).or_insert(value);
        } else {
            left_out += 1;
        }
    })?;
    let flows = rows.iter().map(|(key, value)| flow(key, value, directory, now)).collect();
    Ok(FlowsReport { flows, left_out })
}

fn concerns(key: &FlowKey, value: &FlowValue, addrs: &BTreeSet<Addr>) -> bool {
    let is_translated = value.flags.has(FlowFlags::DNAT) || value.flags.has(FlowFlags::SNAT);
    [key.low().0, key.high().0].iter().any(|addr| addrs.contains(addr))
        || (is_translated && addrs.contains(&value.src))
}

fn flow(key: &FlowKey, value: &FlowValue, directory: &Directory, now: u64) -> FlowReport {
    let protocol = key.protocol();
    let end = |(addr, port): (Addr, Port)| directory.end(addr, port, protocol);
    let is_down = value.flags.has(FlowFlags::OPENED_DOWN);
    // The ends as the backend sees them.
    let (opener, other) = if is_down { (key.high(), key.low()) } else { (key.low(), key.high()) };
    let (sent, received) = if is_down { (&value.down, &value.up) } else { (&value.up, &value.down) };
    let is_dnat = value.flags.has(FlowFlags::DNAT);
    let is_snat = value.flags.has(FlowFlags::SNAT);
    let dialled = if is_dnat { (value.dst, value.dst_port) } else { other };
    let client = if is_snat { (value.src, value.src_port) } else { opener };
    let flags = [(FlowFlags::HOST, "host"), (FlowFlags::ADOPTED, "adopted")];
    let rule = |judged: &Judged| {
        let is_judged = judged.revision != PolicyRevision(0);
        is_judged.then(|| rule_text(directory, judged.rule))
    };
    FlowReport {
        protocol: protocol.to_string(),
        source: end(client),
        destination: end(dialled),
        service: directory.service(value.service).map(str::to_owned),
        backend: is_dnat.then(|| end(other)),
        masquerade: is_snat.then(|| address(opener)),
        state: State::of(key, value).as_str().to_owned(),
        flags: flags
            .iter()
            .filter(|(flag, _)| value.flags.has(*flag))
            .map(|(_, name)| (*name).to_owned())
            .collect(),
        interface: directory.device(value.ifindex),
        sent: leg(sent),
        received: leg(received),
        idle_secs: now.saturating_sub(state::last_seen(value)) / 1_000_000_000,
        egress: rule(&value.egress),
        ingress: rule(&value.ingress),
    }
}

/// A rule's name, or its number if it is not in use any more.
pub(crate) fn rule_text(directory: &Directory, rule: abi::RuleId) -> String {
    directory.rule(rule).map_or_else(|| format!("rule {}", rule.0), ToString::to_string)
}

fn leg(leg: &Leg) -> LegReport {
    LegReport { packets: leg.packets, bytes: leg.bytes }
}

fn address((addr, port): (Addr, Port)) -> String {
    std::net::SocketAddr::new(addr.into(), port.get()).to_string()
}
