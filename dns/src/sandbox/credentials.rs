//! Ids, groups and capabilities.

use caps::{CapSet, Capability};
use nix::unistd::{Gid, Uid, getresuid, setgroups, setresgid, setresuid};

use super::SandboxError;

/// The kernel's overflow id (/proc/sys/kernel/overflowuid), which owns nothing.
const NOBODY: u32 = 65_534;

/// Leaves no capability in any set, and no id of root.
pub(super) fn drop_all() -> Result<(), SandboxError> {
    // Needs CAP_SETPCAP, which goes with root's uid. Who lacks it keeps the set, which no longer matters: without new privileges it bounds nothing.
    if has(Capability::CAP_SETPCAP)? {
        clear(CapSet::Bounding)?;
    }
    become_nobody()?;
    // The kernel emptied most of these with root's uid, but neither the inheritable set nor those of a caller that was not root.
    for set in [CapSet::Ambient, CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        clear(set)?;
    }
    Ok(())
}

fn become_nobody() -> Result<(), SandboxError> {
    let fails = |ids| move |source| SandboxError::Ids { ids, source };
    let now = getresuid().map_err(fails("the uid"))?;
    let is_root = [now.real, now.effective, now.saved].iter().any(|uid| uid.is_root());
    let may_change = has(Capability::CAP_SETUID)? && has(Capability::CAP_SETGID)?;
    if !is_root && !may_change {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    setgroups(&[]).map_err(fails("the groups"))?;
    setresgid(gid, gid, gid).map_err(fails("the gid"))?;
    setresuid(uid, uid, uid).map_err(fails("the uid"))
}

fn has(capability: Capability) -> Result<bool, SandboxError> {
    let set = CapSet::Effective;
    caps::has_cap(None, set, capability).map_err(|source| SandboxError::Capabilities { set, source })
}

fn clear(set: CapSet) -> Result<(), SandboxError> {
    caps::clear(None, set).map_err(|source| SandboxError::Capabilities { set, source })
}
