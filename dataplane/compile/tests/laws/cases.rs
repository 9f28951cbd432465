//! Single cases, by name: what the laws hold in general, shown once each.

use abi::{Addr, BackendState, FrontendKey, Generation, Port, Protocol, SetWord};
use compile::{Dump, Engine, Limits, Op, Phase, Ticket};
use model::{Changes, NodeView, Snapshot, Store};
use serde_json::{Value, json};

use super::common::*;

/// A daemon without failures whose grace periods end when the test says so.
struct Daemon {
    store: Store,
    engine: Engine,
    kernel: Kernel,
    tickets: Vec<Ticket>,
    view: NodeView,
}

impl Daemon {
    fn new(limits: Limits) -> Self {
        let engine = Engine::new(limits.clone(), Dump::default());
        Self {
            store: synced_store(),
            engine,
            kernel: Kernel::new(limits, 1, 0),
            tickets: Vec::new(),
            view: view(),
        }
    }

    fn apply(&mut self, documents: &[Value]) -> &mut Self {
        documents.iter().for_each(|document| self.store.apply(model::Event::Apply(object(document))));
        self.sync()
    }

    fn delete(&mut self, kind: model::Kind, name: &str) -> &mut Self {
        self.store.apply(model::Event::Delete(object_key(kind, name)));
        self.sync()
    }

    fn sync(&mut self) -> &mut Self {
        let snapshot = self.store.snapshot();
        self.engine.update(&snapshot, &self.view, &self.store.take_changes());
        self.tickets.extend(round(&mut self.engine, &mut self.kernel, &snapshot, |_| {}));
        self
    }

    /// All grace periods end, and what did not fit is tried again.
    fn grace(&mut self) -> &mut Self {
        self.tickets.drain(..).for_each(|ticket| self.engine.release(ticket));
        self.sync()
    }

    fn rows(&self) -> Vec<String> {
        state(&self.engine, &self.kernel.dump).0
    }

    fn rows_of(&self, kind: &str) -> Vec<String> {
        self.rows().into_iter().filter(|row| row.starts_with(kind)).collect()
    }

    fn warnings(&self) -> Vec<String> {
        self.engine.warnings().map(|warning| warning.to_string()).collect()
    }

    fn word(&self, name: &str) -> SetWord {
        let service = self.engine.services().find(|s| s.key.port.service.name.as_ref() == name).unwrap();
        self.kernel.dump.services[&service.id].cluster
    }
}

fn service(name: &str, ip: &str, created: &str, spec: Value) -> Value {
    let mut full = json!({"clusterIP": ip, "ports": [{"name": "http", "port": 80}]});
    full.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({"apiVersion": "v1", "kind": "Service", "spec": full,
           "metadata": {"name": name, "creationTimestamp": format!("2026-01-0{created}T00:00:00Z")}})
}

fn slice(service: &str, endpoints: &[Value]) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": format!("{service}-1"), "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "http", "port": 3000}],
    })
}

fn endpoint(last: u8, node: &str) -> Value {
    json!({"addresses": [format!("10.244.0.{last}")], "nodeName": node, "zone": "z1"})
}

#[test]
fn a_service_is_rows_that_name_it() {
    let mut daemon = Daemon::new(limits());
    let leaving = json!({"addresses": ["10.244.0.3"], "nodeName": "there",
                         "conditions": {"ready": false, "serving": true, "terminating": true}});
    daemon.apply(&[
        service(
            "web",
            "10.96.0.1",
            "1",
            json!({"externalTrafficPolicy": "Local", "externalIPs": ["192.0.2.1"]}),
        ),
        slice("web", &[endpoint(1, "here"), endpoint(2, "there"), leaving]),
    ]);
    assert_eq!(
        daemon.rows(),
        [
            "backend 10.244.0.1:3000 of default/web:http/TCP/v4 live local node=here zone=z1",
            "backend 10.244.0.2:3000 of default/web:http/TCP/v4 live node=there zone=z1",
            "backend 10.244.0.3:3000 of default/web:http/TCP/v4 terminating node=there",
            "frontend 10.96.0.1:* other ports: refused",
            "frontend 10.96.0.1:80/TCP ClusterIP -> default/web:http/TCP/v4",
            "frontend 192.0.2.1:80/TCP ExternalIP -> default/web:http/TCP/v4",
            "node-addr 172.31.0.11",
            "node-addr fd00:172::11",
            "service default/web:http/TCP/v4 cluster=[10.244.0.1:3000 10.244.0.2:3000] local=[10.244.0.1:3000] flags=[external-local]",
        ]
    );
}

