use std::net::IpAddr;

use abi::{Generation, PodFlags};
use model::{CgroupId as ModelCgroup, Device, DeviceType, Event, IfIndex, Kind, Mac, Route, Store, api};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const UNISOLATED: (PolicyId, PolicyId) = (PolicyId::NONE, PolicyId::NONE);

/// Subjects, a kernel in memory and a cluster, driven by hand.
struct Node {
    subjects: Subjects,
    ids: Delta<IdKey, u32>,
    dump: SubjectDump,
    store: Store,
    view: NodeView,
    policies: BTreeMap<ObjectName, (PolicyId, PolicyId)>,
    programmed: BTreeSet<PolicyId>,
    /// A seeded source of failures, in a thousand.
    fail_per_mille: u64,
    seed: u64,
    /// Ids that wait for a grace period.
    retired: Vec<PodId>,
}

impl Node {
    fn new(limits: SubjectLimits) -> Self {
        let mut store = Store::new(&[Kind::Pod]);
        store.apply(Event::Init(Kind::Pod));
        store.apply(Event::InitDone(Kind::Pod));
        Self {
            subjects: Subjects::new(limits, SubjectDump::default(), &BTreeMap::new()),
            ids: Delta::new(BTreeMap::new()),
            dump: SubjectDump::default(),
            store,
            view: NodeView { name: "here".into(), ..NodeView::default() },
            policies: BTreeMap::new(),
            programmed: BTreeSet::new(),
            fail_per_mille: 0,
            seed: 1,
            retired: Vec::new(),
        }
    }

    /// A node with room.
    fn roomy() -> Self {
        Self::new(SubjectLimits::for_pods(16))
    }

    fn apply(&mut self, pod: Value) {
        let object: api::Pod = serde_json::from_value(pod).unwrap();
        self.store.apply(Event::Apply(Arc::new(api::Object::Pod(Box::new(object)))));
    }

    fn delete(&mut self, name: &str) {
        let name = ObjectName::new("default", name);
        self.store.apply(Event::Delete(ObjectKey { kind: Kind::Pod, name }));
    }

    fn network(&mut self, change: impl FnOnce(&mut Network)) {
        let mut network = (*self.view.network).clone();
        change(&mut network);
        self.view.network = Arc::new(network);
    }

    /// A veth with a host route to an address.
    fn wire(&mut self, index: u32, addr: &str) {
        let to = addr.parse::<IpAddr>().unwrap().into();
        self.network(|network| {
            let device = Device {
                name: format!("veth{index}").into(),
                device_type: DeviceType::Pair,
                mac: Some(Mac([2, 0, 0, 0, 0, index as u8])),
                mtu: 1500,
                master: None,
                is_peer_elsewhere: true,
                addrs: Vec::new(),
            };
            network.devices.insert(IfIndex(index), device);
            network.routes.insert(Route { to, device: IfIndex(index), via: None, source: None });
        });
    }

    fn unwire(&mut self, index: u32) {
        self.network(|network| {
            network.devices.remove(&IfIndex(index));
            network.routes.retain(|route| route.device != IfIndex(index));
        });
    }

    fn fails(&mut self) -> bool {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % 1000 < self.fail_per_mille
    }

