//! Processes that are born where they belong: in their cgroup and network namespace before their first instruction.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, pipe2};

use crate::etc::Bind;

/// What to start and where.
pub(crate) struct Spawn<'a> {
    pub(crate) program: &'a Path,
    pub(crate) args: Vec<OsString>,
    pub(crate) netns: BorrowedFd<'a>,
    /// What lies over the machine's files, in a mount namespace of its own; without any it shares the lab's.
    pub(crate) binds: &'a [Bind],
    pub(crate) cgroup: BorrowedFd<'a>,
    /// Standard input, output and error.
    pub(crate) stdio: [BorrowedFd<'a>; 3],
}

/// A child of this process. Dropping it leaves it running.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    pidfd: OwnedFd,
    exit: OnceLock<Exit>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// By itself, with that code.
    Code(i32),
    /// By a signal.
    Signal,
}

/// `struct clone_args` of linux/sched.h, first version with a cgroup.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// `CLONE_PIDFD` and `CLONE_INTO_CGROUP` of linux/sched.h.
const CLONE_PIDFD: u64 = 0x1000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

impl Spawn<'_> {
    /// Starts the program.
    ///
    /// The child is made inside its cgroup instead of being moved there, which would take a lock of all processes of
    /// the machine and some milliseconds. It has a session of its own, so that Ctrl-C reaches the lab's owner alone.
    pub(crate) fn start(self) -> Result<Process> {
        let name = self.program.display().to_string();
        self.clone_and_exec().with_context(|| format!("starting {name}"))
    }

    fn clone_and_exec(self) -> Result<Process> {
        // Everything that allocates happens before the clone: the child of a threaded process may not.
        let program = CString::new(self.program.as_os_str().as_bytes())?;
        let args = std::iter::once(Ok(program.clone()))
            .chain(self.args.into_iter().map(|arg| CString::new(arg.into_vec())))
            .collect::<Result<Vec<_>, _>>()?;
        let env = std::env::vars_os()
            .map(|(key, value)| {
                let mut pair = key.into_vec();
                pair.push(b'=');
                pair.extend(value.into_vec());
                CString::new(pair)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let argv: Vec<_> = args.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect();
        let envp: Vec<_> = env.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect();
        let (failure_reader, failure_writer) = pipe2(OFlag::O_CLOEXEC)?;
        let plan = ExecPlan {
            program: program.as_ptr(),
            argv: argv.as_ptr(),
            envp: envp.as_ptr(),
            netns: self.netns.as_raw_fd(),
            binds: self.binds,
            stdio: self.stdio.map(|fd| fd.as_raw_fd()),
            failure: failure_writer.as_raw_fd(),
        };

        let mut pidfd: RawFd = -1;
        let clone = CloneArgs {
            flags: CLONE_PIDFD | CLONE_INTO_CGROUP,
            pidfd: (&raw mut pidfd) as u64,
            exit_signal: libc::SIGCHLD as u64,
            cgroup: self.cgroup.as_raw_fd() as u64,
            ..CloneArgs::default()
        };
        // A handler of ours must not run in the child between the clone and the exec.
        let mut before = SigSet::empty();
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
        // SAFETY: without CLONE_VM this is a fork; the arguments live until the call returns. The child goes straight
        // to `ExecPlan::carry_out`, which uses only system calls and memory prepared above, and never returns.
        let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const clone, size_of::<CloneArgs>()) };
        if pid == 0 {
            // SAFETY: this is the child, and every pointer and descriptor of the plan was made for it above.
            unsafe { plan.carry_out() }
        }
        let cloned = if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) };
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
        let pid = cloned.context("clone3 into the cgroup")?;

        // SAFETY: the kernel stored a new descriptor there, which nobody else owns.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        let process = Process { pid: Pid::from_raw(pid as i32), pidfd, exit: OnceLock::new() };
        drop(failure_writer);
        let mut failure = Vec::new();
        File::from(failure_reader).read_to_end(&mut failure)?;
        if let Some((step, code)) = failure.split_first_chunk()
            && let Ok(code) = code.try_into()
        {
            process.wait(Duration::from_secs(1))?;
            let error = io::Error::from_raw_os_error(i32::from_ne_bytes(code));
            let step = Step::ALL.into_iter().find(|known| (*known as i32).to_ne_bytes() == *step);
            return Err(error).context(step.map_or("an unknown step", Step::as_str));
        }
        Ok(process)
    }
}

/// What a child fails at before it is the program.
#[derive(Clone, Copy, Debug)]
enum Step {
    EnterNetns,
    UnshareMounts,
    Bind,
    Stdio,
    Exec,
}

impl Step {
    const ALL: [Self; 5] = [Self::EnterNetns, Self::UnshareMounts, Self::Bind, Self::Stdio, Self::Exec];

