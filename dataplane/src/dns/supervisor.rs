//! Keeps a DNS child serving: holds the sockets, feeds the zone, starts another child when one ends or hangs.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::dns::config::DnsConfig;
use ::dns::feed::{FromChild, Setup, ToChild, Update};
use ::dns::metrics::Counters;
use ::dns::record;
use hickory_proto::rr::Name;
use model::{ClusterDns, LocalDns, Snapshot};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use self::held::{Held, wanted_of};
use super::addresses;
use super::handover::{self, Predecessor};
use super::prober::Health;
use super::process::{Heard, Process, ProcessError};
use super::settings::OwnAddrs;
use super::silent;
use super::upstreams::{self, ByFile};
use super::zone_feed::{ZoneFeed, serial_now};

mod held;

/// Between tries to get addresses that are taken.
const BIND_RETRY: Duration = Duration::from_secs(5);
/// So many children in a row are replaced at once; those after them wait, longer and longer, until one lives for
/// [`LONG_LIFE`].
const AT_ONCE: u32 = 8;
/// See [`AT_ONCE`].
const LONG_LIFE: Duration = Duration::from_secs(10);
/// The first wait of a child that is not replaced at once.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long queries wait for the first list: clients ask again after five seconds.
const FIRST_LIST: Duration = Duration::from_secs(2);
/// Rounds of questions in a row without an answer after which a child is ended that does not answer the daemon either: it
/// hangs, within a second.
const MUTE_HANGS: u32 = 3;
/// The same for one that does: it may be that clients ask more than it can answer.
const BUSY_HANGS: u32 = 12;
/// How long a child may take to answer the daemon: it does nothing else in that thread than to change the zone.
const MUTE: Duration = Duration::from_millis(400);
/// Of so many questions in a row without an answer each first one is a reason to look for the addresses: somebody may have
/// taken one from `lo`.
const PUT_BACK: u32 = 4;
/// How long whoever asks for counters waits.
const ANSWER: Duration = Duration::from_millis(500);
/// Between looks at the child's counters.
const COUNT: Duration = Duration::from_secs(5);
/// Bytes of memory that the child may have.
pub const CHILD_MEMORY_BYTES: u64 = 512 << 20;

/// What DNS on this node is told.
#[derive(Clone, Debug)]
pub struct NodeDnsConfig {
    /// What is served.
    pub dns: DnsConfig,
    /// The cluster's zone: the server is asked for it to see whether it answers.
    pub cluster_domain: Name,
    /// The cluster DNS addresses.
    pub vips: ClusterDns,
    /// Where to listen.
    pub listen: Vec<SocketAddr>,
    /// Where sockets are handed over and addresses are written down.
    pub state_dir: PathBuf,
    /// Threads that serve.
    pub workers: usize,
    /// Arguments that make this program a child.
    pub child_args: Vec<OsString>,
}

/// How DNS on this node is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsState {
    /// The child's process id, while it serves.
    pub child: Option<u32>,
    /// Children started since the daemon was.
    pub starts: u64,
    /// Whether the server answers.
    pub is_healthy: bool,
    /// Why nothing is served.
    pub problem: Option<String>,
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// What pods call the server.
    pub vips: Vec<IpAddr>,
    /// Where names outside the cluster are asked.
    pub upstreams: BTreeSet<SocketAddr>,
}

/// The ends that others hold.
#[derive(Clone, Debug)]
pub struct NodeDns {
    /// For the sync loop: where the node's server is.
    pub here: watch::Receiver<Option<LocalDns>>,
    /// For reports.
    pub state: watch::Receiver<DnsState>,
    /// From the sync loop.
    pub feed: Arc<ZoneFeed>,
    counters: mpsc::Sender<oneshot::Sender<Counters>>,
    /// Where addresses that were put on `lo` are written down.
    pub state_dir: PathBuf,
}

impl NodeDns {
    /// What children counted since the daemon started.
    pub async fn counters(&self) -> Option<Counters> {
        let (sender, receiver) = oneshot::channel();
        // Nobody waits behind a supervisor that has no child to ask.
        self.counters.try_send(sender).ok()?;
        timeout(ANSWER, receiver).await.ok()?.ok()
    }
}

