//! The node's own addresses, followed: each change lists them anew, so that a lost message loses nothing for long.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::packet_core::NetlinkMessage;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::SocketAddr;
use rtnetlink::{Handle, MulticastGroup, new_multicast_connection};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::NetlinkError;

/// Even without a message the addresses are listed this often.
const RESYNC: Duration = Duration::from_secs(30);
/// A dump of 100,000 addresses takes a fraction of it.
const DUMP: Duration = Duration::from_secs(5);
/// Between attempts after a failure.
const RETRY: Duration = Duration::from_secs(1);

/// The addresses of this network namespace now, and a task that keeps them current until nobody listens. Needs the
/// runtime.
///
/// # Errors
///
/// Netlink does not answer.
pub async fn watch_addrs()
-> Result<(watch::Receiver<BTreeSet<IpAddr>>, impl Future<Output = ()> + Send + 'static), NetlinkError> {
    let mut follower = Follower::open()?;
    let (sender, receiver) = watch::channel(follower.list().await?);
    let task = async move {
        tokio::select! {
            () = sender.closed() => {}
            () = follow(&mut follower, &sender) => {}
        }
    };
    Ok((receiver, task))
}

async fn follow(follower: &mut Follower, sender: &watch::Sender<BTreeSet<IpAddr>>) {
    loop {
        let listed = match follower.changed().await {
            Changed::Maybe => follower.list().await,
            Changed::Closed => follower.reopen().await,
        };
        match listed {
            Ok(addrs) => {
                sender.send_if_modified(|known| {
                    let differs = *known != addrs;
                    if differs {
                        tracing::info!(count = addrs.len(), "node addresses changed");
                        *known = addrs;
                    }
                    differs
                });
            }
            Err(error) => {
                tracing::warn!(%error, "node addresses cannot be listed: the last ones stay in force");
                sleep(RETRY).await;
                follower.is_failed = true;
            }
        }
    }
}

/// A socket that hears of changes.
struct Follower {
    handle: Handle,
    messages: BoxStream<'static, (NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
    /// The last list failed: whatever is wrong with the socket, the next one gets another.
    is_failed: bool,
}

enum Changed {
    /// There was a message (or the kernel's word that some were lost), or silence for a while.
    Maybe,
    /// The socket is gone.
    Closed,
}

impl Follower {
    fn open() -> Result<Self, NetlinkError> {
        let groups = [MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        let (connection, handle, messages) = new_multicast_connection(&groups).map_err(NetlinkError::Open)?;
        // Ends when handle and messages are dropped.
        tokio::spawn(connection);
        Ok(Self { handle, messages: messages.boxed(), is_failed: false })
    }

    async fn reopen(&mut self) -> Result<BTreeSet<IpAddr>, NetlinkError> {
        *self = Self::open()?;
        self.list().await
    }

    async fn changed(&mut self) -> Changed {
        if std::mem::take(&mut self.is_failed) {
            return Changed::Closed;
        }
        if matches!(timeout(RESYNC, self.messages.next()).await, Ok(None)) {
            return Changed::Closed;
        }
        // Several messages at once are one reason to list.
        while let Ok(Some(_)) = timeout(Duration::ZERO, self.messages.next()).await {}
        Changed::Maybe
    }

    async fn list(&mut self) -> Result<BTreeSet<IpAddr>, NetlinkError> {
        let dump = async {
            let mut messages = self.handle.address().get().execute();
            let mut addrs = BTreeSet::new();
            while let Some(message) = messages.try_next().await.map_err(NetlinkError::Dump)? {
                addrs.extend(usable(&message));
            }
            Ok(addrs)
        };
        timeout(DUMP, dump).await.map_err(|_| NetlinkError::Silent(DUMP))?
    }
}

/// The address of a message, unless it is loopback's or cannot be used: IPv6's duplicate detection has not ended
/// (RFC 4862, 5.4; a message follows when it has; optimistic addresses, RFC 4429, are used meanwhile) or found another
/// owner.
fn usable(message: &AddressMessage) -> Option<IpAddr> {
    let mut local = None;
    let mut address = None;
    let mut flags = AddressFlags::empty();
    for attribute in &message.attributes {
        // On point-to-point links `Address` is the other end's.
        if let AddressAttribute::Local(addr) = attribute {
            local = Some(*addr);
        } else if let AddressAttribute::Address(addr) = attribute {
            address = Some(*addr);
        } else if let AddressAttribute::Flags(found) = attribute {
            flags = *found;
        }
    }
    let is_waiting = message.header.family == AddressFamily::Inet6
        && flags.contains(AddressFlags::Tentative)
        && !flags.contains(AddressFlags::Optimistic);
    let is_usable = !is_waiting && !flags.contains(AddressFlags::Dadfailed);
    local.or(address).filter(|addr| is_usable && !addr.is_loopback())
}

#[cfg(test)]
mod tests;
