//! Loops: an upstream that asks us in turn. A question that nobody else would ask is sent through each upstream; if it
//! comes in here, what that upstream is sent comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use tokio::time::{Instant, sleep_until, timeout};

use crate::forward::{Forwarder, RawQuery};
use crate::message::{MAX_FORWARDED_BYTES, Transport};

/// How long a probe may be on its way.
const PROBE: Duration = Duration::from_secs(2);
/// Between looks at which upstreams there are.
const LOOK: Duration = Duration::from_secs(1);
/// Between probes of the same upstreams. A loop that was closed by somebody's later change is found, too.
const AGAIN: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub(super) struct LoopProbe {
    /// Two labels of the probe's name: 128 bits that nobody guesses.
    secret: [String; 2],
    came_back: AtomicBool,
}

impl LoopProbe {
    pub(super) fn new() -> Self {
        Self {
            secret: [rand::random::<u64>().to_string(), rand::random::<u64>().to_string()],
            came_back: AtomicBool::new(false),
        }
    }

    /// Whether the name is a probe of ours. Below the two labels are the numbers of forwarder and upstream.
    pub(super) fn is_ours(&self, name: &Name) -> bool {
        let [first, second] = &self.secret;
        name.num_labels() == 4 && name.iter().skip(2).eq([first.as_bytes(), second.as_bytes()])
    }

    /// Marks the upstream that a probe went through.
    pub(super) fn came_back(&self, name: &Name, forwarders: impl Fn() -> Vec<Arc<Forwarder>>) {
        let number =
            |label: &[u8]| std::str::from_utf8(label).ok().and_then(|text| text.parse::<usize>().ok());
        let mut numbers = name.iter().map(number);
        let (Some(Some(upstream)), Some(Some(forwarder))) = (numbers.next(), numbers.next()) else { return };
        let Some(forwarder) = forwarders().get(forwarder).cloned() else { return };
        if let Some(upstream) = forwarder.upstreams().get(upstream)
            && upstream.set_looping(true)
        {
            tracing::error!(
                upstream = %upstream.addr,
                "queries that are forwarded there come back to this server: it is not asked; name another upstream"
            );
        }
        self.came_back.store(true, Ordering::Relaxed);
    }

    /// Probes, for ever.
    pub(super) async fn run(&self, forwarders: impl Fn() -> Vec<Arc<Forwarder>>) {
        let mut probed = Vec::new();
        let mut again_at = Instant::now();
        loop {
            let all = forwarders();
            let addrs: Vec<_> =
                all.iter().map(|f| f.upstreams().iter().map(|u| u.addr).collect::<Vec<_>>()).collect();
            if addrs != probed || Instant::now() >= again_at {
                self.probe_all(&all).await;
                probed = addrs;
                again_at = Instant::now() + AGAIN;
            }
            sleep_until(Instant::now() + LOOK).await;
        }
    }

    async fn probe_all(&self, forwarders: &[Arc<Forwarder>]) {
        for (i, forwarder) in forwarders.iter().enumerate() {
            for (j, upstream) in forwarder.upstreams().iter().enumerate() {
                let Some(query) = self.query(i, j) else { continue };
                self.came_back.store(false, Ordering::Relaxed);
                let exchanged = timeout(PROBE, upstream.exchange(&query, Transport::Udp)).await;
                let is_looping = self.came_back.load(Ordering::Relaxed);
                // Silence says nothing: a loop that was found stays until an answer came another way.
                if matches!(exchanged, Ok(Ok(_))) && !is_looping && upstream.set_looping(false) {
                    tracing::info!(upstream = %upstream.addr, "queries do not come back any more: it is asked again");
                }
            }
        }
    }

    fn query(&self, forwarder: usize, upstream: usize) -> Option<RawQuery> {
        let [first, second] = &self.secret;
        let labels = [upstream.to_string(), forwarder.to_string(), first.clone(), second.clone()];
        let mut name = Name::from_labels(labels.iter().map(String::as_bytes)).ok()?;
        name.set_fqdn(true);
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(name, RecordType::HINFO));
        RawQuery::new(&message.to_vec().ok()?, MAX_FORWARDED_BYTES)
    }
}
