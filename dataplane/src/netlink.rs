//! What the kernel says of the node's network: devices, addresses, routes, neighbours.
//!
//! One socket hears of changes; a change lists the table that it is of anew, so that a lost or misread message loses
//! nothing for long. What comes out is one [`model::Network`] after another.

mod addrs;
mod links;
mod neigh;
mod routes;
mod tables;
mod watch;

pub use self::watch::watch_network;

/// Why netlink does not answer.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// No socket.
    #[error("opening a netlink socket: {0}")]
    Open(#[source] std::io::Error),
    /// A dump failed.
    #[error("listing {table}: {source}")]
    Dump {
        /// What was listed.
        table: Table,
        /// The kernel's answer.
        #[source]
        source: rtnetlink::Error,
    },
    /// A dump that should take milliseconds did not end.
    #[error("listing {table}: no answer for {} s", waited.as_secs())]
    Silent {
        /// What was listed.
        table: Table,
        /// How long it was waited for.
        waited: std::time::Duration,
    },
}

/// A table of the kernel that is listed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Devices.
    Links,
    /// Addresses.
    Addrs,
    /// Routes of both families.
    Routes,
    /// Neighbours of both families.
    Neighbours,
    /// Forwarding entries of bridges.
    BridgePorts,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 5] = [Self::Links, Self::Addrs, Self::Routes, Self::Neighbours, Self::BridgePorts];
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Links => "devices",
            Self::Addrs => "addresses",
            Self::Routes => "routes",
            Self::Neighbours => "neighbours",
            Self::BridgePorts => "ports of bridges",
        })
    }
}
