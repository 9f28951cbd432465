//! Load from both clients in every way of dialling, and what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use super::app::App;
use super::report::{count, us};
use crate::client::Load;
use crate::workload::{Dial, Tally, Workload};

/// All ways of dialling.
const DIALS: [Dial; 4] = [Dial::Tcp, Dial::UdpConnected, Dial::UdpUnconnected, Dial::UdpOneSocket];

/// Pause between two requests of one task: load enough to see every moment, little enough for a small machine.
const PAUSE: Duration = Duration::from_millis(3);

/// Requests under way.
#[derive(Debug)]
pub(super) struct Traffic(Vec<Load>);

/// What came of them.
#[derive(Debug)]
pub(super) struct Summary(Vec<(Workload, Tally)>);

impl Traffic {
    /// Starts every way of dialling at every client, the first in IPv4, the second in IPv6.
    pub(super) fn start(app: &App) -> Result<Self> {
        let mut loads = Vec::new();
        for (client, to) in app.clients().iter().zip(app.dialled()) {
            for dial in DIALS {
                loads.push(client.client().start_load(Workload::new(dial, to).concurrency(2).pause(PAUSE))?);
            }
        }
        Ok(Self(loads))
    }

    pub(super) fn sample(&self) -> Result<Summary> {
        self.0.iter().map(|load| Ok((load.workload(), load.sample()?))).collect::<Result<_>>().map(Summary)
    }

    /// Ends it, requests in flight included.
    pub(super) fn stop(self) -> Result<Summary> {
        self.0.into_iter().map(|load| Ok((load.workload(), load.stop()?))).collect::<Result<_>>().map(Summary)
    }
}

impl Summary {
    fn requests(&self) -> u64 {
        self.0.iter().map(|(_, tally)| tally.requests).sum()
    }

    /// Whether each load had answers and nothing failed or seemed to come from elsewhere than dialled.
    pub(super) fn is_flawless(&self) -> bool {
        self.0.iter().all(|(load, tally)| tally.failures() == 0 && tally.saw_only(load.to))
    }

    /// Answers of one pod.
    pub(super) fn answers_of(&self, pod: &str) -> u64 {
        self.0.iter().filter_map(|(_, tally)| tally.answered.get(pod)).sum()
    }

    /// When the pod answered a new socket last, in nanoseconds of CLOCK_MONOTONIC; zero for never. Loads with one
    /// socket for all requests are left out: they may stay with a pod as long as it serves.
    pub(super) fn last_new_socket_ns(&self, pod: &str) -> u64 {
        let new_sockets = self.0.iter().filter(|(load, _)| load.dial != Dial::UdpOneSocket);
        new_sockets.filter_map(|(_, tally)| tally.last_answer_ns.get(pod)).copied().max().unwrap_or_default()
    }

    /// How many requests, how many failed and why, and the slowest answer.
    pub(super) fn describe(&self) -> String {
        let mut failed = BTreeMap::<String, u64>::new();
        for (load, tally) in &self.0 {
            for (reason, times) in &tally.failed {
                *failed.entry(format!("{:?} {reason}", load.dial)).or_default() += times;
            }
            for (peer, times) in tally.peers.iter().filter(|(peer, _)| **peer != load.to) {
                *failed.entry(format!("{:?} saw {peer}", load.dial)).or_default() += times;
            }
        }
        let tcp =
            self.0.iter().filter(|(load, _)| load.dial == Dial::Tcp).map(|(_, tally)| tally.requests).sum();
        let slowest = self.0.iter().map(|(_, tally)| tally.answer_time.max_us).max().unwrap_or_default();
        let reasons: Vec<_> = failed.iter().map(|(reason, times)| format!(", {reason} ×{times}")).collect();
        format!(
            "{} of {} failed{} (TCP {}, UDP {}), slowest {}",
            failed.values().sum::<u64>(),
            count(self.requests()),
            reasons.concat(),
            count(tcp),
            count(self.requests() - tcp),
            us(slowest)
        )
    }
}
