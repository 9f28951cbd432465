//! Where objects come from: a task that lists and watches, and what it says.

pub mod manifests;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use model::{Event, Kind};
use tokio::sync::{mpsc, watch};

/// The two ends of a source that the agent holds.
#[derive(Debug)]
pub struct Source {
    /// What happened; one vector is one coherent change and is compiled together.
    pub events: mpsc::Receiver<Vec<Event>>,
    /// How the source is doing.
    pub status: watch::Receiver<SourceStatus>,
}

/// How a source is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceStatus {
    /// What is wrong, one line each, by file.
    pub problems: BTreeMap<String, String>,
    /// Objects of kinds that are not used, by `apiVersion/Kind`.
    pub passed_over: BTreeMap<String, u64>,
    /// Objects in force, by kind.
    pub objects: BTreeMap<Kind, usize>,
    /// Whether the first list is complete.
    pub is_listed: bool,
}

/// Why a source cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The folder cannot be read or watched.
    #[error("{}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
