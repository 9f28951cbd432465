//! The program under test on one node: started, killed, asked, cleaned up.

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use crate::binaries;
use crate::client::{dev_null, lock};
use crate::command::Output;
use crate::node::Node;
use crate::process::Exit;

/// kube-proxy's port for `/healthz` and `/livez`, and ours for `/readyz`.
pub const HEALTH_PORT: u16 = 10256;
/// kube-proxy's port for `/metrics`.
pub const METRICS_PORT: u16 = 10249;

/// How long a signalled daemon may take to end.
const EXIT_LIMIT: Duration = Duration::from_secs(10);
/// How long an answer to one HTTP request may take.
const HTTP_LIMIT: Duration = Duration::from_secs(2);
/// Pause between two looks at a daemon that is not ready.
const READY_PAUSE: Duration = Duration::from_millis(10);
/// Lines of a daemon's log that an error quotes.
const QUOTED_LINES: usize = 12;

impl Node {
    /// Starts `ferrule run` in the node's host network, with `more` arguments; does not wait.
    ///
    /// # Errors
    ///
    /// It runs already, or there is no such program.
    pub fn start_ferrule(&self, manifests: &Path, more: &[&str]) -> Result<()> {
        let mut daemon = lock(self.daemon());
        ensure!(daemon.is_none(), "ferrule runs on {} already", self.name());
        let mut args = vec![OsString::from("run"), "--manifests".into(), manifests.into()];
        args.extend(["--hostname-override".into(), self.name().into()]);
        args.extend(self.kernel_args());
        args.extend(more.iter().map(OsString::from));
        let log = self.host().open_log()?;
        let stdio = [dev_null()?, log.try_clone()?.into(), log.into()];
        *daemon = Some(self.host().start(&binaries::ferrule()?, args, stdio.each_ref().map(AsFd::as_fd))?);
        Ok(())
    }

    /// Waits until `/readyz` says yes; returns how long that took.
    ///
    /// # Errors
    ///
    /// The daemon ended, or is not ready after `limit`; with the last lines of its log.
    pub fn wait_ready(&self, limit: Duration) -> Result<Duration> {
        let daemon =
            lock(self.daemon()).clone().with_context(|| format!("no ferrule runs on {}", self.name()))?;
        let start = Instant::now();
        loop {
            let answer = self.http_get(HEALTH_PORT, "/readyz");
            if matches!(answer, Ok((200, _))) {
                return Ok(start.elapsed());
            }
            let what = match (daemon.try_wait(READY_PAUSE)?, start.elapsed() >= limit) {
                (Some(status), _) => format!("ended with {status:?}"),
                (None, true) => format!("is not ready after {limit:?} ({answer:?})"),
                (None, false) => continue,
            };
            bail!("ferrule on {} {what}; its log ends with\n{}", self.name(), self.log_tail());
        }
    }

    /// Kills the daemon as a crash or the OOM killer does: SIGKILL.
    ///
    /// # Errors
    ///
    /// None runs, or it did not end.
    pub fn kill_ferrule(&self) -> Result<()> {
        self.end_ferrule(Signal::SIGKILL).map(drop)
    }

    /// Ends the daemon as a supervisor does: SIGTERM; returns its exit code.
    ///
    /// # Errors
    ///
    /// None runs, it did not end, or a signal ended it.
    pub fn terminate_ferrule(&self) -> Result<i32> {
        match self.end_ferrule(Signal::SIGTERM)? {
            Exit::Code(code) => Ok(code),
            Exit::Signal => {
                bail!("a signal ended ferrule on {}; its log ends with\n{}", self.name(), self.log_tail())
            }
        }
    }

    /// Runs `ferrule cleanup` for this node's roots.
    ///
    /// # Errors
    ///
    /// It could not be started; how it ended is in the output.
    pub fn cleanup_ferrule(&self) -> Result<Output> {
        let args = std::iter::once("cleanup".into()).chain(self.kernel_args()).collect();
        self.host().run_program(&binaries::ferrule()?, args)
    }

    /// Runs `ferrule` with these arguments and this node's `--state-dir` in the host's network.
    ///
    /// # Errors
    ///
    /// It could not be started; how it ended is in the output.
    pub fn ferrule(&self, args: &[&str]) -> Result<Output> {
        let state = [OsString::from("--state-dir"), self.state_dir().into()];
        self.host().run_program(&binaries::ferrule()?, args.iter().map(OsString::from).chain(state).collect())
    }

    /// Asks a server on the host's loopback; returns status and body.
    ///
    /// # Errors
    ///
    /// Nothing listens there, or what came back is not HTTP.
    pub fn http_get(&self, port: u16, path: &str) -> Result<(u16, String)> {
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        // The socket is opened inside and stays there; the thread of the lab is in no cgroup of the node.
        let mut stream = self.netns().run(|| Ok(TcpStream::connect_timeout(&to, HTTP_LIMIT)?))?;
        stream.set_read_timeout(Some(HTTP_LIMIT))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
        let status = head.split(' ').nth(1).context("an answer without a status")?;
        Ok((status.parse().context("a status that is no number")?, body.to_owned()))
    }

    /// The last lines that the daemon printed.
    pub fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n")
    }

    fn kernel_args(&self) -> [OsString; 6] {
        let cgroup = self.cgroup().path().into();
        let (bpf, state) = (self.bpf_root().into(), self.state_dir().into());
        ["--cgroup-root".into(), cgroup, "--bpf-root".into(), bpf, "--state-dir".into(), state]
    }

    fn end_ferrule(&self, signal: Signal) -> Result<Exit> {
        let daemon =
            lock(self.daemon()).take().with_context(|| format!("no ferrule runs on {}", self.name()))?;
        daemon.signal(signal)?;
        daemon.wait(EXIT_LIMIT)
    }
}
