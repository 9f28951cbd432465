//! What the zones answer, by the specification: manifests go in as a user writes them, answers come out as text.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panic")]

mod cluster;
mod external;
mod headless;
mod laws;
mod negative;
mod options;
mod pods;
mod random;
mod reverse;
mod services;
mod srv;
mod unsynced;
mod zones;
