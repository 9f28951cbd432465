//! Which device is a pod's, which lead to peers and outside, and which are nobody's business.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::{Device, DeviceType, IfIndex, Network};

/// What a device is for. A device without a role is left alone: loopback, ports of a bond, bridges between containers,
/// ends of pairs inside this namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role<P> {
    /// The host's side of this pod's interface.
    Pod(P),
    /// It leads into another network namespace of this machine, and no sign says whose that is: a pod that has no
    /// address yet, or a container of somebody else.
    Unclaimed,
    /// It leads to peers or outside.
    Uplink,
    /// It leads to peers through a tunnel.
    Overlay,
}

/// What [`classify`] looks for.
#[derive(Clone, Debug)]
pub struct Wanted<'a, P> {
    /// Addresses of the pods of this node that have a network namespace of their own.
    pub pods: &'a BTreeMap<IpAddr, P>,
    /// Addresses of other nodes.
    pub peers: &'a BTreeSet<IpAddr>,
    /// Names of the uplinks, if the operator named them: no other device is one.
    pub uplinks: Option<&'a BTreeSet<Arc<str>>>,
    /// Whose a device was: kept for a bridge's port while no sign says otherwise and the pod is still there.
    pub before: &'a BTreeMap<IfIndex, P>,
}

/// The role of each device that has one.
///
/// A pod's interface is known by a host route to one of its addresses (ptp wiring), or by the pod's neighbour entry on a
/// bridge and the port behind which its MAC address was seen (bridge wiring). Uplinks are what routes to peers and
/// default routes lead through, and every device to other machines that has a network of its own.
#[must_use]
pub fn classify<P: Clone + Ord>(network: &Network, wanted: &Wanted<'_, P>) -> BTreeMap<IfIndex, Role<P>> {
    let pods = pods(network, wanted);
    let uplinks = match wanted.uplinks {
        Some(names) => named(network, names),
        None => found(network, wanted.peers),
    };
    let mut roles = BTreeMap::new();
    for (index, device) in &network.devices {
        let role = if let Some(pod) = pods.get(index) {
            Role::Pod(pod.clone())
        } else if uplinks.contains(index) {
            if device.device_type == DeviceType::Tunnel { Role::Overlay } else { Role::Uplink }
        } else if device.device_type == DeviceType::Pair && device.is_peer_elsewhere {
            Role::Unclaimed
        } else {
            continue;
        };
        roles.insert(*index, role);
    }
    roles
}

/// Devices that are known to be a pod's.
fn pods<P: Clone + Ord>(network: &Network, wanted: &Wanted<'_, P>) -> BTreeMap<IfIndex, P> {
    let is_pair = |index: &IfIndex| {
        network.devices.get(index).is_some_and(|device| device.device_type == DeviceType::Pair)
    };
    let alive: BTreeSet<&P> = wanted.pods.values().collect();
    // Routes stay as long as what they say; entries of bridges age.
    let is_port = |index: &IfIndex| {
        is_pair(index) && network.devices.get(index).is_some_and(|device| device.master.is_some())
    };
    let mut found: BTreeMap<IfIndex, P> = wanted
        .before
        .iter()
        .filter(|(index, pod)| is_port(index) && alive.contains(pod))
        .map(|(index, pod)| (*index, pod.clone()))
        .collect();
    for ((bridge, addr), mac) in &network.neighbours {
        if let Some(pod) = wanted.pods.get(addr)
            && let Some(port) = network.bridge_ports.get(&(*bridge, *mac))
            && is_pair(port)
            && network.devices.get(port).is_some_and(|device| device.master == Some(*bridge))
        {
            found.insert(*port, pod.clone());
        }
    }
    // A route was made on purpose; a neighbour entry says what somebody answered.
    for route in &network.routes {
        if is_host(&route.to)
            && route.via.is_none()
            && is_pair(&route.device)
            && let Some(pod) = wanted.pods.get(&route.to.addr())
        {
            found.insert(route.device, pod.clone());
        }
    }
    found
}

fn named(network: &Network, names: &BTreeSet<Arc<str>>) -> BTreeSet<IfIndex> {
    network.devices.iter().filter(|(_, d)| names.contains(&d.name)).map(|(index, _)| *index).collect()
}

/// Devices that routes show to lead to peers or outside.
fn found(network: &Network, peers: &BTreeSet<IpAddr>) -> BTreeSet<IfIndex> {
    let mut uplinks: BTreeSet<IfIndex> =
        network.routes.iter().filter(|route| route.to.prefix_len() == 0).map(|route| route.device).collect();
    for peer in peers {
        let covering = || network.routes.iter().filter(|route| route.to.contains(peer));
        let longest = covering().map(|route| route.to.prefix_len()).max();
        uplinks.extend(
            covering().filter(|route| Some(route.to.prefix_len()) == longest).map(|route| route.device),
        );
    }
    let networks = network.routes.iter().filter(|route| !is_host(&route.to) && !is_link_local(&route.to));
    uplinks.extend(networks.map(|route| route.device).filter(|index| leads_out(network, *index)));
    uplinks.retain(|index| {
        network.devices.get(index).is_some_and(|device| can_lead_out(device) && !is_port(network, device))
    });
    uplinks
}

/// Whether a device with a network behind it leads to other machines, without a peer or a default route to show it.
fn leads_out(network: &Network, index: IfIndex) -> bool {
    let Some(device) = network.devices.get(&index) else { return false };
    match device.device_type {
        DeviceType::Hardware | DeviceType::Bond | DeviceType::Vlan | DeviceType::Tunnel => true,
        // One between containers has pairs as ports and nothing else.
        DeviceType::Bridge => {
            network.devices.values().any(|port| port.master == Some(index) && is_cable(port.device_type))
        }
        DeviceType::Pair | DeviceType::Vrf | DeviceType::Other => false,
    }
}

fn is_cable(device_type: DeviceType) -> bool {
    match device_type {
        DeviceType::Hardware | DeviceType::Bond | DeviceType::Vlan | DeviceType::Tunnel => true,
        DeviceType::Pair | DeviceType::Bridge | DeviceType::Vrf | DeviceType::Other => false,
    }
}

/// A pair may: a node that is a network namespace itself hangs on one.
fn can_lead_out(device: &Device) -> bool {
    match device.device_type {
        DeviceType::Hardware
        | DeviceType::Bond
        | DeviceType::Vlan
        | DeviceType::Tunnel
        | DeviceType::Bridge
        | DeviceType::Pair => true,
        DeviceType::Vrf | DeviceType::Other => false,
    }
}

/// Whether the device is a port: then its master is what packets are routed through.
fn is_port(network: &Network, device: &Device) -> bool {
    let Some(master) = device.master else { return false };
    network.devices.get(&master).is_none_or(|master| master.device_type != DeviceType::Vrf)
}

fn is_host(net: &IpNet) -> bool {
    net.prefix_len() == net.max_prefix_len()
}

/// IPv6 gives every device a link-local network, used or not.
fn is_link_local(net: &IpNet) -> bool {
    match net {
        IpNet::V4(net) => net.addr().is_link_local(),
        IpNet::V6(net) => net.addr().is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests;
