//! The one setting of a network device that netlink does not reach here: checksum offload.

use std::ffi::c_char;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, ensure};

/// `SIOCETHTOOL` of linux/sockios.h.
const SIOCETHTOOL: libc::Ioctl = 0x8946;
/// `ETHTOOL_STXCSUM` of linux/ethtool.h: switch the device's transmit checksums.
const ETHTOOL_STXCSUM: u32 = 0x17;

/// `struct ethtool_value` of linux/ethtool.h.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// Switches transmit checksum offload off for `device` of the calling thread's namespace.
///
/// Between namespaces packets normally keep their partial checksums, which hides every mistake in rewriting them; with
/// this, checksums are completed before the packet leaves, as before a real wire.
pub(crate) fn disable_tx_checksum(device: &str) -> Result<()> {
    let socket = UdpSocket::bind("[::]:0").context("opening a socket for ethtool")?;
    let mut value = EthtoolValue { command: ETHTOOL_STXCSUM, data: 0 };
    // SAFETY: all-zero bytes are a valid `ifreq`: integers, character arrays and a null pointer.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    ensure!(device.len() < request.ifr_name.len(), "{device} is too long for a device name");
    for (to, from) in request.ifr_name.iter_mut().zip(device.bytes()) {
        *to = from as c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: the request names a device by a terminated string and points to a live `ethtool_value`, as this
    // command of SIOCETHTOOL expects; both outlive the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    ensure!(result == 0, "switching off checksum offload of {device}: {}", io::Error::last_os_error());
    Ok(())
}
