//! The processes inside pods that make and answer the traffic: one thread that waits for nothing but its sockets.

mod client;
mod connections;
mod pings;
mod server;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::{Pid, SysconfVar, sysconf};

pub use client::run as client;
pub use server::run as serve;

/// The processor of servers.
const SERVER: usize = 0;
/// The processor of clients that do not share the servers', if there are two.
const OTHER: usize = 1;

/// Binds the calling thread, and those that it starts, to a processor, before other work of the machine.
fn settle(processor: usize) -> Result<()> {
    /// Others' builds and daemons run at 0 or above.
    const NICE: libc::c_int = -10;
    // Of the machine: what the standard library counts is what the thread is bound to already.
    let processors = sysconf(SysconfVar::_NPROCESSORS_ONLN)?.map_or(1, |n| n.max(1) as usize);
    let mut set = CpuSet::new();
    set.set(processor % processors)?;
    sched_setaffinity(Pid::from_raw(0), &set).context("choosing a processor")?;
    // SAFETY: integers only; 0 is the calling thread.
    Errno::result(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) })
        .context("raising the priority")?;
    Ok(())
}
