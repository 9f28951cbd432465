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
        let all = &mut waiting.changes;
        all.services.extend(changes.services.iter().cloned());
        all.namespaces.extend(changes.namespaces.iter().cloned());
        all.pods.extend(changes.pods.iter().cloned());
        all.synced |= changes.synced;
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
