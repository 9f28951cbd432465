//! Gives away, for good, what a process that parses hostile packets does not need.
//!
//! | step | what goes | why in this place |
//! | --- | --- | --- |
//! | look | nothing | the rest is a matter of a thread, so there may be only one |
//! | limits | memory above a limit, core dumps | from here on everything counts against them |
//! | credentials | capabilities, root's uid and gid, groups | the bounding set first, which needs a capability; then ids, then the rest |
//! | dumpable | being traced or read by others with the same uid | a change of ids resets it |
//! | no new privileges | set-uid programs, file capabilities | a filter wants it |
//! | filter | all system calls but those of a running server | last: it allows none of the above |
//!
//! What a process opened before, it keeps: files and sockets that it needs are opened before, or arrive as messages on a
//! Unix socket. A thread started later has all of it too. The parent-death signal is left alone: a server outlives whoever
//! started it.

mod credentials;
mod filter;
mod limits;
mod status;

use nix::errno::Errno;
use nix::sys::{prctl, resource::Resource};

/// What a sandboxed process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SandboxLimits {
    /// Private writable memory in bytes (`RLIMIT_DATA`; a lower hard limit is kept).
    ///
    /// Counted is address space, touched or not: heap, anonymous mappings, stacks of threads, written data of the program
    /// (all of these since Linux 4.7, and `VmData` in /proc/PID/status). Not counted: the stack of the main thread, read-only
    /// mappings, and what the kernel holds for the process, such as socket buffers. An allocation above it fails, and
    /// with it the process. Shared mappings would not be counted, so the filter refuses new ones.
    pub memory_bytes: u64,
}

/// Enters the sandbox: there is no way back.
///
/// A caller that is root becomes uid and gid 65534; another one keeps its ids and groups unless it has CAP_SETUID and
/// CAP_SETGID. Root inside a container needs both of these, and CAP_SETPCAP if the bounding set is to be emptied (which is
/// beside the point once new privileges are out).
///
/// Afterwards calls outside the list fail with EPERM, clone3 with ENOSYS (C libraries then use clone), and those that only an
/// attacker makes end the process with SIGSYS. Sockets are TCP or UDP, and pairs of Unix stream sockets; ports below 1024 are
/// out of reach. abort() ends the process with SIGABRT, or with SIGSEGV where the C library is musl.
///
/// # Errors
///
/// All are fatal: some of the steps may have been taken, so the process ends instead of going on half stripped.
pub fn enter(limits: &SandboxLimits) -> Result<(), SandboxError> {
    let status = status::read()?;
    if status.threads != 1 {
        return Err(SandboxError::Threads { count: status.threads });
    }
    limits::apply(limits, status.data_bytes)?;
    credentials::drop_all()?;
    prctl::set_dumpable(false).map_err(|source| SandboxError::Dumpable { source })?;
    prctl::set_no_new_privs().map_err(|source| SandboxError::NoNewPrivileges { source })?;
    filter::install()
}

/// Why the sandbox was not entered.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The process does not know itself: /proc is missing.
    #[error("reading {}: {source}", status::PATH)]
    ReadStatus {
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// A line of the status is missing or is not a number.
    #[error("no number in line {line:?} of {}", status::PATH)]
    Status {
        /// The beginning of the line.
        line: &'static str,
    },
    /// Capabilities and filters belong to a thread: the others would keep theirs.
    #[error("{count} threads run; the sandbox is entered before the second one starts")]
    Threads {
        /// How many.
        count: u64,
    },
    /// The process has more memory than it may have.
    #[error("a memory limit of {limit_bytes} bytes is below the {used_bytes} in use")]
    MemoryLimit {
        /// The limit, in bytes.
        limit_bytes: u64,
        /// What is in use, in bytes.
        used_bytes: u64,
    },
    /// A resource limit could not be read or set.
    #[error("limiting {resource:?}: {source}")]
    Limit {
        /// Which.
        resource: Resource,
        /// The kernel's answer.
        source: Errno,
    },
    /// The uid, the gid or the groups could not be changed. Root without CAP_SETUID and CAP_SETGID ends here.
    #[error("changing {ids}: {source} (root needs CAP_SETUID and CAP_SETGID)")]
    Ids {
        /// Which.
        ids: &'static str,
        /// The kernel's answer.
        source: Errno,
    },
    /// A set of capabilities could not be read or cleared.
    #[error("clearing the {set:?} capabilities: {source}")]
    Capabilities {
        /// Which.
        set: caps::CapSet,
        /// The kernel's answer.
        source: caps::errors::CapsError,
    },
    /// `PR_SET_DUMPABLE` failed.
    #[error("forbidding dumps: {source}")]
    Dumpable {
        /// The kernel's answer.
        source: Errno,
    },
    /// `PR_SET_NO_NEW_PRIVS` failed.
    #[error("forbidding new privileges: {source}")]
    NoNewPrivileges {
        /// The kernel's answer.
        source: Errno,
    },
    /// The filter cannot be built, for instance for this kind of processor.
    #[error("building the system call filter: {source}")]
    BuildFilter {
        /// Why.
        source: seccompiler::BackendError,
    },
    /// The kernel refused the filter.
    #[error("installing the system call filter: {source}")]
    InstallFilter {
        /// Why.
        source: seccompiler::Error,
    },
}
