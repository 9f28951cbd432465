//! Builds the kernel programs and tells the loader where the object is.

#[path = "../xtask/src/build_ebpf.rs"]
mod build_ebpf;
#[path = "../xtask/src/toolchain.rs"]
mod toolchain;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.parent().unwrap_or(here);
    for path in [
        "ebpf/programs",
        "ebpf/abi/src",
        "ebpf/abi/Cargo.toml",
        "xtask/src/toolchain.rs",
        "xtask/src/build_ebpf.rs",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    match object(root) {
        Ok(object) => {
            println!("cargo::rustc-env=FERRULE_BPF_OBJECT={}", object.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            for line in error.lines() {
                println!("cargo::warning={line}");
            }
            println!(
                "cargo::error=the kernel programs cannot be built: run `cargo xtask build`, which says why"
            );
            ExitCode::FAILURE
        }
    }
}

/// A copy of the object that is this build's own: the shared one is written while this script runs, and cargo would
/// take it for a change and build everything once more.
fn object(root: &Path) -> Result<PathBuf, String> {
    let tools = toolchain::ensure(root, &|text| println!("cargo::warning={text}"))?;
    let built = build_ebpf::build(root, &tools)?;
    let own = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?).join("ferrule.bpf.o");
    fs::copy(&built, &own).map_err(|e| format!("{} to {}: {e}", built.display(), own.display()))?;
    Ok(own)
}
