//! Forwarding: a packet goes to an upstream as it came but for its id, and the answer comes back the same way, so that
//! nothing is lost in between (DNSSEC bits, EDNS options, unknown types).
//!
//! An upstream that fails `max_fails` times in a row is asked last. Once its pause is over, the next query goes to it
//! *beside* a healthy one, so that no client waits to find out. An upstream that keeps silent costs a query at most
//! `STAGGER`, not its timeout: the next one is asked meanwhile.

mod exchange;
mod upstream;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};

pub(crate) use self::exchange::RawQuery;
use self::upstream::Upstream;
use crate::config::{self, ForwardConfig, Policy};
use crate::message::Transport;
use crate::metrics::Metrics;

/// A query that takes longer is not answered any more (CoreDNS's limit).
const DEADLINE: Duration = Duration::from_secs(5);
/// How long one upstream is given (CoreDNS's read timeout).
const ATTEMPT: Duration = Duration::from_secs(2);
/// How long one upstream may be silent before another is asked too.
const STAGGER: Duration = Duration::from_millis(300);
/// The same if there is no other: a datagram may have been lost.
const RESEND: Duration = Duration::from_secs(1);
/// Every upstream is asked so often at most for one query.
const ROUNDS: usize = 2;

/// One `forward` plugin.
#[derive(Debug)]
pub(crate) struct Forwarder {
    config: ForwardConfig,
    upstreams: RwLock<Known>,
    next: AtomicUsize,
    permits: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

/// Whom to ask.
#[derive(Debug, Default)]
struct Known {
    /// As the configuration or its file has them.
    named: Vec<SocketAddr>,
    /// Addresses of this server: asking there would come back.
    own: Vec<SocketAddr>,
    /// The rest.
    asked: Arc<[Arc<Upstream>]>,
}

/// A place among the queries that are under way.
#[derive(Debug)]
pub(crate) struct Permit(#[expect(dead_code, reason = "its drop gives the place back")] OwnedSemaphorePermit);

/// The answer of one upstream.
struct Attempt {
    upstream: Arc<Upstream>,
    result: io::Result<Vec<u8>>,
}

impl Forwarder {
    pub(crate) fn new(config: ForwardConfig, metrics: Arc<Metrics>) -> Self {
        let forwarder = Self {
            permits: Arc::new(Semaphore::new(config.max_concurrent as usize)),
            upstreams: RwLock::default(),
            next: AtomicUsize::new(0),
            metrics,
            config,
        };
        if let config::Upstreams::Addrs(addrs) = &forwarder.config.upstreams {
            forwarder.set_upstreams(addrs);
        }
        forwarder
    }

    pub(crate) fn config(&self) -> &ForwardConfig {
        &self.config
    }

    /// Asks these from now on. What is known of one that stays is kept.
    pub(crate) fn set_upstreams(&self, addrs: &[SocketAddr]) {
        self.change(|known| known.named = addrs.to_vec());
    }

    /// Does not ask these from now on, whoever names them.
    pub(crate) fn leave_out(&self, own: &[SocketAddr]) {
        self.change(|known| known.own = own.to_vec());
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.upstreams.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut known);
        let Known { named, own, asked } = &*known;
        let of = |addr: &SocketAddr| asked.iter().find(|upstream| upstream.addr == *addr).cloned();
        let others = named.iter().filter(|addr| !own.contains(addr));
        known.asked = others.map(|addr| of(addr).unwrap_or_else(|| Arc::new(Upstream::new(*addr)))).collect();
    }

    pub(crate) fn upstreams(&self) -> Arc<[Arc<Upstream>]> {
        Arc::clone(&self.upstreams.read().unwrap_or_else(PoisonError::into_inner).asked)
    }

    /// The file that says whom to ask, if one does: [`Forwarder::set_upstreams`] is to be told.
    pub(crate) fn file(&self) -> Option<&Path> {
        match &self.config.upstreams {
            config::Upstreams::File(path) => Some(path),
            config::Upstreams::Addrs(_) => None,
        }
    }

    /// A place for a query, unless too many are under way.
    pub(crate) fn admit(&self) -> Option<Permit> {
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => Some(Permit(permit)),
            Err(_) => {
                self.metrics.forward_rejected();
                None
            }
        }
    }

    /// Asks upstreams until one answers, in the way in which the client asked. The answer has the query's id. `None` if
    /// none answered in time.
    pub(crate) async fn ask(&self, query: &RawQuery, transport: Transport) -> Option<Vec<u8>> {
        let first = match self.config.transport {
            config::Transport::AsAsked => transport,
            config::Transport::PreferUdp => Transport::Udp,
            config::Transport::ForceTcp => Transport::Tcp,
        };
        self.ask_from(query, first, transport == Transport::Tcp).await
    }

    /// The same over UDP, and over TCP for an answer that does not fit there.
    pub(crate) async fn ask_for_all(&self, query: &RawQuery) -> Option<Vec<u8>> {
        let first = match self.config.transport {
            config::Transport::AsAsked | config::Transport::PreferUdp => Transport::Udp,
            config::Transport::ForceTcp => Transport::Tcp,
        };
        self.ask_from(query, first, true).await
    }

