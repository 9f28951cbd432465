//! System calls one by one: with arguments for which the kernel alone would give another answer.

use libc::*;
use nix::sys::signal::Signal;

use crate::child::Request;
use crate::raw::call;

crate::tests![
    calls_outside_the_list_are_refused,
    calls_of_a_server_reach_the_kernel,
    calls_that_only_an_attacker_makes_end_the_process,
];

fn calls_outside_the_list_are_refused() {
    assert_eq!(Request::new("refused").run().expect_ok().stdout, "entered\nalive\n");
}

fn calls_of_a_server_reach_the_kernel() {
    assert_eq!(Request::new("passed").run().expect_ok().stdout, "entered\nalive\n");
}

fn calls_that_only_an_attacker_makes_end_the_process() {
    for &number in ATTACKS {
        let ended = Request::new("attack").with(number).run();
        assert_eq!((number, ended.stdout.as_str()), (number, "entered\n"), "{ended}");
        ended.expect_killed_by(Signal::SIGSYS);
    }
}

/// All arguments zero: were they let through, each would fail or do nothing.
const ATTACKS: &[i64] = &[
    SYS_add_key,
    SYS_bpf,
    SYS_capset,
    SYS_chroot,
    SYS_delete_module,
    SYS_execve,
    SYS_execveat,
    SYS_finit_module,
    SYS_init_module,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_io_uring_setup,
    #[cfg(target_arch = "x86_64")]
    SYS_kexec_file_load,
    SYS_kexec_load,
    SYS_keyctl,
    SYS_mount,
    SYS_move_mount,
    SYS_open_by_handle_at,
    SYS_perf_event_open,
    SYS_pidfd_getfd,
    SYS_pivot_root,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_ptrace,
    SYS_reboot,
    SYS_request_key,
    SYS_setgid,
    SYS_setgroups,
    SYS_setns,
    SYS_setresgid,
    SYS_setresuid,
    SYS_setuid,
    SYS_swapon,
    SYS_umount2,
    SYS_unshare,
    SYS_userfaultfd,
];

/// The child that makes one of them.
pub(crate) fn attack(number: i64, enter: fn()) {
    enter();
    println!("alive: {:?}", call(number, [0; 6]));
}

/// A pid that no process has: the largest on Linux is 2^22.
const NO_PID: i64 = 0x3fff_ffff;
const PAGE: i64 = 4096;
const ANONYMOUS: i64 = (MAP_PRIVATE | MAP_ANONYMOUS) as i64;
const READ_WRITE: i64 = (PROT_READ | PROT_WRITE) as i64;
const NO_FD: i64 = -1;

/// Constants have several types, which differ by C library.
fn int(value: impl Into<i64>) -> i64 {
    value.into()
}

