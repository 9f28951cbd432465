//! The writes that a plan is made of.

use abi::{
    Addr, BackendEntry, BackendId, CidrKey, FrontendKey, FrontendValue, IdKey, NodeAddrValue, ServiceEntry,
    ServiceId,
};

use crate::policy::PolicyOp;
use crate::subjects::SubjectOp;

/// One write to one kernel map. Writing what is there already, and deleting what is absent, succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// `FRONTENDS` insert or replace.
    PutFrontend(FrontendKey, FrontendValue),
    /// `FRONTENDS` delete.
    DeleteFrontend(FrontendKey),
    /// `SERVICE_CIDRS` insert.
    PutServiceCidr(CidrKey),
    /// `SERVICE_CIDRS` delete.
    DeleteServiceCidr(CidrKey),
    /// `SERVICES` store, word by word through the mapping: `local`, `cluster`, flags, affinity, generation. A reader
    /// between two stores sees each word old or new.
    PutService(ServiceId, ServiceEntry),
    /// `SLOTS` store of one block through the mapping: backend ids from slot `base` on.
    PutSlots {
        /// First slot.
        base: u32,
        /// Backend ids in the order of the slots.
        backends: Vec<BackendId>,
    },
    /// `BACKENDS` store.
    PutBackend(BackendId, BackendEntry),
    /// `NODE_ADDRS` insert or replace.
    PutNodeAddr(Addr, NodeAddrValue),
    /// `NODE_ADDRS` delete.
    DeleteNodeAddr(Addr),
    /// `IDS` insert or replace.
    PutId(IdKey, u32),
    /// `IDS` delete.
    DeleteId(IdKey),
    /// `SERVICE_STATS` to zero: the id goes to a new Service port.
    ResetServiceStats(ServiceId),
    /// `BACKEND_STATS` to zero: the id goes to a new endpoint.
    ResetBackendStats(BackendId),
    /// A write of NetworkPolicy.
    Policy(PolicyOp),
    /// A write of pods or devices.
    Subject(SubjectOp),
}

/// Phases of a plan, in the order in which they are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Frontends that no Service has any more go first, so that nothing new reaches what follows. A packet to them
    /// passes untouched from here on.
    DeleteFrontends,
    /// Ids, before anything that carries them: a crash later leaves names for all that is found.
    WriteIds,
    /// Backends that are new or changed. Nothing points at new ones yet.
    WriteBackends,
    /// Blocks of slots. No Service points at a new block yet.
    WriteSlots,
    /// The sets of Services, one store a word: connections choose from the old set before and the new one after it.
    WriteServices,
    /// Frontends: everything behind them is in place.
    WriteFrontends,
    /// Node addresses and service ranges, which nothing else depends on.
    WriteNode,
    /// Port classes that are new. No row of a policy names one yet.
    WritePortClasses,
    /// What new policy ids say, and what known ones say of new identities. No pod and no address has these yet.
    WriteVerdicts,
    /// Identities of addresses. New connections are judged by them from here on; pods' policy ids are switched next.
    WriteIdentities,
    /// Rows of pods: what isolates them, and where they are. Nothing leads to a new one yet.
    WritePods,
    /// What leads to pods: addresses, cgroups, interfaces. Packets are theirs from here on.
    WriteSubjects,
    /// Rows of pods whose addresses can all be found now: from here on other sources are forged.
    CheckSources,
    /// Revisions of policy ids for whose pods something may no longer pass: flows are judged again from here on.
    BumpRevisions,
    /// What policy ids say that no pod has any more, and of identities that no address has.
    DeleteVerdicts,
    /// Port classes that no row names any more.
    DeletePortClasses,
    /// What led to pods and devices that left. Their packets are nobody's from here on.
    DeleteSubjects,
    /// Rows of pods that left: nothing leads to them any more.
    ForgetPods,
    /// Backends that left are marked gone (whoever remembers them chooses again), Service ports that left are cleared
    /// and their ids forgotten.
    MarkGone,
}

impl Phase {
    /// All phases in order.
    pub const ALL: [Self; 19] = [
        Self::DeleteFrontends,
        Self::WriteIds,
        Self::WriteBackends,
        Self::WriteSlots,
        Self::WriteServices,
        Self::WriteFrontends,
        Self::WriteNode,
        Self::WritePortClasses,
        Self::WriteVerdicts,
        Self::WriteIdentities,
        Self::WritePods,
        Self::WriteSubjects,
        Self::CheckSources,
        Self::BumpRevisions,
        Self::DeleteVerdicts,
        Self::DeletePortClasses,
        Self::DeleteSubjects,
        Self::ForgetPods,
        Self::MarkGone,
    ];

    /// The name in log fields and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeleteFrontends => "delete_frontends",
            Self::WriteIds => "write_ids",
            Self::WriteBackends => "write_backends",
            Self::WriteSlots => "write_slots",
            Self::WriteServices => "write_services",
            Self::WriteFrontends => "write_frontends",
            Self::WriteNode => "write_node",
            Self::WritePortClasses => "write_port_classes",
            Self::WriteVerdicts => "write_verdicts",
            Self::WriteIdentities => "write_identities",
            Self::BumpRevisions => "bump_revisions",
            Self::DeleteVerdicts => "delete_verdicts",
            Self::DeletePortClasses => "delete_port_classes",
            Self::WritePods => "write_pods",
            Self::WriteSubjects => "write_subjects",
            Self::CheckSources => "check_sources",
            Self::DeleteSubjects => "delete_subjects",
            Self::ForgetPods => "forget_pods",
            Self::MarkGone => "mark_gone",
        }
    }
}
