//! Packet programs as filters of a clsact qdisc, on kernels without TCX links (before Linux 6.6).
//!
//! A filter needs no pin: it stays until it is deleted, by its priority and handle, which are ours. A qdisc that we made
//! stays too: somebody else may have put filters there since.

use std::ffi::CStr;
use std::io;

use abi::IfIndex;
use aya::programs::tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcAttachType, TcHandle};
use aya::programs::{ProgramError, SchedClassifier, TcError};
use nix::net::if_::{if_indextoname, if_nameindex};

/// Before what others have without choosing: the kernel gives 49152 and less to them.
const PRIORITY: u16 = 1;
/// One that nobody has by chance.
const HANDLE: u32 = 0xfe22;

fn options() -> NlOptions {
    NlOptions { priority: PRIORITY, handle: TcHandle::from(HANDLE), classid: None }
}

/// Puts a program in force on a side of an interface, in place of ours that is there.
pub(super) fn put(program: &mut SchedClassifier, index: IfIndex, side: TcAttachType) -> io::Result<()> {
    let name = name_of(index)?;
    match tc::qdisc_add_clsact(&name) {
        Ok(()) | Err(TcError::AlreadyAttached) => {}
        Err(error) if of_tc(&error) == Some(libc::EEXIST) => {}
        Err(error) => return Err(io::Error::other(error)),
    }
    let made = program.attach_with_options(&name, side, TcAttachOptions::Netlink(options()));
    let id = match made {
        Err(error) if errno(&error) == Some(libc::EEXIST) => {
            program.attach_to_link(ours(&name, side)?).map_err(io::Error::other)?
        }
        made => made.map_err(into_io)?,
    };
    // It is to stay when this process ends.
    std::mem::forget(program.take_link(id).map_err(io::Error::other)?);
    Ok(())
}

/// Takes our filter off a side of an interface; true if there was one.
pub(super) fn remove(index: IfIndex, side: TcAttachType) -> bool {
    let link = name_of(index).and_then(|name| ours(&name, side));
    link.is_ok_and(|link| aya::programs::links::Link::detach(link).is_ok())
}

/// Takes our filters off all interfaces of this network namespace.
pub(super) fn remove_all() {
    let Ok(interfaces) = if_nameindex() else { return };
    for interface in interfaces.iter() {
        for side in [TcAttachType::Ingress, TcAttachType::Egress] {
            remove(IfIndex(interface.index()), side);
        }
    }
}

fn ours(name: &str, side: TcAttachType) -> io::Result<SchedClassifierLink> {
    SchedClassifierLink::attached(name, side, PRIORITY, TcHandle::from(HANDLE), None)
}

fn name_of(index: IfIndex) -> io::Result<String> {
    let gone = |_| io::Error::from_raw_os_error(libc::ENODEV);
    let name = if_indextoname(index.0).map_err(gone)?;
    let name: &CStr = &name;
    Ok(name.to_string_lossy().into_owned())
}

fn into_io(error: ProgramError) -> io::Error {
    errno(&error).map_or_else(|| io::Error::other(error), io::Error::from_raw_os_error)
}

fn errno(error: &ProgramError) -> Option<i32> {
    if let ProgramError::TcError(error) = error { of_tc(error) } else { None }
}

fn of_tc(error: &TcError) -> Option<i32> {
    if let TcError::NetlinkError(error) = error { error.raw_os_error() } else { None }
}
