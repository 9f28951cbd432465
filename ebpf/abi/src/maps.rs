//! The table of all maps: the one place that names them, sizes them and says who uses them.

use core::mem::size_of;

use crate::{
    Addr, BackendEntry, BackendStats, CgroupId, CidrKey, DeviceEntry, DropReason, FlowKey, FlowValue,
    FragmentKey, FragmentValue, FrontendKey, FrontendValue, IdKey, IfIndex, NodeAddrValue, PodEntry, PodId,
    PolicyKey, PolicyValue, PortClassKey, PortClassValue, SOCKETS_HINT_LINE_BYTES, SOCKETS_HINT_LINES,
    ServiceEntry, ServiceStats, SockPeer, SockUdpFwdKey, SockUdpFwdValue, SockUdpKey, SockUdpValue,
};

/// Kernel type of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    /// `BPF_MAP_TYPE_HASH`.
    Hash,
    /// `BPF_MAP_TYPE_ARRAY`.
    Array,
    /// `BPF_MAP_TYPE_ARRAY` with `BPF_F_MMAPABLE`: words are stored through a mapping, never by system call.
    MmapArray,
    /// `BPF_MAP_TYPE_PERCPU_ARRAY`.
    PerCpuArray,
    /// `BPF_MAP_TYPE_LRU_HASH`.
    LruHash,
    /// `BPF_MAP_TYPE_LPM_TRIE`.
    LpmTrie,
    /// `BPF_MAP_TYPE_RINGBUF` (Linux 5.8): neither key nor value, the entries are bytes.
    RingBuf,
}

impl MapKind {
    /// The kernel's number of the type (`enum bpf_map_type`).
    #[must_use]
    pub const fn kernel_type(self) -> u32 {
        match self {
            Self::Hash => 1,
            Self::Array | Self::MmapArray => 2,
            Self::PerCpuArray => 6,
            Self::LruHash => 9,
            Self::LpmTrie => 11,
            Self::RingBuf => 27,
        }
    }

    /// The flags that change how a map works: `BPF_F_NO_PREALLOC` (entries are made when they are needed), and
    /// `BPF_F_MMAPABLE` (Linux 5.5).
    pub const FLAGS: u32 = NO_PREALLOC | MMAPABLE;

    /// Those of [`MapKind::FLAGS`] that a map of this kind has.
    #[must_use]
    pub const fn flags(self) -> u32 {
        match self {
            Self::MmapArray => MMAPABLE,
            // LPM tries exist in no other form.
            Self::LpmTrie => NO_PREALLOC,
            Self::Hash | Self::Array | Self::PerCpuArray | Self::LruHash | Self::RingBuf => 0,
        }
    }

    /// The name in `docs/maps.md` and `ferrule maps`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hash => "HASH",
            Self::Array => "ARRAY",
            Self::MmapArray => "ARRAY (mmap)",
            Self::PerCpuArray => "PERCPU_ARRAY",
            Self::LruHash => "LRU_HASH",
            Self::LpmTrie => "LPM_TRIE",
            Self::RingBuf => "RINGBUF",
        }
    }
}

/// One map.
#[derive(Clone, Copy, Debug)]
pub struct MapSpec {
    /// Symbol in the object and name of the pin.
    pub name: &'static str,
    /// Kernel type.
    pub kind: MapKind,
    /// Rust type of the key.
    pub key: &'static str,
    /// Size of the key in bytes.
    pub key_bytes: u32,
    /// Rust type of the value.
    pub value: &'static str,
    /// Size of the value in bytes.
    pub value_bytes: u32,
    /// Entries unless configured otherwise.
    pub default_entries: u32,
    /// Who writes it.
    pub writer: &'static str,
    /// Who reads it.
    pub reader: &'static str,
    /// What happens when it is full.
    pub when_full: &'static str,
    /// What an entry says.
    pub doc: &'static str,
    /// Goes up when the meaning of the bytes changes and their sizes do not.
    pub meaning: u32,
}

const NO_PREALLOC: u32 = 1;
const MMAPABLE: u32 = 1 << 10;

const USER: &str = "sync loop";
const SOCK: &str = "socket programs";
const PACKET: &str = "packet programs";

