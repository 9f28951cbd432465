//! What runs inside pods: the server and the client, subcommands of the lab's binary.
//!
//! Both are processes of their own, started in the pod's cgroup and network namespace before they open a socket, as a
//! container is; nothing of the lab runs in a pod.

mod client;
mod http;
mod recorder;
mod serve;
mod tcp;
mod udp;

pub use client::run as client;
pub use serve::{ServeOptions, run as serve};