    /// One round; after every write what programs find is whole.
    fn round(&mut self) {
        let snapshot = self.store.snapshot();
        let changes = self.store.take_changes();
        let policies = self.policies.clone();
        let policy_of = |name: &ObjectName| policies.get(name).copied().unwrap_or(UNISOLATED);
        let ids = IdTable { rows: &mut self.ids, limit: 64 };
        self.subjects.update(&snapshot, &self.view, Some(&changes), &policy_of, ids);
        let writes: Vec<(IdKey, u32)> = self.ids.updates().map(|(key, id)| (*key, *id)).collect();
        for (key, id) in writes {
            self.ids.set_realised(key, Some(id));
        }
        let synced = snapshot.synced.as_ref();
        for phase in 0..5 {
            let programmed = self.programmed.clone();
            let is_programmed = |id| programmed.contains(&id);
            let ops = match phase {
                0 | 2 => self.subjects.plan_pods(&is_programmed),
                1 => self.subjects.plan_subjects(),
                3 => self.subjects.plan_delete_subjects(synced),
                _ => self.subjects.plan_forget_pods(synced),
            };
            for op in ops {
                if !self.fails() {
                    self.dump.apply(&op);
                    self.subjects.record(&op);
                    self.check();
                }
            }
        }
        let deletes: Vec<IdKey> =
            synced.map(|synced| self.ids.deletes(synced).copied().collect()).unwrap_or_default();
        for key in deletes {
            let id = self.ids.realised(&key).copied();
            if id.is_some_and(|id| self.subjects.may_forget(id)) {
                self.ids.set_realised(key, None);
            }
        }
        self.retired.append(&mut self.subjects.retire(&self.ids));
    }

    fn grace(&mut self) {
        for id in std::mem::take(&mut self.retired) {
            self.subjects.give_back(id);
        }
    }

    fn settle(&mut self) {
        for _ in 0..6 {
            self.round();
            self.grace();
        }
        let pending: usize = self.subjects.pending_by_map(true).iter().map(|(_, count)| count).sum();
        assert_eq!(pending, 0, "{:?}", self.subjects.pending_by_map(true));
    }

    fn restart(&mut self) {
        let (rows, dump) = (self.ids.all_realised().clone(), self.dump.clone());
        self.subjects = Subjects::new(self.subjects.limits.clone(), dump, &rows);
        self.ids = Delta::new(rows);
        self.retired.clear();
    }

    /// What holds between any two writes: nothing leads to a pod without a row, and no source is checked against
    /// addresses that cannot be found.
    fn check(&self) {
        let dump = &self.dump;
        let named = dump.local_pods.values().chain(dump.cgroups.values()).copied();
        for id in named.chain(dump.devices.values().map(|entry| entry.pod)).filter(|id| *id != PodId::NONE) {
            let entry = dump.pods.get(&id);
            assert!(entry.is_some_and(plan::is_known), "{id:?} is named and has no row: {dump:?}");
        }
    }

    fn id(&self, name: &str) -> PodId {
        self.subjects.pods[&ObjectName::new("default", name)].id
    }

    fn entry(&self, name: &str) -> PodEntry {
        self.dump.pods[&self.id(name)]
    }
}

fn pod(name: &str, uid: &str, ip: &str) -> Value {
    json!({"metadata": {"name": name, "uid": uid}, "spec": {"nodeName": "here"}, "status": {"podIP": ip}})
}

#[test]
fn a_pod_keeps_its_id_over_updates_and_restarts() {
    let mut node = Node::roomy();
    node.apply(pod("b", "2", "10.0.0.2"));
    node.apply(pod("a", "1", "10.0.0.1"));
    node.settle();
    let (a, b) = (node.id("a"), node.id("b"));
    assert!(a != b && a >= PodId::FIRST && b >= PodId::FIRST);
    node.delete("a");
    node.apply(pod("b", "2", "10.0.0.3"));
    node.settle();
    assert_eq!(node.id("b"), b);
    node.restart();
    node.settle();
    // The first update after a start looks at every pod, as the engine's does.
    assert_eq!(node.id("b"), b);
    assert_eq!(node.dump.local_pods, BTreeMap::from([(Addr::v4([10, 0, 0, 3]), b)]));
}

#[test]
fn a_pod_of_the_same_name_with_another_uid_is_another_pod() {
    let mut node = Node::roomy();
    node.apply(pod("a", "1", "10.0.0.1"));
    node.settle();
    let (id, before) = (node.id("a"), node.entry("a"));
    node.apply(pod("a", "2", "10.0.0.1"));
    node.round();
    assert_ne!(node.id("a"), id, "the first one's number is still known to programs");
    node.settle();
    node.delete("a");
    node.settle();
    node.apply(pod("a", "3", "10.0.0.1"));
    node.settle();
    let again = node.dump.pods[&id];
    assert_eq!((node.id("a"), again.generation), (id, Generation(before.generation.0 + 1)));
}

