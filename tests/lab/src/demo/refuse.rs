//! A Service without endpoints refuses at once.

use std::time::Duration;

use anyhow::Result;

use super::CHANGE_LIMIT;
use super::app::App;
use super::report::{Finding, Report, ms, us};
use super::spread::{client, counts, is_whole};
use crate::manifests::Condition;
use crate::wait;
use crate::workload::{Dial, Workload};

/// Requests for each family and way of dialling.
const REQUESTS: u32 = 25;
/// Long enough to tell a refusal from silence.
const TIMEOUT: Duration = Duration::from_millis(200);
/// At once: without a packet, so far below any timeout.
const AT_ONCE_US: u64 = 50_000;

pub(super) fn show(report: &mut Report, app: &mut App) -> Result<()> {
    report.step("No endpoints: TCP and UDP are refused at once", |progress| {
        let pods = app.pods();
        app.set_condition(&pods, Condition::Unready)?;
        let [v4, v6, _] = app.dialled();
        let (first, second) = (client(app, 0)?, client(app, 1)?);
        let mut after = Duration::ZERO;
        for (client, to) in [(first, v4), (second, v6)] {
            after = after.max(wait::until("a refusal", CHANGE_LIMIT, || {
                Ok(client.run(Workload::new(Dial::Tcp, to), 1)?.failures() == 1)
            })?);
        }
        let (mut requests, mut refused, mut slowest) = (0, 0, 0);
        let mut others = Vec::new();
        for dial in [Dial::Tcp, Dial::UdpConnected, Dial::UdpUnconnected] {
            for (client, to) in [(first, v4), (second, v6)] {
                progress.note(format!("{dial:?} to {to}"));
                let workload = Workload { timeout: TIMEOUT, ..Workload::new(dial, to) };
                let mut tally = client.run(workload, REQUESTS)?;
                requests += tally.requests;
                refused += tally.failed.remove("ECONNREFUSED").unwrap_or_default();
                slowest = slowest.max(tally.failure_time.max_us);
                if !tally.failed.is_empty() || !tally.answered.is_empty() {
                    others.push(format!(
                        "; {dial:?} to {to}: {}, {}",
                        counts(&tally.failed),
                        counts(&tally.answered)
                    ));
                }
            }
        }
        app.set_condition(&pods, Condition::Ready)?;
        let (first, second) = (client(app, 0)?, client(app, 1)?);
        for (client, to) in [(first, v4), (second, v6)] {
            wait::until("the Service to answer again", CHANGE_LIMIT, || {
                Ok(is_whole(&client.run(Workload::new(Dial::Tcp, to), 1)?, to))
            })?;
        }
        let holds = refused == requests && slowest < AT_ONCE_US;
        let measured = format!(
            "{refused} of {requests} ECONNREFUSED, slowest {}; {} after the change{}",
            us(slowest),
            ms(after),
            others.concat()
        );
        Ok(Finding::new(holds, measured))
    })
}