    async fn ask_from(&self, query: &RawQuery, first: Transport, takes_all: bool) -> Option<Vec<u8>> {
        let began = Instant::now();
        let mut answer = self.ask_over(query, first).await;
        if takes_all && first == Transport::Udp && answer.as_deref().is_some_and(is_truncated) {
            answer = self.ask_over(query, Transport::Tcp).await;
        }
        self.metrics.forwarded(answer.is_some().then(|| began.elapsed()));
        answer
    }

    async fn ask_over(&self, query: &RawQuery, transport: Transport) -> Option<Vec<u8>> {
        let Plan { mut queue, beside, pause } = self.plan();
        let deadline = Instant::now() + DEADLINE;
        let mut under_way = FuturesUnordered::new();
        let start = async |upstream: Arc<Upstream>| {
            let result = match timeout(ATTEMPT, upstream.exchange(query, transport)).await {
                Ok(result) => result,
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            };
            Attempt { upstream, result }
        };
        if let Some(upstream) = beside {
            self.look_after(upstream, query.clone(), transport);
        }
        let mut asked: Vec<(Arc<Upstream>, Instant)> = Vec::new();
        if let Some(upstream) = queue.pop_front() {
            asked.push((Arc::clone(&upstream), Instant::now()));
            under_way.push(start(upstream));
        }
        let mut next_at = Instant::now() + pause;
        loop {
            if queue.is_empty() && under_way.is_empty() {
                return None;
            }
            tokio::select! {
                attempt = under_way.next(), if !under_way.is_empty() => match attempt {
                    Some(Attempt { upstream, result: Ok(answer) }) => {
                        upstream.answered();
                        // Whoever was overtaken after a fair time did not answer.
                        for (slow, since) in asked.iter().filter(|(other, _)| other.addr != upstream.addr) {
                            if since.elapsed() >= STAGGER {
                                slow.failed(self.config.max_fails);
                            }
                        }
                        return Some(answer);
                    }
                    Some(Attempt { upstream, result: Err(error) }) => {
                        tracing::debug!(upstream = %upstream.addr, %error, "an upstream did not answer");
                        upstream.failed(self.config.max_fails);
                        asked.retain(|(other, _)| other.addr != upstream.addr);
                        next_at = Instant::now();
                    }
                    None => return None,
                },
                () = sleep_until(next_at.min(deadline)), if !queue.is_empty() => {
                    if Instant::now() >= deadline {
                        return None;
                    }
                    if let Some(upstream) = queue.pop_front() {
                        asked.push((Arc::clone(&upstream), Instant::now()));
                        under_way.push(start(upstream));
                    }
                    next_at = Instant::now() + pause;
                }
                () = sleep_until(deadline) => return None,
            }
        }
    }

    /// Finds out whether an upstream has come back. Nobody waits for it.
    fn look_after(&self, upstream: Arc<Upstream>, query: RawQuery, transport: Transport) {
        let max_fails = self.config.max_fails;
        tokio::spawn(async move {
            match timeout(ATTEMPT, upstream.exchange(&query, transport)).await {
                Ok(Ok(_)) => upstream.answered(),
                Ok(Err(_)) | Err(_) => upstream.failed(max_fails),
            }
        });
    }

    fn plan(&self) -> Plan {
        let all = self.upstreams();
        let mut healthy: Vec<Arc<Upstream>> = Vec::with_capacity(all.len());
        let (mut resting, mut beside) = (Vec::new(), None);
        for upstream in all.iter().filter(|upstream| !upstream.is_looping()) {
            if upstream.is_healthy(self.config.max_fails) {
                healthy.push(Arc::clone(upstream));
            } else if beside.is_none() && upstream.take_turn() {
                beside = Some(Arc::clone(upstream));
            } else {
                resting.push(Arc::clone(upstream));
            }
        }
        if healthy.is_empty() {
            resting.extend(beside.take());
        }
        let count = healthy.len().max(1);
        match self.config.policy {
            Policy::Sequential => {}
            Policy::RoundRobin => healthy.rotate_left(self.next.fetch_add(1, Ordering::Relaxed) % count),
            Policy::Random => healthy.rotate_left(rand::random_range(0..count)),
        }
        let pause =
            if healthy.len() + resting.len() + usize::from(beside.is_some()) > 1 { STAGGER } else { RESEND };
        let order: Vec<Arc<Upstream>> = healthy.into_iter().chain(resting).collect();
        let queue = (0..ROUNDS).flat_map(|_| order.iter().cloned()).collect();
        Plan { queue, beside, pause }
    }
}

/// Whom to ask.
struct Plan {
    /// One after the other.
    queue: VecDeque<Arc<Upstream>>,
    /// One that failed before and may have come back: at once, and for its own sake.
    beside: Option<Arc<Upstream>>,
    /// How long to wait for one before asking the next.
    pause: Duration,
}

fn is_truncated(answer: &[u8]) -> bool {
    answer.get(2).is_some_and(|flags| flags & 0x02 != 0)
}
