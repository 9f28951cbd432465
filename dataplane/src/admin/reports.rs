//! What the admin socket answers. Names and meanings of the JSON fields are stable: programs read them.
//! docs/operations.md lists them. A field that the other side does not know is passed over, one that it does not send
//! is empty, so that a command and a daemon of neighbouring versions understand each other.

mod flow;
mod policy;

use std::collections::BTreeMap;

use ::dns::metrics::{CODES, TYPES};
use serde::{Deserialize, Serialize};

pub use self::flow::{DropReport, EndReport, FlowReport, FlowsReport, LegReport};
pub use self::policy::{ExplainReport, PathReport, PodReport, PolicyReport, SideReport, VerdictReport};
use crate::dns::supervisor::NodeDns;

/// `/status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusReport {
    /// The daemon's version.
    pub version: String,
    /// Our node's name.
    pub node: String,
    /// Whether everything that is known is in force, and everything is known.
    pub ready: bool,
    /// Why not, one line each.
    pub not_ready: Vec<String>,
    /// Whether every first list is done.
    pub synced: bool,
    /// Number of the snapshot in force.
    pub revision: u64,
    /// Since the start.
    pub uptime_secs: u64,
    /// How the maps were found at the start: fresh, adopted or replaced.
    pub maps_at_start: String,
    /// The last round that wrote or tried to.
    pub last_sync: Option<SyncReport>,
    /// Writes that are outstanding, by map; maps without any are left out.
    pub pending: BTreeMap<String, usize>,
    /// Programs whose links are in force.
    pub programs: Vec<String>,
    /// The source.
    pub source: SourceReport,
    /// What in objects could not be honoured.
    pub warnings: Vec<WarningReport>,
    /// Connections and datagrams that were not let through, by reason.
    pub drops: BTreeMap<String, u64>,
    /// Rows of the kernel maps that somebody else had changed and that were put right.
    pub drift_repairs: u64,
}

/// One round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncReport {
    /// Seconds since it ended.
    pub age_secs: f64,
    /// Milliseconds for compiling.
    pub compile_ms: f64,
    /// Milliseconds for writing.
    pub apply_ms: f64,
    /// Writes that came through.
    pub applied: usize,
    /// Writes that failed.
    pub failed: usize,
}

/// The source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceReport {
    /// The folder.
    pub manifests: String,
    /// Objects in force, by kind.
    pub objects: BTreeMap<String, usize>,
    /// Objects of kinds that are not used, by `apiVersion/Kind`.
    pub passed_over: BTreeMap<String, u64>,
    /// What is wrong, by file.
    pub problems: BTreeMap<String, String>,
}

/// What in an object could not be honoured.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct WarningReport {
    /// Kind and name.
    pub object: String,
    /// Class.
    pub kind: String,
    /// Field and value, or the other object.
    pub detail: String,
}

/// One Service port in one family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceReport {
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub name: String,
    /// Name of the port, empty if it has none.
    pub port: String,
    /// TCP, UDP or SCTP.
    pub protocol: String,
    /// IPv4 or IPv6.
    pub family: String,
    /// Id in the kernel maps.
    pub id: u32,
    /// What clients dial.
    pub frontends: Vec<FrontendReport>,
    /// internal-local, external-local.
    pub flags: Vec<String>,
    /// Backends that new connections choose from under the policy Cluster.
    pub cluster_backends: usize,
    /// Backends that new connections choose from under a policy Local.
    pub local_backends: usize,
    /// Connections and UDP flows sent to a backend.
    pub connections: u64,
    /// Refused for lack of endpoints.
    pub refused: u64,
    /// Dropped by a Local policy without a local endpoint.
    pub dropped: u64,
    /// Sent to a backend without the socket remembering its VIP.
    pub unremembered: u64,
}

