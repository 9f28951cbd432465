//! A client process and its orders.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use super::order::{Done, Order, Reply};
use crate::cgroup::Cgroup;
use crate::client::dev_null;
use crate::node::Node;
use crate::pipe::read_line;
use crate::process::{Process, Spawn};
use crate::{binaries, place};

/// How long a worker may take beyond what its order takes by itself.
const SLACK: Duration = Duration::from_secs(30);

/// A client; it ends with this handle.
#[derive(Debug)]
pub(super) struct Driver {
    stdin: File,
    stdout: File,
    unread: Vec<u8>,
    cgroup: Cgroup,
}

impl Driver {
    /// Starts one in the network of a pod and in any cgroup.
    pub(super) fn start(node: &Node, pod: &str, cgroup: Cgroup) -> Result<Self> {
        let (their_stdin, stdin) = pipe2(OFlag::O_CLOEXEC)?;
        let (stdout, their_stdout) = pipe2(OFlag::O_CLOEXEC)?;
        let netns = place::find(node.lab_id(), pod)?.netns;
        start(node, &netns, &cgroup, &["bench-client"], [their_stdin.as_fd(), their_stdout.as_fd()])?;
        Ok(Self { stdin: File::from(stdin), stdout: File::from(stdout), unread: Vec::new(), cgroup })
    }

    /// Has an order carried out.
    ///
    /// # Errors
    ///
    /// A request got no answer, or the worker is gone.
    pub(super) fn carry_out(&mut self, order: &Order) -> Result<Done> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        self.stdin.write_all(&line).context("the worker reads no more")?;
        let line = read_line(&self.stdout, &mut self.unread, order.time + SLACK)?;
        match serde_json::from_slice(&line)? {
            Reply::Done(done) => Ok(done),
            Reply::Failed(why) => bail!("{why}"),
        }
    }

    pub(super) fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }
}

/// Starts a server in the network of a pod; its sockets are open on return. It ends with the lab.
pub(super) fn start_server(node: &Node, pod: &str, cgroup: &Cgroup, port: u16) -> Result<()> {
    let (stdout, their_stdout) = pipe2(OFlag::O_CLOEXEC)?;
    let netns = place::find(node.lab_id(), pod)?.netns;
    let args = ["bench-serve", "--port", &port.to_string()];
    start(node, &netns, cgroup, &args, [dev_null()?.as_fd(), their_stdout.as_fd()])?;
    drop(their_stdout);
    read_line(&File::from(stdout), &mut Vec::new(), SLACK).context("starting the server")?;
    Ok(())
}

fn start(
    node: &Node,
    netns: &Path,
    cgroup: &Cgroup,
    args: &[&str],
    [stdin, stdout]: [BorrowedFd<'_>; 2],
) -> Result<Arc<Process>> {
    let open = node.gate().pass()?;
    let netns = File::open(netns).with_context(|| format!("opening {}", netns.display()))?;
    let cgroup = cgroup.open()?;
    let stderr = std::io::stderr().as_fd().try_clone_to_owned()?;
    let spawn = Spawn {
        program: &binaries::lab()?,
        args: args.iter().map(OsString::from).collect(),
        netns: netns.as_fd(),
        binds: &[],
        cgroup: cgroup.as_fd(),
        stdio: [stdin, stdout, stderr.as_fd()],
    };
    let process = Arc::new(spawn.start()?);
    open.remember(&process);
    Ok(process)
}

/// Processor time that a cgroup's processes have used, softirqs that interrupted them included.
pub(super) fn processor_time(cgroup: &Cgroup) -> Result<Duration> {
    let path = cgroup.path().join("cpu.stat");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let used = text.lines().find_map(|line| line.strip_prefix("usage_usec ")?.parse().ok());
    used.map(Duration::from_micros).with_context(|| format!("{} names no usage_usec", path.display()))
}
