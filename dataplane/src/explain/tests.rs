use abi::{Addr, Generation, PodEntry, PodFlags, PolicyId, PolicyKey};
use compile::policy::PolicyOp;
use compile::{Limits, Op, SubjectOp};

use super::testing::{apply, cluster, cluster_with};
use super::*;
use crate::admin::reports::{PathReport, PodReport, SideReport};
use crate::kernel::fake::Fake;
use crate::sync::core::Core;

fn question(from: &str, to: &str, port: Option<u16>) -> Question {
    Question { from: from.parse().unwrap(), to: to.parse().unwrap(), port, protocol: None }
}

fn ask(core: &Core<Fake>, from: &str, to: &str, port: impl Into<Option<u16>>) -> ExplainReport {
    explain(&core.sources(), &question(from, to, port.into())).unwrap()
}

fn refused(from: &str, to: &str, port: impl Into<Option<u16>>) -> String {
    explain(&cluster().sources(), &question(from, to, port.into())).unwrap_err().to_string()
}

fn only(report: &ExplainReport) -> &PathReport {
    let [path] = report.paths.as_slice() else { panic!("{report:#?}") };
    path
}

/// Verdict and rule of an end that is judged here.
fn said(side: &SideReport) -> (&str, &str) {
    let verdict = side.kernel.as_ref().unwrap();
    (verdict.verdict.as_str(), verdict.rule.as_deref().unwrap_or_default())
}

#[test]
fn both_ends_say_by_which_rule_a_connection_passes() {
    let core = cluster();
    let report = ask(&core, "shop/web", "10.244.1.6", 5432);
    assert_eq!(report.from, "pod shop/web on node-1");
    assert_eq!(report.to, "10.244.1.6 of pod shop/db on node-1");
    let path = only(&report);
    assert_eq!((path.verdict.as_str(), report.agree), ("allowed", true));
    assert_eq!(said(&path.egress), ("allowed", "shop/web-out egress[0]"));
    assert_eq!(said(&path.ingress), ("allowed", "shop/db-in ingress[0]"));
    assert_eq!(path.ingress.kernel.as_ref().unwrap().policies, ["shop/db-in"]);
}

#[test]
fn a_denied_port_names_the_policies_that_isolate_the_pod() {
    let core = cluster();
    let report = ask(&core, "shop/web", "10.244.1.6", 80);
    let path = only(&report);
    assert_eq!(path.verdict, "denied");
    assert_eq!(said(&path.egress), ("denied", "egress default of shop/web-out"));
    assert_eq!(said(&path.ingress), ("denied", "ingress default of shop/db-in"));
    let udp = Question { protocol: Some(Protocol::Udp), ..question("shop/web", "10.244.1.6", Some(5432)) };
    assert_eq!(only(&explain(&core.sources(), &udp).unwrap()).verdict, "denied");
}

#[test]
fn pods_meet_in_every_family_that_both_have() {
    let report = ask(&cluster(), "shop/web", "shop/db", 5432);
    let destinations: Vec<&str> = report.paths.iter().map(|path| path.destination.as_str()).collect();
    assert_eq!(destinations, ["10.244.1.6:5432", "[fd00:1::6]:5432"]);
    assert!(report.paths.iter().all(|path| path.verdict == "allowed"), "{report:#?}");
}

#[test]
fn one_end_may_pass_what_the_other_denies() {
    let core = cluster();
    let report = ask(&core, "other/web", "shop/db", 5432);
    let path = only(&report);
    assert_eq!(path.verdict, "denied");
    assert_eq!(said(&path.egress), ("open", ""));
    assert_eq!(said(&path.ingress), ("denied", "ingress default of shop/db-in"));
}

#[test]
fn the_end_on_another_node_is_decided_there() {
    let core = cluster();
    let report = ask(&core, "shop/far", "shop/db", 5432);
    let path = only(&report);
    assert_eq!(path.verdict, "undecided");
    assert_eq!(path.egress.elsewhere.as_deref(), Some("node-2"));
    assert_eq!(said(&path.ingress), ("allowed", "shop/db-in ingress[0]"));
    // What this node denies is denied, whatever the other says.
    assert_eq!(only(&ask(&core, "shop/far", "shop/db", 80)).verdict, "denied");
    let report = ask(&core, "shop/web", "shop/far", 80);
    assert_eq!(only(&report).verdict, "denied");
    assert_eq!(only(&report).ingress.elsewhere.as_deref(), Some("node-2"));
}

