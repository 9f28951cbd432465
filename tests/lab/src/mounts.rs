//! Mounts of this machine: which there are, and the few that a lab makes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// One line of `/proc/self/mounts`.
#[derive(Clone, Debug)]
pub(crate) struct Mount {
    pub(crate) target: PathBuf,
    pub(crate) kind: String,
}

/// All mounts, in the order in which they were made.
pub(crate) fn list() -> Result<Vec<Mount>> {
    let text = fs::read_to_string("/proc/self/mounts").context("reading /proc/self/mounts")?;
    Ok(text
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let target = PathBuf::from(fields.next()?);
            let kind = fields.next()?.to_owned();
            Some(Mount { target, kind })
        })
        .collect())
}

/// Mounts a BPF file system of its own: pins in it vanish with [`detach`].
pub(crate) fn mount_bpffs(target: &Path) -> Result<()> {
    fs::create_dir_all(target).with_context(|| format!("creating {}", target.display()))?;
    let options = Some("mode=700");
    mount(Some("ferrule-lab"), target, Some("bpf"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, options)
        .with_context(|| format!("mounting bpffs at {}", target.display()))
}

/// Binds one file over another, as `ip netns add` does with a namespace.
pub(crate) fn bind(source: &Path, target: &Path) -> Result<()> {
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .with_context(|| format!("binding {} to {}", source.display(), target.display()))
}

/// Takes a mount out of the tree; what still uses it keeps it alive.
pub(crate) fn detach(target: &Path) -> Result<()> {
    umount2(target, MntFlags::MNT_DETACH).with_context(|| format!("unmounting {}", target.display()))
}

/// Detaches everything mounted below `dir`, the newest first.
pub(crate) fn detach_below(dir: &Path) -> Result<()> {
    for mount in list()?.iter().rev().filter(|m| m.target.starts_with(dir)) {
        detach(&mount.target)?;
    }
    Ok(())
}
