//! `docs/maps.md`: the table of maps for people, made from the one in `ebpf/abi`.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

const DOC: &str = "docs/maps.md";

/// Writes the page, or with `--check` compares it.
pub(crate) fn run(root: &Path, args: &[&str]) -> Result<ExitCode, String> {
    match args {
        [] => {
            fs::write(root.join(DOC), generated(root)?).map_err(|e| format!("{DOC}: {e}"))?;
            crate::say(&format!("{DOC} written"));
            Ok(ExitCode::SUCCESS)
        }
        ["--check"] => check(root).map(|()| ExitCode::SUCCESS),
        other => Err(format!("maps-doc takes --check only, not {other:?}")),
    }
}

/// Compares the page with the table.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let page = fs::read_to_string(root.join(DOC)).unwrap_or_default();
    if page == generated(root)? { Ok(()) } else { Err(format!("{DOC} is out of date: cargo xtask maps-doc")) }
}

fn generated(root: &Path) -> Result<String, String> {
    let done = Command::new("cargo")
        .args(["run", "--quiet", "--package", "abi", "--features", "user", "--example", "maps_doc"])
        .current_dir(root)
        .output()
        .map_err(|e| format!("cargo run: {e}"))?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned());
    }
    String::from_utf8(done.stdout).map_err(|e| e.to_string())
}
