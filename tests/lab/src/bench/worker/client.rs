//! The client: carries out orders until there are no more.

use std::io::{BufRead, Write};

use anyhow::{Context, Result};

use super::{OTHER, SERVER, connections, pings, settle};
use crate::bench::order::{Done, Order, Placed, Reply, Traffic};

/// Reads an order a line from standard input and answers each with a line.
///
/// # Errors
///
/// A line is no order, or nobody reads the answers.
pub fn run() -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let order: Order = serde_json::from_str(&line?).context("reading an order")?;
        let reply = match carry_out(&order) {
            Ok(done) => Reply::Done(done),
            Err(error) => Reply::Failed(format!("{order:?}: {error:#}")),
        };
        let mut line = serde_json::to_vec(&reply)?;
        line.push(b'\n');
        stdout.write_all(&line)?;
        stdout.flush()?;
    }
    Ok(())
}

fn carry_out(order: &Order) -> Result<Done> {
    settle(match order.placed {
        Placed::WithServer => SERVER,
        Placed::Apart => OTHER,
    })?;
    match order.traffic {
        Traffic::Connections => connections::run(&order.to, order.time),
        Traffic::TcpPing => pings::tcp(&order.to, order.time),
        Traffic::UdpPingConnected => pings::udp_connected(&order.to, order.time),
        Traffic::UdpPingUnconnected => pings::udp_unconnected(&order.to, order.time),
        Traffic::UdpSockets => pings::udp_sockets(&order.to, order.time),
    }
}
