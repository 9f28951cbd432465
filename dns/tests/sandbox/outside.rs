//! What the parent sees of a sandboxed child.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{getegid, geteuid};

use crate::cases::MEMORY_BYTES;
use crate::child::{Request, lines};
use crate::fds;

crate::tests![
    a_sandboxed_process_has_no_privileges,
    a_caller_that_is_not_root_keeps_its_ids_and_loses_the_rest,
    root_that_may_not_change_its_ids_is_an_error,
    limits_are_set_and_cannot_be_raised,
    others_with_the_same_uid_cannot_look_inside,
    a_sandboxed_process_outlives_the_one_that_started_it,
    files_pass_both_ways_over_an_inherited_socket,
    memory_under_the_limit_is_there_and_above_it_ends_the_process,
    a_limit_below_what_is_in_use_is_an_error,
    a_second_thread_is_an_error_before_anything_is_taken,
];

const CAPABILITIES: &[&str] = &["CapInh", "CapPrm", "CapEff", "CapAmb"];
const NO_CAPABILITIES: &str = "\
CapInh 0000000000000000
CapPrm 0000000000000000
CapEff 0000000000000000
CapAmb 0000000000000000
";

fn a_sandboxed_process_has_no_privileges() {
    let child = Request::new("wait").start();
    let status = child.status();
    assert_eq!(lines(&status, CAPABILITIES), NO_CAPABILITIES);
    assert_eq!(
        lines(&status, &["NoNewPrivs", "Seccomp", "Seccomp_filters"]),
        "NoNewPrivs 1\nSeccomp 2\nSeccomp_filters 3\n"
    );
    if geteuid().is_root() {
        let nobody = "65534 65534 65534 65534";
        assert_eq!(
            lines(&status, &["Uid", "Gid", "Groups", "CapBnd"]),
            format!("Uid {nobody}\nGid {nobody}\nGroups \nCapBnd 0000000000000000\n")
        );
    }
}

fn a_caller_that_is_not_root_keeps_its_ids_and_loses_the_rest() {
    let user = 12_345;
    let (uid, gid) =
        if geteuid().is_root() { (user, user) } else { (geteuid().as_raw(), getegid().as_raw()) };
    let child = Request::new("wait").by_user(user).start();
    let status = child.status();
    assert_eq!(lines(&status, CAPABILITIES), NO_CAPABILITIES);
    assert_eq!(
        lines(&status, &["NoNewPrivs", "Seccomp", "Uid", "Gid"]),
        format!("NoNewPrivs 1\nSeccomp 2\nUid {uid} {uid} {uid} {uid}\nGid {gid} {gid} {gid} {gid}\n")
    );
}

fn root_that_may_not_change_its_ids_is_an_error() {
    let error = "changing the uid: EPERM: Operation not permitted (root needs CAP_SETUID and CAP_SETGID)";
    // Others need not change theirs.
    let expected = if geteuid().is_root() { error } else { "entered" };
    assert_eq!(Request::new("stuck").run().expect_ok().stdout.trim_end(), expected);
}

fn limits_are_set_and_cannot_be_raised() {
    let limit = |text: &str, name: &str| -> Vec<String> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        line.split_whitespace().take(2).map(str::to_owned).collect()
    };
    let child = Request::new("wait").start();
    let (inside, outside) =
        (fs::read_to_string(child.proc("limits")).unwrap(), fs::read_to_string("/proc/self/limits").unwrap());
    let memory = MEMORY_BYTES.to_string();
    assert_eq!(limit(&inside, "Max data size"), [memory.clone(), memory]);
    assert_eq!(limit(&inside, "Max core file size"), ["0", "0"]);
    let [soft, hard] = &limit(&outside, "Max open files")[..] else { panic!("two numbers") };
    let (soft, most): (u64, u64) = (soft.parse().unwrap(), hard.parse().unwrap());
    assert_eq!(limit(&inside, "Max open files"), [soft.max(most.min(65_536)).to_string(), hard.clone()]);
}

fn others_with_the_same_uid_cannot_look_inside() {
    // Files in /proc of a process that is not dumpable belong to root (proc(5)).
    for request in [Request::new("wait"), Request::new("wait").by_user(12_345)] {
        let child = request.start();
        assert_eq!(fs::metadata(child.proc("mem")).unwrap().uid(), 0);
    }
}

fn a_sandboxed_process_outlives_the_one_that_started_it() {
    let mut orphan = Request::new("orphan").start();
    assert!(orphan.process.wait().unwrap().success());
    assert_eq!(orphan.go_on(), "go on\n");
}

fn files_pass_both_ways_over_an_inherited_socket() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut command = Request::new("pass").command();
    let mut child =
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stderr(Stdio::inherit()).spawn().unwrap();
    drop(command);
    let timeout = Some(Duration::from_secs(10));

    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    client.set_read_timeout(timeout).unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    fds::send(ours.as_raw_fd(), server.as_fd());
    drop(server);
    client.send(b"query").unwrap();
    let mut answer = [0; 16];
    let len = client.recv(&mut answer).unwrap();
    assert_eq!(&answer[..len], b"query");

    let listener = TcpListener::from(fds::receive(ours.as_raw_fd()));
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    stream.set_read_timeout(timeout).unwrap();
    stream.write_all(b"over the child's socket").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "over the child's socket");
    assert!(child.wait().unwrap().success());
}

fn memory_under_the_limit_is_there_and_above_it_ends_the_process() {
    let under = Request::new("allocate").with(32).run().expect_ok();
    assert_eq!(under.stdout, "entered\nsum 32\n");
    // musl's abort() sends its signal by tkill, whose target cannot be limited to ourselves; refused, it crashes.
    let signal = if cfg!(target_env = "musl") { Signal::SIGSEGV } else { Signal::SIGABRT };
    let above = Request::new("allocate").with(80).run().expect_killed_by(signal);
    assert_eq!(above.stdout, "entered\n");
    assert!(above.stderr.contains("memory allocation of 83886080 bytes failed"), "{above}");
}

fn a_limit_below_what_is_in_use_is_an_error() {
    let ended = Request::new("narrow").run().expect_ok();
    assert!(ended.stdout.starts_with("a memory limit of 4096 bytes is below the "), "{ended}");
}

fn a_second_thread_is_an_error_before_anything_is_taken() {
    let ended = Request::new("crowd").run().expect_ok();
    assert_eq!(ended.stdout, "2 threads run; the sandbox is entered before the second one starts\n");
}
