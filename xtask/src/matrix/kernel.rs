//! Kernels from Debian's archive, without installing them: a package list of our own, a download, an unpacking.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cached;
use crate::{say, toolchain};

const ARCHIVE: &str = "http://deb.debian.org/debian";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The `vmlinuz` of a release's current cloud kernel.
pub(super) fn fetch(cache: &Path, suite: &str) -> Result<PathBuf, String> {
    let dir = cached(cache, suite)?;
    if let Some(found) = vmlinuz(&dir) {
        return Ok(found);
    }
    say(&format!("fetching the kernel of {suite}"));
    let apt = Apt::new(&dir, suite)?;
    toolchain::run(apt.command("apt-get").args(["update", "-q"]))?;
    let package = apt
        .dependency("linux-image-cloud-amd64", "linux-image-")?
        .ok_or_else(|| format!("linux-image-cloud-amd64 of {suite} depends on no kernel"))?;
    // Newer releases keep the image itself in a package that this one depends on.
    let package = apt.dependency(&package, "linux-binary-")?.unwrap_or(package);
    toolchain::run(apt.command("apt-get").args(["download", "-q", &package]).current_dir(&dir))?;
    let deb = files(&dir)
        .into_iter()
        .find(|f| f.extension().is_some_and(|e| e == "deb"))
        .ok_or_else(|| format!("no package in {}", dir.display()))?;
    toolchain::run(Command::new("dpkg").arg("-x").arg(&deb).arg(dir.join("root")))?;
    vmlinuz(&dir).ok_or_else(|| format!("no vmlinuz in {package}"))
}

/// `boot/vmlinuz-VERSION`, or in newer releases `usr/lib/modules/VERSION/vmlinuz`.
fn vmlinuz(dir: &Path) -> Option<PathBuf> {
    let in_boot = files(&dir.join("root/boot")).into_iter();
    let in_modules = files(&dir.join("root/usr/lib/modules")).into_iter().flat_map(|version| files(&version));
    in_boot.chain(in_modules).find(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name == "vmlinuz" || (name.starts_with("vmlinuz-") && !name.ends_with(".log"))
    })
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok).map(|e| e.path()).collect();
    files.sort();
    files
}

/// apt with lists and cache of its own.
struct Apt {
    options: Vec<String>,
}

impl Apt {
    fn new(dir: &Path, suite: &str) -> Result<Self, String> {
        let lists = cached(dir, "lists")?;
        cached(&lists, "partial")?;
        let archives = cached(dir, "cache")?;
        let sources = dir.join("sources.list");
        fs::write(&sources, format!("deb [signed-by={KEYRING}] {ARCHIVE} {suite} main\n"))
            .map_err(|e| format!("{}: {e}", sources.display()))?;
        let options = [
            format!("Dir::State::lists={}", lists.display()),
            format!("Dir::Cache={}", archives.display()),
            format!("Dir::Etc::sourcelist={}", sources.display()),
            "Dir::Etc::sourceparts=-".to_owned(),
            // The download is by root and for root.
            "APT::Sandbox::User=root".to_owned(),
            // Old releases' lists say that they are no longer valid.
            "Acquire::Check-Valid-Until=false".to_owned(),
        ];
        Ok(Self { options: options.to_vec() })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for option in &self.options {
            command.args(["-o", option]);
        }
        command
    }

    /// The first dependency of a package whose name begins so.
    fn dependency(&self, package: &str, prefix: &str) -> Result<Option<String>, String> {
        let mut command = self.command("apt-cache");
        let done = command.args(["depends", package]).output().map_err(|e| format!("apt-cache: {e}"))?;
        let depends = String::from_utf8_lossy(&done.stdout).into_owned();
        let mut names = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        Ok(names.find(|name| name.starts_with(prefix)).map(str::to_owned))
    }
}
