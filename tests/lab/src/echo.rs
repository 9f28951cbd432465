//! The lab's end of an echo server, which says who asked whom.

use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::unistd::pipe2;

use crate::client::dev_null;
use crate::pipe::read_line;
use crate::place::Place;
use crate::process::Process;

/// How long a server may take to open its sockets.
const READY_LIMIT: Duration = Duration::from_secs(10);
/// How long it may take to end.
const END_LIMIT: Duration = Duration::from_secs(5);

/// A server that answers each line over TCP and each datagram over UDP with its site's name, the client's address as it
/// sees it, and what was sent. It lives until it is stopped or its site goes.
#[derive(Clone, Debug)]
pub struct EchoServer(Arc<[Arc<Process>]>);

impl EchoServer {
    /// Starts it in that many processes, among which the kernel spreads connections.
    pub(crate) fn start(place: &Place, ports: &[u16], processes: usize) -> Result<Self> {
        let all = (0..processes).map(|_| start_one(place, ports)).collect::<Result<_>>()?;
        Ok(Self(all))
    }

    /// Ends it; its connections are closed.
    ///
    /// # Errors
    ///
    /// It did not end.
    pub fn stop(&self) -> Result<()> {
        self.0.iter().try_for_each(|process| process.signal(Signal::SIGKILL))?;
        self.0.iter().try_for_each(|process| process.wait(END_LIMIT).map(drop))
    }
}

fn start_one(place: &Place, ports: &[u16]) -> Result<Arc<Process>> {
    let (stdout, their_stdout) = pipe2(OFlag::O_CLOEXEC)?;
    let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
    let mut args = vec!["echo", "--name", &place.name];
    args.extend(ports.iter().flat_map(|port| ["--port", port.as_str()]));
    let server = place.start_worker(&args, dev_null()?.as_fd(), their_stdout.as_fd())?;
    drop(their_stdout);
    read_line(&File::from(stdout), &mut Vec::new(), READY_LIMIT).with_context(|| {
        format!("starting an echo server in {}; see {}", place.name, place.log().display())
    })?;
    Ok(server)
}

/// One answer of an echo server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Echo<'a> {
    pub(crate) name: &'a str,
    /// The client's address as the server sees it.
    pub(crate) client: SocketAddr,
    pub(crate) payload: &'a [u8],
}

impl<'a> Echo<'a> {
    /// Begins an answer; the payload follows.
    pub(crate) fn head(name: &str, client: SocketAddr) -> Vec<u8> {
        let client = SocketAddr::new(client.ip().to_canonical(), client.port());
        format!("{name} {client} ").into_bytes()
    }

    /// Reads an answer.
    pub(crate) fn parse(answer: &'a [u8]) -> Result<Self> {
        let mut parts = answer.splitn(3, |byte| *byte == b' ');
        let mut next = || parts.next().context("an answer without a name, an address and a payload");
        let name = std::str::from_utf8(next()?)?;
        let client = std::str::from_utf8(next()?)?;
        let client = client.parse().with_context(|| format!("{client:?} is no address and port"))?;
        Ok(Self { name, client, payload: next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reads_as_it_was_written() {
        let head = Echo::head("x.a", "[::ffff:192.0.2.1]:80".parse().unwrap());
        let answer = [&head[..], b"two words"].concat();
        let client = "192.0.2.1:80".parse().unwrap();
        assert_eq!(Echo::parse(&answer).unwrap(), Echo { name: "x.a", client, payload: b"two words" });
        assert!(Echo::parse(b"x.a two words").is_err());
        assert!(Echo::parse(b"x.a 192.0.2.1:80").is_err());
    }
}
