//! The lab's end of one long connection that is never idle, as an SSH session with somebody typing.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::client::lock;
use crate::pipe::WorkerPipe;
use crate::place::Place;

/// How long the worker may take to report.
const LIMIT: Duration = Duration::from_secs(20);

/// What became of a long connection so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SteadyFacts {
    /// Name of the site at the other end, once it has answered.
    pub server: Option<String>,
    /// The client's address as the server sees it.
    pub seen: Option<SocketAddr>,
    /// Numbered lines that were sent.
    pub sent: u64,
    /// Lines that came back, in order.
    pub received: u64,
    /// Lines that came back out of order or changed; the connection goes on.
    pub wrong: u64,
    /// The longest time between two lines coming back, that since the last one included.
    pub longest_pause: Duration,
    /// Why it ended, if it did: the name of an errno, or that the other side closed it.
    pub ended: Option<String>,
}

/// One line to the worker.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum SteadyCommand {
    Sample,
    /// Begin to measure the longest pause anew.
    Forget,
    Stop,
}

/// A long connection that sends and receives all the time, in a process of the site. Dropping it leaves it running.
#[derive(Clone, Debug)]
pub struct Steady(Arc<Mutex<WorkerPipe>>);

impl Steady {
    pub(crate) fn start(place: &Place, to: SocketAddr, interval: Duration) -> Result<Self> {
        let (to, interval) = (to.to_string(), interval.as_micros().to_string());
        let worker = WorkerPipe::start(place, &["steady", "--to", &to, "--interval-us", &interval])?;
        Ok(Self(Arc::new(Mutex::new(worker))))
    }

    /// What became of it so far.
    ///
    /// # Errors
    ///
    /// The process in the site died.
    pub fn sample(&self) -> Result<SteadyFacts> {
        self.call(SteadyCommand::Sample)
    }

    /// Begins to measure the longest pause anew, and returns the facts from before.
    ///
    /// # Errors
    ///
    /// The process in the site died.
    pub fn forget_pause(&self) -> Result<SteadyFacts> {
        self.call(SteadyCommand::Forget)
    }

    /// Waits until that many more lines have come back.
    ///
    /// # Errors
    ///
    /// They have not within `limit`, or the connection ended.
    pub fn wait_for_more(&self, lines: u64, limit: Duration) -> Result<SteadyFacts> {
        let goal = self.sample()?.received + lines;
        let mut last = SteadyFacts::default();
        crate::until("lines of a long connection", limit, || {
            last = self.sample()?;
            match &last.ended {
                Some(reason) => bail!("the long connection ended: {reason}"),
                None => Ok(last.received >= goal),
            }
        })?;
        Ok(last)
    }

    /// Closes it, after all lines that were sent have come back or a second has passed.
    ///
    /// # Errors
    ///
    /// The process in the site died.
    pub fn stop(self) -> Result<SteadyFacts> {
        self.call(SteadyCommand::Stop)
    }

    fn call(&self, command: SteadyCommand) -> Result<SteadyFacts> {
        lock(&self.0).call(&command, LIMIT).context("asking about a long connection")
    }
}
