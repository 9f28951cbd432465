//! Harness of the tests that need privileges: the real kernel programs, real sockets.
//!
//! ```text
//! Node  one network namespace + one cgroup + one set of programs and maps, for one test
//!  ├─ netns    a namespace of the test's own, with loopback and the addresses of `address`
//!  ├─ cgroup   a threaded cgroup of the test's own: its sockets, and only they, meet the programs
//!  ├─ tables   typed writes to the maps          ├─ counters  everything counted, before and after
//!  └─ backend  listening sockets                 └─ socket    calls that std lacks
//! ```
//!
//! Packet programs run by hand on a packet each: [`packet::PacketNode`].
//!
//! A test starts with [`Node::run`]. All tests of a binary may run at once. Nothing stays behind but what a killed
//! process leaves: an empty cgroup, which the next run removes.

pub mod address;
pub mod backend;
pub mod cgroup;
pub mod counters;
pub mod mapping;
pub mod netns;
pub mod node;
pub mod object;
pub mod packet;
pub mod skip;
pub mod socket;
pub mod tables;

pub use address::Family;
pub use backend::Backend;
pub use counters::Counters;
pub use node::{HostNetns, Node, NodeOptions};
