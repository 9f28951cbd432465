//! The running kernel: pinned maps and links, loaded through aya, written by batches and through mappings.

mod attach;
mod devices;
pub mod events;
mod filters;
pub mod flows;
mod grace;
mod live;
mod loader;
mod maps;
mod pins;
mod policy;
mod subjects;
mod sys;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use abi::{
    Addr, BackendEntry, BackendId, BackendStats, CidrKey, DropReason, FrontendKey, FrontendValue, IdKey,
    IdKind, IfIndex, LAYOUT_DIGEST, LAYOUT_VERSION, NodeAddrValue, ServiceEntry, ServiceId, ServiceStats,
};
use aya_obj::generated::bpf_attach_type;
use compile::{Dump, Hooks, Limits, Op, PolicyLimits, SubjectLimits};

use self::attach::Cgroup;
use self::devices::Devices;
use self::events::EventRing;
use self::flows::FlowMaps;
use self::grace::GracePeriod;
use self::live::LiveMaps;
use self::loader::LoadOptions;
use self::maps::{PerCpuCounters, Services, Slots, Table};
use self::pins::{Found, Pins};
use self::policy::PolicyMaps;
use self::subjects::SubjectMaps;
use super::live::Live;
use super::{Counters, GraceWait, Kernel, KernelError};

/// A program and the hook that it belongs to.
#[derive(Debug)]
pub struct ProgramSpec {
    /// Symbol in the object, and name of the link's pin.
    pub name: &'static str,
    /// The kernel's `enum bpf_attach_type`.
    attach_type: u32,
}

const fn program(name: &'static str, attach_type: bpf_attach_type) -> ProgramSpec {
    ProgramSpec { name, attach_type: attach_type as u32 }
}

/// All programs, in the order in which they are attached: what forgets a socket and what answers it (recvmsg, getpeername)
/// are in force before what translates it.
pub const PROGRAMS: &[ProgramSpec] = &[
    program("sock_release", bpf_attach_type::BPF_CGROUP_INET_SOCK_RELEASE),
    program("recvmsg4", bpf_attach_type::BPF_CGROUP_UDP4_RECVMSG),
    program("recvmsg6", bpf_attach_type::BPF_CGROUP_UDP6_RECVMSG),
    program("getpeername4", bpf_attach_type::BPF_CGROUP_INET4_GETPEERNAME),
    program("getpeername6", bpf_attach_type::BPF_CGROUP_INET6_GETPEERNAME),
    program("sendmsg4", bpf_attach_type::BPF_CGROUP_UDP4_SENDMSG),
    program("sendmsg6", bpf_attach_type::BPF_CGROUP_UDP6_SENDMSG),
    program("connect4", bpf_attach_type::BPF_CGROUP_INET4_CONNECT),
    program("connect6", bpf_attach_type::BPF_CGROUP_INET6_CONNECT),
];

/// Where and how large.
#[derive(Clone, Debug)]
pub struct RealConfig {
    /// The cgroup v2 directory whose sockets are served.
    pub cgroup_root: PathBuf,
    /// Maxima of the maps.
    pub limits: Limits,
    /// Entries of `SOCKETS`, of `SOCK_UDP` and of `SOCK_UDP_FWD`.
    pub socket_entries: u32,
}

/// How a start found the pins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing was pinned.
    Fresh,
    /// The maps of a former run go on.
    Adopted,
    /// Pins of another layout were replaced; their programs stay in force until the first attach.
    Replaced,
}

impl Start {
    /// The word in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Adopted => "adopted",
            Self::Replaced => "replaced",
        }
    }
}

/// The running kernel.
pub struct Real {
    pins: Pins,
    cgroup: Cgroup,
    ebpf: aya::Ebpf,
    limits: Limits,
    start: Start,
    grace: Arc<GracePeriod>,
    devices: Devices,
    frontends: Table<FrontendKey, FrontendValue>,
    service_cidrs: Table<CidrKey, u32>,
    services: Services,
    slots: Slots,
    backends: Table<BackendId, BackendEntry>,
    node_addrs: Table<Addr, NodeAddrValue>,
    ids: Table<IdKey, u32>,
    subjects: SubjectMaps,
    live: LiveMaps,
    policy: PolicyMaps,
    service_stats: Table<ServiceId, ServiceStats>,
    backend_stats: Table<BackendId, BackendStats>,
    drops: PerCpuCounters,
}

/// The bpf-root's lock: while it lives, no other daemon works there.
#[derive(Debug)]
pub struct Lock(Pins);

impl Lock {
    /// Takes the lock of a bpf-root.
    ///
    /// # Errors
    ///
    /// [`KernelError::Locked`] if another daemon is there.
    pub fn take(bpf_root: &Path) -> Result<Self, KernelError> {
        Pins::lock(bpf_root).map(Self)
    }
}

