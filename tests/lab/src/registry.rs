//! Which labs exist, who owns them, and how all of a lab is taken away.
//!
//! Everything of a lab can be found by its id alone, so a lab whose owner was killed is cleared up by whoever comes
//! next. The owner holds a lock on `/run/ferrule-lab/<id>/owner`; the kernel lets go of it when the owner dies, in
//! whatever way. A lab is registered before anything else of it is made.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::cgroup::Cgroup;
use crate::{mounts, netns};

/// Directory of all labs' files.
pub(crate) const RUN: &str = "/run/ferrule-lab";
/// Marks a lab that outlives its owner on purpose.
const KEPT: &str = "kept";
const OWNER: &str = "owner";
const NETNS_PREFIX: &str = "flab-";

/// Name of a lab: six hexadecimal digits, part of every name that the lab gives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabId(String);

impl LabId {
    fn random() -> Result<Self> {
        let mut bytes = [0; 3];
        File::open("/dev/urandom")?.read_exact(&mut bytes).context("reading /dev/urandom")?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Reads an id as it is printed.
    ///
    /// # Errors
    ///
    /// It is not six hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self> {
        let valid = text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if valid { Ok(Self(text.to_owned())) } else { bail!("{text:?} is not the id of a lab") }
    }

    /// Files of the lab: manifests, logs, and a directory for each node.
    pub fn dir(&self) -> PathBuf {
        Path::new(RUN).join(&self.0)
    }

    /// Name of the namespace of `what`: a node, or a node and a pod.
    pub(crate) fn netns_name(&self, what: &str) -> String {
        format!("{NETNS_PREFIX}{}-{what}", self.0)
    }

    pub(crate) fn cgroup(&self) -> Result<Cgroup> {
        Ok(Cgroup::of_all_labs()?.child(&self.0))
    }

    /// The names of this lab's namespaces.
    pub(crate) fn netns_names(&self) -> Result<Vec<String>> {
        let prefix = self.netns_name("");
        Ok(netns::names()?.into_iter().filter(|name| name.starts_with(&prefix)).collect())
    }
}

impl fmt::Display for LabId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The right to a lab, held as a lock on its owner file.
#[derive(Debug)]
pub(crate) struct Owner {
    id: LabId,
    lock: Flock<File>,
}

impl Owner {
    /// Clears up labs whose owner is gone, then registers a new one.
    pub(crate) fn register() -> Result<Self> {
        clear_stale()?;
        let _all = lock_all()?;
        loop {
            let id = LabId::random()?;
            match fs::create_dir(id.dir()) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error).with_context(|| format!("creating {}", id.dir().display())),
            }
            let mut owner = Self::claim(id)?.context("a new lab was claimed by somebody else")?;
            writeln!(owner.lock, "{}", std::process::id())?;
            owner.id.cgroup()?.create()?;
            return Ok(owner);
        }
    }

    pub(crate) fn id(&self) -> &LabId {
        &self.id
    }

    /// Lets the lab live on after its owner.
    pub(crate) fn keep(self) -> Result<()> {
        File::create(self.id.dir().join(KEPT)).context("marking the lab as kept")?;
        Ok(())
    }

    /// Takes the lock, or returns nothing when its holder lives. The caller holds [`lock_all`].
    fn claim(id: LabId) -> Result<Option<Self>> {
        let path = id.dir().join(OWNER);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = open.with_context(|| format!("opening {}", path.display()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(Self { id, lock })),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, error)) => Err(error).with_context(|| format!("locking {}", path.display())),
        }
    }

    /// Takes away everything of the lab. Goes on after an error and returns the first.
    pub(crate) fn tear_down(&self) -> Result<()> {
        let mut first = Ok(());
        let mut step = |result: Result<()>| {
            if first.is_ok() {
                first = result;
            }
        };
        let cgroup = self.id.cgroup()?;
        if cgroup.exists() {
            step(cgroup.kill());
        }
        // Pinned links hold programs on the cgroups: they go with their file system.
        step(mounts::detach_below(&self.id.dir()));
        step(cgroup.remove());
        for name in self.id.netns_names()? {
            step(netns::remove(&name));
        }
        let _all = lock_all()?;
        step(remove_dir_all(&self.id.dir()));
        for shared in [Path::new(RUN), Path::new(netns::DIRECTORY), Cgroup::of_all_labs()?.path()] {
            step(remove_dir_if_empty(shared));
        }
        first
    }
}

/// Takes away labs whose owner is gone and that were not kept; returns their ids.
///
/// # Errors
///
/// Some part of a lab could not be removed.
pub fn clear_stale() -> Result<Vec<LabId>> {
    let mut cleared = Vec::new();
    for owner in claim_stale()? {
        owner.tear_down().with_context(|| format!("clearing up lab {}, whose owner is gone", owner.id))?;
        cleared.push(owner.id);
    }
    Ok(cleared)
}

/// Takes away one lab that was kept or whose owner is gone.
///
/// # Errors
///
/// There is no such lab, its owner still runs, or some part could not be removed.
pub fn take_down(id: &LabId) -> Result<()> {
    let owner = {
        let _all = lock_all()?;
        if !ids()?.contains(id) {
            bail!("there is no lab {id}");
        }
        fs::create_dir_all(id.dir())?;
        Owner::claim(id.clone())?.with_context(|| format!("the owner of lab {id} still runs"))?
    };
    owner.tear_down()
}

/// The ids of all labs of this machine, of half-made and orphaned ones too.
///
/// # Errors
///
/// A directory could not be read.
pub fn ids() -> Result<Vec<LabId>> {
    let mut found: Vec<LabId> = Vec::new();
    for dir in [Path::new(RUN), Cgroup::of_all_labs()?.path()] {
        match fs::read_dir(dir) {
            Ok(entries) => {
                let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
                found.extend(names.filter_map(|name| LabId::parse(&name).ok()));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("listing {}", dir.display())),
        }
    }
    let in_netns = netns::names()?;
    let labels = in_netns.iter().filter_map(|name| name.strip_prefix(NETNS_PREFIX)?.split('-').next());
    found.extend(labels.filter_map(|label| LabId::parse(label).ok()));
    found.sort();
    found.dedup();
    Ok(found)
}

fn claim_stale() -> Result<Vec<Owner>> {
    let _all = lock_all()?;
    let mut stale = Vec::new();
    for id in ids()? {
        if !id.dir().join(KEPT).exists() {
            fs::create_dir_all(id.dir())?;
            stale.extend(Owner::claim(id)?);
        }
    }
    Ok(stale)
}

/// Locks the directory of all labs: between a lab's directory and its owner's lock nobody may look, and nobody may
/// take the directory away from under a new lab.
fn lock_all() -> Result<Flock<File>> {
    loop {
        fs::create_dir_all(RUN).with_context(|| format!("creating {RUN}"))?;
        let Ok(dir) = File::open(RUN) else { continue };
        let lock = Flock::lock(dir, FlockArg::LockExclusive)
            .map_err(|(_, error)| anyhow!("locking {RUN}: {error}"))?;
        // It may have been removed and made anew while we waited.
        let ours = lock.metadata()?.ino();
        if fs::metadata(RUN).is_ok_and(|now| now.ino() == ours) {
            return Ok(lock);
        }
    }
}

fn remove_dir_all(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("removing {}", path.display())),
    }
}

/// A directory that others still use, or that is a mount of theirs, stays.
fn remove_dir_if_empty(path: &Path) -> Result<()> {
    match fs::remove_dir(path) {
        Ok(()) => Ok(()),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty | ErrorKind::ResourceBusy
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(error).with_context(|| format!("removing {}", path.display())),
    }
}
