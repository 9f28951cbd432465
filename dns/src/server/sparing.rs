//! Lines of the log that a client must not be able to multiply: one in a while, with how often it would have been.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Between two lines.
const PERIOD: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Sparing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    count: u64,
    next_at: Option<Instant>,
}

impl Sparing {
    /// Counts; how many there were since the last line, if it is time for one.
    pub(super) fn note(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.count += 1;
        if state.next_at.is_some_and(|next_at| now < next_at) {
            return None;
        }
        state.next_at = Some(now + PERIOD);
        Some(std::mem::take(&mut state.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_those_after_it_together() {
        let (sparing, now) = (Sparing::default(), Instant::now());
        assert_eq!(sparing.note(now), Some(1));
        for i in 0..1000 {
            assert_eq!(sparing.note(now + PERIOD.mul_f64(f64::from(i) / 1001.0)), None);
        }
        assert_eq!(sparing.note(now + PERIOD), Some(1001));
        assert_eq!(sparing.note(now + PERIOD * 3), Some(1));
    }
}
