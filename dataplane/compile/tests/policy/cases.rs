//! The API's rules one by one (docs/network-policy.md), with answers written by hand; and what a change costs.

use abi::{PolicyId, Protocol};
use compile::policy::{Answer, PodPolicy};
use compile::{Limits, Op, Phase};
use model::{Direction, Kind, ObjectKey, ObjectName, Store};
use serde_json::{Value, json};

use super::cluster::{Step, event, object, synced_store, view};
use super::daemon::{Daemon, Question};

struct Cluster {
    store: Store,
    daemon: Daemon,
}

/// A pod on our node or, with a name that begins with `far`, on another.
fn pod(name: &str, addr: &str, app: &str) -> Value {
    let (namespace, short) = name.split_once('/').unwrap();
    let node = if short.starts_with("far") { "there" } else { "here" };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": namespace, "name": short, "labels": {"app": app}},
        "spec": {"nodeName": node}, "status": {"phase": "Running", "podIPs": [{"ip": addr}]},
    })
}

fn policy(name: &str, spec: Value) -> Value {
    let (namespace, name) = name.split_once('/').unwrap();
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"namespace": namespace, "name": name}, "spec": spec,
    })
}

fn namespace(name: &str, team: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"team": team}}})
}

fn app(name: &str) -> Value {
    json!({"matchLabels": {"app": name}})
}

fn name(text: &str) -> ObjectName {
    let (namespace, name) = text.split_once('/').unwrap();
    ObjectName::new(namespace, name)
}

/// A pod on our node at 10.244.0.1, and others.
const WEB: &str = "a/web";

impl Cluster {
    fn new(limits: Limits) -> Self {
        let mut cluster = Self { store: synced_store(), daemon: Daemon::new(limits) };
        cluster.apply(&[
            pod(WEB, "10.244.0.1", "web"),
            pod("a/far-api", "10.244.1.1", "api"),
            pod("a/far-db", "10.244.1.2", "db"),
            pod("b/far-api", "10.244.1.3", "api"),
            namespace("a", "red"),
            namespace("b", "blue"),
        ]);
        cluster
    }

    fn with(policies: &[Value]) -> Self {
        let mut cluster = Self::new(Limits::default());
        cluster.apply(policies);
        cluster
    }

    /// Applies objects one after another and settles; the writes of the last one, by map.
    fn apply(&mut self, documents: &[Value]) -> Vec<&'static str> {
        self.steps(documents.iter().cloned().map(Step::Apply).collect())
    }

    fn delete(&mut self, kind: Kind, key: &str) -> Vec<&'static str> {
        self.steps(vec![Step::Delete(ObjectKey { kind, name: name(key) })])
    }

    fn steps(&mut self, steps: Vec<Step>) -> Vec<&'static str> {
        let mut writes = Vec::new();
        for step in steps {
            self.store.apply(event(&step));
            let snapshot = self.store.snapshot();
            self.daemon.engine.update(&snapshot, &view(), &self.store.take_changes());
            writes = Phase::ALL
                .into_iter()
                .flat_map(|phase| self.daemon.engine.plan(phase, snapshot.synced.as_ref()))
                .filter_map(|op| if let Op::Policy(op) = op { Some(op.map()) } else { None })
                .collect();
            self.daemon.settle(&snapshot, &mut |_| {});
        }
        writes
    }

    fn ask(&self, direction: Direction, peer: &str, protocol: Protocol, port: u16) -> Answer {
        let peer = peer.parse().unwrap();
        self.daemon.kernel.ask(&Question { pod: name(WEB), direction, peer, protocol, port }).unwrap()
    }

    fn from(&self, peer: &str, port: u16) -> bool {
        self.ask(Direction::Ingress, peer, Protocol::TCP, port).passes()
    }

    fn to(&self, peer: &str, port: u16) -> bool {
        self.ask(Direction::Egress, peer, Protocol::TCP, port).passes()
    }

    /// Which of the three pods and an address outside reach port 80: `a/api a/db b/api outside`.
    fn callers(&self) -> [bool; 4] {
        ["10.244.1.1", "10.244.1.2", "10.244.1.3", "192.0.2.1"].map(|peer| self.from(peer, 80))
    }

    fn rule(&self, direction: Direction, peer: &str, port: u16) -> String {
        match self.ask(direction, peer, Protocol::TCP, port) {
            Answer::Allowed(rule) | Answer::Denied(rule) => {
                self.daemon.engine.rule_name(rule).unwrap().to_string()
            }
            other @ (Answer::NotIsolated | Answer::NotProgrammed) => format!("{other:?}"),
        }
    }

    fn revision(&self, direction: Direction) -> abi::PolicyRevision {
        let question = Question {
            pod: name(WEB),
            direction,
            peer: "192.0.2.1".parse().unwrap(),
            protocol: Protocol::TCP,
            port: 80,
        };
        self.daemon.kernel.revision(&question).unwrap()
    }
}

