//! Opens connections by the ten thousand on one thread.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, getsockopt, setsockopt, socket,
    sockopt,
};

use super::raise_file_limit;
use crate::echo::Echo;
use crate::mass::{MassCommand, MassSpec, MassTally};

/// Events to take at once.
const EVENTS: usize = 1024;

/// Obeys commands, one JSON line each, until standard input ends.
///
/// # Errors
///
/// Standard input or output failed, or a line was no command.
pub fn run() -> Result<()> {
    raise_file_limit()?;
    let mut mass = Mass::new()?;
    for line in std::io::stdin().lock().lines() {
        let begun = Instant::now();
        match serde_json::from_str(&line?).context("reading a command")? {
            MassCommand::Open(spec) => mass.open(&spec)?,
            MassCommand::Exchange => mass.exchange()?,
            MassCommand::Close => mass.open.clear(),
        }
        let tally = MassTally {
            open: mass.open.len() as u64,
            failed: mass.failed.clone(),
            answered: mass.answered.clone(),
            seen: mass.seen.len() as u64,
            took: begun.elapsed(),
        };
        let mut line = serde_json::to_vec(&tally)?;
        line.push(b'\n');
        std::io::stdout().write_all(&line).context("reporting")?;
    }
    Ok(())
}

struct Mass {
    epoll: Epoll,
    limit: Duration,
    /// Open connections by their number.
    open: BTreeMap<u64, OwnedFd>,
    failed: BTreeMap<String, u64>,
    answered: BTreeMap<String, u64>,
    seen: BTreeSet<SocketAddr>,
}

impl Mass {
    fn new() -> Result<Self> {
        Ok(Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("making an epoll")?,
            limit: Duration::ZERO,
            open: BTreeMap::new(),
            failed: BTreeMap::new(),
            answered: BTreeMap::new(),
            seen: BTreeSet::new(),
        })
    }

    fn fail(&mut self, reason: impl ToString) {
        *self.failed.entry(reason.to_string()).or_default() += 1;
    }

    fn open(&mut self, spec: &MassSpec) -> Result<()> {
        self.limit = spec.limit;
        let deadline = Instant::now() + spec.limit;
        let sources: Vec<_> =
            spec.sources.iter().filter(|source| source.is_ipv4() == spec.to.is_ipv4()).collect();
        let mut numbers = 0..u64::from(spec.connections);
        let mut pending = BTreeMap::new();
        loop {
            while pending.len() < spec.in_flight as usize
                && let Some(number) = numbers.next()
            {
                let source = sources.get(number as usize % sources.len().max(1));
                match begin(spec.to, source.copied()) {
                    Ok(stream) => {
                        self.watch(&stream, number, EpollFlags::EPOLLOUT)?;
                        pending.insert(number, stream);
                    }
                    Err(errno) => self.fail(format!("{errno:?}")),
                }
            }
            if pending.is_empty() {
                return Ok(());
            }
            let Some(events) = self.wait(deadline)? else {
                let left = pending.len() as u64 + numbers.count() as u64;
                *self.failed.entry("timeout".to_owned()).or_default() += left;
                return Ok(());
            };
            for number in events {
                let Some(stream) = pending.remove(&number) else { continue };
                match getsockopt(&stream, sockopt::SocketError)? {
                    0 => {
                        self.epoll.delete(&stream)?;
                        self.open.insert(number, stream);
                    }
                    code => self.fail(format!("{:?}", Errno::from_raw(code))),
                }
            }
        }
    }

    fn exchange(&mut self) -> Result<()> {
        self.answered.clear();
        self.seen.clear();
        let deadline = Instant::now() + self.limit;
        let mut pending = BTreeMap::new();
        for (number, stream) in std::mem::take(&mut self.open) {
            match nix::unistd::write(&stream, format!("{number}\n").as_bytes()) {
                Ok(_) => {
                    self.watch(&stream, number, EpollFlags::EPOLLIN)?;
                    pending.insert(number, (stream, Vec::new()));
                }
                Err(errno) => self.fail(format!("{errno:?}")),
            }
        }
        while !pending.is_empty() {
            let Some(events) = self.wait(deadline)? else {
                *self.failed.entry("timeout".to_owned()).or_default() += pending.len() as u64;
                return Ok(());
            };
            for number in events {
                let Some((stream, answer)) = pending.get_mut(&number) else { continue };
                match read_line(stream, answer) {
                    Ok(false) => continue,
                    Ok(true) => match self.judge(number, answer) {
                        Ok(()) => {
                            if let Some((stream, _)) = pending.remove(&number) {
                                self.epoll.delete(&stream)?;
                                self.open.insert(number, stream);
                            }
                        }
                        Err(error) => {
                            self.fail(format!("{error:#}"));
                            pending.remove(&number);
                        }
                    },
                    Err(reason) => {
                        self.fail(reason);
                        pending.remove(&number);
                    }
                }
            }
        }
        Ok(())
    }

    fn judge(&mut self, number: u64, answer: &[u8]) -> Result<()> {
        let Echo { name, client, payload } = Echo::parse(answer)?;
        anyhow::ensure!(payload == number.to_string().as_bytes(), "the answer of another connection");
        *self.answered.entry(name.to_owned()).or_default() += 1;
        self.seen.insert(client);
        Ok(())
    }

    fn watch(&self, stream: &OwnedFd, number: u64, flags: EpollFlags) -> Result<()> {
        self.epoll.add(stream, EpollEvent::new(flags, number)).context("watching a connection")
    }

    /// Numbers of connections on which something happened; nothing when the deadline has passed.
    fn wait(&self, deadline: Instant) -> Result<Option<Vec<u64>>> {
        let mut events = [EpollEvent::empty(); EVENTS];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let timeout = EpollTimeout::try_from(left).unwrap_or(EpollTimeout::MAX);
            match self.epoll.wait(&mut events, timeout) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(count) => return Ok(Some(events[..count].iter().map(EpollEvent::data).collect())),
                Err(error) => return Err(error).context("waiting for connections"),
            }
        }
    }
}

/// Begins a handshake.
fn begin(to: SocketAddr, source: Option<&IpAddr>) -> nix::Result<OwnedFd> {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let stream = socket(family, SockType::Stream, flags, None)?;
    if let Some(source) = source {
        // The port is chosen with the destination, so that one port serves several.
        setsockopt(&stream, sockopt::IpBindAddressNoPort, &true)?;
        bind(stream.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(*source, 0)))?;
    }
    match connect(stream.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(stream),
        Err(errno) => Err(errno),
    }
}

/// Reads on; whether the line is whole, its end taken off.
fn read_line(stream: &OwnedFd, line: &mut Vec<u8>) -> Result<bool, String> {
    let mut chunk = [0; 512];
    match nix::unistd::read(stream.as_fd(), &mut chunk) {
        Ok(0) => Err("closed by the other side".to_owned()),
        Ok(length) => {
            line.extend_from_slice(&chunk[..length]);
            Ok(line.pop_if(|byte| *byte == b'\n').is_some())
        }
        Err(Errno::EAGAIN) => Ok(false),
        Err(errno) => Err(format!("{errno:?}")),
    }
}
