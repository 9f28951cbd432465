//! The content of the kernel maps as values: what a start reads back, and the whole state of an in-memory kernel.

use std::collections::BTreeMap;

use abi::{
    Addr, BackendEntry, BackendId, CidrKey, FrontendKey, FrontendValue, IdKey, NodeAddrValue, ServiceEntry,
    ServiceId,
};

use crate::Op;
use crate::policy::PolicyDump;
use crate::subjects::SubjectDump;

/// All maps that the sync loop writes. Elements of arrays that are all zero are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// `FRONTENDS`.
    pub frontends: BTreeMap<FrontendKey, FrontendValue>,
    /// `SERVICE_CIDRS`.
    pub service_cidrs: BTreeMap<CidrKey, u32>,
    /// `SERVICES`, used elements.
    pub services: BTreeMap<ServiceId, ServiceEntry>,
    /// `SLOTS`, elements inside the sets of `services`.
    pub slots: BTreeMap<u32, BackendId>,
    /// `BACKENDS`, used elements: gone ones too, for their generations.
    pub backends: BTreeMap<BackendId, BackendEntry>,
    /// `NODE_ADDRS`.
    pub node_addrs: BTreeMap<Addr, NodeAddrValue>,
    /// `IDS`.
    pub ids: BTreeMap<IdKey, u32>,
    /// The maps of NetworkPolicy.
    pub policy: PolicyDump,
    /// The maps of pods and devices.
    pub subjects: SubjectDump,
}

impl Dump {
    /// Does what the kernel does with one write.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::PutFrontend(key, value) => drop(self.frontends.insert(*key, *value)),
            Op::DeleteFrontend(key) => drop(self.frontends.remove(key)),
            Op::PutServiceCidr(key) => drop(self.service_cidrs.insert(*key, 1)),
            Op::DeleteServiceCidr(key) => drop(self.service_cidrs.remove(key)),
            Op::PutService(id, entry) => drop(self.services.insert(*id, *entry)),
            Op::PutSlots { base, backends } => {
                self.slots.extend((*base..).zip(backends.iter().copied()));
            }
            Op::PutBackend(id, entry) => drop(self.backends.insert(*id, *entry)),
            Op::PutNodeAddr(addr, value) => drop(self.node_addrs.insert(*addr, *value)),
            Op::DeleteNodeAddr(addr) => drop(self.node_addrs.remove(addr)),
            Op::PutId(key, id) => drop(self.ids.insert(*key, *id)),
            Op::DeleteId(key) => drop(self.ids.remove(key)),
            Op::Policy(op) => self.policy.apply(op),
            Op::Subject(op) => self.subjects.apply(op),
            Op::ResetServiceStats(_) | Op::ResetBackendStats(_) => {}
        }
    }
}
