//! One request at a time: how long an answer takes.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{AddressFamily, SockFlag, SockType};

use crate::bench::order::{Done, Draw, Samples, Targets};

/// How long an answer may take: a lost datagram ends the order.
const LIMIT: Duration = Duration::from_secs(2);

pub(super) fn tcp(to: &Targets, time: Duration) -> Result<Done> {
    let to = Draw::new().next(to);
    let mut stream = TcpStream::connect(to).with_context(|| format!("connecting to {to}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LIMIT))?;
    repeat(time, || {
        let mut byte = [0];
        stream.write_all(b"x")?;
        stream.read_exact(&mut byte).context("reading the answer")
    })
}

pub(super) fn udp_connected(to: &Targets, time: Duration) -> Result<Done> {
    let socket = socket()?;
    socket.connect(Draw::new().next(to))?;
    repeat(time, || ask(&socket))
}

pub(super) fn udp_unconnected(to: &Targets, time: Duration) -> Result<Done> {
    let socket = socket()?;
    let to = Draw::new().next(to);
    repeat(time, || {
        let mut byte = [0];
        socket.send_to(b"x", to)?;
        let (_, from) = socket.recv_from(&mut byte).context("reading the answer")?;
        ensure!(from == to.into(), "{from} answered for {to}");
        Ok(())
    })
}

pub(super) fn udp_sockets(to: &Targets, time: Duration) -> Result<Done> {
    let mut draw = Draw::new();
    repeat(time, || {
        let socket = socket()?;
        socket.connect(draw.next(to))?;
        ask(&socket)
    })
}

fn socket() -> Result<UdpSocket> {
    // Unbound, as resolvers open theirs; the standard library would bind it.
    let socket =
        nix::sys::socket::socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None);
    let socket = UdpSocket::from(socket.context("a socket")?);
    socket.set_read_timeout(Some(LIMIT))?;
    Ok(socket)
}

fn ask(socket: &UdpSocket) -> Result<()> {
    let mut byte = [0];
    socket.send(b"x")?;
    socket.recv(&mut byte).context("reading the answer")?;
    Ok(())
}

/// Does it again and again for that long.
fn repeat(time: Duration, mut once: impl FnMut() -> Result<()>) -> Result<Done> {
    let begun = Instant::now();
    let mut samples = Samples::default();
    let mut last = begun;
    while last.duration_since(begun) < time {
        once()?;
        let now = Instant::now();
        samples.push(now.duration_since(last));
        last = now;
    }
    Ok(samples.into_done(last.duration_since(begun)))
}
