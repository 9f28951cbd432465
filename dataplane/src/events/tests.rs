use std::time::{Duration, UNIX_EPOCH};

use abi::{Addr, DropReason, Hook, IfIndex, PodId, Port, Protocol, RuleId};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use super::testing::{MemoryRing, Programs};
use super::*;
use crate::admin::reports::DropReport;
use crate::directory::Directory;
use crate::explain::testing::cluster;

const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn event(rule: RuleId, dst_port: u16) -> DropEvent {
    DropEvent {
        at: 5_000_000_000,
        reason: DropReason::EgressDenied as u32,
        ifindex: IfIndex(7),
        pod: PodId::NONE,
        rule,
        len: 60,
        hook: Hook::FromPod as u8,
        protocol: Protocol::TCP,
        src_port: Port::new(40_000),
        dst_port: Port::new(dst_port),
        _pad: [0; 6],
        src: Addr::v4([10, 244, 1, 5]),
        dst: Addr::v4([10, 96, 0, 10]),
    }
}

fn ports(first: u16, last: u16) -> impl Iterator<Item = DropEvent> {
    (first..=last).map(|port| event(RuleId::NONE, port))
}

/// Waits until programs would, or would no longer, write.
async fn until_wanted(programs: &Programs, wanted: bool) {
    let wait = async {
        while programs.are_wanted() != wanted {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap();
}

async fn next(receiver: &mut broadcast::Receiver<DropEvent>) -> u16 {
    timeout(PATIENCE, receiver.recv()).await.unwrap().unwrap().dst_port.get()
}

fn start() -> (Drops, Programs) {
    let (ring, programs) = MemoryRing::pair();
    let (drops, task) = read(ring);
    tokio::spawn(task);
    (drops, programs)
}

#[tokio::test]
async fn programs_write_only_while_somebody_listens() {
    let (drops, programs) = start();
    assert!(programs.are_wanted(), "a killed daemon left it on");
    until_wanted(&programs, false).await;
    let first = drops.listen().await.unwrap();
    assert!(programs.are_wanted());
    let second = drops.listen().await.unwrap();
    drop(first);
    assert!(programs.are_wanted(), "one still listens");
    drop(second);
    until_wanted(&programs, false).await;
    let _again = drops.listen().await.unwrap();
    assert!(programs.are_wanted());
}

#[tokio::test]
async fn programs_fall_silent_when_the_task_is_gone() {
    let (ring, programs) = MemoryRing::pair();
    let (drops, task) = read(ring);
    let task = tokio::spawn(task);
    let mut receiver = drops.listen().await.unwrap();
    assert!(programs.are_wanted());
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(!programs.are_wanted());
    assert_eq!(receiver.recv().await, Err(RecvError::Closed));
    assert!(drops.listen().await.is_none());
}

#[tokio::test]
async fn every_listener_gets_every_event_since_it_listens() {
    let (drops, programs) = start();
    programs.write(ports(1, 3));
    let mut first = drops.listen().await.unwrap();
    programs.write(ports(4, 4));
    assert_eq!(next(&mut first).await, 4, "older ones are nobody's");
    let mut second = drops.listen().await.unwrap();
    // More than are read at once.
    let last = u16::try_from(TURN).unwrap() + 50;
    programs.write(ports(5, last));
    for port in 5..=last {
        assert_eq!((next(&mut first).await, next(&mut second).await), (port, port));
    }
}

#[tokio::test]
async fn a_slow_listener_loses_the_oldest_events_and_is_told_how_many() {
    let (drops, programs) = start();
    let mut slow = drops.listen().await.unwrap();
    let mut quick = drops.listen().await.unwrap();
    let last = u16::try_from(BEHIND).unwrap() + 10;
    programs.write(ports(1, last));
    let mut port = 0;
    while port != last {
        port = match timeout(PATIENCE, quick.recv()).await.unwrap() {
            Ok(event) => event.dst_port.get(),
            // On one thread the task may be ahead of this test.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => panic!("the task has ended"),
        };
    }
    assert_eq!(slow.recv().await, Err(RecvError::Lagged(10)));
    assert_eq!(next(&mut slow).await, 11);
}

#[test]
fn an_event_names_both_ends_the_rule_and_the_time() {
    let core = cluster();
    let directory = Directory::new(core.snapshot(), core.view(), core.engine());
    let names = core.engine().subject_names();
    let (web, _) = names.pods.iter().find(|(_, name)| name.to_string() == "shop/web").unwrap();
    let rules = core.engine().rule_names();
    let (rule, _) =
        rules.iter().find(|(_, name)| name.to_string() == "egress default of shop/web-out").unwrap();
    let event = DropEvent { pod: *web, ..event(*rule, 5432) };
    let clock = Clock::at(6_250_000_000, UNIX_EPOCH + Duration::from_secs(100));
    let report = DropReport::of(&event, &directory, &clock);
    assert_eq!(report.time, "1970-01-01T00:01:38.750Z");
    assert_eq!(
        serde_json::to_value(&report).unwrap(),
        serde_json::json!({
            "time": "1970-01-01T00:01:38.750Z",
            "reason": "egress_denied",
            "hook": "from_pod",
            "interface": "interface 7",
            "protocol": "TCP",
            "source": {
                "address": "10.244.1.5", "port": 40_000, "pods": ["shop/web"], "node": null, "service": null
            },
            "destination": {
                "address": "10.96.0.10", "port": 5432, "pods": [], "node": null,
                "service": "shop/db:pg/TCP"
            },
            "bytes": 60,
            "pod": "shop/web",
            "rule": "egress default of shop/web-out",
            "policies": ["shop/web-out"],
            "lost": 0
        })
    );
}

#[test]
fn numbers_without_a_name_are_shown_as_numbers() {
    let core = cluster();
    let directory = Directory::new(core.snapshot(), core.view(), core.engine());
    let strange = DropEvent {
        reason: 999,
        hook: 99,
        pod: PodId(4_000),
        rule: RuleId(4_001),
        protocol: Protocol::new(47),
        ..event(RuleId::NONE, 0)
    };
    let report = DropReport::of(&strange, &directory, &Clock::now());
    assert_eq!(report.reason, "reason 999");
    assert_eq!(report.hook, "hook 99");
    assert_eq!(report.pod.as_deref(), Some("pod 4000"));
    assert_eq!(report.rule.as_deref(), Some("rule 4001"));
    assert_eq!(report.protocol, "proto-47");
    assert_eq!(report.policies, [""; 0]);
}

#[test]
fn every_reason_has_the_name_that_the_counters_have() {
    let core = cluster();
    let directory = Directory::new(core.snapshot(), core.view(), core.engine());
    for reason in DropReason::ALL {
        let event = DropEvent { reason: reason as u32, ..event(RuleId::NONE, 1) };
        assert_eq!(DropReport::of(&event, &directory, &Clock::now()).reason, reason.as_str());
    }
}

#[test]
fn a_packet_that_could_not_be_read_has_no_ends() {
    let core = cluster();
    let directory = Directory::new(core.snapshot(), core.view(), core.engine());
    let unread = DropEvent {
        protocol: Protocol::ANY,
        src: Addr::ANY_V6,
        dst: Addr::ANY_V6,
        src_port: Port::ANY,
        dst_port: Port::ANY,
        ..event(RuleId::NONE, 0)
    };
    let report = DropReport::of(&unread, &directory, &Clock::now());
    assert_eq!((report.source, report.destination), Default::default());
}
