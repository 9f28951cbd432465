//! The `bpf(2)` commands that aya lacks, and those that read and write maps by bytes.
//!
//! Everything here takes byte slices whose lengths the callers took from the kernel's own description of the map, so
//! that the kernel never reads or writes past them.

use std::ffi::{CString, c_char};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_link_info, bpf_map_info, bpf_map_type};

/// Runs one command.
fn bpf(cmd: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i32> {
    // SAFETY: `attr` is a whole, zero-initialised bpf_attr; the pointers that callers put into it are to live slices.
    let ret =
        unsafe { libc::syscall(libc::SYS_bpf, cmd as i32, std::ptr::from_mut(attr), size_of::<bpf_attr>()) };
    if ret < 0 { Err(io::Error::last_os_error()) } else { Ok(i32::try_from(ret).unwrap_or(i32::MAX)) }
}

fn zeroed_attr() -> bpf_attr {
    // SAFETY: bpf_attr is a union of plain integers and arrays of them; all zero is valid for each.
    unsafe { std::mem::zeroed() }
}

fn raw(fd: impl AsFd) -> u32 {
    fd.as_fd().as_raw_fd().cast_unsigned()
}

fn owned(fd: i32) -> OwnedFd {
    // SAFETY: the kernel just returned this descriptor to us; nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn path_text(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// `BPF_OBJ_GET`: opens a pin.
pub(super) fn obj_get(path: &Path) -> io::Result<OwnedFd> {
    let text = path_text(path)?;
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_4.pathname = text.as_ptr() as u64;
    bpf(bpf_cmd::BPF_OBJ_GET, &mut attr).map(owned)
}

/// `BPF_OBJ_PIN`: makes a pin.
pub(super) fn obj_pin(fd: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let text = path_text(path)?;
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_4.pathname = text.as_ptr() as u64;
    attr.__bindgen_anon_4.bpf_fd = raw(fd);
    bpf(bpf_cmd::BPF_OBJ_PIN, &mut attr).map(drop)
}

/// `BPF_LINK_CREATE` of a cgroup link. `attach_type` is the kernel's `enum bpf_attach_type`.
pub(super) fn link_create_cgroup(
    program: BorrowedFd<'_>,
    cgroup: BorrowedFd<'_>,
    attach_type: u32,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    attr.link_create.__bindgen_anon_1.prog_fd = raw(program);
    attr.link_create.__bindgen_anon_2.target_fd = raw(cgroup);
    attr.link_create.attach_type = attach_type;
    bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr).map(owned)
}

/// `BPF_LINK_CREATE` of a TCX link (Linux 6.6), first on its hook. `attach_type` is the kernel's `enum bpf_attach_type`.
pub(super) fn link_create_tcx(
    program: BorrowedFd<'_>,
    ifindex: u32,
    attach_type: u32,
) -> io::Result<OwnedFd> {
    /// Before what is there; without saying whom, before all (`BPF_F_BEFORE`).
    const BEFORE: u32 = 1 << 3;
    let mut attr = zeroed_attr();
    attr.link_create.__bindgen_anon_1.prog_fd = raw(program);
    attr.link_create.__bindgen_anon_2.target_ifindex = ifindex;
    attr.link_create.attach_type = attach_type;
    attr.link_create.flags = BEFORE;
    bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr).map(owned)
}

/// `BPF_LINK_UPDATE`: another program under the same link. The kernel does not compare the attach types of a cgroup
/// link and its new program: the caller does.
pub(super) fn link_update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = zeroed_attr();
    attr.link_update.link_fd = raw(link);
    attr.link_update.__bindgen_anon_1.new_prog_fd = raw(program);
    bpf(bpf_cmd::BPF_LINK_UPDATE, &mut attr).map(drop)
}

fn object_info<T>(fd: BorrowedFd<'_>, info: &mut T) -> io::Result<()> {
    let mut attr = zeroed_attr();
    attr.info.bpf_fd = raw(fd);
    attr.info.info_len = size_of::<T>() as u32;
    attr.info.info = std::ptr::from_mut(info) as u64;
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr).map(drop)
}

/// What a cgroup link is. The cgroup's id is zero once the cgroup is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CgroupLinkInfo {
    pub(super) link_type: u32,
    pub(super) cgroup_id: u64,
    pub(super) attach_type: u32,
}

