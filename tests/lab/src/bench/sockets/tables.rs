//! The findings of the sockets as tables.

use super::{Finding, SLICE, SLICES};
use crate::bench::order::Traffic;
use crate::bench::report::Table;
use crate::bench::stats::{Summary, thousands};

pub(super) fn of(found: &[Finding], rounds: u32) -> Vec<Table> {
    let seconds = (SLICE * SLICES).as_secs_f64();
    vec![throughput(found, rounds, seconds), latency(found), processor(found), hooks(found)]
}

fn throughput(found: &[Finding], rounds: u32, seconds: f64) -> Table {
    let caption = format!(
        "Requests a second, {rounds} rounds of {seconds} s in {SLICES} turns; medians. Ratios are medians of the \
         rounds' ratios (least–greatest)."
    );
    let head = ["traffic", "Services", "bare", "direct", "ClusterIP", "to direct", "to bare", "many to few"];
    let mut table = Table::new(caption, &head);
    for finding in found {
        let [bare, direct, cluster_ip] = finding.rate.map(|rate| thousands(rate.median));
        table.row([
            finding.contest.name.to_owned(),
            thousands(f64::from(finding.services)),
            bare,
            direct,
            cluster_ip,
            finding.rate_to_direct.as_ratio(),
            finding.rate_to_bare.as_ratio(),
            finding.many_to_few.as_ref().map(Summary::as_ratio).unwrap_or_default(),
        ]);
    }
    table
}

fn latency(found: &[Finding]) -> Table {
    let mut table = Table::new(
        "How long a request takes, in microseconds: median / 99th percentile.",
        &["traffic", "Services", "bare", "direct", "ClusterIP"],
    );
    for finding in found.iter().filter(|finding| finding.contest.traffic != Traffic::Connections) {
        let times = finding.p50_us.iter().zip(&finding.p99_us);
        let times = times.map(|(p50, p99)| format!("{:.1} / {:.1}", p50.median, p99.median));
        let first = [finding.contest.name.to_owned(), thousands(f64::from(finding.services))];
        table.row(first.into_iter().chain(times));
    }
    table
}

fn processor(found: &[Finding]) -> Table {
    let mut table = Table::new(
        "Processor time of client and server for a request, in microseconds; other work of the machine hardly moves it.",
        &["traffic", "Services", "bare", "direct", "ClusterIP", "to direct", "to bare"],
    );
    for finding in found {
        let [bare, direct, cluster_ip] = finding.cost_us.map(|cost| format!("{:.2}", cost.median));
        table.row([
            finding.contest.name.to_owned(),
            thousands(f64::from(finding.services)),
            bare,
            direct,
            cluster_ip,
            finding.cost_to_direct.as_ratio(),
            finding.cost_to_bare.as_ratio(),
        ]);
    }
    table
}

fn hooks(found: &[Finding]) -> Table {
    let mut table = Table::new(
        "Time inside each program of client and server, by the kernel's own statistics, whose clock is part of it.",
        &["traffic", "Services", "path", "program", "runs a request", "ns a run"],
    );
    for finding in found {
        for (path, hook) in &finding.hooks {
            table.row([
                finding.contest.name.to_owned(),
                thousands(f64::from(finding.services)),
                path.name().to_owned(),
                hook.program.clone(),
                format!("{:.2}", hook.runs),
                format!("{:.0}", hook.ns),
            ]);
        }
    }
    table
}
