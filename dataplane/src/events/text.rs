//! An event as a report.

use std::time::{Duration, SystemTime};

use abi::{DropEvent, DropReason, Hook, PodId, Protocol, RuleId};

use crate::admin::reports::{DropReport, EndReport};
use crate::directory::Directory;
use crate::flows::rule_text;

/// Both clocks at one moment: events have the kernel's, people theirs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    monotonic_ns: u64,
    wall: SystemTime,
}

impl Clock {
    /// The clocks as they are.
    pub(crate) fn now() -> Self {
        Self { monotonic_ns: crate::flows::now(), wall: SystemTime::now() }
    }

    #[cfg(test)]
    pub(crate) fn at(monotonic_ns: u64, wall: SystemTime) -> Self {
        Self { monotonic_ns, wall }
    }

    fn text(&self, at_ns: u64) -> String {
        let before = Duration::from_nanos(self.monotonic_ns.saturating_sub(at_ns));
        let wall = self.wall.checked_sub(before).unwrap_or(self.wall);
        humantime::format_rfc3339_millis(wall).to_string()
    }
}

impl DropReport {
    /// What an event says.
    pub(crate) fn of(event: &DropEvent, directory: &Directory, clock: &Clock) -> Self {
        let reason = DropReason::try_from(event.reason)
            .map_or_else(|unknown| format!("reason {}", unknown.0), |reason| reason.as_str().to_owned());
        let hook = Hook::ALL.into_iter().find(|hook| *hook as u8 == event.hook);
        let rule = (event.rule != RuleId::NONE).then_some(event.rule);
        let policies = rule.and_then(|rule| directory.rule(rule)).map(|name| name.policies());
        let pod = match event.pod {
            PodId::NONE => None,
            PodId::HOST => Some("the node".to_owned()),
            PodId::REFUSED => Some("a pod without room in PODS".to_owned()),
            id => Some(directory.pod(id).map_or_else(|| format!("pod {}", id.0), ToString::to_string)),
        };
        let end = |addr, port| match event.protocol {
            // The packet could not be read.
            Protocol::ANY => EndReport::default(),
            protocol => directory.end(addr, port, protocol),
        };
        Self {
            time: clock.text(event.at),
            reason,
            hook: hook.map_or_else(|| format!("hook {}", event.hook), |hook| hook.as_str().to_owned()),
            interface: directory.device(event.ifindex),
            protocol: event.protocol.to_string(),
            source: end(event.src, event.src_port),
            destination: end(event.dst, event.dst_port),
            bytes: event.len,
            pod,
            rule: rule.map(|rule| rule_text(directory, rule)),
            policies: policies.into_iter().flatten().map(ToString::to_string).collect(),
            lost: 0,
        }
    }
}
