//! The lab's end of a process that sends since before its pod had a network.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::client::lock;
use crate::pipe::WorkerPipe;
use crate::place::Place;

/// How long the worker may take to report.
const LIMIT: Duration = Duration::from_secs(20);

/// What an early process did so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlyTally {
    /// Rounds over all targets.
    pub rounds: u64,
    /// Datagrams that the kernel took, by target; every target has an entry.
    pub datagrams: BTreeMap<SocketAddr, u64>,
    /// SYNs that the kernel took, likewise.
    pub syns: BTreeMap<SocketAddr, u64>,
    /// What the kernel said otherwise, by errno: ENETUNREACH while there is no route.
    pub failed: BTreeMap<String, u64>,
    /// When the kernel first took a packet, in nanoseconds of CLOCK_MONOTONIC; zero before.
    pub first_taken_ns: u64,
}

/// One line to the worker.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum EarlyCommand {
    Report,
    Stop,
}

/// A process that sends datagrams and SYNs in rounds, some thousands a second, since before its pod's wire was made.
/// It ends with the pod, or when it is stopped.
#[derive(Clone, Debug)]
pub struct EarlySender(Arc<Mutex<WorkerPipe>>);

impl EarlySender {
    /// Starts it; on return it has tried each target and failed, for want of a network.
    pub(crate) fn start(place: &Place, targets: &[SocketAddr]) -> Result<Self> {
        let targets: Vec<_> = targets.iter().map(SocketAddr::to_string).collect();
        let mut args = vec!["early"];
        args.extend(targets.iter().flat_map(|target| ["--to", target.as_str()]));
        let sender = Self(Arc::new(Mutex::new(WorkerPipe::start(place, &args)?)));
        let tally = sender.report()?;
        ensure!(tally.rounds > 0 && tally.first_taken_ns == 0, "not before the network: {tally:?}");
        Ok(sender)
    }

    /// What it did so far.
    ///
    /// # Errors
    ///
    /// The process died.
    pub fn report(&self) -> Result<EarlyTally> {
        self.call(EarlyCommand::Report)
    }

    /// Waits until the kernel has taken that many datagrams and as many SYNs to each target.
    ///
    /// # Errors
    ///
    /// It has not within `limit`.
    pub fn wait_for(&self, packets: u64, limit: Duration) -> Result<EarlyTally> {
        let mut tally = EarlyTally::default();
        crate::until("an early pod to send", limit, || {
            tally = self.report()?;
            Ok(tally.datagrams.values().chain(tally.syns.values()).all(|taken| *taken >= packets))
        })?;
        Ok(tally)
    }

    /// Lets it send no more; what it sent is in the tally.
    ///
    /// # Errors
    ///
    /// The process died.
    pub fn stop(&self) -> Result<EarlyTally> {
        self.call(EarlyCommand::Stop)
    }

    fn call(&self, command: EarlyCommand) -> Result<EarlyTally> {
        lock(&self.0).call(&command, LIMIT).context("asking an early sender")
    }
}
