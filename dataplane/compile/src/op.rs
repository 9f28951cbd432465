//! The writes that a plan is made of.

use abi::{
    Addr, BackendEntry, BackendId, CidrKey, FrontendKey, FrontendValue, IdKey, NodeAddrValue, ServiceEntry,
    ServiceId,
};

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
    /// Backends that left are marked gone (whoever remembers them chooses again), Service ports that left are cleared
    /// and their ids forgotten.
    MarkGone,
}

impl Phase {
    /// All phases in order.
    pub const ALL: [Self; 8] = [
        Self::DeleteFrontends,
        Self::WriteIds,
        Self::WriteBackends,
        Self::WriteSlots,
        Self::WriteServices,
        Self::WriteFrontends,
        Self::WriteNode,
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
            Self::MarkGone => "mark_gone",
        }
    }
}
