//! From the sync loop to whoever keeps a zone: the newest snapshot, and what changed since it was taken last. Never a
//! queue: however slow the taker is, what waits for it is one snapshot and the names that changed.

use std::sync::{Mutex, PoisonError};

use model::{Changes, Snapshot};
use tokio::sync::Notify;

/// See the module.
#[derive(Debug, Default)]
pub struct ZoneFeed {
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    snapshot: Snapshot,
    changes: Changes,
}

impl ZoneFeed {
    /// Tells of a snapshot and of what changed up to it.
    pub fn publish(&self, snapshot: &Snapshot, changes: &Changes) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.snapshot = snapshot.clone();
        // No name depends on a node.
        let Changes { services, nodes: _, namespaces, pods, service_cidrs, network_policies: _, synced } =
            changes;
        let all = &mut waiting.changes;
        all.services.extend(services.iter().cloned());
        all.namespaces.extend(namespaces.iter().cloned());
        all.pods.extend(pods.iter().cloned());
        // The server's own addresses may be found in them.
        all.service_cidrs |= service_cidrs;
        all.synced |= synced;
        drop(waiting);
        self.news.notify_one();
    }

    /// Waits until something was published that was not taken yet. Nothing is lost if the future is dropped.
    pub async fn take(&self) -> (Snapshot, Changes) {
        loop {
            let news = self.news.notified();
            if let Some(taken) = self.try_take() {
                return taken;
            }
            news.await;
        }
    }

    /// The newest snapshot, with nothing left to take.
    pub fn current(&self) -> Snapshot {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.changes = Changes::default();
        waiting.snapshot.clone()
    }

    fn try_take(&self) -> Option<(Snapshot, Changes)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.changes.is_empty() {
            return None;
        }
        let changes = std::mem::take(&mut waiting.changes);
        Some((waiting.snapshot.clone(), changes))
    }
}

/// Now, as the SOA's serial number: seconds since 1970.
#[must_use]
pub fn serial_now() -> u32 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    // It wraps in 2106, as serial numbers do (RFC 1982).
    u32::try_from(since.as_secs() & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use model::ObjectName;

    use super::*;

    fn of_service(name: &str) -> Changes {
        Changes { services: [ObjectName::new("shop", name)].into(), ..Changes::default() }
    }

    #[test]
    fn what_is_not_taken_at_once_is_taken_together() {
        let feed = ZoneFeed::default();
        feed.publish(&Snapshot::default(), &of_service("web"));
        assert_eq!(feed.take().now_or_never().map(|(_, taken)| taken), Some(of_service("web")));
        assert!(feed.take().now_or_never().is_none(), "it is taken once");
        for changes in [
            Changes { namespaces: ["shop".into()].into(), ..Changes::default() },
            Changes { pods: [ObjectName::new("shop", "web-1")].into(), ..Changes::default() },
            Changes { service_cidrs: true, ..Changes::default() },
            Changes { synced: true, ..Changes::default() },
        ] {
            feed.publish(&Snapshot::default(), &changes);
        }
        let (_, taken) = feed.take().now_or_never().unwrap();
        let Changes { services, nodes, namespaces, pods, service_cidrs, network_policies, synced } = taken;
        assert!(services.is_empty() && nodes.is_empty() && network_policies.is_empty());
        assert_eq!((namespaces.len(), pods.len(), service_cidrs, synced), (1, 1, true, true));
    }

    #[test]
    fn each_change_alone_is_a_reason_to_look_but_one_of_a_node() {
        for (changes, is_reason) in [
            (of_service("web"), true),
            (Changes { namespaces: ["shop".into()].into(), ..Changes::default() }, true),
            (Changes { service_cidrs: true, ..Changes::default() }, true),
            (Changes { synced: true, ..Changes::default() }, true),
            (Changes { nodes: ["node-1".into()].into(), ..Changes::default() }, false),
        ] {
            let feed = ZoneFeed::default();
            feed.publish(&Snapshot::default(), &changes);
            assert_eq!(feed.take().now_or_never().is_some(), is_reason, "{changes:?}");
        }
    }
}
