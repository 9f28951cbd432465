//! Two routers with a link of a small MTU between them, which neither a node nor the host behind them sees: what is too
//! long for it has to be told by ICMP, as path MTU discovery wants it (RFC 1191, RFC 8201).
//!
//! ```text
//!   fabric ── near router ──(small MTU)── far router ── host
//! ```

use std::net::IpAddr;
use std::sync::Mutex;

use anyhow::Result;
use ipnet::IpNet;

use crate::address::{self, Dual};
use crate::client::lock;
use crate::fabric::{self, Fabric};
use crate::link::{IfIndex, PrefixRoute, Via};
use crate::netlink::Netlink;
use crate::netns::{FORWARDING, Netns};
use crate::node::Node;
use crate::registry::LabId;
use crate::wiring::everything;

/// Number of the near router of the first outside host on the fabric.
const NEAR: u8 = 50;
/// A router's interface towards the fabric.
const TO_FABRIC: &str = "eth0";
/// A router's interface away from it.
const AWAY: &str = "eth1";

#[derive(Debug)]
pub(crate) struct Hop {
    near: Mutex<Router>,
    far: Mutex<Router>,
}

#[derive(Debug)]
struct Router {
    netlink: Netlink,
    to_fabric: IfIndex,
}

impl Hop {
    /// Makes both routers, joins `host` behind them as `device`, and tells the nodes the way.
    ///
    /// `index` is that of the outside host, `bytes` the small MTU.
    pub(crate) fn new(
        id: &LabId,
        fabric: &Fabric,
        nodes: &[Node],
        (index, name, bytes): (u8, &str, u32),
        (host, host_netlink, device): fabric::End<'_>,
    ) -> Result<Self> {
        let router = |side: &str| Netns::create(&id.netns_name(&format!("{name}-{side}")), FORWARDING);
        let (near, mut near_netlink) = router("near")?;
        let (far, mut far_netlink) = router("far")?;

        let to_fabric = fabric.join(&format!("hop{index}"), TO_FABRIC, &near, &mut near_netlink)?;
        let (transit, far_to_fabric) =
            fabric::connect((&near, &mut near_netlink, AWAY), (&far, &mut far_netlink, TO_FABRIC))?;
        near_netlink.set_mtu(transit, bytes)?;
        far_netlink.set_mtu(far_to_fabric, bytes)?;
        let (access, _) = fabric::connect((&far, &mut far_netlink, AWAY), (host, host_netlink, device))?;

        let on_fabric = address::fabric(NEAR + index);
        for family in 0..2 {
            let [near_transit, far_transit, gateway, on_fabric] = [
                address::transit(index, 1),
                address::transit(index, 2),
                address::beyond(index, 1),
                on_fabric,
            ]
            .map(|net| net.both()[family]);
            near_netlink.add_address(to_fabric, on_fabric, PrefixRoute::Yes)?;
            near_netlink.add_address(transit, near_transit, PrefixRoute::Yes)?;
            far_netlink.add_address(far_to_fabric, far_transit, PrefixRoute::Yes)?;
            far_netlink.add_address(access, gateway, PrefixRoute::Yes)?;

            let beyond = gateway.trunc();
            near_netlink.add_route(beyond, Via::Gateway(far_transit.addr()), transit)?;
            let near = near_transit.addr();
            far_netlink.add_route(everything(near)?, Via::Gateway(near), far_to_fabric)?;
            for node in nodes {
                node.add_route(beyond, on_fabric.addr())?;
                node.add_route(near_transit.trunc(), on_fabric.addr())?;
            }
        }
        Ok(Self {
            near: Mutex::new(Router { netlink: near_netlink, to_fabric }),
            far: Mutex::new(Router { netlink: far_netlink, to_fabric: far_to_fabric }),
        })
    }

    /// Address of the near router on the fabric.
    pub(crate) fn on_fabric(index: u8) -> Dual {
        address::fabric(NEAR + index).addresses()
    }

    /// What the host behind uses as its gateway.
    pub(crate) fn gateway(index: u8) -> Dual {
        address::beyond(index, 1).addresses()
    }

    /// Sends what goes to `destination` to that host on the fabric.
    pub(crate) fn route(&self, destination: IpNet, gateway: IpAddr) -> Result<()> {
        let mut near = lock(&self.near);
        let link = near.to_fabric;
        near.netlink.replace_route(destination, Via::Gateway(gateway), link)
    }

    /// Changes the small MTU.
    pub(crate) fn set_mtu(&self, bytes: u32) -> Result<()> {
        let mut near = lock(&self.near);
        let transit = near.netlink.index_of(AWAY)?;
        near.netlink.set_mtu(transit, bytes)?;
        let mut far = lock(&self.far);
        let transit = far.to_fabric;
        far.netlink.set_mtu(transit, bytes)
    }
}
