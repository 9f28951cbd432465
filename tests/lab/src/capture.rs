//! What passes a device, byte by byte, with every checksum verified.

mod socket;

use std::fmt;
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;

use crate::client::lock;
use crate::netns::Netns;
use crate::packet::{BadChecksum, Frame, Packet, bad_checksums};
use socket::Socket;

/// What a capture remembers. Everything is verified in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Every IP packet.
    All,
    /// The packets with a bad checksum: for traffic by the million.
    Bad,
}

/// A packet that was seen.
#[derive(Clone, Debug)]
pub struct Captured {
    /// When it was read, in nanoseconds of CLOCK_MONOTONIC.
    pub at_ns: u64,
    /// Whether it left the namespace by the device; otherwise it came in.
    pub is_outgoing: bool,
    /// Whether its checksum is still to be completed, as between namespaces without a wire; it is not verified then.
    pub is_partial: bool,
    /// The Ethernet frame.
    pub frame: Vec<u8>,
    /// What is wrong with it.
    pub bad: Vec<BadChecksum>,
}

/// What a capture came to so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaptureReport {
    /// IP packets that were read.
    pub seen: u64,
    /// Those whose checksums were partial.
    pub partial: u64,
    /// Packets for which the kernel had no room: they were not verified.
    pub lost: u64,
    /// The packets with a bad checksum or a header that cannot be read, one line each.
    pub bad: Vec<String>,
}

/// A running capture; it ends when it is dropped.
#[derive(Debug)]
pub struct Capture {
    shared: Arc<Shared>,
    /// The thread ends when this is closed.
    stop: Option<File>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    device: String,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    socket: Socket,
    keep: Keep,
    kept: Vec<Captured>,
    report: CaptureReport,
}

impl Capture {
    /// Captures what passes `device` of the namespace from now on.
    ///
    /// # Errors
    ///
    /// There is no such device.
    pub fn start(netns: &Netns, device: &str, keep: Keep) -> Result<Self> {
        let socket = netns.run(|| Socket::open(device))?;
        let state = State { socket, keep, kept: Vec::new(), report: CaptureReport::default() };
        let shared = Arc::new(Shared {
            device: format!("{device} of {}", netns.name()),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let (stopped, stop) = pipe2(OFlag::O_CLOEXEC)?;
        let thread = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.read_until_closed(&File::from(stopped)))
        };
        Ok(Self { shared, stop: Some(File::from(stop)), thread: Some(thread) })
    }

    /// The kept packets, in order. All that passed the device before the call are among them.
    ///
    /// # Errors
    ///
    /// The socket failed.
    pub fn kept(&self) -> Result<Vec<Captured>> {
        let mut state = lock(&self.shared.state);
        state.read()?;
        Ok(state.kept.clone())
    }

    /// How many of the kept packets are so.
    ///
    /// # Errors
    ///
    /// As of [`Self::kept`]; or packets were lost, so that the number would mean little.
    pub fn count(&self, is_so: impl Fn(&Packet) -> bool) -> Result<usize> {
        let mut state = lock(&self.shared.state);
        state.read()?;
        ensure!(state.report.lost == 0, "the capture of {} lost packets", self.shared.device);
        Ok(state.kept.iter().filter_map(|seen| seen.packet().ok()).filter(is_so).count())
    }

