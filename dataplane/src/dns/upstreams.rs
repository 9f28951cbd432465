//! The nameservers of a file in the form of resolv.conf(5), followed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ::dns::config::{DnsConfig, Upstreams};
use ::dns::resolv_conf::ResolvConf;
use tokio::sync::watch;
use tokio::time::sleep;

use super::settings::OwnAddrs;

/// Between looks at the file. It is small, and mostly replaced by renaming, which a watch of the file would miss.
const LOOK: Duration = Duration::from_secs(2);

/// The file that forwarders take their upstreams from, if any does.
#[must_use]
pub fn file_of(config: &DnsConfig) -> Option<PathBuf> {
    config.blocks.iter().flat_map(|block| &block.forwards).find_map(|forward| match &forward.upstreams {
        Upstreams::File(path) => Some(path.clone()),
        Upstreams::Addrs(_) => None,
    })
}

/// Follows a file until nobody listens.
pub fn follow(path: PathBuf, own: OwnAddrs) -> watch::Receiver<Vec<SocketAddr>> {
    let mut text = read(&path);
    let (sender, receiver) = watch::channel(nameservers(&path, text.as_deref(), &own));
    tokio::spawn(async move {
        while !sender.is_closed() {
            sleep(LOOK).await;
            let now = read(&path);
            // A file that is missing for a moment is being replaced: what it said stays in force.
            if now.is_some() && now != text {
                let addrs = nameservers(&path, now.as_deref(), &own);
                tracing::info!(file = %path.display(), count = addrs.len(), "upstreams changed");
                sender.send_replace(addrs);
                text = now;
            }
        }
    });
    receiver
}

fn read(path: &PathBuf) -> Option<String> {
    std::fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn nameservers(path: &std::path::Path, text: Option<&str>, own: &OwnAddrs) -> Vec<SocketAddr> {
    let Some(text) = text else {
        tracing::warn!(file = %path.display(), "cannot be read: names outside the cluster do not resolve");
        return Vec::new();
    };
    let parsed = ResolvConf::parse(text);
    for warning in &parsed.warnings {
        tracing::warn!(file = %path.display(), "{warning}");
    }
    let (ours, others): (Vec<_>, Vec<_>) =
        parsed.nameservers.into_iter().partition(|addr| own.includes(*addr));
    for addr in ours {
        tracing::warn!(file = %path.display(), upstream = %addr, "an upstream is this server: it is left out");
    }
    if others.is_empty() {
        tracing::warn!(file = %path.display(), "names no upstream: names outside the cluster do not resolve");
    }
    others
}
