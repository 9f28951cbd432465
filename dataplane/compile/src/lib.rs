//! Snapshot in, desired kernel state and plan out. Pure: no I/O, no clock, no task, ordered maps only.
//!
//! ```text
//! Snapshot ─┐                                   ┌─ Dump (at start)
//! NodeView ─┼─▶ lb: one unit a Service ─▶ Desired ─▶ Delta ─▶ Plan ─▶ phases of Op ─▶ kernel
//! Ids ──────┤        ▲ categorize               ▲          ▲                           │
//!           ├─▶ policy: policy sets, identities ─┤          │                           │
//!           └─▶ subjects: pods and devices ──────┘          │                           │
//!                                                          └──── results, key by key ──┘
//! ```
//!
//! Start reading at [`Engine`], which holds what is known between two rounds; [`categorize`] is the one place that
//! decides which endpoints a frontend may use.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod categorize;
mod delta;
mod dump;
mod engine;
mod ids;
mod key;
mod lb;
mod limits;
mod op;
#[cfg(feature = "oracle")]
pub mod oracle;
pub mod policy;
pub mod render;
mod subjects;

pub use categorize::{Candidate, Categorized, Topology, categorize, merge};
pub use dump::Dump;
pub use engine::{BackendView, Drift, Engine, Fill, FrontendView, ServiceView, Ticket};
pub use key::ServiceKey;
pub use lb::{BackendInfo, PortUnit, Target, Unit, protocol_number};
pub use limits::{Limits, PolicyLimits, SubjectLimits};
pub use op::{Op, Phase};
pub use subjects::{Hooks, SubjectDump, SubjectNames, SubjectOp};
