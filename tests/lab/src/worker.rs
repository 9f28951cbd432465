//! What runs inside pods: the server, the client and the DNS server, subcommands of the lab's binary.
//!
//! All are processes of their own, started in the pod's cgroup and network namespace before they open a socket, as a
//! container is; nothing of the lab runs in a pod.

mod client;
mod dns;
mod early;
mod echo;
mod http;
mod mass;
mod probe;
mod recorder;
mod serve;
mod steady;
mod tcp;
mod udp;
mod upstream;

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

pub use client::run as client;
pub use early::run as early;
pub use echo::run as echo;
pub use mass::run as mass;
pub use probe::run as probe;
pub use serve::{ServeOptions, run as serve};
pub use steady::run as steady;
pub use upstream::run as upstream;

/// Raises the limit of open files as far as it goes without CAP_SYS_RESOURCE, which not every root has; the usual soft
/// one is a thousand.
fn raise_file_limit() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("raising the limit of open files")
}
