//! Cluster DNS on this node: the process that answers, where it listens, and how pods reach it.
//!
//! ```text
//! sync loop ─ snapshots ─▶ feed ─▶ supervisor ═ Unix socket ═▶ `ferrule dns child` ◀── pods, through the node's frontends
//!                                     │ health
//!                                     └─▶ node view ─▶ frontends of the cluster DNS Service
//! ```

use std::io;
use std::os::fd::AsFd;

use ::dns::child::{self, ChildError};
use ::dns::sandbox::SandboxLimits;

pub mod addresses;
pub mod handover;
pub mod prober;
pub mod process;
pub mod serve;
pub mod settings;
pub mod supervisor;
pub mod upstreams;
pub mod zone_feed;

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
    let control = io::stdin().as_fd().try_clone_to_owned().map_err(ChildError::NoDaemon)?;
    child::run(control, &SandboxLimits { memory_bytes: supervisor::CHILD_MEMORY_BYTES })
}
