use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::state::SERVICE_SERIES;
use super::*;
use crate::admin::fake_loop::FakeLoop;
use crate::admin::reports::ServiceReport;
use crate::http::testing;

const OPERATIONS: &str = include_str!("../../../docs/operations.md");

fn text(metrics: &Metrics) -> String {
    let mut text = String::new();
    metrics.encode(Format::Classic, &mut text).unwrap();
    text
}

#[track_caller]
fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|l| l == *line), "{line} is missing:\n{text}");
    }
}

async fn scrape(says: FakeLoop, headers: &str) -> testing::Answer {
    let addr = testing::start(router(Arc::new(Metrics::default()), says.start(), Arc::default())).await;
    testing::get(addr, "/metrics", headers).await
}

#[tokio::test]
async fn what_the_loop_says_becomes_series() {
    let answer = scrape(FakeLoop::new(), "").await;
    assert_eq!(answer.status, 200);
    assert_lines(
        &answer.body,
        &[
            "ferrule_scrape_complete 1",
            "ferrule_ready{node=\"node-1\"} 1",
            "ferrule_objects{kind=\"Service\"} 2",
            "ferrule_objects_passed_over{kind=\"apps/v1/Deployment\"} 1",
            "ferrule_source_problems{source=\"manifests\"} 0",
            "ferrule_warnings{kind=\"bad_address\"} 1",
            "ferrule_drops_total{reason=\"unknown_service_port\"} 3",
            "ferrule_attached_programs 1",
            "ferrule_map_entries{map=\"FRONTENDS\"} 2",
            "ferrule_map_max_entries{map=\"FRONTENDS\"} 400",
            "ferrule_services_without_series 0",
            "ferrule_service_refused_total{namespace=\"staging\",name=\"web\",port=\"http\",protocol=\"TCP\",family=\"IPv4\"} 3",
            "ferrule_build_info{version=\"0.1.0\"} 1",
        ],
    );
}

#[tokio::test]
async fn a_service_with_endpoints_elsewhere_only_is_counted_by_its_policy() {
    // In the fixture only production/web has endpoints; both are internal-local and have none here.
    let series = |policy: &str, family: &str, n: u32| {
        format!(
            "kubeproxy_sync_proxy_rules_no_local_endpoints_total{{traffic_policy=\"{policy}\",ip_family=\"{family}\"}} {n}"
        )
    };
    let answer = scrape(FakeLoop::new(), "").await;
    assert_lines(
        &answer.body,
        &[
            &series("internal", "IPv4", 1),
            &series("internal", "IPv6", 0),
            &series("external", "IPv4", 0),
            &series("external", "IPv6", 0),
        ],
    );
    let mut says = FakeLoop::new();
    says.services[0].local_backends = 1;
    assert_lines(&scrape(says, "").await.body, &[&series("internal", "IPv4", 0)]);
}

