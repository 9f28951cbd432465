//! What the daemon and its DNS child say to each other: frames over a Unix socket, sockets passed along with them.
//!
//! A frame is its length (four bytes, network order) and a postcard value. Descriptors travel with the first byte of the
//! frame that announces them (SCM_RIGHTS, unix(7)). Both ends are one binary of one version, except for [`ToChild::HandOver`]
//! and [`ToChild::Drain`], which the next version's daemon says as well: their numbers stay.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::config::DnsConfig;
use crate::metrics::Counters;
use crate::record::Change;
use crate::server::Sockets;

/// From the daemon.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToChild {
    /// Pass the sockets on: answered with [`FromChild::Sockets`].
    HandOver,
    /// Read no more, answer what was read, and end.
    Drain,
    /// What to serve. The first thing that is said to a new child.
    Setup(Box<Setup>),
    /// Sockets to serve on; so many descriptors come along, the listener for handing over last.
    Sockets {
        /// For UDP.
        udp: usize,
        /// For TCP.
        tcp: usize,
    },
    /// The zone changed.
    Zone(Update),
    /// Forwarders that take their upstreams from a file ask these, by file.
    Upstreams(BTreeMap<PathBuf, Vec<SocketAddr>>),
    /// Begin to answer.
    Serve,
    /// Answered with [`FromChild::Counters`].
    Count,
}

/// What a child serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// The configuration.
    pub config: DnsConfig,
    /// Threads that serve.
    pub workers: usize,
}

/// A change of the zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// What changed.
    pub changes: Vec<Change>,
    /// The SOA's serial.
    pub serial: u32,
    /// What clients call the server.
    pub service_addrs: Vec<IpAddr>,
    /// Everything is known after this.
    pub is_synced: bool,
}

/// From the child.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromChild {
    /// So many descriptors come along.
    Sockets {
        /// For UDP.
        udp: usize,
        /// For TCP.
        tcp: usize,
    },
    /// It answers queries now.
    Serving,
    /// What it counted.
    Counters(Box<Counters>),
}

/// Why the other end cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The socket failed, or the other end is gone.
    #[error("the channel to the DNS process: {0}")]
    Io(#[source] io::Error),
    /// A frame that is none: another version, or not ours at all.
    #[error("the channel to the DNS process: {0}")]
    Frame(#[source] postcard::Error),
    /// A frame that announces what did not come, or is too long.
    #[error("the channel to the DNS process: {0}")]
    Broken(&'static str),
}

/// A frame may not be longer: a Service of 100,000 endpoints takes a tenth of it.
const MAX_FRAME_BYTES: usize = 256 << 20;
/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;
/// Descriptors that one message carries at most (SCM_MAX_FD of the kernel).
pub const MAX_DESCRIPTORS: usize = 253;

/// One end of the channel.
#[derive(Debug)]
pub struct Channel {
    stream: UnixStream,
    buffer: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
}

impl Channel {
    /// Takes a stream.
    #[must_use]
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, buffer: Vec::new(), descriptors: VecDeque::new() }
    }

    /// Sends a frame, with descriptors where it announces some.
    ///
    /// # Errors
    ///
    /// The other end is gone, or the value cannot be encoded.
    pub async fn send(
        &self,
        value: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), FeedError> {
        let value = postcard::to_stdvec(value).map_err(FeedError::Frame)?;
        let length = u32::try_from(value.len()).map_err(|_| FeedError::Broken("a frame is too long"))?;
        let mut frame = Vec::with_capacity(4 + value.len());
        frame.extend(length.to_be_bytes());
        frame.extend(value);
        let mut sent = 0;
        while let Some(rest) = frame.get(sent..).filter(|rest| !rest.is_empty()) {
            // With the first byte, and only once.
            let along = if sent == 0 { descriptors } else { &[] };
            let send = || send_some(self.stream.as_fd(), rest, along);
            sent += self.stream.async_io(Interest::WRITABLE, send).await.map_err(FeedError::Io)?;
        }
        Ok(())
    }

    /// The next frame; `None` if the other end is gone. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    ///
    /// The socket failed, or what came is no frame.
    pub async fn receive<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FeedError> {
        loop {
            if let Some(value) = self.take()? {
                return Ok(Some(value));
            }
            let mut bytes = vec![0; READ_BYTES];
            let (buffer, descriptors) = (&mut self.buffer, &mut self.descriptors);
            let stream = &self.stream;
            let received = stream
                .async_io(Interest::READABLE, || receive_some(stream.as_fd(), &mut bytes, descriptors))
                .await
                .map_err(FeedError::Io)?;
            match bytes.get(..received) {
                Some([]) | None => return Ok(None),
                Some(some) => buffer.extend(some),
            }
        }
    }

    fn take<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FeedError> {
        let Some(length) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if length > MAX_FRAME_BYTES {
            return Err(FeedError::Broken("a frame is too long"));
        }
        let Some(value) = self.buffer.get(4..4 + length) else { return Ok(None) };
        let value = postcard::from_bytes(value).map_err(FeedError::Frame)?;
        self.buffer.drain(..4 + length);
        Ok(Some(value))
    }

    /// The sockets that the last frame announced.
    ///
    /// # Errors
    ///
    /// They did not come.
    pub fn sockets(&mut self, udp: usize, tcp: usize) -> Result<Sockets, FeedError> {
        let count = udp.checked_add(tcp).filter(|count| *count <= self.descriptors.len());
        if count.is_none() {
            return Err(FeedError::Broken("sockets were announced and did not come"));
        }
        Ok(Sockets {
            udp: self.descriptors.drain(..udp).map(UdpSocket::from).collect(),
            tcp: self.descriptors.drain(..tcp).map(TcpListener::from).collect(),
        })
    }

    /// A descriptor that came along beside those that were announced.
    pub fn descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptors.pop_front()
    }
}

/// The descriptors of sockets, in the order in which [`Channel::sockets`] takes them.
#[must_use]
pub fn descriptors(sockets: &Sockets) -> Vec<BorrowedFd<'_>> {
    let udp = sockets.udp.iter().map(AsFd::as_fd);
    udp.chain(sockets.tcp.iter().map(AsFd::as_fd)).collect()
}

fn send_some(stream: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "more sockets than one message carries"));
    }
    Ok(sendmsg(stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}

fn receive_some(
    stream: BorrowedFd<'_>,
    bytes: &mut [u8],
    descriptors: &mut VecDeque<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(stream, &mut [IoSliceMut::new(bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            descriptors.extend(passed);
        }
    }
    Ok(received.bytes)
}
