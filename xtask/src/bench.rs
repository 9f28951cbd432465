//! `cargo xtask bench`: builds for release and becomes the lab's binary, which measures.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::{binaries, build_ebpf, say, step, toolchain};

/// Runs the suite that `args` name, or all; they go to the lab's binary as they are, and signals too.
pub(crate) fn run(root: &Path, args: &[&str]) -> Result<ExitCode, String> {
    let tools = toolchain::ensure(root, &say)?;
    step("kernel programs", || build_ebpf::build(root, &tools).map(drop))?;
    step("ferrule and its lab, for release", || {
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--release", "--package", "dataplane", "--package", "lab"]).current_dir(root);
        let status = cargo.status().map_err(|e| format!("cargo build: {e}"))?;
        if status.success() { Ok(()) } else { Err("cargo build failed".to_owned()) }
    })?;
    // The workers are the lab's binary too: none of a debug build may be found instead.
    let (bin, lab) = (binaries(root).with_file_name("release"), "ferrule-lab");
    let error = Command::new(bin.join(lab))
        .arg("bench")
        .args(args)
        .env("FERRULE_BIN", bin.join("ferrule"))
        .env("FERRULE_LAB_BIN", bin.join(lab))
        .exec();
    Err(format!("{}: {error}", bin.join(lab).display()))
}
