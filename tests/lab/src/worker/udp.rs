//! One datagram there, one back.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result};
use tokio::net::UdpSocket;

use super::recorder::Answer;

/// More than any answer to our short payload.
const ANSWER_BYTES: usize = 1024;

pub(super) async fn open(to: SocketAddr) -> std::io::Result<UdpSocket> {
    let any = match to {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    UdpSocket::bind(any).await
}

/// Asks over a connected socket; the peer is what `getpeername` says.
pub(super) async fn request_connected(to: SocketAddr, payload: &str) -> Result<Answer> {
    let socket = open(to).await?;
    socket.connect(to).await?;
    let peer = socket.peer_addr()?;
    socket.send(payload.as_bytes()).await?;
    let mut buffer = [0; ANSWER_BYTES];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if let Some(pod) = pod_of(&buffer[..length], payload)? {
            return Ok(Answer { pod, peer });
        }
    }
}

/// Asks over an unconnected socket; the peer is the source that `recvfrom` says.
pub(super) async fn request_unconnected(socket: &UdpSocket, to: SocketAddr, payload: &str) -> Result<Answer> {
    socket.send_to(payload.as_bytes(), to).await?;
    let mut buffer = [0; ANSWER_BYTES];
    loop {
        let (length, peer) = socket.recv_from(&mut buffer).await?;
        if let Some(pod) = pod_of(&buffer[..length], payload)? {
            return Ok(Answer { pod, peer });
        }
    }
}

/// The pod's name before the echoed payload; nothing when this answers an earlier request that timed out.
fn pod_of(answer: &[u8], payload: &str) -> Result<Option<String>> {
    let answer = std::str::from_utf8(answer)?;
    let (pod, echoed) = answer.split_once('\n').context("an answer without a name")?;
    Ok((echoed == payload).then(|| pod.to_owned()))
}
