//! The daemon's configuration: one immutable value, made from flags.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use compile::Limits;

use crate::dns::supervisor::NodeDnsConfig;

/// Everything that `ferrule run` can be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our node's name, as in the `nodeName` of endpoints.
    pub node_name: Arc<str>,
    /// The folder of manifests.
    pub manifests: PathBuf,
    /// The cgroup v2 directory whose sockets are served.
    pub cgroup_root: PathBuf,
    /// Names of the devices that lead to peers and outside; `None` finds them by the routes.
    pub uplinks: Option<Arc<BTreeSet<Arc<str>>>>,
    /// A mounted bpffs.
    pub bpf_root: PathBuf,
    /// Where the admin socket is.
    pub state_dir: PathBuf,
    /// kube-proxy's health server; `None` is off.
    pub healthz_bind: Option<SocketAddr>,
    /// kube-proxy's metrics server; `None` is off.
    pub metrics_bind: Option<SocketAddr>,
    /// Whether an address that is taken stops the start.
    pub bind_hard_fail: bool,
    /// Maxima of the maps.
    pub limits: Limits,
    /// Cluster DNS; `None` is off.
    pub dns: Option<NodeDnsConfig>,
    /// Entries of `SOCKETS`, of `SOCK_UDP` and of `SOCK_UDP_FWD`.
    pub socket_entries: u32,
    /// From the end of one round to the start of the next.
    pub min_sync_period: Duration,
    /// Between comparisons of the kernel with what is believed of it.
    pub audit_period: Duration,
    /// Retries of failed writes: the first after this long, each later one after twice as long.
    pub retry_first: Duration,
    /// Retries of failed writes: at most this long apart.
    pub retry_last: Duration,
}
