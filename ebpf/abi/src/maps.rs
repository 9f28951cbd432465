//! The table of all maps: the one place that names them, sizes them and says who uses them.

use core::mem::size_of;

use crate::{
    Addr, BackendEntry, BackendStats, CidrKey, DropReason, FrontendKey, FrontendValue, IdKey, NodeAddrValue,
    SOCKETS_HINT_LINE_BYTES, SOCKETS_HINT_LINES, ServiceEntry, ServiceStats, SockPeer, SockUdpFwdKey,
    SockUdpFwdValue, SockUdpKey, SockUdpValue,
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
            Self::Hash | Self::Array | Self::PerCpuArray | Self::LruHash => 0,
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
