//! Nodes: the API object, and what this node sees of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::{LocalDns, Network};

/// A Node object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Name.
    pub name: Arc<str>,
    /// Label `topology.kubernetes.io/zone`.
    pub zone: Option<Arc<str>>,
    /// `status.addresses` that are IP addresses (InternalIP, ExternalIP), in the order of the object.
    pub addrs: Vec<IpAddr>,
    /// `metadata.deletionTimestamp` is set.
    pub is_deleting: bool,
    /// The taint `ToBeDeletedByClusterAutoscaler` is present: `/healthz` answers 503 (KEP-3836).
    pub is_leaving: bool,
}

/// `metadata.uid` of a pod, as it is written there.
pub type PodUid = Arc<str>;

/// The kernel's id of a cgroup v2: the inode number of its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CgroupId(pub u64);

/// This node as it sees itself: its name and, from netlink, its addresses and its network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeView {
    /// Our node's name.
    pub name: Arc<str>,
    /// Every address of every interface, loopback addresses excepted.
    pub addrs: BTreeSet<IpAddr>,
    /// The DNS server of this node, if it has one.
    pub dns: Option<LocalDns>,
    /// Its devices, routes and neighbours.
    pub network: Arc<Network>,
    /// Names of the uplinks, if the operator named them.
    pub uplinks: Option<Arc<BTreeSet<Arc<str>>>>,
    /// Cgroups of pods, by the UID in their names.
    pub cgroups: Arc<BTreeMap<PodUid, CgroupId>>,
}
