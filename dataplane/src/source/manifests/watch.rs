//! The task that follows a folder.

use std::path::Path;
use std::time::Duration;

use model::Event;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::folder::{Folder, Scan};
use super::watcher::{Wanted, Watcher};
use crate::source::SourceStatus;

/// Between looks for what changes without a word: a folder that is gone or exchanged, what links lead to.
const LOOK: Duration = Duration::from_secs(1);

/// Reads, watches and reports, until nobody listens any more.
pub(super) async fn run(
    mut folder: Folder,
    watcher: Watcher,
    events: mpsc::Sender<Vec<Event>>,
    status: watch::Sender<SourceStatus>,
) {
    let mut watcher = Some(watcher);
    let mut scan = Scan { all: true, ..Scan::default() };
    let mut look = Instant::now() + LOOK;
    loop {
        let scanned = tokio::task::spawn_blocking(move || {
            let batch = scan_folder(&mut folder, watcher.as_mut(), &scan);
            (folder, watcher, batch)
        });
        let batch;
        (folder, watcher, batch) = match scanned.await {
            Ok(scanned) => scanned,
            Err(error) => {
                tracing::error!(%error, "reading the manifests failed beyond repair: the folder is no longer watched");
                return;
            }
        };
        report(&status, folder.status());
        if !batch.is_empty() && events.send(batch).await.is_err() {
            return;
        }
        if Instant::now() >= look {
            look = Instant::now() + LOOK;
        }
        scan = tokio::select! {
            () = events.closed() => return,
            wanted = next(&mut watcher, folder.dir(), look) => match wanted {
                Wanted::Scan(scan) => scan,
                Wanted::Gone => {
                    folder.doubt();
                    // Another folder may have taken its place already.
                    watcher = Watcher::new(folder.dir()).ok();
                    match &watcher {
                        Some(_) => Scan { all: true, ..Scan::default() },
                        None => {
                            folder.lose();
                            Scan::default()
                        }
                    }
                }
            },
        };
    }
}

async fn next(watcher: &mut Option<Watcher>, dir: &Path, look: Instant) -> Wanted {
    match watcher {
        Some(watcher) => watcher.next(look).await.unwrap_or_else(|error| {
            tracing::warn!(folder = %dir.display(), %error, "reading from inotify: watching anew");
            Wanted::Gone
        }),
        None => {
            sleep_until(look).await;
            Wanted::Gone
        }
    }
}

/// Blocking.
fn scan_folder(folder: &mut Folder, watcher: Option<&mut Watcher>, scan: &Scan) -> Vec<Event> {
    let Some(watcher) = watcher else { return Vec::new() };
    let reading = folder.read(scan);
    // A file that somebody began to write before or while it was read is not what it is meant to be. The events that say
    // so are there by now; if they cannot be read, neither can the next ones, and the watch is made anew.
    if let Err(error) = watcher.take_in() {
        tracing::debug!(%error, "reading from inotify");
    }
    folder.accept(reading, |name| watcher.is_being_written(name))
}

/// Publishes the status; each problem is logged once.
fn report(sender: &watch::Sender<SourceStatus>, status: SourceStatus) {
    sender.send_if_modified(|known| {
        for (file, problem) in &status.problems {
            if known.problems.get(file) != Some(problem) {
                tracing::warn!(file, problem, "manifests: what was in force stays");
            }
        }
        for file in known.problems.keys().filter(|file| !status.problems.contains_key(*file)) {
            tracing::info!(file, "manifests: no problem any more");
        }
        let has_changed = *known != status;
        *known = status;
        has_changed
    });
}
