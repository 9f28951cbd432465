//! What the kernel programs and user space share: the keys and values of every eBPF map, and nothing else.
//!
//! Three rules make a byte mean the same on both sides:
//!
//! 1. **What is on the wire stays as on the wire.** Addresses and ports are byte arrays in network order behind
//!    private fields; constructors take host values. IPv4 is held as a v4-mapped IPv6 address, so that one map and
//!    one code path serve both families.
//! 2. **What only we read is a native integer** (ids, counters, flags), placed before the byte arrays.
//! 3. **No implicit padding.** Every gap is a named `_pad` field that constructors zero; the zerocopy derives refuse
//!    the rest at compile time. No bool, enum, `Option` or pointer is stored: closed sets are bytes with named
//!    constants, decoded by `TryFrom`.
//!
//! The crate knows no map handle, no helper and no policy; it allocates nothing. Start reading at [`maps::MAPS`], the
//! table of all maps, which also feeds `docs/maps.md`, the in-memory kernel of the tests and the fill gauges.

#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(feature = "user")]
extern crate std;

mod addr;
mod config;
mod drop_reason;
mod event;
mod flow;
mod ids;
mod lb;
pub mod maps;
mod policy;
mod sock;
mod stats;
mod subject;
mod version;

pub use addr::{Addr, Port, Protocol};
pub use config::{CGROUP_LEVEL, CONFIG, ConfigSpec, HOST_NETNS_COOKIE};
pub use drop_reason::{DropReason, UnknownDropReason};
pub use event::{DropEvent, Hook};
pub use flow::{FlowFlags, FlowKey, FlowValue, FragmentKey, FragmentValue, Heading, Judged, Leg};
pub use ids::{Digest, IdKey, IdKind};
pub use lb::{
    BackendEntry, BackendId, BackendState, CidrKey, FrontendKey, FrontendKind, FrontendValue, Generation,
    NodeAddrValue, ServiceEntry, ServiceFlags, ServiceId, SetWord, UnknownCode,
};
pub use policy::{
    Identity, PolicyId, PolicyKey, PolicyKind, PolicyRevision, PolicyValue, PortClassId, PortClassKey,
    PortClassValue, RuleId,
};
pub use sock::{
    SOCKETS_HINT_LINE_BYTES, SOCKETS_HINT_LINES, SockHint, SockPeer, SockUdpFwdKey, SockUdpFwdValue,
    SockUdpKey, SockUdpValue,
};
pub use stats::{BackendStats, ServiceStats};
pub use subject::{CgroupId, DeviceEntry, DeviceFlags, DeviceKind, IfIndex, PodEntry, PodFlags, PodId};
pub use version::{LAYOUT_DIGEST, LAYOUT_VERSION};
