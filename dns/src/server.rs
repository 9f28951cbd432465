//! Servers: packets in, packets out. What a query means is decided by [`Resolver`]; [`udp`] and [`tcp`] move bytes.

mod alias;
mod connections;
mod listen;
mod looping;
mod quick;
mod resolver;
mod sparing;
mod tcp;
mod udp;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use self::listen::{ListenError, Sockets, bind};
pub use self::resolver::{Handled, Resolver};
use crate::zone::Zone;

/// How long queries under way are waited for when a server is to end.
const DRAIN: Duration = Duration::from_secs(6);

/// What a worker is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing yet: queries wait in the sockets.
    Waiting,
    /// Answer.
    Serving,
    /// Read no more, answer what was read, end.
    Draining,
}

/// Runs servers on these sockets, each worker in a thread of its own with its share of the sockets, so that one busy
/// core does not hold up another. The threads end after [`Phase::Draining`].
///
/// # Errors
///
/// A socket or a thread cannot be set up.
pub fn start(
    resolver: &Arc<Resolver>,
    sockets: Sockets,
    workers: usize,
    phase: &watch::Receiver<Phase>,
) -> io::Result<Vec<JoinHandle<()>>> {
    let shares = sockets.share(workers.max(1));
    let connections = Arc::new(connections::Connections::default());
    let mut threads = Vec::with_capacity(shares.len());
    for (i, share) in shares.into_iter().enumerate() {
        let resolver = Arc::clone(resolver);
        let connections = Arc::clone(&connections);
        let phase = phase.clone();
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let thread = std::thread::Builder::new().name(format!("dns-{i}"));
        threads.push(thread.spawn(move || {
            let served = runtime.block_on(serve(resolver, share, connections, phase));
            if let Err(error) = served {
                // Its share of the clients would never be answered again: whoever started the process starts another.
                tracing::error!(%error, "a DNS worker cannot serve: the process ends");
                std::process::abort();
            }
        })?);
    }
    Ok(threads)
}

async fn serve(
    resolver: Arc<Resolver>,
    sockets: Sockets,
    connections: Arc<connections::Connections>,
    mut phase: watch::Receiver<Phase>,
) -> io::Result<()> {
    let mut servers = JoinSet::new();
    let mut udp = Vec::new();
    for socket in sockets.udp {
        udp.push(udp::Server::new(socket, Arc::clone(&resolver))?);
    }
    let mut tcp = Vec::new();
    for listener in sockets.tcp {
        tcp.push(tcp::Server::new(listener, Arc::clone(&resolver), Arc::clone(&connections))?);
    }
    // A closed channel means that nobody will ever say so: the process is ending.
    if phase.wait_for(|phase| *phase != Phase::Waiting).await.is_err() {
        return Ok(());
    }
    for server in udp {
        servers.spawn(server.run(phase.clone()));
    }
    for server in tcp {
        servers.spawn(server.run(phase.clone()));
    }
    // They end once they are to drain. One that ends before could not go on.
    let mut end = phase.clone();
    tokio::select! {
        biased;
        () = draining(&mut end) => {}
        Some(_) = servers.join_next() => {
            // A closed channel and the word to drain end them as well.
            if phase.has_changed().is_ok() && *phase.borrow() == Phase::Serving {
                return Err(io::Error::other("a socket failed"));
            }
        }
    }
    // Those whose queries take too long are left behind.
    let drained = async { while servers.join_next().await.is_some() {} };
    drop(timeout(DRAIN, drained).await);
    Ok(())
}

/// Resolves when it is time to drain. A closed channel means that too: the process is ending.
async fn draining(phase: &mut watch::Receiver<Phase>) {
    drop(phase.wait_for(|phase| *phase == Phase::Draining).await);
}

/// The zone as a server reads it: looked at once a batch, without a lock on the way of a query.
#[derive(Debug)]
struct ZoneReader {
    receiver: watch::Receiver<Arc<Zone>>,
    zone: Arc<Zone>,
}

impl ZoneReader {
    fn new(receiver: watch::Receiver<Arc<Zone>>) -> Self {
        let zone = Arc::clone(&receiver.borrow());
        Self { receiver, zone }
    }

    fn current(&mut self) -> &Arc<Zone> {
        // A closed channel leaves the last zone in force.
        if self.receiver.has_changed().unwrap_or(false) {
            self.zone = Arc::clone(&self.receiver.borrow_and_update());
        }
        &self.zone
    }
}
