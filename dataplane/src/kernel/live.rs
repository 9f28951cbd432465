//! The kernel's maps read one row at a time, as programs read them: for explanations.

use abi::{Addr, PodEntry, PodId};
use compile::policy::PolicyTables;

use super::KernelError;

/// Look-ups of who a packet is from and what its policies say.
pub trait Live: PolicyTables<Error = KernelError> {
    /// `LOCAL_PODS`: the pod of this node that has an address.
    ///
    /// # Errors
    ///
    /// The map cannot be read.
    fn pod_at(&self, addr: Addr) -> Result<Option<PodId>, KernelError>;

    /// `PODS`: its row, unless it was never used.
    ///
    /// # Errors
    ///
    /// The map cannot be read.
    fn pod(&self, id: PodId) -> Result<Option<PodEntry>, KernelError>;

    /// `NODE_ADDRS`: whether the node has an address.
    ///
    /// # Errors
    ///
    /// The map cannot be read.
    fn is_node_addr(&self, addr: Addr) -> Result<bool, KernelError>;
}
