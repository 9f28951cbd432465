//! The lab's end of a worker that is told what to do: one JSON line there, one back.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::place::Place;

/// Standard input and output of a worker.
#[derive(Debug)]
pub(crate) struct WorkerPipe {
    stdin: File,
    stdout: File,
    unread: Vec<u8>,
}

impl WorkerPipe {
    /// Starts a subcommand of the lab's own binary in the place.
    pub(crate) fn start(place: &Place, args: &[&str]) -> Result<Self> {
        let (their_stdin, stdin) = pipe2(OFlag::O_CLOEXEC)?;
        let (stdout, their_stdout) = pipe2(OFlag::O_CLOEXEC)?;
        place.start_worker(args, their_stdin.as_fd(), their_stdout.as_fd())?;
        Ok(Self { stdin: File::from(stdin), stdout: File::from(stdout), unread: Vec::new() })
    }

    /// Sends a command and waits up to `limit` for the reply.
    pub(crate) fn call<R: DeserializeOwned>(
        &mut self,
        command: &impl Serialize,
        limit: Duration,
    ) -> Result<R> {
        let mut line = serde_json::to_vec(command)?;
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
