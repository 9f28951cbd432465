//! The programs under the verifiers of Debian's kernels: each boots in QEMU, without KVM, and runs `ferrule check-kernel`.

mod image;
mod kernel;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::{say, toolchain};

/// A Debian release and what its kernel is to us.
struct Release {
    suite: &'static str,
    is_required: bool,
}

/// Oldest first. 5.10 lacks `bpf_set_retval` (Linux 5.18): it is reported, not required.
const RELEASES: &[Release] = &[
    Release { suite: "bullseye", is_required: false },
    Release { suite: "bookworm", is_required: true },
    Release { suite: "trixie", is_required: true },
    Release { suite: "sid", is_required: true },
];

/// How long a boot may take: 3 to 30 seconds on an idle machine.
const BOOT: Duration = Duration::from_secs(240);

const PAGE: &str = "tests/kernel_matrix.md";

/// A program, and the instructions that a verifier processed or why it refused.
type Row = (String, Result<u32, String>);

/// One kernel's answers.
struct Column {
    /// Its version; the suite's name if it told none.
    kernel: String,
    is_required: bool,
    /// One row a program, or why there is no report.
    report: Result<Vec<Row>, String>,
}

impl Column {
    fn is_ok(&self) -> bool {
        self.report.as_ref().is_ok_and(|rows| rows.iter().all(|(_, result)| result.is_ok()))
    }

    fn result_of(&self, program: &str) -> Option<&Result<u32, String>> {
        self.report.iter().flatten().find(|(name, _)| name == program).map(|(_, result)| result)
    }
}

