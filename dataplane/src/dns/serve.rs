//! `ferrule dns serve`: the DNS server alone, in one process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ::dns::config::{DnsConfig, Upstreams};
use ::dns::metrics::Metrics;
use ::dns::record;
use ::dns::server::{Phase, Resolver, bind, start};
use ::dns::zone::Zone;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use hickory_proto::rr::Name;
use model::{Kind, Store};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::watch;
use tokio::time::sleep;

use super::settings::{OwnAddrs, RESOLV_CONF, default_config, read_corefile, refuse_loops};
use super::upstreams;
use super::zone_feed::serial_now;
use crate::http;
use crate::signals::Signals;
use crate::source::{Source, SourceError, manifests};
use crate::start_error::StartError;

/// Threads that serve at most: each answers some 100,000 queries a second.
pub const MAX_WORKERS: usize = 4;

/// Open files that a server can have a use for.
const MAX_DESCRIPTORS: u64 = 65_536;

/// What `ferrule dns serve` is told.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// The folder of manifests.
    pub manifests: PathBuf,
    /// Where to listen.
    pub listen: Vec<SocketAddr>,
    /// A Corefile.
    pub corefile: Option<PathBuf>,
    /// The cluster's zone, where there is no Corefile.
    pub cluster_domain: Name,
}

/// How many threads serve here.
#[must_use]
pub fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MAX_WORKERS)
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
///
/// What stops the start.
pub async fn run(config: ServeConfig) -> Result<(), StartError> {
    let mut stop_signals = Signals::new()?;
    let dns = match &config.corefile {
        Some(path) => read_corefile(path)?,
        None => default_config(&config.cluster_domain, Upstreams::File(RESOLV_CONF.into())),
    };
    let own = OwnAddrs { listen: config.listen.clone(), service: Vec::new() };
    refuse_loops(&dns, &own)?;
    let (source, watch_source) = manifests::watch(config.manifests.clone()).map_err(|e| match e {
        SourceError::Folder { path, source } => StartError::Manifests { path, source },
    })?;
    raise_descriptors();
    let workers = workers();
    let sockets = bind(&config.listen, workers).map_err(StartError::DnsListen)?;

    let (zone_sender, zone) = watch::channel(Arc::new(Zone::default().called(&own.of_name_server())));
    let (phase_sender, phase) = watch::channel(Phase::Serving);
    let resolver = Resolver::new(&dns, zone.clone(), Arc::new(Metrics::default()));
    let resolver = Arc::new(resolver);
    follow_upstreams(&dns, &own, &resolver);
    let (ending, is_ending) = watch::channel(false);
    serve_health(&dns, &zone, &is_ending).await?;
    let threads = start(&resolver, sockets, workers, &phase).map_err(StartError::DnsServers)?;
    for addr in &config.listen {
        tracing::info!(%addr, "serving DNS");
    }
    tokio::spawn(watch_source);
    let keep_zone = tokio::spawn(keep_zone(dns.clone(), source, zone_sender));
    let watch_loops = tokio::spawn(async move { resolver.watch_for_loops().await });

    let name = stop_signals.next().await;
    tracing::info!(signal = name, "stopping: queries under way are answered first");
    // Whoever sends queries here learns of it first.
    ending.send_replace(true);
    sleep(dns.lameduck).await;
    phase_sender.send_replace(Phase::Draining);
    let joined =
        tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
    drop(joined.await);
    keep_zone.abort();
    watch_loops.abort();
    Ok(())
}

/// Every TCP client takes a descriptor, and the usual soft limit is for programs that call select(2).
fn raise_descriptors() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let wanted = hard.min(MAX_DESCRIPTORS);
        if soft < wanted { setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) } else { Ok(()) }
    });
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Keeps the zone as the source says.
async fn keep_zone(dns: DnsConfig, mut source: Source, sender: watch::Sender<Arc<Zone>>) {
    let mut store = Store::new(&Kind::ALL);
    while let Some(events) = source.events.recv().await {
        for event in events {
            store.apply(event);
        }
        let changes = store.take_changes();
        if changes.is_empty() {
            continue;
        }
        let snapshot = store.snapshot();
        let zone = sender.borrow().with(dns.needed(record::changed(&snapshot, &changes)), serial_now());
        let zone = if snapshot.synced.is_some() { zone.synced() } else { zone };
        if changes.synced {
            tracing::info!(count = zone.services(), "all Services are known");
        }
        sender.send_replace(Arc::new(zone));
    }
}

fn follow_upstreams(dns: &DnsConfig, own: &OwnAddrs, resolver: &Arc<Resolver>) {
    let files = upstreams::files_of(dns);
    if files.is_empty() {
        return;
    }
    let mut followed = upstreams::follow(files, own.clone());
    let resolver = Arc::clone(resolver);
    let take = move |followed: &mut watch::Receiver<upstreams::ByFile>| {
        for (file, addrs) in followed.borrow_and_update().iter() {
            resolver.set_file_upstreams(file, addrs);
        }
    };
    take(&mut followed);
    tokio::spawn(async move {
        while followed.changed().await.is_ok() {
            take(&mut followed);
        }
    });
}

/// CoreDNS's plugins `health` and `ready`.
async fn serve_health(
    dns: &DnsConfig,
    zone: &watch::Receiver<Arc<Zone>>,
    is_ending: &watch::Receiver<bool>,
) -> Result<(), StartError> {
    if let Some(addr) = dns.health {
        let is_ending = is_ending.clone();
        let answer = move || async move {
            if *is_ending.borrow() {
                (StatusCode::SERVICE_UNAVAILABLE, "ending")
            } else {
                (StatusCode::OK, "OK")
            }
        };
        http::start("Corefile health", addr, false, Router::new().route("/health", get(answer))).await?;
    }
    if let Some(addr) = dns.ready {
        let zone = zone.clone();
        let answer = move || async move {
            if zone.borrow().is_synced() {
                (StatusCode::OK, "OK")
            } else {
                (StatusCode::SERVICE_UNAVAILABLE, "kubernetes")
            }
        };
        http::start("Corefile ready", addr, false, Router::new().route("/ready", get(answer))).await?;
    }
    Ok(())
}
