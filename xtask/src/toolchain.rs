//! The compiler, its core library as source, and the linker for the kernel programs. Also a part of `dataplane`'s build
//! script, so it uses std only.
//!
//! bpf-linker must be linked to the LLVM that the compiler itself uses: it reads the compiler's bitcode. The compiler is
//! pinned in `rust-toolchain.toml`, the rest here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Version of bpf-linker.
const LINKER: &str = "0.13.0";
/// Major version of the LLVM of the pinned compiler, for which bpf-linker is built.
const LLVM: &str = "22";

/// Where the tools are.
#[derive(Debug)]
pub(crate) struct Tools {
    /// The bpf-linker binary.
    pub(crate) linker: PathBuf,
}

/// Brings what is missing and says so.
pub(crate) fn ensure(root: &Path, say: &dyn Fn(&str)) -> Result<Tools, String> {
    let rustc = output(Command::new("rustc").arg("-vV"))?;
    let llvm = rustc.lines().find_map(|line| line.strip_prefix("LLVM version: ")).unwrap_or_default();
    if llvm.split('.').next() != Some(LLVM) {
        return Err(format!(
            "rustc has LLVM {llvm}, but bpf-linker {LINKER} is built for LLVM {LLVM}: \
             rust-toolchain.toml and xtask/src/toolchain.rs change together"
        ));
    }
    let sysroot = PathBuf::from(output(Command::new("rustc").args(["--print", "sysroot"]))?.trim());
    ensure_rust_src(root, &sysroot, say)?;
    let linker = ensure_linker(root, &sysroot, say)?;
    Ok(Tools { linker })
}

fn ensure_rust_src(root: &Path, sysroot: &Path, say: &dyn Fn(&str)) -> Result<(), String> {
    if sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml").exists() {
        return Ok(());
    }
    say("rust-src: the kernel programs need core built for the bpf target …");
    let began = Instant::now();
    run(Command::new("rustup").args(["component", "add", "rust-src"]).current_dir(root))?;
    say(&format!("rust-src: there after {:.0?}", began.elapsed()));
    Ok(())
}

fn ensure_linker(root: &Path, sysroot: &Path, say: &dyn Fn(&str)) -> Result<PathBuf, String> {
    let home = root.join("target/tools").join(format!("bpf-linker-{LINKER}-llvm-{LLVM}"));
    let linker = home.join("bin/bpf-linker");
    if linker.exists() && output(Command::new(&linker).arg("--version")).is_ok() {
        return Ok(linker);
    }
    say(&format!("bpf-linker {LINKER}: building it against this compiler's LLVM, about a minute …"));
    let began = Instant::now();
    let lib = sysroot.join("lib");
    let llvm = fs::read_dir(&lib)
        .map_err(|e| format!("{}: {e}", lib.display()))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| {
            path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&format!("libLLVM.so.{LLVM}")))
        })
        .ok_or_else(|| format!("no libLLVM.so.{LLVM}* in {}", lib.display()))?;
    // llvm-sys looks for the names that a distribution's LLVM has.
    let prefix = home.join("llvm");
    fs::create_dir_all(prefix.join("lib")).map_err(|e| format!("{}: {e}", prefix.display()))?;
    for name in ["libLLVM.so".to_owned(), format!("libLLVM-{LLVM}.so")] {
        let link = prefix.join("lib").join(name);
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(&llvm, &link).map_err(|e| format!("{}: {e}", link.display()))?;
    }
    let mut install = Command::new("cargo");
    clean_environment(&mut install);
    install
        // By force: one that no longer starts, its compiler moved away, still counts as installed.
        .args(["install", "bpf-linker", "--version", LINKER, "--locked", "--force", "--no-default-features"])
        .args(["--features", &format!("llvm-{LLVM}"), "--root"])
        .arg(&home)
        .env("LLVM_PREFIX", &prefix)
        .env("RUSTFLAGS", format!("-C link-arg=-Wl,-rpath,{}", lib.display()))
        .env("CARGO_TARGET_DIR", root.join("target/tools/build"))
        .current_dir(root);
    run(&mut install)?;
    let _ = fs::remove_dir_all(root.join("target/tools/build"));
    say(&format!("bpf-linker {LINKER}: there after {:.0?}", began.elapsed()));
    Ok(linker)
}

/// Takes out of a child's environment what an outer cargo put there: it would change how the child builds.
pub(crate) fn clean_environment(command: &mut Command) {
    const OUTER: [&str; 8] = [
        "RUSTC",
        "RUSTFLAGS",
        "RUSTDOC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_LINKER",
        "TARGET",
        "MAKEFLAGS",
    ];
    for (name, _) in std::env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        let is_cargos = name.starts_with("CARGO_BUILD_")
            || name.starts_with("CARGO_TARGET_")
            || name.starts_with("CARGO_PROFILE_")
            || name.starts_with("CARGO_CFG_")
            || name.starts_with("CARGO_FEATURE_")
            || name == "CARGO_ENCODED_RUSTFLAGS"
            || name == "CARGO_MAKEFLAGS";
        if is_cargos || OUTER.contains(&name) {
            command.env_remove(name);
        }
    }
}

/// Runs a command whose output is shown only if it fails.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let text = describe(command);
    let done = command.output().map_err(|e| format!("{text}: {e}"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!("{text} failed:\n{}", String::from_utf8_lossy(&done.stderr)))
}

fn output(command: &mut Command) -> Result<String, String> {
    let text = describe(command);
    let done = command.output().map_err(|e| format!("{text}: {e}"))?;
    if !done.status.success() {
        return Err(format!("{text} failed: {}", String::from_utf8_lossy(&done.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// The command as typed, without the environment that was cleaned for it.
fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