/// `BPF_OBJ_GET_INFO_BY_FD` of a link.
pub(super) fn cgroup_link_info(link: BorrowedFd<'_>) -> io::Result<CgroupLinkInfo> {
    // SAFETY: a struct of plain integers and a union of them; all zero is valid.
    let mut info: bpf_link_info = unsafe { std::mem::zeroed() };
    object_info(link, &mut info)?;
    // SAFETY: the member is plain integers, valid whatever the link's type; the caller checks the type.
    let cgroup = unsafe { info.__bindgen_anon_1.cgroup };
    Ok(CgroupLinkInfo { link_type: info.type_, cgroup_id: cgroup.cgroup_id, attach_type: cgroup.attach_type })
}

/// What a TCX link is. The interface's index is zero once the interface is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TcxLinkInfo {
    pub(super) link_type: u32,
    pub(super) ifindex: u32,
    pub(super) attach_type: u32,
}

/// `BPF_OBJ_GET_INFO_BY_FD` of a link.
pub(super) fn tcx_link_info(link: BorrowedFd<'_>) -> io::Result<TcxLinkInfo> {
    // SAFETY: a struct of plain integers and a union of them; all zero is valid.
    let mut info: bpf_link_info = unsafe { std::mem::zeroed() };
    object_info(link, &mut info)?;
    // SAFETY: the member is plain integers, valid whatever the link's type; the caller checks the type.
    let tcx = unsafe { info.__bindgen_anon_1.tcx };
    Ok(TcxLinkInfo { link_type: info.type_, ifindex: tcx.ifindex, attach_type: tcx.attach_type })
}

/// What a map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MapInfo {
    pub(super) map_type: u32,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) max_entries: u32,
    pub(super) flags: u32,
}

/// `BPF_OBJ_GET_INFO_BY_FD` of a map.
pub(super) fn map_info(map: BorrowedFd<'_>) -> io::Result<MapInfo> {
    // SAFETY: a struct of plain integers; all zero is valid.
    let mut info: bpf_map_info = unsafe { std::mem::zeroed() };
    object_info(map, &mut info)?;
    Ok(MapInfo {
        map_type: info.type_,
        key_size: info.key_size,
        value_size: info.value_size,
        max_entries: info.max_entries,
        flags: info.map_flags,
    })
}

fn element(map: BorrowedFd<'_>, key: &[u8], value: u64) -> bpf_attr {
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_2.map_fd = raw(map);
    attr.__bindgen_anon_2.key = key.as_ptr() as u64;
    attr.__bindgen_anon_2.__bindgen_anon_1.value = value;
    attr
}

/// `BPF_MAP_LOOKUP_ELEM`; `None` if the key is absent. `value` has the map's value size (per-CPU maps: all CPUs').
pub(super) fn map_lookup(map: BorrowedFd<'_>, key: &[u8], value: &mut [u8]) -> io::Result<Option<()>> {
    let mut attr = element(map, key, value.as_mut_ptr() as u64);
    match bpf(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr) {
        Ok(_) => Ok(Some(())),
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(e) => Err(e),
    }
}

/// `BPF_MAP_UPDATE_ELEM`, insert or replace.
pub(super) fn map_update(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
    let mut attr = element(map, key, value.as_ptr() as u64);
    bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr).map(drop)
}

/// `BPF_MAP_DELETE_ELEM`.
pub(super) fn map_delete(map: BorrowedFd<'_>, key: &[u8]) -> io::Result<()> {
    let mut attr = element(map, key, 0);
    bpf(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attr).map(drop)
}

fn batch(cmd: bpf_cmd, map: BorrowedFd<'_>, keys: u64, values: u64, count: u32) -> (u32, io::Result<()>) {
    let mut attr = zeroed_attr();
    attr.batch.map_fd = raw(map);
    attr.batch.keys = keys;
    attr.batch.values = values;
    attr.batch.count = count;
    let result = bpf(cmd, &mut attr).map(drop);
    // SAFETY: the member is a plain integer that the kernel wrote back.
    let done = unsafe { attr.batch.count };
    // A command that failed before it began leaves the count as it was.
    let done = if result.is_err() && done == count { 0 } else { done };
    (done, result)
}

