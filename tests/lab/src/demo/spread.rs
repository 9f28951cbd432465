//! Requests to the Service's address reach all ready pods, in every way of dialling.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result};

use super::app::{App, short};
use super::report::{Finding, Report, us};
use crate::client::Client;
use crate::workload::{Dial, Tally, Workload};

const REQUESTS: u32 = 300;
/// In flight at a time.
const CONCURRENCY: u16 = 8;
/// Of 300 random choices among three pods each gets 100, give or take 8.2 (one standard deviation). Nearly five of
/// those either way: of 50,000 demos with a fair choice one gives a false alarm.
const FAIR: std::ops::RangeInclusive<u64> = 60..=140;

pub(super) fn show(report: &mut Report, app: &App) -> Result<()> {
    let [v4, v6, mapped] = app.dialled();
    let (first, second) = (client(app, 0)?, client(app, 1)?);
    let new_sockets = [
        ("300 × TCP to {}", Dial::Tcp, v4, first),
        ("300 × UDP to {}, connected sockets", Dial::UdpConnected, v4, first),
        ("300 × UDP to {}, unconnected sockets", Dial::UdpUnconnected, v4, first),
        ("300 × TCP to {}", Dial::Tcp, v6, second),
        ("300 × UDP to {}, connected sockets", Dial::UdpConnected, v6, second),
        ("300 × UDP to {}, unconnected sockets", Dial::UdpUnconnected, v6, second),
        ("300 × TCP to {} (IPv6 sockets)", Dial::Tcp, mapped, second),
    ];
    for (title, dial, to, client) in new_sockets {
        report.step(&title.replace("{}", &to.to_string()), |_| {
            let tally = client.run(Workload::new(dial, to).concurrency(CONCURRENCY), REQUESTS)?;
            let ready = app.ready();
            let fair =
                ready.iter().all(|pod| tally.answered.get(pod).is_some_and(|times| FAIR.contains(times)));
            let holds = fair && tally.answered.len() == ready.len() && is_whole(&tally, to);
            Ok(Finding::new(holds, describe(&tally, to)))
        })?;
    }
    for (to, client) in [(v4, first), (v6, second)] {
        report.step(&format!("300 × UDP to {to}, one unconnected socket"), |_| {
            let tally = client.run(Workload::new(Dial::UdpOneSocket, to), REQUESTS)?;
            Ok(Finding::new(tally.answered.len() == 1 && is_whole(&tally, to), describe(&tally, to)))
        })?;
    }
    Ok(())
}

/// The client pod of a node.
pub(super) fn client(app: &App, number: usize) -> Result<&Client> {
    Ok(app.clients().get(number).context("a client for each node")?.client())
}

/// Everything was answered, and answers seemed to come from what was dialled.
pub(super) fn is_whole(tally: &Tally, dialled: SocketAddr) -> bool {
    tally.requests > 0 && tally.failures() == 0 && tally.saw_only(dialled)
}

fn describe(tally: &Tally, dialled: SocketAddr) -> String {
    let mut parts = vec![counts(&tally.answered)];
    if tally.failures() > 0 {
        parts.push(format!("failed: {}", counts(&tally.failed)));
    }
    let others: Vec<_> =
        tally.peers.keys().filter(|peer| **peer != dialled).map(SocketAddr::to_string).collect();
    if !others.is_empty() {
        parts.push(format!("the peer shown was {}", others.join(", ")));
    }
    parts.push(format!("median {}", us(tally.answer_time.p50_us)));
    parts.join("; ")
}

/// Names and numbers, pods by the end of their names.
pub(super) fn counts(numbers: &BTreeMap<String, u64>) -> String {
    let parts: Vec<_> = numbers.iter().map(|(name, number)| format!("{} {number}", short(name))).collect();
    if parts.is_empty() { "no answer".to_owned() } else { parts.join(", ") }
}
