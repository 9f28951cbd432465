//! Whether the node's DNS server answers: a question each quarter of a second at each of its addresses, as a pod would
//! ask it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Between questions.
const PERIOD: Duration = Duration::from_millis(250);
/// How long an answer may take: the server has nobody to ask.
const ANSWER: Duration = Duration::from_millis(250);
/// So many questions in a row without an answer make an address unhealthy: a child that is replaced misses none.
const FAILURES: u32 = 3;

/// How the server is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    addrs: Vec<Probed>,
}

/// How it is doing at one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Probed {
    addr: SocketAddr,
    is_healthy: bool,
    /// Questions in a row without an answer.
    failures: u32,
}

impl Health {
    /// Before the first question: at the addresses that are served already it is healthy.
    #[must_use]
    pub fn new(addrs: &[SocketAddr], served: &[SocketAddr]) -> Self {
        let probed =
            |addr: &SocketAddr| Probed { addr: *addr, is_healthy: served.contains(addr), failures: 0 };
        Self { addrs: addrs.iter().map(probed).collect() }
    }

    /// Where it is to be asked.
    #[must_use]
    pub fn healthy(&self) -> Vec<SocketAddr> {
        self.addrs.iter().filter(|probed| probed.is_healthy).map(|probed| probed.addr).collect()
    }

    /// Where it is not.
    #[must_use]
    pub fn unhealthy(&self) -> Vec<SocketAddr> {
        self.addrs.iter().filter(|probed| !probed.is_healthy).map(|probed| probed.addr).collect()
    }

    /// Rounds of questions in a row that none of the addresses answered.
    #[must_use]
    pub fn silent_rounds(&self) -> u32 {
        self.addrs.iter().map(|probed| probed.failures).min().unwrap_or_default()
    }

    /// Questions in a row without an answer, at the address where that is the most.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.addrs.iter().map(|probed| probed.failures).max().unwrap_or_default()
    }
}

impl Probed {
    fn after(self, answers: bool) -> Self {
        let failures = if answers { 0 } else { self.failures.saturating_add(1) };
        Self { failures, is_healthy: answers || (self.is_healthy && failures < FAILURES), ..self }
    }
}

/// Asks the server at each of its addresses about the zone, for as long as somebody listens.
pub async fn run(zone: Name, health: watch::Sender<Health>) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = health.closed() => return,
            _ = ticks.tick() => {}
        }
        let before = health.borrow().clone();
        let probe = |probed: Probed| {
            let asked = timeout(ANSWER, ask(probed.addr, &zone));
            async move { probed.after(matches!(asked.await, Ok(Ok(())))) }
        };
        let after = Health { addrs: join_all(before.addrs.iter().map(|probed| probe(*probed))).await };
        health.send_if_modified(|health| {
            *health = after;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends back what it gets.
    async fn echo() -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let addr = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut packet = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut packet).await {
                socket.send_to(&packet[..length], from).await.unwrap();
            }
        });
        addr
    }

    #[tokio::test]
    async fn each_address_is_asked_and_one_that_is_silent_is_known_for_itself() {
        let answering = echo().await;
        // Bound, and never read.
        let silent = UdpSocket::bind("127.0.0.2:0").await.unwrap();
        let both = [answering, silent.local_addr().unwrap()];
        let (sender, mut health) = watch::channel(Health::new(&both, &both));
        tokio::spawn(run(Name::root(), sender));
        let known = timeout(Duration::from_secs(10), health.wait_for(|h| !h.unhealthy().is_empty())).await;
        let known = known.unwrap().unwrap().clone();
        assert_eq!((known.healthy(), known.unhealthy()), (vec![both[0]], vec![both[1]]));
        assert_eq!((known.silent_rounds(), known.failures()), (0, FAILURES));
    }

    #[test]
    fn an_address_is_healthy_after_one_answer_and_until_several_are_missing() {
        let addr = "127.0.0.1:53".parse().unwrap();
        let mut probed = Probed { addr, is_healthy: false, failures: 0 }.after(false).after(true);
        assert!(probed.is_healthy);
        for failures in 1..FAILURES {
            probed = probed.after(false);
            assert!(probed.is_healthy && probed.failures == failures);
        }
        assert!(!probed.after(false).is_healthy);
    }
}
