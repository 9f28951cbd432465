//! What a daemon pins in a node's bpffs goes with the lab, and is seen while it is there. Needs root.

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use lab::leaks::{self, Footprint};
use lab::{Cgroup, Lab, LabSpec};

const LIMIT: Duration = Duration::from_secs(5);

/// Numbers of linux/bpf.h.
const BPF_PROG_LOAD: i32 = 5;
const BPF_OBJ_PIN: i32 = 6;
const BPF_LINK_CREATE: i32 = 28;
const PROG_TYPE_CGROUP_SOCK_ADDR: u32 = 18;
const CGROUP_INET4_CONNECT: u32 = 10;

/// The first members of `union bpf_attr` for BPF_PROG_LOAD, up to the attach type.
#[repr(C)]
#[derive(Default)]
struct LoadAttr {
    prog_type: u32,
    insn_count: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    name: [u8; 16],
    ifindex: u32,
    expected_attach_type: u32,
}

/// For BPF_LINK_CREATE.
#[repr(C)]
struct LinkAttr {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
}

/// For BPF_OBJ_PIN.
#[repr(C)]
struct PinAttr {
    path: u64,
    fd: u32,
    flags: u32,
}

/// Calls bpf(2) with one of the structs above; returns a descriptor, or zero.
fn bpf<T>(command: i32, attr: &T) -> i32 {
    // SAFETY: the attribute is as long as we say and what it points to outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attr), size_of::<T>()) };
    assert!(result >= 0, "bpf({command}): {}", std::io::Error::last_os_error());
    result as i32
}

/// Loads a connect4 program that lets everything pass, links it to `cgroup` and pins the link.
fn pin_link(cgroup: &Cgroup, name: &str, pin: &Path) {
    // r0 = 1; exit
    let instructions: [u64; 2] = [0x0000_0001_0000_00b7, 0x0000_0000_0000_0095];
    let mut load = LoadAttr {
        prog_type: PROG_TYPE_CGROUP_SOCK_ADDR,
        insn_count: 2,
        insns: instructions.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        expected_attach_type: CGROUP_INET4_CONNECT,
        ..LoadAttr::default()
    };
    load.name[..name.len()].copy_from_slice(name.as_bytes());
    let target = std::fs::File::open(cgroup.path()).unwrap();
    // SAFETY: new descriptors that nobody else owns.
    let program = unsafe { OwnedFd::from_raw_fd(bpf(BPF_PROG_LOAD, &load)) };
    let link = LinkAttr {
        program: program.as_raw_fd().cast_unsigned(),
        target: target.as_raw_fd().cast_unsigned(),
        attach_type: CGROUP_INET4_CONNECT,
        flags: 0,
    };
    // SAFETY: the same.
    let link = unsafe { OwnedFd::from_raw_fd(bpf(BPF_LINK_CREATE, &link)) };
    let path = CString::new(pin.as_os_str().as_bytes()).unwrap();
    let fd = link.as_raw_fd().cast_unsigned();
    bpf(BPF_OBJ_PIN, &PinAttr { path: path.as_ptr() as u64, fd, flags: 0 });
}

#[test]
fn a_pinned_link_is_seen_and_goes_with_the_lab() {
    let lab = Lab::new(LabSpec::default()).unwrap();
    let name = format!("flab_{}", lab.id());
    let line = format!("program type {PROG_TYPE_CGROUP_SOCK_ADDR} {name}");
    for node in lab.nodes() {
        pin_link(node.cgroup(), &name, &node.bpf_root().join("link"));
    }
    assert!(leaks::list().unwrap().contains(&format!("{line} (2 times)")));
    let mut footprint = Footprint::default();
    for node in lab.nodes() {
        footprint.add(node.cgroup()).unwrap();
    }
    assert_eq!(footprint.to_string(), "2 links, 2 programs, 0 maps");
    assert_eq!(footprint.remaining().unwrap().to_string(), footprint.to_string());

    lab.take_down().unwrap();
    lab::until("links and programs to go", LIMIT, || Ok(footprint.remaining()?.is_empty())).unwrap();
    assert!(!leaks::list().unwrap().iter().any(|other| other.starts_with(&line)));
}