/// A frontend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FrontendReport {
    /// ClusterIP, NodePort, ExternalIP, LoadBalancer.
    pub kind: String,
    /// `address:port/PROTOCOL`; `node-v4` and `node-v6` stand for the node's own addresses.
    pub address: String,
    /// False if an older Service has it.
    pub held: bool,
}

/// A backend of a Service port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointReport {
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub service: String,
    /// Name of the port.
    pub port: String,
    /// TCP, UDP or SCTP.
    pub protocol: String,
    /// Address and port.
    pub address: String,
    /// live or terminating.
    pub state: String,
    /// New connections under the policy Cluster may choose it.
    pub in_cluster_set: bool,
    /// New connections under a policy Local may choose it.
    pub in_local_set: bool,
    /// On this node.
    pub local: bool,
    /// Its node, if known.
    pub node: Option<String>,
    /// Its zone, if known.
    pub zone: Option<String>,
    /// Connections and UDP flows sent to it.
    pub connections: u64,
}

/// A kernel map.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MapReport {
    /// Name.
    pub name: String,
    /// Kernel type.
    pub r#type: String,
    /// Bytes of a key.
    pub key_bytes: u32,
    /// Bytes of a value.
    pub value_bytes: u32,
    /// Entries in use; absent where only the kernel knows.
    pub used: Option<u64>,
    /// Maximum; absent where the kernel sizes the map.
    pub max: Option<u64>,
    /// Path of the pin.
    pub pin: String,
}

/// `/dns`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DnsReport {
    /// Whether this node serves DNS.
    pub enabled: bool,
    /// Whether its server answers: pods are sent to it.
    pub healthy: bool,
    /// Why nothing is served, if so.
    pub problem: Option<String>,
    /// What pods ask.
    pub cluster_dns: Vec<String>,
    /// Where the server listens.
    pub listen: Vec<String>,
    /// Where names outside the cluster are asked.
    pub upstreams: Vec<String>,
    /// The serving process, if one serves.
    pub pid: Option<u32>,
    /// Processes that served since the daemon started: more than one means that one ended.
    pub starts: u64,
    /// Queries by transport and type; those that never came are left out.
    pub queries: BTreeMap<String, u64>,
    /// Responses by code.
    pub responses: BTreeMap<String, u64>,
    /// Queries that upstreams were asked.
    pub forwarded: u64,
    /// Those that none answered.
    pub forward_failures: u64,
    /// Queries that were refused because too many were under way.
    pub forward_rejects: u64,
    /// Open TCP connections.
    pub connections: u64,
}

impl DnsReport {
    /// How DNS is doing now.
    pub async fn of(dns: Option<NodeDns>) -> Self {
        let Some(dns) = dns else { return Self::default() };
        let counters = dns.counters().await.unwrap_or_default();
        let state = dns.state.borrow().clone();
        let text = |addrs: &[std::net::SocketAddr]| addrs.iter().map(ToString::to_string).collect();
        let by = |prefix: &str, counts: &[u64]| -> Vec<(String, u64)> {
            let names = TYPES.iter().zip(counts).filter(|(_, count)| **count > 0);
            names.map(|(name, count)| (format!("{prefix} {name}"), *count)).collect()
        };
        Self {
            enabled: true,
            healthy: state.is_healthy,
            problem: state.problem,
            cluster_dns: state.vips.iter().map(ToString::to_string).collect(),
            listen: text(&state.listen),
            upstreams: state.upstreams.iter().map(ToString::to_string).collect(),
            pid: state.child,
            starts: state.starts,
            queries: by("udp", &counters.udp).into_iter().chain(by("tcp", &counters.tcp)).collect(),
            responses: CODES
                .iter()
                .zip(counters.responses)
                .filter(|(_, count)| *count > 0)
                .map(|(code, count)| ((*code).to_owned(), count))
                .collect(),
            forwarded: counters.forwarded,
            forward_failures: counters.forward_failures,
            forward_rejects: counters.forward_rejects,
            connections: counters.connections_open,
        }
    }
}
