//! How pods are joined to their node: the three shapes in which most CNI plugins do it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use ipnet::IpNet;

use crate::address::{Dual, DualNet, host_net};
use crate::link::{IfIndex, PrefixRoute, Via};
use crate::netlink::Netlink;
use crate::netns::{Netns, Sysctl};
use crate::packet::Mac;

/// Bridge that joins the pods of a node.
const BRIDGE: &str = "cni0";
/// Name of a pod's interface, inside.
pub(crate) const POD_DEVICE: &str = "eth0";
/// Gateway of every pod that is wired as [`Wiring::Routed`]; no device has it.
const ROUTED_GATEWAY: Dual =
    Dual { v4: Ipv4Addr::new(169, 254, 1, 1), v6: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1) };
/// Lets a bridge answer for pods of the node that are none of its ports, and at once.
const PROXY: &[Sysctl] = &[
    Sysctl("ipv4/conf/cni0/proxy_arp", "1"),
    Sysctl("ipv4/neigh/cni0/proxy_delay", "0"),
    Sysctl("ipv6/conf/cni0/proxy_ndp", "1"),
    Sysctl("ipv6/neigh/cni0/proxy_delay", "0"),
];

/// How a node's pods are wired, or one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wiring {
    /// A veth without a bridge for each pod, the gateway's address on every host end, one host route for each pod: the
    /// `ptp` plugin, and in its effect AWS and Azure. The node is the gateway's address to its pods.
    Ptp,
    /// The same without an address on the host ends: pods have the gateways 169.254.1.1 and fe80::1 by permanent
    /// neighbours, as Calico's. The node is the address of its uplink to its pods, unless others of its pods bring it
    /// the gateway's.
    Routed,
    /// All host ends are ports of one bridge that has the gateway's address: the `bridge` plugin, flannel, kubenet.
    Bridge,
}

/// A node's wires to its pods.
#[derive(Debug)]
pub(crate) struct Wires {
    index: u8,
    gateway: DualNet,
    /// Made with the first pod that wants it, or with the node.
    bridge: Option<IfIndex>,
    /// Pods that are no ports of it: where there is a bridge too, it answers for them.
    apart: Vec<Dual>,
}

/// Addresses that wiring a pod takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PodAddresses {
    pub(crate) pod: Dual,
    pub(crate) gateway: Dual,
    /// The node's range of pods.
    pub(crate) range: DualNet,
}

/// The two namespaces that a pod's wire joins.
pub(crate) struct Sides<'a> {
    pub(crate) node_netns: &'a Netns,
    pub(crate) node: &'a mut Netlink,
    pub(crate) pod_netns: &'a Netns,
    pub(crate) pod: &'a mut Netlink,
}

impl Wires {
    /// Prepares a node, whose number is `index`, for pods.
    pub(crate) fn new(
        wiring: Wiring,
        netns: &Netns,
        node: &mut Netlink,
        index: u8,
        gateway: DualNet,
    ) -> Result<Self> {
        let mut wires = Self { index, gateway, bridge: None, apart: Vec::new() };
        match wiring {
            Wiring::Ptp | Wiring::Routed => {}
            Wiring::Bridge => drop(wires.bridge(netns, node)?),
        }
        Ok(wires)
    }

