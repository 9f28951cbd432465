//! The kernel's lists of programs, maps and links, read by plain system calls.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result};
use nix::errno::Errno;

/// The three kinds of objects that have ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Program,
    Map,
    Link,
}

/// One object, as far as it can be told apart from others without its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BpfObject {
    pub(crate) kind: Kind,
    pub(crate) id: u32,
    /// The kernel's number of the type: `bpf_prog_type`, `bpf_map_type`, `bpf_link_type`.
    pub(crate) object_type: u32,
    /// At most 15 bytes; links have none.
    pub(crate) name: String,
    /// Ids of the maps of a program.
    pub(crate) maps: Vec<u32>,
    /// Program and cgroup of a cgroup link.
    pub(crate) attached: Option<Attached>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Attached {
    pub(crate) program: u32,
    pub(crate) cgroup: u64,
}

/// Commands of `bpf(2)`, from `enum bpf_cmd` of linux/bpf.h.
const BPF_OBJ_GET_INFO_BY_FD: i32 = 15;

/// `BPF_LINK_TYPE_CGROUP` of `enum bpf_link_type`.
const LINK_TYPE_CGROUP: u32 = 3;

/// The members of `union bpf_attr` that the two families of commands on ids use.
#[repr(C)]
#[derive(Default)]
struct IdAttr {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// The member of `union bpf_attr` for BPF_OBJ_GET_INFO_BY_FD.
#[repr(C)]
struct InfoAttr {
    fd: u32,
    info_len: u32,
    info: u64,
}

/// The first members of `struct bpf_prog_info`; the kernel fills as many bytes as it is told.
#[repr(C)]
#[derive(Default)]
struct ProgramInfo {
    object_type: u32,
    id: u32,
    tag: [u8; 8],
    jited_len: u32,
    xlated_len: u32,
    jited: u64,
    xlated: u64,
    load_time: u64,
    created_by_uid: u32,
    map_count: u32,
    map_ids: u64,
    name: [u8; 16],
}

/// The first members of `struct bpf_map_info`.
#[repr(C)]
#[derive(Default)]
struct MapInfo {
    object_type: u32,
    id: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    name: [u8; 16],
}

/// The first members of `struct bpf_link_info`, with the variant of cgroup links.
#[repr(C)]
#[derive(Default)]
struct LinkInfo {
    object_type: u32,
    id: u32,
    program: u32,
    /// The union is aligned to eight bytes.
    _pad: u32,
    cgroup: u64,
    attach_type: u32,
    _tail: u32,
}

/// Types that hold integers only, so that any bytes the kernel writes are valid.
///
/// # Safety
///
/// `repr(C)`, all fields integers or arrays of them.
unsafe trait Plain {}
// SAFETY: `repr(C)` structs of integers, above.
unsafe impl Plain for IdAttr {}
// SAFETY: the same.
unsafe impl Plain for InfoAttr {}
// SAFETY: the same.
unsafe impl Plain for ProgramInfo {}
// SAFETY: the same.
unsafe impl Plain for MapInfo {}
// SAFETY: the same.
unsafe impl Plain for LinkInfo {}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Program, Self::Map, Self::Link];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Map => "map",
            Self::Link => "link",
        }
    }

    /// `BPF_{PROG,MAP,LINK}_GET_NEXT_ID`.
    fn next_command(self) -> i32 {
        match self {
            Self::Program => 11,
            Self::Map => 12,
            Self::Link => 31,
        }
    }

    /// `BPF_{PROG,MAP,LINK}_GET_FD_BY_ID`.
    fn open_command(self) -> i32 {
        match self {
            Self::Program => 13,
            Self::Map => 14,
            Self::Link => 30,
        }
    }
}

/// The ids of all objects of that kind on this machine.
pub(crate) fn ids(kind: Kind) -> Result<BTreeSet<u32>> {
    let mut found = BTreeSet::new();
    let mut attr = IdAttr::default();
    loop {
        match call(kind.next_command(), &mut attr) {
            Ok(_) => {
                found.insert(attr.next_id);
                attr.id = attr.next_id;
            }
            Err(Errno::ENOENT) => return Ok(found),
            Err(error) => {
                return Err(error).with_context(|| format!("listing the {}s of the machine", kind.as_str()));
            }
        }
    }
}

/// All objects of that kind. One that goes away meanwhile is left out.
pub(crate) fn list(kind: Kind) -> Result<Vec<BpfObject>> {
    let mut found = Vec::new();
    for id in ids(kind)? {
        match inspect(kind, id) {
            Ok(object) => found.push(object),
            Err(Errno::ENOENT) => {}
            Err(error) => return Err(error).with_context(|| format!("looking at {} {id}", kind.as_str())),
        }
    }
    Ok(found)
}

fn inspect(kind: Kind, id: u32) -> Result<BpfObject, Errno> {
    let mut attr = IdAttr { id, ..IdAttr::default() };
    let fd = call(kind.open_command(), &mut attr)?;
    // SAFETY: the call succeeded, so this is a new descriptor that nobody else owns.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let object =
        BpfObject { kind, id, object_type: 0, name: String::new(), maps: Vec::new(), attached: None };
    match kind {
        Kind::Program => {
            let mut first = ProgramInfo::default();
            info(&fd, &mut first)?;
            let mut maps = vec![0_u32; first.map_count as usize];
            let mut second = ProgramInfo {
                map_count: first.map_count,
                map_ids: maps.as_mut_ptr() as u64,
                ..ProgramInfo::default()
            };
            info(&fd, &mut second)?;
            let name = name_of(&second.name);
            Ok(BpfObject { object_type: second.object_type, name, maps, ..object })
        }
        Kind::Map => {
            let mut map = MapInfo::default();
            info(&fd, &mut map)?;
            Ok(BpfObject { object_type: map.object_type, name: name_of(&map.name), ..object })
        }
        Kind::Link => {
            let mut link = LinkInfo::default();
            info(&fd, &mut link)?;
            let attached = Attached { program: link.program, cgroup: link.cgroup };
            let attached = (link.object_type == LINK_TYPE_CGROUP).then_some(attached);
            Ok(BpfObject { object_type: link.object_type, attached, ..object })
        }
    }
}

fn info<T: Plain>(fd: &OwnedFd, info: &mut T) -> Result<(), Errno> {
    let fd = fd.as_raw_fd().unsigned_abs();
    let mut attr = InfoAttr { fd, info_len: size_of::<T>() as u32, info: std::ptr::from_mut(info) as u64 };
    call(BPF_OBJ_GET_INFO_BY_FD, &mut attr).map(drop)
}

fn call<T: Plain>(command: i32, attr: &mut T) -> Result<i32, Errno> {
    // SAFETY: the attribute is as long as we say, holds integers only, and what it points to (an info struct, map ids
    // with their count) is alive and large enough for what the kernel writes.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
    if result < 0 {
        Err(Errno::from_raw(io::Error::last_os_error().raw_os_error().unwrap_or(0)))
    } else {
        Ok(result as i32)
    }
}

fn name_of(bytes: &[u8; 16]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
