//! A packet socket that tells partial checksums from wrong ones.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{setsockopt, sockopt};

use super::Captured;
use crate::netlink::Netlink;
use crate::raw::packet_socket;
use crate::workload::monotonic_ns;

/// Room for packets that wait to be read, in bytes with the kernel's overhead: some 60,000 short ones.
const BUFFER_BYTES: usize = 64 << 20;
/// Longer than any packet, those included that are cut into segments later.
const FRAME_BYTES: usize = 1 << 17;
/// `TP_STATUS_CSUMNOTREADY` of linux/if_packet.h: the checksum is to be completed by the device.
const CHECKSUM_PARTIAL: u32 = 1 << 3;

/// `struct tpacket_auxdata` of linux/if_packet.h.
#[repr(C)]
#[derive(Clone, Copy)]
struct AuxData {
    status: u32,
    length: u32,
    kept_length: u32,
    mac: u16,
    net: u16,
    vlan_tci: u16,
    vlan_tpid: u16,
}

/// `struct tpacket_stats` of linux/if_packet.h; reading it sets it to zero.
#[repr(C)]
#[derive(Default)]
struct Statistics {
    packets: u32,
    drops: u32,
}

#[derive(Debug)]
pub(super) struct Socket {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens one on `device` of the calling thread's namespace.
    pub(super) fn open(device: &str) -> Result<Self> {
        let index = Netlink::open()?.index_of(device)?;
        let socket = packet_socket(libc::ETH_P_ALL as u16, index.number())?;
        setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_BYTES).context("making room for packets")?;
        let on: libc::c_int = 1;
        // SAFETY: the option takes an integer, which lives through the call.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_AUXDATA,
                (&raw const on).cast(),
                size_of_val(&on) as libc::socklen_t,
            )
        };
        ensure!(result == 0, "asking for the state of checksums: {}", io::Error::last_os_error());
        Ok(Self { socket, buffer: vec![0; FRAME_BYTES] })
    }

    /// Another handle, to poll.
    pub(super) fn try_clone(&self) -> io::Result<OwnedFd> {
        self.socket.as_fd().try_clone_to_owned()
    }

    /// The next packet, if one waits.
    pub(super) fn receive(&mut self) -> io::Result<Option<Captured>> {
        // SAFETY: all-zero bytes are a valid `sockaddr_ll`, which is integers.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        // Room for one control message, in words for its alignment.
        let mut control = [0_u64; 8];
        let mut part = libc::iovec { iov_base: self.buffer.as_mut_ptr().cast(), iov_len: self.buffer.len() };
        // SAFETY: all-zero bytes are a valid `msghdr`: integers and null pointers.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_name = (&raw mut address).cast();
        message.msg_namelen = size_of_val(&address) as libc::socklen_t;
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control);
        // SAFETY: the message points to buffers that live through the call and are as long as it says.
        let length = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, 0) };
        let Ok(length) = usize::try_from(length) else {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                // The device went away or down: nothing more will come, and that is no failure.
                Some(libc::EAGAIN | libc::ENETDOWN | libc::EINTR) => Ok(None),
                _ => Err(error),
            };
        };
        Ok(Some(Captured {
            at_ns: monotonic_ns(),
            is_outgoing: address.sll_pkttype == libc::PACKET_OUTGOING,
            is_partial: aux_status(&message) & CHECKSUM_PARTIAL != 0,
            frame: self.buffer[..length].to_vec(),
            bad: Vec::new(),
        }))
    }

    /// How many packets found no room since the last call.
    pub(super) fn lost(&self) -> Result<u64> {
        let mut statistics = Statistics::default();
        let mut length = size_of::<Statistics>() as libc::socklen_t;
        // SAFETY: the option writes a `tpacket_stats`, for which there is room.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut statistics).cast(),
                &raw mut length,
            )
        };
        ensure!(result == 0, "asking for lost packets: {}", io::Error::last_os_error());
        Ok(statistics.drops.into())
    }
}

/// The status in the auxiliary data of a message that `recvmsg` has filled; zero without any.
fn aux_status(message: &libc::msghdr) -> u32 {
    // SAFETY: `message` is whole and its control buffer lives; the macros stay within the length that the kernel set.
    let header = unsafe { libc::CMSG_FIRSTHDR(message).as_ref() };
    match header {
        Some(header) if header.cmsg_level == libc::SOL_PACKET && header.cmsg_type == libc::PACKET_AUXDATA => {
            // SAFETY: the data of this control message is a `tpacket_auxdata`, perhaps not aligned for it.
            unsafe { libc::CMSG_DATA(header).cast::<AuxData>().read_unaligned() }.status
        }
        _ => 0,
    }
}