/// Starts DNS. What stands in its way is logged, told in the state, and tried again: load balancing goes on without.
pub async fn start(config: NodeDnsConfig) -> NodeDns {
    let feed = Arc::new(ZoneFeed::default());
    let predecessors = Predecessor::find(&config.state_dir).await;
    // A child of the daemon before answers: pods go on asking it. Without one they are sent here once ours does.
    let offered = predecessors.iter().filter_map(|p| p.sockets.as_ref());
    let served = offered.map(|sockets| wanted_of(&config, sockets)).find(|addrs| !addrs.is_empty());
    let here = LocalDns {
        vips: config.vips.clone(),
        is_healthy: served.is_some(),
        listeners: served.unwrap_or_else(|| config.listen.clone()),
    };
    let (here_sender, here) = watch::channel(Some(here));
    let (state_sender, state) = watch::channel(DnsState::default());
    let (counters, questions) = mpsc::channel(4);
    let state_dir = config.state_dir.clone();
    let supervisor = Supervisor {
        own: OwnAddrs {
            listen: config.listen.clone(),
            service: match &config.vips {
                ClusterDns::Addrs(addrs) => addrs.clone(),
                ClusterDns::Auto => Vec::new(),
            },
        },
        config,
        feed: Arc::clone(&feed),
        here: here_sender,
        state: state_sender,
        questions,
        asked: Vec::new(),
        counted: Counters::default(),
        counted_before: Counters::default(),
    };
    tokio::spawn(supervisor.run(predecessors));
    NodeDns { here, state, feed, counters, state_dir }
}

struct Supervisor {
    config: NodeDnsConfig,
    own: OwnAddrs,
    feed: Arc<ZoneFeed>,
    here: watch::Sender<Option<LocalDns>>,
    state: watch::Sender<DnsState>,
    questions: mpsc::Receiver<oneshot::Sender<Counters>>,
    /// Who waits for the child's counters.
    asked: Vec<oneshot::Sender<Counters>>,
    /// Of the child that serves.
    counted: Counters,
    /// Of those before it.
    counted_before: Counters,
}

impl Supervisor {
    async fn run(mut self, mut predecessors: Vec<Predecessor>) {
        let mut held = loop {
            match Held::prepare(&self.config, &self.own, std::mem::take(&mut predecessors)).await {
                Ok(held) => break held,
                Err(problem) => {
                    tracing::error!(
                        "cluster DNS is not served: {problem}: trying again every {} s",
                        BIND_RETRY.as_secs()
                    );
                    self.state.send_modify(|state| state.problem = Some(problem));
                    self.here.send_replace(Some(silent(self.config.listen.clone())));
                    sleep(BIND_RETRY).await;
                    while self.questions.try_recv().is_ok() {}
                    predecessors = Predecessor::find(&self.config.state_dir).await;
                }
            }
        };
        self.state.send_modify(|state| {
            state.problem = None;
            state.listen.clone_from(&held.addrs);
        });
        let mut short_lives = 0_u32;
        loop {
            let began = Instant::now();
            let ended = self.run_child(&mut held).await;
            self.asked.clear();
            self.counted_before = self.counted_before.plus(&std::mem::take(&mut self.counted));
            self.state.send_modify(|state| state.child = None);
            tracing::error!(reason = ended, "the DNS process ended: starting another");
            short_lives = if began.elapsed() > LONG_LIFE { 1 } else { short_lives.saturating_add(1) };
            if let Some(late) = short_lives.checked_sub(AT_ONCE + 1) {
                sleep((FIRST_PAUSE * 2_u32.saturating_pow(late.min(8))).min(LONGEST_PAUSE)).await;
            }
        }
    }

    /// One child from its start to its end; why it ended.
    async fn run_child(&mut self, held: &mut Held) -> String {
        let mut process = match Process::start(&self.config.child_args) {
            Ok(process) => process,
            Err(error) => return error.to_string(),
        };
        match self.serve(&mut process, held).await {
            Ok(ended) => ended,
            Err(error) => {
                process.end().await;
                error.to_string()
            }
        }
    }

