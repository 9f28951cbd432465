//! The daemons are killed and started again under load.

use std::time::Duration;

use anyhow::{Context, Result};

use super::app::{App, short};
use super::report::{Finding, Report, ms};
use super::traffic::Traffic;
use super::{CHANGE_LIMIT, FERRULE_ARGS, READY_LIMIT};
use crate::lab::Lab;
use crate::manifests::Condition;
use crate::wait;
use crate::workload::monotonic_ns;

/// How long nobody is at home, before the change and after it.
const ABSENCE: Duration = Duration::from_millis(500);
/// How long after readiness a connection made before it may be answered.
const IN_FLIGHT: Duration = Duration::from_millis(100);

pub(super) fn show(report: &mut Report, lab: &Lab, app: &mut App) -> Result<()> {
    report.step("kill -9 of both daemons under load, a change meanwhile", |progress| {
        let leaving = app.pods().into_iter().next().context("a Deployment without pods")?;
        let traffic = Traffic::start(app)?;
        for node in lab.nodes() {
            node.kill_ferrule()?;
        }
        progress.note("both daemons are dead");
        wait::pass(ABSENCE);
        let coming = app.add_pod()?;
        app.set_condition(std::slice::from_ref(&leaving), Condition::Unready)?;
        let changed = monotonic_ns();
        wait::pass(ABSENCE);
        let absent = traffic.sample()?;
        // What the kernel has stays in force: else a daemon was alive and the rest shows nothing.
        let unchanged =
            absent.last_new_socket_ns(leaving.name()) > changed && absent.answers_of(coming.name()) == 0;

        progress.note("starting both again");
        let started = monotonic_ns();
        for node in lab.nodes() {
            node.start_ferrule(lab.manifests().dir(), FERRULE_ARGS)?;
        }
        for node in lab.nodes() {
            node.wait_ready(READY_LIMIT)?;
        }
        let ready = monotonic_ns();
        wait::until("the new pod to be used", CHANGE_LIMIT, || {
            Ok(traffic.sample()?.answers_of(coming.name()) > 0)
        })?;
        let joined = monotonic_ns();
        wait::pass(ABSENCE);
        let summary = traffic.stop()?;
        let last = summary.last_new_socket_ns(leaving.name());
        let left = last <= ready + IN_FLIGHT.as_nanos() as u64;
        let after_start = |then: u64| ms(Duration::from_nanos(then.saturating_sub(started)));
        let measured = format!(
            "{}; after the start: ready {}, {} joined {}, last of {} {}{}",
            summary.describe(),
            after_start(ready),
            short(coming.name()),
            after_start(joined),
            short(leaving.name()),
            after_start(last),
            if unchanged { "" } else { "; the change was in force before it" }
        );
        app.set_condition(std::slice::from_ref(&leaving), Condition::Ready)?;
        app.remove_pods(std::slice::from_ref(&coming))?;
        Ok(Finding::new(summary.is_flawless() && left && unchanged, measured))
    })
}
