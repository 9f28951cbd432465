//! Sends from a pod's first millisecond.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, connect, sendto, socket,
};

use crate::client::lock;
use crate::early::{EarlyCommand, EarlyTally};
use crate::wait;
use crate::workload::monotonic_ns;

/// Pause between two rounds: quick enough for the shortest gap, slow enough to leave a processor to those who wire.
const PAUSE: Duration = Duration::from_micros(100);

struct Shared {
    tally: Mutex<EarlyTally>,
    stopped: AtomicBool,
}

/// Sends to all targets in rounds until standard input ends; says what it did when it is asked.
///
/// # Errors
///
/// Standard input or output failed, or a line was no command.
pub fn run(targets: &[SocketAddr]) -> Result<()> {
    let none: BTreeMap<_, _> = targets.iter().map(|target| (*target, 0)).collect();
    let tally = EarlyTally { datagrams: none.clone(), syns: none, ..EarlyTally::default() };
    let shared = Shared { tally: Mutex::new(tally), stopped: AtomicBool::new(false) };
    thread::scope(|scope| {
        let sending = scope.spawn(|| shared.send_rounds(targets));
        let obeyed = shared.obey();
        shared.stopped.store(true, Ordering::Relaxed);
        sending.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        obeyed
    })
}

impl Shared {
    fn obey(&self) -> Result<()> {
        for line in std::io::stdin().lock().lines() {
            match serde_json::from_str(&line?).context("reading a command")? {
                EarlyCommand::Report => {
                    // The first answer is not about nothing.
                    wait::until(
                        "a first round",
                        Duration::from_secs(5),
                        || Ok(lock(&self.tally).rounds > 0),
                    )?;
                }
                EarlyCommand::Stop => self.stopped.store(true, Ordering::Relaxed),
            }
            let mut line = serde_json::to_vec(&*lock(&self.tally))?;
            line.push(b'\n');
            std::io::stdout().write_all(&line).context("reporting")?;
        }
        Ok(())
    }

    fn send_rounds(&self, targets: &[SocketAddr]) -> Result<()> {
        let datagrams = [AddressFamily::Inet, AddressFamily::Inet6]
            .map(|family| open(family, SockType::Datagram).context("opening a UDP socket"));
        let [v4, v6] = datagrams;
        let (v4, v6) = (v4?, v6?);
        while !self.stopped.load(Ordering::Relaxed) {
            for target in targets {
                let to = SockaddrStorage::from(*target);
                let (family, datagram) = match target.ip() {
                    IpAddr::V4(_) => (AddressFamily::Inet, &v4),
                    IpAddr::V6(_) => (AddressFamily::Inet6, &v6),
                };
                let sent = sendto(datagram.as_raw_fd(), b"early", &to, MsgFlags::empty());
                self.count(sent.map(drop), *target, |tally| &mut tally.datagrams);
                // A socket of its own for each SYN; closing it sends nothing.
                let begun = open(family, SockType::Stream).and_then(|stream| {
                    match connect(stream.as_raw_fd(), &to) {
                        Err(Errno::EINPROGRESS) => Ok(()),
                        other => other,
                    }
                });
                self.count(begun, *target, |tally| &mut tally.syns);
            }
            lock(&self.tally).rounds += 1;
            wait::pass(PAUSE);
        }
        Ok(())
    }

    /// Counts what the kernel said to a packet. Refusals and resets of earlier ones are counted as such.
    fn count(
        &self,
        outcome: nix::Result<()>,
        to: SocketAddr,
        taken: impl Fn(&mut EarlyTally) -> &mut BTreeMap<SocketAddr, u64>,
    ) {
        let mut tally = lock(&self.tally);
        match outcome {
            Ok(()) => {
                *taken(&mut tally).entry(to).or_default() += 1;
                if tally.first_taken_ns == 0 {
                    tally.first_taken_ns = monotonic_ns();
                }
            }
            Err(errno) => *tally.failed.entry(format!("{errno:?}")).or_default() += 1,
        }
    }
}

fn open(family: AddressFamily, kind: SockType) -> nix::Result<std::os::fd::OwnedFd> {
    socket(family, kind, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)
}
