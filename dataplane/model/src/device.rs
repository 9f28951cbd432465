//! Network devices of the node as the kernel lists them, and what each is for.

mod classify;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

pub use self::classify::{Role, Wanted, classify};

/// Index of a network device in the node's network namespace, from 1. The kernel does not give it out again soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfIndex(pub u32);

/// A MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

/// What a device is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceType {
    /// Hardware, or what stands for it in a virtual machine.
    Hardware,
    /// One end of a veth or netkit pair.
    Pair,
    /// A bridge.
    Bridge,
    /// A bond or team.
    Bond,
    /// A VLAN on another device.
    Vlan,
    /// A tunnel to other machines: VXLAN, Geneve, WireGuard, ipip, gre and the like.
    Tunnel,
    /// A routing domain. Its ports are routed as if they had no master.
    Vrf,
    /// Anything else, loopback and dummies included: nothing reaches peers through it.
    Other,
}

/// An address of a device with the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceAddr {
    /// Address and prefix length; the bits behind the prefix are kept.
    pub net: IpNet,
    /// The kernel may choose it as a source toward other machines: of global scope, neither secondary nor temporary,
    /// not deprecated.
    pub is_source: bool,
}

/// A network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name now: it may change while the index stays.
    pub name: Arc<str>,
    /// What it is.
    pub device_type: DeviceType,
    /// Its own MAC address; `None` on devices without an Ethernet header, where packets begin with the IP header.
    pub mac: Option<Mac>,
    /// Largest packet in bytes, without the link header.
    pub mtu: u32,
    /// The bridge, bond or VRF that it is a port of.
    pub master: Option<IfIndex>,
    /// The other end is in another network namespace.
    pub is_peer_elsewhere: bool,
    /// Usable addresses in the kernel's order; duplicate detection is over or not needed.
    pub addrs: Vec<DeviceAddr>,
}

/// A unicast route of any table but `local`. One with several next hops is several routes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Destination.
    pub to: IpNet,
    /// The device that it leads through.
    pub device: IfIndex,
    /// The next hop, `None` if the destination is on the link.
    pub via: Option<IpAddr>,
    /// The source that the route prefers.
    pub source: Option<IpAddr>,
}

/// The node's network as netlink shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Devices.
    pub devices: BTreeMap<IfIndex, Device>,
    /// Routes.
    pub routes: BTreeSet<Route>,
    /// MAC addresses of neighbours, by device and address.
    pub neighbours: BTreeMap<(IfIndex, IpAddr), Mac>,
    /// Ports of bridges behind which a MAC address was seen, by bridge and address.
    pub bridge_ports: BTreeMap<(IfIndex, Mac), IfIndex>,
}

impl Network {
    /// Every address of every device, loopback addresses excepted.
    pub fn addrs(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let all = self.devices.values().flat_map(|device| &device.addrs);
        all.map(|addr| addr.net.addr()).filter(|addr| !addr.is_loopback() && !addr.is_unspecified())
    }

    /// The device of that name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<IfIndex> {
        self.devices.iter().find(|(_, device)| &*device.name == name).map(|(index, _)| *index)
    }

    /// The source of what the node itself sends through a device: what a route through it prefers, the widest route
    /// first, else the device's first address that is fit for it. `None` if it has none of the family.
    #[must_use]
    pub fn source(&self, device: IfIndex, is_v4: bool) -> Option<IpAddr> {
        let through = self.routes.iter().filter(|r| r.device == device && r.to.addr().is_ipv4() == is_v4);
        let preferred = through.filter_map(|r| Some((r.to.prefix_len(), r.source?))).min();
        let own = || {
            let addrs = &self.devices.get(&device)?.addrs;
            let fit = addrs.iter().filter(|addr| addr.is_source).map(|addr| addr.net.addr());
            fit.into_iter().find(|addr| addr.is_ipv4() == is_v4)
        };
        preferred.map(|(_, source)| source).or_else(own)
    }

    /// The MAC address at the other end of a pod's interface, if a neighbour entry names it.
    #[must_use]
    pub fn neighbour(&self, addr: IpAddr, port: IfIndex) -> Option<Mac> {
        let master = self.devices.get(&port).and_then(|device| device.master);
        [Some(port), master].into_iter().flatten().find_map(|on| self.neighbours.get(&(on, addr)).copied())
    }
}
