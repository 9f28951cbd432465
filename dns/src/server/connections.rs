//! The TCP connections of a process: a bound on their number, and whom to close when it is reached.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

/// Connections at once. Each costs a descriptor and some 1 KiB while it is idle.
pub(super) const MAX_CONNECTIONS: usize = 4096;

/// All open connections.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    next: AtomicU64,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Connection {
    id: u64,
    /// Since when it does nothing: milliseconds since it was opened; `u64::MAX` while a query is under way.
    idle_since_ms: AtomicU64,
    opened: Instant,
    closing: Notify,
}

/// Its owner's end: gone from the list when dropped.
#[derive(Debug)]
pub(super) struct Guard {
    connections: Arc<Connections>,
    connection: Arc<Connection>,
}

impl Connections {
    /// Adds a connection. If there are too many, the one that has been idle for the longest time is told to close; if
    /// none is idle there is no room.
    pub(super) fn open(self: &Arc<Self>) -> Option<Guard> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= MAX_CONNECTIONS {
            let now = Instant::now();
            let idlest =
                open.values().filter_map(|c| Some((c.idle_ms(now)?, c))).max_by_key(|(idle, _)| *idle);
            let id = idlest.map(|(_, connection)| {
                connection.closing.notify_one();
                connection.id
            })?;
            open.remove(&id);
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection {
            id,
            idle_since_ms: AtomicU64::new(0),
            opened: Instant::now(),
            closing: Notify::new(),
        });
        open.insert(id, Arc::clone(&connection));
        Some(Guard { connections: Arc::clone(self), connection })
    }
}

impl Connection {
    fn idle_ms(&self, now: Instant) -> Option<u64> {
        let since = self.idle_since_ms.load(Ordering::Relaxed);
        (since != u64::MAX).then(|| millis(now - self.opened).saturating_sub(since))
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX - 1)
}

impl Guard {
    /// A query is under way.
    pub(super) fn busy(&self) {
        self.connection.idle_since_ms.store(u64::MAX, Ordering::Relaxed);
    }

    /// None is.
    pub(super) fn idle(&self) {
        self.connection.idle_since_ms.store(millis(self.connection.opened.elapsed()), Ordering::Relaxed);
    }

    /// Resolves when the connection is to make room.
    pub(super) async fn closing(&self) {
        self.connection.closing.notified().await;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&self.connection.id);
    }
}
