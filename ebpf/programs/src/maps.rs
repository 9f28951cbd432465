//! The maps and their typed look-ups. An unsafe room: a reference into a map value never leaves it, values do.
//!
//! Names, types and sizes are those of `abi::maps::MAPS`; the loader sets the configured maxima.

pub(crate) mod events;
pub(crate) mod flow;
pub(crate) mod lb;
pub(crate) mod policy;
pub(crate) mod sock;
pub(crate) mod stats;
pub(crate) mod subject;

/// `BPF_ANY`: insert or replace.
const ANY: u64 = 0;
