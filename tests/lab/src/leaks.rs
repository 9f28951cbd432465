//! What a lab could leave on a machine: lines to compare before and after.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};

use crate::bpf::{self, Kind};
use crate::cgroup::Cgroup;
use crate::{mounts, netns, registry};

/// Everything of labs, and every program, map, link and interface of this machine, sorted. Without ids and times, so
/// that two lists are equal when nothing was added; what exists several times says how often.
///
/// # Errors
///
/// A list could not be read; the kernel's lists of BPF objects need CAP_SYS_ADMIN.
pub fn list() -> Result<Vec<String>> {
    let mut lines = Vec::new();
    lines.extend(
        netns::names()?.into_iter().filter(|n| n.starts_with("flab-")).map(|n| format!("namespace {n}")),
    );
    lines.extend(files(Path::new(registry::RUN))?);
    lines.extend(cgroups_and_processes()?);
    let ours = |target: &Path| target.starts_with(registry::RUN) || target.starts_with(netns::DIRECTORY);
    let mounts = mounts::list()?;
    lines.extend(mounts.iter().filter(|m| ours(&m.target)).map(|m| format!("mount {}", m.target.display())));
    let interfaces = nix::net::if_::if_nameindex().context("listing interfaces")?;
    lines.extend(interfaces.iter().map(|link| format!("interface {}", link.name().to_string_lossy())));
    for kind in Kind::ALL {
        for object in bpf::list(kind)? {
            lines.push(
                format!("{} type {} {}", kind.as_str(), object.object_type, object.name)
                    .trim_end()
                    .to_owned(),
            );
        }
    }
    Ok(count_equal(lines))
}

/// Links on cgroups, their programs, and the maps of those: what a daemon has in the kernel. By ids, which are not used
/// again, so that whatever others load meanwhile does not matter.
#[derive(Clone, Debug, Default)]
pub struct Footprint {
    links: BTreeSet<u32>,
    programs: BTreeSet<u32>,
    maps: BTreeSet<u32>,
}

impl Footprint {
    /// Adds what is attached to a cgroup and those below it.
    ///
    /// # Errors
    ///
    /// The kernel's lists could not be read.
    pub fn add(&mut self, cgroup: &Cgroup) -> Result<()> {
        let cgroups = cgroup.tree()?.iter().map(Cgroup::id).collect::<Result<BTreeSet<_>>>()?;
        for link in bpf::list(Kind::Link)? {
            if let Some(attached) = link.attached.filter(|attached| cgroups.contains(&attached.cgroup)) {
                self.links.insert(link.id);
                self.programs.insert(attached.program);
            }
        }
        for program in bpf::list(Kind::Program)? {
            if self.programs.contains(&program.id) {
                self.maps.extend(program.maps);
            }
        }
        Ok(())
    }

    /// What of it is still there.
    ///
    /// # Errors
    ///
    /// The kernel's lists could not be read.
    pub fn remaining(&self) -> Result<Self> {
        let still = |known: &BTreeSet<u32>, kind| Ok::<_, anyhow::Error>(known & &bpf::ids(kind)?);
        Ok(Self {
            links: still(&self.links, Kind::Link)?,
            programs: still(&self.programs, Kind::Program)?,
            maps: still(&self.maps, Kind::Map)?,
        })
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty() && self.programs.is_empty() && self.maps.is_empty()
    }
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} links, {} programs, {} maps", self.links.len(), self.programs.len(), self.maps.len())
    }
}

fn files(dir: &Path) -> Result<Vec<String>> {
    match fs::read_dir(dir) {
        Ok(entries) => {
            Ok(entries.flatten().map(|entry| format!("directory {}", entry.path().display())).collect())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("listing {}", dir.display())),
    }
}

fn cgroups_and_processes() -> Result<Vec<String>> {
    let labs = Cgroup::of_all_labs()?;
    if !labs.exists() {
        return Ok(Vec::new());
    }
    let mut lines = Vec::new();
    for cgroup in labs.tree()? {
        let path = cgroup.path().display().to_string();
        for process in cgroup.processes()? {
            lines.push(format!("process {} in {path}", command_of(process)));
        }
        lines.push(format!("cgroup {path}"));
    }
    Ok(lines)
}

fn command_of(process: i32) -> String {
    fs::read_to_string(format!("/proc/{process}/comm"))
        .map_or_else(|_| "?".to_owned(), |name| name.trim_end().to_owned())
}

fn count_equal(lines: Vec<String>) -> Vec<String> {
    let mut counts = BTreeMap::<String, usize>::new();
    for line in lines {
        *counts.entry(line).or_default() += 1;
    }
    counts
        .into_iter()
        .map(|(line, count)| if count == 1 { line } else { format!("{line} ({count} times)") })
        .collect()
}
