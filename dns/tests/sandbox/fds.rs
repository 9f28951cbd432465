//! Open files as messages (SCM_RIGHTS, unix(7)).

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// Sends one, with one byte of data as a stream wants it.
pub(crate) fn send(socket: RawFd, fd: BorrowedFd<'_>) {
    let fds = [fd.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    sendmsg::<()>(socket, &[IoSlice::new(b"f")], &rights, MsgFlags::empty(), None).unwrap();
}

/// Receives one.
pub(crate) fn receive(socket: RawFd) -> OwnedFd {
    let mut byte = [0];
    let mut data = [IoSliceMut::new(&mut byte)];
    let mut space = cmsg_space!(RawFd);
    let message = recvmsg::<()>(socket, &mut data, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC).unwrap();
    let rights = message.cmsgs().unwrap().find_map(|message| {
        if let ControlMessageOwned::ScmRights(fds) = message { fds.first().copied() } else { None }
    });
    let fd = rights.expect("a message with a file");
    // SAFETY: the kernel has just opened it for this message, so nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
