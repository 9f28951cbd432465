//! The demo: one Service of ordinary YAML, balanced by the kernel at the socket, changed under load, kept over a crash.
//!
//! Each step prints one line with what it measured. A step that does not hold is marked and the others go on.

mod app;
mod crash;
mod dns;
mod node_port;
mod refuse;
mod removal;
mod report;
mod scale;
mod spread;
mod traffic;
mod unready;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use app::App;
use report::{Finding, Report, ms};

use crate::lab::{Lab, LabSpec};
use crate::{binaries, interrupt};

/// What the daemons are told beside the folder: the cluster DNS addresses, and the server outside for all other names.
const FERRULE_ARGS: &[&str] =
    &["--cluster-dns", "10.96.0.10,fd00:10:96::a", "--dns-upstream", "172.31.0.100:53"];
/// How long a daemon may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(10);
/// How long a change of the manifests may take to be in force; what was measured is printed.
const CHANGE_LIMIT: Duration = Duration::from_secs(2);

/// Runs the demo; succeeds when every step held. With `keep` the lab stays up.
///
/// # Errors
///
/// The lab could not be made, or a step could not be carried out; the lab is taken away.
pub fn run(keep: bool) -> Result<ExitCode> {
    interrupt::take_down_on_signals()?;
    binaries::ferrule()?;
    let mut report = Report::new();
    let shown = show(&mut report, keep);
    if interrupt::is_interrupted() {
        // The lab is on its way out and the process with it, so what failed says nothing.
        loop {
            std::thread::park();
        }
    }
    shown?;
    Ok(if report.conclude() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(report: &mut Report, keep: bool) -> Result<()> {
    let begun = Instant::now();
    let lab = Lab::new(LabSpec::default())?;
    let made = begun.elapsed();
    let outside = lab.outside()?;
    let mut app = App::deploy(&lab)?;
    report.step("Lab: 2 nodes (ptp, bridge), 2 clients, 3 backend-api pods", |_| {
        let pods = ms(begun.elapsed() - made);
        Ok(Finding::measured(format!("lab {} in {}, its pods in {pods}", lab.id(), ms(made))))
    })?;
    report.step("ferrule run --manifests … is ready on both nodes", |_| {
        let begun = Instant::now();
        for node in lab.nodes() {
            node.start_ferrule(lab.manifests().dir(), FERRULE_ARGS)?;
        }
        let mut ready = Vec::new();
        for node in lab.nodes() {
            node.wait_ready(READY_LIMIT)?;
            ready.push(format!("{} in {}", node.name(), ms(begun.elapsed())));
        }
        Ok(Finding::measured(ready.join(", ")))
    })?;

    spread::show(report, &app)?;
    dns::show(report, &lab, &outside, &app)?;
    node_port::show(report, &lab, &app)?;
    unready::show(report, &mut app)?;
    scale::show(report, &mut app)?;
    refuse::show(report, &mut app)?;
    crash::show(report, &lab, &mut app)?;
    if keep {
        return report::print_kept(&lab, &app).and_then(|()| lab.keep());
    }
    drop(outside);
    removal::show(report, lab, app)
}
