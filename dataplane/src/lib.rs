//! The node agent: sources in, kernel maps out.
//!
//! ```text
//! source ─▶ store ─▶ snapshot ─▶ compile::Engine ─▶ phases of Op ─▶ kernel
//! netlink, cgroups ─▶ node view ─────┘                  ◀── results ──┘
//! ```
//!
//! One task, the sync loop of [`sync`], owns the state and is the only writer to the kernel; everything else sends it
//! messages. This crate moves values and decides no semantics: those are in `model` and `compile`. Start reading at
//! [`agent::run`].

pub mod admin;
pub mod agent;
pub mod args;
pub mod cgroups;
pub mod check_kernel;
pub mod cleanup;
pub mod client;
pub mod config;
pub mod directory;
pub mod dns;
pub mod events;
pub mod explain;
pub mod flows;
pub mod health;
pub mod http;
pub mod kernel;
pub mod logging;
pub mod metrics;
pub mod netlink;
pub mod preflight;
pub mod signals;
pub mod source;
pub mod start_error;
pub mod sync;
#[cfg(test)]
mod testing;