    /// Waits for a packet that is so, the first kept one, and returns it.
    ///
    /// # Errors
    ///
    /// None came within `limit`; the error lists what did.
    pub fn wait_for(&self, what: &str, limit: Duration, is_so: impl Fn(&Packet) -> bool) -> Result<Captured> {
        let deadline = Instant::now() + limit;
        let mut state = lock(&self.shared.state);
        loop {
            state.read()?;
            let is_it = |seen: &&Captured| seen.packet().is_ok_and(|packet| is_so(&packet));
            if let Some(found) = state.kept.iter().find(is_it) {
                return Ok(found.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let seen: Vec<_> = state.kept.iter().map(ToString::to_string).collect();
                bail!("saw no {what} on {} within {limit:?}, but\n{}", self.shared.device, seen.join("\n"));
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Keeps nothing of what passed so far; the report stays.
    ///
    /// # Errors
    ///
    /// The socket failed.
    pub fn forget(&self) -> Result<()> {
        let mut state = lock(&self.shared.state);
        state.read()?;
        state.kept.clear();
        Ok(())
    }

    /// What it came to so far.
    ///
    /// # Errors
    ///
    /// The socket failed.
    pub fn report(&self) -> Result<CaptureReport> {
        let mut state = lock(&self.shared.state);
        state.read()?;
        Ok(state.report.clone())
    }

    /// Makes sure that packets were seen and that every one was verified and right.
    ///
    /// # Errors
    ///
    /// Nothing passed; or packets were bad, partial or lost: they are named.
    pub fn ensure_clean(&self) -> Result<CaptureReport> {
        let report = self.report()?;
        let device = &self.shared.device;
        ensure!(report.seen > 0, "nothing passed {device}");
        ensure!(report.lost == 0 && report.partial == 0, "not all was verified on {device}: {report:?}");
        ensure!(report.bad.is_empty(), "bad packets on {device}:\n{}", report.bad.join("\n"));
        Ok(report)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It does nothing that panics, and there is nobody to tell.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Reads as packets come, so that the socket's buffer does not fill, until the other end of `stopped` closes.
    fn read_until_closed(&self, stopped: &File) {
        let Ok(socket) = lock(&self.state).socket.try_clone() else { return };
        loop {
            let mut fds = [
                PollFd::new(socket.as_fd(), PollFlags::POLLIN),
                PollFd::new(stopped.as_fd(), PollFlags::empty()),
            ];
            if poll(&mut fds, PollTimeout::NONE).is_err() || fds[1].any() == Some(true) {
                return;
            }
            // A failing socket fails whoever looks next, too.
            if lock(&self.state).read().is_err() {
                return;
            }
            self.changed.notify_all();
        }
    }
}

impl State {
    /// Reads all that is there.
    fn read(&mut self) -> Result<()> {
        while let Some(received) = self.socket.receive().context("reading a packet socket")? {
            let Ok(frame) = Frame::parse(&received.frame) else { continue };
            if !matches!(i32::from(frame.ethertype), libc::ETH_P_IP | libc::ETH_P_IPV6) {
                continue;
            }
            self.report.seen += 1;
            self.report.partial += u64::from(received.is_partial);
            let verified = if received.is_partial { Ok(Vec::new()) } else { bad_checksums(frame.payload) };
            let mut captured = received;
            let is_bad = match verified {
                Ok(bad) => {
                    captured.bad = bad;
                    !captured.bad.is_empty()
                }
                Err(_) => true,
            };
            if is_bad {
                self.report.bad.push(captured.to_string());
            }
            match self.keep {
                Keep::Bad if !is_bad => {}
                Keep::All | Keep::Bad => self.kept.push(captured),
            }
        }
        self.report.lost += self.socket.lost()?;
        Ok(())
    }
}

impl Captured {
    /// The frame's headers.
    ///
    /// # Errors
    ///
    /// It is shorter than they are.
    pub fn ethernet(&self) -> Result<Frame<'_>> {
        Frame::parse(&self.frame)
    }

    /// The IP packet in it, as bytes.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn ip(&self) -> Result<&[u8]> {
        Ok(self.ethernet()?.payload)
    }

    /// The IP packet in it.
    ///
    /// # Errors
    ///
    /// A header cannot be read.
    pub fn packet(&self) -> Result<Packet> {
        Packet::parse(self.ip()?)
    }
}

impl fmt::Display for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_outgoing { "out " } else { "in  " })?;
        match self.packet() {
            Ok(packet) => write!(f, "{packet}")?,
            Err(error) => write!(f, "unreadable ({error:#}): {:02x?}", self.frame)?,
        }
        if self.is_partial {
            f.write_str(", checksum partial")?;
        }
        self.bad.iter().try_for_each(|bad| write!(f, ", {bad}"))
    }
}
