//! The maps that packets are judged by, read row by row.

use std::os::fd::OwnedFd;

use abi::{
    Addr, CidrKey, Identity, NodeAddrValue, PodEntry, PodId, PolicyKey, PolicyValue, Port, PortClassId,
    PortClassKey, PortClassValue, Protocol,
};
use compile::policy::PolicyTables;

use super::maps::Table;
use crate::kernel::KernelError;
use crate::kernel::live::Live;

/// Bits of the key that finds the longest prefix of an address.
const WHOLE_ADDR: u32 = 128;

/// Handles on the maps. They read and never write.
pub(super) struct LiveMaps {
    identities: Table<Addr, Identity>,
    identity_cidrs: Table<CidrKey, Identity>,
    verdicts: Table<PolicyKey, PolicyValue>,
    port_classes: Table<PortClassKey, PortClassValue>,
    local_pods: Table<Addr, PodId>,
    pods: Table<PodId, PodEntry>,
    node_addrs: Table<Addr, NodeAddrValue>,
}

impl LiveMaps {
    pub(super) fn open(
        open: impl Fn(&'static str) -> Result<OwnedFd, KernelError>,
    ) -> Result<Self, KernelError> {
        Ok(Self {
            identities: Table::new("IDENTITIES", open("IDENTITIES")?)?,
            identity_cidrs: Table::new("IDENTITY_CIDRS", open("IDENTITY_CIDRS")?)?,
            verdicts: Table::new("POLICY", open("POLICY")?)?,
            port_classes: Table::new("PORT_CLASSES", open("PORT_CLASSES")?)?,
            local_pods: Table::new("LOCAL_PODS", open("LOCAL_PODS")?)?,
            pods: Table::new("PODS", open("PODS")?)?,
            node_addrs: Table::new("NODE_ADDRS", open("NODE_ADDRS")?)?,
        })
    }
}

impl PolicyTables for LiveMaps {
    type Error = KernelError;

    fn identity(&self, addr: Addr) -> Result<Option<Identity>, KernelError> {
        self.identities.get(&addr)
    }

    /// A look-up in a trie finds the longest prefix, from user space too.
    fn identity_of_block(&self, addr: Addr) -> Result<Option<Identity>, KernelError> {
        self.identity_cidrs.get(&CidrKey::new(addr, WHOLE_ADDR))
    }

    fn verdict(&self, key: PolicyKey) -> Result<Option<PolicyValue>, KernelError> {
        self.verdicts.get(&key)
    }

    fn ports(
        &self,
        class: PortClassId,
        protocol: Protocol,
        port: Port,
    ) -> Result<Option<PortClassValue>, KernelError> {
        self.port_classes.get(&PortClassKey::lookup(class, protocol, port))
    }
}

impl Live for LiveMaps {
    fn pod_at(&self, addr: Addr) -> Result<Option<PodId>, KernelError> {
        self.local_pods.get(&addr)
    }

    fn pod(&self, id: PodId) -> Result<Option<PodEntry>, KernelError> {
        let entry = self.pods.get(&id)?;
        Ok(entry.filter(|entry| *entry != PodEntry::gone(abi::Generation(0))))
    }

    fn is_node_addr(&self, addr: Addr) -> Result<bool, KernelError> {
        Ok(self.node_addrs.get(&addr)?.is_some())
    }
}
