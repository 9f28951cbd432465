//! Many connections at a time from one thread: connect, one byte there, one byte back, close.
//!
//! The client closes first and by a reset (`SO_LINGER` with zero seconds), so neither end keeps a TIME_WAIT: the number
//! of ports and the cost of their reuse are not what is measured.

use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrIn, connect, recv, send, setsockopt, socket, sockopt,
};

use crate::bench::order::{Done, Draw, Samples, Targets};

/// Connections at a time.
const PARALLEL: u64 = 32;
/// How long a connection may take.
const LIMIT: Duration = Duration::from_secs(5);

/// One connection on its way.
struct Connection {
    socket: OwnedFd,
    to: SocketAddrV4,
    begun: Instant,
    has_asked: bool,
}

/// Opens and closes connections for that long; those that are under way at the end are not counted.
pub(super) fn run(to: &Targets, time: Duration) -> Result<Done> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let mut draw = Draw::new();
    let mut samples = Samples::default();
    let begun = Instant::now();
    let mut open = (0..PARALLEL)
        .map(|slot| Connection::open(&epoll, slot, draw.next(to)))
        .collect::<Result<Vec<_>>>()?;
    let mut events = [EpollEvent::empty(); PARALLEL as usize];
    let mut last = Instant::now();
    loop {
        let ready = match epoll.wait(&mut events, EpollTimeout::from(100_u16)) {
            Err(Errno::EINTR) => continue,
            ready => ready?,
        };
        for event in &events[..ready] {
            let Some(connection) = open.get_mut(event.data() as usize) else { continue };
            if !connection.go_on(event.events())? {
                continue;
            }
            last = Instant::now();
            samples.push(last.duration_since(connection.begun));
            let next = Connection::open(&epoll, event.data(), draw.next(to))?;
            // The old one closes here.
            *connection = next;
        }
        let now = Instant::now();
        ensure!(now.duration_since(last) < LIMIT, "no connection was answered for {LIMIT:?}");
        if now.duration_since(begun) >= time {
            return Ok(samples.into_done(now.duration_since(begun)));
        }
    }
}

impl Connection {
    fn open(epoll: &Epoll, slot: u64, to: SocketAddrV4) -> Result<Self> {
        let begun = Instant::now();
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None).context("a socket")?;
        setsockopt(&socket, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 })?;
        match connect(socket.as_raw_fd(), &SockaddrIn::from(to)) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(error) => return Err(error).with_context(|| format!("connecting to {to}")),
        }
        // Edge by edge, so that one registration does for both directions.
        let events = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        epoll.add(&socket, EpollEvent::new(events, slot))?;
        Ok(Self { socket, to, begun, has_asked: false })
    }

    /// Asks once connected; says whether the answer is there.
    fn go_on(&mut self, events: EpollFlags) -> Result<bool> {
        let fd = self.socket.as_raw_fd();
        if !self.has_asked {
            send(fd, b"x", MsgFlags::MSG_NOSIGNAL).with_context(|| format!("asking {}", self.to))?;
            self.has_asked = true;
            return Ok(false);
        }
        if !events.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP) {
            return Ok(false);
        }
        let mut byte = [0];
        match recv(fd, &mut byte, MsgFlags::empty()) {
            Ok(1) => Ok(true),
            Ok(_) => bail!("{} closed without an answer", self.to),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(false),
            Err(error) => Err(error).with_context(|| format!("reading from {}", self.to)),
        }
    }
}
