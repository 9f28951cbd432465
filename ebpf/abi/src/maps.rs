//! The table of all maps: the one place that names them, sizes them and says who uses them.

use core::mem::size_of;

use crate::{
    Addr, BackendEntry, BackendStats, CidrKey, DropReason, FrontendKey, FrontendValue, IdKey, NodeAddrValue,
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
    /// `BPF_MAP_TYPE_SK_STORAGE`.
    SkStorage,
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
            Self::SkStorage => 24,
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
            Self::SkStorage => "SK_STORAGE",
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
    /// Entries unless configured otherwise; zero where the kernel sizes the map.
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

const USER: &str = "sync loop";
const SOCK: &str = "socket programs";

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
        kind: MapKind::SkStorage,
        key: "socket",
        key_bytes: 4,
        value: "SockPeer",
        value_bytes: size_of::<SockPeer>() as u32,
        default_entries: 0,
        writer: "connect4, connect6",
        reader: "getpeername4, getpeername6",
        when_full: "translated and counted (unremembered); the peer shown is the backend",
        doc: "connected socket → the VIP that it dialled, backend and generation",
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
        name: "IDS",
        kind: MapKind::Hash,
        key: "IdKey",
        key_bytes: size_of::<IdKey>() as u32,
        value: "u32",
        value_bytes: 4,
        default_entries: 131_072,
        writer: USER,
        reader: "start of the daemon",
        when_full: "the Service is refused by name, what was in force stays",
        doc: "kind and digest of the name → id: numbers keep their meaning over a restart",
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
        writer: SOCK,
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
