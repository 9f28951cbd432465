//! Where the kernel object is.

use std::path::PathBuf;

use aya::programs::{CgroupSockAddr, Program, ProgramError};

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

/// Verifies a program of any kind that the object has.
pub fn load(program: &mut Program) -> Result<(), ProgramError> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "aya's list of kinds; the object has no others")]
    match program {
        Program::CgroupSock(program) => program.load(),
        Program::SchedClassifier(program) => program.load(),
        other => <&mut CgroupSockAddr>::try_from(other)?.load(),
    }
}
