//! The DNS child: a process that has sockets and a zone, and nothing else. The daemon feeds it; when the daemon dies it
//! answers on from its last zone, and hands its sockets to the next daemon's child.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::feed::{Channel, FeedError, FromChild, Setup, ToChild, Update, descriptors};
use crate::metrics::Metrics;
use crate::sandbox::{self, SandboxError, SandboxLimits};
use crate::server::{Phase, Resolver, Sockets, start};
use crate::zone::Zone;

/// Why a child ends, other than by having drained.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// It could not give its privileges away: it reads nothing then.
    #[error("the sandbox: {0}")]
    Sandbox(#[source] SandboxError),
    /// It was not started by a daemon.
    #[error("standard input is no channel of a daemon: {0}")]
    NoDaemon(#[source] io::Error),
    /// The daemon speaks another version.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// Servers cannot be started.
    #[error("servers: {0}")]
    Servers(#[source] io::Error),
}

/// RFC 1035, 4.2: what clients call the server is on this port.
const DNS_PORT: u16 = 53;
/// Messages of daemons that wait to be carried out.
const MESSAGES: usize = 64;
/// How long a daemon may take to take an answer: nobody else is heard meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs a child on the channel that its daemon gave it. Returns once it has drained. Call it before there is a second
/// thread.
///
/// # Errors
///
/// See [`ChildError`].
pub fn run(control: OwnedFd, limits: &SandboxLimits) -> Result<(), ChildError> {
    sandbox::enter(limits).map_err(ChildError::Sandbox)?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(ChildError::Servers)?;
    runtime.block_on(async {
        let control = std::os::unix::net::UnixStream::from(control);
        control.set_nonblocking(true).map_err(ChildError::NoDaemon)?;
        let control = UnixStream::from_std(control).map_err(ChildError::NoDaemon)?;
        Child::default().run(Channel::new(control)).await
    })
}

/// What a daemon said, and where to answer.
struct Said {
    message: ToChild,
    reply: mpsc::Sender<Reply>,
}

/// What goes back.
enum Reply {
    Message(FromChild),
    Sockets(Sockets),
}

#[derive(Default)]
struct Child {
    /// What servers see.
    zone: Option<watch::Sender<Arc<Zone>>>,
    /// The same, and while nobody is served the only copy: filling it copies nothing.
    newest: Zone,
    resolver: Option<Arc<Resolver>>,
    metrics: Arc<Metrics>,
    phase: Option<watch::Sender<Phase>>,
    /// A copy, for handing over.
    sockets: Option<Sockets>,
    workers: usize,
    threads: Vec<JoinHandle<()>>,
}

impl Child {
    async fn run(mut self, mut control: Channel) -> Result<(), ChildError> {
        // The daemon of this child says what to serve; only then others may ask for the sockets.
        let setup = loop {
            match control.receive().await? {
                Some(ToChild::Setup(setup)) => break *setup,
                Some(_) => {}
                None => return Ok(()),
            }
        };
        self.set_up(&setup);
        let (said, mut hear) = mpsc::channel(MESSAGES);
        let listener = loop {
            match control.receive().await? {
                Some(ToChild::Sockets { udp, tcp }) => {
                    let sockets = control.sockets(udp, tcp)?;
                    let listener = control.descriptor();
                    self.serve_on(sockets)?;
                    break listener;
                }
                Some(_) => {}
                None => return Ok(()),
            }
        };
        tokio::spawn(converse(control, said.clone(), true));
        match listener {
            Some(listener) => drop(tokio::spawn(accept(listener, said))),
            // No later daemon could end it: it ends with this one.
            None => drop(said),
        }
        if let Some(resolver) = self.resolver.clone() {
            tokio::spawn(async move { resolver.watch_for_loops().await });
        }
        while let Some(Said { message, reply }) = hear.recv().await {
            let answer = match message {
                ToChild::Setup(_) | ToChild::Sockets { .. } => continue,
                ToChild::HandOver => match self.sockets.as_ref().map(Sockets::try_clone) {
                    Some(Ok(sockets)) => Reply::Sockets(sockets),
                    Some(Err(error)) => {
                        tracing::error!(%error, "sockets cannot be handed over");
                        continue;
                    }
                    None => continue,
                },
                ToChild::Drain => break,
                ToChild::Zone(update) => {
                    self.update(update);
                    continue;
                }
                ToChild::Upstreams(files) => {
                    if let Some(resolver) = &self.resolver {
                        for (file, addrs) in &files {
                            resolver.set_file_upstreams(file, addrs);
                        }
                    }
                    continue;
                }
                ToChild::Serve => {
                    self.publish();
                    self.set_phase(Phase::Serving);
                    Reply::Message(FromChild::Serving)
                }
                ToChild::Count => Reply::Message(FromChild::Counters(Box::new(self.metrics.counters()))),
            };
            // Whoever asked may be gone.
            drop(reply.send(answer).await);
        }
        self.set_phase(Phase::Draining);
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                // A worker that panicked has said so.
                drop(thread.join());
            }
        });
        drop(joined.await);
        Ok(())
    }

    fn set_up(&mut self, setup: &Setup) {
        let (sender, receiver) = watch::channel(Arc::new(Zone::default()));
        self.zone = Some(sender);
        self.workers = setup.workers;
        let metrics = Arc::clone(&self.metrics);
        self.resolver = Some(Arc::new(Resolver::new(&setup.config, receiver, metrics)));
    }

    fn serve_on(&mut self, sockets: Sockets) -> Result<(), ChildError> {
        let Some(resolver) = &self.resolver else { return Ok(()) };
        self.sockets = Some(sockets.try_clone().map_err(ChildError::Servers)?);
        let (sender, receiver) = watch::channel(Phase::Waiting);
        self.phase = Some(sender);
        self.threads = start(resolver, sockets, self.workers, &receiver).map_err(ChildError::Servers)?;
        Ok(())
    }

    fn update(&mut self, update: Update) {
        if *self.newest.service_addrs() != *update.service_addrs
            && let Some(resolver) = &self.resolver
        {
            let own: Vec<SocketAddr> =
                update.service_addrs.iter().map(|ip| SocketAddr::new(*ip, DNS_PORT)).collect();
            resolver.leave_out(&own);
        }
        self.newest.apply(update.changes, update.serial);
        let zone = std::mem::take(&mut self.newest).called(&update.service_addrs);
        self.newest = if update.is_synced { zone.synced() } else { zone };
        if self.phase.as_ref().is_some_and(|phase| *phase.borrow() == Phase::Serving) {
            self.publish();
        }
    }

    fn publish(&self) {
        if let Some(sender) = &self.zone {
            sender.send_replace(Arc::new(self.newest.clone()));
        }
    }

    fn set_phase(&self, to: Phase) {
        if let Some(phase) = &self.phase {
            phase.send_if_modified(|phase| {
                // A child that drains does not begin again.
                let changes = *phase != to && *phase != Phase::Draining;
                if changes {
                    *phase = to;
                }
                changes
            });
        }
    }
}

