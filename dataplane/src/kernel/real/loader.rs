//! The kernel object: parse, size, create or adopt maps, verify programs.

use std::path::Path;

use abi::HOST_NETNS_COOKIE;
use abi::maps::MAPS;
use aya::programs::{CgroupSockAddr, Program, ProgramError};
use aya::{Ebpf, EbpfLoader};
use compile::Limits;

use super::PROGRAMS;
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
    if let Program::CgroupSock(program) = program {
        return program.load();
    }
    <&mut CgroupSockAddr>::try_from(program)?.load()
}

/// Verifies all programs.
pub(super) fn load_programs(ebpf: &mut Ebpf) -> Result<(), KernelError> {
    PROGRAMS.iter().try_for_each(|p| load_program(ebpf, p.name).map(drop))
}
