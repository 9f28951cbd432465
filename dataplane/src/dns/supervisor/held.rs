//! What the supervisor holds for its children: sockets, and what comes with them.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixListener;

use ::dns::server::{Sockets, bind};
use tokio::sync::watch;

use super::NodeDnsConfig;
use crate::dns::addresses;
use crate::dns::handover::{self, Predecessor};
use crate::dns::prober::{self, Health};
use crate::dns::settings::OwnAddrs;
use crate::dns::upstreams::ByFile;
use crate::dns::{port, upstreams};

/// What the supervisor holds for its children.
pub(super) struct Held {
    pub(super) sockets: Sockets,
    /// Where they are bound: what of the addresses wanted can be had.
    pub(super) addrs: Vec<SocketAddr>,
    /// Where the next daemon finds the child, if that can be had.
    pub(super) listener: Option<UnixListener>,
    /// Of files, where there are some.
    pub(super) upstreams: Option<watch::Receiver<ByFile>>,
    pub(super) health: watch::Receiver<Health>,
    /// Children of daemons before, that serve until ours does.
    pub(super) predecessors: Vec<Predecessor>,
}

impl Held {
    /// Sockets: those of the daemon before, as far as they are wanted, and new ones for the rest.
    pub(super) async fn prepare(
        config: &NodeDnsConfig,
        own: &OwnAddrs,
        mut predecessors: Vec<Predecessor>,
    ) -> Result<Self, String> {
        let wanted: BTreeSet<IpAddr> = config.listen.iter().map(SocketAddr::ip).collect();
        if let Err(error) = addresses::put(&config.state_dir, &wanted).await {
            // One family may be switched off on this node: the other is served.
            tracing::warn!(%error, "an address for DNS cannot be had");
        }
        let mut sockets = Sockets::default();
        for offered in predecessors.iter_mut().filter_map(|predecessor| predecessor.sockets.take()) {
            let offered = only_wanted(config, offered);
            if sockets.udp.is_empty() && !offered.udp.is_empty() {
                tracing::info!("taking over the sockets of the DNS process before");
                sockets = offered;
            }
        }
        let served = sockets.addrs();
        bind_missing(config, &mut sockets)?;
        let listener = match handover::listen(&config.state_dir) {
            Ok(listener) => Some(listener),
            // Names resolve as long as this daemon lives; only the hand-over is lost.
            Err((path, error)) => {
                tracing::warn!(
                    path = %path.display(), %error,
                    "the DNS process cannot be handed to the next daemon: it ends with this one"
                );
                None
            }
        };
        let files = upstreams::files_of(&config.dns);
        // Addresses that are found by themselves are left out by the child, which hears of them.
        let upstreams = (!files.is_empty()).then(|| upstreams::follow(files, own.clone()));
        let addrs = sockets.addrs();
        let (health_sender, health) = watch::channel(Health::new(&addrs, &served));
        tokio::spawn(prober::run(config.cluster_domain.clone(), health_sender));
        Ok(Self { sockets, addrs, listener, upstreams, health, predecessors })
    }
}

/// Where sockets are bound that are wanted.
pub(super) fn wanted_of(config: &NodeDnsConfig, sockets: &Sockets) -> Vec<SocketAddr> {
    sockets.addrs().into_iter().filter(|addr| config.listen.contains(addr)).collect()
}

/// Without the sockets that are bound elsewhere: whoever else has those goes on with them.
fn only_wanted(config: &NodeDnsConfig, mut sockets: Sockets) -> Sockets {
    let is_wanted = |addr: io::Result<SocketAddr>| addr.is_ok_and(|addr| config.listen.contains(&addr));
    sockets.udp.retain(|socket| is_wanted(socket.local_addr()));
    sockets.tcp.retain(|listener| is_wanted(listener.local_addr()));
    sockets
}

/// Binds every address that can be had and is not bound already.
fn bind_missing(config: &NodeDnsConfig, all: &mut Sockets) -> Result<(), String> {
    let present = all.addrs();
    let mut problem = String::new();
    for addr in config.listen.iter().filter(|addr| !present.contains(addr)) {
        // Sharing a port with a process that nobody knows of would give it half of the queries.
        port::refuse_taken(*addr).map_err(|taken| taken.to_string())?;
        match bind(&[*addr], config.workers) {
            Ok(sockets) => {
                all.udp.extend(sockets.udp);
                all.tcp.extend(sockets.tcp);
            }
            // A family that is switched off: the other one is served.
            Err(error) if is_missing(&error.source) => {
                problem = error.to_string();
                tracing::warn!("{error}");
            }
            // Half a server is worse than none: the Service's ordinary endpoints answer.
            Err(error) => return Err(port::explain(&error)),
        }
    }
    if all.udp.is_empty() { Err(problem) } else { Ok(()) }
}

/// Whether the node lacks the address, or its whole family.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(nix::errno::Errno::EAFNOSUPPORT as i32)
}
