//! The cluster's state as typed, immutable values: what the API objects say, kept as they say it.
//!
//! API objects come in as the serde types of [`api`] (only the fields that we use), [`convert`] turns each into a value
//! of this crate and a list of [`Warning`]s, [`Store`] applies events and hands out [`Snapshot`]s. References are kept
//! as written even if their target does not exist yet; resolving them is the business of `compile`.
//!
//! The crate knows no clock, no task, no client and no kernel. Start reading at [`Store::apply`].

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod api;
pub mod convert;
mod device;
mod endpoint;
mod event;
mod local_dns;
mod name;
mod namespace;
mod node;
mod pod;
mod policy;
mod port;
mod selector;
mod service;
mod service_cidr;
mod snapshot;
mod socket_lb;
mod store;
mod warning;

pub use convert::service::is_dns_label;
pub use device::{Device, DeviceAddr, DeviceType, IfIndex, Mac, Network, Role, Route, Wanted, classify};
pub use endpoint::{AddressFamily, Endpoint, EndpointPort, EndpointSlice};
pub use event::{Event, Kind, ObjectKey};
pub use local_dns::{ClusterDns, LocalDns};
pub use name::{ObjectName, ServicePortName};
pub use namespace::Namespace;
pub use node::{CgroupId, Node, NodeView, PodUid};
pub use pod::Pod;
pub use policy::{
    Direction, IpBlock, NetworkPolicy, Peer, PeerNamespaces, PolicyPort, PolicyRule, PortMatch,
};
pub use port::Protocol;
pub use selector::{Labels, Requirement, Selector};
pub use service::{Service, ServicePort, ServiceType, TrafficPolicy};
pub use service_cidr::ServiceCidr;
pub use snapshot::{Changes, Snapshot, SnapshotRevision, Synced};
pub use socket_lb::{PerPacket, SocketLb};
pub use store::Store;
pub use warning::{Warning, WarningKind};