/// Boots each kernel, or those of the suites named, and writes the table.
pub(crate) fn run(root: &Path, suites: &[&str]) -> Result<ExitCode, String> {
    install_tools()?;
    let bin = crate::build(root)?;
    let cache = root.join("target/matrix");
    fs::create_dir_all(&cache).map_err(|e| format!("{}: {e}", cache.display()))?;
    let initramfs = image::build(&cache, &bin.join("ferrule"))?;
    let mut columns = Vec::new();
    for release in RELEASES.iter().filter(|r| suites.is_empty() || suites.contains(&r.suite)) {
        let began = Instant::now();
        // A kernel that does not come up is a column too: the others still tell what they have to tell.
        let report = kernel::fetch(&cache, release.suite).and_then(|vmlinuz| boot(&vmlinuz, &initramfs));
        let (kernel, report) = match report {
            Ok((kernel, rows)) => (kernel, Ok(rows)),
            Err(error) => (release.suite.to_owned(), Err(error)),
        };
        let column = Column { kernel, is_required: release.is_required, report };
        say(&format!("{} ({}): {:.0} s", column.kernel, release.suite, began.elapsed().as_secs_f64()));
        columns.push(column);
    }
    let table = render(&columns);
    println!("{table}");
    if suites.is_empty() {
        fs::write(root.join(PAGE), page(&table)).map_err(|e| format!("{PAGE}: {e}"))?;
    }
    let is_ok = columns.iter().filter(|column| column.is_required).all(Column::is_ok);
    Ok(if is_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn install_tools() -> Result<(), String> {
    let lacks = |path: &str| !["/usr/bin", "/bin"].iter().any(|dir| Path::new(dir).join(path).exists());
    let missing: Vec<&str> =
        [("qemu-system-x86_64", "qemu-system-x86"), ("busybox", "busybox-static"), ("cpio", "cpio")]
            .into_iter()
            .filter(|(binary, _)| lacks(binary))
            .map(|(_, package)| package)
            .collect();
    if missing.is_empty() {
        return Ok(());
    }
    say(&format!("installing {}", missing.join(" ")));
    toolchain::run(Command::new("apt-get").args(["update", "-q"]))?;
    toolchain::run(
        Command::new("apt-get").args(["install", "-y", "-q", "--no-install-recommends"]).args(&missing),
    )
}

#[expect(clippy::disallowed_methods, reason = "std waits for a child with a deadline only by looking again")]
fn boot(vmlinuz: &Path, initramfs: &Path) -> Result<(String, Vec<Row>), String> {
    let log = vmlinuz.with_extension("log");
    let out = fs::File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
    // Never KVM: inside a virtual machine there may be a `/dev/kvm` under which no guest gets past its firmware.
    let mut qemu = Command::new("qemu-system-x86_64")
        .args(["-accel", "tcg", "-cpu", "max"])
        .args(["-m", "1024", "-smp", "2", "-nographic", "-no-reboot", "-net", "none"])
        .arg("-kernel")
        .arg(vmlinuz)
        .arg("-initrd")
        .arg(initramfs)
        .args(["-append", "console=ttyS0 quiet panic=-1"])
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("qemu-system-x86_64: {e}"))?;
    let deadline = Instant::now() + BOOT;
    while qemu.try_wait().map_err(|e| e.to_string())?.is_none() {
        if Instant::now() > deadline {
            let _ = qemu.kill();
            let _ = qemu.wait();
            return Err(format!(
                "{} did not finish in {} s: see {}",
                vmlinuz.display(),
                BOOT.as_secs(),
                log.display()
            ));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let text = String::from_utf8_lossy(&fs::read(&log).map_err(|e| e.to_string())?).into_owned();
    parse(&text).ok_or_else(|| format!("no report in {}", log.display()))
}

/// The kernel's version and the rows of `check-kernel` in a console's output.
fn parse(text: &str) -> Option<(String, Vec<Row>)> {
    let mut kernel = None;
    let mut rows = Vec::new();
    let mut is_complete = false;
    for line in text.lines().map(str::trim) {
        if let Some(version) = line.strip_prefix("kernel: ") {
            kernel = Some(version.to_owned());
        }
        is_complete |= line.starts_with("check-kernel: ");
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some(program), Some("yes")) => {
                let instructions = words.next().and_then(|n| n.parse().ok())?;
                rows.push((program.to_owned(), Ok(instructions)));
            }
            (Some(program), Some("no")) => {
                rows.push((program.to_owned(), Err(words.collect::<Vec<_>>().join(" "))));
            }
            _ => {}
        }
    }
    if is_complete && !rows.is_empty() { Some((kernel?, rows)) } else { None }
}

fn render(columns: &[Column]) -> String {
    let mut text = String::from("| program |");
    for column in columns {
        text.push_str(&format!(
            " {}{} |",
            column.kernel,
            if column.is_required { "" } else { " (reported)" }
        ));
    }
    text.push_str("\n| --- |");
    text.push_str(&" --- |".repeat(columns.len()));
    let rows = columns.iter().flat_map(|column| column.report.iter().flatten());
    let programs: BTreeSet<&str> = rows.map(|(program, _)| program.as_str()).collect();
    let mut refusals = Vec::new();
    for column in columns {
        if let Err(why) = &column.report {
            refusals.push(format!("- {}: {why}", column.kernel));
        }
    }
    for program in programs {
        text.push_str(&format!("\n| `{program}` |"));
        for column in columns {
            let cell = match column.result_of(program) {
                // Linux tells the number from 5.16 on.
                Some(Ok(0)) => "yes".to_owned(),
                Some(Ok(instructions)) => instructions.to_string(),
                Some(Err(why)) => {
                    refusals.push(format!("- {}, `{program}`: {why}", column.kernel));
                    "no".to_owned()
                }
                None => "?".to_owned(),
            };
            text.push_str(&format!(" {cell} |"));
        }
    }
    text.push('\n');
    if !refusals.is_empty() {
        text.push_str(&format!("\n{}\n", refusals.join("\n")));
    }
    text
}

fn page(table: &str) -> String {
    format!(
        "# Kernels\n\nWritten by `cargo xtask matrix`: instructions that each kernel's verifier processed for each program. \
         Debian's cloud kernels, booted in QEMU. The floor is Linux 6.1; older ones are reported.\n\n{table}"
    )
}

/// Where a step of the matrix keeps something.
fn cached(cache: &Path, name: &str) -> Result<PathBuf, String> {
    let path = cache.join(name);
    fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str = "noise\r\nkernel: 6.1.0-1\r\nPROGRAM LOADED INSTRUCTIONS\r\nconnect4  yes  861\r\n\
                           connect6  no   program connect6: refused\r\ncheck-kernel: failed\r\n";

    #[test]
    fn a_consoles_report_is_read() {
        let (kernel, rows) = parse(CONSOLE).unwrap();
        assert_eq!(kernel, "6.1.0-1");
        assert_eq!(rows[0], ("connect4".to_owned(), Ok(861)));
        assert!(rows[1].1.as_ref().is_err_and(|why| why.contains("refused")));
    }

    #[test]
    fn a_kernel_without_a_report_is_a_column_of_its_own_and_fails() {
        let (kernel, rows) = parse(CONSOLE).unwrap();
        let reports = Column { kernel, is_required: true, report: Ok(rows) };
        let silent =
            Column { kernel: "sid".to_owned(), is_required: true, report: Err("no report".to_owned()) };
        assert!(!reports.is_ok() && !silent.is_ok());
        let table = render(&[silent, reports]);
        assert!(table.starts_with("| program | sid | 6.1.0-1 |"), "{table}");
        assert!(table.contains("| `connect4` | ? | 861 |"), "{table}");
        assert!(table.contains("- sid: no report"), "{table}");
    }

    #[test]
    fn a_report_that_was_cut_off_is_none() {
        assert!(parse(&CONSOLE.replace("check-kernel: failed", "")).is_none());
    }
}
