//! Typed writes to the maps, one call a row.

use std::cell::RefCell;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::{
    Addr, BackendEntry, BackendId, BackendStats, CidrKey, DropReason, FrontendKey, FrontendValue, Generation,
    NodeAddrValue, SOCKETS_HINT_LINE_BYTES, ServiceEntry, ServiceFlags, ServiceId, ServiceStats, SetWord,
    SockHint, SockUdpFwdKey, SockUdpKey,
};
use aya::Ebpf;
use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, PerCpuArray};
use nix::mount::{MsFlags, mount};
use zerocopy::transmute;

use crate::mapping::Mapping;

/// Maximum of each map: small, so that a test's maps are made in no time. User space's own choice is not the subject.
pub const SIZES: &[(&str, u32)] = &[
    ("FRONTENDS", 256),
    ("SERVICE_CIDRS", 16),
    ("SERVICES", SERVICES),
    ("SLOTS", SLOTS),
    ("BACKENDS", BACKENDS),
    ("NODE_ADDRS", 16),
    ("IDS", 1),
    ("SERVICE_STATS", SERVICES),
    ("BACKEND_STATS", BACKENDS),
    ("SOCKETS", 1024),
    ("FLOWS", 1024),
    ("FLOWS_NEW", 1024),
    ("IDENTITIES", 64),
    ("IDENTITY_CIDRS", 64),
    ("POLICY", 64),
    ("PORT_CLASSES", 64),
    ("EVENTS", 4096),
    ("SOCK_UDP", 1024),
    ("SOCK_UDP_FWD", 1024),
];

const SERVICES: u32 = 64;
const SLOTS: u32 = 256;
const BACKENDS: u32 = 64;

/// The maps of one set of programs.
pub struct Tables {
    frontends: RefCell<HashMap<MapData, [u8; 20], [u8; 8]>>,
    cidrs: RefCell<LpmTrie<MapData, [u8; 16], u32>>,
    node_addrs: RefCell<HashMap<MapData, [u8; 16], u32>>,
    backends: RefCell<Array<MapData, [u8; 36]>>,
    sockets: RefCell<HashMap<MapData, u64, [u8; 44]>>,
    hints: RefCell<Array<MapData, [u8; SOCKETS_HINT_LINE_BYTES]>>,
    sock_udp: RefCell<HashMap<MapData, [u8; 32], [u8; 20]>>,
    sock_udp_fwd: RefCell<HashMap<MapData, [u8; 32], [u8; 8]>>,
    service_stats: Array<MapData, [u8; 32]>,
    backend_stats: Array<MapData, [u8; 8]>,
    drops: PerCpuArray<MapData, u64>,
    sets: Arc<Sets>,
}

/// Services and slots, written as the daemon does: whole words through a mapping. Shared with writing threads.
pub struct Sets {
    services: Mapping,
    slots: Mapping,
}

impl Tables {
    /// Takes the maps out of a loaded object.
    pub fn of(ebpf: &mut Ebpf) -> Self {
        macro_rules! take {
            ($name:literal) => {
                ebpf.take_map($name).expect($name).try_into().unwrap_or_else(|e| panic!("{}: {e}", $name))
            };
        }
        let mapped = |name: &str, value_bytes, entries| {
            let Some(Map::Array(data)) = ebpf.map(name) else { panic!("no array {name}") };
            Mapping::new(data.fd(), value_bytes, entries)
        };
        let sets = Sets {
            services: mapped("SERVICES", size_of::<ServiceEntry>(), SERVICES),
            slots: mapped("SLOTS", size_of::<BackendId>(), SLOTS),
        };
        Self {
            frontends: RefCell::new(take!("FRONTENDS")),
            cidrs: RefCell::new(take!("SERVICE_CIDRS")),
            node_addrs: RefCell::new(take!("NODE_ADDRS")),
            backends: RefCell::new(take!("BACKENDS")),
            sockets: RefCell::new(take!("SOCKETS")),
            hints: RefCell::new(take!("SOCKETS_HINT")),
            sock_udp: RefCell::new(take!("SOCK_UDP")),
            sock_udp_fwd: RefCell::new(take!("SOCK_UDP_FWD")),
            service_stats: take!("SERVICE_STATS"),
            backend_stats: take!("BACKEND_STATS"),
            drops: take!("DROPS"),
            sets: Arc::new(sets),
        }
    }

    /// Empties what user space writes; counters stay.
    pub fn clear(&self) {
        clear(&self.frontends);
        clear(&self.node_addrs);
        clear_trie(&self.cidrs);
        for id in 0..BACKENDS {
            self.put_backend(BackendId(id), BackendEntry::gone(Generation(0)));
        }
        for id in (0..SERVICES).map(ServiceId) {
            self.sets.put_cluster(id, SetWord::EMPTY);
            self.sets.put_local(id, SetWord::EMPTY);
            self.sets.put_flags(id, ServiceFlags::default());
        }
    }

    /// Services and slots.
    pub fn sets(&self) -> Arc<Sets> {
        Arc::clone(&self.sets)
    }

    /// Connected sockets that are remembered.
    pub fn sockets_remembered(&self) -> usize {
        self.sockets.borrow().keys().collect::<Result<Vec<_>, _>>().expect("the cookies").len()
    }

    /// Deletes a socket's entry, as an LRU map does when it is full; false if there is none.
    pub fn evict_socket(&self, cookie: u64) -> bool {
        self.sockets.borrow_mut().remove(&cookie).is_ok()
    }

    /// The byte of `SOCKETS_HINT` that is the socket's, and others' too.
    pub fn hint(&self, cookie: u64) -> u8 {
        let at = SockHint::of(cookie);
        self.hints.borrow().get(&at.line, 0).expect("a line of hints")[at.byte]
    }

