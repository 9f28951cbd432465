//! The client of the musl kind, which a machine with glibc does not have: built at its first use.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result, bail};

use crate::binaries;
use crate::client::lock;
use crate::command::find_program;

const SOURCE: &str = include_str!("../clients/resolve.c");

/// Only one thread of this process builds.
static BUILDING: Mutex<()> = Mutex::new(());

/// Path of the resolver program, beside the lab's own binary. Its name has a hash of the source: a changed source is
/// another program.
pub(crate) fn resolver() -> Result<PathBuf> {
    let lab = binaries::lab()?;
    let dir = lab.parent().context("the lab's binary is in no directory")?;
    let mut hasher = DefaultHasher::new();
    SOURCE.hash(&mut hasher);
    let program = dir.join(format!("resolve-musl-{:016x}", hasher.finish()));
    let _building = lock(&BUILDING);
    if !program.is_file() {
        build(&program)?;
    }
    Ok(program)
}

/// Other processes may be at it too: each renames its own file into place, and all are equal.
fn build(program: &Path) -> Result<()> {
    let staged = program.with_extension(std::process::id().to_string());
    let mut compiler = Command::new(find_program("musl-gcc")?);
    let compiler = compiler.args(["-static", "-O1", "-Wall", "-Werror", "-x", "c", "-", "-o"]).arg(&staged);
    let compiler = compiler.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut compiling = compiler.spawn().context("starting musl-gcc")?;
    compiling.stdin.take().context("musl-gcc reads nothing")?.write_all(SOURCE.as_bytes())?;
    let output = compiling.wait_with_output().context("waiting for musl-gcc")?;
    if !output.status.success() {
        bail!("musl-gcc failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    std::fs::rename(&staged, program).with_context(|| format!("making {}", program.display()))
}