/// The child that makes calls that are not a server's.
pub(crate) fn refused(enter: fn()) {
    let pid = i64::from(std::process::id());
    let page = call(SYS_mmap, [0, PAGE, READ_WRITE, ANONYMOUS, NO_FD, 0]).unwrap();
    enter();
    let sys = |number, args: &[i64]| {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        call(number, all)
    };
    let calls: &[(&str, i64, &[i64])] = &[
        ("openat", SYS_openat, &[NO_FD, 0]),
        ("statx", SYS_statx, &[NO_FD]),
        ("getdents64", SYS_getdents64, &[NO_FD]),
        ("unlinkat", SYS_unlinkat, &[NO_FD]),
        ("chdir", SYS_chdir, &[]),
        ("memfd_create", SYS_memfd_create, &[]),
        ("inotify_init1", SYS_inotify_init1, &[]),
        ("timerfd_create", SYS_timerfd_create, &[]),
        ("getppid", SYS_getppid, &[]),
        ("sched_setaffinity", SYS_sched_setaffinity, &[]),
        ("prlimit64", SYS_prlimit64, &[0, int(RLIMIT_CORE)]),
        ("shmget", SYS_shmget, &[0, PAGE, 0o600]),
        ("seccomp", SYS_seccomp, &[1]),
        ("kill itself", SYS_kill, &[pid, 0]),
        ("pidfd_open", SYS_pidfd_open, &[pid, 0]),
        ("tgkill another", SYS_tgkill, &[NO_PID, NO_PID, 0]),
        ("clone a process", SYS_clone, &[int(SIGCHLD)]),
        ("clone a namespace", SYS_clone, &[int(CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWUSER)]),
        ("mmap executable", SYS_mmap, &[0, PAGE, int(PROT_READ | PROT_EXEC), ANONYMOUS, NO_FD]),
        ("mmap shared", SYS_mmap, &[0, PAGE, READ_WRITE, int(MAP_SHARED | MAP_ANONYMOUS), NO_FD]),
        ("mmap a stack", SYS_mmap, &[0, PAGE, READ_WRITE, ANONYMOUS | int(MAP_GROWSDOWN), NO_FD]),
        ("mprotect executable", SYS_mprotect, &[page, PAGE, int(PROT_READ | PROT_EXEC)]),
        ("become dumpable", SYS_prctl, &[int(PR_SET_DUMPABLE), 1]),
        ("parent-death signal", SYS_prctl, &[int(PR_SET_PDEATHSIG), int(SIGTERM)]),
        ("fcntl F_SETOWN", SYS_fcntl, &[0, int(F_SETOWN), pid]),
        ("ioctl TIOCGPGRP", SYS_ioctl, &[0, 0x540f]),
        ("socketpair datagram", SYS_socketpair, &[int(AF_UNIX), int(SOCK_DGRAM)]),
        ("socketpair TIPC", SYS_socketpair, &[30, int(SOCK_STREAM)]),
        ("SO_ATTACH_FILTER", SYS_setsockopt, &[NO_FD, int(SOL_SOCKET), int(SO_ATTACH_FILTER)]),
        ("SO_ATTACH_BPF", SYS_setsockopt, &[NO_FD, int(SOL_SOCKET), int(SO_ATTACH_BPF)]),
        (
            "SO_ATTACH_REUSEPORT_CBPF",
            SYS_setsockopt,
            &[NO_FD, int(SOL_SOCKET), int(SO_ATTACH_REUSEPORT_CBPF)],
        ),
        (
            "SO_ATTACH_REUSEPORT_EBPF",
            SYS_setsockopt,
            &[NO_FD, int(SOL_SOCKET), int(SO_ATTACH_REUSEPORT_EBPF)],
        ),
        ("TCP_ULP", SYS_setsockopt, &[NO_FD, int(IPPROTO_TCP), int(TCP_ULP)]),
        ("UDP_ENCAP", SYS_setsockopt, &[NO_FD, int(IPPROTO_UDP), 100]),
        ("ICMP filter", SYS_setsockopt, &[NO_FD, int(IPPROTO_RAW), 1]),
        #[cfg(target_arch = "x86_64")]
        ("getpid of x32", 0x4000_0000 + SYS_getpid, &[]),
        ("no such call", 100_000, &[]),
    ];
    for (name, number, args) in calls {
        assert_eq!(sys(*number, args), Err(EPERM), "{name}");
    }
    assert_eq!(sys(SYS_clone3, &[]), Err(ENOSYS));
    println!("alive");
}

/// The child that makes a server's calls, most with arguments that the kernel refuses in its own words.
pub(crate) fn passed(enter: fn()) {
    enter();
    let calls = [
        ("recvmmsg", SYS_recvmmsg, [NO_FD, 0, 0, 0, 0, 0], Err(EBADF)),
        ("sendmmsg", SYS_sendmmsg, [NO_FD, 0, 0, 0, 0, 0], Err(EBADF)),
        ("epoll_pwait", SYS_epoll_pwait, [NO_FD, 0, 1, 0, 0, 0], Err(EBADF)),
        ("ppoll", SYS_ppoll, [0, i64::MAX, 0, 0, 0, 0], Err(EINVAL)),
        ("dup3", SYS_dup3, [0, 0, 0, 0, 0, 0], Err(EINVAL)),
        ("pipe2", SYS_pipe2, [0, 0, 0, 0, 0, 0], Err(EFAULT)),
        ("readv", SYS_readv, [NO_FD, 0, 0, 0, 0, 0], Err(EBADF)),
        ("setsockopt", SYS_setsockopt, [NO_FD, i64::from(IPPROTO_IPV6), 26, 0, 0, 0], Err(EBADF)),
        ("FIONREAD", SYS_ioctl, [NO_FD, 0x541b, 0, 0, 0, 0], Err(EBADF)),
        ("PR_GET_NAME", SYS_prctl, [i64::from(PR_GET_NAME), 0, 0, 0, 0, 0], Err(EFAULT)),
        ("tgkill", SYS_tgkill, [i64::from(std::process::id()), NO_PID, 0, 0, 0, 0], Err(ESRCH)),
        ("mmap", SYS_mmap, [0, PAGE, 0, ANONYMOUS, NO_FD, 0], Ok(())),
    ];
    for (name, number, args, expected) in calls {
        assert_eq!(call(number, args).map(drop), expected, "{name}");
    }
    println!("alive");
}
