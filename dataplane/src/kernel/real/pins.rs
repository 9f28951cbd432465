//! Pins: `<bpf-root>/ferrule/<layout-version>/<MAP or program>`, and the lock of one daemon a bpf-root.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use abi::maps::{MAPS, MapKind, MapSpec};
use abi::{IdKey, IdKind, LAYOUT_DIGEST, LAYOUT_VERSION};
use aya_obj::generated::bpf_map_type;

use super::maps::Table;
use super::{PROGRAMS, devices, filters, sys};
use crate::kernel::KernelError;

/// The pins of one bpf-root. While it lives, no other daemon works there.
#[derive(Debug)]
pub(super) struct Pins {
    root: PathBuf,
    dir: PathBuf,
    _lock: File,
}

/// Whether the maps under the pins can be gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing there: a first start.
    Nothing,
    /// All maps of this layout: adopt them.
    Ours,
    /// Something else: another layout, or a part.
    Other,
}

impl Pins {
    /// Takes the lock; nothing is pinned yet.
    pub(super) fn lock(bpf_root: &Path) -> Result<Self, KernelError> {
        let root = bpf_root.join("ferrule");
        let dir = root.join(LAYOUT_VERSION.to_string());
        make(&root)?;
        let lock_error = |source| KernelError::Lock { path: root.clone(), source };
        let lock = File::open(&root).map_err(lock_error)?;
        if !sys::try_lock(lock.as_fd()).map_err(lock_error)? {
            return Err(KernelError::Locked { path: root });
        }
        Ok(Self { root, dir, _lock: lock })
    }

    /// Whether anything of ours is pinned under a bpf-root.
    pub(super) fn exist(bpf_root: &Path) -> bool {
        bpf_root.join("ferrule").is_dir()
    }

    /// Makes the directory of this layout's pins.
    pub(super) fn make_dir(&self) -> Result<(), KernelError> {
        make(&self.dir)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Compares what is pinned with this build's layout.
    pub(super) fn find(&self) -> Result<Found, KernelError> {
        let present: Vec<&MapSpec> = MAPS.iter().filter(|spec| self.path(spec.name).exists()).collect();
        if present.is_empty() {
            return Ok(Found::Nothing);
        }
        if present.len() < MAPS.len() {
            return Ok(Found::Other);
        }
        for spec in present {
            if !self.is_as_specified(spec)? {
                return Ok(Found::Other);
            }
        }
        let path = self.path("IDS");
        let fd = sys::obj_get(&path).map_err(|source| KernelError::Pin { path, source })?;
        let ids: Table<IdKey, u32> = Table::new("IDS", fd)?;
        let layout = ids.get(&IdKey::new(IdKind::Layout, LAYOUT_DIGEST))?;
        Ok(if layout == Some(LAYOUT_VERSION) { Found::Ours } else { Found::Other })
    }

    fn is_as_specified(&self, spec: &MapSpec) -> Result<bool, KernelError> {
        let path = self.path(spec.name);
        let fail = |source| KernelError::Pin { path: path.clone(), source };
        let fd = sys::obj_get(&path).map_err(fail)?;
        let info = sys::map_info(fd.as_fd()).map_err(fail)?;
        Ok(info.map_type == spec.kind.kernel_type()
            && info.key_size == spec.key_bytes
            && info.value_size == spec.value_bytes
            && info.flags & MapKind::FLAGS == spec.kind.flags())
    }

    /// `IDS`, which no program reads, so that the object does not have it.
    pub(super) fn open_or_create_ids(&self, entries: u32) -> Result<OwnedFd, KernelError> {
        let path = self.path("IDS");
        if path.exists() {
            return sys::obj_get(&path).map_err(|source| KernelError::Pin { path, source });
        }
        let spec = abi::maps::spec("IDS").ok_or(KernelError::Missing("IDS"))?;
        let hash = bpf_map_type::BPF_MAP_TYPE_HASH;
        let fd = sys::map_create(hash, spec.key_bytes, spec.value_bytes, entries, None, b"IDS")
            .map_err(|source| KernelError::Write { map: "IDS", source })?;
        sys::obj_pin(fd.as_fd(), &path).map_err(|source| KernelError::Pin { path, source })?;
        Ok(fd)
    }

    /// Names of all pins.
    pub(super) fn names(&self) -> Result<Vec<String>, KernelError> {
        let paths = entries(&self.dir)?;
        Ok(paths.iter().filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }

    /// Takes one pin away; an absent one is gone already.
    pub(super) fn remove_pin(&self, name: &str) -> Result<(), KernelError> {
        remove(&self.path(name))
    }

    /// Takes the maps' pins away. Programs in force keep their maps until their links are updated.
    pub(super) fn remove_maps(&self) -> Result<(), KernelError> {
        for spec in MAPS {
            remove(&self.path(spec.name))?;
        }
        Ok(())
    }

    /// Takes everything out: links first, so that nothing is translated by programs whose maps go.
    pub(super) fn remove_all(self) -> Result<(), KernelError> {
        for program in PROGRAMS {
            remove(&self.path(program.name))?;
        }
        filters::remove_all();
        for name in self.names().unwrap_or_default() {
            if devices::PROGRAMS.iter().any(|program| name.starts_with(program)) {
                self.remove_pin(&name)?;
            }
        }
        for version in entries(&self.root)? {
            for pin in entries(&version)? {
                remove(&pin)?;
            }
            remove_dir(&version)?;
        }
        remove_dir(&self.root)
    }
}

/// Makes a directory that only its owner can open, and so lock: others could keep a daemon from starting.
fn make(dir: &Path) -> Result<(), KernelError> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(KernelError::Pin { path: dir.to_owned(), source })
        }
        // One that an earlier version made may be open to all.
        _ => fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
            .map_err(|source| KernelError::Pin { path: dir.to_owned(), source }),
    }
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, KernelError> {
    let fail = |source| KernelError::Pin { path: dir.to_owned(), source };
    fs::read_dir(dir).map_err(fail)?.map(|entry| entry.map(|e| e.path()).map_err(fail)).collect()
}

fn remove(path: &Path) -> Result<(), KernelError> {
    absent_is_fine(path, fs::remove_file(path))
}

fn remove_dir(path: &Path) -> Result<(), KernelError> {
    absent_is_fine(path, fs::remove_dir(path))
}

fn absent_is_fine(path: &Path, result: io::Result<()>) -> Result<(), KernelError> {
    match result {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(KernelError::Pin { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
