//! Whom names outside the cluster are asked: addresses, and the nameservers of files in the form of resolv.conf(5), which
//! are followed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ::dns::config::{DnsConfig, ForwardConfig, Upstreams};
use ::dns::resolv_conf::ResolvConf;
use tokio::sync::watch;
use tokio::time::sleep;

use super::settings::OwnAddrs;

/// Between looks at the file. It is small, and mostly replaced by renaming, which a watch of the file would miss.
const LOOK: Duration = Duration::from_secs(2);

/// Upstreams by the file that names them.
pub type ByFile = BTreeMap<PathBuf, Vec<SocketAddr>>;

/// The files that forwarders take their upstreams from.
#[must_use]
pub fn files_of(config: &DnsConfig) -> BTreeSet<PathBuf> {
    let forwards = config.blocks.iter().flat_map(|block| &block.forwards);
    let file = |forward: &ForwardConfig| match &forward.upstreams {
        Upstreams::File(path) => Some(path.clone()),
        Upstreams::Addrs(_) => None,
    };
    forwards.filter_map(file).collect()
}

/// The upstreams that are named by their addresses.
#[must_use]
pub fn addrs_of(config: &DnsConfig) -> BTreeSet<SocketAddr> {
    let forwards = config.blocks.iter().flat_map(|block| &block.forwards);
    let addrs = |forward: &ForwardConfig| match &forward.upstreams {
        Upstreams::File(_) => Vec::new(),
        Upstreams::Addrs(addrs) => addrs.clone(),
    };
    forwards.flat_map(addrs).collect()
}

/// Follows files until nobody listens.
pub fn follow(files: BTreeSet<PathBuf>, own: OwnAddrs) -> watch::Receiver<ByFile> {
    let mut texts: BTreeMap<PathBuf, Option<String>> =
        files.into_iter().map(|path| (path.clone(), read(&path))).collect();
    let first = texts.iter().map(|(path, text)| (path.clone(), nameservers(path, text.as_deref(), &own)));
    let (sender, receiver) = watch::channel(first.collect::<ByFile>());
    tokio::spawn(async move {
        while !sender.is_closed() {
            sleep(LOOK).await;
            for (path, text) in &mut texts {
                let now = read(path);
                // A file that is missing for a moment is being replaced: what it said stays in force.
                if now.is_some() && now != *text {
                    let addrs = nameservers(path, now.as_deref(), &own);
                    tracing::info!(file = %path.display(), count = addrs.len(), "upstreams changed");
                    sender.send_modify(|all| drop(all.insert(path.clone(), addrs)));
                    *text = now;
                }
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

#[cfg(test)]
mod tests {
    use std::fs;

    use hickory_proto::rr::Name;
    use tokio::time::timeout;

    use super::*;
    use crate::dns::settings::default_config;

    #[tokio::test]
    async fn each_file_counts_and_is_read_again_when_it_changes() {
        let dir = std::env::temp_dir().join(format!("ferrule-upstreams-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let files = ["a", "b"].map(|name| dir.join(name));
        let mut config = default_config(&Name::root(), Upstreams::File(files[0].clone()));
        let fixed: Vec<SocketAddr> = vec!["192.0.2.9:53".parse().unwrap()];
        for upstreams in [Upstreams::File(files[1].clone()), Upstreams::Addrs(fixed.clone())] {
            config.blocks[0].forwards.push(ForwardConfig::new(Name::root(), upstreams));
        }
        assert_eq!(Vec::from_iter(addrs_of(&config)), fixed);
        for (file, addr) in files.iter().zip(["192.0.2.1", "192.0.2.2"]) {
            fs::write(file, format!("nameserver {addr}\nnameserver 10.96.0.10\n")).unwrap();
        }
        let own = OwnAddrs { listen: Vec::new(), service: vec!["10.96.0.10".parse().unwrap()] };
        let mut followed = follow(files_of(&config), own);
        let named =
            |all: &ByFile, at: usize| all[&files[at]].iter().map(|a| a.to_string()).collect::<Vec<_>>();
        let first = followed.borrow_and_update().clone();
        assert_eq!(
            (named(&first, 0), named(&first, 1)),
            (vec!["192.0.2.1:53".into()], vec!["192.0.2.2:53".into()])
        );
        fs::write(&files[1], "nameserver 192.0.2.3\n").unwrap();
        let changed = timeout(LOOK * 10, followed.wait_for(|all| named(all, 1) == ["192.0.2.3:53"])).await;
        assert_eq!(named(&changed.unwrap().unwrap(), 0), ["192.0.2.1:53"]);
        fs::remove_dir_all(dir).unwrap();
    }
}
