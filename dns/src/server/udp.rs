//! UDP: datagrams in, datagrams out. Answers from the zone go out before the next query is read; those of upstreams when
//! they come.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use nix::libc;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::resolver::{Resolver, Step};
use super::{Phase, ZoneReader, draining};
use crate::message::Transport;

/// Queries that are read before others of the thread have their turn.
const BATCH: usize = 64;
/// No query is larger; what is cut off could not be decoded.
const QUERY_BYTES: usize = 4096;

/// The server of one socket.
pub(super) struct Server {
    socket: Arc<Socket>,
    resolver: Arc<Resolver>,
    zone: ZoneReader,
}

impl Server {
    /// Takes a bound socket. Needs the runtime.
    pub(super) fn new(socket: std::net::UdpSocket, resolver: Arc<Resolver>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let is_any = socket.local_addr()?.ip().is_unspecified();
        let socket = Arc::new(Socket { socket: UdpSocket::from_std(socket)?, is_any });
        let zone = resolver.zone();
        Ok(Self { socket, resolver, zone })
    }

    /// Serves until it is to drain, and what was read then.
    pub(super) async fn run(mut self, mut phase: watch::Receiver<Phase>) {
        let mut buffer = vec![0; QUERY_BYTES];
        let mut later = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = draining(&mut phase) => break,
                readable = self.socket.socket.readable() => match readable {
                    Ok(()) => self.batch(&mut buffer, &mut later).await,
                    Err(error) => {
                        tracing::error!(%error, "a UDP socket failed");
                        break;
                    }
                },
                Some(_) = later.join_next() => {}
            }
        }
        while later.join_next().await.is_some() {}
    }

    async fn batch(&mut self, buffer: &mut [u8], later: &mut JoinSet<()>) {
        let zone = Arc::clone(self.zone.current());
        for _ in 0..BATCH {
            // Nothing left, or the error of an earlier answer that nobody took: readiness was cleared if it was.
            let Ok((length, client)) = self.socket.receive(buffer) else { return };
            let Some(packet) = buffer.get(..length) else { return };
            match self.resolver.step(&zone, packet, Transport::Udp) {
                Step::Silent => {}
                Step::Reply(reply) => self.socket.send(&reply, client).await,
                Step::Later(query) => {
                    let (socket, resolver) = (Arc::clone(&self.socket), Arc::clone(&self.resolver));
                    later.spawn(async move {
                        let reply = resolver.finish(*query).await;
                        socket.send(&reply, client).await;
                    });
                }
            }
        }
    }
}

/// A socket and whether it is bound to all addresses: then each answer says where it comes from.
struct Socket {
    socket: UdpSocket,
    is_any: bool,
}

/// Who asked, and which of our addresses, where that is not the socket's.
#[derive(Clone, Copy)]
struct Client {
    addr: SocketAddr,
    asked: Option<IpAddr>,
}

impl Socket {
    fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Client)> {
        if self.is_any {
            return self.socket.try_io(Interest::READABLE, || receive_with_address(&self.socket, buffer));
        }
        let (length, addr) = self.socket.try_recv_from(buffer)?;
        Ok((length, Client { addr, asked: None }))
    }

    /// Sends a reply. One that cannot be sent is one that the client asks for again.
    async fn send(&self, reply: &[u8], client: Client) {
        let sent = match client.asked {
            None => self.socket.send_to(reply, client.addr).await.map(|_| ()),
            Some(asked) => {
                let send = || send_from_address(&self.socket, reply, client.addr, asked);
                self.socket.async_io(Interest::WRITABLE, send).await
            }
        };
        if let Err(error) = sent {
            tracing::debug!(client = %client.addr, %error, "an answer could not be sent");
        }
    }
}

fn receive_with_address(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, Client)> {
    let mut control = nix::cmsg_space!(libc::in6_pktinfo);
    let mut buffers = [IoSliceMut::new(buffer)];
    let received =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut buffers, Some(&mut control), MsgFlags::empty())?;
    let mut asked = None;
    for message in received.cmsgs()? {
        if let ControlMessageOwned::Ipv4PacketInfo(info) = message {
            asked = Some(IpAddr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()));
        } else if let ControlMessageOwned::Ipv6PacketInfo(info) = message {
            asked = Some(IpAddr::from(info.ipi6_addr.s6_addr));
        }
    }
    let addr = received.address.and_then(socket_addr).ok_or(io::ErrorKind::InvalidData)?;
    Ok((received.bytes, Client { addr, asked }))
}

fn socket_addr(addr: SockaddrStorage) -> Option<SocketAddr> {
    let v4 = addr.as_sockaddr_in().map(|v4| SocketAddr::from((v4.ip(), v4.port())));
    v4.or_else(|| {
        let v6 = addr.as_sockaddr_in6()?;
        Some(std::net::SocketAddrV6::new(v6.ip(), v6.port(), v6.flowinfo(), v6.scope_id()).into())
    })
}

fn send_from_address(socket: &UdpSocket, reply: &[u8], client: SocketAddr, asked: IpAddr) -> io::Result<()> {
    let reply = [IoSlice::new(reply)];
    let to = SockaddrStorage::from(client);
    let send =
        |info: &[ControlMessage<'_>]| sendmsg(socket.as_raw_fd(), &reply, info, MsgFlags::empty(), Some(&to));
    match asked {
        IpAddr::V4(asked) => {
            let source = libc::in_addr { s_addr: u32::from_ne_bytes(asked.octets()) };
            let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: source };
            send(&[ControlMessage::Ipv4PacketInfo(&info)])?;
        }
        IpAddr::V6(asked) => {
            let info =
                libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: asked.octets() }, ipi6_ifindex: 0 };
            send(&[ControlMessage::Ipv6PacketInfo(&info)])?;
        }
    }
    Ok(())
}
