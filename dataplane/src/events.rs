//! Drops as events: one task reads the kernel's ring buffer while somebody listens, and spreads what it reads.
//!
//! ```text
//! programs ─▶ EVENTS ─▶ task ─▶ broadcast ─▶ each client's stream (text is made there)
//!     ▲                  │
//!     └──── LISTENERS ◀──┘ 1 with the first listener, 0 with the last and at the start
//! ```
//!
//! A client that is too slow loses the oldest events and is told how many; nobody waits for it. What a full ring buffer
//! loses is known to nobody, but counted with all drops in `DROPS`.

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
pub(crate) mod tests;
mod text;

use std::os::fd::AsRawFd;

use abi::DropEvent;
use tokio::io::unix::AsyncFd;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::kernel::KernelError;

pub(crate) use self::text::Clock;

/// Events that a slow client may be behind.
const BEHIND: usize = 4_096;

/// Events that are read at once: other tasks want the thread too.
const TURN: usize = 1_024;

/// Requests that may wait for the task.
const REQUESTS: usize = 16;

/// The reading end of a ring buffer. Its descriptor is readable when there is something to read.
pub trait Ring: AsRawFd + Send {
    /// The oldest event, taken out.
    fn next(&mut self) -> Option<DropEvent>;

    /// Tells the programs whether anybody reads.
    ///
    /// # Errors
    ///
    /// The switch cannot be written.
    fn set_wanted(&mut self, wanted: bool) -> Result<(), KernelError>;
}

type Request = oneshot::Sender<broadcast::Receiver<DropEvent>>;

/// Where one listens to drops.
#[derive(Clone, Debug)]
pub struct Drops {
    requests: mpsc::Sender<Request>,
}

impl Drops {
    /// Begins to listen; dropping the receiver ends it. `None` if nothing can be listened to: the log says why.
    pub async fn listen(&self) -> Option<broadcast::Receiver<DropEvent>> {
        let (sender, receiver) = oneshot::channel();
        self.requests.send(sender).await.ok()?;
        receiver.await.ok()
    }
}

/// The task that reads a ring buffer. It ends, and the programs fall silent, when it is dropped or nobody can ask any more.
pub fn read<R: Ring>(ring: R) -> (Drops, impl Future<Output = ()>) {
    let (requests, receiver) = mpsc::channel(REQUESTS);
    (Drops { requests }, run(Silenced(ring), receiver))
}

/// A ring buffer that nobody writes to once it is dropped.
struct Silenced<R: Ring>(R);

impl<R: Ring> Silenced<R> {
    fn set_wanted(&mut self, wanted: bool) -> bool {
        match self.0.set_wanted(wanted) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, wanted, "drop events cannot be switched");
                false
            }
        }
    }
}

impl<R: Ring> Drop for Silenced<R> {
    fn drop(&mut self) {
        self.set_wanted(false);
    }
}

impl<R: Ring> AsRawFd for Silenced<R> {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

async fn run<R: Ring>(mut ring: Silenced<R>, mut requests: mpsc::Receiver<Request>) {
    // A daemon that was killed may have left it on.
    ring.set_wanted(false);
    #[expect(
        deprecated,
        reason = "its successor is unsafe; a ring owns one descriptor, the same all its life"
    )]
    let registered = AsyncFd::new(ring);
    let mut ring = match registered {
        Ok(ring) => ring,
        Err(error) => return tracing::warn!(%error, "drop events cannot be waited for"),
    };
    while let Some(request) = requests.recv().await {
        let (sender, receiver) = broadcast::channel(BEHIND);
        // Those of a former listener.
        while ring.get_mut().0.next().is_some() {}
        if ring.get_mut().set_wanted(true) && request.send(receiver).is_ok() {
            spread(&mut ring, &mut requests, &sender).await;
        }
        ring.get_mut().set_wanted(false);
    }
}

/// Spreads events until the last listener has gone.
async fn spread<R: Ring>(
    ring: &mut AsyncFd<Silenced<R>>,
    requests: &mut mpsc::Receiver<Request>,
    sender: &broadcast::Sender<DropEvent>,
) {
    loop {
        tokio::select! {
            () = sender.closed() => return,
            // Who asked may have gone; without the others that ends this loop.
            Some(request) = requests.recv() => drop(request.send(sender.subscribe())),
            ready = ring.readable_mut() => {
                let Ok(mut ready) = ready else { return };
                let mut is_empty = false;
                for _ in 0..TURN {
                    match ready.get_inner_mut().0.next() {
                        // Without listeners there is nobody to tell.
                        Some(event) => {
                            let _ = sender.send(event);
                        }
                        None => {
                            is_empty = true;
                            break;
                        }
                    }
                }
                if is_empty {
                    ready.clear_ready();
                } else {
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}