#[test]
fn the_local_set_is_kept_only_for_a_policy_that_uses_it() {
    for (spec, local, flags) in [
        (json!({}), "", ""),
        (json!({"internalTrafficPolicy": "Local"}), "10.244.0.1:3000", "internal-local"),
        // A ClusterIP alone has no external frontend that the external policy could apply to.
        (json!({"externalTrafficPolicy": "Local"}), "", ""),
    ] {
        let mut daemon = Daemon::new(limits());
        daemon.apply(&[
            service("web", "10.96.0.1", "1", spec.clone()),
            slice("web", &[endpoint(1, "here"), endpoint(2, "there")]),
        ]);
        let all = "10.244.0.1:3000 10.244.0.2:3000";
        let row = format!("service default/web:http/TCP/v4 cluster=[{all}] local=[{local}] flags=[{flags}]");
        assert_eq!(daemon.rows_of("service"), [row], "{spec}");
    }
}

#[test]
fn the_older_of_two_services_has_the_frontend_until_it_goes() {
    let node_port =
        |name: &str| json!({"type": "NodePort", "ports": [{"name": name, "port": 80, "nodePort": 30000}]});
    let mut daemon = Daemon::new(limits());
    daemon.apply(&[service("younger", "10.96.0.1", "2", node_port("a"))]);
    daemon.apply(&[service("older", "10.96.0.1", "1", node_port("b"))]);
    assert_eq!(
        daemon.rows_of("frontend"),
        [
            "frontend 10.96.0.1:* other ports: refused",
            "frontend 10.96.0.1:80/TCP ClusterIP -> default/older:b/TCP/v4",
            "frontend node-v4:30000/TCP NodePort -> default/older:b/TCP/v4",
        ]
    );
    let lost = ["node-v4:30000/TCP", "10.96.0.1:*", "10.96.0.1:80/TCP"];
    for key in lost {
        let warning = format!(
            "Service default/younger: {key} belongs to Service default/older: the oldest has it, of equals the first by name"
        );
        assert!(daemon.warnings().contains(&warning), "{warning} in {:?}", daemon.warnings());
    }
    assert_eq!(daemon.warnings().len(), lost.len());

    daemon.delete(model::Kind::Service, "older");
    assert_eq!(daemon.rows_of("frontend").len(), 3);
    assert!(daemon.rows_of("frontend")[1].ends_with("default/younger:a/TCP/v4"));
    assert_eq!(daemon.warnings(), Vec::<String>::new());
}

#[test]
fn an_unchanged_set_keeps_its_block_and_a_changed_one_gets_another() {
    let mut daemon = Daemon::new(limits());
    daemon.apply(&[
        service("web", "10.96.0.1", "1", json!({})),
        slice("web", &[endpoint(1, "here"), endpoint(2, "there")]),
    ]);
    let first = daemon.word("web");
    assert_eq!(first.count(), 2);
    daemon.apply(&[service("web", "10.96.0.1", "1", json!({"externalIPs": ["192.0.2.1"]}))]);
    assert_eq!(daemon.word("web"), first);
    daemon.apply(&[slice("web", &[endpoint(1, "here"), endpoint(3, "there")])]);
    let second = daemon.word("web");
    assert_ne!(second.base(), first.base());
    daemon.grace().apply(&[slice("web", &[endpoint(1, "here"), endpoint(4, "there")])]);
    assert_eq!(daemon.word("web").base(), first.base(), "free again");
    daemon.apply(&[slice("web", &[])]);
    assert_eq!(daemon.word("web"), SetWord::EMPTY);
}

#[test]
fn an_id_is_reused_after_the_grace_period_only_and_with_a_new_generation() {
    let mut daemon = Daemon::new(limits());
    let backend = |daemon: &Daemon, last: u8| {
        let addr = Addr::v4([10, 244, 0, last]);
        let live = |state: u8| state == BackendState::Live as u8;
        let rows = daemon.kernel.dump.backends.iter();
        rows.filter(|(_, e)| e.addr == addr && live(e.state))
            .map(|(id, e)| (id.0, e.generation))
            .next()
            .unwrap()
    };
    daemon.apply(&[service("web", "10.96.0.1", "1", json!({})), slice("web", &[endpoint(1, "here")])]);
    assert_eq!(backend(&daemon, 1), (1, Generation(1)));
    daemon.apply(&[slice("web", &[endpoint(2, "here")])]);
    assert_eq!(backend(&daemon, 2), (2, Generation(1)));
    daemon.apply(&[slice("web", &[endpoint(3, "here")])]);
    assert_eq!(backend(&daemon, 3), (3, Generation(1)));
    daemon.grace().apply(&[slice("web", &[endpoint(4, "here")])]);
    assert_eq!(backend(&daemon, 4), (1, Generation(2)));
}

