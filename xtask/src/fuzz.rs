//! `cargo xtask fuzz`: more inputs than the tests have time for.

use std::path::Path;
use std::process::{Command, ExitCode};

/// Runs the fuzzer of a part.
pub(crate) fn run(root: &Path, args: &[&str]) -> Result<ExitCode, String> {
    let (package, inputs) = match args {
        ["--dns", inputs] => ("dns", inputs),
        ["--packets", inputs] => ("packet", inputs),
        _ => {
            return Err(
                "fuzz --dns N or --packets N: N hostile packets for the DNS server or the packet code"
                    .to_owned(),
            );
        }
    };
    let inputs: u64 = inputs.parse().map_err(|_| format!("{inputs:?} is not a number of inputs"))?;
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--release", "--package", package, "--test", "fuzz", "--", "--nocapture"]);
    let status = cargo.env("FERRULE_FUZZ_INPUTS", inputs.to_string()).current_dir(root).status();
    let status = status.map_err(|e| format!("cargo test: {e}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
