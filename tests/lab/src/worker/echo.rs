//! The echo server of a site: it says who asked whom.

use std::io::Write;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::rc::Rc;

use anyhow::{Context, Result};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::task::{JoinSet, LocalSet, spawn_local};

use super::raise_file_limit;
use crate::echo::Echo;

/// Connections that may wait to be accepted, as many as the kernel allows by default.
const BACKLOG: u32 = 4096;
/// More than the longest datagram.
const DATAGRAM_BYTES: usize = 65_536;
/// Short, for connections by the ten thousand.
const READ_BYTES: usize = 512;

/// Serves until it is killed; prints `ready` once its sockets are open.
///
/// # Errors
///
/// A socket could not be opened or failed for good.
pub fn run(name: &str, ports: &[u16]) -> Result<()> {
    raise_file_limit()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve(name.into(), ports))
}

async fn serve(name: Rc<str>, ports: &[u16]) -> Result<()> {
    let mut servers = JoinSet::new();
    for port in ports {
        let everywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, *port));
        let socket = TcpSocket::new_v6()?;
        socket.set_reuseaddr(true)?;
        // A server may be several processes.
        socket.set_reuseport(true)?;
        socket.bind(everywhere).with_context(|| format!("binding TCP port {port}"))?;
        let listener = socket.listen(BACKLOG)?;
        let datagrams = bind_shared(everywhere).with_context(|| format!("binding UDP port {port}"))?;
        servers.spawn_local(accept(listener, Rc::clone(&name)));
        servers.spawn_local(answer_datagrams(datagrams, Rc::clone(&name)));
    }
    std::io::stdout().write_all(b"ready\n").context("saying that the server is ready")?;
    servers.join_next().await.context("a server without ports")??
}

/// A UDP socket whose port others of the same user may have too.
fn bind_shared(to: SocketAddr) -> Result<UdpSocket> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Inet6, SockType::Datagram, flags, None)?;
    setsockopt(&socket, sockopt::ReusePort, &true)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(to))?;
    Ok(UdpSocket::from_std(socket.into())?)
}

async fn accept(listener: TcpListener, name: Rc<str>) -> Result<()> {
    loop {
        let (stream, client) = listener.accept().await.context("accepting")?;
        let name = Rc::clone(&name);
        spawn_local(async move {
            // A client that breaks off is its own business and shows in its own report.
            let _ = answer_lines(stream, client, &name).await;
        });
    }
}

async fn answer_lines(mut stream: TcpStream, client: SocketAddr, name: &str) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let head = Echo::head(name, client);
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::with_capacity(READ_BYTES, reader);
    let mut answer = Vec::new();
    loop {
        answer.clear();
        answer.extend(&head);
        if reader.read_until(b'\n', &mut answer).await? == 0 {
            return Ok(());
        }
        writer.write_all(&answer).await?;
    }
}

async fn answer_datagrams(socket: UdpSocket, name: Rc<str>) -> Result<()> {
    let mut buffer = vec![0; DATAGRAM_BYTES];
    loop {
        // An ICMP error for an earlier answer is reported here and ends nothing.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        let answer = [&Echo::head(&name, client)[..], &buffer[..length]].concat();
        let _ = socket.send_to(&answer, client).await;
    }
}
