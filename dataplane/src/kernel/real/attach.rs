//! Links of the socket programs to the cgroup: adopted, updated in place, or made.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use aya_obj::generated::bpf_link_type;

use super::{ProgramSpec, sys};
use crate::kernel::KernelError;

/// The cgroup that the programs are attached to.
#[derive(Debug)]
pub(super) struct Cgroup {
    dir: File,
    /// The kernel's id of the cgroup: the inode's number in cgroup v2 (Linux 5.5).
    id: u64,
    /// Depth below the root of the hierarchy, which has level 0.
    pub(super) level: u32,
}

impl Cgroup {
    pub(super) fn open(path: &Path) -> Result<Self, KernelError> {
        let fail = |source| KernelError::Cgroup { path: path.to_owned(), source };
        let dir = File::open(path).map_err(fail)?;
        let id = dir.metadata().map_err(fail)?.ino();
        Ok(Self { dir, id, level: level_of(path).map_err(fail)? })
    }
}

/// How many directories of the hierarchy lie above a cgroup.
fn level_of(path: &Path) -> io::Result<u32> {
    let path = path.canonicalize()?;
    let device = path.metadata()?.dev();
    let mut level = 0;
    for above in path.ancestors().skip(1) {
        if above.metadata()?.dev() != device {
            break;
        }
        level += 1;
    }
    Ok(level)
}

/// Puts a program in force under the pin: updates the link there if it is the right one, else makes a new link before
/// the old one goes, so that there is no moment without either.
pub(super) fn put_in_force(
    spec: &ProgramSpec,
    program: BorrowedFd<'_>,
    cgroup: &Cgroup,
    pin: &Path,
) -> Result<(), KernelError> {
    let attach_error = |source| KernelError::Attach { program: spec.name, source };
    if let Some(link) = adoptable(spec, cgroup, pin)
        && sys::link_update(link.as_fd(), program).is_ok()
    {
        return Ok(());
    }
    let link =
        sys::link_create_cgroup(program, cgroup.dir.as_fd(), spec.attach_type).map_err(attach_error)?;
    match std::fs::remove_file(pin) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(KernelError::Pin { path: pin.to_owned(), source });
        }
        _ => {}
    }
    sys::obj_pin(link.as_fd(), pin).map_err(|source| KernelError::Pin { path: pin.to_owned(), source })
}

/// Whether the pinned link exists and is of this hook and cgroup.
pub(super) fn is_in_force(spec: &ProgramSpec, cgroup: &Cgroup, pin: &Path) -> bool {
    adoptable(spec, cgroup, pin).is_some()
}

fn adoptable(spec: &ProgramSpec, cgroup: &Cgroup, pin: &Path) -> Option<OwnedFd> {
    let link = sys::obj_get(pin).ok()?;
    let info = sys::cgroup_link_info(link.as_fd()).ok()?;
    let is_ours = info.link_type == bpf_link_type::BPF_LINK_TYPE_CGROUP as u32
        && info.attach_type == spec.attach_type
        && info.cgroup_id == cgroup.id;
    is_ours.then_some(link)
}
