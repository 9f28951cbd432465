//! Waiting: always for a condition, always with a deadline.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Pause between two looks at a condition that nothing announces.
const PAUSE: Duration = Duration::from_millis(5);

/// Lets time pass while others work, where the time itself is what is asked for.
pub(crate) fn pass(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        thread::park_timeout(left);
    }
}

/// Looks at `condition` until it holds; returns how long that took.
///
/// # Errors
///
/// The condition's own error, or one that names `what` when `limit` has passed.
pub fn until(what: &str, limit: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<Duration> {
    let start = Instant::now();
    loop {
        if condition()? {
            return Ok(start.elapsed());
        }
        if start.elapsed() >= limit {
            bail!("waited {limit:?} in vain for {what}");
        }
        thread::park_timeout(PAUSE);
    }
}