impl Real {
    /// Creates or adopts the maps and verifies the programs. Nothing is attached yet.
    ///
    /// # Errors
    ///
    /// The step that failed.
    pub fn open(Lock(pins): Lock, config: &RealConfig) -> Result<Self, KernelError> {
        let cgroup = Cgroup::open(&config.cgroup_root)?;
        pins.make_dir()?;
        let start = match pins.find()? {
            Found::Nothing => Start::Fresh,
            Found::Ours => Start::Adopted,
            Found::Other => {
                // Maps that are replaced cannot be gone back to: first see that this kernel takes the programs.
                verify_programs()?.into_iter().try_for_each(|verified| verified.result.map(drop))?;
                pins.remove_maps()?;
                Start::Replaced
            }
        };
        let host_netns_cookie = sys::netns_cookie().map_err(KernelError::NetnsCookie)?;
        let mut ebpf = loader::load_maps(&LoadOptions {
            pin_dir: Some(pins.path("").as_path()),
            limits: &config.limits,
            socket_entries: config.socket_entries,
            host_netns_cookie,
            cgroup_level: cgroup.level,
        })?;
        loader::load_programs(&mut ebpf)?;

        let open = |name: &'static str| {
            let path = pins.path(name);
            sys::obj_get(&path).map_err(|source| KernelError::Pin { path, source })
        };
        let ids: Table<IdKey, u32> = Table::new("IDS", pins.open_or_create_ids(config.limits.ids)?)?;
        // Last: a crash before it leaves maps that the next start replaces.
        ids.put(&IdKey::new(IdKind::Layout, LAYOUT_DIGEST), &LAYOUT_VERSION)?;
        let mut real = Self {
            frontends: Table::new("FRONTENDS", open("FRONTENDS")?)?,
            service_cidrs: Table::new("SERVICE_CIDRS", open("SERVICE_CIDRS")?)?,
            services: Services::new("SERVICES", &open("SERVICES")?)?,
            slots: Slots::new("SLOTS", &open("SLOTS")?)?,
            backends: Table::new("BACKENDS", open("BACKENDS")?)?,
            node_addrs: Table::new("NODE_ADDRS", open("NODE_ADDRS")?)?,
            ids,
            subjects: SubjectMaps::open(open)?,
            live: LiveMaps::open(open)?,
            policy: PolicyMaps::open(open)?,
            service_stats: Table::new("SERVICE_STATS", open("SERVICE_STATS")?)?,
            backend_stats: Table::new("BACKEND_STATS", open("BACKEND_STATS")?)?,
            drops: PerCpuCounters::new("DROPS", open("DROPS")?)?,
            grace: Arc::new(GracePeriod::new()?),
            devices: Devices::default(),
            limits: config.limits.clone(),
            pins,
            cgroup,
            ebpf,
            start,
        };
        real.limits = real.adopted_limits();
        if real.limits != config.limits {
            tracing::warn!(
                configured = ?config.limits,
                in_force = ?real.limits,
                "adopted maps keep their maxima: new ones take effect after `ferrule cleanup`"
            );
        }
        Ok(real)
    }

    /// Entries of each map of sockets, as configured or as adopted.
    ///
    /// # Errors
    ///
    /// The map cannot be read.
    pub fn socket_entries(&self) -> Result<u32, KernelError> {
        let fd = self.open_map("SOCKETS")?;
        let info =
            sys::map_info(fd.as_fd()).map_err(|source| KernelError::Read { map: "SOCKETS", source })?;
        Ok(info.max_entries)
    }

    /// Opens a pinned map.
    fn open_map(&self, name: &'static str) -> Result<OwnedFd, KernelError> {
        let path = self.pins.path(name);
        sys::obj_get(&path).map_err(|source| KernelError::Pin { path, source })
    }

    /// The tables of conversations.
    ///
    /// # Errors
    ///
    /// They cannot be opened.
    pub fn flows(&self) -> Result<FlowMaps, KernelError> {
        FlowMaps::open(|name| self.open_map(name))
    }

    /// The reading end of the ring buffer of events.
    ///
    /// # Errors
    ///
    /// It cannot be opened or mapped.
    pub fn events(&self) -> Result<EventRing, KernelError> {
        EventRing::open(|name| self.open_map(name))
    }

    /// How this start found the pins.
    #[must_use]
    pub fn start(&self) -> Start {
        self.start
    }

    /// The maxima of the maps as they are: adopted ones keep theirs.
    fn adopted_limits(&self) -> Limits {
        Limits {
            frontends: self.frontends.max_entries(),
            service_cidrs: self.service_cidrs.max_entries(),
            services: self.services.max_entries().min(self.service_stats.max_entries()),
            slots: self.slots.max_entries(),
            backends: self.backends.max_entries().min(self.backend_stats.max_entries()),
            node_addrs: self.node_addrs.max_entries(),
            ids: self.ids.max_entries(),
            policy: self.policy.limits(&self.limits.policy),
            subjects: self.subjects.limits(),
        }
    }

    /// Applies the longest run of writes of one kind at the front of `ops`.
    fn apply_run(&mut self, ops: &[Op]) -> Vec<Result<(), KernelError>> {
        macro_rules! run {
            ($pattern:pat => $item:expr) => {
                ops.iter().map_while(|op| if let $pattern = op { Some($item) } else { None })
            };
        }
        match ops.first() {
            None => Vec::new(),
            Some(Op::PutFrontend(..)) => {
                let (keys, values): (Vec<_>, Vec<_>) = run!(Op::PutFrontend(k, v) => (*k, *v)).unzip();
                self.frontends.put_all(&keys, &values)
            }
            Some(Op::DeleteFrontend(_)) => {
                self.frontends.delete_all(&run!(Op::DeleteFrontend(k) => *k).collect::<Vec<_>>())
            }
            Some(Op::PutServiceCidr(_)) => {
                run!(Op::PutServiceCidr(k) => k).map(|k| self.service_cidrs.put(k, &1)).collect()
            }
            Some(Op::DeleteServiceCidr(_)) => {
                run!(Op::DeleteServiceCidr(k) => k).map(|k| self.service_cidrs.delete(k)).collect()
            }
            Some(Op::PutService(..)) => {
                run!(Op::PutService(id, e) => (id, e)).map(|(id, e)| self.services.store(*id, e)).collect()
            }
            Some(Op::PutSlots { .. }) => run!(Op::PutSlots { base, backends } => (base, backends))
                .map(|(base, backends)| self.slots.store(*base, backends))
                .collect(),
            Some(Op::PutBackend(..)) => {
                let (keys, values): (Vec<_>, Vec<_>) = run!(Op::PutBackend(k, v) => (*k, *v)).unzip();
                self.backends.put_all(&keys, &values)
            }
            Some(Op::PutNodeAddr(..)) => {
                run!(Op::PutNodeAddr(k, v) => (k, v)).map(|(k, v)| self.node_addrs.put(k, v)).collect()
            }
            Some(Op::DeleteNodeAddr(_)) => {
                run!(Op::DeleteNodeAddr(k) => k).map(|k| self.node_addrs.delete(k)).collect()
            }
            Some(Op::PutId(..)) => {
                let (keys, values): (Vec<_>, Vec<_>) = run!(Op::PutId(k, v) => (*k, *v)).unzip();
                self.ids.put_all(&keys, &values)
            }
            Some(Op::DeleteId(_)) => self.ids.delete_all(&run!(Op::DeleteId(k) => *k).collect::<Vec<_>>()),
            Some(Op::Subject(_)) => run!(Op::Subject(op) => op).map(|op| self.subjects.apply(op)).collect(),
            Some(Op::ResetServiceStats(_)) => {
                let keys: Vec<_> = run!(Op::ResetServiceStats(id) => *id).collect();
                self.service_stats.put_all(&keys, &vec![ServiceStats::default(); keys.len()])
            }
            Some(Op::ResetBackendStats(_)) => {
                let keys: Vec<_> = run!(Op::ResetBackendStats(id) => *id).collect();
                self.backend_stats.put_all(&keys, &vec![BackendStats::default(); keys.len()])
            }
            Some(Op::Policy(_)) => run!(Op::Policy(op) => op).map(|op| self.policy.apply(op)).collect(),
        }
    }
}

