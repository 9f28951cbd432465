//! A kernel in memory: the same maps as values. For tests without privileges.

mod live;

use std::collections::BTreeMap;

use abi::{BackendId, BackendStats, DropReason, IfIndex, ServiceId, ServiceStats};
use compile::policy::PolicyOp;
use compile::{Dump, Hooks, Limits, Op, SubjectOp};

use super::live::Live;
use super::{Counters, GraceWait, Kernel, KernelError, map_of};

/// Maps in memory, with the real ones' maxima. Clone it to look at it, or to start a second daemon on it.
#[derive(Clone, Debug)]
pub struct Fake {
    dump: Dump,
    limits: Limits,
    attached: bool,
    devices: BTreeMap<IfIndex, Hooks>,
    service_stats: BTreeMap<ServiceId, ServiceStats>,
    backend_stats: BTreeMap<BackendId, BackendStats>,
}

impl Fake {
    /// Empty maps of these sizes.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            dump: Dump::default(),
            limits,
            attached: false,
            devices: BTreeMap::new(),
            service_stats: BTreeMap::new(),
            backend_stats: BTreeMap::new(),
        }
    }

    /// The maps' content.
    #[must_use]
    pub fn maps(&self) -> &Dump {
        &self.dump
    }

    /// The interfaces that carry packet programs, and which.
    #[must_use]
    pub fn devices(&self) -> &BTreeMap<IfIndex, Hooks> {
        &self.devices
    }

    /// Changes the maps behind the daemon's back, as an operator's `bpftool map update` would.
    pub fn tamper(&mut self, op: &Op) {
        self.dump.apply(op);
    }

    /// Why the kernel would refuse a write, if it would.
    fn refusal(&self, op: &Op) -> Option<KernelError> {
        let full = |len: usize, max: u32, known: bool| !known && len >= max as usize;
        let e2big = |map| KernelError::Write { map, source: std::io::Error::from_raw_os_error(libc::E2BIG) };
        let range = |index: u32, max: u32| {
            (index >= max).then_some(KernelError::OutOfRange { map: map_of(op), index })
        };
        match op {
            Op::PutFrontend(key, _) => {
                let d = &self.dump.frontends;
                full(d.len(), self.limits.frontends, d.contains_key(key)).then(|| e2big("FRONTENDS"))
            }
            Op::PutServiceCidr(key) => {
                let d = &self.dump.service_cidrs;
                full(d.len(), self.limits.service_cidrs, d.contains_key(key)).then(|| e2big("SERVICE_CIDRS"))
            }
            Op::PutNodeAddr(key, _) => {
                let d = &self.dump.node_addrs;
                full(d.len(), self.limits.node_addrs, d.contains_key(key)).then(|| e2big("NODE_ADDRS"))
            }
            Op::PutId(key, _) => {
                let d = &self.dump.ids;
                full(d.len(), self.limits.ids, d.contains_key(key)).then(|| e2big("IDS"))
            }
            Op::PutService(id, _) | Op::ResetServiceStats(id) => range(id.0, self.limits.services),
            Op::PutBackend(id, _) | Op::ResetBackendStats(id) => range(id.0, self.limits.backends),
            Op::PutSlots { base, backends } => {
                let end = base.saturating_add(u32::try_from(backends.len()).unwrap_or(u32::MAX));
                range(end.saturating_sub(1), self.limits.slots)
            }
            Op::Policy(op) => self.policy_refusal(op),
            Op::Subject(op) => self.subject_refusal(op),
            Op::DeleteFrontend(_) | Op::DeleteServiceCidr(_) | Op::DeleteNodeAddr(_) | Op::DeleteId(_) => {
                None
            }
        }
    }
}

