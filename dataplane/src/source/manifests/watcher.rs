//! inotify on the folder: which files to look at, and which are being written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{Metadata, metadata, symlink_metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use inotify::{EventMask, Inotify, WatchMask};
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout_at};

use super::folder::{Scan, is_manifest};
use crate::source::SourceError;

/// What comes within this time of a change belongs to it: a rollout writes several files.
const COALESCE: Duration = Duration::from_millis(5);
/// A file that goes may come back at once: editors and version control remove before they write anew.
const COALESCE_REMOVAL: Duration = Duration::from_millis(30);
/// A file that was made, and neither written nor closed for this long, was linked in complete.
const CREATED: Duration = Duration::from_secs(1);
/// Bytes of events read at once.
const BUFFER: usize = 16 << 10;

/// A watched folder.
#[derive(Debug)]
pub(super) struct Watcher {
    inotify: AsyncFd<Inotify>,
    dir: PathBuf,
    /// Device and inode of what is watched: the path may come to lead elsewhere.
    identity: (u64, u64),
    seen: Seen,
}

/// What the events came to since the last scan.
#[derive(Debug, Default)]
struct Seen {
    scan: Scan,
    /// A file was removed.
    is_removal: bool,
    /// The folder itself is gone.
    is_gone: bool,
    /// Files that are being written and not yet closed.
    open: BTreeMap<String, Open>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Created(Instant),
    Modified,
}

/// What a watched folder wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Scan(Scan),
    /// The folder is gone, or its path leads to another one.
    Gone,
}

impl Watcher {
    pub(super) fn new(dir: &Path) -> Result<Self, SourceError> {
        let fail = |source| SourceError::Folder { path: dir.to_owned(), source };
        let inotify = Inotify::init().map_err(fail)?;
        let mask = WatchMask::CLOSE_WRITE
            | WatchMask::MODIFY
            | WatchMask::ATTRIB
            | WatchMask::MOVED_TO
            | WatchMask::MOVED_FROM
            | WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR;
        inotify.watches().add(dir, mask).map_err(fail)?;
        // After the watch: what takes the folder's place in between has another identity than what is watched, or an
        // event says so.
        let identity = metadata(dir).map(|m| identity(&m)).map_err(fail)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe; an Inotify owns one descriptor, the same all its life"
        )]
        let inotify = AsyncFd::new(inotify).map_err(fail)?;
        Ok(Self { inotify, dir: dir.to_owned(), identity, seen: Seen::default() })
    }

    /// Waits for a change and takes in what comes with it, or until it is time to look at what changes without a word.
    pub(super) async fn next(&mut self, look: Instant) -> io::Result<Wanted> {
        while self.seen.is_quiet() {
            match timeout_at(look, self.readable()).await {
                Ok(result) => result?,
                Err(_) => return Ok(self.wanted(look)),
            }
        }
        let first = Instant::now();
        loop {
            if self.seen.is_gone {
                return Ok(Wanted::Gone);
            }
            let wait = if self.seen.is_removal { COALESCE_REMOVAL } else { COALESCE };
            match timeout_at(first + wait, self.readable()).await {
                Ok(result) => result?,
                Err(_) => return Ok(self.wanted(look)),
            }
        }
    }

    async fn readable(&mut self) -> io::Result<()> {
        self.inotify.readable().await?.clear_ready();
        self.take_in()
    }

    /// Takes in all events that there are. Does not wait.
    pub(super) fn take_in(&mut self) -> io::Result<()> {
        let mut buffer = [0; BUFFER];
        loop {
            match self.inotify.get_mut().read_events(&mut buffer) {
                Ok(events) => {
                    for event in events {
                        let name = event.name.map(|name| name.to_str());
                        self.seen.event(event.mask, name, &self.dir);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether a file is being written, as far as events have been taken in.
    pub(super) fn is_being_written(&self, name: &str) -> bool {
        self.seen.open.contains_key(name)
    }

    fn wanted(&mut self, look: Instant) -> Wanted {
        let mut scan = std::mem::take(&mut self.seen.scan);
        self.seen.is_removal = false;
        // They are named again when they are closed.
        scan.names.retain(|name| !self.seen.open.contains_key(name));
        if Instant::now() >= look {
            if metadata(&self.dir).map_or(true, |m| identity(&m) != self.identity) {
                return Wanted::Gone;
            }
            scan.names.extend(self.seen.take_linked(&self.dir));
            scan.unwatched = true;
        }
        Wanted::Scan(scan)
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Seen {
    /// Files that were made a while ago and have content that nobody is seen to write.
    fn take_linked(&mut self, dir: &Path) -> BTreeSet<String> {
        let is_linked = |name: &str, open: Open| match open {
            Open::Created(since) => {
                since.elapsed() >= CREATED && symlink_metadata(dir.join(name)).is_ok_and(|m| m.len() > 0)
            }
            Open::Modified => false,
        };
        let (linked, open): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.open).into_iter().partition(|(name, open)| is_linked(name, *open));
        self.open = open;
        linked.into_keys().collect()
    }

    fn is_quiet(&self) -> bool {
        !self.is_gone && !self.scan.all && self.scan.names.is_empty()
    }

    /// `name`: none if the event is the folder's own, `Some(None)` if it is not UTF-8.
    fn event(&mut self, mask: EventMask, name: Option<Option<&str>>, dir: &Path) {
        const GONE: EventMask = EventMask::DELETE_SELF
            .union(EventMask::MOVE_SELF)
            .union(EventMask::IGNORED)
            .union(EventMask::UNMOUNT);
        if mask.intersects(GONE) {
            self.is_gone = true;
        } else if mask.contains(EventMask::Q_OVERFLOW) {
            // Events were lost, closing ones too.
            self.open.clear();
            self.scan.all = true;
        } else {
            match name {
                // The folder's own attributes.
                None => {}
                Some(None) => self.scan.all = true,
                Some(Some("..data")) => self.scan.all |= !mask.contains(EventMask::ATTRIB),
                Some(Some(name)) if is_manifest(name) => self.file(mask, name, dir),
                Some(Some(_)) => {}
            }
        }
    }

    fn file(&mut self, mask: EventMask, name: &str, dir: &Path) {
        if mask.contains(EventMask::MODIFY) {
            self.open.insert(name.to_owned(), Open::Modified);
            return;
        }
        if mask.contains(EventMask::CREATE) {
            // A new link is complete, whatever else is new will be closed after writing.
            let is_open = symlink_metadata(dir.join(name)).is_ok_and(|m| m.is_file() && m.nlink() == 1);
            if is_open {
                self.open.insert(name.to_owned(), Open::Created(Instant::now()));
                return;
            }
        }
        if mask.contains(EventMask::ATTRIB) && self.open.contains_key(name) {
            return;
        }
        self.is_removal |= mask.intersects(EventMask::MOVED_FROM | EventMask::DELETE);
        self.open.remove(name);
        self.scan.names.insert(name.to_owned());
    }
}
