//! Why the daemon does not start: one line, and an exit code of its own.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::kernel::KernelError;

/// What stops a start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Capabilities are missing.
    #[error("missing {missing}: run as root, or with the capabilities BPF, NET_ADMIN and PERFMON")]
    Privileges {
        /// Names of what is missing.
        missing: String,
    },
    /// The bpf-root is no bpffs.
    #[error("no bpffs at {}: mount one (mount -t bpf bpf {}) or choose another with --bpf-root", path.display(), path.display())]
    NoBpffs {
        /// The directory.
        path: PathBuf,
    },
    /// No cgroup v2 hierarchy is mounted.
    #[error(
        "no cgroup v2 in /proc/mounts: mount one (mount -t cgroup2 none /sys/fs/cgroup) or give --cgroup-root"
    )]
    NoCgroup,
    /// The directory given is not in a cgroup v2 hierarchy.
    #[error("{} is not a directory of a cgroup v2 hierarchy: give another with --cgroup-root", path.display())]
    NotCgroup {
        /// The directory.
        path: PathBuf,
    },
    /// What is mounted is the root of a container, not of the node.
    #[error(
        "{} is not the root of the cgroup v2 hierarchy (a container's own?): mount the host's and give --cgroup-root",
        path.display()
    )]
    NotCgroupRoot {
        /// The directory.
        path: PathBuf,
    },
    /// The manifests cannot be read.
    #[error("manifests folder {}: {source}: give a readable one with --manifests", path.display())]
    Manifests {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A server's address is taken or cannot be bound.
    #[error("{server} address {addr}: {source}: choose another with {}", where_said(server))]
    Bind {
        /// What was to listen there.
        server: &'static str,
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The DNS configuration.
    #[error(transparent)]
    DnsSettings(#[from] crate::dns::settings::SettingsError),
    /// A DNS address is taken or cannot be bound.
    #[error(transparent)]
    DnsListen(::dns::server::ListenError),
    /// DNS servers cannot be started.
    #[error("starting DNS servers: {0}")]
    DnsServers(#[source] io::Error),
    /// The state directory or its socket cannot be made.
    #[error("state directory {}: {source}: choose another with --state-dir", path.display())]
    StateDir {
        /// The directory or socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The node's addresses cannot be read.
    #[error("reading the node's addresses: {0}")]
    Netlink(#[source] crate::netlink::NetlinkError),
    /// The node has no name.
    #[error("the host has no usable name: give one with --hostname-override")]
    NoNodeName,
    /// Signals cannot be caught.
    #[error("catching signals: {0}")]
    Signals(#[source] io::Error),
    /// The sync loop ended by itself.
    #[error("the sync loop ended: this is a defect; what is in the kernel stays in force")]
    LoopEnded,
    /// The kernel's side.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// Where it is said where a server listens.
fn where_said(server: &str) -> &'static str {
    match server {
        "health" => "--healthz-bind-address",
        "metrics" => "--metrics-bind-address",
        // The plugins of `dns serve`.
        _ => "this plugin in the Corefile",
    }
}

impl StartError {
    /// The exit code. 2 is a wrong command line, 1 anything that is not listed here.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Privileges { .. } => 3,
            Self::NoBpffs { .. } => 4,
            Self::NoCgroup | Self::NotCgroup { .. } | Self::NotCgroupRoot { .. } => 5,
            Self::Manifests { .. } => 6,
            Self::Bind { .. } | Self::DnsListen(_) => 7,
            Self::Kernel(KernelError::Locked { .. }) => 8,
            Self::Kernel(_) => 9,
            Self::Netlink(_) => 10,
            Self::StateDir { .. } => 11,
            Self::NoNodeName => 12,
            Self::DnsSettings(_) => 13,
            Self::Signals(_) | Self::LoopEnded | Self::DnsServers(_) => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_had_is_named_with_what_says_it() {
        for (server, place, other) in [
            ("health", "--healthz-bind-address", "--metrics"),
            ("metrics", "--metrics-bind-address", "--healthz"),
            ("Corefile health", "plugin in the Corefile", "--"),
            ("Corefile ready", "plugin in the Corefile", "--"),
        ] {
            let source = io::Error::from(io::ErrorKind::AddrInUse);
            let addr = SocketAddr::from(([127, 0, 0, 1], 8080));
            let line = StartError::Bind { server, addr, source }.to_string();
            assert!(line.contains(place) && !line.contains(other) && line.starts_with(server), "{line}");
        }
    }
}
