//! `cargo xtask`: builds, tests and shows Ferrule, and brings the tools that this needs.

mod bench;
mod build_ebpf;
mod fuzz;
mod house;
mod maps_doc;
mod matrix;
mod orphans;
mod test;
mod toolchain;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

const HELP: &str = "\
cargo xtask <command>

  build               the kernel object and the binaries; brings rust-src and bpf-linker
  demo [--keep]       as root: two nodes and their pods on this machine, and what Ferrule does for them
  bench [sockets|compile|dns] [--rounds N] [--json]
                      as root, on a quiet machine: what a Service costs a socket, how fast a change is in
                      force, DNS queries a second
  test [rung …]       every rung that this machine can run: house pure program lab
  fuzz --dns N        N hostile packets for the DNS server
  fuzz --packets N    N hostile packets for the code that parses and translates them
  leaks               what a lab could have left behind on this machine
  maps-doc [--check]  writes docs/maps.md from ebpf/abi
  matrix              the programs under the verifiers of several kernels, in QEMU
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let root = root();
    let result = match args.as_slice() {
        ["build"] => build(&root).map(|_| ExitCode::SUCCESS),
        ["demo", rest @ ..] => lab(&root, "demo", rest),
        ["bench", rest @ ..] => bench::run(&root, rest),
        ["fuzz", rest @ ..] => fuzz::run(&root, rest),
        ["leaks"] => lab(&root, "leaks", &[]),
        ["test", rungs @ ..] => test::run(&root, rungs),
        ["maps-doc", rest @ ..] => maps_doc::run(&root, rest),
        ["matrix", rest @ ..] => matrix::run(&root, rest),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        [other, ..] => Err(format!("no command {other:?}\n\n{HELP}")),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

fn say(text: &str) {
    eprintln!("xtask: {text}");
}

/// Where cargo puts binaries of the dev profile.
fn binaries(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from).join("debug")
}

/// Builds everything that runs: the kernel object, `ferrule` and the lab.
fn build(root: &Path) -> Result<PathBuf, String> {
    let tools = toolchain::ensure(root, &say)?;
    step("kernel programs", || build_ebpf::build(root, &tools).map(drop))?;
    step("ferrule and its lab", || {
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--package", "dataplane", "--package", "lab"]).current_dir(root);
        let status = cargo.status().map_err(|e| format!("cargo build: {e}"))?;
        if status.success() { Ok(()) } else { Err("cargo build failed".to_owned()) }
    })?;
    Ok(binaries(root))
}

fn step(name: &str, act: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    say(&format!("{name} …"));
    let began = Instant::now();
    act()?;
    say(&format!("{name}: {:.1} s", began.elapsed().as_secs_f64()));
    Ok(())
}

/// Builds, and becomes the lab's binary: signals then go straight to it.
fn lab(root: &Path, command: &str, rest: &[&str]) -> Result<ExitCode, String> {
    use std::os::unix::process::CommandExt;
    let bin = build(root)?;
    let error = Command::new(bin.join("ferrule-lab"))
        .arg(command)
        .args(rest)
        .env("FERRULE_BIN", bin.join("ferrule"))
        .exec();
    Err(format!("{}: {error}", bin.join("ferrule-lab").display()))
}
