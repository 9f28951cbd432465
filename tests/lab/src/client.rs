//! The lab's end of a client worker.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;

use crate::place::Place;
use crate::workload::{Command, LoadId, Reply, Tally, Workload};

/// How long a worker may take beyond what its command takes by itself.
const SLACK: Duration = Duration::from_secs(30);

/// Sends requests from one pod or from a node's own network; started at the first use.
#[derive(Clone, Debug)]
pub struct Client {
    place: Arc<Place>,
    worker: Arc<Mutex<Option<Worker>>>,
}

#[derive(Debug)]
struct Worker {
    stdin: File,
    stdout: File,
    unread: Vec<u8>,
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

    fn call(&self, command: Command, longest: Duration) -> Result<Reply> {
        let mut worker = lock(&self.worker);
        if worker.is_none() {
            *worker = Some(Worker::start(&self.place)?);
        }
        let Some(running) = worker.as_mut() else { bail!("the worker did not start") };
        let reply = running.call(command, longest + SLACK);
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

impl Worker {
    fn start(place: &Place) -> Result<Self> {
        let (their_stdin, stdin) = pipe2(OFlag::O_CLOEXEC)?;
        let (stdout, their_stdout) = pipe2(OFlag::O_CLOEXEC)?;
        place.start_worker(&["client"], their_stdin.as_fd(), their_stdout.as_fd())?;
        Ok(Self { stdin: File::from(stdin), stdout: File::from(stdout), unread: Vec::new() })
    }

    fn call(&mut self, command: Command, limit: Duration) -> Result<Reply> {
        let mut line = serde_json::to_vec(&command)?;
        line.push(b'\n');
        self.stdin.write_all(&line).context("the worker reads no more")?;
        let line = read_line(&self.stdout, &mut self.unread, limit)?;
        serde_json::from_slice(&line).with_context(|| format!("reading {}", String::from_utf8_lossy(&line)))
    }
}

/// Reads one line from a pipe; what came after it stays in `unread`.
pub(crate) fn read_line(pipe: &File, unread: &mut Vec<u8>, limit: Duration) -> Result<Vec<u8>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
            let rest = unread.split_off(end + 1);
            return Ok(std::mem::replace(unread, rest));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        if poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], timeout)? == 0 {
            bail!("no line within {limit:?}");
        }
        let mut chunk = [0; 4096];
        match nix::unistd::read(pipe, &mut chunk)? {
            0 => bail!("the process has ended"),
            length => unread.extend_from_slice(&chunk[..length]),
        }
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
