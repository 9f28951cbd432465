//! The kernel as the sync loop sees it: a few operations on maps and links, and their three implementations.

pub mod fake;
pub mod faulty;
pub mod live;
pub mod real;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use abi::{BackendId, BackendStats, DropReason, IfIndex, ServiceId, ServiceStats};
use compile::{Dump, Hooks, Limits, Op};

use self::live::Live;

/// What can go wrong between us and the kernel. Each names the operation and its object.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A map refused a write.
    #[error("writing {map}: {source}")]
    Write {
        /// The map.
        map: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A map could not be read.
    #[error("reading {map}: {source}")]
    Read {
        /// The map.
        map: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// An index lies outside its array.
    #[error("{map} has no element {index}")]
    OutOfRange {
        /// The map.
        map: &'static str,
        /// The index.
        index: u32,
    },
    /// A pin could not be made, read or removed.
    #[error("pin {}: {source}", path.display())]
    Pin {
        /// The pin.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The object does not parse or a map cannot be created.
    #[error("loading the kernel programs: {0}")]
    Load(#[source] Box<aya::EbpfError>),
    /// The kernel refused a program.
    #[error("program {program}: {source}")]
    Program {
        /// The program.
        program: &'static str,
        /// The verifier's answer.
        source: Box<aya::programs::ProgramError>,
    },
    /// The object lacks a program or a map that this build expects: build and object are of different versions.
    #[error("the kernel object has no {0}")]
    Missing(&'static str),
    /// A link could not be made, read or updated.
    #[error("attaching {program}: {source}")]
    Attach {
        /// The program.
        program: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A link to an interface could not be made.
    #[error("attaching {program} to interface {ifindex}: {source}")]
    AttachDevice {
        /// The program.
        program: &'static str,
        /// The interface.
        ifindex: u32,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Another daemon works on the same bpf-root.
    #[error("another ferrule daemon holds {}: one daemon a bpf-root", path.display())]
    Locked {
        /// The locked directory.
        path: PathBuf,
    },
    /// The lock could not be taken.
    #[error("locking {}: {source}", path.display())]
    Lock {
        /// The directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The cgroup cannot be opened.
    #[error("cgroup {}: {source}", path.display())]
    Cgroup {
        /// The directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The network namespace's cookie cannot be read.
    #[error("reading the network namespace's cookie: {0}")]
    NetnsCookie(#[source] io::Error),
    /// A write of a seeded fault plan.
    #[error("writing {map}: injected fault")]
    Injected {
        /// The map.
        map: &'static str,
    },
}

impl KernelError {
    /// The label of the error in metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Write { source, .. } if source.raw_os_error() == Some(libc::E2BIG) => "full",
            Self::Write { .. } => "write",
            Self::Read { .. } => "read",
            Self::OutOfRange { .. } => "out_of_range",
            Self::Pin { .. } => "pin",
            Self::Load(_) | Self::Program { .. } | Self::Missing(_) => "load",
            Self::Attach { .. } | Self::AttachDevice { .. } => "attach",
            Self::Locked { .. } | Self::Lock { .. } => "lock",
            Self::Cgroup { .. } => "cgroup",
            Self::NetnsCookie(_) => "netns_cookie",
            Self::Injected { .. } => "injected",
        }
    }
}

/// Counters read from the kernel. Only ids that the caller asked for; drops summed over CPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// By service id, in the order asked.
    pub services: Vec<(ServiceId, ServiceStats)>,
    /// By backend id, in the order asked.
    pub backends: Vec<(BackendId, BackendStats)>,
    /// By reason; reasons that never occurred are zero.
    pub drops: Vec<(DropReason, u64)>,
}

/// Waits until no program still uses what was unlinked before [`Kernel::grace`]. Blocking; runs off the sync loop.
pub type GraceWait = Box<dyn FnOnce() -> Result<(), KernelError> + Send>;

/// The kernel's side of the sync loop. One caller, no interior locks.
pub trait Kernel: Send {
    /// Reads all maps that the sync loop writes.
    ///
    /// # Errors
    ///
    /// The first map that cannot be read.
    fn dump(&mut self) -> Result<Dump, KernelError>;

    /// Applies writes in their order and returns each one's result. Consecutive writes of one kind may be one batch.
    fn apply(&mut self, ops: &[Op]) -> Vec<Result<(), KernelError>>;

    /// Puts this build's programs in force: adopted links are updated in place, missing ones are made.
    ///
    /// # Errors
    ///
    /// The first link that cannot be made; those before it are in force.
    fn attach(&mut self) -> Result<(), KernelError>;

    /// Makes the packet programs' links those of `wanted`: missing ones are made, others taken away. Returns what failed;
    /// the next call tries again.
    fn attach_devices(&mut self, wanted: &BTreeMap<IfIndex, Hooks>) -> Vec<KernelError>;

    /// Forgets links to interfaces that somebody removed, so that the next [`Kernel::attach_devices`] makes them again;
    /// how many there were.
    fn check_devices(&mut self) -> usize;

    /// Names of the programs whose links are in force, checked in the kernel.
    fn attached(&mut self) -> Vec<&'static str>;

    /// How large the maps are: the configuration's maxima, or those of adopted maps.
    fn limits(&self) -> Limits;

    /// Reads counters.
    ///
    /// # Errors
    ///
    /// The map that cannot be read.
    fn counters(&mut self, services: &[ServiceId], backends: &[BackendId]) -> Result<Counters, KernelError>;

    /// The maps that packets are judged by, to look at.
    fn live(&self) -> &dyn Live;

    /// Begins a grace period: what the returned closure waits for.
    ///
    /// # Errors
    ///
    /// The means of waiting cannot be made.
    fn grace(&mut self) -> Result<GraceWait, KernelError>;
}

/// The map that a write goes to.
#[must_use]
pub fn map_of(op: &Op) -> &'static str {
    match op {
        Op::PutFrontend(..) | Op::DeleteFrontend(_) => "FRONTENDS",
        Op::PutServiceCidr(_) | Op::DeleteServiceCidr(_) => "SERVICE_CIDRS",
        Op::PutService(..) => "SERVICES",
        Op::PutSlots { .. } => "SLOTS",
        Op::PutBackend(..) => "BACKENDS",
        Op::PutNodeAddr(..) | Op::DeleteNodeAddr(_) => "NODE_ADDRS",
        Op::PutId(..) | Op::DeleteId(_) => "IDS",
        Op::Subject(op) => op.map(),
        Op::ResetServiceStats(_) => "SERVICE_STATS",
        Op::ResetBackendStats(_) => "BACKEND_STATS",
        Op::Policy(op) => op.map(),
    }
}