#[test]
fn a_service_whose_second_port_finds_no_slots_keeps_all_it_had() {
    let mut daemon = Daemon::new(Limits { slots: 4, ..limits() });
    let two = json!([{"name": "http", "port": 80}, {"name": "more", "port": 81}]);
    let mut slice_of_two = slice("web", &[endpoint(1, "here"), endpoint(2, "there")]);
    slice_of_two["ports"] = json!([{"name": "http", "port": 3000}, {"name": "more", "port": 3001}]);
    daemon.apply(&[service("web", "10.96.0.1", "1", json!({})), slice("web", &[endpoint(1, "here")])]);
    let before = daemon.rows();
    daemon.apply(&[service("web", "10.96.0.1", "1", json!({"ports": two})), slice_of_two]);
    assert_eq!(daemon.rows(), before);
    assert_eq!(
        daemon.warnings(),
        ["Service default/web: SLOTS is full: the Service keeps what it had, or is not served"]
    );
}

#[test]
fn a_service_gets_in_once_another_gives_up_a_frontend() {
    let mut daemon = Daemon::new(Limits { frontends: 4, ..limits() });
    daemon.apply(&[service("a", "10.96.0.1", "1", json!({"externalIPs": ["192.0.2.1"]}))]);
    daemon.apply(&[service("b", "10.96.0.2", "1", json!({}))]);
    assert_eq!(daemon.warnings().len(), 1);
    assert!(daemon.engine.has_refused());
    daemon.apply(&[service("a", "10.96.0.1", "1", json!({}))]);
    daemon.grace();
    assert_eq!(daemon.warnings(), Vec::<String>::new());
    assert_eq!(daemon.rows_of("frontend").len(), 4);
}

#[test]
fn ranges_and_addresses_that_do_not_fit_are_named_until_they_do() {
    let range = |name: &str, cidr: &str| {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": name},
               "spec": {"cidrs": [cidr]}})
    };
    let mut daemon = Daemon::new(Limits { service_cidrs: 1, node_addrs: 1, ..limits() });
    daemon.apply(&[range("a", "10.96.0.0/16"), range("b", "10.97.0.0/16")]);
    assert_eq!(
        daemon.warnings(),
        [
            "Node here: NODE_ADDRS is full: NodePorts do not answer on fd00:172::11 (1 in all)",
            "ServiceCIDR b: SERVICE_CIDRS is full: unallocated addresses of 10.97.0.0/16 pass",
        ]
    );
    daemon.view.addrs.remove(&"172.31.0.11".parse().unwrap());
    daemon.delete(model::Kind::ServiceCidr, "a").grace();
    assert_eq!(daemon.warnings(), Vec::<String>::new());
    assert_eq!(daemon.rows(), ["node-addr fd00:172::11", "service-cidr 10.97.0.0/16"]);
}

#[test]
fn loopback_addresses_are_not_the_nodes_own() {
    let mut daemon = Daemon::new(limits());
    daemon.view.addrs.extend(["127.0.0.1", "::1"].map(|ip| ip.parse::<std::net::IpAddr>().unwrap()));
    daemon.sync();
    assert_eq!(daemon.rows(), ["node-addr 172.31.0.11", "node-addr fd00:172::11"]);
}

#[test]
fn our_nodes_new_zone_compiles_every_service_again() {
    let node = |zone: &str| {
        json!({"apiVersion": "v1", "kind": "Node",
               "metadata": {"name": "here", "labels": {"topology.kubernetes.io/zone": zone}}})
    };
    let hinted = |last: u8, zone: &str| json!({"addresses": [format!("10.244.0.{last}")], "hints": {"forZones": [{"name": zone}]}});
    let mut daemon = Daemon::new(limits());
    daemon.apply(&[
        node("z1"),
        service("web", "10.96.0.1", "1", json!({})),
        slice("web", &[hinted(1, "z1"), hinted(2, "z2")]),
    ]);
    assert!(daemon.rows_of("service")[0].contains("cluster=[10.244.0.1:3000]"));
    daemon.apply(&[node("z2")]);
    assert!(daemon.rows_of("service")[0].contains("cluster=[10.244.0.2:3000]"));
}

