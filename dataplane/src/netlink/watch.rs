//! The tables, followed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use model::Network;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::SocketAddr;
use rtnetlink::{Handle, MulticastGroup, new_multicast_connection};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::tables::Tables;
use super::{NetlinkError, Table};

/// Even without a message everything is listed this often.
const RESYNC: Duration = Duration::from_secs(30);
/// A dump of 100,000 entries takes a fraction of it.
const DUMP: Duration = Duration::from_secs(5);
/// Between attempts after a failure.
const RETRY: Duration = Duration::from_secs(1);
/// Between two lists: the wiring of one pod is a dozen messages, and the first is listed at once.
const PAUSE: Duration = Duration::from_millis(10);

/// The network of this network namespace now, and a task that keeps it current until nobody listens. Needs the runtime.
///
/// # Errors
///
/// Netlink does not answer.
pub async fn watch_network()
-> Result<(watch::Receiver<Arc<Network>>, impl Future<Output = ()> + Send + 'static), NetlinkError> {
    let mut follower = Follower::open()?;
    follower.list().await?;
    let (sender, receiver) = watch::channel(Arc::new(follower.tables.network()));
    let task = async move {
        tokio::select! {
            () = sender.closed() => {}
            () = follow(&mut follower, &sender) => {}
        }
    };
    Ok((receiver, task))
}

async fn follow(follower: &mut Follower, sender: &watch::Sender<Arc<Network>>) {
    loop {
        follower.changed().await;
        if follower.stale.is_empty() {
            continue;
        }
        match follower.list().await {
            Ok(()) => {
                let network = follower.tables.network();
                let publish = |known: &mut Arc<Network>| {
                    let differs = **known != network;
                    if differs {
                        if !network.addrs().eq(known.addrs()) {
                            tracing::info!(count = network.addrs().count(), "node addresses changed");
                        }
                        *known = Arc::new(network);
                    }
                    differs
                };
                sender.send_if_modified(publish);
                sleep(PAUSE).await;
            }
            Err(error) => {
                tracing::warn!(%error, "the node's network cannot be listed: what was last seen stays in force");
                sleep(RETRY).await;
                follower.is_failed = true;
            }
        }
    }
}

/// A socket that hears of changes, and what was listed.
struct Follower {
    handle: Handle,
    messages: BoxStream<'static, (NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
    tables: Tables,
    /// To be listed anew.
    stale: BTreeSet<Table>,
    /// The last list failed: whatever is wrong with the socket, the next one gets another.
    is_failed: bool,
}

impl Follower {
    fn open() -> Result<Self, NetlinkError> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
            // Forwarding entries of bridges too.
            MulticastGroup::Neigh,
        ];
        let (connection, handle, messages) = new_multicast_connection(&groups).map_err(NetlinkError::Open)?;
        // Ends when handle and messages are dropped.
        tokio::spawn(connection);
        let (tables, stale) = (Tables::default(), Table::ALL.into());
        Ok(Self { handle, messages: messages.boxed(), tables, stale, is_failed: false })
    }

    /// Waits for messages, or for silence to last, and takes in what they make stale.
    async fn changed(&mut self) {
        if std::mem::take(&mut self.is_failed) {
            self.stale = Table::ALL.into();
            match Self::open() {
                Ok(opened) => *self = Self { tables: std::mem::take(&mut self.tables), ..opened },
                // The list that follows fails too, and says so.
                Err(error) => tracing::warn!(%error, "hearing of changes"),
            }
            return;
        }
        match timeout(RESYNC, self.messages.next()).await {
            Ok(Some((message, _))) => self.take(&message),
            Ok(None) => self.is_failed = true,
            Err(_) => self.stale = Table::ALL.into(),
        }
        // Several messages at once are one reason to list.
        while let Ok(Some((message, _))) = timeout(Duration::ZERO, self.messages.next()).await {
            self.take(&message);
        }
    }

    fn take(&mut self, message: &NetlinkMessage<RouteNetlinkMessage>) {
        use RouteNetlinkMessage as M;
        let NetlinkPayload::InnerMessage(inner) = &message.payload else {
            // The kernel's word that messages were lost.
            self.stale = Table::ALL.into();
            return;
        };
        #[expect(clippy::wildcard_enum_match_arm, reason = "the groups carry no others that matter here")]
        match inner {
            // IPv4 routes through a device that goes down vanish without a message of their own
            // (net/ipv4/fib_frontend.c, fib_disable_ip).
            M::NewLink(_) | M::DelLink(_) => self.stale = Table::ALL.into(),
            M::NewAddress(_) | M::DelAddress(_) => drop(self.stale.insert(Table::Addrs)),
            M::NewRoute(_) | M::DelRoute(_) => drop(self.stale.insert(Table::Routes)),
            M::NewNeighbour(message) => self.stale.extend(self.tables.contradicted(message, true)),
            M::DelNeighbour(message) => self.stale.extend(self.tables.contradicted(message, false)),
            _ => {}
        }
    }

    /// Lists what is stale.
    async fn list(&mut self) -> Result<(), NetlinkError> {
        while let Some(table) = self.stale.first().copied() {
            let listed = timeout(DUMP, self.tables.list(&self.handle, table)).await;
            listed.map_err(|_| NetlinkError::Silent { table, waited: DUMP })??;
            self.stale.remove(&table);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
