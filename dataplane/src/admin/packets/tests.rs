use std::path::Path;

use abi::RuleId;
use tokio::time::timeout;

use super::*;
use crate::admin::fake_loop::{FakeLoop, ends_with};
use crate::admin::reports::{ExplainReport, FlowsReport, PodReport, PolicyReport};
use crate::admin::tests::StateDir;
use crate::admin::{bind, serve};
use crate::client::{ClientError, fetch};
use crate::events::testing::{MemoryRing, Programs};
use crate::events::tests::event;

const PATIENCE: Duration = Duration::from_secs(10);

/// A served admin socket, and the programs whose events it tells.
fn start(name: &str) -> (StateDir, Programs) {
    let dir = StateDir::new(name);
    let (ring, programs) = MemoryRing::pair();
    tokio::spawn(serve(bind(&dir.0).unwrap(), ends_with(FakeLoop::new().start(), ring)));
    (dir, programs)
}

/// Runs what blocks.
async fn blocking<T: Send + 'static>(
    dir: &StateDir,
    question: impl FnOnce(&Path) -> T + Send + 'static,
) -> T {
    let path = dir.0.clone();
    tokio::task::spawn_blocking(move || question(&path)).await.unwrap()
}

async fn until_wanted(programs: &Programs, wanted: bool) {
    let wait = async {
        while programs.are_wanted() != wanted {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap();
}

/// Follows until `wanted` lines have come.
fn follow(state_dir: &Path, path: &str, wanted: usize) -> Vec<DropReport> {
    let mut lines = Vec::new();
    fetch::lines(state_dir, path, |line| {
        lines.push(serde_json::from_str(line).unwrap());
        Ok(lines.len() < wanted)
    })
    .unwrap();
    lines
}

#[tokio::test]
async fn drops_come_line_by_line_until_the_client_leaves() {
    let (dir, programs) = start("follow");
    until_wanted(&programs, false).await;
    let path = dir.0.clone();
    let follower = tokio::task::spawn_blocking(move || follow(&path, "/drops", 2));
    until_wanted(&programs, true).await;
    programs.write([event(RuleId::NONE, 80), event(RuleId::NONE, 81)]);
    let lines = timeout(PATIENCE, follower).await.unwrap().unwrap();
    let ports: Vec<u16> = lines.iter().map(|line| line.destination.port).collect();
    assert_eq!(ports, [80, 81]);
    assert_eq!(lines[0].source.pods, ["shop/web"]);
    // The client has closed its end.
    until_wanted(&programs, false).await;
}

#[tokio::test]
async fn a_follower_of_one_pod_is_told_of_no_other() {
    let (dir, programs) = start("filter-drops");
    until_wanted(&programs, false).await;
    let path = dir.0.clone();
    let follower = tokio::task::spawn_blocking(move || follow(&path, "/drops?pod=shop%2Fdb", 1));
    until_wanted(&programs, true).await;
    let to_db = DropEvent { dst: Addr::v4([10, 244, 1, 6]), ..event(RuleId::NONE, 81) };
    programs.write([event(RuleId::NONE, 80), to_db]);
    let lines = timeout(PATIENCE, follower).await.unwrap().unwrap();
    assert_eq!(lines[0].destination.pods, ["shop/db"]);
}

#[tokio::test]
async fn what_a_follower_loses_is_counted_and_said() {
    let metrics = Arc::new(crate::metrics::Metrics::default());
    let queries = FakeLoop::new().start();
    let (ring, _programs) = MemoryRing::pair();
    let ends = Ends { metrics: Arc::clone(&metrics), ..ends_with(queries.clone(), ring) };
    let directory = ask(&queries, Query::Directory, DEADLINE).await.unwrap();
    let (sender, events) = tokio::sync::broadcast::channel(4);
    let mut follower = Follower { ends, events, pod: None, directory, asked: Instant::now(), lost: 0 };
    for port in 1..=7 {
        sender.send(event(RuleId::NONE, port)).unwrap();
    }
    let line = |text: Option<String>| serde_json::from_str::<DropReport>(&text.unwrap()).unwrap();
    let first = line(follower.line().await);
    assert_eq!((first.destination.port, first.lost), (4, 3));
    let second = line(follower.line().await);
    assert_eq!((second.destination.port, second.lost), (5, 0));
    assert_eq!(metrics.lost_events(), 3);
}

#[tokio::test]
async fn reports_of_policies_pods_and_flows_come_over_the_socket() {
    let (dir, _programs) = start("packets");
    blocking(&dir, |dir| {
        let policies: Vec<PolicyReport> = fetch::report(dir, "/policies").unwrap();
        assert_eq!(policies.len(), 3);
        let pods: Vec<PodReport> = fetch::report(dir, "/pods").unwrap();
        assert_eq!(pods.len(), 4);
        let flows: FlowsReport = fetch::report(dir, "/flows?pod=shop/web").unwrap();
        assert_eq!(flows, FlowsReport::default());
    })
    .await;
}

#[tokio::test]
async fn a_question_is_answered_or_refused_in_one_line() {
    let (dir, _programs) = start("explain");
    blocking(&dir, |dir| {
        let report: ExplainReport =
            fetch::report(dir, "/explain?from=shop/web&to=shop/db:5432&protocol=tcp").unwrap();
        assert!(report.agree && report.paths.len() == 1, "{report:?}");
        for (path, says) in [
            ("/explain?from=shop/x&to=shop/db&port=1", "no pod shop/x"),
            ("/explain?from=shop/web&to=shop/db&port=0", "\"0\" is no port number (1 to 65535)"),
            ("/explain?from=shop/web&to=shop/db&port=70000", "\"70000\" is no port number (1 to 65535)"),
            (
                "/explain?from=shop/web&to=shop/db&port=1&protocol=icmp",
                "\"icmp\" is no protocol: tcp, udp or sctp",
            ),
            ("/flows?pod=shop/x", "no pod shop/x"),
        ] {
            match fetch::report::<ExplainReport>(dir, path) {
                Err(ClientError::Question(line)) => assert_eq!(line, says),
                other => panic!("{path}: {other:?}"),
            }
        }
        let error = fetch::lines(dir, "/drops?pod=shop/x", |_| Ok(true)).unwrap_err();
        assert_eq!(error.to_string(), "no pod shop/x");
    })
    .await;
}
