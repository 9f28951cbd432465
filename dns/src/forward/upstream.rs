//! What is known of one upstream.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a failed upstream rests at first; each further failure doubles it.
const FIRST_REST: Duration = Duration::from_millis(500);
/// How long it rests at most (CoreDNS asks a failed one each 0.5 s; a query is dearer than its probe).
const LONGEST_REST: Duration = Duration::from_secs(8);

/// One upstream.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) addr: SocketAddr,
    health: Mutex<Health>,
    is_looping: AtomicBool,
}

#[derive(Debug, Default)]
struct Health {
    /// In a row.
    failures: u32,
    /// When it may be tried again, while it rests.
    rests_until: Option<Instant>,
    rest: Duration,
}

impl Upstream {
    pub(super) fn new(addr: SocketAddr) -> Self {
        Self { addr, health: Mutex::default(), is_looping: AtomicBool::new(false) }
    }

    pub(super) fn is_healthy(&self, max_fails: u32) -> bool {
        max_fails == 0 || self.health().failures < max_fails
    }

    /// Whether its rest is over; true once, then it rests again unless it answers.
    pub(super) fn take_turn(&self) -> bool {
        let mut health = self.health();
        let is_over = health.rests_until.is_none_or(|until| Instant::now() >= until);
        if is_over {
            health.rests_until = Some(Instant::now() + health.rest.max(FIRST_REST));
        }
        is_over
    }

    pub(super) fn answered(&self) {
        let mut health = self.health();
        if health.rests_until.is_some() {
            tracing::info!(upstream = %self.addr, "an upstream answers again");
        }
        *health = Health::default();
    }

    pub(super) fn failed(&self, max_fails: u32) {
        let mut health = self.health();
        health.failures = health.failures.saturating_add(1);
        if max_fails == 0 || health.failures < max_fails {
            return;
        }
        if health.rests_until.is_none() {
            tracing::warn!(upstream = %self.addr, count = health.failures, "an upstream does not answer: it is asked last");
        }
        health.rest = (health.rest * 2).clamp(FIRST_REST, LONGEST_REST);
        health.rests_until = Some(Instant::now() + health.rest);
    }

    /// Whether what it is sent comes back to this server.
    pub(crate) fn is_looping(&self) -> bool {
        self.is_looping.load(Ordering::Relaxed)
    }

    /// Whether that is news.
    pub(crate) fn set_looping(&self, is_looping: bool) -> bool {
        self.is_looping.swap(is_looping, Ordering::Relaxed) != is_looping
    }

    fn health(&self) -> std::sync::MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
