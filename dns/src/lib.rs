//! Cluster DNS: what a node answers to its pods, by the Kubernetes DNS specification 1.1.0, and how it forwards the rest.
//!
//! ```text
//! model::Snapshot ─▶ record (one a Service) ─▶ zone (index) ─▶ answer ─▶ server (UDP, TCP) ─▶ bytes
//!                        │ feed: Unix socket       ▲                        │
//!                        └──── daemon ▷ child ─────┘                        └─▶ forward ─▶ upstreams
//! ```
//!
//! The crate knows no kernel map and no API server, and nothing of the data plane. Start reading at [`answer::answer`].

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod answer;
pub mod child;
pub mod config;
pub mod corefile;
pub mod feed;
mod forward;
mod message;
pub mod metrics;
pub mod name;
pub mod record;
pub mod resolv_conf;
pub mod sandbox;
pub mod server;
pub mod zone;

pub use message::Transport;
