//! The addresses that DNS listens on, on `lo`: there whatever interfaces come and go. Those that we added are written
//! down in `<state-dir>/dns-addresses`, so that `ferrule cleanup` takes them away and no others.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use futures_util::TryStreamExt;
use netlink_packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::{Handle, new_connection};

/// Name of the file in the state directory: one address a line.
const FILE: &str = "dns-addresses";

/// Index of `lo` in every network namespace (LOOPBACK_IFINDEX of linux/net.h).
const LOOPBACK: u32 = 1;

/// Why an address is not there.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// Netlink.
    #[error("netlink: {0}")]
    Open(#[source] io::Error),
    /// An address cannot be added or removed.
    #[error("address {addr} on lo: {source}")]
    Change {
        /// The address.
        addr: IpAddr,
        /// Why.
        source: rtnetlink::Error,
    },
    /// The addresses cannot be listed.
    #[error("listing addresses: {0}")]
    List(#[source] rtnetlink::Error),
    /// What was added cannot be written down.
    #[error("{FILE} in the state directory: {0}")]
    File(#[source] io::Error),
}

/// Puts addresses on `lo` that this namespace does not have, and takes away those of an earlier start that are not wanted
/// any more. An address that somebody else put somewhere is used as it is. Returns what was added.
///
/// # Errors
///
/// The first address that cannot be had; what could be done is done.
pub async fn put(state_dir: &Path, wanted: &BTreeSet<IpAddr>) -> Result<BTreeSet<IpAddr>, AddressError> {
    let handle = open()?;
    let present = list(&handle).await?;
    let ours = recorded(state_dir).map_err(AddressError::File)?;
    let missing: BTreeSet<IpAddr> =
        wanted.iter().filter(|addr| is_ordinary(addr) && !present.contains(*addr)).copied().collect();
    let kept: BTreeSet<IpAddr> = ours.intersection(wanted).copied().collect();
    // Written down first: what is written and not there does no harm.
    record(state_dir, &ours.union(&missing).copied().collect())?;
    let mut result = Ok(());
    for addr in &missing {
        let mut request = handle.address().add(LOOPBACK, *addr, bits(*addr));
        if addr.is_ipv6() {
            // Without it the address cannot be bound for a moment: it is tentative even on lo (RFC 4862, 5.4).
            request.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        if let Err(source) = request.execute().await {
            result = result.and(Err(AddressError::Change { addr: *addr, source }));
        }
    }
    for addr in ours.difference(wanted).filter(|addr| present.contains(*addr)) {
        result = result.and(remove(&handle, *addr).await);
    }
    record(state_dir, &kept.union(&missing).copied().collect())?;
    result.map(|()| missing)
}

/// Takes away what [`put`] added, for `ferrule cleanup`; whether there was anything.
///
/// # Errors
///
/// The first address that cannot be removed.
pub async fn take_away(state_dir: &Path) -> Result<bool, AddressError> {
    let ours = recorded(state_dir).map_err(AddressError::File)?;
    if ours.is_empty() {
        return Ok(false);
    }
    let handle = open()?;
    let present = list(&handle).await?;
    for addr in ours.intersection(&present) {
        remove(&handle, *addr).await?;
    }
    fs::remove_file(state_dir.join(FILE)).map_err(AddressError::File)?;
    Ok(true)
}

/// The addresses that an earlier start added.
///
/// # Errors
///
/// The file is there and cannot be read.
pub fn recorded(state_dir: &Path) -> io::Result<BTreeSet<IpAddr>> {
    match fs::read_to_string(state_dir.join(FILE)) {
        Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

fn record(state_dir: &Path, addrs: &BTreeSet<IpAddr>) -> Result<(), AddressError> {
    let text: String = addrs.iter().map(|addr| format!("{addr}\n")).collect();
    let (path, next) = (state_dir.join(FILE), state_dir.join(format!("{FILE}.next")));
    fs::write(&next, text).and_then(|()| fs::rename(&next, &path)).map_err(AddressError::File)
}

/// Whether the address is one that can be added: not loopback's own, not "all".
fn is_ordinary(addr: &IpAddr) -> bool {
    !addr.is_loopback() && !addr.is_unspecified()
}

fn bits(addr: IpAddr) -> u8 {
    if addr.is_ipv4() { 32 } else { 128 }
}

fn open() -> Result<Handle, AddressError> {
    let (connection, handle, _) = new_connection().map_err(AddressError::Open)?;
    // Ends when the handle is dropped.
    tokio::spawn(connection);
    Ok(handle)
}

async fn list(handle: &Handle) -> Result<BTreeSet<IpAddr>, AddressError> {
    let mut messages = handle.address().get().execute();
    let mut addrs = BTreeSet::new();
    while let Some(message) = messages.try_next().await.map_err(AddressError::List)? {
        for attribute in &message.attributes {
            if let AddressAttribute::Local(addr) | AddressAttribute::Address(addr) = attribute {
                addrs.insert(*addr);
            }
        }
    }
    Ok(addrs)
}

async fn remove(handle: &Handle, addr: IpAddr) -> Result<(), AddressError> {
    let fail = |source| AddressError::Change { addr, source };
    let mut messages =
        handle.address().get().set_link_index_filter(LOOPBACK).set_address_filter(addr).execute();
    while let Some(message) = messages.try_next().await.map_err(fail)? {
        handle.address().del(message).execute().await.map_err(fail)?;
    }
    Ok(())
}