    fn as_str(self) -> &'static str {
        match self {
            Self::EnterNetns => "entering the network namespace",
            Self::UnshareMounts => "making a mount namespace",
            Self::Bind => "binding a file over one of /etc",
            Self::Stdio => "redirecting standard input and output",
            Self::Exec => "executing it",
        }
    }
}

/// What the child does between clone and exec, in terms that need no allocation.
struct ExecPlan<'a> {
    program: *const libc::c_char,
    argv: *const *const libc::c_char,
    envp: *const *const libc::c_char,
    netns: RawFd,
    binds: &'a [Bind],
    stdio: [RawFd; 3],
    failure: RawFd,
}

impl ExecPlan<'_> {
    /// Becomes the program; on failure tells the parent the step and errno, and exits.
    ///
    /// # Safety
    ///
    /// Only in a fresh child of `clone3`, with pointers to terminated strings and arrays and with open descriptors
    /// whose numbers are above 2.
    unsafe fn carry_out(&self) -> ! {
        // SAFETY: async-signal-safe calls only, on what the caller vouches for; `sigset_t` is valid when zeroed.
        unsafe {
            libc::setsid();
            if libc::setns(self.netns, libc::CLONE_NEWNET) != 0 {
                self.fail(Step::EnterNetns);
            }
            if !self.binds.is_empty() {
                self.bind();
            }
            for (fd, target) in self.stdio.into_iter().zip(0..) {
                if libc::dup2(fd, target) < 0 {
                    self.fail(Step::Stdio);
                }
            }
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            let none: libc::sigset_t = std::mem::zeroed();
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
            libc::execve(self.program, self.argv, self.envp);
            self.fail(Step::Exec)
        }
    }

    /// Binds in a mount namespace of the child's own. Its mounts are slaves of the machine's: nothing spreads from
    /// here, and what others unmount is not held. The namespace goes with its last process.
    ///
    /// # Safety
    ///
    /// As of [`Self::carry_out`].
    unsafe fn bind(&self) {
        let nothing = std::ptr::null();
        // SAFETY: system calls on strings that the plan keeps.
        unsafe {
            let flags = libc::MS_REC | libc::MS_SLAVE;
            if libc::unshare(libc::CLONE_NEWNS) != 0
                || libc::mount(nothing, c"/".as_ptr(), nothing, flags, nothing.cast()) != 0
            {
                self.fail(Step::UnshareMounts);
            }
            for Bind { source, target } in self.binds {
                if libc::mount(source.as_ptr(), target.as_ptr(), nothing, libc::MS_BIND, nothing.cast()) != 0
                {
                    self.fail(Step::Bind);
                }
            }
        }
    }

    /// # Safety
    ///
    /// As of [`Self::carry_out`], right after the system call that failed.
    unsafe fn fail(&self, step: Step) -> ! {
        // SAFETY: async-signal-safe calls; the buffer is as long as we say.
        unsafe {
            let failure = [step as i32, *libc::__errno_location()];
            libc::write(self.failure, failure.as_ptr().cast(), size_of_val(&failure));
            libc::_exit(127)
        }
    }
}

impl Process {
    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Whether it has been waited for.
    pub(crate) fn has_ended(&self) -> bool {
        self.exit.get().is_some()
    }

    /// Sends a signal; a process that has ended already is no error, and no other process can be hit.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        // SAFETY: a descriptor that we own, a signal number, no info and no flags.
        let result = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd(),
                signal as i32,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        match Errno::result(result) {
            Ok(_) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("sending {signal} to {}", self.pid)),
        }
    }

    /// Waits up to `limit` for the end; returns how it ended, or nothing while it runs.
    pub(crate) fn try_wait(&self, limit: Duration) -> Result<Option<Exit>> {
        if let Some(exit) = self.exit.get() {
            return Ok(Some(*exit));
        }
        let timeout = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) | Err(Errno::EINTR) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(error).context("polling a pidfd"),
        }
        let status = match waitid(Id::PIDFd(self.pidfd.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG)
        {
            // Another thread has collected it.
            Err(Errno::ECHILD) => return Ok(self.exit.get().copied()),
            waited => waited.context("waiting for a child")?,
        };
        if status == WaitStatus::StillAlive {
            return Ok(None);
        }
        let exit = if let WaitStatus::Exited(_, code) = status { Exit::Code(code) } else { Exit::Signal };
        Ok(Some(*self.exit.get_or_init(|| exit)))
    }

    /// Waits for the end.
    ///
    /// # Errors
    ///
    /// It still runs after `limit`.
    pub(crate) fn wait(&self, limit: Duration) -> Result<Exit> {
        match self.try_wait(limit)? {
            Some(exit) => Ok(exit),
            None => bail!("process {} still runs after {limit:?}", self.pid),
        }
    }
}
