//! Children of this program, as their parent sees them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use nix::sys::signal::Signal;

/// A child that takes longer ends itself by SIGALRM, and its parent sees the end of its output.
pub(crate) const DEADLINE_SECS: u32 = 30;

/// What a child is asked to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) case: String,
    /// Who it is to be before it enters the sandbox.
    pub(crate) uid: Option<u32>,
    pub(crate) arg: Option<String>,
}

impl Request {
    /// `--case NAME UID|- [ARG]`.
    pub(crate) fn of(args: &[String]) -> Option<Self> {
        let [flag, case, uid, rest @ ..] = args else { return None };
        (flag == "--case").then(|| Self {
            case: case.clone(),
            uid: uid.parse().ok(),
            arg: rest.first().cloned(),
        })
    }

    pub(crate) fn new(case: &str) -> Self {
        Self { case: case.to_owned(), uid: None, arg: None }
    }

    pub(crate) fn with(self, arg: impl ToString) -> Self {
        Self { arg: Some(arg.to_string()), ..self }
    }

    pub(crate) fn by_user(self, uid: u32) -> Self {
        Self { uid: Some(uid), ..self }
    }

    /// This program again.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("--case").arg(&self.case).arg(self.uid.map_or("-".to_owned(), |uid| uid.to_string()));
        command.args(&self.arg).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self) -> Ended {
        let output = self.command().output().unwrap();
        Ended {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts it and goes on when it says that it is inside.
    pub(crate) fn start(&self) -> Running {
        let mut process = self.command().stdin(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        // Taken, because waiting for a process closes its input.
        let stdin = process.stdin.take();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let mut running = Running { process, stdin, stdout };
        assert_eq!(running.line(), "entered");
        running
    }
}

/// A child that ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Asserts that it came to its own end.
    pub(crate) fn expect_ok(self) -> Self {
        assert!(self.status.success(), "{self}");
        self
    }

    /// Asserts that a signal ended it.
    pub(crate) fn expect_killed_by(self, signal: Signal) -> Self {
        assert_eq!(self.status.signal(), Some(signal as i32), "{self}");
        self
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n{}\n{}", self.status, self.stdout, self.stderr)
    }
}

/// A child that is inside and waits for a line.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) process: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    /// What it says next.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Lets it go on, and reads all that it says.
    pub(crate) fn go_on(&mut self) -> String {
        writeln!(self.stdin.take().unwrap(), "go on").unwrap();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        rest
    }

    /// Its /proc/PID/NAME.
    pub(crate) fn proc(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.process.id())
    }

    /// Lines of /proc/PID/status, with words a space apart.
    pub(crate) fn status(&self) -> BTreeMap<String, String> {
        let text = fs::read_to_string(self.proc("status")).unwrap();
        let words = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ");
        text.lines().filter_map(|l| l.split_once(':')).map(|(k, v)| (k.to_owned(), words(v))).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Some lines of a status, as a text to compare.
pub(crate) fn lines(status: &BTreeMap<String, String>, names: &[&str]) -> String {
    names.iter().fold(String::new(), |mut text, name| {
        let value = status.get(*name).map_or("absent", String::as_str);
        writeln!(text, "{name} {value}").unwrap();
        text
    })
}
