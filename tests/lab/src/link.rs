//! Links, addresses and routes of one network namespace.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use anyhow::{Context, Result};
use ipnet::IpNet;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{InfoData, InfoVeth, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{LinkBridge, LinkUnspec, LinkVeth};

use crate::netlink::Netlink;

/// Index of an interface within its network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IfIndex(u32);

/// Every network namespace has its loopback first.
pub(crate) const LOOPBACK: IfIndex = IfIndex(1);

/// Whether an address brings the route to its own prefix along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrefixRoute {
    Yes,
    No,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Via {
    Gateway(IpAddr),
    Link,
}

impl Netlink {
    /// Makes a veth pair that is up at this end; the other end appears in the namespace `peer_netns`, down.
    pub(crate) fn add_veth(&mut self, name: &str, peer: &str, peer_netns: BorrowedFd<'_>) -> Result<IfIndex> {
        let far = LinkUnspec::new_with_name(peer).setns_by_fd(peer_netns.as_raw_fd()).build();
        let near = LinkVeth::new(name, peer).set_info_data(InfoData::Veth(InfoVeth::Peer(far))).up().build();
        self.create(RouteNetlinkMessage::NewLink(near)).with_context(|| format!("creating veth {name}"))?;
        self.index_of(name)
    }

    /// Makes a bridge that is up. Its hardware address is fixed, or it would change with the ports and neighbours
    /// would lose it.
    pub(crate) fn add_bridge(&mut self, name: &str, hardware_address: [u8; 6]) -> Result<IfIndex> {
        let bridge =
            LinkBridge::new(name).mcast_snooping(false).address(hardware_address.to_vec()).up().build();
        self.create(RouteNetlinkMessage::NewLink(bridge))
            .with_context(|| format!("creating bridge {name}"))?;
        self.index_of(name)
    }

    pub(crate) fn set_up(&mut self, link: IfIndex) -> Result<()> {
        self.set(LinkUnspec::new_with_index(link.0).up().build())
            .with_context(|| format!("setting up {link:?}"))
    }

    /// Makes `port` a port of `bridge`.
    pub(crate) fn join_bridge(&mut self, port: IfIndex, bridge: IfIndex) -> Result<()> {
        self.set(LinkUnspec::new_with_index(port.0).controller(bridge.0).build())
            .with_context(|| format!("making {port:?} a port of {bridge:?}"))
    }

    /// Removes a link; the other end of a veth pair goes with it.
    pub(crate) fn remove_link(&mut self, link: IfIndex) -> Result<()> {
        let message = LinkUnspec::new_with_index(link.0).build();
        self.change(RouteNetlinkMessage::DelLink(message)).with_context(|| format!("removing {link:?}"))
    }

    pub(crate) fn index_of(&mut self, name: &str) -> Result<IfIndex> {
        let link = self
            .link(LinkUnspec::new_with_name(name).build())
            .with_context(|| format!("looking for link {name}"))?;
        Ok(IfIndex(link.header.index))
    }

    /// Adds an address that is usable at once: duplicate address detection is off.
    pub(crate) fn add_address(&mut self, link: IfIndex, address: IpNet, route: PrefixRoute) -> Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = family(address.addr());
        message.header.prefix_len = address.prefix_len();
        message.header.index = link.0;
        let flags = match route {
            PrefixRoute::Yes => AddressFlags::Nodad,
            PrefixRoute::No => AddressFlags::Nodad | AddressFlags::Noprefixroute,
        };
        message.attributes = vec![
            AddressAttribute::Address(address.addr()),
            AddressAttribute::Local(address.addr()),
            AddressAttribute::Flags(flags),
        ];
        self.create(RouteNetlinkMessage::NewAddress(message))
            .with_context(|| format!("adding {address} to {link:?}"))
    }

    pub(crate) fn add_route(&mut self, destination: IpNet, via: Via, link: IfIndex) -> Result<()> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(destination.addr());
        message.header.destination_prefix_length = destination.prefix_len();
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Static;
        message.header.kind = RouteType::Unicast;
        message.attributes = vec![RouteAttribute::Oif(link.0)];
        // A destination of length zero is the default route and has no address.
        if destination.prefix_len() > 0 {
            message.attributes.push(RouteAttribute::Destination(RouteAddress::from(destination.addr())));
        }
        match via {
            Via::Gateway(gateway) => {
                message.header.scope = RouteScope::Universe;
                message.attributes.push(RouteAttribute::Gateway(RouteAddress::from(gateway)));
            }
            Via::Link => message.header.scope = RouteScope::Link,
        }
        self.create(RouteNetlinkMessage::NewRoute(message))
            .with_context(|| format!("adding a route to {destination}"))
    }

    fn set(&mut self, message: LinkMessage) -> Result<()> {
        self.change(RouteNetlinkMessage::SetLink(message))
    }
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}