#[test]
fn the_hosts_row_says_whether_sockets_must_ask_whose_they_are() {
    let host = |node: &Node| node.dump.pods[&PodId::HOST].flags.has(PodFlags::NO_SOCKET_LB);
    let flags = |node: &Node| {
        let flags = node.entry("a").flags;
        (flags.has(PodFlags::NO_SOCKET_LB), flags.has(PodFlags::PER_PACKET))
    };
    let said = |value: &str| {
        let mut pod = pod("a", "1", "10.0.0.1");
        pod["metadata"]["annotations"]["ferrule.io/socket-lb"] = value.into();
        pod
    };
    let mut node = Node::roomy();
    node.apply(said("enabled"));
    node.settle();
    assert_eq!((flags(&node), host(&node)), ((false, false), false));
    node.apply(said("disabled"));
    node.settle();
    assert_eq!((flags(&node), host(&node)), ((true, true), true));

    // Until everything is known the pod may still be there.
    node.restart();
    node.store = Store::new(&[Kind::Pod]);
    node.store.apply(Event::Init(Kind::Pod));
    node.round();
    assert!(host(&node));
    node.apply(said("enabled"));
    node.store.apply(Event::InitDone(Kind::Pod));
    node.settle();
    assert_eq!((flags(&node), host(&node)), ((false, true), false), "its flows go on");
}

#[test]
fn an_id_is_not_given_again_before_its_grace_period_is_over() {
    let mut node = Node::new(SubjectLimits::for_pods(1));
    node.apply(pod("a", "1", "10.0.0.1"));
    node.settle();
    let id = node.id("a");
    node.delete("a");
    node.apply(pod("b", "2", "10.0.0.2"));
    (0..3).for_each(|_| node.round());
    assert_eq!((node.id("b"), node.retired.clone()), (PodId::NONE, vec![id]));
    assert!(node.subjects.has_refused());
    node.grace();
    node.settle();
    assert_eq!(node.id("b"), id);
    assert!(!node.subjects.has_refused());
}

#[test]
fn an_isolated_pod_without_room_is_closed_and_an_open_one_unknown() {
    let mut node = Node::new(SubjectLimits { pods: PodId::FIRST.0, ..SubjectLimits::for_pods(4) });
    node.policies.insert(ObjectName::new("default", "a"), (PolicyId::NONE, PolicyId(7)));
    node.apply(pod("a", "1", "10.0.0.1"));
    node.apply(pod("b", "2", "10.0.0.2"));
    node.wire(7, "10.0.0.1");
    node.settle();
    assert_eq!(node.dump.local_pods, BTreeMap::from([(Addr::v4([10, 0, 0, 1]), PodId::REFUSED)]));
    assert_eq!(node.dump.devices[&abi::IfIndex(7)].pod, PodId::REFUSED);
    let closed = node.dump.pods[&PodId::REFUSED];
    assert_eq!((closed.egress, closed.ingress), (PolicyId::CLOSED, PolicyId::CLOSED));
    assert!(closed.flags.has(PodFlags::KNOWN));
    assert_eq!(node.subjects.warnings().count(), 2);
}

#[test]
fn a_pod_is_never_judged_by_a_policy_id_that_is_not_programmed() {
    let mut node = Node::roomy();
    let name = ObjectName::new("default", "a");
    node.policies.insert(name.clone(), (PolicyId(7), PolicyId::NONE));
    node.apply(pod("a", "1", "10.0.0.1"));
    node.round();
    assert_eq!(
        (node.entry("a").egress, node.entry("a").ingress),
        (PolicyId::CLOSED, PolicyId::NONE),
        "new: closed"
    );
    node.programmed.insert(PolicyId(7));
    node.settle();
    assert_eq!(node.entry("a").egress, PolicyId(7));
    node.policies.insert(name, (PolicyId(8), PolicyId::NONE));
    node.round();
    assert_eq!(node.entry("a").egress, PolicyId(7), "what was in force stays");
    node.programmed.insert(PolicyId(8));
    node.settle();
    assert_eq!(node.entry("a").egress, PolicyId(8));
}

