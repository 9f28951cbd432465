//! Wiring: which task owns what, which channel goes where, and the order of start and end.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use crate::cgroups::watch_pods;
use crate::cleanup::{self, Cleaned};
use crate::config::Config;
use crate::dns::{self, supervisor};
use crate::health::{self, HealthState};
use crate::kernel::KernelError;
use crate::kernel::real::{Lock, Real, RealConfig};
use crate::metrics::{self, Metrics};
use crate::netlink::watch_network;
use crate::signals::Signals;
use crate::source::{SourceError, manifests};
use crate::start_error::StartError;
use crate::sync::core::Core;
use crate::sync::{Ends, Facts, Pace, SyncLoop};
use crate::{admin, events, http};

/// How long the lock of a daemon that is ending is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// Between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Questions that may wait for the loop.
const QUERIES: usize = 16;

/// Runs the daemon until SIGTERM or SIGINT. What it wrote stays in force.
///
/// # Errors
///
/// What stops the start. Nothing in force is touched by a start that fails.
pub async fn run(config: Config) -> Result<(), StartError> {
    let mut stop_signals = Signals::new()?;
    // The lock comes first: a second daemon must not take the sockets of the first. Then everything that can be refused,
    // so that a refused start leaves no maps behind.
    let lock = lock(&config.bpf_root).await?;
    let (source, watch_source) = manifests::watch(config.manifests.clone()).map_err(|e| match e {
        SourceError::Folder { path, source } => StartError::Manifests { path, source },
    })?;
    let (network, watch_network) = watch_network().await.map_err(StartError::Netlink)?;

    let (queries, query_receiver) = mpsc::channel(QUERIES);
    let (health_sender, health_receiver) = watch::channel(HealthState::default());
    let (stop, stop_receiver) = watch::channel(false);
    let metrics = Arc::new(Metrics::default());
    let hard = config.bind_hard_fail;
    let dns_for_metrics = Arc::new(OnceLock::new());
    if let Some(addr) = config.healthz_bind {
        let router = health::router(health_receiver, Arc::clone(&metrics));
        http::start("health", addr, hard, router).await?;
    }
    if let Some(addr) = config.metrics_bind {
        let router = metrics::router(Arc::clone(&metrics), queries.clone(), Arc::clone(&dns_for_metrics));
        http::start("metrics", addr, hard, router).await?;
    }
    let admin_socket = admin::bind(&config.state_dir)?;

    let kernel = Real::open(
        lock,
        &RealConfig {
            cgroup_root: config.cgroup_root.clone(),
            limits: config.limits.clone(),
            socket_entries: config.socket_entries,
        },
    )?;
    let maps_at_start = kernel.start();
    let socket_entries = kernel.socket_entries()?;
    let flows = Arc::new(kernel.flows()?);
    let (drops, read_drops) = events::read(kernel.events()?);
    let mut core = Core::new(kernel, &config.node_name)?;
    core.set_uplinks(config.uplinks.clone());
    let (cgroups, watch_cgroups) = watch_pods(config.cgroup_root.clone());
    // After the lock and the admin socket: no other daemon has this state directory.
    let dns = match config.dns.clone() {
        Some(dns) => Some(supervisor::start(dns).await),
        None => {
            // It may have been on before: what then answered must not go on with a zone that nobody changes, and is no
            // backend of a former run that is kept.
            core.set_dns(dns::silent_at(&config.state_dir));
            match cleanup::run_dns(&config.state_dir).await {
                Ok(Cleaned::Removed) => {
                    tracing::info!("DNS is off: the DNS process and its addresses were removed")
                }
                Ok(Cleaned::Nothing) => {}
                Err(error) => tracing::warn!(%error, "DNS is off, and what served it cannot be removed"),
            }
            None
        }
    };
    if let Some(dns) = &dns {
        // It is set nowhere else.
        let _ = dns_for_metrics.set(dns.clone());
    }
    tokio::spawn(admin::serve(
        admin_socket,
        admin::Ends { queries, dns: dns.clone(), drops, flows, metrics: Arc::clone(&metrics) },
    ));
    let read_drops = tokio::spawn(read_drops);
    tokio::spawn(watch_source);
    tokio::spawn(watch_network);
    tokio::spawn(watch_cgroups);

    tracing::info!(
        node = %config.node_name,
        maps = maps_at_start.as_str(),
        cgroup = %config.cgroup_root.display(),
        "started"
    );
    let ends = Ends {
        source,
        network,
        cgroups,
        dns,
        queries: query_receiver,
        health: health_sender,
        metrics,
        stop: stop_receiver,
    };
    let facts = Facts {
        maps_at_start,
        manifests: config.manifests.display().to_string(),
        pins: format!("{}/ferrule/{}", config.bpf_root.display(), abi::LAYOUT_VERSION),
        socket_entries,
    };
    let pace = Pace {
        min_period: config.min_sync_period,
        audit_period: config.audit_period,
        retry_first: config.retry_first,
        retry_last: config.retry_last,
    };
    let mut sync = tokio::spawn(SyncLoop::new(core, ends, facts, pace).run());
    tokio::select! {
        name = stop_signals.next() => tracing::info!(signal = name, "stopping: what is in the kernel stays in force"),
        // The loop ends only when told to; a panic in it must not leave a daemon that answers and does nothing.
        _ = &mut sync => return Err(StartError::LoopEnded),
    }
    stop.send_replace(true);
    // A round that is being written is finished first.
    let _ = sync.await;
    // Its end tells the programs that nobody reads their events.
    read_drops.abort();
    let _ = read_drops.await;
    Ok(())
}

/// Takes the bpf-root's lock. A daemon that was just killed may hold it for a moment more.
async fn lock(bpf_root: &Path) -> Result<Lock, KernelError> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match Lock::take(bpf_root) {
            Err(KernelError::Locked { .. }) if Instant::now() < deadline => sleep(LOCK_PAUSE).await,
            taken => return taken,
        }
    }
}
