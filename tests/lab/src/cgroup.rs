//! The lab's part of the cgroup v2 hierarchy, laid out as a kubelet does.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{mounts, wait};

/// Name of the one cgroup below the mount that all labs share.
const LABS: &str = "ferrule-lab";
/// How long killed processes may take to leave.
const EMPTY_LIMIT: Duration = Duration::from_secs(10);

/// A directory of the cgroup v2 hierarchy.
#[derive(Clone, Debug)]
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// The cgroup that holds all labs of this machine; it need not exist.
    pub(crate) fn of_all_labs() -> Result<Self> {
        let mounts = mounts::list()?;
        let mount =
            mounts.iter().find(|m| m.kind == "cgroup2").context("no cgroup v2 hierarchy is mounted")?;
        Ok(Self { path: mount.target.join(LABS) })
    }

    /// A cgroup by its path.
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The cgroup of that relative path below this one; it need not exist.
    pub(crate) fn child(&self, name: impl AsRef<Path>) -> Self {
        Self { path: self.path.join(name) }
    }

    /// Makes the directory and those above it.
    pub(crate) fn create(&self) -> Result<()> {
        fs::create_dir_all(&self.path).with_context(|| format!("creating cgroup {}", self.path.display()))
    }

    /// The directory itself, as `--cgroup-root` wants it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// A handle for `clone3` with `CLONE_INTO_CGROUP`.
    pub(crate) fn open(&self) -> Result<OwnedFd> {
        OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | libc::O_CLOEXEC)
            .open(&self.path)
            .map(OwnedFd::from)
            .with_context(|| format!("opening cgroup {}", self.path.display()))
    }

    /// The kernel's id of it, as `bpf_get_current_cgroup_id` and a cgroup link show it: the inode.
    pub fn id(&self) -> Result<u64> {
        Ok(fs::metadata(&self.path).with_context(|| format!("looking at {}", self.path.display()))?.ino())
    }

    /// This cgroup and all below it, parents first.
    pub(crate) fn tree(&self) -> Result<Vec<Self>> {
        let mut found = vec![self.clone()];
        let mut next = 0;
        while let Some(cgroup) = found.get(next).cloned() {
            next += 1;
            let entries = match fs::read_dir(&cgroup.path) {
                Ok(entries) => entries,
                // Another process may be taking its own cgroups away meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => {
                    return Err(error).with_context(|| format!("listing {}", cgroup.path.display()));
                }
            };
            for entry in entries.flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    found.push(Self { path: entry.path() });
                }
            }
        }
        Ok(found)
    }

    /// The processes in this cgroup itself; none when it is gone.
    pub(crate) fn processes(&self) -> Result<Vec<i32>> {
        match fs::read_to_string(self.path.join("cgroup.procs")) {
            Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).collect()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error).with_context(|| format!("listing processes of {}", self.path.display())),
        }
    }

    /// Moves the calling process here.
    pub fn enter(&self) -> Result<()> {
        self.write("cgroup.procs", "0")
    }

    /// Kills every process here and below, in one step that no fork escapes, and waits until they are gone.
    pub(crate) fn kill(&self) -> Result<()> {
        self.write("cgroup.kill", "1")?;
        self.wait_empty(EMPTY_LIMIT)
    }

    /// Removes this cgroup and all below it. Absent is success.
    pub(crate) fn remove(&self) -> Result<()> {
        if !self.exists() {
            return Ok(());
        }
        for cgroup in self.tree()?.iter().rev() {
            // A last task may still be on its way out although it is counted no more.
            wait::until("a cgroup to become removable", EMPTY_LIMIT, || {
                match fs::remove_dir(&cgroup.path) {
                    Ok(()) => Ok(true),
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
                    Err(error) if error.kind() == ErrorKind::ResourceBusy => Ok(false),
                    Err(error) => Err(error).with_context(|| format!("removing {}", cgroup.path.display())),
                }
            })?;
        }
        Ok(())
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.path.join(file);
        OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|mut open| open.write_all(text.as_bytes()))
            .with_context(|| format!("writing {text} to {}", path.display()))
    }

    /// The kernel announces a change of `cgroup.events` by POLLPRI.
    fn wait_empty(&self, limit: Duration) -> Result<()> {
        let path = self.path.join("cgroup.events");
        let mut events = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        let deadline = Instant::now() + limit;
        let mut text = String::new();
        loop {
            text.clear();
            events.rewind()?;
            events.read_to_string(&mut text)?;
            if text.lines().any(|line| line == "populated 0") {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("processes in {} outlived SIGKILL by {limit:?}", self.path.display());
            }
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLPRI)], timeout)?;
        }
    }
}
