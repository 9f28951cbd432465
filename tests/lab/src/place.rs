//! Where a process runs: a network namespace and a cgroup, of a pod or of a node's host network.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::binaries;
use crate::cgroup::Cgroup;
use crate::etc::Etc;
use crate::gate::Gate;
use crate::netns::Netns;
use crate::process::{Process, Spawn};
use crate::registry::LabId;

#[derive(Debug)]
pub(crate) struct Place {
    /// Unique within the lab; `ferrule-lab exec` takes it.
    pub(crate) name: String,
    pub(crate) netns: Netns,
    pub(crate) cgroup: Cgroup,
    /// Files of /etc of its own, if any.
    etc: Option<Etc>,
    log: PathBuf,
    entry: PathBuf,
    gate: Arc<Gate>,
}

impl Place {
    /// Makes the cgroup and writes down where it is.
    pub(crate) fn new(
        id: &LabId,
        name: String,
        netns: Netns,
        cgroup: Cgroup,
        gate: Arc<Gate>,
    ) -> Result<Self> {
        cgroup.create()?;
        let entry = entry_path(id, &name);
        fs::write(&entry, cgroup.path().as_os_str().as_encoded_bytes())
            .with_context(|| format!("writing {}", entry.display()))?;
        let log = id.dir().join("log").join(format!("{name}.log"));
        Ok(Self { log, entry, name, netns, cgroup, etc: None, gate })
    }

    /// The same with those files of /etc.
    pub(crate) fn with_etc(self, etc: Etc) -> Self {
        Self { etc: Some(etc), ..self }
    }

    /// Starts a subcommand of the lab's own binary here.
    pub(crate) fn start_worker(
        &self,
        args: &[&str],
        stdin: BorrowedFd<'_>,
        stdout: BorrowedFd<'_>,
    ) -> Result<Arc<Process>> {
        let args = args.iter().map(OsString::from).collect();
        let log = self.open_log()?;
        self.start(&binaries::lab()?, args, [stdin, stdout, log.as_fd()])
    }

    /// Starts a program here.
    pub(crate) fn start(
        &self,
        program: &Path,
        args: Vec<OsString>,
        stdio: [BorrowedFd<'_>; 3],
    ) -> Result<Arc<Process>> {
        let open = self.gate.pass()?;
        let cgroup = self.cgroup.open()?;
        let binds = self.etc.as_ref().map_or(Ok(Vec::new()), Etc::binds)?;
        let netns = self.netns.as_fd();
        let spawn = Spawn { program, args, netns, binds: &binds, cgroup: cgroup.as_fd(), stdio };
        let process = Arc::new(spawn.start()?);
        open.remember(&process);
        Ok(process)
    }

    /// File with the errors of the processes here; it goes with the lab.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    pub(crate) fn open_log(&self) -> Result<File> {
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.log)
            .with_context(|| format!("opening {}", self.log.display()))
    }

    /// Forgets where the cgroup is, and the files of /etc: the place is about to go.
    pub(crate) fn forget(&self) -> Result<()> {
        self.etc.as_ref().map_or(Ok(()), Etc::remove)?;
        fs::remove_file(&self.entry).with_context(|| format!("removing {}", self.entry.display()))
    }
}

/// File that holds the path of the place's cgroup.
fn entry_path(id: &LabId, name: &str) -> PathBuf {
    id.dir().join("places").join(name)
}

/// A place of any lab, its owner's process or not.
#[derive(Clone, Debug)]
pub struct Found {
    /// File of the network namespace.
    pub netns: PathBuf,
    /// Cgroup of its processes.
    pub cgroup: Cgroup,
    /// Files of /etc of its own, if any.
    pub etc: Option<Etc>,
}

/// Finds a place by its name.
///
/// # Errors
///
/// The lab has no such place.
pub fn find(id: &LabId, name: &str) -> Result<Found> {
    let entry = entry_path(id, name);
    let path = fs::read_to_string(&entry).with_context(|| format!("lab {id} has no {name}"))?;
    let netns = crate::netns::path_of(&id.netns_name(name));
    Ok(Found { netns, cgroup: Cgroup::at(path), etc: Etc::find(id, name) })
}

/// Names of a lab's places, sorted.
///
/// # Errors
///
/// There is no such lab.
pub fn names(id: &LabId) -> Result<Vec<String>> {
    let dir = id.dir().join("places");
    let entries = fs::read_dir(&dir).with_context(|| format!("there is no lab {id}"))?;
    let mut names: Vec<_> = entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}