    async fn serve(&mut self, process: &mut Process, held: &mut Held) -> Result<String, ProcessError> {
        let setup = Setup { config: self.config.dns.clone(), workers: self.config.workers };
        process.set_up(&setup, &held.sockets, held.listener.as_ref()).await?;
        if held.listener.is_some() {
            handover::note(&self.config.state_dir, process.pid());
        }
        if let Some(upstreams) = &mut held.upstreams {
            let files = upstreams.borrow_and_update().clone();
            process.send(&ToChild::Upstreams(files)).await?;
        }
        let mut snapshot = self.feed.current();
        self.send_all(process, &snapshot).await?;
        // A child of the daemon before knows more than nothing: it goes on until ours knows everything. Without one queries
        // wait in the sockets for the first list, if that does not take too long.
        let is_first_list_seen = snapshot.revision.0 > 0;
        let mut is_told_to_serve =
            snapshot.synced.is_some() || (held.predecessors.is_empty() && is_first_list_seen);
        if is_told_to_serve {
            process.send(&ToChild::Serve).await?;
        }
        let mut count = interval(COUNT);
        count.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let began = Instant::now();
        let (mut serves, mut silent_rounds) = (false, 0);
        // Since when an answer to the daemon is missing.
        let mut mute_since: Option<Instant> = None;
        loop {
            let health = held.health.borrow_and_update().clone();
            self.report(&snapshot, &health, held);
            tokio::select! {
                heard = process.hear() => match heard {
                    Heard::Message(FromChild::Serving) => {
                        serves = true;
                        self.is_serving(process, held).await;
                    }
                    Heard::Message(FromChild::Counters(counters)) => {
                        mute_since = None;
                        self.take_counters(*counters);
                    }
                    Heard::Message(FromChild::Sockets { .. }) => {}
                    Heard::Ended(reason) => return Ok(reason),
                },
                (newer, changes) = self.feed.take() => {
                    let changed = self.config.dns.needed(record::changed(&newer, &changes));
                    snapshot = newer;
                    process.update(changed, self.update(&snapshot)).await?;
                    if !is_told_to_serve && (snapshot.synced.is_some() || held.predecessors.is_empty()) {
                        is_told_to_serve = true;
                        process.send(&ToChild::Serve).await?;
                    }
                },
                changed = followed(&mut held.upstreams) => {
                    process.send(&ToChild::Upstreams(changed)).await?;
                },
                Ok(()) = held.health.changed() => {
                    let health = held.health.borrow().clone();
                    if health.failures() % PUT_BACK == 1 {
                        self.put_back().await;
                    }
                    // Failures of the child before it are not its own.
                    silent_rounds = if serves { health.silent_rounds().min(silent_rounds + 1) } else { 0 };
                    if silent_rounds == 1 {
                        mute_since.get_or_insert_with(Instant::now);
                        process.send(&ToChild::Count).await?;
                    }
                    let is_mute = mute_since.is_some_and(|since| since.elapsed() >= MUTE);
                    if silent_rounds >= if is_mute { MUTE_HANGS } else { BUSY_HANGS } {
                        tracing::error!(count = silent_rounds, "the DNS process does not answer: it is ended");
                        return Ok(process.end().await);
                    }
                },
                () = nobody_else(&mut held.predecessors, began), if !is_told_to_serve => {
                    is_told_to_serve = true;
                    process.send(&ToChild::Serve).await?;
                },
                Some(asked) = self.questions.recv() => {
                    self.asked.push(asked);
                    process.send(&ToChild::Count).await?;
                },
                _ = count.tick() => process.send(&ToChild::Count).await?,
            }
        }
    }

    async fn send_all(&self, process: &Process, snapshot: &Snapshot) -> Result<(), ProcessError> {
        process.update(self.config.dns.needed(record::all(snapshot)), self.update(snapshot)).await
    }

    fn update(&self, snapshot: &Snapshot) -> Update {
        Update {
            changes: Vec::new(),
            serial: serial_now(),
            service_addrs: self.config.vips.addrs(snapshot),
            is_synced: snapshot.synced.is_some(),
        }
    }

