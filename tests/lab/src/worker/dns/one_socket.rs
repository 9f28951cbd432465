//! One connected UDP socket for many queries at a time.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_local};

use super::exchange::{Answer, Asked, DATAGRAM_BYTES, Failure, id_of};
use crate::worker::udp;

/// The socket, and the task that gives answers to those who wait for them.
pub(super) struct OneSocket {
    open: Rc<Open>,
    reader: JoinHandle<()>,
}

struct Open {
    socket: UdpSocket,
    waiting: RefCell<BTreeMap<u16, Waiting>>,
    asked: Cell<u64>,
    stray: Cell<u64>,
}

struct Waiting {
    /// Which query it was, counted from the first.
    number: u64,
    answer: oneshot::Sender<io::Result<Vec<u8>>>,
}

impl OneSocket {
    pub(super) async fn open(to: SocketAddr) -> io::Result<Self> {
        let socket = udp::open(to).await?;
        socket.connect(to).await?;
        let open =
            Rc::new(Open { socket, waiting: RefCell::default(), asked: Cell::new(0), stray: Cell::new(0) });
        let reader = spawn_local(Rc::clone(&open).read());
        Ok(Self { open, reader })
    }

    /// Datagrams that nobody waited for.
    pub(super) fn stray(&self) -> u64 {
        self.open.stray.get()
    }

    pub(super) async fn ask(&self, asked: &Asked<'_>) -> Result<Answer, Failure> {
        let open = &*self.open;
        // Ids in flight differ: from the random one on, the next free one.
        let id = (0..=u16::MAX).map(|step| asked.id.wrapping_add(step));
        let free = id.into_iter().find(|id| !open.waiting.borrow().contains_key(id));
        let asked = asked.with_id(free.ok_or(Failure::Answer("too many queries in flight"))?);
        let query = asked.to_bytes()?;
        let (sender, answer) = oneshot::channel();
        let number = open.asked.get();
        open.asked.set(number + 1);
        open.waiting.borrow_mut().insert(asked.id, Waiting { number, answer: sender });
        let _forget = Forget { open, id: asked.id };
        if let Err(error) = open.socket.send(&query).await {
            // The socket reports what an earlier query met, and has sent nothing.
            open.fail_oldest(error, asked.id);
            open.socket.send(&query).await?;
        }
        let answer = answer.await.map_err(|_| Failure::Answer("the socket's reader ended"))?;
        asked.judge(&answer?)
    }
}

impl Drop for OneSocket {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Open {
    async fn read(self: Rc<Self>) {
        let mut buffer = vec![0; DATAGRAM_BYTES];
        loop {
            match self.socket.recv(&mut buffer).await {
                Ok(length) => {
                    let answer = &buffer[..length];
                    let waiting = id_of(answer).and_then(|id| self.waiting.borrow_mut().remove(&id));
                    let taken = waiting.is_some_and(|w| w.answer.send(Ok(answer.to_vec())).is_ok());
                    if !taken {
                        self.stray.set(self.stray.get() + 1);
                    }
                }
                Err(error) => self.fail_oldest(error, None),
            }
        }
    }

    /// Tells the query that has waited longest of an error, other than `spared`.
    fn fail_oldest(&self, error: io::Error, spared: impl Into<Option<u16>>) {
        let spared = spared.into();
        let mut waiting = self.waiting.borrow_mut();
        let others = waiting.iter().filter(|(id, _)| Some(**id) != spared);
        let oldest = others.min_by_key(|(_, waiting)| waiting.number).map(|(id, _)| *id);
        if let Some(oldest) = oldest.and_then(|id| waiting.remove(&id)) {
            // Whoever gave up meanwhile needs no error.
            let _ = oldest.answer.send(Err(error));
        }
    }
}

/// Frees the id of a query whose fate is known.
struct Forget<'a> {
    open: &'a Open,
    id: u16,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.open.waiting.borrow_mut().remove(&self.id);
    }
}
