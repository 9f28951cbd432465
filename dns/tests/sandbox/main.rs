//! The sandbox on the real kernel. Each test starts this program again, as a child that enters it, and looks at it from outside.
//!
//! `main` decides which of the two a process is; [`cases`] is what children do, the rest is the parent's side.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panic")]
#![expect(clippy::print_stdout, reason = "a child reports to its parent there")]

mod calls;
mod cases;
mod child;
mod fds;
mod inside;
mod outside;
mod raw;

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::Instant;

/// A test and its name.
type Test = (&'static str, fn());

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(case) = child::Request::of(&args) {
        cases::run(&case);
        return ExitCode::SUCCESS;
    }
    // cargo passes a part of a name; its options are for another harness.
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    run(|name| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str())))
}

fn run(is_wanted: impl Fn(&str) -> bool) -> ExitCode {
    let began = Instant::now();
    let all: Vec<&Test> = outside::TESTS.iter().chain(inside::TESTS).chain(calls::TESTS).collect();
    let wanted: Vec<&&Test> = all.iter().filter(|(name, _)| is_wanted(name)).collect();
    println!("\nrunning {} tests", wanted.len());
    let mut failed = 0;
    for (name, test) in &wanted {
        let is_ok = catch_unwind(test).is_ok();
        println!("test {name} ... {}", if is_ok { "ok" } else { "FAILED" });
        failed += usize::from(!is_ok);
    }
    // The line that libtest ends with: whoever counts tests reads it.
    println!(
        "\ntest result: {}. {} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if failed == 0 { "ok" } else { "FAILED" },
        wanted.len() - failed,
        all.len() - wanted.len(),
        began.elapsed().as_secs_f64()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A list of tests from the names of their functions.
#[macro_export]
macro_rules! tests {
    ($($name:ident),+ $(,)?) => {
        pub(crate) const TESTS: &[$crate::Test] = &[$((stringify!($name), $name)),+];
    };
}
