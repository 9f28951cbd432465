//! The least that a watcher of a folder must do.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use serde_json::Value;

/// Name of the file that ends the watcher.
const END: &str = "end";

/// A watcher on a thread of its own; it ends with this handle.
pub(super) struct Floor {
    dir: PathBuf,
    seen: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Floor {
    pub(super) fn start(dir: &Path) -> Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
        inotify.add_watch(dir, AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CLOSE_WRITE)?;
        let seen = Arc::<AtomicU64>::default();
        let (folder, count) = (dir.to_owned(), Arc::clone(&seen));
        let watch = move || {
            // Without events there is nothing to count, and the measurement says so.
            while let Ok(events) = inotify.read_events() {
                let names = events.into_iter().filter_map(|event| event.name);
                for name in names {
                    if name == END {
                        return;
                    }
                    if parse(&folder.join(name)).is_ok() {
                        count.fetch_add(1, Ordering::Release);
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("floor".into()).spawn(watch).context("starting a thread")?;
        Ok(Self { dir: dir.to_owned(), seen, thread: Some(thread) })
    }

    /// How many files it has parsed.
    pub(super) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Acquire)
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // Without the folder the lab is being taken away, and the process with it.
        if fs::write(self.dir.join(END), "").is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn parse(path: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(path)?;
    serde_saphyr::from_multiple(&text).context("parsing")
}
