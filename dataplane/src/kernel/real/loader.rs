//! The kernel object: parse, size, create or adopt maps, verify programs.

use std::path::Path;

use abi::maps::MAPS;
use abi::{CGROUP_LEVEL, HOST_NETNS_COOKIE};
use aya::programs::{CgroupSockAddr, Program, ProgramError};
use aya::{Ebpf, EbpfLoader};
use compile::Limits;

use super::{PROGRAMS, devices};
use crate::kernel::KernelError;

/// The object that this binary was built with.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("FERRULE_BPF_OBJECT"));

/// How the object is to be loaded.
#[derive(Debug)]
pub(super) struct LoadOptions<'a> {
    /// Where maps are pinned or adopted from; `None` leaves them unpinned.
    pub(super) pin_dir: Option<&'a Path>,
    pub(super) limits: &'a Limits,
    /// Entries of `SOCKETS`, of `SOCK_UDP` and of `SOCK_UDP_FWD`.
    pub(super) socket_entries: u32,
    pub(super) host_netns_cookie: u64,
    /// Depth of the configured cgroup below the root of the hierarchy.
    pub(super) cgroup_level: u32,
}

/// Entries of a map under these limits; `None` where the size is fixed.
pub(super) fn entries_of(name: &str, limits: &Limits, socket_entries: u32) -> Option<u32> {
    match name {
        "FRONTENDS" => Some(limits.frontends),
        "SERVICE_CIDRS" => Some(limits.service_cidrs),
        "SERVICES" | "SERVICE_STATS" => Some(limits.services),
        "SLOTS" => Some(limits.slots),
        "BACKENDS" | "BACKEND_STATS" => Some(limits.backends),
        "NODE_ADDRS" => Some(limits.node_addrs),
        "IDS" => Some(limits.ids),
        "PODS" => Some(limits.subjects.pods),
        "LOCAL_PODS" => Some(limits.subjects.local_pods),
        "PODS_BY_CGROUP" => Some(limits.subjects.cgroups),
        "IDENTITIES" => Some(limits.policy.identities),
        "IDENTITY_CIDRS" => Some(limits.policy.identity_cidrs),
        "POLICY" => Some(limits.policy.verdicts),
        "PORT_CLASSES" => Some(limits.policy.port_classes),
        "POLICY_REVISION" => Some(limits.policy.policies),
        "DEVICES" => Some(limits.subjects.devices),
        "SOCKETS" | "SOCK_UDP" | "SOCK_UDP_FWD" => Some(socket_entries),
        _ => None,
    }
}

/// Creates or adopts the maps. No program is in the kernel yet.
pub(super) fn load_maps(options: &LoadOptions<'_>) -> Result<Ebpf, KernelError> {
    let mut loader = EbpfLoader::new();
    for spec in MAPS {
        if let Some(dir) = options.pin_dir {
            loader.map_pin_path(spec.name, dir.join(spec.name));
        }
        if let Some(entries) = entries_of(spec.name, options.limits, options.socket_entries) {
            loader.map_max_entries(spec.name, entries);
        }
    }
    loader.override_global(HOST_NETNS_COOKIE, &options.host_netns_cookie, true);
    loader.override_global(CGROUP_LEVEL, &options.cgroup_level, true);
    loader.load(OBJECT).map_err(|e| KernelError::Load(Box::new(e)))
}

/// Verifies one program; afterwards it is in the kernel and can be attached.
pub(super) fn load_program<'a>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut Program, KernelError> {
    let program = ebpf.program_mut(name).ok_or(KernelError::Missing(name))?;
    load(program).map_err(|source| KernelError::Program { program: name, source: Box::new(source) })?;
    Ok(program)
}

/// Verifies a program of either kind that the object has.
fn load(program: &mut Program) -> Result<(), ProgramError> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "aya's list of kinds; the object has three")]
    match program {
        Program::CgroupSock(program) => program.load(),
        Program::SchedClassifier(program) => program.load(),
        other => <&mut CgroupSockAddr>::try_from(other)?.load(),
    }
}

/// Verifies all programs.
pub(super) fn load_programs(ebpf: &mut Ebpf) -> Result<(), KernelError> {
    let names = PROGRAMS.iter().map(|p| p.name).chain(devices::PROGRAMS);
    names.into_iter().try_for_each(|name| load_program(ebpf, name).map(drop))
}
