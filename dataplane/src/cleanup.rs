//! `ferrule cleanup`: takes everything of ours out of the kernel.

use std::path::{Path, PathBuf};

use crate::dns::{addresses, handover};
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

/// Ends the DNS process that a daemon left, and takes its addresses away.
///
/// # Errors
///
/// What could not be removed.
pub async fn run_dns(state_dir: &Path) -> Result<Cleaned, DnsCleanupError> {
    let has_ended = handover::end_all(state_dir)
        .await
        .map_err(|source| DnsCleanupError::Socket { path: state_dir.to_owned(), source })?;
    let had_addresses = addresses::take_away(state_dir).await?;
    Ok(if has_ended || had_addresses { Cleaned::Removed } else { Cleaned::Nothing })
}

/// Why something of DNS is still there.
#[derive(Debug, thiserror::Error)]
pub enum DnsCleanupError {
    /// A socket file cannot be removed.
    #[error("sockets in {}: {source}", path.display())]
    Socket {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An address cannot be removed.
    #[error(transparent)]
    Address(#[from] addresses::AddressError),
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
