//! Counts what queries come to.

use std::time::{Duration, Instant};

use super::exchange::Answer;
use crate::dns_workload::DnsTally;
use crate::workload::{Times, monotonic_ns};

#[derive(Debug, Default)]
pub(super) struct Recorder {
    tally: DnsTally,
    answer_us: Vec<u32>,
    last_answer: Option<Instant>,
    longest_gap: Duration,
}

impl Recorder {
    pub(super) fn sent(&mut self) {
        self.tally.sent += 1;
    }

    pub(super) fn stray(&mut self) {
        self.tally.stray += 1;
    }

    pub(super) fn record(&mut self, outcome: Result<Answer, String>, took: Duration) {
        let answer = match outcome {
            Ok(answer) => answer,
            Err(reason) => {
                *self.tally.failed.entry(reason).or_default() += 1;
                return;
            }
        };
        let now = Instant::now();
        if let Some(last) = self.last_answer.replace(now) {
            self.longest_gap = self.longest_gap.max(now - last);
        }
        self.tally.last_answer_ns = monotonic_ns();
        self.answer_us.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        self.tally.no_data += u64::from(answer.code == "NOERROR" && !answer.has_data);
        self.tally.truncated += u64::from(answer.is_truncated);
        *self.tally.answered.entry(answer.code).or_default() += 1;
        if let Some(address) = answer.address {
            *self.tally.addresses.entry(address).or_default() += 1;
        }
    }

    /// The report, with strays that were counted elsewhere.
    pub(super) fn tally(&mut self, more_stray: u64) -> DnsTally {
        DnsTally {
            stray: self.tally.stray + more_stray,
            answer_time: Times::of(&mut self.answer_us),
            longest_gap_us: u64::try_from(self.longest_gap.as_micros()).unwrap_or(u64::MAX),
            ..self.tally.clone()
        }
    }
}