#[test]
fn a_counter_that_cannot_be_reset_holds_up_its_backend_and_nothing_else() {
    let mut daemon = Daemon::new(limits());
    daemon.apply(&[service("web", "10.96.0.1", "1", json!({})), slice("web", &[endpoint(1, "here")])]);
    daemon.store.apply(model::Event::Apply(object(&slice("web", &[endpoint(2, "here")]))));
    daemon.store.apply(model::Event::Apply(object(&service("other", "10.96.0.2", "1", json!({})))));
    let snapshot = daemon.store.snapshot();
    daemon.engine.update(&snapshot, &daemon.view, &daemon.store.take_changes());
    fail_once(&mut daemon, &snapshot, |op| matches!(op, Op::ResetBackendStats(_)));
    assert!(daemon.rows_of("service default/web")[0].contains("cluster=[10.244.0.1:3000]"));
    assert_eq!(daemon.rows_of("frontend 10.96.0.2:80/TCP").len(), 1);
    assert_ne!(daemon.engine.pending(), 0);
    daemon.sync();
    assert!(daemon.rows_of("service default/web")[0].contains("cluster=[10.244.0.2:3000]"));
    assert_eq!(daemon.engine.pending(), 0);
}

#[test]
fn a_frontend_waits_for_the_words_of_its_service() {
    let mut daemon = Daemon::new(limits());
    let key = FrontendKey::new(Addr::v4([10, 96, 0, 1]), Port::new(80), Protocol::TCP);
    daemon.store.apply(model::Event::Apply(object(&service("web", "10.96.0.1", "1", json!({})))));
    daemon.store.apply(model::Event::Apply(object(&slice("web", &[endpoint(1, "here")]))));
    let snapshot = daemon.store.snapshot();
    daemon.engine.update(&snapshot, &daemon.view, &daemon.store.take_changes());
    for failing in [Phase::WriteBackends, Phase::WriteSlots, Phase::WriteServices] {
        fail_phase(&mut daemon, &snapshot, failing);
        assert!(!daemon.kernel.dump.frontends.contains_key(&key), "{failing:?} failed");
    }
    daemon.sync();
    assert!(daemon.kernel.dump.frontends.contains_key(&key));
}

#[test]
fn a_service_whose_frontend_cannot_be_deleted_goes_on_working() {
    let mut daemon = Daemon::new(limits());
    daemon.apply(&[service("web", "10.96.0.1", "1", json!({})), slice("web", &[endpoint(1, "here")])]);
    let word = daemon.word("web");
    daemon.store.apply(model::Event::Delete(object_key(model::Kind::Service, "web")));
    let snapshot = daemon.store.snapshot();
    daemon.engine.update(&snapshot, &daemon.view, &daemon.store.take_changes());
    fail_phase(&mut daemon, &snapshot, Phase::DeleteFrontends);
    assert!(daemon.kernel.dump.services.values().any(|entry| entry.cluster == word));
    assert_ne!(daemon.engine.pending(), 0);
    daemon.sync().grace();
    assert_eq!(daemon.rows(), ["node-addr 172.31.0.11", "node-addr fd00:172::11"]);
    assert_eq!(daemon.engine.pending(), 0);
}

/// A round in which the writes that the test names fail.
fn fail_once(daemon: &mut Daemon, snapshot: &Snapshot, fails: impl Fn(&Op) -> bool) {
    run(daemon, snapshot, |_, op| fails(op));
}

fn fail_phase(daemon: &mut Daemon, snapshot: &Snapshot, failing: Phase) {
    run(daemon, snapshot, |phase, _| phase == failing);
}

fn run(daemon: &mut Daemon, snapshot: &Snapshot, fails: impl Fn(Phase, &Op) -> bool) {
    let Daemon { engine, kernel, .. } = daemon;
    for phase in Phase::ALL {
        let ops = engine.plan(phase, snapshot.synced.as_ref());
        let results: Vec<bool> = ops.iter().map(|op| !fails(phase, op)).collect();
        ops.iter().zip(&results).filter(|(_, ok)| **ok).for_each(|(op, _)| kernel.write(op));
        engine.record(phase, &ops, &results);
    }
    daemon.tickets.extend(daemon.engine.end_round());
}

#[test]
fn a_round_without_changes_writes_nothing() {
    let mut daemon = Daemon::new(limits());
    daemon.apply(&[service("web", "10.96.0.1", "1", json!({})), slice("web", &[endpoint(1, "here")])]);
    let snapshot = daemon.store.snapshot();
    daemon.engine.update(&snapshot, &daemon.view, &Changes::default());
    daemon.engine.update_all(&snapshot, &daemon.view);
    for phase in Phase::ALL {
        assert_eq!(daemon.engine.plan(phase, snapshot.synced.as_ref()), [], "{phase:?}");
    }
}