#[test]
fn a_pod_that_no_policy_selects_is_open_and_nothing_is_written() {
    let cluster = Cluster::with(&[]);
    assert_eq!(cluster.callers(), [true; 4]);
    assert_eq!(cluster.daemon.engine.pod_policy(&name(WEB)), Some(PodPolicy::OPEN));
    let maps = &cluster.daemon.kernel.dump.policy;
    assert!(maps.identities.is_empty() && maps.identity_cidrs.is_empty() && maps.verdicts.is_empty());
}

#[test]
fn an_empty_selector_is_every_pod_of_the_namespace_and_no_other() {
    assert_eq!(Cluster::with(&[policy("a/deny", json!({}))]).callers(), [false; 4]);
    assert_eq!(Cluster::with(&[policy("b/deny", json!({}))]).callers(), [true; 4]);
    assert_eq!(Cluster::with(&[policy("a/deny", json!({"podSelector": app("db")}))]).callers(), [true; 4]);
}

#[test]
fn each_direction_is_isolated_by_itself() {
    let ingress = Cluster::with(&[policy("a/p", json!({"policyTypes": ["Ingress"], "egress": []}))]);
    assert!(!ingress.from("10.244.1.1", 80) && ingress.to("10.244.1.1", 80));
    let egress = Cluster::with(&[policy("a/p", json!({"policyTypes": ["Egress"], "ingress": []}))]);
    assert!(egress.from("10.244.1.1", 80) && !egress.to("10.244.1.1", 80));
}

#[test]
fn policies_add_up() {
    let deny = policy("a/deny", json!({}));
    let api = policy("a/api", json!({"ingress": [{"from": [{"podSelector": app("api")}]}]}));
    let db = policy("a/db", json!({"ingress": [{"from": [{"podSelector": app("db")}]}]}));
    assert_eq!(Cluster::with(&[deny.clone(), api.clone(), db.clone()]).callers(), [true, true, false, false]);
    assert_eq!(Cluster::with(&[db, deny, api]).callers(), [true, true, false, false]);
}

#[test]
fn an_empty_rule_allows_everything() {
    let cluster = Cluster::with(&[policy("a/p", json!({"ingress": [{}]}))]);
    assert_eq!(cluster.callers(), [true; 4]);
    assert!(cluster.ask(Direction::Ingress, "192.0.2.1", Protocol::new(1), 0).passes(), "ICMP too");
}

#[test]
fn selectors_of_pods_mean_the_own_namespace_and_selectors_of_namespaces_all_pods_there() {
    let from =
        |peers: Value| Cluster::with(&[policy("a/p", json!({"ingress": [{"from": peers}]}))]).callers();
    assert_eq!(from(json!([{"podSelector": app("api")}])), [true, false, false, false]);
    assert_eq!(from(json!([{"namespaceSelector": {}}])), [true, true, true, false]);
    assert_eq!(
        from(json!([{"namespaceSelector": {"matchLabels": {"team": "blue"}}}])),
        [false, false, true, false]
    );
    let blue = json!({"matchLabels": {"team": "blue"}});
    assert_eq!(
        from(json!([{"namespaceSelector": blue, "podSelector": app("db")}])),
        [false; 4],
        "one peer: both"
    );
    assert_eq!(
        from(json!([{"namespaceSelector": blue}, {"podSelector": app("db")}])),
        [false, true, true, false],
        "two peers: either"
    );
    let by_name = json!({"matchLabels": {"kubernetes.io/metadata.name": "b"}});
    assert_eq!(from(json!([{"namespaceSelector": by_name}])), [false, false, true, false]);
}