/// Daemons that come to take the sockets over.
async fn accept(listener: OwnedFd, said: mpsc::Sender<Said>) {
    let listener = std::os::unix::net::UnixListener::from(listener);
    let listener = listener.set_nonblocking(true).and_then(|()| UnixListener::from_std(listener));
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "no daemon will be able to take the sockets over");
            return;
        }
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(converse(Channel::new(stream), said.clone(), false))),
            Err(error) => tracing::warn!(%error, "a daemon cannot be heard"),
        }
    }
}

/// Hears one daemon out. Answers go out whatever is still to be carried out: neither waits for the other.
async fn converse(mut channel: Channel, said: mpsc::Sender<Said>, is_parent: bool) {
    let (reply, mut replies) = mpsc::channel(1);
    let mut heard = None;
    loop {
        tokio::select! {
            message = channel.receive(), if heard.is_none() => match message {
                Ok(Some(message)) => heard = Some(message),
                Ok(None) => {
                    if is_parent {
                        tracing::warn!("the daemon is gone: answering on from the last zone");
                    }
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "a daemon cannot be understood");
                    return;
                }
            },
            place = said.reserve(), if heard.is_some() => match (place, heard.take()) {
                (Ok(place), Some(message)) => place.send(Said { message, reply: reply.clone() }),
                (Ok(_), None) => {}
                (Err(_), _) => return,
            },
            Some(answer) = replies.recv() => match timeout(PATIENCE, tell(&channel, &answer)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a daemon cannot be answered");
                    return;
                }
                Err(_) => {
                    tracing::warn!("a daemon takes no answer");
                    return;
                }
            }
        }
    }
}

async fn tell(channel: &Channel, answer: &Reply) -> Result<(), FeedError> {
    match answer {
        Reply::Message(message) => channel.send(message, &[]).await,
        Reply::Sockets(sockets) => {
            let message = FromChild::Sockets { udp: sockets.udp.len(), tcp: sockets.tcp.len() };
            channel.send(&message, &descriptors(sockets)).await
        }
    }
}

#[cfg(test)]
mod tests;
