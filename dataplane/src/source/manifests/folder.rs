//! The folder's state: which version of each file is in force, and what is wrong with the files.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use model::{Event, Kind, ObjectKey};

use super::claims::Claims;
use super::file::{self, FileError, Stamp, Version};
use crate::source::{SourceError, SourceStatus};

/// Key of the problem that the folder itself has.
const FOLDER: &str = ".";
/// Objects named in one problem; the rest is counted.
const SHOWN: usize = 3;

/// What to look at again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Every file whose stamp changed.
    pub(super) all: bool,
    /// These files, whatever their stamps.
    pub(super) names: BTreeSet<String>,
    /// Files that may change without a word: what cannot be read, and what a link leads to. Their new version counts once
    /// two such scans have seen it.
    pub(super) unwatched: bool,
}

/// What a scan found. Nothing of it is in force yet.
#[derive(Debug, Default)]
pub(super) struct Reading {
    files: Vec<(String, Found)>,
    /// The folder's list, if it was asked for: names that are not UTF-8, or why there is none.
    listed: Option<io::Result<BTreeSet<String>>>,
    /// What was listed.
    identity: Option<(u64, u64)>,
}

#[derive(Debug)]
enum Found {
    Gone,
    Read { is_link: bool, version: Version },
    Settling(Stamp),
}

#[derive(Debug, Default)]
struct FileState {
    /// The version that was read last, good or broken; none if there was nothing to read.
    stamp: Option<Stamp>,
    /// Why that version is not in force.
    problem: Option<String>,
    is_link: bool,
    settling: Option<Stamp>,
    twice: BTreeSet<ObjectKey>,
    passed_over: BTreeMap<String, u64>,
}

/// How far the first list has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listing {
    Unread,
    Incomplete,
    Complete,
}

/// The folder.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    files: BTreeMap<String, FileState>,
    claims: Claims,
    /// Manifests whose names are not UTF-8, as far as they can be shown.
    odd_names: BTreeSet<String>,
    listing: Listing,
    problem: Option<String>,
    /// Device and inode of what was read last.
    identity: Option<(u64, u64)>,
    /// The watch was lost since: the numbers may be given to another folder by now.
    is_in_doubt: bool,
}

impl Folder {
    /// A folder of which nothing is read yet.
    pub(super) fn open(dir: PathBuf) -> Result<Self, SourceError> {
        fs::read_dir(&dir).map_err(|source| SourceError::Folder { path: dir.clone(), source })?;
        Ok(Self {
            dir,
            files: BTreeMap::new(),
            claims: Claims::default(),
            odd_names: BTreeSet::new(),
            listing: Listing::Unread,
            problem: None,
            identity: None,
            is_in_doubt: false,
        })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The watch was lost: until there is a manifest at the path again, nobody knows that what is there is the folder.
    pub(super) fn doubt(&mut self) {
        self.is_in_doubt = true;
    }

    /// The folder is gone: what it held stays in force, until it is back and listed.
    pub(super) fn lose(&mut self) {
        self.problem = Some("the folder is gone: what it held stays in force".to_owned());
    }

    /// Reads what a scan is about. Changes nothing.
    pub(super) fn read(&self, scan: &Scan) -> Reading {
        let mut reading = Reading::default();
        if scan.all || self.problem.is_some() {
            match self.list() {
                Ok((names, _)) if names.is_empty() && self.is_another() => {
                    let error = io::Error::other("another folder, without manifests, is in its place");
                    reading.listed = Some(Err(error));
                }
                Ok((names, odd_names)) => {
                    reading.identity = identity(&self.dir);
                    let gone = self.files.keys().filter(|name| !names.contains(*name));
                    reading.files.extend(gone.map(|name| (name.clone(), Found::Gone)));
                    let others = names.into_iter().filter(|name| !scan.names.contains(name));
                    reading.files.extend(others.filter_map(|name| self.read_if_new(name)));
                    reading.listed = Some(Ok(odd_names));
                }
                Err(error) => reading.listed = Some(Err(error)),
            }
        }
        let named = scan.names.iter().map(|name| (name.clone(), self.read_file(name)));
        // In a folder that is not the one, absence says nothing.
        let is_lost = matches!(reading.listed, Some(Err(_)));
        reading.files.extend(named.filter(|(_, found)| !(is_lost && matches!(found, Found::Gone))));
        if scan.unwatched && !scan.all {
            let unwatched = self.files.iter().filter(|(name, _)| !scan.names.contains(*name));
            reading.files.extend(unwatched.filter_map(|(name, state)| self.read_unwatched(name, state)));
        }
        reading
    }

    /// Whether the path leads to another folder than the one that was read, or may: a mount that went, say, or a folder
    /// that was deleted and made again, which can have the same inode. If that has no manifests, nobody meant to delete all
    /// there were.
    fn is_another(&self) -> bool {
        let has_changed = self.identity.is_some() && identity(&self.dir) != self.identity;
        !self.files.is_empty() && (self.is_in_doubt || has_changed)
    }

    fn list(&self) -> io::Result<(BTreeSet<String>, BTreeSet<String>)> {
        let (mut names, mut odd_names) = (BTreeSet::new(), BTreeSet::new());
        for entry in fs::read_dir(&self.dir)? {
            let (set, name) = match entry?.file_name().into_string() {
                Ok(name) => (&mut names, name),
                Err(odd) => (&mut odd_names, odd.to_string_lossy().into_owned()),
            };
            if is_manifest(&name) {
                set.insert(name);
            }
        }
        Ok((names, odd_names))
    }

    fn read_file(&self, name: &str) -> Found {
        let path = self.dir.join(name);
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Gone,
            Err(error) => {
                let version = Version { stamp: None, content: Err(FileError::Io(error)) };
                Found::Read { is_link: false, version }
            }
            Ok(metadata) => Found::Read { is_link: metadata.is_symlink(), version: file::read(&path) },
        }
    }

