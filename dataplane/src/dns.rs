//! Cluster DNS on this node: the process that answers, where it listens, and how pods reach it.
//!
//! ```text
//! sync loop ─ snapshots ─▶ feed ─▶ supervisor ═ Unix socket ═▶ `ferrule dns child` ◀── pods, through the node's frontends
//!                                     │ health
//!                                     └─▶ node view ─▶ frontends of the cluster DNS Service
//! ```

use std::ffi::CStr;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;

use ::dns::child::{self, ChildError};
use ::dns::sandbox::SandboxLimits;
use model::{ClusterDns, LocalDns};
use nix::sys::prctl::set_name;

pub mod addresses;
pub mod handover;
pub mod port;
pub mod prober;
pub mod process;
pub mod serve;
pub mod settings;
pub mod supervisor;
pub mod upstreams;
pub mod zone_feed;

/// How the child is called in `/proc/<pid>/comm`: 15 bytes at most.
const PROCESS_NAME: &CStr = c"ferrule-dns";

/// A server at these addresses that is asked nothing: no cluster DNS address leads there.
#[must_use]
pub fn silent(listeners: Vec<SocketAddr>) -> LocalDns {
    LocalDns { vips: ClusterDns::Addrs(Vec::new()), listeners, is_healthy: false }
}

/// The same at the addresses that an earlier start put on `lo`, if it did.
#[must_use]
pub fn silent_at(state_dir: &Path) -> Option<LocalDns> {
    // A file that cannot be read leaves a former run's server a backend until everything is known.
    let addrs = addresses::recorded(state_dir).unwrap_or_default();
    // The port is not written down, and no matter: nothing is sent there.
    let listeners: Vec<SocketAddr> = addrs.into_iter().map(|addr| SocketAddr::new(addr, 53)).collect();
    (!listeners.is_empty()).then(|| silent(listeners))
}

/// `ferrule dns child`: serves what the daemon says on standard input, and does not come back before it has drained.
///
/// # Errors
///
/// It was not started by a daemon, or cannot serve.
pub fn run_child() -> Result<(), ChildError> {
    // One thread less would be one socket less that answers: the daemon replaces the process instead.
    let say = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        say(panic);
        std::process::abort();
    }));
    // The program is /proc/self/exe, and so it would be called "exe" by ps and top.
    if let Err(error) = set_name(PROCESS_NAME) {
        tracing::debug!(%error, "the DNS process keeps its name");
    }
    let control = io::stdin().as_fd().try_clone_to_owned().map_err(ChildError::NoDaemon)?;
    child::run(control, &SandboxLimits { memory_bytes: supervisor::CHILD_MEMORY_BYTES })
}
