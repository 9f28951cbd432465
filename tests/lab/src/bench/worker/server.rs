//! The server: answers one byte to each byte, on TCP and on UDP.

use std::collections::HashMap;
use std::io::{IoSliceMut, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::thread;

use anyhow::{Context, Result, anyhow, bail};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrIn,
    accept4, bind, listen, recv, recvmsg, send, sendmsg, setsockopt, socket, sockopt,
};

use super::{SERVER, settle};

/// Connections that may wait: the kernel's own default maximum (net.core.somaxconn, 4096 since Linux 5.4).
const BACKLOG: i32 = 4096;

/// Serves until it is killed; prints `ready` once its sockets are open.
///
/// # Errors
///
/// A socket could not be opened or failed for good.
pub fn run(port: u16) -> Result<()> {
    settle(SERVER)?;
    let everywhere = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port));
    let flags = SockFlag::SOCK_CLOEXEC;
    let tcp = socket(AddressFamily::Inet, SockType::Stream, flags | SockFlag::SOCK_NONBLOCK, None)?;
    bind(tcp.as_raw_fd(), &everywhere).context("binding the TCP port")?;
    listen(&tcp, Backlog::new(BACKLOG)?)?;
    let udp = socket(AddressFamily::Inet, SockType::Datagram, flags, None)?;
    // Answers must come from the address that was asked, and there are thousands.
    setsockopt(&udp, sockopt::Ipv4PacketInfo, &true)?;
    bind(udp.as_raw_fd(), &everywhere).context("binding the UDP port")?;
    std::io::stdout().write_all(b"ready\n").context("saying that the server is ready")?;
    thread::scope(|scope| {
        let datagrams = scope.spawn(|| echo(&udp));
        accept(&tcp)?;
        datagrams.join().map_err(|_| anyhow!("the UDP thread panicked"))?
    })
}

/// Takes connections in and answers on each until the client closes it.
fn accept(listener: &OwnedFd) -> Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let number = |fd: RawFd| u64::from(fd.unsigned_abs());
    epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, number(listener.as_raw_fd())))?;
    let mut open = HashMap::new();
    let mut events = [EpollEvent::empty(); 64];
    loop {
        let ready = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            ready => ready?,
        };
        for event in &events[..ready] {
            if event.data() != number(listener.as_raw_fd()) {
                if open.get(&event.data()).is_some_and(|socket| !answer(socket)) {
                    open.remove(&event.data());
                }
                continue;
            }
            while let Ok(fd) = accept4(listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)
            {
                // SAFETY: a new descriptor that nobody else owns.
                let socket = unsafe { OwnedFd::from_raw_fd(fd) };
                setsockopt(&socket, sockopt::TcpNoDelay, &true)?;
                epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, number(fd)))?;
                open.insert(number(fd), socket);
            }
        }
    }
}

/// Answers what has come; no more when the client is gone, which a reset shows as well as an end.
fn answer(socket: &OwnedFd) -> bool {
    let mut byte = [0];
    match recv(socket.as_raw_fd(), &mut byte, MsgFlags::empty()) {
        Ok(0) => false,
        Ok(_) => send(socket.as_raw_fd(), &byte, MsgFlags::MSG_NOSIGNAL).is_ok(),
        Err(Errno::EAGAIN | Errno::EINTR) => true,
        Err(_) => false,
    }
}

fn echo(socket: &OwnedFd) -> Result<()> {
    let mut control = cmsg_space!(libc::in_pktinfo);
    let mut byte = [0];
    loop {
        let mut parts = [IoSliceMut::new(&mut byte)];
        let received =
            recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty());
        // An ICMP error for an earlier answer is reported here and ends nothing.
        let Ok(message) = received else { continue };
        let from = message.address;
        let Some(ControlMessageOwned::Ipv4PacketInfo(asked)) = message.cmsgs()?.next() else {
            bail!("a datagram without its destination");
        };
        let source = ControlMessage::Ipv4PacketInfo(&asked);
        let part = [std::io::IoSlice::new(b"x")];
        // A client that is gone does not matter.
        let _ = sendmsg(socket.as_raw_fd(), &part, &[source], MsgFlags::empty(), from.as_ref());
    }
}
