//! Links of the packet programs to interfaces: adopted, updated in place, made, and taken away with what they were for.
//!
//! Linux 6.6 has TCX links; on kernels before, [`super::filters`] does the same.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use abi::IfIndex;
use aya::Ebpf;
use aya::programs::SchedClassifier;
use aya::programs::tc::TcAttachType;
use aya_obj::generated::{bpf_attach_type, bpf_link_type};
use compile::Hooks;

use super::pins::Pins;
use super::{filters, sys};
use crate::kernel::KernelError;

/// A program of a device and the side that it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct DeviceProgram {
    /// Symbol in the object; with the interface's index it is the name of the link's pin.
    name: &'static str,
    /// The kernel's `enum bpf_attach_type`.
    attach_type: u32,
}

impl DeviceProgram {
    const fn side(self) -> TcAttachType {
        if self.attach_type == EGRESS { TcAttachType::Egress } else { TcAttachType::Ingress }
    }
}

const INGRESS: u32 = bpf_attach_type::BPF_TCX_INGRESS as u32;
const EGRESS: u32 = bpf_attach_type::BPF_TCX_EGRESS as u32;

/// What undoes translations is in force before what makes them.
const OF_PODS: [DeviceProgram; 2] = [
    DeviceProgram { name: "to_pod", attach_type: EGRESS },
    DeviceProgram { name: "from_pod", attach_type: INGRESS },
];
const OF_UPLINKS: [DeviceProgram; 2] = [
    DeviceProgram { name: "to_net", attach_type: EGRESS },
    DeviceProgram { name: "from_net", attach_type: INGRESS },
];

/// The packet programs, by name.
pub(super) const PROGRAMS: [&str; 4] = ["to_pod", "from_pod", "to_net", "from_net"];

const fn programs_of(hooks: Hooks) -> &'static [DeviceProgram] {
    match hooks {
        Hooks::Pod => &OF_PODS,
        Hooks::Net => &OF_UPLINKS,
    }
}

/// The links of this run.
#[derive(Debug, Default)]
pub(super) struct Devices {
    /// Interfaces and programs that this run put in force.
    in_force: BTreeSet<(IfIndex, &'static str)>,
    /// Pins of a former run that nothing wanted are gone.
    is_swept: bool,
    /// The kernel has no TCX links.
    has_filters_only: bool,
}

impl Devices {
    /// Makes the links those of `wanted`, and names what it could not attach. An interface that has gone meanwhile is no
    /// failure: the next observation does not want it.
    pub(super) fn put_in_force(
        &mut self,
        ebpf: &mut Ebpf,
        pins: &Pins,
        wanted: &BTreeMap<IfIndex, Hooks>,
    ) -> Vec<KernelError> {
        let mut failures = Vec::new();
        let is_wanted = |(index, name): &(IfIndex, &'static str)| {
            wanted.get(index).is_some_and(|hooks| programs_of(*hooks).iter().any(|p| p.name == *name))
        };
        let unwanted: Vec<_> = self.in_force.iter().filter(|key| !is_wanted(key)).copied().collect();
        for key in unwanted {
            match self.remove(pins, key) {
                Ok(()) => drop(self.in_force.remove(&key)),
                Err(error) => failures.push(error),
            }
        }
        if !self.is_swept {
            match sweep(pins, &is_wanted) {
                Ok(()) => self.is_swept = true,
                Err(error) => failures.push(error),
            }
        }
        for (index, hooks) in wanted {
            for program in programs_of(*hooks) {
                if self.in_force.contains(&(*index, program.name)) {
                    continue;
                }
                match self.attach(ebpf, pins, *index, *program) {
                    Ok(()) => drop(self.in_force.insert((*index, program.name))),
                    Err(error) if is_gone(&error) => {}
                    Err(error) => failures.push(error),
                }
            }
        }
        failures
    }

    /// Forgets links that somebody removed, so that they are made again; how many there were.
    pub(super) fn check(&mut self, pins: &Pins) -> usize {
        let before = self.in_force.len();
        if self.has_filters_only {
            return 0;
        }
        self.in_force.retain(|(index, name)| {
            let Some(program) = OF_PODS.iter().chain(&OF_UPLINKS).find(|p| p.name == *name) else {
                return false;
            };
            is_link_of(pins, *index, *program)
        });
        before - self.in_force.len()
    }

