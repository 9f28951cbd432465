//! Everything goes: first out of the kernel, then the lab itself.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::app::App;
use super::report::{Finding, Report, ms};
use super::spread::{client, is_whole};
use crate::lab::Lab;
use crate::leaks::{self, Footprint};
use crate::wait;
use crate::workload::{Dial, Workload};

/// The kernel frees programs and maps after grace periods.
const FREE_LIMIT: Duration = Duration::from_secs(5);
/// Connections that show that the Service is in force.
const REQUESTS: u32 = 50;

pub(super) fn show(report: &mut Report, lab: Lab, app: App) -> Result<()> {
    let mut footprint = Footprint::default();
    for node in lab.nodes() {
        footprint.add(node.cgroup())?;
    }
    report.step("SIGTERM of both daemons leaves the Service in force", |_| {
        for node in lab.nodes() {
            let code = node.terminate_ferrule()?;
            ensure!(
                code == 0,
                "ferrule on {} ended with {code}; its log ends with\n{}",
                node.name(),
                node.log_tail()
            );
        }
        let [to, ..] = app.dialled();
        let tally = client(&app, 0)?.run(Workload::new(Dial::Tcp, to), REQUESTS)?;
        let answers: u64 = tally.answered.values().sum();
        Ok(Finding::new(is_whole(&tally, to), format!("{answers} of {REQUESTS} answered; {footprint} stay")))
    })?;
    report.step("ferrule cleanup takes it out of the kernel", |_| {
        let begun = Instant::now();
        for node in lab.nodes() {
            let output = node.cleanup_ferrule()?;
            ensure!(output.code == Some(0), "ferrule cleanup on {}: {output:?}", node.name());
        }
        wait::until("programs, maps and links to go", FREE_LIMIT, || Ok(footprint.remaining()?.is_empty()))?;
        let had = !footprint.is_empty();
        Ok(Finding::new(had, format!("{footprint} gone in {}", ms(begun.elapsed()))))
    })?;
    report.step("The lab is taken away", |_| {
        let id = lab.id().to_string();
        let traces = || -> Result<Vec<String>> {
            Ok(leaks::list()?.into_iter().filter(|line| line.contains(&id)).collect())
        };
        let before = traces()?.len();
        let begun = Instant::now();
        drop(app);
        lab.take_down()?;
        let took = begun.elapsed();
        let left = traces()?;
        Ok(Finding::new(
            left.is_empty(),
            format!(
                "{before} namespaces, cgroups, mounts, processes and files in {}, {} left",
                ms(took),
                left.len()
            ),
        ))
    })
}