#[test]
fn the_node_and_the_outside_have_no_policies_of_their_own() {
    let core = cluster();
    for node in ["192.0.2.1", "shop/agent"] {
        let report = ask(&core, node, "10.244.1.6", 80);
        let path = only(&report);
        assert_eq!(path.verdict, "allowed", "{node}");
        assert!(path.egress.not_judged.is_some() && path.ingress.not_judged.is_some(), "{path:?}");
    }
    // Another node is not this one.
    let report = ask(&core, "192.0.2.2", "10.244.1.6", 80);
    assert_eq!(said(&only(&report).ingress).0, "denied");
    let report = ask(&core, "198.51.100.7", "10.244.1.6", 5432);
    assert_eq!(report.from, "198.51.100.7 of nobody in the cluster");
    assert_eq!(said(&only(&report).ingress), ("denied", "ingress default of shop/db-in"));
    let report = ask(&core, "other/web", "198.51.100.7", 443);
    assert_eq!((only(&report).verdict.as_str(), said(&only(&report).egress).0), ("allowed", "open"));
}

#[test]
fn a_pod_always_reaches_itself() {
    let report = ask(&cluster(), "shop/db", "10.244.1.6", 80);
    assert_eq!(only(&report).verdict, "allowed");
    assert_eq!(only(&report).ingress.not_judged.as_deref(), Some("a pod to itself"));
}

#[test]
fn a_service_is_judged_behind_its_translation() {
    let core = cluster();
    let by_number = ask(&core, "shop/web", "shop/db:5432", None);
    for report in [ask(&core, "shop/web", "shop/db:pg", None), ask(&core, "shop/web", "10.96.0.10", 5432)] {
        assert_eq!(report.paths, by_number.paths);
        assert_eq!(report.service.as_deref(), Some("shop/db:pg/TCP"));
    }
    assert_eq!(only(&by_number).destination, "10.244.1.6:5432");
    assert_eq!(only(&by_number).pod.as_deref(), Some("shop/db"));
    assert_eq!((only(&by_number).verdict.as_str(), by_number.port), ("allowed", 5432));
}

#[test]
fn a_service_without_endpoints_or_without_that_port_says_so() {
    let core = cluster();
    let report = ask(&core, "shop/web", "shop/empty:http", None);
    assert_eq!(
        (report.paths.len(), report.notes.as_slice()),
        (0, &["IPv4: no endpoint: refused".to_owned()][..])
    );
    let report = ask(&core, "shop/web", "10.96.0.10", 81);
    assert_eq!(report.notes, ["no Service has port 81/TCP there: refused"]);
    assert_eq!(report.paths.len(), 0);
}

#[test]
fn what_is_not_there_is_named_in_one_line() {
    assert_eq!(refused("shop/nobody", "shop/db", 1), "no pod shop/nobody");
    assert_eq!(refused("nobody", "shop/db", 1), "no pod nobody");
    assert_eq!(refused("shop/web", "shop/nothing:http", None), "no Service shop/nothing");
    assert_eq!(
        refused("shop/web", "shop/db:http", None),
        "Service shop/db has no port http: it has pg (5432/TCP)"
    );
    assert_eq!(
        refused("web", "shop/db", 1),
        "pod web is ambiguous: other/web, shop/web have that name; give the namespace"
    );
    assert_eq!(refused("shop/web", "shop/db", None), "which port? Give --port");
    assert_eq!(refused("shop/web", "shop/db:pg", 80), "the Service says its port itself: leave --port out");
    assert_eq!(
        refused("shop/db:pg", "shop/web", 1),
        "--from shop/db:pg: a Service opens no connections: give a pod or an address"
    );
    assert_eq!(
        refused("other/web", "fd00:1::6", 1),
        "pod other/web on node-1 and fd00:1::6 of pod shop/db on node-1 have no family of addresses in common"
    );
    let udp = Question { protocol: Some(Protocol::Udp), ..question("shop/web", "shop/db:pg", None) };
    assert_eq!(
        explain(&cluster().sources(), &udp).unwrap_err().to_string(),
        "Service shop/db has no port pg over UDP: it has pg (5432/TCP)"
    );
}