#[test]
fn a_namespace_without_an_object_has_its_name() {
    let by_name = json!({"matchLabels": {"kubernetes.io/metadata.name": "c"}});
    let mut cluster =
        Cluster::with(&[policy("a/p", json!({"ingress": [{"from": [{"namespaceSelector": by_name}]}]}))]);
    cluster.apply(&[pod("c/far-x", "10.244.1.9", "x")]);
    assert!(cluster.from("10.244.1.9", 80));
}

#[test]
fn a_hole_is_a_hole_in_its_block_and_no_deny() {
    let block = json!({"ipBlock": {"cidr": "10.244.0.0/16", "except": ["10.244.1.0/30"]}});
    let cluster = Cluster::with(&[policy("a/p", json!({"ingress": [{"from": [block]}]}))]);
    assert_eq!(cluster.callers(), [false; 4]);
    assert!(cluster.from("10.244.7.7", 80));
    let again = json!([block, {"ipBlock": {"cidr": "10.244.1.2/32"}}]);
    let cluster = Cluster::with(&[policy("a/p", json!({"ingress": [{"from": again}]}))]);
    assert_eq!(cluster.callers(), [false, true, false, false]);
}

#[test]
fn a_hole_is_not_open_for_a_moment_wherever_the_writes_fail() {
    let block = json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.244.0.0/16"]}});
    let inner = json!({"ipBlock": {"cidr": "10.244.0.0/16", "except": ["10.244.1.0/24"]}});
    let policies = [
        policy("a/p", json!({"ingress": [{"from": [block], "ports": [{"port": 80}]}]})),
        policy("a/q", json!({"ingress": [{"from": [inner], "ports": [{"port": 81}]}]})),
    ];
    for seed in 0..200 {
        let mut cluster = Cluster::new(Limits::default());
        cluster.daemon.kernel.state = seed * 2 + 1;
        policies.iter().for_each(|policy| cluster.store.apply(model::Event::Apply(object(policy))));
        let mut snapshot = cluster.store.snapshot();
        cluster.daemon.engine.update(&snapshot, &view(), &cluster.store.take_changes());
        for round in 0..24 {
            cluster.daemon.kernel.fail_per_mille = if round % 12 < 10 { 500 } else { 0 };
            if round == 12 {
                let key = ObjectKey { kind: Kind::NetworkPolicy, name: name("a/q") };
                cluster.store.apply(model::Event::Delete(key));
                snapshot = cluster.store.snapshot();
                cluster.daemon.engine.update(&snapshot, &view(), &cluster.store.take_changes());
            }
            let policy = cluster.daemon.engine.pod_policy(&name(WEB));
            let ticket = cluster.daemon.round(&snapshot, &mut |kernel| {
                let ask = |peer: &str, port| {
                    let peer = peer.parse().unwrap();
                    let protocol = Protocol::TCP;
                    kernel
                        .ask(&Question {
                            pod: name(WEB),
                            direction: Direction::Ingress,
                            peer,
                            protocol,
                            port,
                        })
                        .unwrap()
                };
                if kernel.pods.get(&name(WEB)).map(|(_, policy)| *policy) == policy {
                    assert!(
                        !ask("10.244.9.9", 80).passes() && !ask("10.244.1.9", 80).passes(),
                        "seed {seed}"
                    );
                    assert!(!ask("10.244.1.9", 81).passes() && !ask("10.9.9.9", 81).passes(), "seed {seed}");
                }
            });
            ticket.into_iter().for_each(|ticket| cluster.daemon.engine.release(ticket));
        }
        assert!(cluster.from("10.9.9.9", 80), "seed {seed}");
    }
}

