//! What DNS serves, from flags or a Corefile.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use ::dns::config::{Block, ClusterConfig, DnsConfig, Fallthrough, ForwardConfig, PodsMode, Upstreams};
use ::dns::corefile::{self, CorefileError};
use hickory_proto::rr::Name;

/// The host's resolver configuration.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Why DNS is not configured.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The Corefile cannot be read.
    #[error("Corefile {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The Corefile has a mistake.
    #[error("{}:{}", path.display(), source.after_name())]
    Corefile {
        /// The file.
        path: PathBuf,
        /// The mistake.
        source: CorefileError,
    },
    /// Two addresses of one family to listen on.
    #[error("--dns-listen: {addr} is the second address of its family; one is used")]
    SecondListener {
        /// The address.
        addr: SocketAddr,
    },
    /// An upstream is this server.
    #[error(
        "upstream {upstream} is this server: every forwarded query would come back; name another upstream"
    )]
    Loop {
        /// The upstream.
        upstream: SocketAddr,
    },
}

/// The configuration without a Corefile: what kubeadm's Corefile says, with CoreDNS's own TTL, as no cache is in front.
#[must_use]
pub fn default_config(cluster_domain: &Name, upstreams: Upstreams) -> DnsConfig {
    let reverse_zones = vec![reverse("in-addr"), reverse("ip6")];
    let cluster = ClusterConfig {
        zones: vec![cluster_domain.clone()],
        fallthrough: Fallthrough::Zones(reverse_zones.clone()),
        reverse_zones,
        pods: PodsMode::Insecure,
        ..ClusterConfig::default()
    };
    let block = Block {
        zones: vec![Name::root()],
        cluster: Some(cluster),
        forwards: vec![ForwardConfig::new(Name::root(), upstreams)],
        logs_errors: true,
    };
    DnsConfig { blocks: vec![block], health: None, lameduck: std::time::Duration::ZERO, ready: None }
}

/// `<label>.arpa.`
fn reverse(label: &str) -> Name {
    let name = Name::from_labels([label.as_bytes(), b"arpa".as_slice()]).unwrap_or_default();
    let mut name = name;
    name.set_fqdn(true);
    name
}

/// Reads a Corefile, and logs what of it is not honoured.
///
/// # Errors
///
/// It cannot be read, or has a mistake, which is named with its line.
pub fn read_corefile(path: &Path) -> Result<DnsConfig, SettingsError> {
    let text =
        fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    let env = |name: &str| std::env::var(name).ok();
    let parsed = corefile::parse(&text, &corefile::Defaults::new(&env))
        .map_err(|source| SettingsError::Corefile { path: path.to_owned(), source })?;
    for warning in &parsed.warnings {
        tracing::warn!("{}:{}", path.display(), warning.after_name());
    }
    Ok(parsed.config)
}

/// Refuses upstreams that are the server itself.
///
/// # Errors
///
/// The upstream.
pub fn refuse_loops(config: &DnsConfig, own: &OwnAddrs) -> Result<(), SettingsError> {
    for forward in config.blocks.iter().flat_map(|block| &block.forwards) {
        if let Upstreams::Addrs(addrs) = &forward.upstreams
            && let Some(upstream) = addrs.iter().find(|addr| own.includes(**addr))
        {
            return Err(SettingsError::Loop { upstream: *upstream });
        }
    }
    Ok(())
}

/// Where the server can be reached.
#[derive(Clone, Debug, Default)]
pub struct OwnAddrs {
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// What clients call it, on port 53.
    pub service: Vec<IpAddr>,
}

impl OwnAddrs {
    /// Whether a query to that address comes to the server.
    #[must_use]
    pub fn includes(&self, addr: SocketAddr) -> bool {
        let listens = self.listen.iter().any(|own| {
            own.port() == addr.port()
                && (own.ip() == addr.ip() || (own.ip().is_unspecified() && addr.ip().is_loopback()))
        });
        listens || (addr.port() == 53 && self.service.contains(&addr.ip()))
    }

    /// Addresses that the zone's name server has: where nobody calls it otherwise, those that it listens on.
    #[must_use]
    pub fn of_name_server(&self) -> Vec<IpAddr> {
        if self.service.is_empty() {
            self.listen.iter().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified()).collect()
        } else {
            self.service.clone()
        }
    }
}