/// All maps of layout 1, in the order of `docs/maps.md`.
pub const MAPS: &[MapSpec] = &[
    MapSpec {
        name: "FRONTENDS",
        kind: MapKind::Hash,
        key: "FrontendKey",
        key_bytes: size_of::<FrontendKey>() as u32,
        value: "FrontendValue",
        value_bytes: size_of::<FrontendValue>() as u32,
        default_entries: 262_144,
        writer: USER,
        reader: SOCK,
        when_full: "the Service is refused by name, what was in force stays",
        doc: "address, port and protocol that a client dials → Service port and kind",
        meaning: 0,
    },
    MapSpec {
        name: "SERVICE_CIDRS",
        kind: MapKind::LpmTrie,
        key: "CidrKey",
        key_bytes: size_of::<CidrKey>() as u32,
        value: "u32",
        value_bytes: 4,
        default_entries: 1_024,
        writer: USER,
        reader: SOCK,
        when_full: "the ServiceCIDR is refused by name; its unallocated addresses pass",
        doc: "prefix of service addresses → 1; an address inside that no Service has is dropped",
        meaning: 0,
    },
    MapSpec {
        name: "SERVICES",
        kind: MapKind::MmapArray,
        key: "ServiceId",
        key_bytes: 4,
        value: "ServiceEntry",
        value_bytes: size_of::<ServiceEntry>() as u32,
        default_entries: 65_536,
        writer: USER,
        reader: SOCK,
        when_full: "the Service is refused by name, what was in force stays",
        doc: "service id → its two backend sets, each one word, and flags",
        meaning: 0,
    },
    MapSpec {
        name: "SLOTS",
        kind: MapKind::MmapArray,
        key: "slot",
        key_bytes: 4,
        value: "BackendId",
        value_bytes: 4,
        default_entries: 1_048_576,
        writer: USER,
        reader: SOCK,
        when_full: "the Service keeps its old set and is named",
        doc: "slot → backend id; a set is one contiguous range in a power-of-two block",
        meaning: 0,
    },
    MapSpec {
        name: "BACKENDS",
        kind: MapKind::Array,
        key: "BackendId",
        key_bytes: 4,
        value: "BackendEntry",
        value_bytes: size_of::<BackendEntry>() as u32,
        default_entries: 262_144,
        writer: USER,
        reader: SOCK,
        when_full: "the Service keeps its old set and is named",
        doc: "backend id → address, port, Service port, generation, state",
        meaning: 0,
    },
    MapSpec {
        name: "SOCKETS",
        kind: MapKind::LruHash,
        key: "socket cookie (u64)",
        key_bytes: 8,
        value: "SockPeer",
        value_bytes: size_of::<SockPeer>() as u32,
        default_entries: 131_072,
        writer: "connect4, connect6; they and sock_release delete",
        reader: "getpeername4, getpeername6, recvmsg4, recvmsg6",
        when_full: "the least recently used entry goes; its socket shows the backend as its peer",
        doc: "connected TCP or UDP socket → the VIP that it dialled, and the backend that it got",
        meaning: 0,
    },
    MapSpec {
        name: "SOCKETS_HINT",
        kind: MapKind::Array,
        key: "cookie / 64, modulo the lines",
        key_bytes: 4,
        value: "[u8; 64]",
        value_bytes: SOCKETS_HINT_LINE_BYTES as u32,
        default_entries: SOCKETS_HINT_LINES,
        writer: "connect4, connect6, sock_release",
        reader: "connect4, connect6, sock_release",
        when_full: "fixed size; of two translated sockets that share a byte, one leaves its entry in SOCKETS behind",
        doc: "socket, by the low 18 bits of its cookie → a byte with the next bits of whom SOCKETS has; others need not look",
        meaning: 0,
    },
    MapSpec {
        name: "SOCK_UDP",
        kind: MapKind::LruHash,
        key: "SockUdpKey",
        key_bytes: size_of::<SockUdpKey>() as u32,
        value: "SockUdpValue",
        value_bytes: size_of::<SockUdpValue>() as u32,
        default_entries: 131_072,
        writer: "sendmsg4, sendmsg6",
        reader: "recvmsg4, recvmsg6",
        when_full: "the least recently used entry goes; its late replies show the backend",
        doc: "unconnected UDP socket and backend → the VIP that replies seem to come from",
        meaning: 0,
    },
    MapSpec {
        name: "SOCK_UDP_FWD",
        kind: MapKind::LruHash,
        key: "SockUdpFwdKey",
        key_bytes: size_of::<SockUdpFwdKey>() as u32,
        value: "SockUdpFwdValue",
        value_bytes: size_of::<SockUdpFwdValue>() as u32,
        default_entries: 131_072,
        writer: "sendmsg4, sendmsg6",
        reader: "sendmsg4, sendmsg6",
        when_full: "the least recently used entry goes; its socket chooses again",
        doc: "unconnected UDP socket and VIP → backend and generation: its datagrams do not spray",
        meaning: 0,
    },
    MapSpec {
        name: "NODE_ADDRS",
        kind: MapKind::Hash,
        key: "Addr",
        key_bytes: size_of::<Addr>() as u32,
        value: "NodeAddrValue",
        value_bytes: size_of::<NodeAddrValue>() as u32,
        default_entries: 4_096,
        writer: USER,
        reader: SOCK,
        when_full: "the address is refused by name; its NodePorts stay as they were",
        doc: "one of the node's own addresses, loopback excepted → what it is used for",
        meaning: 0,
    },
    MapSpec {
        name: "DEVICES",
        kind: MapKind::Hash,
        key: "IfIndex",
        key_bytes: size_of::<IfIndex>() as u32,
        value: "DeviceEntry",
        value_bytes: size_of::<DeviceEntry>() as u32,
        default_entries: 4_096,
        writer: USER,
        reader: PACKET,
        when_full: "the interface is named and carries no programs; uplinks come before pods",
        doc: "interface that carries programs → what it leads to, whose it is, source of masquerading",
        meaning: 0,
    },
    MapSpec {
        name: "PODS",
        kind: MapKind::Array,
        key: "PodId",
        key_bytes: size_of::<PodId>() as u32,
        value: "PodEntry",
        value_bytes: size_of::<PodEntry>() as u32,
        default_entries: 4_096,
        writer: USER,
        reader: "packet and socket programs",
        when_full: "the pod is named; isolated ones share the closed row REFUSED, the others have none",
        doc: "pod id → policies of both directions, interface, flags",
        meaning: 1,
    },
    MapSpec {
        name: "LOCAL_PODS",
        kind: MapKind::Hash,
        key: "Addr",
        key_bytes: size_of::<Addr>() as u32,
        value: "PodId",
        value_bytes: size_of::<PodId>() as u32,
        default_entries: 8_192,
        writer: USER,
        reader: PACKET,
        when_full: "the pod is named; it is known by its interface alone",
        doc: "address of a pod of this node → pod id",
        meaning: 0,
    },
    MapSpec {
        name: "PODS_BY_CGROUP",
        kind: MapKind::Hash,
        key: "CgroupId",
        key_bytes: size_of::<CgroupId>() as u32,
        value: "PodId",
        value_bytes: size_of::<PodId>() as u32,
        default_entries: 4_096,
        writer: USER,
        reader: "packet and socket programs",
        when_full: "the pod is named; it is known once its interface is",
        doc: "cgroup of a pod of this node, made before its first process → pod id",
        meaning: 0,
    },
    MapSpec {
        name: "IDENTITIES",
        kind: MapKind::Hash,
        key: "Addr",
        key_bytes: size_of::<Addr>() as u32,
        value: "Identity",
        value_bytes: 4,
        default_entries: 262_144,
        writer: USER,
        reader: PACKET,
        when_full: "closed: the pod's address, named, matches no selector, only blocks",
        doc: "address of a pod that a selector in use matches → identity",
        meaning: 0,
    },
    MapSpec {
        name: "IDENTITY_CIDRS",
        kind: MapKind::LpmTrie,
        key: "CidrKey",
        key_bytes: size_of::<CidrKey>() as u32,
        value: "Identity",
        value_bytes: 4,
        default_entries: 16_384,
        writer: USER,
        reader: PACKET,
        when_full: "closed: the block, named with its policies, matches nothing",
        doc: "prefix of a block in use or of its exceptions → identity; asked second",
        meaning: 0,
    },
    MapSpec {
        name: "POLICY",
        kind: MapKind::Hash,
        key: "PolicyKey",
        key_bytes: size_of::<PolicyKey>() as u32,
        value: "PolicyValue",
        value_bytes: size_of::<PolicyValue>() as u32,
        default_entries: 262_144,
        writer: USER,
        reader: PACKET,
        when_full: "closed: the row is left out and its policies are named; the row of any identity answers, or none",
        doc: "policy id and identity, or any → all allowed, all denied, or a port class; rule id",
        meaning: 0,
    },
    MapSpec {
        name: "PORT_CLASSES",
        kind: MapKind::LpmTrie,
        key: "PortClassKey",
        key_bytes: size_of::<PortClassKey>() as u32,
        value: "PortClassValue",
        value_bytes: size_of::<PortClassValue>() as u32,
        default_entries: 131_072,
        writer: USER,
        reader: PACKET,
        when_full: "closed: rows of the class are left out as in a full POLICY",
        doc: "class, protocol and prefix of the port → verdict, rule id; a miss is a deny",
        meaning: 0,
    },
    MapSpec {
        name: "POLICY_REVISION",
        kind: MapKind::Array,
        key: "PolicyId",
        key_bytes: 4,
        value: "PolicyRevision",
        value_bytes: 8,
        default_entries: 8_192,
        writer: USER,
        reader: PACKET,
        when_full: "closed: the pods have the policy id CLOSED and their policies are named",
        doc: "policy id → revision: a flow that another one judged is judged again",
        meaning: 0,
    },
    MapSpec {
        name: "FLOWS",
        kind: MapKind::LruHash,
        key: "FlowKey",
        key_bytes: size_of::<FlowKey>() as u32,
        value: "FlowValue",
        value_bytes: size_of::<FlowValue>() as u32,
        default_entries: 131_072,
        writer: PACKET,
        reader: PACKET,
        when_full: "the least recently used flow goes; its next packet is taken for the first",
        doc: "ends of an answered conversation → translation, verdicts, legs",
        meaning: 0,
    },
    MapSpec {
        name: "FLOWS_NEW",
        kind: MapKind::LruHash,
        key: "FlowKey",
        key_bytes: size_of::<FlowKey>() as u32,
        value: "FlowValue",
        value_bytes: size_of::<FlowValue>() as u32,
        default_entries: 65_536,
        writer: PACKET,
        reader: PACKET,
        when_full: "the least recently used opener goes; its next packet is taken for the first",
        doc: "the same for conversations that nobody has answered yet",
        meaning: 0,
    },
    MapSpec {
        name: "FRAGMENTS",
        kind: MapKind::LruHash,
        key: "FragmentKey",
        key_bytes: size_of::<FragmentKey>() as u32,
        value: "FragmentValue",
        value_bytes: size_of::<FragmentValue>() as u32,
        default_entries: 8_192,
        writer: PACKET,
        reader: PACKET,
        when_full: "the least recently used entry goes; its later fragments are dropped and counted",
        doc: "source, destination, id and protocol of a packet in fragments → its ports",
        meaning: 0,
    },
    MapSpec {
        name: "EVENTS",
        kind: MapKind::RingBuf,
        key: "none",
        key_bytes: 0,
        value: "DropEvent",
        value_bytes: 0,
        default_entries: 1_048_576,
        writer: PACKET,
        reader: "events",
        when_full: "the event is lost and the drop is counted all the same",
        doc: "packets that were dropped, while somebody listens; its size is in bytes",
        meaning: 0,
    },
    MapSpec {
        name: "LISTENERS",
        kind: MapKind::Array,
        key: "0",
        key_bytes: 4,
        value: "u32",
        value_bytes: 4,
        default_entries: 1,
        writer: "events",
        reader: PACKET,
        when_full: "fixed size",
        doc: "0 → whether somebody reads EVENTS",
        meaning: 0,
    },
    MapSpec {
        name: "IDS",
        kind: MapKind::Hash,
        key: "IdKey",
        key_bytes: size_of::<IdKey>() as u32,
        value: "u32",
        value_bytes: 4,
        default_entries: 262_144,
        writer: USER,
        reader: "start of the daemon",
        when_full: "the Service is refused by name, what was in force stays; policy: as a full POLICY",
        doc: "kind and digest of the name or content → id: numbers keep their meaning over a restart",
        meaning: 0,
    },
    MapSpec {
        name: "SERVICE_STATS",
        kind: MapKind::Array,
        key: "ServiceId",
        key_bytes: 4,
        value: "ServiceStats",
        value_bytes: size_of::<ServiceStats>() as u32,
        default_entries: 65_536,
        writer: SOCK,
        reader: "metrics, admin socket",
        when_full: "as large as SERVICES",
        doc: "service id → connections, refused, dropped",
        meaning: 0,
    },
    MapSpec {
        name: "BACKEND_STATS",
        kind: MapKind::Array,
        key: "BackendId",
        key_bytes: 4,
        value: "BackendStats",
        value_bytes: size_of::<BackendStats>() as u32,
        default_entries: 262_144,
        writer: SOCK,
        reader: "metrics, admin socket",
        when_full: "as large as BACKENDS",
        doc: "backend id → connections",
        meaning: 0,
    },
    MapSpec {
        name: "DROPS",
        kind: MapKind::PerCpuArray,
        key: "DropReason",
        key_bytes: 4,
        value: "u64",
        value_bytes: 8,
        default_entries: DropReason::COUNT,
        writer: "socket and packet programs",
        reader: "metrics, admin socket",
        when_full: "fixed size",
        doc: "drop reason → how often",
        meaning: 0,
    },
];

/// The map of that name.
#[must_use]
pub fn spec(name: &str) -> Option<&'static MapSpec> {
    MAPS.iter().find(|m| m.name == name)
}