#[test]
fn a_peer_that_is_allowed_before_and_after_a_change_is_never_shut_out_wherever_the_writes_fail() {
    let rule = |name: &str, last: u16| json!({"from": [{"podSelector": app(name)}], "ports": [{"port": 80, "endPort": last}]});
    let rules = policy("a/p", json!({"ingress": [rule("api", 90), rule("db", 99)]}));
    for seed in 0..200 {
        let mut cluster = Cluster::with(std::slice::from_ref(&rules));
        cluster.delete(Kind::Pod, "a/far-db");
        cluster.daemon.kernel.state = seed * 2 + 1;
        cluster.daemon.kernel.fail_per_mille = 500;
        cluster.store.apply(model::Event::Apply(object(&pod("a/far-api", "10.244.1.1", "db"))));
        let snapshot = cluster.store.snapshot();
        cluster.daemon.engine.update(&snapshot, &view(), &cluster.store.take_changes());
        let question = Question {
            pod: name(WEB),
            direction: Direction::Ingress,
            peer: "10.244.1.1".parse().unwrap(),
            protocol: Protocol::TCP,
            port: 85,
        };
        for _ in 0..20 {
            let ticket = cluster.daemon.round(&snapshot, &mut |kernel| {
                assert!(kernel.ask(&question).unwrap().passes(), "seed {seed}");
            });
            ticket.into_iter().for_each(|ticket| cluster.daemon.engine.release(ticket));
        }
        cluster.daemon.kernel.fail_per_mille = 0;
        cluster.daemon.settle(&snapshot, &mut |_| {});
        assert!(cluster.from("10.244.1.1", 99), "seed {seed}");
    }
}

#[test]
fn a_pod_is_not_switched_before_the_rows_and_the_revision_of_its_policy_are_there() {
    let open_to = |last: u16| policy("a/p", json!({"ingress": [{"ports": [{"port": 80, "endPort": last}]}]}));
    let asked = Question {
        pod: name(WEB),
        direction: Direction::Ingress,
        peer: "192.0.2.1".parse().unwrap(),
        protocol: Protocol::TCP,
        port: 85,
    };
    for seed in 0..200 {
        let mut cluster = Cluster::new(Limits::default());
        cluster.daemon.kernel.state = seed * 2 + 1;
        // A flow that began before the policy has the revision of no policy.
        let before = cluster.revision(Direction::Ingress);
        for last in [90, 99] {
            cluster.store.apply(model::Event::Apply(object(&open_to(last))));
            let snapshot = cluster.store.snapshot();
            cluster.daemon.engine.update(&snapshot, &view(), &cluster.store.take_changes());
            for round in 0..20 {
                cluster.daemon.kernel.fail_per_mille = if round < 18 { 600 } else { 0 };
                let ticket = cluster.daemon.round(&snapshot, &mut |kernel| {
                    assert!(kernel.ask(&asked).unwrap().passes(), "seed {seed}");
                    let is_open = kernel.pods[&name(WEB)].1.ingress == PolicyId::NONE;
                    assert_eq!(kernel.revision(&asked).unwrap() == before, is_open, "seed {seed}");
                });
                ticket.into_iter().for_each(|ticket| cluster.daemon.engine.release(ticket));
            }
            assert!(cluster.from("192.0.2.1", last) && !cluster.from("192.0.2.1", last + 1), "seed {seed}");
        }
    }
}

#[test]
fn a_policy_of_a_former_run_that_is_taken_up_late_judges_all_flows_again() {
    let rules = policy("a/p", json!({"ingress": [{"from": [{"podSelector": app("api")}]}]}));
    let mut cluster = Cluster::with(std::slice::from_ref(&rules));
    let before = cluster.revision(Direction::Ingress);
    let mut kernel = cluster.daemon.kernel.clone();
    kernel.pods.clear();
    // The folder is read in part: what the pod's peer was, and then is, is known before the pod itself.
    let mut store = Store::new(&Kind::ALL);
    cluster.daemon = Daemon::start(kernel);
    let web = pod(WEB, "10.244.0.1", "web");
    for document in
        [rules, pod("a/far-api", "10.244.1.1", "api"), pod("a/far-api", "10.244.1.1", "former"), web]
    {
        store.apply(model::Event::Apply(object(&document)));
        cluster.daemon.engine.update(&store.snapshot(), &view(), &store.take_changes());
        cluster.daemon.round(&store.snapshot(), &mut |_| {});
    }
    assert!(cluster.revision(Direction::Ingress) > before);
}