impl Kernel for Real {
    fn dump(&mut self) -> Result<Dump, KernelError> {
        let mut dump =
            Dump { subjects: self.subjects.dump()?, policy: self.policy.dump()?, ..Dump::default() };
        self.frontends.for_each(|k, v| {
            dump.frontends.insert(k, v);
        })?;
        self.service_cidrs.for_each(|k, v| {
            dump.service_cidrs.insert(k, v);
        })?;
        self.node_addrs.for_each(|k, v| {
            dump.node_addrs.insert(k, v);
        })?;
        self.ids.for_each(|k, v| {
            dump.ids.insert(k, v);
        })?;
        let unused = BackendEntry::gone(abi::Generation(0));
        self.backends.for_each(|k, v| {
            if v != unused {
                dump.backends.insert(k, v);
            }
        })?;
        let unused = ServiceEntry::empty(abi::Generation(0));
        for id in (0..self.services.max_entries()).map(ServiceId) {
            let entry = self.services.load(id)?;
            if entry == unused {
                continue;
            }
            for set in [entry.cluster, entry.local] {
                let end = set.base().saturating_add(set.count()).min(self.slots.max_entries());
                for slot in set.base()..end {
                    dump.slots.insert(slot, self.slots.load(slot)?);
                }
            }
            dump.services.insert(id, entry);
        }
        Ok(dump)
    }