/// `BPF_MAP_UPDATE_BATCH` (Linux 5.6): how many of `count` pairs were written, and the error that stopped it.
pub(super) fn map_update_batch(
    map: BorrowedFd<'_>,
    keys: &[u8],
    values: &[u8],
    count: u32,
) -> (u32, io::Result<()>) {
    batch(bpf_cmd::BPF_MAP_UPDATE_BATCH, map, keys.as_ptr() as u64, values.as_ptr() as u64, count)
}

/// `BPF_MAP_DELETE_BATCH` (Linux 5.6): how many of `count` keys were deleted, and the error that stopped it.
pub(super) fn map_delete_batch(map: BorrowedFd<'_>, keys: &[u8], count: u32) -> (u32, io::Result<()>) {
    batch(bpf_cmd::BPF_MAP_DELETE_BATCH, map, keys.as_ptr() as u64, 0, count)
}

/// Where a batch of look-ups goes on. As large as the largest key: hashes keep a bucket's number there, others a key.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    at: [u64; 8],
    has_begun: bool,
}

/// `BPF_MAP_LOOKUP_BATCH` (Linux 5.6): how many pairs were read, and whether there are more.
pub(super) fn map_lookup_batch(
    map: BorrowedFd<'_>,
    cursor: &mut Cursor,
    keys: &mut [u8],
    values: &mut [u8],
    count: u32,
) -> io::Result<(u32, bool)> {
    let mut next = [0u64; 8];
    let mut attr = zeroed_attr();
    attr.batch.map_fd = raw(map);
    attr.batch.in_batch = if cursor.has_begun { cursor.at.as_ptr() as u64 } else { 0 };
    attr.batch.out_batch = next.as_mut_ptr() as u64;
    attr.batch.keys = keys.as_mut_ptr() as u64;
    attr.batch.values = values.as_mut_ptr() as u64;
    attr.batch.count = count;
    let has_more = match bpf(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attr) {
        Ok(_) => true,
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => false,
        Err(e) => return Err(e),
    };
    *cursor = Cursor { at: next, has_begun: true };
    // SAFETY: the member is a plain integer that the kernel wrote back.
    Ok((unsafe { attr.batch.count }.min(count), has_more))
}

/// `BPF_MAP_CREATE`; `inner` for an array of maps.
pub(super) fn map_create(
    map_type: bpf_map_type,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    inner: Option<BorrowedFd<'_>>,
    name: &[u8],
) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    // SAFETY: writing members of a zeroed union of integers.
    unsafe {
        let create = &mut attr.__bindgen_anon_1;
        create.map_type = map_type as u32;
        create.key_size = key_size;
        create.value_size = value_size;
        create.max_entries = max_entries;
        create.inner_map_fd = inner.map_or(0, raw);
        for (to, from) in create.map_name.iter_mut().take(15).zip(name) {
            *to = *from as c_char;
        }
    }
    bpf(bpf_cmd::BPF_MAP_CREATE, &mut attr).map(owned)
}

/// The cookie of the calling thread's network namespace (`SO_NETNS_COOKIE`, Linux 5.14).
pub(super) fn netns_cookie() -> io::Result<u64> {
    const SO_NETNS_COOKIE: i32 = 71;
    let socket =
        std::net::UdpSocket::bind("127.0.0.1:0").or_else(|_| std::net::UdpSocket::bind("[::1]:0"))?;
    let mut cookie = 0u64;
    let mut len = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the option writes at most `len` bytes to `cookie`, which is as large.
    let ret = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            std::ptr::from_mut(&mut cookie).cast(),
            &raw mut len,
        )
    };
    if ret < 0 { Err(io::Error::last_os_error()) } else { Ok(cookie) }
}

/// `flock(LOCK_EX | LOCK_NB)`; false if somebody else holds it.
pub(super) fn try_lock(fd: BorrowedFd<'_>) -> io::Result<bool> {
    // SAFETY: no memory is passed.
    if unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::WouldBlock { Ok(false) } else { Err(error) }
}

/// Bytes of a page of memory.
pub(super) fn page_size() -> usize {
    // SAFETY: no memory is passed.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}
