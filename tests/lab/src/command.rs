//! Programs of the machine, run where a lab wants them and read to their end.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::unistd::pipe2;

use crate::client::dev_null;
use crate::place::Place;
use crate::process::Exit;

/// How long a command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);
/// How long a killed command may take to be collected.
const KILLED_LIMIT: Duration = Duration::from_secs(5);

/// Debian's packages of the programs that tests run.
const PACKAGES: &[(&str, &str)] =
    &[("dig", "bind9-dnsutils"), ("getent", "libc-bin"), ("musl-gcc", "musl-tools")];

/// What a command printed and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit code; nothing after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Whether it ended with exit code zero.
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }
}

impl Place {
    /// Runs a program of the machine here, by its name or path and with its arguments.
    pub(crate) fn run(&self, command: &[&str]) -> Result<Output> {
        let (program, args) = command.split_first().context("a command without a program")?;
        self.run_program(&find_program(program)?, args.iter().map(OsString::from).collect())
    }

    /// Runs a program here and reads what it prints. One that takes too long is killed and is an error.
    pub(crate) fn run_program(&self, program: &Path, args: Vec<OsString>) -> Result<Output> {
        let (stdout, their_stdout) = pipe2(OFlag::O_CLOEXEC)?;
        let (stderr, their_stderr) = pipe2(OFlag::O_CLOEXEC)?;
        let stdin = dev_null()?;
        let stdio = [stdin.as_fd(), their_stdout.as_fd(), their_stderr.as_fd()];
        let child = self.start(program, args, stdio)?;
        drop((their_stdout, their_stderr));
        thread::scope(|scope| {
            let stdout = scope.spawn(|| read_all(File::from(stdout)));
            let stderr = scope.spawn(|| read_all(File::from(stderr)));
            let exit = child.try_wait(COMMAND_LIMIT)?;
            if exit.is_none() {
                child.signal(Signal::SIGKILL)?;
                child.wait(KILLED_LIMIT)?;
            }
            let read = |reader: thread::ScopedJoinHandle<'_, Result<String>>| {
                reader.join().map_err(|_| anyhow!("a reading thread panicked"))?
            };
            let (stdout, stderr) = (read(stdout)?, read(stderr)?);
            let code = match exit {
                Some(Exit::Code(code)) => Some(code),
                Some(Exit::Signal) => None,
                None => bail!(
                    "{} in {} still ran after {COMMAND_LIMIT:?} and had printed\n{stdout}{stderr}",
                    program.display(),
                    self.name
                ),
            };
            Ok(Output { code, stdout, stderr })
        })
    }
}

/// The file of a program: the path itself, or the first in PATH of that name.
pub(crate) fn find_program(name: &str) -> Result<PathBuf> {
    if name.contains('/') {
        return Ok(name.into());
    }
    let path = std::env::var_os("PATH").context("there is no PATH")?;
    if let Some(found) = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file()) {
        return Ok(found);
    }
    match PACKAGES.iter().find(|(program, _)| *program == name) {
        Some((_, package)) => bail!("this machine lacks {name}: apt-get install {package}"),
        None => bail!("this machine lacks {name}"),
    }
}

fn read_all(mut pipe: File) -> Result<String> {
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes).context("reading what a command printed")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named() {
        let error = find_program("no-such-program").unwrap_err().to_string();
        assert!(error.contains("no-such-program"), "{error}");
        assert!(find_program("sh").unwrap().is_absolute());
    }
}
