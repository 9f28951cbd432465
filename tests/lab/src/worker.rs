//! What runs inside pods: the server, the client and the DNS server, subcommands of the lab's binary.
//!
//! All are processes of their own, started in the pod's cgroup and network namespace before they open a socket, as a
//! container is; nothing of the lab runs in a pod.

mod client;
mod dns;
mod http;
mod recorder;
mod serve;
mod tcp;
mod udp;
mod upstream;

pub use client::run as client;
pub use serve::{ServeOptions, run as serve};
pub use upstream::run as upstream;