/// The maps of NetworkPolicy.
impl Fake {
    fn policy_refusal(&self, op: &PolicyOp) -> Option<KernelError> {
        let (maps, limits) = (&self.dump.policy, &self.limits.policy);
        let rows = match op {
            PolicyOp::PutIdentity(key, _) if !maps.identities.contains_key(key) => {
                (maps.identities.len() + 1, limits.identities)
            }
            PolicyOp::PutIdentityCidrs(rows) => {
                let new = rows.iter().filter(|(key, _)| !maps.identity_cidrs.contains_key(key)).count();
                (maps.identity_cidrs.len() + new, limits.identity_cidrs)
            }
            PolicyOp::PutVerdict(key, _) if !maps.verdicts.contains_key(key) => {
                (maps.verdicts.len() + 1, limits.verdicts)
            }
            PolicyOp::PutPortClass(key, _) if !maps.port_classes.contains_key(key) => {
                (maps.port_classes.len() + 1, limits.port_classes)
            }
            PolicyOp::PutRevision(id, _) if id.0 >= limits.policies => {
                return Some(KernelError::OutOfRange { map: op.map(), index: id.0 });
            }
            PolicyOp::PutIdentity(..)
            | PolicyOp::PutVerdict(..)
            | PolicyOp::PutPortClass(..)
            | PolicyOp::PutRevision(..)
            | PolicyOp::DeleteIdentity(_)
            | PolicyOp::DeleteIdentityCidr(_)
            | PolicyOp::DeleteVerdict(_)
            | PolicyOp::DeletePortClass(_) => return None,
        };
        let full = || std::io::Error::from_raw_os_error(libc::E2BIG);
        (rows.0 > rows.1 as usize).then(|| KernelError::Write { map: op.map(), source: full() })
    }
}

/// The maps of subjects.
impl Fake {
    fn subject_refusal(&self, op: &SubjectOp) -> Option<KernelError> {
        let (dump, limits) = (&self.dump.subjects, &self.limits.subjects);
        let is_full = match op {
            SubjectOp::PutPod(id, _) => {
                return (id.0 >= limits.pods)
                    .then_some(KernelError::OutOfRange { map: op.map(), index: id.0 });
            }
            SubjectOp::PutLocalPod(addr, _) => {
                !dump.local_pods.contains_key(addr) && dump.local_pods.len() >= limits.local_pods as usize
            }
            SubjectOp::PutCgroup(cgroup, _) => {
                !dump.cgroups.contains_key(cgroup) && dump.cgroups.len() >= limits.cgroups as usize
            }
            SubjectOp::PutDevice(index, _) => {
                !dump.devices.contains_key(index) && dump.devices.len() >= limits.devices as usize
            }
            SubjectOp::DeleteLocalPod(_) | SubjectOp::DeleteCgroup(_) | SubjectOp::DeleteDevice(_) => false,
        };
        let source = std::io::Error::from_raw_os_error(libc::E2BIG);
        is_full.then_some(KernelError::Write { map: op.map(), source })
    }
}

impl Kernel for Fake {
    fn dump(&mut self) -> Result<Dump, KernelError> {
        Ok(self.dump.clone())
    }

    fn apply(&mut self, ops: &[Op]) -> Vec<Result<(), KernelError>> {
        ops.iter()
            .map(|op| match self.refusal(op) {
                Some(refusal) => Err(refusal),
                None => {
                    self.dump.apply(op);
                    Ok(())
                }
            })
            .collect()
    }

    fn attach(&mut self) -> Result<(), KernelError> {
        self.attached = true;
        Ok(())
    }

    fn attach_devices(&mut self, wanted: &BTreeMap<IfIndex, Hooks>) -> Vec<KernelError> {
        self.devices.clone_from(wanted);
        Vec::new()
    }

    fn check_devices(&mut self) -> usize {
        0
    }

    fn attached(&mut self) -> Vec<&'static str> {
        if self.attached { super::real::PROGRAMS.iter().map(|p| p.name).collect() } else { Vec::new() }
    }

    fn limits(&self) -> Limits {
        self.limits.clone()
    }

    fn counters(&mut self, services: &[ServiceId], backends: &[BackendId]) -> Result<Counters, KernelError> {
        Ok(Counters {
            services: services
                .iter()
                .map(|id| (*id, self.service_stats.get(id).copied().unwrap_or_default()))
                .collect(),
            backends: backends
                .iter()
                .map(|id| (*id, self.backend_stats.get(id).copied().unwrap_or_default()))
                .collect(),
            drops: DropReason::ALL.into_iter().map(|r| (r, 0)).collect(),
        })
    }

    fn live(&self) -> &dyn Live {
        self
    }

    fn grace(&mut self) -> Result<GraceWait, KernelError> {
        Ok(Box::new(|| Ok(())))
    }
}
