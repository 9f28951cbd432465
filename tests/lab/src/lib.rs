//! A small cluster on one machine: nodes and pods as network namespaces, cgroups and processes, for the tests, the
//! demo and the benchmarks.
//!
//! ```text
//!   flab-<id>-outside …  ──┐             ┌── near router ──(small MTU)── far router ── flab-<id>-<host behind>
//!   flab-<id>-fabric            bridge 172.31.0.1, fd00:172:31::1; links without TX checksum offload
//!      │            │
//!   flab-<id>-node-1          flab-<id>-node-2            forwarding, a bpffs and a cgroup subtree each
//!      │ veth a pod, /32      │ cni0 10.244.2.1
//!   flab-<id>-<ns>.<pod>      flab-<id>-<ns>.<pod>        processes in …/kubepods/burstable/pod<UID>/<container>
//! ```
//!
//! Where it is asked for, `flab-<id>-outside` (172.31.0.100, fd00:172:31::100) is a host on the fabric that is no node;
//! it and pods can be DNS servers of the world outside the cluster ([`Upstream`]). There can be more such hosts, some
//! behind a link of a small MTU that they do not see ([`OutsideSpec`]).
//!
//! A [`Site`] is a pod, a node or a host outside as packet tests want them: it captures with every checksum verified
//! ([`Capture`]), sends any bytes ([`RawLink`], [`packet`]), echoes, probes, holds one long connection ([`Steady`]) or
//! twenty thousand ([`Mass`]); a [`TruthTable`] is who reaches whom.
//!
//! Every process is born in its namespace and cgroup, as a container is; a pod's sees a resolv.conf of its own. The data plane under test is a process in a
//! node's host network and sees nothing but what it would see on a node: interfaces, routes, cgroups, manifests.
//!
//! All of a lab can be found by its id, so nothing is ever left: dropping a [`Lab`] takes it away, a signal does
//! ([`take_down_all`]), and the next lab clears up after a killed owner ([`clear_stale`]).
//!
//! Only [`bench`] knows maps and programs, which it measures; [`leaks`] lists those of the machine by the kernel's own
//! lists. Start reading at [`Lab`] and [`Node`].

mod address;
pub mod bench;
mod binaries;
mod bpf;
mod capture;
mod cgroup;
mod client;
mod command;
mod daemon;
pub mod demo;
mod dns_child;
mod dns_workload;
mod early;
mod echo;
mod etc;
mod ethtool;
mod fabric;
mod gate;
mod hop;
mod interrupt;
mod lab;
pub mod leaks;
mod link;
pub mod manifests;
mod mass;
mod mounts;
mod musl;
mod netlink;
mod netns;
mod node;
mod outside;
pub mod packet;
mod pipe;
mod place;
mod pod;
mod probe;
mod process;
mod raw;
mod registry;
mod site;
mod steady;
mod truth;
mod upstream;
mod wait;
mod wiring;
pub mod worker;
mod workload;

pub use address::{Dual, DualNet};
pub use binaries::ferrule;
pub use capture::{Capture, CaptureReport, Captured, Keep};
pub use cgroup::Cgroup;
pub use client::{Client, DnsLoad, Load};
pub use command::Output;
pub use daemon::{HEALTH_PORT, METRICS_PORT};
pub use dns_workload::{DnsTally, DnsTransport, DnsWorkload, Pace, Question};
pub use early::{EarlySender, EarlyTally};
pub use echo::EchoServer;
pub use etc::{CLUSTER_DNS, Etc};
pub use ethtool::has_tx_checksum;
pub use interrupt::take_down_on_signals;
pub use lab::{Lab, LabSpec, take_down_all};
pub use link::{IfIndex, LOOPBACK, PrefixRoute, Via};
pub use mass::{Mass, MassSpec, MassTally};
pub use netlink::Netlink;
pub use netns::Netns;
pub use node::{Node, NodeSpec};
pub use outside::{Outside, OutsideSpec};
pub use place::{Found, find as find_place, names as place_names};
pub use pod::{Pod, PodSpec, Role, new_uid};
pub use probe::{Probe, ProbeResult, Protocol};
pub use raw::RawLink;
pub use registry::{LabId, clear_stale, ids as lab_ids, take_down};
pub use site::Site;
pub use steady::{Steady, SteadyFacts};
pub use truth::{Reach, Target, TruthTable};
pub use upstream::{QueryCount, Upstream, UpstreamMode};
pub use wait::until;
pub use wiring::Wiring;
pub use workload::{Dial, Tally, Times, Workload, monotonic_ns};
