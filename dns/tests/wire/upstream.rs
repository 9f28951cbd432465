//! Upstreams that behave as a test says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::client::framed;
use crate::served::{LOCALHOST, free_addr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Udp,
    Tcp,
}

/// A query that an upstream got, and the way back.
pub(crate) struct Asked {
    pub(crate) packet: Vec<u8>,
    pub(crate) over: Over,
    back: Back,
}

enum Back {
    Udp(Arc<UdpSocket>, SocketAddr),
    Tcp(TcpStream),
}

impl Asked {
    /// Sends bytes back. Whoever asked may be gone.
    pub(crate) fn reply(&self, bytes: &[u8]) {
        match &self.back {
            Back::Udp(socket, to) => drop(socket.send_to(bytes, to)),
            Back::Tcp(stream) => drop((&*stream).write_all(&framed(bytes))),
        }
    }

    /// Sends them to whoever asked from another port.
    pub(crate) fn reply_from_elsewhere(&self, bytes: &[u8]) {
        if let Back::Udp(_, to) = &self.back {
            UdpSocket::bind((LOCALHOST, 0)).unwrap().send_to(bytes, to).unwrap();
        }
    }
}

/// What came, in order.
type Seen = Arc<Mutex<Vec<(Over, Vec<u8>)>>>;

/// A server that is asked. It ends when it is dropped.
pub(crate) struct Upstream {
    pub(crate) addr: SocketAddr,
    seen: Seen,
    held: Arc<Mutex<Vec<Asked>>>,
    is_over: Arc<AtomicBool>,
}

impl Upstream {
    /// Answers as it is told.
    pub(crate) fn new(answer: impl Fn(&Asked) + Send + Sync + 'static) -> Self {
        Self::at(free_addr(LOCALHOST), answer)
    }

    pub(crate) fn at(addr: SocketAddr, answer: impl Fn(&Asked) + Send + Sync + 'static) -> Self {
        Self::run(addr, move |asked, _| {
            answer(&asked);
        })
    }

    /// Keeps what it is asked until [`Upstream::release`].
    pub(crate) fn holding() -> Self {
        Self::run(free_addr(LOCALHOST), |asked, held| {
            held.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
        })
    }

    fn run(addr: SocketAddr, take: impl Fn(Asked, &Mutex<Vec<Asked>>) + Send + Sync + 'static) -> Self {
        let upstream = Self { addr, seen: Arc::default(), held: Arc::default(), is_over: Arc::default() };
        let udp = Arc::new(UdpSocket::bind(addr).unwrap());
        let tcp = TcpListener::bind(addr).unwrap();
        udp.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let (seen, held, is_over) =
            (Arc::clone(&upstream.seen), Arc::clone(&upstream.held), Arc::clone(&upstream.is_over));
        let take = Arc::new(move |asked: Asked| {
            let entry = (asked.over, asked.packet.clone());
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
            take(asked, &held);
        });
        let take_udp = Arc::clone(&take);
        let is_udp_over = Arc::clone(&is_over);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65_535];
            while !is_udp_over.load(Ordering::Relaxed) {
                let Ok((length, from)) = udp.recv_from(&mut buffer) else { continue };
                let back = Back::Udp(Arc::clone(&udp), from);
                take_udp(Asked { packet: buffer[..length].to_vec(), over: Over::Udp, back });
            }
        });
        std::thread::spawn(move || {
            while let Ok((stream, _)) = tcp.accept() {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let mut length = [0; 2];
                if (&stream).read_exact(&mut length).is_err() {
                    continue;
                }
                let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
                if (&stream).read_exact(&mut packet).is_ok() {
                    take(Asked { packet, over: Over::Tcp, back: Back::Tcp(stream) });
                }
            }
        });
        upstream
    }

    /// What it was asked, in order.
    pub(crate) fn seen(&self) -> Vec<(Over, Vec<u8>)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// What it keeps.
    pub(crate) fn release(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Its listener waits for one more.
        drop(TcpStream::connect(self.addr));
    }
}
