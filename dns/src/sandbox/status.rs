//! What the process says of itself in /proc.

use super::SandboxError;

/// proc_pid_status(5).
pub(super) const PATH: &str = "/proc/self/status";

/// The lines that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status {
    /// Threads of the process.
    pub(super) threads: u64,
    /// What counts against `RLIMIT_DATA`, in bytes.
    pub(super) data_bytes: u64,
}

/// Reads the status of this process.
pub(super) fn read() -> Result<Status, SandboxError> {
    parse(&std::fs::read_to_string(PATH).map_err(|source| SandboxError::ReadStatus { source })?)
}

fn parse(text: &str) -> Result<Status, SandboxError> {
    let number = |line: &'static str| {
        text.lines()
            .find_map(|l| l.strip_prefix(line)?.split_whitespace().next()?.parse::<u64>().ok())
            .ok_or(SandboxError::Status { line })
    };
    // "kB" there are units of 1,024 bytes.
    Ok(Status { threads: number("Threads:")?, data_bytes: number("VmData:")?.saturating_mul(1024) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_and_memory_are_found_among_the_other_lines() {
        let text = "Name:\tferrule\nVmPeak:\t    9000 kB\nVmData:\t     172 kB\nThreads:\t3\nSigQ:\t0/9\n";
        assert_eq!(parse(text).unwrap(), Status { threads: 3, data_bytes: 172 * 1024 });
    }

    #[test]
    fn a_line_without_a_number_is_named() {
        let error = parse("VmData:\t1 kB\nThreads:\tmany\n").unwrap_err();
        assert_eq!(error.to_string(), "no number in line \"Threads:\" of /proc/self/status");
        let error = parse("Threads:\t1\n").unwrap_err();
        assert_eq!(error.to_string(), "no number in line \"VmData:\" of /proc/self/status");
    }
}
