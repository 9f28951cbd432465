//! Sends probes: all of a batch at once, each with a socket of its own.

use std::io::{BufRead, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::task::{LocalSet, spawn_local};

use super::client::reason;
use super::raise_file_limit;
use crate::echo::Echo;
use crate::probe::{Batch, Probe, ProbeResult, Protocol};

/// How often a datagram is sent: one may be lost to tell the sender of a small MTU, one to a full queue.
const UDP_TRIES: u32 = 4;
/// More than the longest datagram.
const DATAGRAM_BYTES: usize = 65_536;

/// Obeys batches, one JSON line each, until standard input ends.
///
/// # Errors
///
/// Standard input or output failed, or a line was no batch.
pub fn run() -> Result<()> {
    raise_file_limit()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for line in std::io::stdin().lock().lines() {
        let batch = serde_json::from_str(&line?).context("reading probes")?;
        let results = LocalSet::new().block_on(&runtime, send_all(batch))?;
        let mut line = serde_json::to_vec(&results)?;
        line.push(b'\n');
        std::io::stdout().write_all(&line).context("reporting")?;
    }
    Ok(())
}

async fn send_all(batch: Batch) -> Result<Vec<ProbeResult>> {
    let limit = batch.limit;
    let tasks: Vec<_> = (0..)
        .zip(batch.probes)
        .map(|(number, probe)| spawn_local(async move { send(number, probe, limit).await }))
        .collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.context("a probe panicked")?);
    }
    Ok(results)
}

async fn send(number: u32, probe: Probe, limit: Duration) -> ProbeResult {
    let payload = payload(number, probe.payload_bytes);
    let exchange = async {
        match probe.protocol {
            Protocol::Tcp => ask_tcp(&probe, &payload).await,
            Protocol::Udp => ask_udp(&probe, &payload, limit / UDP_TRIES).await,
        }
    };
    match tokio::time::timeout(limit, exchange).await {
        Ok(Ok(answered)) => answered,
        Ok(Err(error)) => ProbeResult::Failed(reason(&error)),
        Err(_) => ProbeResult::Silent,
    }
}

async fn ask_tcp(probe: &Probe, payload: &[u8]) -> Result<ProbeResult> {
    let socket = if probe.to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(source) = probe.source {
        socket.bind((source, 0).into())?;
    }
    let mut stream = socket.connect(probe.to).await?;
    let local = stream.local_addr()?;
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    let mut answer = Vec::new();
    // Both at once: neither side's buffers need to hold all of it.
    let ask = async {
        writer.write_all(payload).await?;
        writer.write_all(b"\n").await
    };
    let (asked, answered) = tokio::join!(ask, reader.read_until(b'\n', &mut answer));
    asked?;
    answered?;
    ensure!(answer.pop() == Some(b'\n'), "the connection was closed before the answer");
    judge(&answer, payload, local)
}

async fn ask_udp(probe: &Probe, payload: &[u8], again: Duration) -> Result<ProbeResult> {
    let any = match probe.to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((probe.source.unwrap_or(any), 0)).await?;
    socket.connect(probe.to).await?;
    let local = socket.local_addr()?;
    let mut buffer = vec![0; DATAGRAM_BYTES];
    loop {
        socket.send(payload).await?;
        if let Ok(received) = tokio::time::timeout(again, socket.recv(&mut buffer)).await {
            return judge(&buffer[..received?], payload, local);
        }
    }
}

fn judge(answer: &[u8], payload: &[u8], local: SocketAddr) -> Result<ProbeResult> {
    let Echo { name, client, payload: echoed } = Echo::parse(answer)?;
    ensure!(echoed == payload, "{} bytes were echoed as {} others", payload.len(), echoed.len());
    Ok(ProbeResult::Answered { by: name.to_owned(), seen: client, local })
}

/// Bytes that differ from probe to probe and along the way, none of them a line's end.
fn payload(number: u32, length: u32) -> Vec<u8> {
    let tag = format!("{number}-{}.", std::process::id()).into_bytes();
    let rest = (0..length).map(|at| b'a' + (at % 25) as u8 + u8::from(at % 1400 > 700));
    tag.into_iter().chain(rest).take(length as usize).collect()
}
