//! TCP (RFC 7766): many queries on a connection, answered in the order in which answers come.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::connections::{Connections, Guard};
use super::resolver::{Resolver, Step};
use super::{Phase, ZoneReader, draining};
use crate::message::Transport;

/// How long a connection may be idle (CoreDNS's).
const IDLE: Duration = Duration::from_secs(10);
/// How long a query may take from its first byte to its last (CoreDNS's read timeout).
const READ: Duration = Duration::from_secs(3);
/// How long an answer may take to be taken (CoreDNS's write timeout).
const WRITE: Duration = Duration::from_secs(5);
/// Bytes that are read at once.
const READ_BYTES: usize = 8 << 10;
/// No query is longer: what is would fill memory.
const MAX_QUERY_BYTES: usize = 4096;
/// Queries of one connection that upstreams are asked about at once; then no more are read.
const UNDER_WAY: usize = 64;
/// After a failed accept, for want of descriptors mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// The server of one listening socket.
pub(super) struct Server {
    listener: TcpListener,
    resolver: Arc<Resolver>,
    connections: Arc<Connections>,
}

impl Server {
    /// Takes a listening socket. Needs the runtime.
    pub(super) fn new(
        listener: std::net::TcpListener,
        resolver: Arc<Resolver>,
        connections: Arc<Connections>,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener: TcpListener::from_std(listener)?, resolver, connections })
    }

    /// Serves until it is to drain, and open connections until their queries are answered.
    pub(super) async fn run(self, mut phase: watch::Receiver<Phase>) {
        let mut open = JoinSet::new();
        let for_connections = phase.clone();
        loop {
            tokio::select! {
                () = draining(&mut phase) => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => self.start(stream, &mut open, for_connections.clone()),
                    // A client that left before it was accepted is nothing; anything else passes.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) => {
                        tracing::warn!(%error, "a connection cannot be accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = open.join_next() => {}
            }
        }
        while open.join_next().await.is_some() {}
    }

    fn start(&self, stream: TcpStream, open: &mut JoinSet<()>, phase: watch::Receiver<Phase>) {
        let Some(guard) = self.connections.open() else {
            self.resolver.metrics().connection_cut();
            return;
        };
        let zone = self.resolver.zone();
        let connection = Connection { resolver: Arc::clone(&self.resolver), zone, guard };
        open.spawn(connection.run(stream, phase));
    }
}

struct Connection {
    resolver: Arc<Resolver>,
    zone: ZoneReader,
    guard: Guard,
}

impl Connection {
    async fn run(mut self, stream: TcpStream, phase: watch::Receiver<Phase>) {
        let metrics = Arc::clone(self.resolver.metrics());
        metrics.connection_opened();
        if let Err(error) = self.serve(stream, phase).await {
            tracing::debug!(%error, "a connection failed");
        }
        metrics.connection_closed();
    }

    async fn serve(&mut self, stream: TcpStream, mut phase: watch::Receiver<Phase>) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let (reader, mut writer) = stream.into_split();
        let mut frames = Frames::new(reader);
        let mut under_way = FuturesUnordered::new();
        let mut idle_at = Instant::now() + IDLE;
        let mut is_closing = false;
        loop {
            if under_way.is_empty() {
                if is_closing {
                    return Ok(());
                }
                self.guard.idle();
            } else {
                self.guard.busy();
            }
            let reply = tokio::select! {
                Some(reply) = under_way.next() => reply,
                frame = frames.next(), if !is_closing && under_way.len() < UNDER_WAY => match frame? {
                    None => {
                        is_closing = true;
                        continue;
                    }
                    Some(packet) => {
                        idle_at = Instant::now() + IDLE;
                        match self.resolver.step(self.zone.current(), &packet, Transport::Tcp) {
                            Step::Silent => return Ok(()),
                            Step::Reply(reply) => reply,
                            Step::Later(query) => {
                                let resolver = Arc::clone(&self.resolver);
                                under_way.push(async move { resolver.finish(*query).await });
                                continue;
                            }
                        }
                    }
                },
                () = sleep_until(idle_at), if !is_closing && under_way.is_empty() => {
                    return Ok(());
                }
                () = self.guard.closing() => {
                    self.resolver.metrics().connection_cut();
                    return Ok(());
                }
                () = draining(&mut phase), if !frames.is_ended => {
                    // What was read is answered.
                    frames.is_ended = true;
                    continue;
                }
            };
            timeout(WRITE, write_frame(&mut writer, &reply)).await.map_err(|_| io::ErrorKind::TimedOut)??;
            idle_at = Instant::now() + IDLE;
        }
    }
}

async fn write_frame(writer: &mut (impl AsyncWriteExt + Unpin), reply: &[u8]) -> io::Result<()> {
    let length = u16::try_from(reply.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut framed = Vec::with_capacity(2 + reply.len());
    framed.extend(length.to_be_bytes());
    framed.extend(reply);
    writer.write_all(&framed).await
}

/// Messages of a stream, each after its length in two bytes.
struct Frames {
    reader: OwnedReadHalf,
    buffer: Vec<u8>,
    /// When the message that has begun must be complete.
    deadline: Option<Instant>,
    /// No more is read.
    is_ended: bool,
}

impl Frames {
    fn new(reader: OwnedReadHalf) -> Self {
        Self { reader, buffer: Vec::new(), deadline: None, is_ended: false }
    }

    /// The next message; `None` at the end of the stream. Nothing is lost if the future is dropped.
    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(message) = self.take() {
                return Ok(Some(message));
            }
            let length = self.buffer.first_chunk::<2>().map_or(0, |length| u16::from_be_bytes(*length));
            if usize::from(length) > MAX_QUERY_BYTES {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than any query"));
            }
            if self.is_ended {
                return Ok(None);
            }
            let readable = self.reader.readable();
            match self.deadline {
                // Nobody holds a place by sending a byte now and then.
                Some(deadline) => {
                    timeout_at(deadline, readable).await.map_err(|_| io::ErrorKind::TimedOut)??
                }
                None => readable.await?,
            }
            // Only now: a connection that is idle has no buffer.
            self.buffer.reserve(READ_BYTES);
            match self.reader.try_read_buf(&mut self.buffer) {
                Ok(read) => self.is_ended = read == 0,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let message = self.buffer.first_chunk::<2>().and_then(|length| {
            let end = 2 + usize::from(u16::from_be_bytes(*length));
            Some((self.buffer.get(2..end)?.to_vec(), end))
        });
        match message {
            Some((message, end)) => {
                self.buffer.drain(..end);
                if self.buffer.is_empty() {
                    self.buffer = Vec::new();
                }
                self.deadline = None;
                Some(message)
            }
            None if self.buffer.is_empty() => None,
            None => {
                self.deadline.get_or_insert_with(|| Instant::now() + READ);
                None
            }
        }
    }
}
