//! The DNS server outside the cluster.

mod zone;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv6Addr, SocketAddr};
use std::rc::Rc;

use anyhow::{Context, Result};
use hickory_proto::op::Message;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::task::{JoinHandle, JoinSet, LocalSet, spawn_local};

use crate::upstream::{QueryCount, UpstreamCommand, UpstreamMode, UpstreamReply};

const PORT: u16 = 53;
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// More than the longest datagram, and more than a TCP length can say.
const MESSAGE_BYTES: usize = 65_536;

#[derive(Clone, Copy, Debug)]
enum Protocol {
    Udp,
    Tcp,
}

/// Obeys commands; when standard input ends it serves on as it is, for a lab that outlives its owner.
///
/// # Errors
///
/// Standard input or output failed, or a line was no command.
pub fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, obey())
}

async fn obey() -> Result<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let state = Rc::new(State { mode: Cell::new(UpstreamMode::Normal), counts: RefCell::default() });
    let mut sockets = None;
    while let Some(line) = lines.next_line().await? {
        let reply = match serde_json::from_str(&line).context("reading a command")? {
            UpstreamCommand::Count => UpstreamReply::Counts(state.counts.borrow().clone()),
            UpstreamCommand::Set(mode) => match state.change(mode, &mut sockets).await {
                Ok(()) => UpstreamReply::Set,
                Err(error) => UpstreamReply::Failed(format!("{error:#}")),
            },
        };
        let mut line = serde_json::to_vec(&reply)?;
        line.push(b'\n');
        std::io::stdout().write_all(&line).context("reporting")?;
    }
    std::future::pending().await
}

struct State {
    mode: Cell<UpstreamMode>,
    counts: RefCell<BTreeMap<String, QueryCount>>,
}

/// The tasks that own the sockets.
struct Sockets {
    udp: JoinHandle<()>,
    tcp: JoinHandle<()>,
}

impl Sockets {
    async fn open(state: &Rc<State>) -> Result<Self> {
        let everywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT));
        let datagrams = UdpSocket::bind(everywhere).await.context("binding the UDP port")?;
        let socket = TcpSocket::new_v6()?;
        socket.set_reuseaddr(true)?;
        socket.bind(everywhere).context("binding the TCP port")?;
        let listener = socket.listen(BACKLOG)?;
        Ok(Self {
            udp: spawn_local(serve_datagrams(Rc::clone(state), Rc::new(datagrams))),
            tcp: spawn_local(accept(Rc::clone(state), listener)),
        })
    }

    /// Connections go with the task that accepted them.
    async fn close(self) {
        for task in [self.udp, self.tcp] {
            task.abort();
            // It ends as cancelled, and its sockets are closed then.
            let _ = task.await;
        }
    }
}

impl State {
    async fn change(self: &Rc<Self>, mode: UpstreamMode, sockets: &mut Option<Sockets>) -> Result<()> {
        self.mode.set(mode);
        let listens = match mode {
            UpstreamMode::Refusing => false,
            UpstreamMode::Normal | UpstreamMode::Silent | UpstreamMode::Slow(_) | UpstreamMode::ServFail => {
                true
            }
        };
        match (listens, sockets.take()) {
            (false, Some(open)) => open.close().await,
            (false, None) => {}
            (true, Some(open)) => *sockets = Some(open),
            (true, None) => *sockets = Some(Sockets::open(self).await?),
        }
        Ok(())
    }

    /// The answer to a message, where there shall be one, after the time that it shall take.
    async fn answer(&self, message: &[u8], protocol: Protocol) -> Option<Vec<u8>> {
        let Ok(query) = Message::from_vec(message) else { return zone::malformed(message) };
        for question in &query.queries {
            let mut counts = self.counts.borrow_mut();
            let count = counts.entry(question.name().to_lowercase().to_ascii()).or_default();
            match protocol {
                Protocol::Udp => count.udp += 1,
                Protocol::Tcp => count.tcp += 1,
            }
        }
        let limit = match protocol {
            Protocol::Udp => query.max_payload(),
            Protocol::Tcp => u16::MAX,
        };
        match self.mode.get() {
            UpstreamMode::Normal => zone::answer(&query, limit),
            UpstreamMode::Slow(delay) => {
                tokio::time::sleep(delay).await;
                zone::answer(&query, limit)
            }
            UpstreamMode::ServFail => zone::failure(&query),
            UpstreamMode::Silent | UpstreamMode::Refusing => None,
        }
    }
}

async fn serve_datagrams(state: Rc<State>, socket: Rc<UdpSocket>) {
    let mut buffer = vec![0; MESSAGE_BYTES];
    let mut answers = JoinSet::new();
    loop {
        // An ICMP error for an earlier answer is reported here and ends nothing.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        // An answer that is still to come holds no socket: closing it is up to this task alone.
        let (state, socket, query) = (Rc::clone(&state), Rc::downgrade(&socket), buffer[..length].to_vec());
        while answers.try_join_next().is_some() {}
        answers.spawn_local(async move {
            if let Some(answer) = state.answer(&query, Protocol::Udp).await {
                let Some(socket) = socket.upgrade() else { return };
                let _ = socket.send_to(&answer, from).await;
            }
        });
    }
}

async fn accept(state: Rc<State>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let state = Rc::clone(&state);
        while connections.try_join_next().is_some() {}
        connections.spawn_local(async move {
            // A client that breaks off is its own business and shows in its own report.
            let _ = serve_connection(&state, stream).await;
        });
    }
}

/// Answers queries, each after two bytes with its length (RFC 1035, 4.2.2), until the client ends.
async fn serve_connection(state: &State, mut stream: TcpStream) -> Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut query = vec![0; length.into()];
        stream.read_exact(&mut query).await?;
        if let Some(answer) = state.answer(&query, Protocol::Tcp).await {
            let mut framed = u16::try_from(answer.len())?.to_be_bytes().to_vec();
            framed.extend(answer);
            stream.write_all(&framed).await?;
        }
    }
}
