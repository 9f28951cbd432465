//! Whether the node's DNS server answers: a question each quarter of a second, as a pod would ask it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Between questions.
const PERIOD: Duration = Duration::from_millis(250);
/// How long an answer may take: the server has nobody to ask.
const ANSWER: Duration = Duration::from_millis(250);
/// So many questions in a row without an answer make it unhealthy: a child that is replaced misses none.
const FAILURES: u32 = 4;

/// How the server is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether it is to be asked.
    pub is_healthy: bool,
    /// Questions in a row without an answer.
    pub failures: u32,
}

/// Asks the server at `addr` for the zone's version, for as long as somebody listens.
pub async fn run(addr: SocketAddr, zone: Name, health: watch::Sender<Health>) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = health.closed() => return,
            _ = ticks.tick() => {}
        }
        let answers = matches!(timeout(ANSWER, ask(addr, &zone)).await, Ok(Ok(())));
        health.send_if_modified(|health| {
            let before = *health;
            health.failures = if answers { 0 } else { health.failures.saturating_add(1) };
            health.is_healthy = answers || (health.is_healthy && health.failures < FAILURES);
            *health != before
        });
    }
}

async fn ask(addr: SocketAddr, zone: &Name) -> std::io::Result<()> {
    let any =
        if addr.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind::<SocketAddr>(any).await?;
    socket.connect(addr).await?;
    let mut query = Message::query();
    query.add_query(Query::query(zone.clone(), RecordType::SOA));
    let packet = query.to_vec().map_err(std::io::Error::other)?;
    socket.send(&packet).await?;
    let mut answer = [0; 512];
    loop {
        let length = socket.recv(&mut answer).await?;
        if answer.get(..2) == packet.get(..2) && length > 2 {
            return Ok(());
        }
    }
}
