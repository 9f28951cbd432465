//! Where the kernel object is.

use std::path::PathBuf;

/// Path of the compiled kernel programs: `FERRULE_BPF_OBJECT`, or where the build puts them.
///
/// # Panics
///
/// If there is no file: a test without the programs tests nothing.
pub fn path() -> PathBuf {
    let path = std::env::var_os("FERRULE_BPF_OBJECT").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bpf/ferrule.bpf.o")),
        PathBuf::from,
    );
    assert!(path.is_file(), "no kernel programs at {}: run `cargo xtask build`", path.display());
    path
}