    /// Joins a pod's namespace to its node; returns the host end.
    pub(crate) fn add_pod(
        &mut self,
        wiring: Wiring,
        host_device: &str,
        sides: &mut Sides<'_>,
        addresses: &PodAddresses,
    ) -> Result<IfIndex> {
        let host_end = sides.node.add_veth(host_device, POD_DEVICE, sides.pod_netns.as_fd())?;
        let device = sides.pod.index_of(POD_DEVICE)?;
        sides.pod.set_up(device)?;
        match wiring {
            Wiring::Ptp => {
                for gateway in addresses.gateway.both() {
                    sides.node.add_address(host_end, host_net(gateway), PrefixRoute::No)?;
                }
                self.add_apart(host_end, sides, addresses.pod)?;
                for ((address, gateway), range) in addresses.families() {
                    let address = IpNet::new(address, range.prefix_len())?;
                    sides.pod.add_address(device, address, PrefixRoute::No)?;
                    sides.pod.add_route(host_net(gateway), Via::Link, device)?;
                    sides.pod.add_route(range, Via::Gateway(gateway), device)?;
                    sides.pod.add_route(everything(gateway)?, Via::Gateway(gateway), device)?;
                }
            }
            Wiring::Routed => {
                self.add_apart(host_end, sides, addresses.pod)?;
                let mac = sides.node.mac_of(host_end)?;
                for (address, gateway) in addresses.pod.both().into_iter().zip(ROUTED_GATEWAY.both()) {
                    sides.pod.add_address(device, host_net(address), PrefixRoute::No)?;
                    if gateway.is_ipv4() {
                        sides.pod.add_route(host_net(gateway), Via::Link, device)?;
                    }
                    sides.pod.add_neighbour(device, gateway, mac)?;
                    sides.pod.add_route(everything(gateway)?, Via::Gateway(gateway), device)?;
                }
            }
            Wiring::Bridge => {
                let bridge = self.bridge(sides.node_netns, sides.node)?;
                sides.node.join_bridge(host_end, bridge)?;
                for ((address, gateway), range) in addresses.families() {
                    let address = IpNet::new(address, range.prefix_len())?;
                    sides.pod.add_address(device, address, PrefixRoute::Yes)?;
                    sides.pod.add_route(everything(gateway)?, Via::Gateway(gateway), device)?;
                }
            }
        }
        Ok(host_end)
    }

    /// Removes a pod's wire.
    pub(crate) fn remove_pod(&mut self, node: &mut Netlink, pod: Dual, host_end: IfIndex) -> Result<()> {
        node.remove_link(host_end)?;
        if let Some(position) = self.apart.iter().position(|known| *known == pod) {
            self.apart.swap_remove(position);
            if let Some(bridge) = self.bridge {
                node.remove_proxy(bridge, pod.v6.into())?;
            }
        }
        Ok(())
    }

    /// Hardware address that pods send to which are ports of the bridge.
    pub(crate) fn bridge_mac(index: u8) -> Mac {
        Mac([0x0a, 0x58, 0x0a, 0xf4, index, 0x01])
    }

    /// The bridge, made at the first call.
    fn bridge(&mut self, netns: &Netns, node: &mut Netlink) -> Result<IfIndex> {
        if let Some(bridge) = self.bridge {
            return Ok(bridge);
        }
        let bridge = node.add_bridge(BRIDGE, Self::bridge_mac(self.index).0)?;
        for address in self.gateway.both() {
            node.add_address(bridge, address, PrefixRoute::Yes)?;
        }
        self.bridge = Some(bridge);
        if !self.apart.is_empty() {
            netns.set(PROXY)?;
        }
        self.apart.iter().try_for_each(|pod| node.add_proxy(bridge, pod.v6.into()))?;
        Ok(bridge)
    }

    /// Routes to a pod that is no port of the bridge, and has the bridge's ports find it.
    fn add_apart(&mut self, host_end: IfIndex, sides: &mut Sides<'_>, pod: Dual) -> Result<()> {
        for address in pod.both() {
            sides.node.add_route(host_net(address), Via::Link, host_end)?;
        }
        if let Some(bridge) = self.bridge {
            sides.node_netns.set(PROXY).context("letting the bridge answer for other pods")?;
            sides.node.add_proxy(bridge, pod.v6.into())?;
        }
        self.apart.push(pod);
        Ok(())
    }
}

impl PodAddresses {
    /// Address, gateway and range, IPv4 first.
    fn families(&self) -> impl Iterator<Item = ((IpAddr, IpAddr), IpNet)> {
        self.pod.both().into_iter().zip(self.gateway.both()).zip(self.range.both())
    }
}

/// The default route's destination in the family of `address`.
pub(crate) fn everything(address: IpAddr) -> Result<IpNet> {
    Ok(IpNet::new(address, 0)?.trunc())
}
