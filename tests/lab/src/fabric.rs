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

    /// Joins a host by a veth pair of which neither end has checksum offload; the host's, `device`, is up.
    pub(crate) fn join(
        &self,
        port: &str,
        device: &str,
        host: &Netns,
        netlink: &mut Netlink,
    ) -> Result<IfIndex> {
        let mut fabric = lock(&self.netlink);
        let (near, far) = connect((&self.netns, &mut fabric, port), (host, netlink, device))?;
        fabric.join_bridge(near, self.bridge)?;
        Ok(far)
    }

    /// The fabric's namespace: a capture here sees what is on the wire.
    pub(crate) fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Sets the MTU of the near end of a host's link.
    pub(crate) fn set_mtu(&self, port: &str, bytes: u32) -> Result<()> {
        let mut netlink = lock(&self.netlink);
        let port = netlink.index_of(port)?;
        netlink.set_mtu(port, bytes)
    }
}

/// One end of a link to be: the namespace, its netlink socket, the name of the device.
pub(crate) type End<'a> = (&'a Netns, &'a mut Netlink, &'a str);

/// Joins two namespaces by a veth pair that is up and whose ends complete checksums before a packet leaves.
pub(crate) fn connect(near: End<'_>, far: End<'_>) -> Result<(IfIndex, IfIndex)> {
    let (near_netns, near_netlink, near_device) = near;
    let (far_netns, far_netlink, far_device) = far;
    let near = near_netlink.add_veth(near_device, far_device, far_netns.as_fd())?;
    near_netns.run(|| ethtool::disable_tx_checksum(near_device))?;
    far_netns.run(|| ethtool::disable_tx_checksum(far_device))?;
    let far = far_netlink.index_of(far_device)?;
    far_netlink.set_up(far)?;
    Ok((near, far))
}
