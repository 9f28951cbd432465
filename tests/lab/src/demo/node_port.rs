//! A NodePort from its own node: on the node's addresses and on loopback.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Result;

use super::app::{App, NODE_PORT};
use super::report::{Finding, Report};
use super::spread::{counts, is_whole};
use crate::lab::Lab;
use crate::workload::{Dial, Workload};

/// Requests to each address in each way of dialling.
const REQUESTS: u32 = 25;

pub(super) fn show(report: &mut Report, lab: &Lab, app: &App) -> Result<()> {
    for node in lab.nodes() {
        let [v4, v6] = node.address().both();
        let title = format!("NodePort {NODE_PORT} from {}, its addresses and loopback", node.name());
        report.step(&title, |progress| {
            let mut answered = BTreeMap::<String, u64>::new();
            let mut problems = Vec::new();
            for ip in [v4, v6, Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
                let to = SocketAddr::from((ip, NODE_PORT));
                progress.note(to.to_string());
                for dial in [Dial::Tcp, Dial::UdpConnected, Dial::UdpUnconnected] {
                    let tally = node.client().run(Workload::new(dial, to).concurrency(4), REQUESTS)?;
                    for (pod, times) in &tally.answered {
                        *answered.entry(pod.clone()).or_default() += times;
                    }
                    if !is_whole(&tally, to) {
                        problems
                            .push(format!("{dial:?} to {to}: {:?}, peers {:?}", tally.failed, tally.peers));
                    }
                }
            }
            let mut ready = app.ready();
            ready.sort();
            let holds = problems.is_empty() && answered.keys().eq(&ready);
            let measured = std::iter::once(format!("TCP and UDP: {}", counts(&answered))).chain(problems);
            Ok(Finding::new(holds, measured.collect::<Vec<_>>().join("; ")))
        })?;
    }
    Ok(())
}
