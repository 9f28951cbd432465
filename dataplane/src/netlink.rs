//! What the kernel says of the node itself.

pub mod addrs;

/// Why netlink does not answer.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// No socket.
    #[error("opening a netlink socket: {0}")]
    Open(#[source] std::io::Error),
    /// A dump failed.
    #[error("listing addresses: {0}")]
    Dump(#[source] rtnetlink::Error),
    /// A dump that should take milliseconds did not end.
    #[error("listing addresses: no answer for {} s", .0.as_secs())]
    Silent(std::time::Duration),
}