    /// Writes that byte, as another socket does that shares it.
    pub fn put_hint(&self, cookie: u64, tag: u8) {
        let at = SockHint::of(cookie);
        let mut hints = self.hints.borrow_mut();
        let mut line = hints.get(&at.line, 0).expect("a line of hints");
        line[at.byte] = tag;
        hints.set(at.line, line, 0).expect("a line of hints");
    }

    /// Writes a row of `FRONTENDS`.
    pub fn put_frontend(&self, key: FrontendKey, value: FrontendValue) {
        let (key, value): ([u8; 20], [u8; 8]) = (transmute!(key), transmute!(value));
        self.frontends.borrow_mut().insert(key, value, 0).expect("a frontend");
    }

    /// Deletes a row of `FRONTENDS`.
    pub fn delete_frontend(&self, key: FrontendKey) {
        let key: [u8; 20] = transmute!(key);
        self.frontends.borrow_mut().remove(&key).expect("the frontend");
    }

    /// Writes a row of `SERVICE_CIDRS`.
    pub fn put_cidr(&self, key: CidrKey) {
        let row = Key::new(key.prefix_len(), key.addr().octets());
        self.cidrs.borrow_mut().insert(&row, 1, 0).expect("a service range");
    }

    /// Writes a row of `NODE_ADDRS`.
    pub fn put_node_addr(&self, addr: Addr, value: NodeAddrValue) {
        self.node_addrs.borrow_mut().insert(addr.octets(), value.0, 0).expect("a node address");
    }

    /// Writes a row of `BACKENDS`.
    pub fn put_backend(&self, id: BackendId, entry: BackendEntry) {
        let entry: [u8; 36] = transmute!(entry);
        self.backends.borrow_mut().set(id.0, entry, 0).expect("a backend");
    }

    /// Takes away what an unconnected socket remembers for replies, as a full map does. False if it was not there.
    pub fn evict_sock_udp(&self, key: SockUdpKey) -> bool {
        let key: [u8; 32] = transmute!(key);
        self.sock_udp.borrow_mut().remove(&key).is_ok()
    }

    /// Takes away an unconnected socket's choice, as a full map does. False if it was not there.
    pub fn evict_sock_udp_fwd(&self, key: SockUdpFwdKey) -> bool {
        let key: [u8; 32] = transmute!(key);
        self.sock_udp_fwd.borrow_mut().remove(&key).is_ok()
    }

    /// Every Service port's counters, zeros too.
    pub fn service_stats(&self) -> Vec<ServiceStats> {
        (0..SERVICES)
            .map(|i| self.service_stats.get(&i, 0).map(|bytes| transmute!(bytes)).expect("service counters"))
            .collect()
    }

    /// Every backend's counters, zeros too.
    pub fn backend_stats(&self) -> Vec<BackendStats> {
        (0..BACKENDS)
            .map(|i| self.backend_stats.get(&i, 0).map(|bytes| transmute!(bytes)).expect("backend counters"))
            .collect()
    }

    /// The drops of every index of the map, summed over the CPUs.
    pub fn drops(&self) -> Vec<u64> {
        (0..DropReason::COUNT).map(|i| self.drops.get(&i, 0).expect("drop counters").iter().sum()).collect()
    }
}

impl Sets {
    /// Writes slots from `base` on.
    pub fn put_slots(&self, base: u32, backends: &[BackendId]) {
        for (slot, backend) in (base..).zip(backends) {
            self.slots.half_word(slot, 0).store(backend.0, Ordering::Release);
        }
    }

    /// Stores the set for the policy Cluster, in one store.
    pub fn put_cluster(&self, id: ServiceId, set: SetWord) {
        self.services.word(id.0, offset_of!(ServiceEntry, cluster)).store(set.0, Ordering::Release);
    }

    /// Stores the set for the policy Local, in one store.
    pub fn put_local(&self, id: ServiceId, set: SetWord) {
        self.services.word(id.0, offset_of!(ServiceEntry, local)).store(set.0, Ordering::Release);
    }

    /// Stores a Service port's flags.
    pub fn put_flags(&self, id: ServiceId, flags: ServiceFlags) {
        self.services.half_word(id.0, offset_of!(ServiceEntry, flags)).store(flags.0, Ordering::Release);
    }
}

/// Empties a hash map.
pub(crate) fn clear<K: aya::Pod, V: aya::Pod>(map: &RefCell<HashMap<MapData, K, V>>) {
    let keys: Vec<_> = map.borrow().keys().map(|key| key.expect("a key")).collect();
    for key in keys {
        map.borrow_mut().remove(&key).expect("a row");
    }
}

/// Empties a trie.
pub(crate) fn clear_trie<K: aya::Pod, V: aya::Pod>(map: &RefCell<LpmTrie<MapData, K, V>>) {
    let keys: Vec<_> = map.borrow().keys().map(|key| key.expect("a prefix")).collect();
    for key in keys {
        map.borrow_mut().remove(&key).expect("a row");
    }
}

/// Makes a plain hash map with room for one entry, and a pin of it in a BPF file system that ends with the test's mount
/// namespace.
pub fn pin_hash_of_one<const KEY: usize, const VALUE: usize>(name: &str) -> PathBuf {
    let dir = Path::new("/sys/fs/bpf");
    mount(Some("bpf"), dir, Some("bpf"), MsFlags::empty(), None::<&str>).expect("a BPF file system");
    let pin = dir.join(name);
    let map: HashMap<MapData, [u8; KEY], [u8; VALUE]> = HashMap::create(1, 0).expect("a hash map");
    map.pin(&pin).expect("a pin");
    pin
}
