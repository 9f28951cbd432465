use std::net::SocketAddr;

use serde_json::Value;

use super::*;
use crate::admin::fake_loop::FakeLoop;
use crate::http::testing::{self, Answer};

fn ready() -> HealthState {
    HealthState {
        last_updated: Some(SystemTime::now()),
        is_synced: true,
        is_attached: true,
        ..HealthState::default()
    }
}

/// A served health server, and the end by which the loop would speak.
async fn serve(state: HealthState) -> (SocketAddr, watch::Sender<HealthState>, Arc<Metrics>) {
    let (sender, receiver) = watch::channel(state);
    let metrics = Arc::new(Metrics::default());
    (testing::start(router(receiver, Arc::clone(&metrics))).await, sender, metrics)
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn parsed(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).expect("JSON")
}

#[tokio::test]
async fn healthz_and_livez_have_kube_proxys_headers_and_keys() {
    let (addr, _sender, _) = serve(ready()).await;
    let healthz = testing::get(addr, "/healthz", "").await;
    assert_eq!(healthz.status, 200);
    assert!(healthz.head.contains("content-type: application/json"), "{}", healthz.head);
    assert!(healthz.head.contains("x-content-type-options: nosniff"), "{}", healthz.head);
    let body = parsed(&healthz);
    assert_eq!(keys(&body), ["currentTime", "healthy", "lastUpdated", "nodeEligible", "status"]);
    assert_eq!((&body["healthy"], &body["nodeEligible"]), (&Value::Bool(true), &Value::Bool(true)));
    assert_eq!(keys(&body["status"]), ["IPv4", "IPv6"]);
    assert_eq!(keys(&body["status"]["IPv4"]), ["healthy", "lastUpdated"]);

    let livez = testing::get(addr, "/livez", "").await;
    assert_eq!(livez.status, 200);
    assert_eq!(keys(&parsed(&livez)), ["currentTime", "healthy", "lastUpdated", "status"]);
}

#[tokio::test]
async fn a_healthy_answer_says_now_and_each_family_its_last_round() {
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let (addr, _sender, _) = serve(HealthState { last_updated: Some(long_ago), ..ready() }).await;
    let body = parsed(&testing::get(addr, "/healthz", "").await);
    assert_eq!(body["lastUpdated"], body["currentTime"]);
    assert_eq!(body["status"]["IPv6"]["lastUpdated"], "2001-09-09T01:46:40.000000Z");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_waits_for_a_minute_is_unhealthy_from_then_on() {
    let state = HealthState { queued_since: Some(Instant::now()), pending: 1, ..ready() };
    tokio::time::advance(STUCK - Duration::from_millis(1)).await;
    assert!(state.is_live() && state.not_ready().is_empty());
    assert_eq!(body(&state, None).status(), StatusCode::OK);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(!state.is_live());
    assert_eq!(body(&state, None).status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body(&state, Some(true)).status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(state.not_ready(), ["1 writes have been outstanding for over 60 s"]);
}

#[tokio::test]
async fn a_proxy_with_nothing_queued_is_healthy_however_old_its_last_round() {
    let state = HealthState { last_updated: Some(SystemTime::UNIX_EPOCH), ..ready() };
    assert!(state.is_live());
}

#[tokio::test]
async fn a_node_that_leaves_fails_healthz_and_not_livez() {
    let (addr, sender, _) = serve(ready()).await;
    assert_eq!(testing::get(addr, "/healthz", "").await.status, 200);
    sender.send_replace(HealthState { is_node_leaving: true, ..ready() });
    let healthz = testing::get(addr, "/healthz", "").await;
    assert_eq!(healthz.status, 503);
    let body = parsed(&healthz);
    assert_eq!((&body["healthy"], &body["nodeEligible"]), (&Value::Bool(false), &Value::Bool(false)));
    assert_ne!(body["lastUpdated"], body["currentTime"]);
    assert_eq!(body["status"]["IPv4"]["healthy"], true);
    assert_eq!(testing::get(addr, "/livez", "").await.status, 200);
    assert_eq!(testing::get(addr, "/readyz", "").await.status, 200);
}

#[tokio::test]
async fn answers_are_counted_by_code() {
    let (addr, sender, metrics) = serve(ready()).await;
    testing::get(addr, "/healthz", "").await;
    testing::get(addr, "/livez", "").await;
    sender.send_replace(HealthState { is_node_leaving: true, ..ready() });
    testing::get(addr, "/healthz", "").await;
    let addr = testing::start(crate::metrics::router(metrics, FakeLoop::new().start(), Arc::default())).await;
    let text = testing::get(addr, "/metrics", "").await.body;
    for line in [
        "kubeproxy_proxy_healthz_total{code=\"200\"} 1",
        "kubeproxy_proxy_healthz_total{code=\"503\"} 1",
        "kubeproxy_proxy_livez_total{code=\"200\"} 1",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[tokio::test]
async fn a_daemon_that_starts_is_healthy_and_not_ready() {
    let (addr, _sender, _) = serve(HealthState::default()).await;
    let healthz = testing::get(addr, "/healthz", "").await;
    assert_eq!(healthz.status, 200);
    assert_eq!(parsed(&healthz)["status"]["IPv4"]["lastUpdated"], NEVER);
    let readyz = testing::get(addr, "/readyz", "").await;
    assert_eq!(readyz.status, 503);
    assert!(readyz.head.contains("content-type: application/json"), "{}", readyz.head);
    assert_eq!(
        parsed(&readyz),
        serde_json::json!({
            "ready": false,
            "reasons": ["the first list is not complete", "the programs are not attached"],
        })
    );
}

#[tokio::test]
async fn a_daemon_is_ready_when_all_is_known_attached_and_written() {
    let (addr, sender, _) = serve(ready()).await;
    let readyz = testing::get(addr, "/readyz", "").await;
    assert_eq!(readyz.status, 200);
    assert_eq!(parsed(&readyz), serde_json::json!({ "ready": true, "reasons": [] }));
    for (broken, reason) in [
        (HealthState { is_synced: false, ..ready() }, "the first list is not complete"),
        (HealthState { is_attached: false, ..ready() }, "the programs are not attached"),
        (HealthState { pending: 3, last_updated: None, ..ready() }, "3 writes are outstanding"),
    ] {
        sender.send_replace(broken);
        let readyz = testing::get(addr, "/readyz", "").await;
        assert_eq!(readyz.status, 503);
        assert_eq!(parsed(&readyz)["reasons"], serde_json::json!([reason]));
    }
}

#[test]
fn a_broken_file_at_the_start_is_named() {
    let mut state = HealthState { is_synced: false, ..ready() };
    state.problems.insert("web.yaml".to_owned(), "line 3: bad".to_owned());
    assert_eq!(state.not_ready(), ["the first list is not complete", "web.yaml: line 3: bad"]);
}

#[test]
fn a_file_that_breaks_later_does_not_make_the_node_unready() {
    let mut state = ready();
    state.problems.insert("web.yaml".to_owned(), "line 3: bad".to_owned());
    assert!(state.not_ready().is_empty());
}

#[test]
fn a_write_that_fails_for_less_than_a_minute_does_not_make_the_node_unready() {
    let state = HealthState { pending: 1, ..ready() };
    assert!(state.not_ready().is_empty());
}