#[test]
fn an_address_that_several_pods_claim_is_ambiguous() {
    let twin = "
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: twin, uid: twin}
spec: {nodeName: node-2, containers: [{name: main, image: none}]}
status: {phase: Running, podIPs: [{ip: 10.244.1.6}]}
";
    let core = cluster_with(twin, Limits::default());
    let error = explain(&core.sources(), &question("shop/web", "10.244.1.6", Some(1))).unwrap_err();
    assert_eq!(error.to_string(), "10.244.1.6 is ambiguous: shop/db, shop/twin have it; name the pod");
}

#[test]
fn places_that_are_none_are_refused() {
    for text in ["", "/", "a/", "/b", "a/b/c", "shop/db:", "a:b:c"] {
        assert!(text.parse::<Place>().is_err(), "{text:?}");
    }
    assert_eq!("fd00::1".parse::<Place>().unwrap(), Place::Addr("fd00::1".parse().unwrap()));
}

/// Changes the maps as an operator would, and asks again.
fn after(op: PolicyOp, from: &str, to: &str) -> ExplainReport {
    let mut core = cluster();
    assert!(ask(&core, from, to, 5432).agree);
    core.kernel_mut().tamper(&Op::Policy(op));
    ask(&core, from, to, 5432)
}

#[test]
fn a_row_that_somebody_changed_is_a_difference() {
    let web: Addr = std::net::IpAddr::from([10, 244, 1, 5]).into();
    let report = after(PolicyOp::DeleteIdentity(web), "shop/web", "10.244.1.6");
    let path = only(&report);
    assert_eq!((report.agree, report.pending), (false, 0));
    assert_eq!(path.verdict, "denied", "what the kernel says is what happens");
    let ingress = &path.ingress;
    assert_eq!(ingress.compiled.as_ref().unwrap().verdict, "allowed");
    assert_eq!(said(ingress), ("denied", "ingress default of shop/db-in"));
    assert!(path.egress.agrees());
}

#[test]
fn an_address_of_the_node_that_the_kernel_does_not_know_is_a_difference() {
    let mut core = cluster();
    let node: Addr = std::net::IpAddr::from([192, 0, 2, 1]).into();
    core.kernel_mut().tamper(&Op::DeleteNodeAddr(node));
    let report = ask(&core, "shop/agent", "10.244.1.6", 80);
    assert_eq!((only(&report).verdict.as_str(), report.agree), ("denied", false));
}

#[test]
fn a_policy_without_rows_is_not_programmed() {
    let core = cluster();
    let policy = core.engine().pod_policy(&ObjectName::new("shop", "db")).unwrap().ingress;
    assert_ne!(policy, PolicyId::NONE);
    let mut core = core;
    let keys: Vec<PolicyKey> = core.kernel_mut().maps().policy.verdicts.keys().copied().collect();
    for key in keys.into_iter().filter(|key| key.policy == policy) {
        core.kernel_mut().tamper(&Op::Policy(PolicyOp::DeleteVerdict(key)));
    }
    let report = ask(&core, "shop/web", "10.244.1.6", 5432);
    assert_eq!(said(&only(&report).ingress).0, "not programmed");
    assert_eq!((only(&report).verdict.as_str(), report.agree), ("denied", false));
}

#[test]
fn compiled_and_kernel_agree_whatever_is_asked() {
    let core = cluster();
    let places = ["shop/web", "shop/db", "shop/far", "other/web", "shop/agent", "192.0.2.2", "198.51.100.7"];
    let mut verdicts = std::collections::BTreeSet::new();
    for from in places {
        for to in places {
            for port in [80, 5432] {
                let report = ask(&core, from, to, port);
                assert!(report.agree && report.pending == 0, "{from} {to} {port}: {report:#?}");
                verdicts.extend(report.paths.into_iter().map(|path| path.verdict));
            }
        }
    }
    assert_eq!(verdicts.len(), 3, "{verdicts:?}");
}

