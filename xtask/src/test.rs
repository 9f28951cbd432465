//! Every rung of the tests, and one line at the end: `N passed, N failed, N skipped`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use crate::house;

/// Tests append `name<TAB>first kernel with the feature, or -<TAB>reason` to the file that this names.
const SKIP_LOG: &str = "FERRULE_SKIP_LOG";

/// What a rung came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// A rung of packages whose tests cargo runs.
struct Rung {
    name: &'static str,
    what: &'static str,
    packages: &'static [&'static str],
    needs_root: bool,
}

const RUNGS: &[Rung] = &[
    Rung {
        name: "pure",
        what: "units, scenarios and laws",
        packages: &["abi", "packet", "model", "compile", "dns", "dataplane", "xtask"],
        needs_root: false,
    },
    Rung { name: "program", what: "real programs, real sockets", packages: &["tests"], needs_root: true },
    Rung { name: "lab", what: "the lab itself", packages: &["lab"], needs_root: true },
];

/// Runs the rungs named, or all.
pub(crate) fn run(root: &Path, names: &[&str]) -> Result<ExitCode, String> {
    let known = |name: &&&str| **name == "house" || RUNGS.iter().any(|rung| rung.name == **name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        return Err(format!("no rung {unknown:?}: house, pure, program, lab"));
    }
    let wanted = |name: &str| names.is_empty() || names.contains(&name);
    let in_ci = std::env::var_os("CI").is_some_and(|v| !v.is_empty());

    let mut total = Tally::default();
    // Package `tests` runs the lab's and the daemon's binaries, which cargo does not build for a dependent.
    total.add(rung("build", "the kernel programs and the binaries", || {
        of_check("build", || crate::build(root))
    }));
    if wanted("house") {
        total.add(rung("house", "format, lints, modules, generated pages", || run_house(root)));
    }
    for r in RUNGS.iter().filter(|r| wanted(r.name)) {
        total.add(rung(r.name, r.what, || run_packages(root, r, in_ci)));
    }
    println!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn rung(name: &str, what: &str, act: impl FnOnce() -> Tally) -> Tally {
    println!("── {name}: {what}");
    let began = Instant::now();
    let tally = act();
    println!(
        "── {name}: {} passed, {} failed, {} skipped in {:.1} s\n",
        tally.passed,
        tally.failed,
        tally.skipped,
        began.elapsed().as_secs_f64()
    );
    tally
}

fn run_house(root: &Path) -> Tally {
    let mut tally = Tally::default();
    for (name, check) in house::CHECKS {
        tally.add(of_check(name, || check(root)));
    }
    tally
}

/// A check counts as one test.
fn of_check<T>(name: &str, check: impl FnOnce() -> Result<T, String>) -> Tally {
    let began = Instant::now();
    match check() {
        Ok(_) => {
            println!("check {name} ... ok ({:.1} s)", began.elapsed().as_secs_f64());
            Tally { passed: 1, ..Tally::default() }
        }
        Err(error) => {
            println!("check {name} ... FAILED\n{error}");
            Tally { failed: 1, ..Tally::default() }
        }
    }
}

fn run_packages(root: &Path, rung: &Rung, in_ci: bool) -> Tally {
    if rung.needs_root && !is_root() {
        println!("SKIP: {}: needs root", rung.name);
        // In CI nothing may be left out.
        return Tally { failed: usize::from(in_ci), skipped: 1, ..Tally::default() };
    }
    let log = skip_log(root, rung.name);
    let mut cargo = Command::new("cargo");
    cargo.arg("test").arg("--no-fail-fast");
    for package in rung.packages {
        cargo.args(["--package", package]);
    }
    if rung.packages.contains(&"abi") {
        cargo.args(["--features", "abi/user"]);
    }
    cargo.current_dir(root).env(SKIP_LOG, &log).stdout(Stdio::piped());
    let mut tally = Tally::default();
    let status = cargo.spawn().and_then(|mut child| {
        if let Some(out) = child.stdout.take() {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                println!("{line}");
                tally.add(of_line(&line).unwrap_or_default());
            }
        }
        child.wait()
    });
    let is_ok = status.is_ok_and(|s| s.success());
    if !is_ok && tally.failed == 0 {
        // It did not build, or a test took the whole process down.
        tally.failed = 1;
    }
    if is_ok && tally.passed == 0 {
        println!("no test ran in {}", rung.name);
        tally.failed += 1;
    }
    judge_skips(&fs::read_to_string(&log).unwrap_or_default(), in_ci, &mut tally);
    tally
}

/// A test that skips itself passes for cargo; the log says that it did not run.
fn judge_skips(log: &str, in_ci: bool, tally: &mut Tally) {
    let running = kernel_version(&fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default());
    for line in log.lines().filter(|line| !line.is_empty()) {
        let mut fields = line.split('\t');
        let (name, first, why) = (
            fields.next().unwrap_or_default(),
            fields.next().unwrap_or("-"),
            fields.next().unwrap_or_default(),
        );
        tally.passed = tally.passed.saturating_sub(1);
        tally.skipped += 1;
        let is_excused =
            kernel_version(first).is_some_and(|first| running.is_some_and(|running| first > running));
        if in_ci && !is_excused {
            println!("SKIP: {name}: {why} (a failure in CI)");
            tally.failed += 1;
        } else {
            println!("SKIP: {name}: {why}");
        }
    }
}

fn kernel_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The numbers of a line `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
fn of_line(line: &str) -> Option<Tally> {
    let rest = line.strip_prefix("test result: ")?;
    let number = |word: &str| {
        let before = rest.split(word).next()?;
        before.rsplit([' ', ';', '.']).find(|s| !s.is_empty())?.parse().ok()
    };
    Some(Tally { passed: number(" passed")?, failed: number(" failed")?, skipped: number(" ignored")? })
}

fn skip_log(root: &Path, rung: &str) -> PathBuf {
    let path = root.join("target").join(format!("skips-{rung}.log"));
    let _ = fs::create_dir_all(root.join("target"));
    let _ = fs::write(&path, "");
    path
}

fn is_root() -> bool {
    fs::read_to_string("/proc/self/status")
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .and_then(|ids| ids.split_whitespace().nth(1).map(|euid| euid == "0"))
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_line_is_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s";
        assert_eq!(of_line(line), Some(Tally { passed: 12, failed: 3, skipped: 1 }));
        assert_eq!(of_line("test a ... ok"), None);
    }

    #[test]
    fn a_check_counts_as_one_test() {
        assert_eq!(of_check("c", || Ok(())), Tally { passed: 1, failed: 0, skipped: 0 });
        assert_eq!(of_check::<()>("c", || Err("why".to_owned())), Tally { passed: 0, failed: 1, skipped: 0 });
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(kernel_version("6.9") < kernel_version("6.18.44-fc"));
        assert_eq!(kernel_version("-"), None);
    }

    #[test]
    fn a_skip_is_a_failure_in_ci_unless_the_kernel_is_too_old_for_the_feature() {
        let log = "one\t-\tno root\ntwo\t999.0\tnot in this kernel\n";
        let mut tally = Tally { passed: 2, ..Tally::default() };
        judge_skips(log, true, &mut tally);
        assert_eq!(tally, Tally { passed: 0, failed: 1, skipped: 2 });
        let mut tally = Tally { passed: 2, ..Tally::default() };
        judge_skips(log, false, &mut tally);
        assert_eq!(tally, Tally { passed: 0, failed: 0, skipped: 2 });
    }
}
