//! `ferrule status` for people: one line a fact.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use super::table::one_line;
use crate::admin::reports::{StatusReport, SyncReport};

/// The report as `Name: value` lines, the values below each other.
pub(super) fn render(r: &StatusReport) -> String {
    let mut facts = vec![
        ("Node", r.node.clone()),
        ("Version", r.version.clone()),
        ("Ready", if r.ready { "yes".to_owned() } else { format!("no: {}", r.not_ready.join("; ")) }),
        ("Synced", format!("{} (revision {})", if r.synced { "yes" } else { "no" }, r.revision)),
        ("Uptime", format!("{}, maps {}", time(r.uptime_secs), r.maps_at_start)),
        ("Last sync", r.last_sync.as_ref().map_or_else(|| "none yet".to_owned(), last_sync)),
        ("Pending", counts(&r.pending)),
        ("Programs", or_none(r.programs.join(" "))),
        ("Manifests", r.source.manifests.clone()),
        ("Objects", counts(&r.source.objects)),
        ("Passed over", counts(&r.source.passed_over)),
        ("Drops", counts(&r.drops)),
        ("Drift repaired", r.drift_repairs.to_string()),
    ];
    facts.extend(r.source.problems.iter().map(|(file, problem)| ("Problem", format!("{file}: {problem}"))));
    facts.extend(r.warnings.iter().map(|w| ("Warning", format!("{}: {}", w.object, w.detail))));
    lines(&facts)
}

/// Facts as `Name: value` lines, the values below each other.
pub(super) fn lines(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 1;
    facts
        .iter()
        .map(|(name, value)| format!("{:<width$} {}\n", format!("{name}:"), one_line(value)))
        .collect()
}

fn last_sync(s: &SyncReport) -> String {
    format!(
        "{:.1} s ago: {} written, {} failed, compiled in {:.1} ms, applied in {:.1} ms",
        s.age_secs, s.applied, s.failed, s.compile_ms, s.apply_ms
    )
}

fn time(secs: u64) -> String {
    humantime::format_duration(Duration::from_secs(secs)).to_string()
}

pub(super) fn counts(counts: &BTreeMap<String, impl Display>) -> String {
    or_none(counts.iter().map(|(name, n)| format!("{name} {n}")).collect::<Vec<_>>().join(", "))
}

pub(super) fn or_none(text: String) -> String {
    if text.is_empty() { "none".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fake_loop::FakeLoop;

    #[test]
    fn every_fact_has_a_line_and_values_line_up() {
        assert_eq!(
            render(&FakeLoop::new().status),
            "\
Node:           node-1
Version:        0.1.0
Ready:          yes
Synced:         yes (revision 7)
Uptime:         1h 2m 5s, maps adopted
Last sync:      1.0 s ago: 9 written, 0 failed, compiled in 0.0 ms, applied in 0.0 ms
Pending:        none
Programs:       connect4
Manifests:      /etc/ferrule
Objects:        Service 2
Passed over:    apps/v1/Deployment 1
Drops:          unknown_service_port 3
Drift repaired: 0
Warning:        Service production/web: spec.externalIPs[0]: \"x\" is no address
"
        );
    }

    #[test]
    fn a_node_that_is_not_ready_says_why_and_names_the_file() {
        let mut report = FakeLoop::new().status;
        report.ready = false;
        report.not_ready = vec!["the first list is not complete".to_owned(), "web.yaml: line 3".to_owned()];
        report.source.problems.insert("web.yaml".to_owned(), "line 3:\n  bad".to_owned());
        let text = render(&report);
        assert!(
            text.contains("Ready:          no: the first list is not complete; web.yaml: line 3\n"),
            "{text}"
        );
        assert!(text.contains("Problem:        web.yaml: line 3:   bad\n"), "{text}");
    }
}
