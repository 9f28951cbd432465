//! Signals that end the process.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::start_error::StartError;

/// The signals, caught from the moment it is made.
#[derive(Debug)]
pub struct Signals {
    /// Caught so that a closed terminal does not end the process.
    _hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Catches them. Needs the runtime.
    ///
    /// # Errors
    ///
    /// They cannot be caught.
    pub fn new() -> Result<Self, StartError> {
        let take = |kind| signal(kind).map_err(StartError::Signals);
        Ok(Self {
            _hangup: take(SignalKind::hangup())?,
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
        })
    }

    /// The name of the one that came.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