    /// Ours serves: those before it are not needed any more.
    async fn is_serving(&mut self, process: &Process, held: &mut Held) {
        for predecessor in held.predecessors.drain(..) {
            predecessor.drain().await;
        }
        if held.listener.is_some()
            && let Err(error) = handover::promote(&self.config.state_dir)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the next daemon may not find the DNS process");
        }
        self.state.send_modify(|state| {
            state.child = process.pid();
            state.starts += 1;
        });
        tracing::info!(pid = process.pid(), "the DNS process serves");
    }

    fn take_counters(&mut self, counters: Counters) {
        self.counted = counters;
        let all = self.counted_before.plus(&self.counted);
        for asked in self.asked.drain(..) {
            // Who asked may be gone.
            drop(asked.send(all.clone()));
        }
    }

    /// Sends queries where the server answers. Where it answers nowhere it keeps its addresses: queries wait there.
    fn report(&self, snapshot: &Snapshot, health: &Health, held: &Held) {
        let vips = self.config.vips.addrs(snapshot);
        let (answering, silent) = (health.healthy(), health.unhealthy());
        let is_healthy = !answering.is_empty();
        let (own, upstreams) = self.upstreams(&vips, held);
        let silence = (is_healthy && !silent.is_empty()).then(|| {
            format!("no answer at {}: clients of that family ask the Service's endpoints", listed(&silent))
        });
        // What is refused at the start where it is known then.
        let circle = (!own.is_empty())
            .then(|| format!("upstream {} is the cluster DNS address: it is not asked", listed(&own)));
        let problems: Vec<String> = silence.into_iter().chain(circle).collect();
        let problem = (!problems.is_empty()).then(|| problems.join("; "));
        self.state.send_if_modified(|state| {
            let before = state.clone();
            if state.is_healthy != is_healthy {
                if is_healthy {
                    tracing::info!("the node's DNS server answers");
                } else {
                    tracing::warn!("the node's DNS server does not answer: the Service's endpoints are asked, where there are any");
                }
            }
            if let Some(problem) = problem.as_ref().filter(|problem| state.problem.as_ref() != Some(*problem)) {
                tracing::warn!("cluster DNS: {problem}");
            }
            state.is_healthy = is_healthy;
            state.vips = vips;
            state.upstreams = upstreams;
            state.problem = problem;
            *state != before
        });
        let here = LocalDns {
            vips: self.config.vips.clone(),
            listeners: if is_healthy { answering } else { held.addrs.clone() },
            is_healthy,
        };
        self.here.send_if_modified(|known| {
            let differs = known.as_ref() != Some(&here);
            if differs {
                *known = Some(here);
            }
            differs
        });
    }

    /// Upstreams that are this server by its cluster DNS addresses, and the others.
    fn upstreams(&self, vips: &[IpAddr], held: &Held) -> (BTreeSet<SocketAddr>, BTreeSet<SocketAddr>) {
        let mut all = upstreams::addrs_of(&self.config.dns);
        if let Some(followed) = &held.upstreams {
            all.extend(followed.borrow().values().flatten());
        }
        all.into_iter().partition(|addr| addr.port() == 53 && vips.contains(&addr.ip()))
    }

    /// Addresses that somebody took from `lo`, back in their place.
    async fn put_back(&self) {
        let wanted = self.config.listen.iter().map(SocketAddr::ip).collect();
        match addresses::put(&self.config.state_dir, &wanted).await {
            Ok(added) => {
                for addr in added {
                    tracing::warn!(%addr, "an address of the DNS server was gone from lo: it is put back");
                }
            }
            // A family that is switched off stays so, and was told of at the start.
            Err(error) => tracing::debug!(%error, "an address for DNS cannot be had"),
        }
    }
}

fn listed<'a>(addrs: impl IntoIterator<Item = &'a SocketAddr>) -> String {
    addrs.into_iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ")
}

/// Resolves when no child of a daemon before is alive, and the first list has had its time.
async fn nobody_else(predecessors: &mut [Predecessor], began: Instant) {
    for predecessor in predecessors {
        predecessor.gone().await;
    }
    sleep_until(began + FIRST_LIST).await;
}

/// The next change of the upstreams, if they are followed.
async fn followed(upstreams: &mut Option<watch::Receiver<ByFile>>) -> ByFile {
    if let Some(receiver) = upstreams {
        if receiver.changed().await.is_ok() {
            return receiver.borrow_and_update().clone();
        }
        *upstreams = None;
    }
    std::future::pending().await
}