#[test]
fn policies_say_whom_of_this_node_they_isolate() {
    let reports = policies(&cluster().sources()).unwrap();
    let rows: Vec<_> = reports
        .iter()
        .map(|r| {
            (r.name.as_str(), r.directions.join(","), r.pods.join(","), r.state.as_str(), r.reasons.len())
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("db-in", "ingress".to_owned(), "shop/db".to_owned(), "in force", 0),
            ("unused", "ingress".to_owned(), String::new(), "unused", 0),
            ("web-out", "egress".to_owned(), "shop/web".to_owned(), "in force", 0),
        ]
    );
}

#[test]
fn a_policy_without_room_is_closed_and_says_why() {
    let mut limits = Limits::default();
    // The two ids that are always there, and one.
    limits.policy.policies = 3;
    let core = cluster_with("", limits);
    let reports = policies(&core.sources()).unwrap();
    let closed: Vec<_> = reports.iter().filter(|report| report.state == "closed").collect();
    assert_eq!(closed.len(), 1, "{reports:#?}");
    assert!(closed[0].reasons[0].contains("POLICY_REVISION is full"), "{closed:?}");
    // Its pod says the same.
    let pods = pods(&core.sources()).unwrap();
    let out: Vec<_> = pods.iter().filter(|pod| !pod.in_force).collect();
    assert_eq!(out.len(), 1, "{pods:#?}");
    assert!(out[0].reasons[0].contains("closed, there is no room"), "{out:?}");
}

fn pod<'a>(reports: &'a [PodReport], name: &str) -> &'a PodReport {
    reports.iter().find(|r| format!("{}/{}", r.namespace, r.name) == name).unwrap()
}

#[test]
fn pods_of_this_node_say_what_isolates_them() {
    let reports = pods(&cluster().sources()).unwrap();
    assert_eq!(reports.len(), 4, "not those of other nodes: {reports:#?}");
    let db = pod(&reports, "shop/db");
    assert_eq!((db.ingress.as_slice(), db.egress.len()), (&["shop/db-in".to_owned()][..], 0));
    assert_eq!(db.addresses, ["10.244.1.6", "fd00:1::6"]);
    assert!(db.in_force && db.reasons.is_empty() && !db.host_network);
    let agent = pod(&reports, "shop/agent");
    assert!(agent.host_network && agent.in_force && agent.egress.is_empty(), "{agent:?}");
    let other = pod(&reports, "other/web");
    assert_eq!(other.per_packet.as_deref(), Some("annotation ferrule.io/socket-lb"));
    assert_eq!(pod(&reports, "shop/web").per_packet, None);
}

#[test]
fn a_pod_whose_policies_are_not_written_yet_is_not_in_force() {
    let mut core = cluster();
    let late = "
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: late, uid: late, labels: {app: db}}
spec: {nodeName: node-1, containers: [{name: main, image: none}]}
status: {phase: Running, podIPs: [{ip: 10.244.1.9}]}
";
    apply(&mut core, late);
    core.round();
    let names = core.engine().subject_names();
    let (id, _) = names.pods.iter().find(|(_, name)| *name.name == *"late").unwrap();
    let open = PodEntry::new(Generation(0), PodFlags::default());
    core.kernel_mut().tamper(&Op::Subject(SubjectOp::PutPod(*id, open)));
    let reports = pods(&core.sources()).unwrap();
    let late = pod(&reports, "shop/late");
    assert!(!late.in_force, "{late:?}");
    assert_eq!(late.reasons, ["ingress: judged as before until its policies are written"]);
    let state = |name: &str| {
        let reports = policies(&core.sources()).unwrap();
        reports.into_iter().find(|report| report.name == name).unwrap()
    };
    assert_eq!(state("db-in").state, "pending");
    assert_eq!(state("web-out").state, "in force");
}
