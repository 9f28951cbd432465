//! Keeps a DNS child serving: holds the sockets, feeds the zone, starts another child when one ends or hangs.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::dns::config::DnsConfig;
use ::dns::feed::{FromChild, Setup, ToChild, Update};
use ::dns::metrics::Counters;
use ::dns::record;
use ::dns::server::{Sockets, bind};
use hickory_proto::rr::Name;
use model::{ClusterDns, LocalDns, Snapshot};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::addresses;
use super::handover::{self, Predecessor};
use super::prober::{self, Health};
use super::process::{Heard, Process, ProcessError};
use super::settings::OwnAddrs;
use super::upstreams;
use super::zone_feed::{ZoneFeed, serial_now};

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
/// How long a child that serves has at least before it is said to hang.
const HANG_TIME: Duration = Duration::from_secs(3);
/// Questions in a row without an answer after which a child is ended: it hangs.
const HANGS: u32 = 12;
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
    /// Where upstreams of a file are.
    pub upstreams: Vec<SocketAddr>,
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
    let is_served = predecessors.iter().any(|p| p.sockets.as_ref().is_some_and(|s| are_wanted(&config, s)));
    let here =
        LocalDns { vips: config.vips.clone(), listeners: config.listen.clone(), is_healthy: is_served };
    let (here_sender, here) = watch::channel(Some(here));
    let (state_sender, state) = watch::channel(DnsState::default());
    let (counters, questions) = mpsc::channel(4);
    let state_dir = config.state_dir.clone();
    let supervisor = Supervisor {
        own: OwnAddrs { listen: config.listen.clone(), service: Vec::new() },
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

/// What the supervisor holds for its children.
struct Held {
    sockets: Sockets,
    /// Where they are bound: what of the addresses wanted can be had.
    addrs: Vec<SocketAddr>,
    listener: UnixListener,
    upstreams: Option<watch::Receiver<Vec<SocketAddr>>>,
    health: watch::Receiver<Health>,
    /// Children of daemons before, that serve until ours does.
    predecessors: Vec<Predecessor>,
}

impl Supervisor {
    async fn run(mut self, mut predecessors: Vec<Predecessor>) {
        let mut held = loop {
            match self.prepare(std::mem::take(&mut predecessors)).await {
                Ok(held) => break held,
                Err(problem) => {
                    tracing::error!(
                        "cluster DNS is not served: {problem}: trying again every {} s",
                        BIND_RETRY.as_secs()
                    );
                    self.state.send_modify(|state| state.problem = Some(problem));
                    self.here.send_replace(None);
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

    /// Sockets: those of the daemon before, if they are what is wanted, else new ones.
    async fn prepare(&self, mut predecessors: Vec<Predecessor>) -> Result<Held, String> {
        let state_dir = &self.config.state_dir;
        let wanted: BTreeSet<IpAddr> = self.config.listen.iter().map(SocketAddr::ip).collect();
        if let Err(error) = addresses::put(state_dir, &wanted).await {
            // One family may be switched off on this node: the other is served.
            tracing::warn!(%error, "an address for DNS cannot be had");
        }
        let mut sockets = None;
        for predecessor in &mut predecessors {
            let offered = predecessor.sockets.take();
            if let Some(offered) = offered.filter(|offered| are_wanted(&self.config, offered)) {
                tracing::info!("taking over the sockets of the DNS process before");
                sockets.get_or_insert(offered);
            }
        }
        let is_served = sockets.is_some();
        let sockets = self.bind_missing(sockets.unwrap_or_default())?;
        let listener = handover::listen(state_dir).map_err(|(path, e)| format!("{}: {e}", path.display()))?;
        let upstreams = upstreams::file_of(&self.config.dns).map(|file| {
            let mut own = self.own.clone();
            own.service = match &self.config.vips {
                ClusterDns::Addrs(addrs) => addrs.clone(),
                ClusterDns::Auto => Vec::new(),
            };
            upstreams::follow(file, own)
        });
        let (health_sender, health) = watch::channel(Health { is_healthy: is_served, failures: 0 });
        if let Some(addr) = sockets.addrs().first() {
            tokio::spawn(prober::run(*addr, self.config.cluster_domain.clone(), health_sender));
        }
        let addrs = sockets.addrs();
        Ok(Held { sockets, addrs, listener, upstreams, health, predecessors })
    }

    /// Binds every address that can be had and is not bound already.
    fn bind_missing(&self, mut all: Sockets) -> Result<Sockets, String> {
        let present = all.addrs();
        let mut problem = String::new();
        for addr in self.config.listen.iter().filter(|addr| !present.contains(addr)) {
            match bind(&[*addr], self.config.workers) {
                Ok(sockets) => {
                    all.udp.extend(sockets.udp);
                    all.tcp.extend(sockets.tcp);
                }
                // A family that is switched off: the other one is served.
                Err(error) if is_missing(&error.source) => {
                    problem = error.to_string();
                    tracing::warn!("{error}");
                }
                // Half a server is worse than none: the Service's ordinary endpoints answer.
                Err(error) => return Err(error.to_string()),
            }
        }
        if all.udp.is_empty() { Err(problem) } else { Ok(all) }
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
        process.set_up(&setup, &held.sockets, &held.listener).await?;
        handover::note(&self.config.state_dir, process.pid());
        if let Some(upstreams) = &mut held.upstreams {
            let addrs = upstreams.borrow_and_update().clone();
            self.state.send_modify(|state| state.upstreams.clone_from(&addrs));
            process.send(&ToChild::Upstreams(addrs)).await?;
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
        let mut serves_since = None;
        loop {
            let health = *held.health.borrow_and_update();
            self.report(&snapshot, health, held);
            tokio::select! {
                heard = process.hear() => match heard {
                    Heard::Message(FromChild::Serving) => {
                        serves_since.get_or_insert_with(Instant::now);
                        self.is_serving(process, held).await;
                    }
                    Heard::Message(FromChild::Counters(counters)) => self.take_counters(*counters),
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
                    self.state.send_modify(|state| state.upstreams.clone_from(&changed));
                    process.send(&ToChild::Upstreams(changed)).await?;
                },
                Ok(()) = held.health.changed() => {
                    let failures = held.health.borrow().failures;
                    // Failures of the child before it are not its own.
                    let has_had_time = serves_since.is_some_and(|since| since.elapsed() > HANG_TIME);
                    if failures >= HANGS && has_had_time {
                        tracing::error!(count = failures, "the DNS process does not answer: it is ended");
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
        if let Err(error) = handover::promote(&self.config.state_dir)
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

    fn report(&self, snapshot: &Snapshot, health: Health, held: &Held) {
        let vips = self.config.vips.addrs(snapshot);
        self.state.send_if_modified(|state| {
            let differs = state.is_healthy != health.is_healthy || state.vips != vips;
            if state.is_healthy != health.is_healthy {
                if health.is_healthy {
                    tracing::info!("the node's DNS server answers");
                } else {
                    tracing::warn!("the node's DNS server does not answer: the Service's endpoints are asked, where there are any");
                }
            }
            state.is_healthy = health.is_healthy;
            state.vips = vips;
            differs
        });
        let here = LocalDns {
            vips: self.config.vips.clone(),
            listeners: held.addrs.clone(),
            is_healthy: health.is_healthy,
        };
        self.here.send_if_modified(|known| {
            let differs = known.as_ref() != Some(&here);
            if differs {
                *known = Some(here);
            }
            differs
        });
    }
}

/// Whether sockets are bound to nothing but addresses wanted.
fn are_wanted(config: &NodeDnsConfig, offered: &Sockets) -> bool {
    let offered = offered.addrs();
    !offered.is_empty() && offered.iter().all(|addr| config.listen.contains(addr))
}

/// Whether the node lacks the address, or its whole family.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(nix::errno::Errno::EAFNOSUPPORT as i32)
}

/// Resolves when no child of a daemon before is alive, and the first list has had its time.
async fn nobody_else(predecessors: &mut [Predecessor], began: Instant) {
    for predecessor in predecessors {
        predecessor.gone().await;
    }
    sleep_until(began + FIRST_LIST).await;
}

/// The next change of the upstreams, if they are followed.
async fn followed(upstreams: &mut Option<watch::Receiver<Vec<SocketAddr>>>) -> Vec<SocketAddr> {
    if let Some(receiver) = upstreams {
        if receiver.changed().await.is_ok() {
            return receiver.borrow_and_update().clone();
        }
        *upstreams = None;
    }
    std::future::pending().await
}