#[tokio::test]
async fn the_classic_format_is_for_who_asks_for_nothing_and_openmetrics_for_who_accepts_it() {
    let classic = scrape(FakeLoop::new(), "").await;
    assert!(classic.head.contains("content-type: text/plain; version=0.0.4"), "{}", classic.head);
    assert_lines(&classic.body, &["# TYPE ferrule_drops_total counter"]);
    let accept = "accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2\r\n";
    let open = scrape(FakeLoop::new(), accept).await;
    assert!(open.head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{}", open.head);
    assert_lines(&open.body, &["# TYPE ferrule_drops counter"]);
    for body in [classic.body, open.body] {
        assert_eq!(body.matches("# EOF").count(), 1);
        assert!(body.ends_with("# EOF\n"), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_loop_our_own_counters_are_still_there() {
    let (queries, _receiver) = mpsc::channel(1);
    let addr = testing::start(router(Arc::new(Metrics::default()), queries, Arc::default())).await;
    let answer = testing::get(addr, "/metrics", "").await;
    assert_eq!(answer.status, 200);
    assert_lines(&answer.body, &["ferrule_scrape_complete 0", "ferrule_writes_total 0", "# EOF"]);
    assert!(!answer.body.contains("ferrule_objects"), "{}", answer.body);
}

#[tokio::test]
async fn a_label_cannot_break_the_format() {
    let mut says = FakeLoop::new();
    says.status.source.passed_over = BTreeMap::from([("v1/a\"b\\c\nd".to_owned(), 1)]);
    let answer = scrape(says, "").await;
    assert_lines(&answer.body, &[r#"ferrule_objects_passed_over{kind="v1/a\"b\\c\nd"} 1"#]);
}

#[tokio::test]
async fn service_ports_beyond_the_limit_are_counted_and_have_no_series() {
    let mut says = FakeLoop::new();
    says.services = (0..SERVICE_SERIES + 3)
        .map(|i| ServiceReport { name: format!("s{i}"), ..ServiceReport::default() })
        .collect();
    let body = scrape(says, "").await.body;
    let series = body.lines().filter(|l| l.starts_with("ferrule_service_connections_total{")).count();
    assert_eq!(series, SERVICE_SERIES);
    assert_lines(&body, &["ferrule_services_without_series 3"]);
}

#[test]
fn a_round_moves_what_it_touched() {
    let metrics = Metrics::default();
    metrics.observe_round(&Round {
        applied: 5,
        failed: BTreeMap::from([(("SLOTS", "full"), 2)]),
        pending: 2,
        compile: Duration::from_millis(1),
        apply: Duration::from_millis(2),
        ..Round::default()
    });
    let after_failure = text(&metrics);
    assert_lines(
        &after_failure,
        &[
            "ferrule_writes_total 5",
            "ferrule_apply_errors_total{map=\"SLOTS\",kind=\"full\"} 2",
            "kubeproxy_sync_proxy_rules_duration_seconds_bucket{le=\"0.002\"} 0",
            "kubeproxy_sync_proxy_rules_duration_seconds_bucket{le=\"0.004\"} 1",
            "ferrule_compile_seconds_count 1",
        ],
    );
    assert_eq!(value(&after_failure, "kubeproxy_sync_proxy_rules_last_timestamp_seconds"), 0.0);
    metrics.observe_round(&Round::default());
    let began = value(&after_failure, "process_start_time_seconds");
    assert!(began > 1.0e9, "{began}");
    assert!(value(&text(&metrics), "kubeproxy_sync_proxy_rules_last_timestamp_seconds") >= began);
}

#[test]
fn what_else_happens_is_counted_too() {
    let metrics = Metrics::default();
    metrics.count_drift(3);
    metrics.observe_programming(Duration::from_millis(700));
    metrics.observe_queued();
    let text = text(&metrics);
    assert_lines(
        &text,
        &[
            "ferrule_drift_repairs_total 3",
            "kubeproxy_network_programming_duration_seconds_bucket{le=\"0.5\"} 0",
            "kubeproxy_network_programming_duration_seconds_bucket{le=\"1\"} 1",
            "kubeproxy_network_programming_duration_seconds_bucket{le=\"300\"} 1",
        ],
    );
    assert!(value(&text, "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds") > 1.0e9);
    assert_eq!(metrics.drift_repairs(), 3);
}

#[tokio::test]
async fn proxy_mode_and_the_ping_answer() {
    let addr =
        testing::start(router(Arc::new(Metrics::default()), FakeLoop::new().start(), Arc::default())).await;
    let mode = testing::get(addr, "/proxyMode", "").await;
    assert_eq!((mode.status, mode.body.as_str()), (200, "ebpf"));
    assert!(mode.head.contains("content-type: text/plain"), "{}", mode.head);
    let ping = testing::get(addr, "/healthz", "").await;
    assert_eq!((ping.status, ping.body.as_str()), (200, "ok"));
}

#[tokio::test]
async fn every_metric_is_in_the_operators_manual() {
    let metrics = Metrics::default();
    metrics.count_healthz(200);
    metrics.count_livez(200);
    metrics.observe_round(&Round { failed: BTreeMap::from([(("SLOTS", "full"), 1)]), ..Round::default() });
    let addr = testing::start(router(Arc::new(metrics), FakeLoop::new().start(), Arc::default())).await;
    let body = testing::get(addr, "/metrics", "").await.body;
    let names: Vec<&str> = body
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .filter(|name| !OPERATIONS.contains(&format!("`{name}`")))
        .collect();
    assert!(body.contains("# TYPE ferrule_drops_total"), "{body}");
    assert!(names.is_empty(), "not in docs/operations.md: {names:?}");
}

/// The value of a series without labels.
#[track_caller]
fn value(text: &str, name: &str) -> f64 {
    let mut values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    values.next().expect(name).parse().expect("a number")
}
