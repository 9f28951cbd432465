//! From a changed file to the kernel's map: how long after the rename a Service's set of backends is another one.
//!
//! Beside it, in turns and in the same run, the floor: a program that does nothing but wait for the rename by inotify,
//! read the file and parse it.

mod floor;
mod kernel;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use super::compile::{Timing, table, timing};
use super::field::{self, Field, SERVICES, Side};
use super::progress;
use super::report::Section;
use super::stats::thousands;
use crate::wait;
use floor::Floor;
use kernel::Sets;

/// Changes a round.
const CHANGES: u32 = 10;
/// Between two changes, so that each is one of its own: beyond the daemon's pauses for files that come together.
const PAUSE: Duration = Duration::from_millis(25);
/// How long a change may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How long a start may take.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// Starts that are timed.
const STARTS: u32 = 5;
/// Endpoints of the Service that changes; every other time one fewer.
const ENDPOINTS: u32 = 10;

/// Measures changes, then starts.
pub(super) fn run(rounds: u32) -> Result<Section> {
    progress(&format!("making two nodes, with {} and {} Services", SERVICES[0], SERVICES[1]));
    let mut field = Field::new()?;
    let mut changing = Vec::new();
    for side in &field.sides {
        changing.push(Changing::new(side)?);
    }
    progress("changing one slice");
    let (mut forces, mut floors) = (vec![Vec::new(); changing.len()], Vec::new());
    for _ in 0..rounds * CHANGES {
        for (service, times) in changing.iter_mut().zip(&mut forces) {
            times.push(service.change()?);
            wait::pass(PAUSE);
        }
        floors.push(changing[0].floor()?);
        wait::pass(PAUSE);
    }
    let mut timings = vec![timing("floor: inotify, read, parse", &floors)];
    for (side, times) in field.sides.iter().zip(&forces) {
        let services = thousands(f64::from(side.services));
        timings.push(timing(format!("the set of backends is new, {services} Services"), times));
    }
    drop(changing);
    progress("starting the daemon");
    let starts = starts(&mut field)?;
    let tables = vec![
        table("From the rename of a file of one Service and its slice.".to_owned(), &timings),
        table("From the start of the daemon to ready.".to_owned(), &starts),
    ];
    Ok(Section { title: "Programming", tables, json: json!({ "changes": timings, "starts": starts }) })
}

/// The Service that changes on one node.
struct Changing {
    sets: Sets,
    /// Its file, which the daemon reads.
    file: PathBuf,
    /// Its file for the floor.
    other: PathBuf,
    floor: Floor,
    /// Where files are written before they are renamed.
    staged: PathBuf,
    texts: [String; 2],
    changes: usize,
}

impl Changing {
    fn new(side: &Side) -> Result<Self> {
        let vip = side.vips.at(side.services + 1);
        let text = |count: u32| {
            let mut text = String::new();
            let endpoints = side.endpoints.part(0, count);
            field::write_service(&mut text, "changing", *vip.ip(), &endpoints).map(|()| text)
        };
        let texts = [text(ENDPOINTS)?, text(ENDPOINTS - 1)?];
        side.manifests.write("changing.yaml", &texts[1])?;
        let beside = side.manifests.dir().parent().context("a folder without a parent")?;
        let other = beside.join("floor");
        fs::create_dir(&other).with_context(|| format!("creating {}", other.display()))?;
        let mut sets = None;
        wait::until("the Service that changes", LIMIT, || {
            sets = Sets::open(&side.node, vip)?;
            Ok(sets.is_some())
        })?;
        Ok(Self {
            sets: sets.context("the Service that changes")?,
            file: side.manifests.dir().join("changing.yaml"),
            floor: Floor::start(&other)?,
            other: other.join("changing.yaml"),
            staged: beside.join("staged.yaml"),
            texts,
            changes: 0,
        })
    }

    /// Time from the rename to the new set.
    fn change(&mut self) -> Result<Duration> {
        let which = self.changes % 2;
        self.changes += 1;
        let wanted = ENDPOINTS - which as u32;
        let begun = self.rename(which, &self.file)?;
        until_seen(begun, || Ok(self.sets.count()? == wanted))
    }

    /// Time from the rename to the parsed file, by the bare watcher.
    fn floor(&mut self) -> Result<Duration> {
        let seen = self.floor.seen();
        let begun = self.rename(0, &self.other)?;
        until_seen(begun, || Ok(self.floor.seen() != seen))
    }

    /// Writes a text elsewhere and renames it; returns when the rename began.
    fn rename(&self, which: usize, to: &Path) -> Result<Instant> {
        fs::write(&self.staged, &self.texts[which]).context("writing the file")?;
        let begun = Instant::now();
        fs::rename(&self.staged, to).with_context(|| format!("renaming to {}", to.display()))?;
        Ok(begun)
    }
}

/// Looks again and again without a pause: it is microseconds that are measured.
fn until_seen(begun: Instant, mut seen: impl FnMut() -> Result<bool>) -> Result<Duration> {
    loop {
        let is_seen = seen()?;
        let elapsed = begun.elapsed();
        if is_seen {
            return Ok(elapsed);
        }
        if elapsed > LIMIT {
            bail!("a change was not in force after {LIMIT:?}");
        }
    }
}

/// Starts over on both nodes, with empty maps.
fn starts(field: &mut Field) -> Result<Vec<Timing>> {
    let mut timings = Vec::new();
    for side in &field.sides {
        let mut times = Vec::new();
        for _ in 0..STARTS {
            side.node.terminate_ferrule()?;
            let cleaned = side.node.cleanup_ferrule()?;
            ensure!(cleaned.code == Some(0), "cleanup: {}", cleaned.stderr);
            let begun = Instant::now();
            side.node.start_ferrule(side.manifests.dir(), &[])?;
            side.node.wait_ready(READY_LIMIT)?;
            times.push(begun.elapsed());
        }
        timings.push(timing(format!("{} Services", thousands(f64::from(side.services))), &times));
    }
    Ok(timings)
}
