//! Calls by number, whatever their arguments. Some exist on x86-64 only.

use libc::*;

/// What a program of several threads, each with a runtime over epoll, calls once it runs.
pub(super) const SERVER: &[i64] = &[
    // Memory; the calls that may make pages executable are under conditions.
    SYS_brk,
    SYS_madvise,
    SYS_mremap,
    SYS_munmap,
    // Threads. clone3 has its ENOSYS from a program of its own, which an EPERM of this one, the later, would hide.
    SYS_clone3,
    SYS_exit,
    SYS_exit_group,
    SYS_futex,
    SYS_getpid,
    SYS_gettid,
    SYS_restart_syscall,
    SYS_rseq,
    SYS_sched_getaffinity,
    SYS_sched_yield,
    SYS_set_robust_list,
    // Signals: the handler of stack overflows is one.
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sigaltstack,
    // Time, where the vDSO does not answer.
    SYS_clock_getres,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_gettimeofday,
    SYS_nanosleep,
    #[cfg(target_arch = "x86_64")]
    SYS_time,
    SYS_getrandom,
    // Waiting.
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_epoll_pwait2,
    SYS_eventfd2,
    SYS_ppoll,
    #[cfg(target_arch = "x86_64")]
    SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    SYS_poll,
    // Descriptors that are open.
    SYS_close,
    SYS_dup,
    SYS_dup3,
    #[cfg(target_arch = "x86_64")]
    SYS_dup2,
    SYS_pipe2,
    SYS_read,
    SYS_readv,
    SYS_write,
    SYS_writev,
    // Sockets; what makes them and sets their options is under conditions.
    SYS_accept4,
    SYS_bind,
    SYS_connect,
    SYS_getpeername,
    SYS_getsockname,
    SYS_getsockopt,
    SYS_listen,
    SYS_recvfrom,
    SYS_recvmmsg,
    SYS_recvmsg,
    SYS_sendmmsg,
    SYS_sendmsg,
    SYS_sendto,
    SYS_shutdown,
];

/// What neither we nor a library of ours calls: whoever does has taken the process over.
pub(super) const ATTACKS: &[i64] = &[
    // Other programs, other processes.
    SYS_execve,
    SYS_execveat,
    SYS_pidfd_getfd,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_ptrace,
    // Parts of the kernel that are often the way in.
    SYS_add_key,
    SYS_bpf,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_io_uring_setup,
    SYS_keyctl,
    SYS_perf_event_open,
    SYS_request_key,
    SYS_userfaultfd,
    // The kernel itself.
    SYS_delete_module,
    SYS_finit_module,
    SYS_init_module,
    #[cfg(target_arch = "x86_64")]
    SYS_kexec_file_load,
    SYS_kexec_load,
    #[cfg(target_arch = "x86_64")]
    SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    SYS_iopl,
    SYS_reboot,
    SYS_swapoff,
    SYS_swapon,
    // Mounts and namespaces.
    SYS_chroot,
    SYS_fsmount,
    SYS_fsopen,
    SYS_mount,
    SYS_move_mount,
    SYS_open_by_handle_at,
    SYS_open_tree,
    SYS_pivot_root,
    SYS_setns,
    SYS_umount2,
    SYS_unshare,
    // Privileges.
    SYS_capset,
    SYS_setfsgid,
    SYS_setfsuid,
    SYS_setgid,
    SYS_setgroups,
    SYS_setregid,
    SYS_setresgid,
    SYS_setresuid,
    SYS_setreuid,
    SYS_setuid,
];
