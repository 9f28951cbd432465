//! Frames sent as they are: malformed, spoofed, out of any order.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::netlink::Netlink;
use crate::netns::Netns;
use crate::packet::Mac;

/// A raw socket on one device. What it sends passes the device's hooks as any other packet; it receives nothing.
#[derive(Debug)]
pub struct RawLink {
    socket: OwnedFd,
    mac: Mac,
}

impl RawLink {
    /// Opens a socket on `device` of the namespace.
    ///
    /// # Errors
    ///
    /// There is no such device, or it is no Ethernet.
    pub fn open(netns: &Netns, device: &str) -> Result<Self> {
        netns.run(|| {
            let mut netlink = Netlink::open()?;
            let index = netlink.index_of(device)?;
            // Protocol zero takes no packet in.
            let socket = packet_socket(0, index.number())?;
            Ok(Self { socket, mac: netlink.mac_of(index)? })
        })
    }

    /// Hardware address of the device.
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// Sends a whole Ethernet frame.
    ///
    /// # Errors
    ///
    /// The device is down, or the frame is longer than its MTU.
    pub fn send_frame(&self, frame: &[u8]) -> Result<()> {
        let sent = nix::unistd::write(&self.socket, frame)
            .with_context(|| format!("sending a frame of {} bytes", frame.len()))?;
        ensure!(sent == frame.len(), "{sent} of {} bytes were sent", frame.len());
        Ok(())
    }

    /// Sends an IP packet to the host on the link that has the hardware address `to`. The first half byte decides the
    /// frame's type: what is not 6 goes as IPv4.
    ///
    /// # Errors
    ///
    /// As [`Self::send_frame`].
    pub fn send(&self, to: Mac, packet: &[u8]) -> Result<()> {
        let ethertype =
            if packet.first().is_some_and(|byte| byte >> 4 == 6) { libc::ETH_P_IPV6 } else { libc::ETH_P_IP };
        let frame = [&to.0, &self.mac.0, &(ethertype as u16).to_be_bytes()[..], packet].concat();
        self.send_frame(&frame)
    }
}

/// A packet socket of the calling thread's namespace on the device of that index; `protocol` is an Ethernet type.
pub(crate) fn packet_socket(protocol: u16, index: u32) -> Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket =
        socket(AddressFamily::Packet, SockType::Raw, flags, None).context("opening a packet socket")?;
    // SAFETY: all-zero bytes are a valid `sockaddr_ll`, which is integers.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = index.cast_signed();
    // SAFETY: the address lives through the call and is as long as we say.
    let bound = unsafe {
        libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as libc::socklen_t)
    };
    ensure!(bound == 0, "binding a packet socket: {}", io::Error::last_os_error());
    Ok(socket)
}