    fn read_if_new(&self, name: String) -> Option<(String, Found)> {
        let known = self.files.get(&name).and_then(|state| state.stamp);
        let is_same = known.is_some() && file::stamp(&self.dir.join(&name)).ok() == known;
        let found = (!is_same).then(|| self.read_file(&name))?;
        Some((name, found))
    }

    fn read_unwatched(&self, name: &str, state: &FileState) -> Option<(String, Found)> {
        if !state.is_link && state.stamp.is_some() {
            return None;
        }
        let found = match file::stamp(&self.dir.join(name)) {
            Ok(stamp) if state.stamp == Some(stamp) => return None,
            Ok(stamp) if state.settling != Some(stamp) => Found::Settling(stamp),
            Ok(_) | Err(_) => self.read_file(name),
        };
        Some((name.to_owned(), found))
    }

    /// Puts what was read in force, except for files that are being written: those are read when they are closed.
    ///
    /// The first time that every file is readable the answer is the whole list; before, what is readable, without proof
    /// that it is all.
    pub(super) fn accept(&mut self, reading: Reading, is_being_written: impl Fn(&str) -> bool) -> Vec<Event> {
        match reading.listed {
            Some(Ok(odd_names)) => {
                self.odd_names = odd_names;
                self.problem = None;
                self.identity = reading.identity;
                self.is_in_doubt = false;
            }
            Some(Err(error)) => {
                self.problem =
                    Some(format!("the folder cannot be listed: {error}: what it held stays in force"));
            }
            None => {}
        }
        for (name, found) in reading.files {
            if !is_being_written(&name) {
                self.accept_file(&name, found);
            } else if self.listing != Listing::Complete {
                // Not to be counted as read: it may hold what must not be deleted.
                self.files.entry(name).or_default().problem = Some("being written".to_owned());
            }
        }
        self.events()
    }

    fn accept_file(&mut self, name: &str, found: Found) {
        match found {
            Found::Gone => {
                self.claims.put(name, BTreeMap::new());
                self.files.remove(name);
            }
            Found::Settling(stamp) => self.files.entry(name.to_owned()).or_default().settling = Some(stamp),
            Found::Read { is_link, version } => {
                let state = self.files.entry(name.to_owned()).or_default();
                state.is_link = is_link;
                state.settling = None;
                state.stamp = version.stamp;
                match version.content {
                    Ok(content) => {
                        state.problem = None;
                        state.twice = content.twice;
                        state.passed_over = content.passed_over;
                        self.claims.put(name, content.objects);
                    }
                    Err(error) => state.problem = Some(error.to_string()),
                }
            }
        }
    }

    fn events(&mut self) -> Vec<Event> {
        let mut events = self.claims.take_events();
        if self.listing == Listing::Complete {
            return events;
        }
        let is_readable = self.problem.is_none()
            && self.odd_names.is_empty()
            && self.files.values().all(|state| state.problem.is_none());
        if is_readable {
            self.listing = Listing::Complete;
            events = Kind::ALL.into_iter().map(Event::Init).collect();
            events.extend(self.claims.objects().map(Event::InitApply));
            events.extend(Kind::ALL.into_iter().map(Event::InitDone));
        } else if self.listing == Listing::Unread {
            self.listing = Listing::Incomplete;
            events.push(Event::Incomplete);
        }
        events
    }

    /// How the folder is doing.
    pub(super) fn status(&self) -> SourceStatus {
        let mut problems: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut passed_over: BTreeMap<String, u64> = BTreeMap::new();
        if let Some(problem) = &self.problem {
            problems.entry(FOLDER.to_owned()).or_default().push(problem.clone());
        }
        for name in &self.odd_names {
            problems.entry(name.clone()).or_default().push("its name is not UTF-8: rename it".to_owned());
        }
        for (name, state) in &self.files {
            let twice = state.twice.iter().map(|key| format!("{key} is there twice: the first is in force"));
            let lines: Vec<String> = state.problem.iter().cloned().chain(shorten(twice)).collect();
            if !lines.is_empty() {
                problems.entry(name.clone()).or_default().extend(lines);
            }
            for (kind, count) in &state.passed_over {
                *passed_over.entry(kind.clone()).or_default() += count;
            }
        }
        for (name, keys) in self.claims.conflicts() {
            let lines = keys.iter().map(|(key, owner)| format!("{key} is in {owner} too, which is in force"));
            problems.entry(name.to_owned()).or_default().extend(shorten(lines));
        }
        SourceStatus {
            problems: problems.into_iter().map(|(name, lines)| (name, lines.join("; "))).collect(),
            passed_over,
            objects: self.claims.counts(),
            is_listed: self.listing == Listing::Complete,
        }
    }
}

/// The first lines, and how many more there are.
fn shorten(mut lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut shown: Vec<String> = lines.by_ref().take(SHOWN).collect();
    match lines.count() {
        0 => {}
        more => shown.push(format!("and {more} more like this")),
    }
    shown
}

fn identity(dir: &Path) -> Option<(u64, u64)> {
    fs::metadata(dir).ok().map(|m| (m.dev(), m.ino()))
}

/// Whether a name in the folder is a manifest's.
pub(super) fn is_manifest(name: &str) -> bool {
    !name.starts_with('.')
        && [".yaml", ".yml", ".json"].iter().any(|ext| name.len() > ext.len() && name.ends_with(ext))
}
