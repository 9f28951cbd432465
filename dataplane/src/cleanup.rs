//! `ferrule cleanup`: takes everything of ours out of the kernel.

use std::path::Path;

use crate::kernel::KernelError;
use crate::kernel::real;

/// What was found and removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleaned {
    /// Links and maps were removed.
    Removed,
    /// There was nothing of ours.
    Nothing,
}

/// Removes links and maps under the bpf-root, and the admin socket. Doing it again is safe.
///
/// # Errors
///
/// [`KernelError::Locked`] while a daemon runs there; else the pin or file that could not be removed.
pub fn run(bpf_root: &Path, state_dir: &Path) -> Result<Cleaned, KernelError> {
    let removed = real::remove_everything(bpf_root)?;
    let socket = state_dir.join(crate::admin::SOCKET_NAME);
    match std::fs::remove_file(&socket) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            return Err(KernelError::Pin { path: socket, source });
        }
        _ => {}
    }
    Ok(if removed { Cleaned::Removed } else { Cleaned::Nothing })
}
