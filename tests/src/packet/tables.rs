//! Typed access to the maps of the packet programs.

use std::cell::RefCell;
use std::collections::BTreeMap;

use abi::{
    Addr, CgroupId, CidrKey, DeviceEntry, DropEvent, FlowKey, FlowValue, FragmentKey, FragmentValue,
    Identity, IfIndex, PodEntry, PodId, PolicyId, PolicyKey, PolicyRevision, PolicyValue, PortClassKey,
    PortClassValue,
};
use aya::Ebpf;
use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie, MapData, RingBuf};
use zerocopy::{FromBytes, transmute};

use crate::tables::{clear, clear_trie};

/// Maximum of each map that a packet test needs larger than `crate::tables::SIZES` says: room for a flow from every
/// source port of the node.
pub(super) const SIZES: &[(&str, u32)] = &[
    ("FLOWS", 32_768),
    ("FLOWS_NEW", 32_768),
    ("FRAGMENTS", 256),
    ("DEVICES", 16),
    ("PODS", PODS),
    ("LOCAL_PODS", 64),
    ("PODS_BY_CGROUP", 16),
    ("POLICY_REVISION", POLICIES),
];

const PODS: u32 = 16;
const POLICIES: u32 = 64;

/// In which table a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowTable {
    /// Nobody has answered.
    New,
    /// Both ends have spoken.
    Answered,
}

/// All flows.
pub type Flows = BTreeMap<FlowKey, (FlowTable, FlowValue)>;

type Hash<const KEY: usize, const VALUE: usize> = RefCell<HashMap<MapData, [u8; KEY], [u8; VALUE]>>;

/// Subjects, policies and flows of one set of programs.
pub struct PacketTables {
    devices: Hash<4, 48>,
    pods: RefCell<Array<MapData, [u8; 24]>>,
    local_pods: Hash<16, 4>,
    pods_by_cgroup: Hash<8, 4>,
    identities: Hash<16, 4>,
    identity_cidrs: RefCell<LpmTrie<MapData, [u8; 16], [u8; 4]>>,
    policy: Hash<8, 12>,
    port_classes: RefCell<LpmTrie<MapData, [u8; 8], [u8; 8]>>,
    revisions: RefCell<Array<MapData, u64>>,
    flows: Hash<40, 160>,
    flows_new: Hash<40, 160>,
    fragments: Hash<40, 4>,
    listeners: RefCell<Array<MapData, u32>>,
    events: RefCell<RingBuf<MapData>>,
}

impl PacketTables {
    /// Takes the maps out of a loaded object.
    pub fn of(ebpf: &mut Ebpf) -> Self {
        macro_rules! take {
            ($name:literal) => {
                RefCell::new(
                    ebpf.take_map($name)
                        .expect($name)
                        .try_into()
                        .unwrap_or_else(|e| panic!("{}: {e}", $name)),
                )
            };
        }
        Self {
            devices: take!("DEVICES"),
            pods: take!("PODS"),
            local_pods: take!("LOCAL_PODS"),
            pods_by_cgroup: take!("PODS_BY_CGROUP"),
            identities: take!("IDENTITIES"),
            identity_cidrs: take!("IDENTITY_CIDRS"),
            policy: take!("POLICY"),
            port_classes: take!("PORT_CLASSES"),
            revisions: take!("POLICY_REVISION"),
            flows: take!("FLOWS"),
            flows_new: take!("FLOWS_NEW"),
            fragments: take!("FRAGMENTS"),
            listeners: take!("LISTENERS"),
            events: take!("EVENTS"),
        }
    }

    /// Empties all of them.
    pub fn clear(&self) {
        clear(&self.devices);
        clear(&self.local_pods);
        clear(&self.pods_by_cgroup);
        clear(&self.identities);
        clear(&self.policy);
        self.clear_flows();
        self.listen(false);
        self.events();
        clear_trie(&self.identity_cidrs);
        clear_trie(&self.port_classes);
        for id in 0..PODS {
            self.pods.borrow_mut().set(id, [0; 24], 0).expect("a pod");
        }
        // As user space has it: zero is no policy's, one is the closed one's, and no two ids share one.
        for id in 0..POLICIES {
            self.put_revision(PolicyId(id), PolicyRevision(id.into()));
        }
    }

    /// Forgets every conversation.
    pub fn clear_flows(&self) {
        clear(&self.flows);
        clear(&self.flows_new);
        clear(&self.fragments);
    }

    /// Writes a row of `DEVICES`.
    pub fn put_device(&self, ifindex: IfIndex, entry: DeviceEntry) {
        let (key, value): ([u8; 4], [u8; 48]) = (transmute!(ifindex), transmute!(entry));
        self.devices.borrow_mut().insert(key, value, 0).expect("a device");
    }

