//! How pods are joined to their node: the two shapes in which most CNI plugins do it.

use std::net::IpAddr;
use std::os::fd::AsFd;

use anyhow::Result;
use ipnet::IpNet;

use crate::address::{Dual, DualNet, host_net};
use crate::link::{IfIndex, PrefixRoute, Via};
use crate::netlink::Netlink;
use crate::netns::Netns;

/// Bridge that joins the pods of a node.
const BRIDGE: &str = "cni0";
/// Name of a pod's interface, inside.
const POD_DEVICE: &str = "eth0";

/// How a node's pods are wired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wiring {
    /// A veth without a bridge for each pod, the gateway's address on every host end, one host route for each pod: the
    /// `ptp` plugin, and in its effect Calico, AWS and Azure.
    Ptp,
    /// All host ends are ports of one bridge that has the gateway's address: the `bridge` plugin, flannel, kubenet.
    Bridge,
}

/// A wired node, ready for pods.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wires {
    Ptp,
    Bridge(IfIndex),
}

/// Addresses that wiring a pod takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PodAddresses {
    pub(crate) pod: Dual,
    pub(crate) gateway: Dual,
    /// The node's range of pods.
    pub(crate) range: DualNet,
}

impl Wires {
    /// Prepares a node for pods.
    pub(crate) fn new(wiring: Wiring, node: &mut Netlink, index: u8, gateway: DualNet) -> Result<Self> {
        match wiring {
            Wiring::Ptp => Ok(Self::Ptp),
            Wiring::Bridge => {
                let bridge = node.add_bridge(BRIDGE, [0x0a, 0x58, 0x0a, 0xf4, index, 0x01])?;
                for address in gateway.both() {
                    node.add_address(bridge, address, PrefixRoute::Yes)?;
                }
                Ok(Self::Bridge(bridge))
            }
        }
    }

    /// Joins a pod's namespace to its node; returns the host end.
    pub(crate) fn add_pod(
        self,
        host_device: &str,
        node: &mut Netlink,
        pod_netns: &Netns,
        pod: &mut Netlink,
        addresses: &PodAddresses,
    ) -> Result<IfIndex> {
        let host_end = node.add_veth(host_device, POD_DEVICE, pod_netns.as_fd())?;
        let device = pod.index_of(POD_DEVICE)?;
        pod.set_up(device)?;
        let inside = match self {
            Self::Ptp => {
                for (pod, gateway) in addresses.pod.both().into_iter().zip(addresses.gateway.both()) {
                    node.add_address(host_end, host_net(gateway), PrefixRoute::No)?;
                    node.add_route(host_net(pod), Via::Link, host_end)?;
                }
                PrefixRoute::No
            }
            Self::Bridge(bridge) => {
                node.join_bridge(host_end, bridge)?;
                PrefixRoute::Yes
            }
        };
        let families = addresses.pod.both().into_iter().zip(addresses.gateway.both());
        for ((address, gateway), range) in families.zip(addresses.range.both()) {
            pod.add_address(device, IpNet::new(address, range.prefix_len())?, inside)?;
            if inside == PrefixRoute::No {
                pod.add_route(host_net(gateway), Via::Link, device)?;
                pod.add_route(range, Via::Gateway(gateway), device)?;
            }
            pod.add_route(everything(gateway)?, Via::Gateway(gateway), device)?;
        }
        Ok(host_end)
    }
}

/// The default route's destination in the family of `address`.
pub(crate) fn everything(address: IpAddr) -> Result<IpNet> {
    Ok(IpNet::new(address, 0)?.trunc())
}
