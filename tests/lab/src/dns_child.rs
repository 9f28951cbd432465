//! The daemon's DNS process, which tests kill and stop.

use std::fs;

use anyhow::{Context, Result};

use crate::client::lock;
use crate::node::Node;

/// How the process is called, after the program itself.
const ARGUMENTS: [&str; 2] = ["dns", "child"];

impl Node {
    /// Process id of `ferrule dns child` in the node's cgroups; nothing when none runs. While one hands over to the
    /// next it is the one whose parent is the daemon.
    ///
    /// # Errors
    ///
    /// The cgroups could not be read.
    pub fn ferrule_child_pid(&self) -> Result<Option<i32>> {
        let mut children = Vec::new();
        for cgroup in self.cgroup().tree()? {
            children.extend(cgroup.processes()?.into_iter().filter(|pid| is_dns_child(*pid)));
        }
        let daemon = lock(self.daemon()).as_ref().map(|daemon| daemon.pid());
        let of_daemon = children.iter().find(|pid| daemon.is_some() && parent_of(**pid).ok() == daemon);
        Ok(of_daemon.or(children.first()).copied())
    }
}

/// A process that has ended meanwhile is none.
fn is_dns_child(pid: i32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|command_line| names_dns_child(&command_line))
}

/// Whether the arguments, each ended by a zero byte, have the program `ferrule` and the subcommand one after another.
fn names_dns_child(command_line: &[u8]) -> bool {
    let arguments: Vec<_> = command_line.split(|byte| *byte == 0).collect();
    arguments.windows(3).any(|three| {
        let program = three[0].rsplit(|byte| *byte == b'/').next();
        program == Some(b"ferrule") && three[1..] == ARGUMENTS.map(str::as_bytes)
    })
}

/// The parent, from the line `PPid:` of `/proc/<pid>/status`.
fn parent_of(pid: i32) -> Result<i32> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).context("a status without PPid")?;
    line.trim().parse().with_context(|| format!("reading {line:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dns_child_is_known_by_its_arguments() {
        assert!(names_dns_child(b"/usr/bin/ferrule\0dns\0child\0--fd\x003\0"));
        assert!(names_dns_child(b"ferrule\0dns\0child\0"));
        assert!(!names_dns_child(b"/usr/bin/ferrule\0dns\0serve\0"));
        assert!(!names_dns_child(b"/usr/bin/ferrule\0run\0--manifests\0dns\0child\0"));
        assert!(!names_dns_child(b"not-ferrule\0dns\0child\0"));
        assert!(!names_dns_child(b""));
    }

    #[test]
    fn a_process_knows_its_parent() {
        let parent = std::os::unix::process::parent_id().cast_signed();
        assert_eq!(parent_of(std::process::id().cast_signed()).unwrap(), parent);
    }
}
