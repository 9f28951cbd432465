//! Builds the kernel programs into one object. Also a part of `dataplane`'s build script, so it uses std only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::toolchain::{self, Tools};

/// One fixed folder: with cargo's own choice core would be built again for every profile.
const TARGET: &str = "target/bpf";

/// The object, relative to the workspace's root.
pub(crate) const OBJECT: &str = "target/bpf/ferrule.bpf.o";

/// Builds the object and returns its path.
pub(crate) fn build(root: &Path, tools: &Tools) -> Result<PathBuf, String> {
    toolchain::run(&mut cargo(root, tools, "build")?)?;
    let built = root.join(TARGET).join("bpfel-unknown-none/release/ferrule");
    let object = root.join(OBJECT);
    let content = fs::read(&built).map_err(|e| format!("{}: {e}", built.display()))?;
    // An unchanged object keeps its time, so that nothing that embeds it is built again.
    if fs::read(&object).ok().as_ref() != Some(&content) {
        fs::write(&object, content).map_err(|e| format!("{}: {e}", object.display()))?;
    }
    Ok(object)
}

/// A cargo command (`build`, `clippy`) on the programs: all with the same flags, so that they share what is built.
pub(crate) fn cargo(root: &Path, tools: &Tools, command: &str) -> Result<Command, String> {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "x86_64",
        "aarch64" => "aarch64",
        other => return Err(format!("kernel programs are not built on {other}")),
    };
    let cfg = format!("bpf_target_arch=\"{arch}\"");
    let linker = format!("linker={}", tools.linker.display());
    let flags = [
        "--cfg",
        &cfg,
        "-C",
        "debuginfo=2",
        "-C",
        &linker,
        "-C",
        "link-arg=--btf",
        // Without it every memset becomes a call to a byte loop: five times the instructions for the verifier.
        "-C",
        "link-arg=--disable-expand-memcpy-in-order",
    ];
    let mut cargo = Command::new("cargo");
    toolchain::clean_environment(&mut cargo);
    cargo
        .args([command, "--release", "-Z", "build-std=core", "--target", "bpfel-unknown-none", "--locked"])
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("CARGO_TARGET_DIR", root.join(TARGET))
        .current_dir(root.join("ebpf/programs"));
    Ok(cargo)
}
