//! The lab's end of a client worker.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::dns_workload::{DnsTally, DnsWorkload};
use crate::pipe::WorkerPipe;
use crate::place::Place;
use crate::workload::{Command, LoadId, Reply, Tally, Workload};

/// How long a worker may take beyond what its command takes by itself.
const SLACK: Duration = Duration::from_secs(30);

/// Sends requests from one pod or from a node's own network; started at the first use.
#[derive(Clone, Debug)]
pub struct Client {
    place: Arc<Place>,
    worker: Arc<Mutex<Option<WorkerPipe>>>,
}

impl Client {
    pub(crate) fn new(place: Arc<Place>) -> Self {
        Self { place, worker: Arc::default() }
    }

    /// Sends `requests` requests and waits for their end.
    ///
    /// # Errors
    ///
    /// The worker could not be started or died. Requests that fail are in the tally.
    pub fn run(&self, workload: Workload, requests: u32) -> Result<Tally> {
        let rounds = requests.div_ceil(u32::from(workload.concurrency.max(1)));
        let longest = (workload.timeout + workload.pause) * rounds;
        self.call(Command::Run { workload, requests }, longest)?.into_tally()
    }

    /// Sends requests until the load is stopped.
    ///
    /// # Errors
    ///
    /// The worker could not be started or died.
    pub fn start_load(&self, workload: Workload) -> Result<Load> {
        let id = self.call(Command::Start { workload }, Duration::ZERO)?.into_load()?;
        Ok(Load { client: self.clone(), id, workload })
    }

    /// Sends `queries` DNS queries and waits for their end.
    ///
    /// # Errors
    ///
    /// The worker could not be started or died, or a question is none. Queries that fail are in the tally.
    pub fn run_dns(&self, workload: DnsWorkload, queries: u32) -> Result<DnsTally> {
        let longest = workload.longest(queries);
        self.call(Command::RunDns { workload, queries }, longest)?.into_dns_tally()
    }

    /// Sends DNS queries until the load is stopped.
    ///
    /// # Errors
    ///
    /// The worker could not be started or died, or a question is none.
    pub fn start_dns(&self, workload: DnsWorkload) -> Result<DnsLoad> {
        let timeout = workload.timeout;
        let id = self.call(Command::StartDns { workload }, Duration::ZERO)?.into_load()?;
        Ok(DnsLoad { client: self.clone(), id, timeout })
    }

    fn call(&self, command: Command, longest: Duration) -> Result<Reply> {
        let mut worker = lock(&self.worker);
        let running = match worker.as_mut() {
            Some(running) => running,
            None => worker.insert(WorkerPipe::start(&self.place, &["client"])?),
        };
        let reply = running.call(&command, longest + SLACK);
        if reply.is_err() {
            // Lines of this call may still come: a new call needs a new worker.
            *worker = None;
        }
        reply.with_context(|| format!("asking the client in {}", self.place.name))
    }
}

/// Requests under way, in a worker. Dropping it leaves them running.
#[derive(Debug)]
pub struct Load {
    client: Client,
    id: LoadId,
    workload: Workload,
}

impl Load {
    /// What it sends.
    pub fn workload(&self) -> Workload {
        self.workload
    }

    /// What came of it so far.
    ///
    /// # Errors
    ///
    /// The worker died.
    pub fn sample(&self) -> Result<Tally> {
        self.report(Command::Sample { load: self.id }, Duration::ZERO)
    }

    /// Ends it, requests in flight included.
    ///
    /// # Errors
    ///
    /// The worker died.
    pub fn stop(self) -> Result<Tally> {
        self.report(Command::Stop { load: self.id }, self.workload.timeout + self.workload.pause)
    }

    fn report(&self, command: Command, longest: Duration) -> Result<Tally> {
        self.client.call(command, longest)?.into_tally()
    }
}

/// DNS queries under way, in a worker. Dropping it leaves them running.
#[derive(Debug)]
pub struct DnsLoad {
    client: Client,
    id: LoadId,
    timeout: Duration,
}

impl DnsLoad {
    /// What came of them so far.
    ///
    /// # Errors
    ///
    /// The worker died.
    pub fn sample(&self) -> Result<DnsTally> {
        self.client.call(Command::Sample { load: self.id }, Duration::ZERO)?.into_dns_tally()
    }

    /// Ends it, queries in flight included: the fate of each is known then.
    ///
    /// # Errors
    ///
    /// The worker died.
    pub fn stop(self) -> Result<DnsTally> {
        self.client.call(Command::Stop { load: self.id }, self.timeout)?.into_dns_tally()
    }
}

/// A lock whose holder panicked still guards whole values here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Standard input of processes that read nothing.
pub(crate) fn dev_null() -> Result<OwnedFd> {
    Ok(File::open("/dev/null").context("opening /dev/null")?.into())
}
