//! What children do. A panic is their way to fail.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use caps::{CapSet, Capability, CapsHashSet};
use dns::sandbox::{SandboxError, SandboxLimits, enter};
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, alarm, geteuid, setgroups, setresgid, setresuid};
use socket2::{Domain, Protocol, Socket, Type};

use crate::child::{DEADLINE_SECS, Request};
use crate::{calls, fds, inside};

/// What children may use unless a case is about it.
pub(crate) const MEMORY_BYTES: u64 = 256 << 20;

/// Does what was asked.
pub(crate) fn run(request: &Request) {
    alarm::set(DEADLINE_SECS);
    if geteuid().is_root() {
        request.uid.map_or_else(stay_root, become_user);
    }
    let arg = || request.arg.as_deref().expect("an argument");
    let number = || arg().parse::<i64>().unwrap();
    match request.case.as_str() {
        "wait" => wait(),
        "orphan" => orphan(),
        "open" => open(),
        "execute" => execute(),
        "fork" => fork(),
        "sockets" => sockets(),
        "refused" => calls::refused(enter_and_say),
        "passed" => calls::passed(enter_and_say),
        "attack" => calls::attack(number(), enter_and_say),
        "serve" => inside::serve(enter_and_say),
        "panic" => panic(),
        "pass" => pass(),
        "allocate" => allocate(number()),
        "narrow" => narrow(),
        "stuck" => stuck(),
        "crowd" => crowd(),
        other => panic!("no case {other:?}"),
    }
}

fn try_enter(memory_bytes: u64) -> Result<(), SandboxError> {
    enter(&SandboxLimits { memory_bytes })
}

/// Enters, and tells the parent.
fn enter_and_say() {
    try_enter(MEMORY_BYTES).unwrap_or_else(|error| panic!("{error}"));
    println!("entered");
}

/// With groups, and capabilities in every set.
fn stay_root() {
    setgroups(&[Gid::from_raw(1), Gid::from_raw(2)]).unwrap();
    spread(&caps::read(None, CapSet::Permitted).unwrap());
}

/// Somebody else, with capabilities such as a container may have, and dumpable as after an exec.
fn become_user(uid: u32) {
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
    prctl::set_keepcaps(true).unwrap();
    setgroups(&[]).unwrap();
    setresgid(group, group, group).unwrap();
    setresuid(user, user, user).unwrap();
    let kept = CapsHashSet::from([Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW]);
    caps::set(None, CapSet::Effective, &kept).unwrap();
    caps::set(None, CapSet::Permitted, &kept).unwrap();
    spread(&kept);
    prctl::set_dumpable(true).unwrap();
}

fn spread(capabilities: &CapsHashSet) {
    caps::set(None, CapSet::Inheritable, capabilities).unwrap();
    caps::set(None, CapSet::Ambient, capabilities).unwrap();
}

fn wait() {
    enter_and_say();
    let mut line = String::new();
    io::stdin().read_line(&mut line).unwrap();
    println!("{}", line.trim_end());
}

/// Starts a child with its own input and output, and ends.
#[expect(clippy::zombie_processes, reason = "the child is to lose its parent")]
fn orphan() {
    let mut command = Request::new("wait").command();
    command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit()).spawn().unwrap();
}

#[track_caller]
fn is_refused<T>(result: io::Result<T>) {
    assert_eq!(result.err().and_then(|error| error.raw_os_error()), Some(libc::EPERM));
}

fn open() {
    enter_and_say();
    is_refused(fs::File::open("/proc/self/status"));
    is_refused(fs::read("/etc/passwd"));
    is_refused(fs::read_dir("/"));
    is_refused(fs::write("/tmp/ferrule-sandbox-test", "x"));
    is_refused(fs::metadata("/"));
    // A thread that starts later is in it too.
    std::thread::spawn(|| is_refused(fs::File::open("/proc/self/status"))).join().unwrap();
    println!("alive");
}

fn execute() {
    enter_and_say();
    let error = Command::new("/bin/true").exec();
    println!("alive: {error}");
}

fn fork() {
    enter_and_say();
    // By clone with CLONE_VFORK, and, as a change of group forbids that, by fork.
    is_refused(Command::new("/bin/true").spawn());
    is_refused(Command::new("/bin/true").gid(65_534).spawn());
    println!("alive");
}

