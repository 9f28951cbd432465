//! Look-ups in the maps in memory.

use abi::{
    Addr, Identity, PodEntry, PodId, PolicyKey, PolicyValue, Port, PortClassId, PortClassValue, Protocol,
};
use compile::policy::PolicyTables;

use super::Fake;
use crate::kernel::KernelError;
use crate::kernel::live::Live;

impl PolicyTables for Fake {
    type Error = KernelError;

    fn identity(&self, addr: Addr) -> Result<Option<Identity>, KernelError> {
        let Ok(found) = self.dump.policy.rows().identity(addr);
        Ok(found)
    }

    fn identity_of_block(&self, addr: Addr) -> Result<Option<Identity>, KernelError> {
        let Ok(found) = self.dump.policy.rows().identity_of_block(addr);
        Ok(found)
    }

    fn verdict(&self, key: PolicyKey) -> Result<Option<PolicyValue>, KernelError> {
        let Ok(found) = self.dump.policy.rows().verdict(key);
        Ok(found)
    }

    fn ports(
        &self,
        class: PortClassId,
        protocol: Protocol,
        port: Port,
    ) -> Result<Option<PortClassValue>, KernelError> {
        let Ok(found) = self.dump.policy.rows().ports(class, protocol, port);
        Ok(found)
    }
}

impl Live for Fake {
    fn pod_at(&self, addr: Addr) -> Result<Option<PodId>, KernelError> {
        Ok(self.dump.subjects.local_pods.get(&addr).copied())
    }

    fn pod(&self, id: PodId) -> Result<Option<PodEntry>, KernelError> {
        Ok(self.dump.subjects.pods.get(&id).copied())
    }

    fn is_node_addr(&self, addr: Addr) -> Result<bool, KernelError> {
        Ok(self.dump.node_addrs.contains_key(&addr))
    }
}
