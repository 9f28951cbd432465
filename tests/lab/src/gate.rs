//! Lets nothing new be made while a lab is taken away.

use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::client::lock;
use crate::process::Process;

/// How long a killed child may take to be collected.
const COLLECT_LIMIT: Duration = Duration::from_secs(5);

/// Everything that makes a namespace, a cgroup, a mount or a process passes it first.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    closed: RwLock<bool>,
    children: Mutex<Vec<Arc<Process>>>,
}

/// While it is held the lab stays.
pub(crate) struct Open<'a> {
    gate: &'a Gate,
    _guard: RwLockReadGuard<'a, bool>,
}

impl Gate {
    /// # Errors
    ///
    /// The lab is being taken away.
    pub(crate) fn pass(&self) -> Result<Open<'_>> {
        let guard = self.closed.read().unwrap_or_else(PoisonError::into_inner);
        ensure!(!*guard, "the lab is being taken away");
        Ok(Open { gate: self, _guard: guard })
    }

    /// Closes for good; waits for those who are inside. Returns whether this call was the one that closed.
    pub(crate) fn close(&self) -> bool {
        let mut closed = self.closed.write().unwrap_or_else(PoisonError::into_inner);
        !std::mem::replace(&mut *closed, true)
    }

    /// Collects the children, which have been killed, so that none is left as a zombie.
    pub(crate) fn collect_children(&self) -> Result<()> {
        for child in std::mem::take(&mut *lock(&self.children)) {
            child.wait(COLLECT_LIMIT)?;
        }
        Ok(())
    }
}

impl Open<'_> {
    /// Has the child collected at the end.
    pub(crate) fn remember(&self, child: &Arc<Process>) {
        let mut children = lock(&self.gate.children);
        children.retain(|known| !known.has_ended());
        children.push(Arc::clone(child));
    }
}