#[test]
fn a_block_matches_pods_too() {
    let block = json!({"ipBlock": {"cidr": "10.244.1.3/32"}});
    let cluster =
        Cluster::with(&[policy("a/p", json!({"ingress": [{"from": [block, {"podSelector": app("db")}]}]}))]);
    assert_eq!(cluster.callers(), [false, true, true, false]);
}

#[test]
fn the_whole_of_one_family_is_not_the_other() {
    for (cidr, want) in [("0.0.0.0/0", (true, false)), ("::/0", (false, true))] {
        let block = json!({"ipBlock": {"cidr": cidr}});
        let cluster = Cluster::with(&[policy("a/p", json!({"egress": [{"to": [block]}]}))]);
        assert_eq!((cluster.to("192.0.2.1", 80), cluster.to("2001:db8::1", 80)), want, "{cidr}");
    }
}

#[test]
fn ports_are_the_destinations_and_tcp_unless_said() {
    let allow = |ports: Value| Cluster::with(&[policy("a/p", json!({"ingress": [{"ports": ports}]}))]);
    let cluster = allow(
        json!([{"port": 80}, {"port": 1000, "endPort": 1999, "protocol": "UDP"}, {"protocol": "SCTP"}]),
    );
    let asked = |protocol, port| cluster.ask(Direction::Ingress, "192.0.2.1", protocol, port).passes();
    assert!(asked(Protocol::TCP, 80) && !asked(Protocol::UDP, 80) && !asked(Protocol::TCP, 81));
    let udp = [999, 1000, 1500, 1999, 2000].map(|port| asked(Protocol::UDP, port));
    assert_eq!(udp, [false, true, true, true, false]);
    assert!(asked(Protocol::SCTP, 80) && asked(Protocol::SCTP, 65535) && !asked(Protocol::TCP, 65535));
    assert!(!asked(Protocol::new(1), 0), "ICMP has no port that a rule could name");
}

#[test]
fn a_named_port_is_the_targets_for_ingress_and_each_peers_for_egress() {
    let with_port = |name: &str, addr: &str, number: u16| {
        let mut pod = pod(name, addr, "srv");
        pod["spec"]["containers"] = json!([{"ports": [{"name": "http", "containerPort": number}]}]);
        pod
    };
    let ports = json!([{"port": "http"}]);
    let spec = json!({"policyTypes": ["Ingress", "Egress"], "ingress": [{"ports": ports}], "egress": [{"ports": ports}]});
    let mut cluster = Cluster::with(&[policy("a/p", spec)]);
    assert!(!cluster.from("10.244.1.1", 8080), "the pod names no port yet");
    cluster.apply(&[
        with_port(WEB, "10.244.0.1", 8080),
        with_port("a/far-s", "10.244.2.1", 80),
        with_port("b/far-s", "10.244.2.2", 8080),
    ]);
    assert!(cluster.from("10.244.1.1", 8080) && !cluster.from("10.244.1.1", 80));
    assert!(cluster.to("10.244.2.1", 80) && !cluster.to("10.244.2.1", 8080));
    assert!(cluster.to("10.244.2.2", 8080) && !cluster.to("10.244.2.2", 80));
    assert!(!cluster.to("10.244.1.1", 80) && !cluster.to("192.0.2.1", 80), "no name, no port");
}