    fn attach(
        &mut self,
        ebpf: &mut Ebpf,
        pins: &Pins,
        index: IfIndex,
        program: DeviceProgram,
    ) -> Result<(), KernelError> {
        let failed = |source| KernelError::AttachDevice { program: program.name, ifindex: index.0, source };
        let loaded = ebpf.program_mut(program.name).ok_or(KernelError::Missing(program.name))?;
        let loaded: &mut SchedClassifier =
            loaded.try_into().map_err(|_| KernelError::Missing(program.name))?;
        if !self.has_filters_only {
            match attach_link(loaded, pins, index, program) {
                // Unknown attach type: the kernel is older than 6.6.
                Err(KernelError::AttachDevice { source, .. })
                    if source.raw_os_error() == Some(libc::EINVAL) && self.in_force.is_empty() =>
                {
                    self.has_filters_only = true;
                }
                result => return result,
            }
        }
        filters::put(loaded, index, program.side()).map_err(failed)
    }

    fn remove(&self, pins: &Pins, (index, name): (IfIndex, &'static str)) -> Result<(), KernelError> {
        if self.has_filters_only {
            if let Some(program) = OF_PODS.iter().chain(&OF_UPLINKS).find(|p| p.name == name) {
                filters::remove(index, program.side());
            }
            return Ok(());
        }
        pins.remove_pin(&pin_name(index, name))
    }
}

fn pin_name(index: IfIndex, program: &str) -> String {
    format!("{program}_{}", index.0)
}

fn attach_link(
    loaded: &SchedClassifier,
    pins: &Pins,
    index: IfIndex,
    program: DeviceProgram,
) -> Result<(), KernelError> {
    let failed = |source| KernelError::AttachDevice { program: program.name, ifindex: index.0, source };
    let fd = loaded
        .fd()
        .map_err(|source| KernelError::Program { program: program.name, source: Box::new(source) })?;
    let pin = pins.path(&pin_name(index, program.name));
    if is_link_of(pins, index, program)
        && let Ok(link) = sys::obj_get(&pin)
        && sys::link_update(link.as_fd(), fd.as_fd()).is_ok()
    {
        return Ok(());
    }
    let link = create(fd.as_fd(), index, program).map_err(failed)?;
    pins.remove_pin(&pin_name(index, program.name))?;
    sys::obj_pin(link.as_fd(), &pin).map_err(|source| KernelError::Pin { path: pin, source })
}

/// First on the hook: what others do there is then done to what the pod or the outside really sees.
fn create(program: BorrowedFd<'_>, index: IfIndex, of: DeviceProgram) -> io::Result<std::os::fd::OwnedFd> {
    sys::link_create_tcx(program, index.0, of.attach_type)
}

/// Whether the pin is a link of this interface and side. A link whose interface is gone has index 0.
fn is_link_of(pins: &Pins, index: IfIndex, program: DeviceProgram) -> bool {
    let link = sys::obj_get(&pins.path(&pin_name(index, program.name)));
    let info = link.and_then(|link| sys::tcx_link_info(link.as_fd()));
    info.is_ok_and(|info| {
        info.link_type == bpf_link_type::BPF_LINK_TYPE_TCX as u32
            && info.ifindex == index.0
            && info.attach_type == program.attach_type
    })
}

/// Takes away pins of a former run that nothing wants now.
fn sweep(pins: &Pins, is_wanted: &impl Fn(&(IfIndex, &'static str)) -> bool) -> Result<(), KernelError> {
    for name in pins.names()? {
        if let Some(key) = key_of(&name)
            && !is_wanted(&key)
        {
            pins.remove_pin(&name)?;
        }
    }
    Ok(())
}

/// What a pin's name says, if it is a link to an interface.
fn key_of(name: &str) -> Option<(IfIndex, &'static str)> {
    let (program, index) = name.rsplit_once('_')?;
    let program = PROGRAMS.into_iter().find(|known| *known == program)?;
    Some((IfIndex(index.parse().ok()?), program))
}

fn is_gone(error: &KernelError) -> bool {
    matches!(error, KernelError::AttachDevice { source, .. } if source.raw_os_error() == Some(libc::ENODEV))
}

#[cfg(test)]
mod tests {
    use super::{IfIndex, key_of, pin_name};

    #[test]
    fn a_pins_name_says_interface_and_program() {
        assert_eq!(key_of(&pin_name(IfIndex(12), "from_pod")), Some((IfIndex(12), "from_pod")));
        assert_eq!(key_of("connect4"), None);
        assert_eq!(key_of("from_pod_x"), None);
        assert_eq!(key_of("SOCK_UDP"), None);
    }
}
