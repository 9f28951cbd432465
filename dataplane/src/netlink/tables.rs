//! The kernel's tables as they were last listed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt;
use futures_util::stream::Stream;
use model::{Device, DeviceAddr, DeviceType, IfIndex, Mac, Network, Route};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::NeighbourMessage;
use rtnetlink::{Handle, RouteMessageBuilder};

use super::neigh::Entry;
use super::{NetlinkError, Table, addrs, links, neigh, routes};

/// What was listed.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// Without their addresses.
    devices: BTreeMap<IfIndex, Device>,
    addrs: BTreeMap<IfIndex, Vec<DeviceAddr>>,
    routes: BTreeSet<Route>,
    neighbours: BTreeMap<(IfIndex, IpAddr), Mac>,
    bridge_ports: BTreeMap<(IfIndex, Mac), IfIndex>,
}

impl Tables {
    /// Lists one table anew.
    pub(super) async fn list(&mut self, handle: &Handle, table: Table) -> Result<(), NetlinkError> {
        let fail = |source| NetlinkError::Dump { table, source };
        match table {
            Table::Links => {
                let found = all(handle.link().get().execute()).await.map_err(fail)?;
                self.devices = found.iter().filter_map(links::from_message).collect();
            }
            Table::Addrs => {
                let found = all(handle.address().get().execute()).await.map_err(fail)?;
                self.addrs.clear();
                for (device, addr) in found.iter().filter_map(addrs::from_message) {
                    self.addrs.entry(device).or_default().push(addr);
                }
            }
            Table::Routes => {
                let v4 = RouteMessageBuilder::<Ipv4Addr>::new().build();
                let v6 = RouteMessageBuilder::<Ipv6Addr>::new().build();
                let mut found = all(handle.route().get(v4).execute()).await.map_err(fail)?;
                found.append(&mut all(handle.route().get(v6).execute()).await.map_err(fail)?);
                self.routes = found.iter().flat_map(routes::from_message).collect();
            }
            Table::Neighbours => {
                let found = all(handle.neighbours().get().execute()).await.map_err(fail)?;
                self.neighbours.clear();
                for entry in found.iter().filter_map(neigh::from_message) {
                    if let Entry::Neighbour(device, addr, Some(mac)) = entry
                        && self.is_watched(device)
                    {
                        self.neighbours.insert((device, addr), mac);
                    }
                }
            }
            Table::BridgePorts => {
                let request = handle.neighbours().get().set_address_family(AddressFamily::Bridge);
                let found = all(request.execute()).await.map_err(fail)?;
                self.bridge_ports.clear();
                for entry in found.iter().filter_map(neigh::from_message) {
                    if let Entry::BridgePort { bridge, mac, port } = entry {
                        self.bridge_ports.insert((bridge, mac), port);
                    }
                }
            }
        }
        Ok(())
    }

    /// All of it as one value.
    pub(super) fn network(&self) -> Network {
        let mut devices = self.devices.clone();
        for (index, device) in &mut devices {
            device.addrs = self.addrs.get(index).cloned().unwrap_or_default();
        }
        Network {
            devices,
            routes: self.routes.clone(),
            neighbours: self.neighbours.clone(),
            bridge_ports: self.bridge_ports.clone(),
        }
    }

    /// Whether neighbours of a device are kept: pods may be there. Those of uplinks come and go without meaning anything.
    fn is_watched(&self, device: IfIndex) -> bool {
        self.devices
            .get(&device)
            .is_some_and(|d| matches!(d.device_type, DeviceType::Pair | DeviceType::Bridge))
    }

    /// The table that a message contradicts. Most say of a known entry that it is still there.
    pub(super) fn contradicted(&self, message: &NeighbourMessage, is_there: bool) -> Option<Table> {
        match neigh::from_message(message)? {
            Entry::Neighbour(device, addr, mac) => {
                let known = self.neighbours.get(&(device, addr)).copied();
                let differs = known != mac.filter(|_| is_there);
                (self.is_watched(device) && differs).then_some(Table::Neighbours)
            }
            Entry::BridgePort { bridge, mac, port } => {
                let is_known = self.bridge_ports.get(&(bridge, mac)) == Some(&port);
                (is_known != is_there).then_some(Table::BridgePorts)
            }
        }
    }
}

async fn all<T>(
    messages: impl Stream<Item = Result<T, rtnetlink::Error>>,
) -> Result<Vec<T>, rtnetlink::Error> {
    messages.try_collect().await
}