#[test]
fn finished_pods_and_pods_of_the_hosts_network_are_nobody() {
    let from_api = json!({"ingress": [{"from": [{"podSelector": app("api")}]}]});
    let mut cluster = Cluster::with(&[policy("a/p", from_api)]);
    for change in [json!({"phase": "Failed"}), json!({"phase": "Succeeded"})] {
        let mut done = pod("a/far-api", "10.244.1.1", "api");
        done["status"]["phase"] = change["phase"].clone();
        cluster.apply(&[done]);
        assert_eq!(cluster.callers(), [false; 4]);
        // Its address may be another pod's by now.
        cluster.apply(&[pod("b/far-other", "10.244.1.1", "x")]);
        assert_eq!(cluster.callers(), [false; 4]);
        cluster.delete(Kind::Pod, "b/far-other");
        cluster.apply(&[pod("a/far-api", "10.244.1.1", "api")]);
        assert_eq!(cluster.callers(), [true, false, false, false]);
    }
    let mut host = pod("a/far-api", "10.244.1.1", "api");
    host["spec"]["hostNetwork"] = json!(true);
    cluster.apply(&[host]);
    assert_eq!(cluster.callers(), [false; 4]);
    let mut local = pod(WEB, "10.244.0.1", "web");
    local["spec"]["hostNetwork"] = json!(true);
    cluster.apply(&[local]);
    assert_eq!(cluster.daemon.engine.pod_policy(&name(WEB)), None);
}

#[test]
fn terminating_and_unready_pods_count() {
    let from_api = json!({"ingress": [{"from": [{"podSelector": app("api")}]}]});
    let mut cluster = Cluster::with(&[policy("a/p", from_api)]);
    let mut leaving = pod("a/far-api", "10.244.1.1", "api");
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    leaving["status"]["conditions"] = json!([{"type": "Ready", "status": "False"}]);
    cluster.apply(&[leaving]);
    assert_eq!(cluster.callers(), [true, false, false, false]);
}

#[test]
fn every_address_of_a_pod_counts() {
    let from_api = json!({"ingress": [{"from": [{"podSelector": app("api")}]}]});
    let mut cluster = Cluster::with(&[policy("a/p", from_api)]);
    let mut dual = pod("a/far-api", "10.244.1.1", "api");
    dual["status"]["podIPs"] = json!([{"ip": "10.244.1.1"}, {"ip": "fd00:244::9"}]);
    cluster.apply(&[dual]);
    assert!(cluster.from("10.244.1.1", 80) && cluster.from("fd00:244::9", 80));
}

#[test]
fn an_address_that_two_pods_claim_is_what_both_are() {
    let from_api = json!({"ingress": [{"from": [{"podSelector": app("api")}]}]});
    let mut cluster = Cluster::with(&[policy("a/p", from_api)]);
    cluster.apply(&[pod("b/far-thief", "10.244.1.1", "x")]);
    assert!(!cluster.from("10.244.1.1", 80));
    cluster.delete(Kind::Pod, "b/far-thief");
    assert!(cluster.from("10.244.1.1", 80));
}

#[test]
fn a_pod_without_an_address_has_its_policy_already() {
    let mut cluster = Cluster::with(&[policy("a/p", json!({}))]);
    let mut new = pod("a/new", "10.244.0.9", "web");
    new["status"] = json!({"phase": "Pending"});
    cluster.apply(&[new]);
    let policy = cluster.daemon.engine.pod_policy(&name("a/new")).unwrap();
    assert!(policy.ingress >= PolicyId::FIRST && policy.egress == PolicyId::NONE);
    assert_eq!(cluster.daemon.engine.pod_policy(&name("a/far-api")), None, "another node's");
}

