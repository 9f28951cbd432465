//! `ferrule dns status` for people: one line a fact.

use super::status::{counts, lines, or_none};
use crate::admin::reports::DnsReport;

/// The report as `Name: value` lines, the values below each other.
pub(super) fn render(r: &DnsReport) -> String {
    if !r.enabled {
        return "Cluster DNS is not served by this node (--cluster-dns off)\n".to_owned();
    }
    let process = match r.pid {
        Some(pid) => format!("pid {pid}, number {} since the daemon started", r.starts),
        None => "none serves".to_owned(),
    };
    let mut facts = vec![
        (
            "Healthy",
            if r.healthy { "yes" } else { "no: pods ask the Service's endpoints, where there are any" }
                .to_owned(),
        ),
        ("Process", process),
        ("Cluster DNS", or_none(r.cluster_dns.join(" "))),
        ("Listens on", or_none(r.listen.join(" "))),
        ("Upstreams", or_none(r.upstreams.join(" "))),
        ("Queries", counts(&r.queries)),
        ("Responses", counts(&r.responses)),
        (
            "Forwarded",
            format!(
                "{}, {} without an answer, {} refused",
                r.forwarded, r.forward_failures, r.forward_rejects
            ),
        ),
        ("Connections", r.connections.to_string()),
    ];
    facts.extend(r.problem.iter().map(|problem| ("Problem", problem.clone())));
    lines(&facts)
}
