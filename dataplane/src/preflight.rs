//! What can be checked before a start touches anything.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::statfs::statfs;

use crate::start_error::StartError;

/// `BPF_FS_MAGIC` (linux/magic.h).
const BPFFS: i64 = 0xcafe_4a11;
/// `CGROUP2_SUPER_MAGIC` (linux/magic.h).
const CGROUP2: i64 = 0x6367_7270;

const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// BPF, NET_ADMIN and PERFMON are in force (SYS_ADMIN stands for the first and the last, Linux 5.8).
///
/// # Errors
///
/// The names of those that are missing.
pub fn capabilities() -> Result<(), StartError> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    match missing_capabilities(&status) {
        missing if missing.is_empty() => Ok(()),
        missing => Err(StartError::Privileges { missing: missing.join(", ") }),
    }
}

fn missing_capabilities(status: &str) -> Vec<&'static str> {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    let has = |cap: u32| effective >> cap & 1 == 1;
    let wanted = [
        ("CAP_BPF", has(CAP_BPF) || has(CAP_SYS_ADMIN)),
        ("CAP_NET_ADMIN", has(CAP_NET_ADMIN)),
        ("CAP_PERFMON", has(CAP_PERFMON) || has(CAP_SYS_ADMIN)),
    ];
    wanted.iter().filter(|(_, has)| !has).map(|(name, _)| *name).collect()
}

/// The node's name: the one given, else the host's; trimmed and in lower case as kube-proxy does it.
///
/// # Errors
///
/// There is none.
pub fn node_name(given: Option<&str>) -> Result<Arc<str>, StartError> {
    let name = match given {
        Some(name) => name.to_owned(),
        None => nix::unistd::gethostname()
            .ok()
            .and_then(|name| name.into_string().ok())
            .ok_or(StartError::NoNodeName)?,
    };
    let name = name.trim().to_lowercase();
    if name.is_empty() { Err(StartError::NoNodeName) } else { Ok(name.into()) }
}

/// The directory is on a bpffs.
///
/// # Errors
///
/// It is not, or does not exist.
pub fn bpffs(path: &Path) -> Result<(), StartError> {
    if is_on(path, BPFFS) { Ok(()) } else { Err(StartError::NoBpffs { path: path.to_owned() }) }
}

/// The cgroup v2 directory to serve: the one given, else the hierarchy's root as mounted.
///
/// # Errors
///
/// None is mounted; the one given is no cgroup v2; the one found is not the hierarchy's root but a container's.
pub fn cgroup_root(given: Option<&Path>) -> Result<PathBuf, StartError> {
    if let Some(path) = given {
        return if is_on(path, CGROUP2) && path.is_dir() {
            Ok(path.to_owned())
        } else {
            Err(StartError::NotCgroup { path: path.to_owned() })
        };
    }
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let found = cgroup2_mount(&mounts).ok_or(StartError::NoCgroup)?;
    // The root of the hierarchy has inode 1; a cgroup namespace shows another directory as "/".
    match std::fs::metadata(&found) {
        Ok(metadata) if metadata.ino() == 1 => Ok(found),
        Ok(_) | Err(_) => Err(StartError::NotCgroupRoot { path: found }),
    }
}

fn cgroup2_mount(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(path.replace("\\040", " ")))
    })
}

fn is_on(path: &Path, magic: i64) -> bool {
    statfs(path).is_ok_and(|fs| fs.filesystem_type().0 == magic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_capabilities_are_named() {
        let status = |caps: u64| format!("Name:\tx\nCapEff:\t{caps:016x}\n");
        assert_eq!(missing_capabilities(&status(0)), ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"]);
        assert_eq!(missing_capabilities(&status(1 << 39 | 1 << 12)), ["CAP_PERFMON"]);
        assert_eq!(missing_capabilities(&status(1 << 21 | 1 << 12)), [""; 0]);
        assert_eq!(missing_capabilities(""), ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"]);
    }

    #[test]
    fn the_cgroup_v2_mount_is_found_among_others() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/uni\\040fied cgroup2 rw 0 0\n";
        assert_eq!(cgroup2_mount(mounts), Some(PathBuf::from("/sys/fs/cgroup/uni fied")));
        assert_eq!(cgroup2_mount("tmpfs / tmpfs rw 0 0\n"), None);
    }

    #[test]
    fn a_directory_that_is_no_bpffs_is_refused_with_the_command_that_mounts_one() {
        let error = bpffs(Path::new("/proc")).unwrap_err().to_string();
        assert!(error.contains("mount -t bpf bpf /proc"), "{error}");
        assert!(bpffs(Path::new("/does/not/exist")).is_err());
    }

    #[test]
    fn a_directory_that_is_no_cgroup_is_refused() {
        assert!(matches!(cgroup_root(Some(Path::new("/proc"))), Err(StartError::NotCgroup { .. })));
    }

    #[test]
    fn node_names_are_trimmed_and_in_lower_case() {
        assert_eq!(&*node_name(Some(" Node-1\n")).unwrap(), "node-1");
        assert!(matches!(node_name(Some(" ")), Err(StartError::NoNodeName)));
    }
}