#[test]
fn the_nodes_dns_server_is_the_cluster_dns() {
    let dns = json!({"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}});
    let mut cluster = Cluster::with(&[policy("a/p", json!({"policyTypes": ["Egress"]}))]);
    assert!(!cluster.to("169.254.20.53", 53));
    cluster.apply(&[policy("a/dns", json!({"egress": [{"to": [dns], "ports": [{"port": 53}]}]}))]);
    assert!(cluster.to("169.254.20.53", 53) && !cluster.to("169.254.20.53", 54));
}

#[test]
fn the_deciding_rule_is_named() {
    let from_api = json!({"ingress": [{"from": [{"podSelector": app("x")}]}, {"from": [{"podSelector": app("api")}], "ports": [{"port": 80}]}]});
    let cluster = Cluster::with(&[policy("a/p", from_api), policy("a/deny", json!({}))]);
    assert_eq!(cluster.rule(Direction::Ingress, "10.244.1.1", 80), "a/p ingress[1]");
    assert_eq!(cluster.rule(Direction::Ingress, "10.244.1.1", 81), "ingress default of a/deny a/p");
    assert_eq!(cluster.rule(Direction::Ingress, "192.0.2.1", 80), "ingress default of a/deny a/p");
    assert_eq!(cluster.rule(Direction::Egress, "192.0.2.1", 80), "NotIsolated");
}

#[test]
fn a_new_pod_with_known_labels_is_one_write_and_no_flow_is_judged_again() {
    let from_api = json!({"ingress": [{"from": [{"podSelector": app("api")}]}]});
    let mut cluster = Cluster::with(&[policy("a/p", from_api)]);
    let revision = cluster.revision(Direction::Ingress);
    assert_eq!(cluster.apply(&[pod("a/far-api-2", "10.244.1.50", "api")]), ["IDENTITIES"]);
    assert_eq!(cluster.apply(&[pod("a/far-x", "10.244.1.51", "x")]), Vec::<&str>::new());
    assert_eq!(cluster.delete(Kind::Pod, "a/far-x"), Vec::<&str>::new());
    assert_eq!(cluster.revision(Direction::Ingress), revision);
}

#[test]
fn flows_are_judged_again_where_a_peer_lost_what_a_rule_asks_and_nowhere_else() {
    let spec = json!({
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"podSelector": app("api")}]}], "egress": [{"to": [{"podSelector": app("db")}]}],
    });
    let mut cluster = Cluster::with(&[policy("a/p", spec)]);
    let before = Direction::ALL.map(|direction| cluster.revision(direction));
    let writes = cluster.apply(&[pod("a/far-api", "10.244.1.1", "former")]);
    assert_eq!(writes, ["IDENTITIES"], "the revision follows once the row is there");
    assert_eq!(cluster.callers(), [false; 4]);
    assert!(cluster.revision(Direction::Ingress) > before[0]);
    assert_eq!(cluster.revision(Direction::Egress), before[1]);
}

#[test]
fn an_edited_policy_is_another_policy_id_and_the_other_pods_keep_theirs() {
    let only =
        |labels: Value| json!({"podSelector": labels, "ingress": [{"from": [{"podSelector": app("api")}]}]});
    let mut cluster =
        Cluster::with(&[policy("a/web", only(app("web"))), policy("a/other", only(app("other")))]);
    cluster.apply(&[pod("a/other", "10.244.0.2", "other")]);
    let ids = |cluster: &Cluster| {
        [WEB, "a/other"].map(|pod| cluster.daemon.engine.pod_policy(&name(pod)).unwrap().ingress)
    };
    let before = ids(&cluster);
    assert_eq!(cluster.callers(), [true, false, false, false]);
    cluster.apply(&[policy(
        "a/web",
        json!({"podSelector": app("web"), "ingress": [{"from": [{"podSelector": app("db")}]}]}),
    )]);
    assert_eq!(cluster.callers(), [false, true, false, false]);
    let after = ids(&cluster);
    assert!(before[0] != after[0] && before[1] == after[1]);
}