    /// Deletes a row of `DEVICES`.
    pub fn delete_device(&self, ifindex: IfIndex) {
        let key: [u8; 4] = transmute!(ifindex);
        self.devices.borrow_mut().remove(&key).expect("the device");
    }

    /// Writes a row of `PODS`.
    pub fn put_pod(&self, id: PodId, entry: PodEntry) {
        let value: [u8; 24] = transmute!(entry);
        self.pods.borrow_mut().set(id.0, value, 0).expect("a pod");
    }

    /// Writes a row of `LOCAL_PODS`.
    pub fn put_local_pod(&self, addr: Addr, id: PodId) {
        let value: [u8; 4] = transmute!(id);
        self.local_pods.borrow_mut().insert(addr.octets(), value, 0).expect("a pod's address");
    }

    /// Writes a row of `PODS_BY_CGROUP`.
    pub fn put_pod_of_cgroup(&self, cgroup: CgroupId, id: PodId) {
        let (key, value): ([u8; 8], [u8; 4]) = (transmute!(cgroup), transmute!(id));
        self.pods_by_cgroup.borrow_mut().insert(key, value, 0).expect("a pod's cgroup");
    }

    /// Writes a row of `IDENTITIES`.
    pub fn put_identity(&self, addr: Addr, identity: Identity) {
        let value: [u8; 4] = transmute!(identity);
        self.identities.borrow_mut().insert(addr.octets(), value, 0).expect("an identity");
    }

    /// Writes a row of `IDENTITY_CIDRS`.
    pub fn put_block(&self, block: CidrKey, identity: Identity) {
        let key = Key::new(block.prefix_len(), block.addr().octets());
        let value: [u8; 4] = transmute!(identity);
        self.identity_cidrs.borrow_mut().insert(&key, value, 0).expect("a block");
    }

    /// Writes a row of `POLICY`.
    pub fn put_policy(&self, key: PolicyKey, value: PolicyValue) {
        let (key, value): ([u8; 8], [u8; 12]) = (transmute!(key), transmute!(value));
        self.policy.borrow_mut().insert(key, value, 0).expect("a policy's row");
    }

    /// Writes a row of `PORT_CLASSES`.
    pub fn put_ports(&self, key: PortClassKey, value: PortClassValue) {
        let row = Key::new(key.prefix_len(), key.data());
        let value: [u8; 8] = transmute!(value);
        self.port_classes.borrow_mut().insert(&row, value, 0).expect("ports");
    }

    /// Writes a row of `POLICY_REVISION`.
    pub fn put_revision(&self, id: PolicyId, revision: PolicyRevision) {
        self.revisions.borrow_mut().set(id.0, revision.0, 0).expect("a revision");
    }

    /// Every flow.
    pub fn flows(&self) -> Flows {
        let dump = |map: &Hash<40, 160>, table| {
            let rows: Vec<_> = map.borrow().iter().map(|row| row.expect("a flow")).collect();
            rows.into_iter().map(move |(key, value)| (transmute!(key), (table, transmute!(value))))
        };
        dump(&self.flows_new, FlowTable::New).chain(dump(&self.flows, FlowTable::Answered)).collect()
    }

    /// Writes a flow.
    pub fn put_flow(&self, table: FlowTable, key: FlowKey, value: FlowValue) {
        let (key, value): ([u8; 40], [u8; 160]) = (transmute!(key), transmute!(value));
        self.flow_table(table).borrow_mut().insert(key, value, 0).expect("a flow");
    }

    /// Deletes a flow, as a full map does.
    pub fn evict(&self, table: FlowTable, key: FlowKey) {
        let key: [u8; 40] = transmute!(key);
        self.flow_table(table).borrow_mut().remove(&key).expect("the flow");
    }

    /// Every packet in fragments.
    pub fn fragments(&self) -> BTreeMap<FragmentKey, (u16, u16)> {
        let rows: Vec<_> = self.fragments.borrow().iter().map(|row| row.expect("a fragment")).collect();
        let ports = |value: FragmentValue| (value.src_port.get(), value.dst_port.get());
        rows.into_iter().map(|(key, value)| (transmute!(key), ports(transmute!(value)))).collect()
    }

    /// Says whether somebody listens to events.
    pub fn listen(&self, is_heard: bool) {
        self.listeners.borrow_mut().set(0, u32::from(is_heard), 0).expect("a listener");
    }

    /// Takes the events that came.
    pub fn events(&self) -> Vec<DropEvent> {
        let mut events = self.events.borrow_mut();
        let mut taken = Vec::new();
        while let Some(item) = events.next() {
            taken.push(DropEvent::read_from_bytes(&item).expect("an event"));
        }
        taken
    }

    fn flow_table(&self, table: FlowTable) -> &Hash<40, 160> {
        match table {
            FlowTable::New => &self.flows_new,
            FlowTable::Answered => &self.flows,
        }
    }
}
