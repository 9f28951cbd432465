//! Pods come and go under load, and no request notices.

use std::collections::BTreeSet;

use anyhow::Result;

use super::CHANGE_LIMIT;
use super::app::{App, REPLICAS};
use super::report::{Finding, Report};
use super::traffic::{Summary, Traffic};
use crate::wait;
use crate::workload::monotonic_ns;

const MANY: usize = 10;

pub(super) fn show(report: &mut Report, app: &mut App) -> Result<()> {
    report.step(&format!("Scale {REPLICAS} → {MANY} → {REPLICAS} under load"), |progress| {
        let traffic = Traffic::start(app)?;
        for number in REPLICAS + 1..=MANY {
            app.add_pod()?;
            app.publish()?;
            progress.note(format!("{number} pods"));
        }
        let ready = app.ready();
        wait_until_used(&traffic, &ready)?;
        progress.note(format!("ending {} pods", MANY - REPLICAS));
        app.remove_pods(&app.pods()[REPLICAS..])?;
        wait_until_used(&traffic, &app.ready())?;
        let summary = traffic.stop()?;
        Ok(Finding::new(
            summary.is_flawless(),
            format!("{} pods used; {}", used(&summary, &ready), summary.describe()),
        ))
    })?;

    report.step(&format!("Rolling replacement of {REPLICAS} pods under load"), |progress| {
        let traffic = Traffic::start(app)?;
        app.change_template();
        let old = app.pods();
        for (number, pod) in (1..).zip(&old) {
            progress.note(format!("replacing {number} of {}", old.len()));
            app.add_pod()?;
            app.publish()?;
            app.remove_pods(std::slice::from_ref(pod))?;
        }
        let new = app.ready();
        wait_until_used(&traffic, &new)?;
        let summary = traffic.stop()?;
        Ok(Finding::new(summary.is_flawless(), summary.describe()))
    })
}

/// Waits until each of the pods has answered a new socket from now on.
pub(super) fn wait_until_used(traffic: &Traffic, pods: &[String]) -> Result<()> {
    let now = monotonic_ns();
    let mut missing: BTreeSet<_> = pods.iter().collect();
    wait::until("all ready pods to be used", CHANGE_LIMIT, || {
        let summary = traffic.sample()?;
        missing.retain(|pod| summary.last_new_socket_ns(pod) <= now);
        Ok(missing.is_empty())
    })?;
    Ok(())
}

fn used(summary: &Summary, pods: &[String]) -> usize {
    pods.iter().filter(|pod| summary.answers_of(pod) > 0).count()
}
