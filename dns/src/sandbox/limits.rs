//! Resource limits.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::{SandboxError, SandboxLimits};

/// Enough for every connection that the servers allow; a table of open files for more costs memory and gains nothing.
const MAX_OPEN_FILES: u64 = 65_536;

/// Sets them, hard limits too, given what of the memory is in use.
pub(super) fn apply(limits: &SandboxLimits, used_bytes: u64) -> Result<(), SandboxError> {
    let (_, hard) = get(Resource::RLIMIT_DATA)?;
    let limit_bytes = limits.memory_bytes.min(hard);
    if used_bytes > limit_bytes {
        return Err(SandboxError::MemoryLimit { limit_bytes, used_bytes });
    }
    set(Resource::RLIMIT_DATA, limit_bytes, limit_bytes)?;
    set(Resource::RLIMIT_CORE, 0, 0)?;
    let (soft, hard) = get(Resource::RLIMIT_NOFILE)?;
    set(Resource::RLIMIT_NOFILE, soft.max(hard.min(MAX_OPEN_FILES)), hard)
}

fn get(resource: Resource) -> Result<(u64, u64), SandboxError> {
    getrlimit(resource).map_err(|source| SandboxError::Limit { resource, source })
}

fn set(resource: Resource, soft: u64, hard: u64) -> Result<(), SandboxError> {
    setrlimit(resource, soft, hard).map_err(|source| SandboxError::Limit { resource, source })
}
