//! A pod whose readiness probe fails gets no new connection.

use std::time::Duration;

use anyhow::{Context, Result};

use super::CHANGE_LIMIT;
use super::app::{App, short};
use super::report::{Finding, Report, ms};
use super::traffic::Traffic;
use crate::manifests::Condition;
use crate::wait;
use crate::workload::monotonic_ns;

/// How long the load goes on, to see whether the pod stays without connections.
const WATCHED: Duration = Duration::from_millis(1500);
/// By then the last connection must have been made.
const LAST_LIMIT: Duration = Duration::from_millis(500);

pub(super) fn show(report: &mut Report, app: &mut App) -> Result<()> {
    let pod = app.pods().into_iter().next().context("a Deployment without pods")?;
    let title = format!("Pod {} turns unready: no new connection", short(pod.name()));
    report.step(&title, |progress| {
        let traffic = Traffic::start(app)?;
        wait::until("the pod to be used", CHANGE_LIMIT, || Ok(traffic.sample()?.answers_of(pod.name()) > 0))?;
        let changed = monotonic_ns();
        app.set_condition(std::slice::from_ref(&pod), Condition::Unready)?;
        progress.note("watching for connections");
        wait::pass(WATCHED);
        let unready = traffic.sample()?;
        let last = unready.last_new_socket_ns(pod.name()).saturating_sub(changed);
        let last = Duration::from_nanos(last);

        let changed = monotonic_ns();
        app.set_condition(std::slice::from_ref(&pod), Condition::Ready)?;
        wait::until("the pod to be used again", CHANGE_LIMIT, || {
            Ok(traffic.sample()?.last_new_socket_ns(pod.name()) > changed)
        })?;
        let back = Duration::from_nanos(monotonic_ns() - changed);
        let summary = traffic.stop()?;
        let holds = last <= LAST_LIMIT && summary.is_flawless();
        let measured = format!(
            "last one {} after the change, none in the {} ms after; ready again: used after {}; {}",
            ms(last),
            (WATCHED - last.min(WATCHED)).as_millis(),
            ms(back),
            summary.describe()
        );
        Ok(Finding::new(holds, measured))
    })
}