#[test]
fn sources_are_checked_once_all_addresses_can_be_found() {
    let mut node = Node::new(SubjectLimits { local_pods: 1, ..SubjectLimits::for_pods(4) });
    node.apply(json!({"metadata": {"name": "a", "uid": "1"}, "spec": {"nodeName": "here"}}));
    node.settle();
    assert!(!node.entry("a").flags.has(PodFlags::ADDRESSED), "no address is known");
    node.apply(pod("a", "1", "10.0.0.1"));
    node.round();
    assert!(node.entry("a").flags.has(PodFlags::ADDRESSED), "in one round");
    let ips = json!([{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]);
    node.apply(json!({
        "metadata": {"name": "a", "uid": "1"}, "spec": {"nodeName": "here"}, "status": {"podIPs": ips},
    }));
    node.settle();
    assert!(!node.entry("a").flags.has(PodFlags::ADDRESSED), "one found no room");
}

#[test]
fn an_address_that_changes_hands_leads_to_its_new_pod() {
    let mut node = Node::roomy();
    node.apply(pod("a", "1", "10.0.0.1"));
    node.wire(7, "10.0.0.1");
    node.settle();
    node.delete("a");
    node.unwire(7);
    node.apply(pod("b", "2", "10.0.0.1"));
    node.wire(8, "10.0.0.1");
    node.settle();
    let b = node.id("b");
    assert_eq!(node.dump.local_pods, BTreeMap::from([(Addr::v4([10, 0, 0, 1]), b)]));
    assert_eq!(node.dump.devices.keys().copied().collect::<Vec<_>>(), [abi::IfIndex(8)]);
    assert_eq!((node.entry("b").ifindex, node.dump.devices[&abi::IfIndex(8)].pod), (abi::IfIndex(8), b));
    assert_eq!(node.subjects.attachments(), BTreeMap::from([(abi::IfIndex(8), Hooks::Pod)]));
}

#[test]
fn a_nodes_own_address_is_never_a_pods() {
    let mut node = Node::roomy();
    node.view.addrs.insert("10.0.0.1".parse().unwrap());
    node.apply(pod("a", "1", "10.0.0.1"));
    node.settle();
    assert!(node.dump.local_pods.is_empty());
    assert!(!node.entry("a").flags.has(PodFlags::ADDRESSED));
}

#[test]
fn a_start_keeps_what_it_found_until_everything_is_known() {
    let mut node = Node::roomy();
    node.apply(pod("a", "1", "10.0.0.1"));
    node.wire(7, "10.0.0.1");
    node.view.cgroups = Arc::new(BTreeMap::from([("1".into(), ModelCgroup(99))]));
    node.settle();
    let before = node.dump.clone();
    node.restart();
    node.store = Store::new(&[Kind::Pod]);
    (0..3).for_each(|_| node.round());
    assert_eq!(node.dump, before, "nothing is listed yet");
    node.store.apply(Event::Init(Kind::Pod));
    node.store.apply(Event::InitDone(Kind::Pod));
    node.settle();
    assert!(node.dump.local_pods.is_empty() && node.dump.cgroups.is_empty());
    assert_eq!(node.dump.devices[&abi::IfIndex(7)].pod, PodId::NONE);
    assert!(node.ids.all_realised().is_empty());
}

#[test]
fn rows_that_somebody_changed_are_named_and_repaired() {
    let mut node = Node::roomy();
    node.apply(pod("a", "1", "10.0.0.1"));
    node.wire(7, "10.0.0.1");
    node.settle();
    let (before, id) = (node.dump.clone(), node.id("a"));
    node.dump.pods.remove(&id);
    node.dump.local_pods.insert(Addr::v4([10, 0, 0, 9]), id);
    node.dump.devices.clear();
    let drift = node.subjects.audit(&node.dump);
    let maps: BTreeSet<&str> = drift.iter().map(|drift| drift.map).collect();
    assert_eq!(maps, BTreeSet::from(["PODS", "LOCAL_PODS", "DEVICES"]));
    // What somebody broke is whole at the end only.
    for op in node.subjects.plan_pods(&|_| true) {
        node.dump.apply(&op);
        node.subjects.record(&op);
    }
    node.settle();
    assert_eq!(node.dump, before);
}

#[derive(Clone, Debug)]
enum Step {
    Apply { name: u8, uid: u8, addr: Option<u8>, is_here: bool },
    Delete(u8),
    Wire(u8),
    Unwire(u8),
    Cgroups(BTreeSet<u8>),
    Restart,
    Grace,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4u8, 0..2u8, proptest::option::of(0..5u8), proptest::bool::weighted(0.9))
            .prop_map(|(name, uid, addr, is_here)| Step::Apply { name, uid, addr, is_here }),
        2 => (0..4u8).prop_map(Step::Delete),
        2 => (0..5u8).prop_map(Step::Wire),
        1 => (0..5u8).prop_map(Step::Unwire),
        1 => proptest::collection::btree_set(0..8u8, 0..6).prop_map(Step::Cgroups),
        1 => Just(Step::Restart),
        1 => Just(Step::Grace),
    ]
}

