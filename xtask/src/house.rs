//! Checks of the house itself: format, lints, files outside any module, generated pages, drop reasons without a test.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::orphans::rust_files;
use crate::{build_ebpf, maps_doc, orphans, say, toolchain};

/// A named check: nothing, or what is wrong.
pub(crate) type Check = (&'static str, fn(&Path) -> Result<(), String>);

/// All checks.
pub(crate) const CHECKS: &[Check] = &[
    ("format", format),
    ("lints", lints),
    ("lints of the kernel programs", program_lints),
    ("unsafe code stays in its rooms", unsafe_rooms),
    ("every file is in a module", orphans::check),
    ("docs/maps.md is current", maps_doc::check),
    ("every drop reason has a test", drop_reasons),
];

fn cargo(root: &Path, args: &[&str]) -> Result<(), String> {
    let done = Command::new("cargo").args(args).current_dir(root).output().map_err(|e| e.to_string())?;
    if done.status.success() {
        return Ok(());
    }
    let text = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    Err(format!("cargo {}:\n{text}", args.join(" ")))
}

fn format(root: &Path) -> Result<(), String> {
    cargo(root, &["fmt", "--all", "--check"])?;
    cargo(&root.join("ebpf/programs"), &["fmt", "--check"])
}

fn lints(root: &Path) -> Result<(), String> {
    cargo(root, &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

/// The programs are a workspace of their own, and their target has no core but the one that is built with them.
fn program_lints(root: &Path) -> Result<(), String> {
    let tools = toolchain::ensure(root, &say)?;
    toolchain::run(build_ebpf::cargo(root, &tools, "clippy")?.args(["--", "-D", "warnings"]))
}

fn unsafe_rooms(root: &Path) -> Result<(), String> {
    let src = root.join("ebpf/programs/src");
    let mut outside = Vec::new();
    for file in rust_files(&src) {
        let name = file.strip_prefix(&src).unwrap_or(&file).to_string_lossy().into_owned();
        let is_room = matches!(name.as_str(), "ctx.rs" | "helpers.rs" | "maps.rs")
            || name.starts_with("maps/")
            || name.starts_with("ctx/");
        let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        if !is_room && text.lines().any(is_unsafe) {
            outside.push(name);
        }
    }
    if outside.is_empty() { Ok(()) } else { Err(format!("unsafe outside its rooms: {}", outside.join(", "))) }
}

/// Unsafe code, as distinct from an attribute such as `#[unsafe(no_mangle)]` or a word in a comment.
fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe trait"]
        .iter()
        .any(|form| code.contains(form))
}

fn drop_reasons(root: &Path) -> Result<(), String> {
    let path = root.join("ebpf/abi/src/drop_reason.rs");
    let reasons = variants(&fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?);
    let tests: String =
        rust_files(&root.join("tests/tests")).iter().filter_map(|f| fs::read_to_string(f).ok()).collect();
    let untested: Vec<&String> =
        reasons.iter().filter(|reason| !tests.lines().any(|line| names(line, reason))).collect();
    if reasons.is_empty() || !untested.is_empty() {
        Err(format!("without a test: {untested:?}"))
    } else {
        Ok(())
    }
}

/// Whether a line of code names the reason; a longer name that begins like it is another reason.
fn names(line: &str, reason: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.split("DropReason::").skip(1).any(|rest| {
        rest.strip_prefix(reason).is_some_and(|after| !after.starts_with(|c: char| c.is_alphanumeric()))
    })
}

/// Names of the variants that have a number.
fn variants(source: &str) -> Vec<String> {
    source
        .lines()
        .filter_map(|line| line.trim().strip_suffix(',')?.split_once(" = "))
        .filter(|(name, number)| number.parse::<u32>().is_ok() && name.chars().all(char::is_alphanumeric))
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_code_is_told_from_attributes_and_comments() {
        assert!(is_unsafe("    let value = unsafe { read(field) };"));
        assert!(is_unsafe("unsafe impl Sync for Map {}"));
        assert!(!is_unsafe("#[unsafe(no_mangle)]"));
        assert!(!is_unsafe("// no unsafe { here }"));
    }

    #[test]
    fn a_test_names_a_reason_in_full_and_in_code() {
        assert!(names("let c = one.drops(DropReason::A, 1).drops(DropReason::Unknown, 1);", "Unknown"));
        assert!(!names("one.drops(DropReason::UnknownPort, 1);", "Unknown"));
        assert!(!names("// DropReason::Unknown is not reached", "Unknown"));
    }

    #[test]
    fn variants_are_the_numbered_names() {
        let source = "pub enum R {\n    /// x = 1,\n    One = 1,\n    Two = 22,\n}\nconst COUNT: u32 = 7;\n";
        assert_eq!(variants(source), ["One", "Two"]);
    }
}