/// `unix(7)`, `netlink(7)` and so on; the kernel itself would refuse a plain user only the raw and packet ones.
const FORBIDDEN_SOCKETS: &[(i32, i32, i32)] = &[
    (libc::AF_UNIX, libc::SOCK_STREAM, 0),
    (libc::AF_UNIX, libc::SOCK_DGRAM, 0),
    (libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE),
    (libc::AF_NETLINK, libc::SOCK_DGRAM, libc::NETLINK_ROUTE),
    (libc::AF_PACKET, libc::SOCK_RAW, 0),
    (libc::AF_PACKET, libc::SOCK_DGRAM, 0),
    (libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
    (libc::AF_VSOCK, libc::SOCK_STREAM, 0),
    (libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
    (libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_ICMPV6),
    (libc::AF_INET, libc::SOCK_SEQPACKET, 0),
    (libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP),
    (libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE),
    (libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP),
    (libc::AF_INET6, libc::SOCK_STREAM, libc::IPPROTO_MPTCP),
];

fn sockets() {
    let open = |&(domain, kind, protocol): &(i32, i32, i32)| {
        Socket::new_raw(Domain::from(domain), Type::from(kind), Some(Protocol::from(protocol)))
    };
    enter_and_say();
    for socket in FORBIDDEN_SOCKETS {
        let errno = open(socket).err().and_then(|error| error.raw_os_error());
        assert_eq!(errno, Some(libc::EPERM), "{socket:?}");
    }
    for domain in [libc::AF_INET, libc::AF_INET6] {
        for flags in [0, libc::SOCK_CLOEXEC, libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK] {
            for (kind, protocol) in
                [(libc::SOCK_STREAM, libc::IPPROTO_TCP), (libc::SOCK_DGRAM, libc::IPPROTO_UDP)]
            {
                open(&(domain, kind | flags, 0)).unwrap();
                open(&(domain, kind | flags, protocol)).unwrap();
            }
        }
    }
    UnixStream::pair().unwrap();
    println!("alive");
}

fn panic() {
    enter_and_say();
    let thread = std::thread::Builder::new().name("worker".to_owned()).spawn(|| panic!("a packet too many"));
    assert!(thread.unwrap().join().is_err());
    println!("alive");
}

/// Answers on a socket that its parent sends, then sends it one back.
fn pass() {
    try_enter(MEMORY_BYTES).unwrap();
    let stdin = 0;
    let socket = UdpSocket::from(fds::receive(stdin));
    let mut query = [0; 16];
    let (len, from) = socket.recv_from(&mut query).unwrap();
    socket.send_to(&query[..len], from).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    fds::send(stdin, listener.as_fd());
    let (mut connection, _) = listener.accept().unwrap();
    let mut text = String::new();
    connection.read_to_string(&mut text).unwrap();
    connection.write_all(text.as_bytes()).unwrap();
}

/// Takes memory, in MiB, under a limit of 64.
fn allocate(mib: i64) {
    try_enter(64 << 20).unwrap();
    println!("entered");
    let len = usize::try_from(mib).unwrap() << 20;
    let memory = vec![1_u8; len];
    println!("sum {}", memory.iter().map(|&byte| u64::from(byte)).sum::<u64>() >> 20);
}

fn narrow() {
    println!("{}", try_enter(4096).unwrap_err());
}

/// As root in a container that lacks a capability.
fn stuck() {
    caps::drop(None, CapSet::Effective, Capability::CAP_SETUID).unwrap();
    println!("{}", try_enter(MEMORY_BYTES).map_or_else(|error| error.to_string(), |()| "entered".to_owned()));
}

/// A second thread, alive while the first tries to enter.
fn crowd() {
    let (keep, wait) = mpsc::sync_channel::<()>(0);
    let thread = std::thread::spawn(move || wait.recv().is_err());
    let error = try_enter(MEMORY_BYTES).unwrap_err();
    assert!(matches!(error, SandboxError::Threads { count: 2 }), "{error:?}");
    println!("{error}");
    // Nothing was taken: this still works.
    fs::read("/proc/self/status").unwrap();
    drop(keep);
    assert!(thread.join().unwrap());
}
