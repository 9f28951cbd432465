//! What a server serves: the typed form of a Corefile, or of the daemon's flags.

mod names;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::Name;
use serde::{Deserialize, Serialize};

use crate::record::Change;

/// Everything that a server is told. A query goes to the block with the longest zone that its name is in; where there is
/// none it is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsConfig {
    /// Server blocks.
    pub blocks: Vec<Block>,
    /// Where `/health` answers, if anywhere (`health`).
    pub health: Option<SocketAddr>,
    /// How long the server goes on after it was told to end, with `/health` answering 503 (`lameduck`).
    pub lameduck: Duration,
    /// Where `/ready` answers, if anywhere (`ready`).
    pub ready: Option<SocketAddr>,
}

impl DnsConfig {
    /// Leaves of some changes what this configuration has a use for: pods are many, and mostly nobody asks for them.
    pub fn needed(&self, changes: impl IntoIterator<Item = Change>) -> impl Iterator<Item = Change> {
        let verifies = |block: &Block| block.cluster.as_ref().is_some_and(|c| c.pods == PodsMode::Verified);
        let needs_pods = self.blocks.iter().any(verifies);
        changes.into_iter().filter(move |change| match change {
            Change::Pod { .. } => needs_pods,
            Change::Service { .. } | Change::Namespace { .. } => true,
        })
    }
}

/// One server block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Its zones, lower case; the root is `.`.
    #[serde(with = "names::many")]
    pub zones: Vec<Name>,
    /// The plugin `kubernetes`.
    pub cluster: Option<ClusterConfig>,
    /// The plugin `forward`, once for each of its `FROM`s.
    pub forwards: Vec<ForwardConfig>,
    /// The plugin `errors`: failures of the block are logged.
    pub logs_errors: bool,
}

/// The plugin `kubernetes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterConfig {
    /// Zones with the names of Services, lower case. The first one is the one that PTR records point into.
    #[serde(with = "names::many")]
    pub zones: Vec<Name>,
    /// Reverse zones, below `in-addr.arpa` or `ip6.arpa`.
    #[serde(with = "names::many")]
    pub reverse_zones: Vec<Name>,
    /// Names of pods (`pods`).
    pub pods: PodsMode,
    /// TTL of all records, 0 to 3600 (`ttl`).
    pub ttl_secs: u32,
    /// Which misses go on to the rest of the block (`fallthrough`).
    pub fallthrough: Fallthrough,
    /// Whether headless Services and the names of endpoints are served (`noendpoints` switches it off).
    pub has_endpoints: bool,
    /// Endpoints without a hostname are named after their pods (`endpoint_pod_names`).
    pub uses_pod_names: bool,
    /// The only namespaces that are served, if not all (`namespaces`).
    pub namespaces: Option<BTreeSet<Arc<str>>>,
    /// A Service with a ClusterIP and without a ready endpoint does not exist (`ignore empty_service`).
    pub ignores_empty_services: bool,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            zones: Vec::new(),
            reverse_zones: Vec::new(),
            pods: PodsMode::Disabled,
            // CoreDNS, plugin kubernetes.
            ttl_secs: 5,
            fallthrough: Fallthrough::None,
            has_endpoints: true,
            uses_pod_names: false,
            namespaces: None,
            ignores_empty_services: false,
        }
    }
}

/// `pods`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PodsMode {
    /// No names of pods.
    Disabled,
    /// `a-b-c-d.<namespace>.pod` is a.b.c.d in every namespace that exists.
    Insecure,
    /// Only if a pod of the namespace has the address.
    Verified,
}

/// `fallthrough`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fallthrough {
    /// A miss is answered with NXDOMAIN.
    None,
    /// A miss goes on, whatever the zone.
    All,
    /// A miss in one of these zones goes on.
    Zones(#[serde(with = "names::many")] Vec<Name>),
}

impl Fallthrough {
    /// Whether a miss of this name goes on.
    #[must_use]
    pub fn covers(&self, name: &Name) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Zones(zones) => zones.iter().any(|zone| zone.zone_of(name)),
        }
    }
}

/// The plugin `forward`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardConfig {
    /// What it takes: names in this zone.
    #[serde(with = "names::one")]
    pub from: Name,
    /// What of it it does not take (`except`).
    #[serde(with = "names::many")]
    pub except: Vec<Name>,
    /// Where it asks.
    pub upstreams: Upstreams,
    /// In which order (`policy`).
    pub policy: Policy,
    /// How it asks (`force_tcp`, `prefer_udp`).
    pub transport: Transport,
    /// Queries under way at once; more are refused (`max_concurrent`).
    pub max_concurrent: u32,
    /// After so many failures in a row an upstream is asked last; 0 is never (`max_fails`).
    pub max_fails: u32,
}

impl ForwardConfig {
    /// Queries under way at once unless `max_concurrent` says otherwise: never without a bound.
    pub const MAX_CONCURRENT: u32 = 1000;
    /// CoreDNS's limit of upstreams.
    pub const MAX_UPSTREAMS: usize = 15;

    /// Forwards a zone with the defaults.
    #[must_use]
    pub fn new(from: Name, upstreams: Upstreams) -> Self {
        Self {
            from,
            except: Vec::new(),
            upstreams,
            policy: Policy::Random,
            transport: Transport::AsAsked,
            max_concurrent: Self::MAX_CONCURRENT,
            max_fails: 2,
        }
    }
}

/// Where a forwarder asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Upstreams {
    /// These addresses.
    Addrs(Vec<SocketAddr>),
    /// The nameservers of a file in the form of resolv.conf(5), read again when it changes.
    File(std::path::PathBuf),
}

/// `policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// Any order.
    Random,
    /// The next one first, each time.
    RoundRobin,
    /// In the order given.
    Sequential,
}

/// How upstreams are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// As the client asked.
    AsAsked,
    /// UDP first; a truncated answer to a client that asked over TCP is asked for again over TCP (`prefer_udp`).
    PreferUdp,
    /// TCP (`force_tcp`).
    ForceTcp,
}