    fn apply(&mut self, ops: &[Op]) -> Vec<Result<(), KernelError>> {
        let mut results = Vec::with_capacity(ops.len());
        while results.len() < ops.len() {
            results.append(&mut self.apply_run(&ops[results.len()..]));
        }
        results
    }

    fn attach(&mut self) -> Result<(), KernelError> {
        self.pins.make_dir()?;
        for spec in PROGRAMS {
            let program = self.ebpf.program(spec.name).ok_or(KernelError::Missing(spec.name))?;
            let fd = program
                .fd()
                .map_err(|source| KernelError::Program { program: spec.name, source: Box::new(source) })?;
            attach::put_in_force(spec, fd.as_fd(), &self.cgroup, &self.pins.path(spec.name))?;
        }
        Ok(())
    }

    fn attach_devices(&mut self, wanted: &BTreeMap<IfIndex, Hooks>) -> Vec<KernelError> {
        self.devices.put_in_force(&mut self.ebpf, &self.pins, wanted)
    }

    fn check_devices(&mut self) -> usize {
        self.devices.check(&self.pins)
    }

    fn attached(&mut self) -> Vec<&'static str> {
        PROGRAMS
            .iter()
            .filter(|spec| attach::is_in_force(spec, &self.cgroup, &self.pins.path(spec.name)))
            .map(|spec| spec.name)
            .collect()
    }

    fn limits(&self) -> Limits {
        self.limits.clone()
    }

    fn counters(&mut self, services: &[ServiceId], backends: &[BackendId]) -> Result<Counters, KernelError> {
        let mut counters = Counters::default();
        for id in services {
            counters.services.push((*id, self.service_stats.get(id)?.unwrap_or_default()));
        }
        for id in backends {
            counters.backends.push((*id, self.backend_stats.get(id)?.unwrap_or_default()));
        }
        for reason in DropReason::ALL {
            counters.drops.push((reason, self.drops.sum(reason as u32)?));
        }
        Ok(counters)
    }

    fn live(&self) -> &dyn Live {
        &self.live
    }

    fn grace(&mut self) -> Result<GraceWait, KernelError> {
        let grace = Arc::clone(&self.grace);
        Ok(Box::new(move || grace.wait()))
    }
}

/// Takes links and maps of every layout out of the kernel.
///
/// # Errors
///
/// [`KernelError::Locked`] while a daemon runs there; else the pin that could not be removed. Doing it again is safe.
pub fn remove_everything(bpf_root: &Path) -> Result<bool, KernelError> {
    if !Pins::exist(bpf_root) {
        return Ok(false);
    }
    Pins::lock(bpf_root)?.remove_all()?;
    Ok(true)
}

/// One program's fate under the running kernel's verifier.
#[derive(Debug)]
pub struct Verified {
    /// The program.
    pub program: &'static str,
    /// Instructions that the verifier processed (Linux 5.16; zero before), or why it refused.
    pub result: Result<u32, KernelError>,
}

/// Loads every program, unpinned and unattached, and reports each.
///
/// # Errors
///
/// The maps cannot be created.
pub fn verify_programs() -> Result<Vec<Verified>, KernelError> {
    // The smallest maps that the programs accept: the verifier does not look at their sizes.
    let limits = Limits {
        frontends: 8,
        service_cidrs: 8,
        services: 8,
        slots: 8,
        backends: 8,
        node_addrs: 8,
        ids: 8,
        subjects: SubjectLimits::for_pods(8),
        policy: PolicyLimits {
            identities: 8,
            identity_cidrs: 8,
            verdicts: 8,
            port_classes: 8,
            policies: 8,
            rules: 8,
        },
    };
    let mut ebpf = loader::load_maps(&LoadOptions {
        pin_dir: None,
        limits: &limits,
        socket_entries: 256,
        host_netns_cookie: 0,
        cgroup_level: 0,
    })?;
    Ok(PROGRAMS
        .iter()
        .map(|spec| spec.name)
        .chain(devices::PROGRAMS)
        .map(|name| Verified {
            program: name,
            result: loader::load_program(&mut ebpf, name).map(|program| {
                program.info().ok().and_then(|info| info.verified_instruction_count()).unwrap_or(0)
            }),
        })
        .collect())
}
