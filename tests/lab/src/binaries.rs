//! The two programs that a lab starts.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// The lab's own binary, whose hidden subcommands run inside pods: `FERRULE_LAB_BIN`, or this very program, or the
/// one beside it in the target directory.
pub(crate) fn lab() -> Result<PathBuf> {
    find("FERRULE_LAB_BIN", "ferrule-lab", "cargo build -p lab")
}

/// The program under test: `FERRULE_BIN`, or the one beside this program in the target directory.
///
/// # Errors
///
/// There is none, or the variable names no file.
pub fn ferrule() -> Result<PathBuf> {
    find("FERRULE_BIN", "ferrule", "cargo build -p dataplane")
}

fn find(variable: &str, name: &str, build: &str) -> Result<PathBuf> {
    if let Some(path) = env::var_os(variable) {
        return PathBuf::from(&path).canonicalize().with_context(|| format!("{variable}={}", path.display()));
    }
    let current = env::current_exe().context("finding the running program")?;
    // Cargo puts tests into `deps`, one below the binaries.
    for dir in current.ancestors().skip(1).take(2) {
        let candidate = dir.join(name);
        if candidate.is_file() {
            return Ok(candidate);
        }
    }
    bail!("found no {name} beside {}; build it ({build}) or set {variable}", current.display())
}
