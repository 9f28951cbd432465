//! The network between the nodes: a bridge in a namespace of its own.

use std::os::fd::AsFd;
use std::sync::Mutex;

use anyhow::Result;

use crate::client::lock;
use crate::link::{IfIndex, PrefixRoute};
use crate::netlink::Netlink;
use crate::netns::Netns;
use crate::registry::LabId;
use crate::{address, ethtool};

/// The bridge, which has address number 1 of the fabric: the nodes' default gateway, which leads nowhere.
const BRIDGE: &str = "fabric";

#[derive(Debug)]
pub(crate) struct Fabric {
    netns: Netns,
    netlink: Mutex<Netlink>,
    bridge: IfIndex,
}

impl Fabric {
    pub(crate) fn new(id: &LabId) -> Result<Self> {
        let (netns, mut netlink) = Netns::create(&id.netns_name("fabric"), &[])?;
        let bridge = netlink.add_bridge(BRIDGE, [0x02, 0xfa, 0xb0, 0x00, 0x00, 0x01])?;
        for address in address::fabric(1).both() {
            netlink.add_address(bridge, address, PrefixRoute::Yes)?;
        }
        Ok(Self { netns, netlink: Mutex::new(netlink), bridge })
    }

    /// Joins a host by a veth pair whose near end completes checksums before a packet leaves; the host does the same
    /// for the far end, `device`, which is down.
    pub(crate) fn join(&self, port: &str, device: &str, host: &Netns) -> Result<()> {
        let mut netlink = lock(&self.netlink);
        let near = netlink.add_veth(port, device, host.as_fd())?;
        netlink.join_bridge(near, self.bridge)?;
        self.netns.run(|| ethtool::disable_tx_checksum(port))
    }
}
