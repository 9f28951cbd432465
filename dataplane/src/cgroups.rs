//! Cgroups of pods: a kubelet makes one for a pod before the pod's first process, so that the first packet already tells
//! whose it is.
//!
//! ```text
//! cgroupfs   <root>/kubepods/burstable/pod<uid>
//! systemd    <root>/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid with _ for ->.slice
//! ```
//!
//! Where below the root a kubelet's tree begins is its own setting, so every directory is watched (inotify) down to the
//! pods', units of systemd that hold processes aside.

mod name;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};
use model::{CgroupId, PodUid};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// Even without an event everything is looked at this often.
const RESYNC: Duration = Duration::from_secs(30);
/// Between attempts after a failure.
const RETRY: Duration = Duration::from_secs(1);
/// Bytes of events read at once.
const BUFFER: usize = 16 << 10;
/// Levels below the root. A kubelet's pods are on the second or third of its own tree.
const DEPTH: usize = 8;

/// Cgroups of pods by UID.
pub type PodCgroups = BTreeMap<PodUid, CgroupId>;

/// Why a tree cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// No inotify instance.
    #[error("inotify: {0}")]
    Inotify(#[source] io::Error),
    /// A directory cannot be watched or listed.
    #[error("cgroup {}: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// The cgroups of pods below `root` now, and a task that keeps them current until nobody listens. What cannot be watched
/// is logged and tried again: its pods are known by their interfaces alone. Needs the runtime.
pub fn watch_pods(
    root: PathBuf,
) -> (watch::Receiver<Arc<PodCgroups>>, impl Future<Output = ()> + Send + 'static) {
    let started = Tree::watch(root.clone());
    let found = started.as_ref().map(Tree::pods).unwrap_or_default();
    let (sender, receiver) = watch::channel(Arc::new(found));
    let task = async move {
        tokio::select! {
            () = sender.closed() => {}
            () = follow(root, started, &sender) => {}
        }
    };
    (receiver, task)
}

async fn follow(root: PathBuf, started: Result<Tree, CgroupError>, sender: &watch::Sender<Arc<PodCgroups>>) {
    let mut next = started;
    loop {
        let error = match next {
            Ok(mut tree) => loop {
                publish(tree.pods(), sender);
                if let Err(error) = tree.changed().await {
                    break error;
                }
            },
            Err(error) => error,
        };
        tracing::warn!(%error, "cgroups of pods cannot be watched: new pods are known by their interfaces alone");
        sleep(RETRY).await;
        next = Tree::watch(root.clone());
    }
}

fn publish(pods: PodCgroups, sender: &watch::Sender<Arc<PodCgroups>>) {
    sender.send_if_modified(|known| {
        let differs = **known != pods;
        if differs {
            *known = Arc::new(pods);
        }
        differs
    });
}

/// A watched tree.
struct Tree {
    root: PathBuf,
    inotify: AsyncFd<Inotify>,
    watched: HashMap<WatchDescriptor, PathBuf>,
    pods: BTreeMap<PathBuf, (PodUid, CgroupId)>,
}

impl Tree {
    fn watch(root: PathBuf) -> Result<Self, CgroupError> {
        let inotify = Inotify::init().map_err(CgroupError::Inotify)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe; an Inotify owns one descriptor, the same all its life"
        )]
        let inotify = AsyncFd::new(inotify).map_err(CgroupError::Inotify)?;
        let mut tree = Self { root, inotify, watched: HashMap::new(), pods: BTreeMap::new() };
        tree.look_at_all()?;
        Ok(tree)
    }

    /// Cgroups by UID: of two with one UID the first path's.
    fn pods(&self) -> PodCgroups {
        self.pods.values().rev().map(|(uid, id)| (Arc::clone(uid), *id)).collect()
    }

    /// Waits for events, or for silence to last, and takes in what they say.
    async fn changed(&mut self) -> Result<(), CgroupError> {
        match timeout(RESYNC, self.inotify.readable()).await {
            Ok(ready) => ready.map_err(CgroupError::Inotify)?.clear_ready(),
            Err(_) => return self.look_at_all(),
        }
        let mut buffer = [0; BUFFER];
        loop {
            let read = self.inotify.get_mut().read_events(&mut buffer);
            let events: Vec<_> = match read {
                Ok(events) => events.map(|event| event.to_owned()).collect(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(CgroupError::Inotify(error)),
            };
            for event in events {
                if event.mask.contains(EventMask::Q_OVERFLOW) {
                    self.look_at_all()?;
                } else if event.mask.contains(EventMask::IGNORED) {
                    self.watched.remove(&event.wd);
                } else if let (Some(dir), Some(name)) = (self.watched.get(&event.wd), &event.name) {
                    let path = dir.join(name);
                    if event.mask.intersects(EventMask::DELETE | EventMask::MOVED_FROM) {
                        self.pods.remove(&path);
                    } else {
                        self.look_at(path)?;
                    }
                }
            }
        }
    }

    fn look_at_all(&mut self) -> Result<(), CgroupError> {
        self.pods.clear();
        let root = self.root.clone();
        self.walk(root)
    }

    /// Takes in a directory that appeared.
    fn look_at(&mut self, path: PathBuf) -> Result<(), CgroupError> {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(()) };
        if let Some(uid) = name::pod_uid(name) {
            match fs::metadata(&path) {
                Ok(found) => drop(self.pods.insert(path, (uid, CgroupId(found.ino())))),
                // It is gone again, or the event of its going comes next.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(CgroupError::Directory { path, source }),
            }
            Ok(())
        } else if name::may_hold_pods(name) {
            self.walk(path)
        } else {
            Ok(())
        }
    }

    /// Watches a directory and all below it that may hold pods. The watch comes before the list, so that nothing is
    /// missed in between.
    fn walk(&mut self, path: PathBuf) -> Result<(), CgroupError> {
        let depth = path.strip_prefix(&self.root).map_or(0, |below| below.components().count());
        if depth > DEPTH {
            return Ok(());
        }
        let below = match self.list(&path) {
            Ok(below) => below,
            // A directory of the tree may go at any time; the root may not.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path != self.root => return Ok(()),
            Err(source) => return Err(CgroupError::Directory { path, source }),
        };
        below.into_iter().try_for_each(|path| self.look_at(path))
    }

    fn list(&mut self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mask = WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::MOVED_TO
            | WatchMask::MOVED_FROM
            | WatchMask::ONLYDIR
            | WatchMask::DONT_FOLLOW;
        let watch = self.inotify.get_ref().watches().add(path, mask)?;
        self.watched.insert(watch, path.to_owned());
        let mut below = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                below.push(entry.path());
            }
        }
        Ok(below)
    }
}

#[cfg(test)]
mod tests;
