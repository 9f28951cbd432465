//! Sockets from the DNS child of a daemon that is gone, over `<state-dir>/dns.sock`.
//!
//! A new child listens on [`NEXT`] until the old one was told to drain; then its socket takes the place of [`CURRENT`].
//! Whenever a daemon dies, one of the two names leads to each child that is alive, so none is ever left behind.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::dns::feed::{Channel, FeedError, FromChild, ToChild};
use ::dns::server::Sockets;
use nix::sys::stat::{Mode, umask};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// The socket of the child that serves.
pub const CURRENT: &str = "dns.sock";
/// The socket of the child that is about to.
pub const NEXT: &str = "dns.sock.next";

/// How long an old child is listened to. It answers within a millisecond, or hangs.
const PATIENCE: Duration = Duration::from_secs(1);

/// A child of an earlier daemon.
#[derive(Debug)]
pub struct Predecessor {
    channel: Channel,
    /// What it serves on.
    pub sockets: Option<Sockets>,
}

impl Predecessor {
    /// The child that serves, if one does. Any other is ended: one that does not answer, and one that was to follow it.
    pub async fn find(state_dir: &Path) -> Vec<Self> {
        let current = Self::at(&state_dir.join(CURRENT)).await;
        let next = Self::at(&state_dir.join(NEXT)).await;
        match (current, next) {
            (Some(current), Some(next)) => {
                next.drain().await;
                vec![current]
            }
            (Some(current), None) => vec![current],
            (None, Some(next)) => {
                // Its daemon died before it could say so.
                if let Err(error) = promote(state_dir) {
                    tracing::warn!(%error, "the next daemon may not find the DNS process");
                }
                vec![next]
            }
            (None, None) => Vec::new(),
        }
    }

    async fn at(path: &Path) -> Option<Self> {
        match timeout(PATIENCE, Self::ask(path)).await {
            Ok(Ok(predecessor)) => return predecessor,
            Ok(Err(error)) => {
                tracing::warn!(path = %path.display(), %error, "the DNS process there is not understood: it is ended");
            }
            Err(_) => {
                tracing::warn!(path = %path.display(), "the DNS process there does not answer: it is ended");
            }
        }
        kill_noted(path).await;
        None
    }

    async fn ask(path: &Path) -> Result<Option<Self>, FeedError> {
        let Ok(stream) = UnixStream::connect(path).await else { return Ok(None) };
        let mut channel = Channel::new(stream);
        channel.send(&ToChild::HandOver, &[]).await?;
        let sockets = match channel.receive().await? {
            Some(FromChild::Sockets { udp, tcp }) => Some(channel.sockets(udp, tcp)?),
            Some(FromChild::Serving | FromChild::Counters(_)) | None => None,
        };
        Ok(Some(Self { channel, sockets }))
    }

    /// Resolves when it is gone. Nothing is lost if the future is dropped.
    pub async fn gone(&mut self) {
        // It has nothing to say that matters.
        while let Ok(Some(_)) = self.channel.receive::<FromChild>().await {}
    }

    /// Tells it to answer what it has read, and to end.
    pub async fn drain(self) {
        match timeout(PATIENCE, self.channel.send(&ToChild::Drain, &[])).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the old DNS process is gone"),
            Err(_) => tracing::warn!("the old DNS process does not listen"),
        }
    }
}

/// Listens as [`NEXT`]; only our own user may connect.
///
/// # Errors
///
/// The path that cannot be taken.
pub fn listen(state_dir: &Path) -> Result<UnixListener, (PathBuf, io::Error)> {
    let path = state_dir.join(NEXT);
    let fail = |source| (path.clone(), source);
    remove(&path).map_err(fail)?;
    // The mode of the socket file is that of the process's mask at the bind.
    let before = umask(Mode::S_IRWXG | Mode::S_IRWXO | Mode::S_IXUSR);
    let listener = UnixListener::bind(&path);
    umask(before);
    listener.map_err(fail)
}

/// Notes the process that listens as [`NEXT`]: one that hangs can be ended by its number only.
pub fn note(state_dir: &Path, pid: Option<u32>) {
    let path = noted(&state_dir.join(if state_dir.join(NEXT).exists() { NEXT } else { CURRENT }));
    if let Some(pid) = pid
        && let Err(error) = fs::write(&path, pid.to_string())
    {
        tracing::warn!(path = %path.display(), %error, "the DNS process cannot be ended if it hangs");
    }
}

fn noted(socket: &Path) -> PathBuf {
    socket.with_added_extension("pid")
}

/// Whether a process is a DNS child.
pub fn is_child(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default().starts_with(b"ferrule\0dns\0child\0")
}

/// Ends the process that was noted, if it is still what it was, and waits until it has let go of its sockets.
async fn kill_noted(socket: &Path) {
    let noted = fs::read_to_string(noted(socket)).ok().and_then(|text| text.trim().parse::<i32>().ok());
    let Some(pid) = noted.and_then(rustix::process::Pid::from_raw) else { return };
    // From here on the number means this process and no later one.
    let Ok(process) = pidfd_open(pid, PidfdFlags::NONBLOCK) else { return };
    if !is_child(pid.as_raw_nonzero().get().unsigned_abs()) {
        return;
    }
    let ended = match pidfd_send_signal(&process, Signal::KILL).map_err(io::Error::from) {
        Ok(()) => ended(process).await,
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        tracing::warn!(pid = pid.as_raw_nonzero().get(), %error, "a DNS process that hangs cannot be ended");
    }
}

async fn ended(process: OwnedFd) -> io::Result<()> {
    #[expect(deprecated, reason = "its successor is unsafe; an OwnedFd is the same descriptor all its life")]
    let process = AsyncFd::with_interest(process, Interest::READABLE)?;
    // Readable once it has ended (pidfd_open(2)).
    timeout(PATIENCE, process.readable()).await.map_err(|_| io::ErrorKind::TimedOut)?.map(drop)
}

/// The child that listens as [`NEXT`] is the one that serves.
///
/// # Errors
///
/// The file cannot be renamed.
pub fn promote(state_dir: &Path) -> io::Result<()> {
    let (next, current) = (state_dir.join(NEXT), state_dir.join(CURRENT));
    // The number first: whenever one of the two is done, it leads to a process that may be ended.
    match fs::rename(noted(&next), noted(&current)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::rename(next, current)
}

/// Ends whatever serves, for `ferrule cleanup`; whether anything did.
pub async fn end_all(state_dir: &Path) -> io::Result<bool> {
    let found = Predecessor::find(state_dir).await;
    let is_any = !found.is_empty();
    for predecessor in found {
        predecessor.drain().await;
    }
    for name in [CURRENT, NEXT] {
        remove(&state_dir.join(name))?;
        remove(&noted(&state_dir.join(name)))?;
    }
    Ok(is_any)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
