//! API objects → values, with warnings for what could not be honoured.
//!
//! Each `from_object` returns what is usable and names the rest; none fails. The rules are kube-proxy's (1.36), and the
//! API server's validation and defaults, which a folder of files does not pass through.

mod addr;
pub mod endpoint_slice;
pub mod namespace;
pub mod network_policy;
pub mod node;
pub mod pod;
pub mod service;
pub mod service_cidr;
mod warnings;
