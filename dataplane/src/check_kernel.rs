//! `ferrule check-kernel` (hidden): does this kernel's verifier take our programs?

use std::fmt::Write as _;

use crate::kernel::KernelError;
use crate::kernel::real::{self, Verified};

/// The report as text, and whether every program was taken. Its last line is `check-kernel: ok` or `check-kernel: failed`.
///
/// # Errors
///
/// The maps cannot be created, so that no program can be tried.
pub fn run() -> Result<(String, bool), KernelError> {
    let verified = real::verify_programs()?;
    let is_ok = verified.iter().all(|v| v.result.is_ok());
    Ok((render(&verified, is_ok), is_ok))
}

fn render(verified: &[Verified], is_ok: bool) -> String {
    let mut text = format!("{:<16}{:<8}{}\n", "PROGRAM", "LOADED", "INSTRUCTIONS");
    for v in verified {
        // Writing to a String cannot fail.
        let _ = match &v.result {
            Ok(instructions) => writeln!(text, "{:<16}{:<8}{instructions}", v.program, "yes"),
            Err(error) => writeln!(text, "{:<16}{:<8}{}", v.program, "no", one_line(error)),
        };
    }
    text.push_str(if is_ok { "check-kernel: ok\n" } else { "check-kernel: failed\n" });
    text
}

/// Lines at the end of a verifier's log that say why: the last instructions, the verdict, the numbers.
const END_OF_LOG: usize = 8;

/// The error with its causes, the verifier's log cut to its end.
fn one_line(error: &KernelError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    match lines.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first, rest @ ..] => {
            let end = rest.get(rest.len().saturating_sub(END_OF_LOG)..).unwrap_or(rest);
            format!("{first} … {}", end.join(" | "))
        }
    }
}
