//! Counts what requests come to.

use std::net::SocketAddr;
use std::time::Duration;

use crate::workload::{Tally, Times, monotonic_ns};

/// An answer and whom it seemed to come from.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) pod: String,
    pub(super) peer: SocketAddr,
}

#[derive(Debug, Default)]
pub(super) struct Recorder {
    tally: Tally,
    answer_us: Vec<u32>,
    failure_us: Vec<u32>,
}

impl Recorder {
    pub(super) fn record(&mut self, outcome: Result<Answer, String>, took: Duration) {
        let us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        self.tally.requests += 1;
        match outcome {
            Ok(Answer { pod, peer }) => {
                self.answer_us.push(us);
                *self.tally.peers.entry(peer).or_default() += 1;
                self.tally.last_answer_ns.insert(pod.clone(), monotonic_ns());
                *self.tally.answered.entry(pod).or_default() += 1;
            }
            Err(reason) => {
                self.failure_us.push(us);
                *self.tally.failed.entry(reason).or_default() += 1;
            }
        }
    }

    pub(super) fn tally(&mut self) -> Tally {
        self.tally.answer_time = Times::of(&mut self.answer_us);
        self.tally.failure_time = Times::of(&mut self.failure_us);
        self.tally.clone()
    }
}