#[test]
fn pods_with_the_same_policies_share_a_policy_id() {
    let mut cluster = Cluster::with(&[policy("a/p", json!({}))]);
    cluster.apply(&[pod("a/second", "10.244.0.2", "db")]);
    let ids = [WEB, "a/second"].map(|pod| cluster.daemon.engine.pod_policy(&name(pod)).unwrap());
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn without_a_number_for_it_a_policy_closes_its_pods_and_is_named() {
    let mut limits = Limits::default();
    limits.policy.policies = 3;
    let mut cluster = Cluster::new(limits);
    cluster.apply(&[policy("a/first", json!({"ingress": [{}]}))]);
    assert_eq!(cluster.callers(), [true; 4]);
    cluster.apply(&[policy("a/second", json!({"egress": [{}]}))]);
    let policy_ids = cluster.daemon.engine.pod_policy(&name(WEB)).unwrap();
    assert!(policy_ids.ids().contains(&PolicyId::CLOSED), "{policy_ids:?}");
    assert!(!(cluster.from("192.0.2.1", 80) && cluster.to("192.0.2.1", 80)));
    let warnings: Vec<String> = cluster.daemon.engine.warnings().map(|w| w.to_string()).collect();
    assert!(warnings[0].contains("POLICY_REVISION is full: the policy's pods are closed"), "{warnings:?}");
    cluster.delete(Kind::NetworkPolicy, "a/second");
    assert_eq!(cluster.callers(), [true; 4]);
    assert_eq!(cluster.daemon.engine.warnings().count(), 0);
}

#[test]
fn a_row_that_did_not_fit_is_written_once_there_is_room() {
    let mut limits = Limits::default();
    limits.policy.verdicts = 2;
    let mut cluster = Cluster::new(limits);
    cluster.apply(&[
        policy("a/first", json!({"ingress": [{"from": [{"podSelector": app("api")}]}]})),
        policy("a/second", json!({"egress": [{"ports": [{"port": 80}]}], "policyTypes": ["Egress"]})),
    ]);
    assert!(cluster.from("10.244.1.1", 80));
    assert_eq!(cluster.ask(Direction::Egress, "192.0.2.1", Protocol::TCP, 80), Answer::NotProgrammed);
    let named: Vec<String> = cluster.daemon.engine.warnings().map(|w| w.object.to_string()).collect();
    assert_eq!(named, ["NetworkPolicy a/second"]);
    cluster.delete(Kind::NetworkPolicy, "a/first");
    assert!(cluster.to("192.0.2.1", 80) && !cluster.to("192.0.2.1", 81));
    assert_eq!(cluster.daemon.engine.warnings().count(), 0);
}

#[test]
fn a_tampered_row_is_repaired_and_what_it_let_pass_is_judged_again() {
    let mut cluster =
        Cluster::with(&[policy("a/p", json!({"ingress": [{"from": [{"podSelector": app("api")}]}]}))]);
    let revision = cluster.revision(Direction::Ingress);
    let stolen = *cluster.daemon.kernel.dump.policy.identities.values().next().unwrap();
    cluster
        .daemon
        .kernel
        .dump
        .policy
        .identities
        .insert("192.0.2.1".parse::<std::net::IpAddr>().unwrap().into(), stolen);
    assert!(cluster.from("192.0.2.1", 80));
    let drift = cluster.daemon.engine.audit(&cluster.daemon.kernel.dump.clone());
    assert_eq!((drift[0].map, drift[0].key.as_str(), drift.len()), ("IDENTITIES", "192.0.2.1", 1));
    let snapshot = cluster.store.snapshot();
    cluster.daemon.settle(&snapshot, &mut |_| {});
    assert!(!cluster.from("192.0.2.1", 80));
    assert!(cluster.revision(Direction::Ingress) > revision);
}

#[test]
fn before_everything_is_known_nothing_that_is_closed_opens() {
    let mut cluster = Cluster::with(&[policy("a/p", json!({}))]);
    let kernel = cluster.daemon.kernel.clone();
    let had = kernel.pods[&name(WEB)].1;
    // A start whose folder cannot be read as a whole: the pod is known and the policy is not.
    let mut store = Store::new(&Kind::ALL);
    store.apply(model::Event::Apply(object(&pod(WEB, "10.244.0.1", "web"))));
    cluster.daemon = Daemon::start(kernel);
    cluster.daemon.engine.update(&store.snapshot(), &view(), &store.take_changes());
    assert_eq!(cluster.daemon.engine.pod_policy(&name(WEB)), Some(PodPolicy::OPEN));
    assert_eq!(cluster.daemon.engine.pod_policy_now(&name(WEB), Some(had)), Some(had));
    cluster.daemon.round(&store.snapshot(), &mut |_| {});
    assert!(!cluster.from("10.244.1.1", 80));
}