fn take(node: &mut Node, step: &Step) {
    match step {
        Step::Apply { name, uid, addr, is_here } => {
            let ip = addr.map(|addr| format!("10.0.0.{addr}")).unwrap_or_default();
            let on = if *is_here { "here" } else { "there" };
            node.apply(json!({
                "metadata": {"name": format!("p{name}"), "uid": format!("{name}{uid}")},
                "spec": {"nodeName": on}, "status": {"podIP": ip},
            }));
        }
        Step::Delete(name) => node.delete(&format!("p{name}")),
        Step::Wire(at) => node.wire(u32::from(*at) + 10, &format!("10.0.0.{at}")),
        Step::Unwire(at) => node.unwire(u32::from(*at) + 10),
        Step::Cgroups(uids) => {
            let cgroups =
                uids.iter().map(|n| (format!("{}{}", n / 2, n % 2).into(), ModelCgroup(u64::from(*n) + 100)));
            node.view.cgroups = Arc::new(cgroups.collect());
        }
        Step::Restart => node.restart(),
        Step::Grace => node.grace(),
    }
}

/// The maps by name: ids and generations are not part of it.
fn rows(node: &Node) -> Vec<String> {
    let names = crate::render::Names { subjects: node.subjects.names(), ..Default::default() };
    let dump = crate::Dump { subjects: node.dump.clone(), ..Default::default() };
    crate::render::render(&dump, &names)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// After any steps with any failures the maps come to what one go gives, nothing in between leads nowhere
    /// ([`Node::check`]), and ids that are in use stay as they are over a restart.
    #[test]
    fn any_way_comes_to_the_same_rows(
        steps in proptest::collection::vec(step(), 1..24), seed in 1u64.., fails in 0u64..500,
    ) {
        let mut node = Node::roomy();
        (node.seed, node.fail_per_mille) = (seed, fails);
        for step in &steps {
            take(&mut node, step);
            node.round();
        }
        node.fail_per_mille = 0;
        node.settle();

        let mut fresh = Node::roomy();
        for step in &steps {
            if !matches!(step, Step::Restart) {
                take(&mut fresh, step);
            }
        }
        fresh.settle();
        prop_assert_eq!(rows(&node), rows(&fresh));

        let before: BTreeMap<_, _> = node.subjects.pods.iter().map(|(name, pod)| (name.clone(), pod.id)).collect();
        let maps = node.dump.clone();
        node.restart();
        node.settle();
        let after: BTreeMap<_, _> = node.subjects.pods.iter().map(|(name, pod)| (name.clone(), pod.id)).collect();
        prop_assert_eq!(before, after);
        prop_assert_eq!(maps, node.dump);
    }
}
