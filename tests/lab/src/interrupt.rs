//! Ctrl-C and SIGTERM: take the labs away, then end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};

use crate::lab::take_down_all;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on SIGINT, SIGTERM and SIGHUP take all labs of this process away and end it with 128 and the signal's
/// number. To be called before the first thread starts, since threads inherit the mask; children get an empty one.
///
/// # Errors
///
/// The signals could not be blocked, or the thread that waits for them could not be started.
pub fn take_down_on_signals() -> Result<()> {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    signals.thread_block().context("blocking signals")?;
    let wait = move || {
        let Ok(signal) = signals.wait() else { return };
        INTERRUPTED.store(true, Ordering::Relaxed);
        eprintln!("\n{signal}: taking the lab away");
        if let Err(error) = take_down_all() {
            eprintln!("the lab could not be taken away whole: {error:#}");
        }
        std::process::exit(128 + signal as i32);
    };
    thread::Builder::new().name("signals".into()).spawn(wait).context("starting a thread")?;
    Ok(())
}

/// Whether a signal is taking the labs away: what fails now fails because of it.
pub(crate) fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
