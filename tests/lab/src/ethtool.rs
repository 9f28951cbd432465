//! The one setting of a network device that netlink does not reach here: checksum offload.

use std::ffi::c_char;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, ensure};

/// `SIOCETHTOOL` of linux/sockios.h.
const SIOCETHTOOL: libc::Ioctl = 0x8946;
/// `ETHTOOL_GTXCSUM` of linux/ethtool.h: ask for the device's transmit checksums.
const ETHTOOL_GTXCSUM: u32 = 0x16;
/// `ETHTOOL_STXCSUM` of linux/ethtool.h: switch them.
const ETHTOOL_STXCSUM: u32 = 0x17;

/// `struct ethtool_value` of linux/ethtool.h.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// Switches transmit checksum offload off for `device` of the calling thread's namespace, and makes sure that it is.
///
/// Between namespaces packets normally keep their partial checksums, which hides every mistake in rewriting them; with
/// this, checksums are completed before the packet leaves, as before a real wire.
pub(crate) fn disable_tx_checksum(device: &str) -> Result<()> {
    request(device, ETHTOOL_STXCSUM, 0)
        .with_context(|| format!("switching off checksum offload of {device}"))?;
    ensure!(!has_tx_checksum(device)?, "{device} keeps its checksum offload");
    Ok(())
}

/// Whether `device` of the calling thread's namespace leaves transmit checksums to be completed by others.
///
/// # Errors
///
/// There is no such device.
pub fn has_tx_checksum(device: &str) -> Result<bool> {
    let value = request(device, ETHTOOL_GTXCSUM, 0)
        .with_context(|| format!("asking for the checksum offload of {device}"))?;
    Ok(value != 0)
}

/// Sends one command that takes or returns a number.
fn request(device: &str, command: u32, data: u32) -> Result<u32> {
    let socket = UdpSocket::bind("[::]:0").context("opening a socket for ethtool")?;
    let mut value = EthtoolValue { command, data };
    // SAFETY: all-zero bytes are a valid `ifreq`: integers, character arrays and a null pointer.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    ensure!(device.len() < request.ifr_name.len(), "{device} is too long for a device name");
    for (to, from) in request.ifr_name.iter_mut().zip(device.bytes()) {
        *to = from as c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: the request names a device by a terminated string and points to a live `ethtool_value`, as these
    // commands of SIOCETHTOOL expect; both outlive the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    ensure!(result == 0, io::Error::last_os_error());
    Ok(value.data)
}
