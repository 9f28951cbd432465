//! The server of a pod: HTTP on TCP and an echo on UDP, both families, both saying which pod answered.

use std::io::Write;
use std::net::{Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpSocket, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{LocalSet, spawn_local};

use super::http;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// More than the longest datagram.
const DATAGRAM_BYTES: usize = 65_536;

/// What the server answers, and where.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Name that it answers with.
    pub name: String,
    /// TCP and UDP port.
    pub port: u16,
    /// How long it goes on serving after SIGTERM, as a pod should while the cluster learns that it leaves.
    pub grace: Duration,
}

/// Serves until SIGTERM and the grace period are over; prints `ready` once its sockets are open.
///
/// # Errors
///
/// A socket could not be opened or failed for good.
pub fn run(options: &ServeOptions) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve(options))
}

async fn serve(options: &ServeOptions) -> Result<()> {
    let everywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, options.port));
    let socket = TcpSocket::new_v6()?;
    socket.set_reuseaddr(true)?;
    socket.bind(everywhere).context("binding the TCP port")?;
    let listener = socket.listen(BACKLOG)?;
    let datagrams = UdpSocket::bind(everywhere).await.context("binding the UDP port")?;
    let mut terminate = signal(SignalKind::terminate())?;
    let body: Rc<str> = format!("{}\n", options.name).into();

    std::io::stdout().write_all(b"ready\n").context("saying that the server is ready")?;
    tokio::select! {
        error = accept(&listener, &body) => error,
        error = echo(&datagrams, body.as_bytes()) => error,
        () = async { terminate.recv().await; tokio::time::sleep(options.grace).await } => Ok(()),
    }
}

async fn accept(listener: &TcpListener, body: &Rc<str>) -> Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await.context("accepting")?;
        let body = Rc::clone(body);
        spawn_local(async move {
            // A client that breaks off is its own business and shows in its own report.
            let _ = http::serve_connection(&mut stream, &body).await;
        });
    }
}

async fn echo(socket: &UdpSocket, name: &[u8]) -> Result<()> {
    let mut buffer = vec![0; DATAGRAM_BYTES];
    loop {
        // An ICMP error for an earlier answer is reported here and ends nothing.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let answer = [name, &buffer[..length]].concat();
        let _ = socket.send_to(&answer, from).await;
    }
}
