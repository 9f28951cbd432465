//! A folder of ordinary Kubernetes YAML as the source: the embedded default, without a cluster.
//!
//! Files `*.yaml`, `*.yml` and `*.json` of the folder, not of its subfolders. A change is seen when a file is closed after
//! writing, renamed or linked into the folder, renamed out of it or deleted, never while it is being written; the swap of
//! a mounted ConfigMap's `..data` is a rename too. What tells nobody of its changes (what a link leads to outside the
//! folder, the folder's own path) is looked at once a second. A file that cannot be read as Kubernetes objects is named
//! once and what it held before stays in force.
//!
//! ```text
//! watcher  inotify ─▶ Scan: what to look at, what is being written
//! file     one version of a file ─▶ objects, or why not
//! folder   versions, problems, the first list          claims  which file an object is taken from ─▶ events
//! watch    the task around them
//! ```

mod claims;
mod file;
mod folder;
mod watch;
mod watcher;

use std::path::PathBuf;

use tokio::sync::{mpsc, watch as watch_channel};

use self::folder::Folder;
use self::watcher::Watcher;
use super::{Source, SourceError, SourceStatus};

/// Changes that may wait for the sync loop.
const QUEUE: usize = 16;

/// Reads the folder once and starts to watch it.
///
/// # Errors
///
/// The folder cannot be read or watched.
pub fn watch(dir: PathBuf) -> Result<(Source, impl Future<Output = ()> + Send + 'static), SourceError> {
    // Watch first, then read: what changes in between is seen twice rather than not at all.
    let watcher = Watcher::new(&dir)?;
    let folder = Folder::open(dir)?;
    let (events, event_receiver) = mpsc::channel(QUEUE);
    let (status, status_receiver) = watch_channel::channel(SourceStatus::default());
    let task = watch::run(folder, watcher, events, status);
    Ok((Source { events: event_receiver, status: status_receiver }, task))
}

#[cfg(test)]
mod tests;
