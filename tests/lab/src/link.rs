//! Links, addresses and routes of one network namespace.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use anyhow::{Context, Result};
use ipnet::IpNet;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{InfoData, InfoVeth, LinkAttribute, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteProtocol, RouteScope,
    RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{LinkBridge, LinkUnspec, LinkVeth};

use crate::netlink::Netlink;
use crate::packet::Mac;

/// Index of an interface within its network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IfIndex(u32);

impl IfIndex {
    /// As socket addresses and packet contexts have it.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// Every network namespace has its loopback first.
pub const LOOPBACK: IfIndex = IfIndex(1);

/// The metric's number (`include/uapi/linux/rtnetlink.h`).
const RTAX_MTU: u32 = 2;

/// Whether an address brings the route to its own prefix along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixRoute {
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug)]
pub enum Via {
    /// To a router on the link.
    Gateway(IpAddr),
    /// To the link itself.
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

    /// Makes a veth pair that is up at both ends, in this namespace.
    ///
    /// # Errors
    ///
    /// The kernel refuses: a name is taken.
    pub fn add_veth_pair(&mut self, name: &str, peer: &str) -> Result<IfIndex> {
        self.create(RouteNetlinkMessage::NewLink(LinkVeth::new(name, peer).up().build()))
            .with_context(|| format!("creating veth {name}"))?;
        let peer = self.index_of(peer)?;
        self.set_up(peer)?;
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

    /// Sets a link up.
    ///
    /// # Errors
    ///
    /// The kernel refuses, as in all calls here.
    pub fn set_up(&mut self, link: IfIndex) -> Result<()> {
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

    /// Hardware address of an Ethernet device.
    pub fn mac_of(&mut self, link: IfIndex) -> Result<Mac> {
        let message = self
            .link(LinkUnspec::new_with_index(link.0).build())
            .with_context(|| format!("looking for {link:?}"))?;
        message
            .attributes
            .into_iter()
            .find_map(|attribute| {
                let LinkAttribute::Address(bytes) = attribute else { return None };
                bytes.try_into().ok().map(Mac)
            })
            .with_context(|| format!("{link:?} has no hardware address"))
    }

    /// Sets the longest IP packet that a link takes, in bytes.
    pub fn set_mtu(&mut self, link: IfIndex, bytes: u32) -> Result<()> {
        self.set(LinkUnspec::new_with_index(link.0).mtu(bytes).build())
            .with_context(|| format!("setting the MTU of {link:?} to {bytes}"))
    }

    /// Says for good where `address` is on the link.
    pub fn add_neighbour(&mut self, link: IfIndex, address: IpAddr, mac: Mac) -> Result<()> {
        let mut message = neighbour(link, address);
        message.header.state = NeighbourState::Permanent;
        message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()));
        self.create(RouteNetlinkMessage::NewNeighbour(message))
            .with_context(|| format!("adding neighbour {address} to {link:?}"))
    }

    /// Has this namespace answer neighbour solicitations for `address` on the link.
    pub(crate) fn add_proxy(&mut self, link: IfIndex, address: IpAddr) -> Result<()> {
        self.create(RouteNetlinkMessage::NewNeighbour(proxy(link, address)))
            .with_context(|| format!("answering for {address} on {link:?}"))
    }

    /// Undoes [`Self::add_proxy`].
    pub(crate) fn remove_proxy(&mut self, link: IfIndex, address: IpAddr) -> Result<()> {
        self.change(RouteNetlinkMessage::DelNeighbour(proxy(link, address)))
            .with_context(|| format!("answering no more for {address} on {link:?}"))
    }

    /// Adds an address that is usable at once: duplicate address detection is off.
    pub fn add_address(&mut self, link: IfIndex, address: IpNet, route: PrefixRoute) -> Result<()> {
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

    /// Adds a route; there is none to that destination.
    pub fn add_route(&mut self, destination: IpNet, via: Via, link: IfIndex) -> Result<()> {
        self.create(RouteNetlinkMessage::NewRoute(route(destination, via, link)))
            .with_context(|| format!("adding a route to {destination}"))
    }

    /// Adds a route whose path takes packets of that many bytes only. The number is locked, or forwarding would go by the
    /// link's (`ip_forward_use_pmtu` is off).
    ///
    /// # Errors
    ///
    /// The kernel refuses: there is a route to that destination.
    pub fn add_narrow_route(&mut self, destination: IpNet, via: Via, link: IfIndex, mtu: u32) -> Result<()> {
        let mut message = route(destination, via, link);
        message
            .attributes
            .push(RouteAttribute::Metrics(vec![RouteMetric::Lock(1 << RTAX_MTU), RouteMetric::Mtu(mtu)]));
        self.create(RouteNetlinkMessage::NewRoute(message))
            .with_context(|| format!("adding a narrow route to {destination}"))
    }

    /// Adds a route in the place of another to the same destination, if there is one.
    pub(crate) fn replace_route(&mut self, destination: IpNet, via: Via, link: IfIndex) -> Result<()> {
        self.replace(RouteNetlinkMessage::NewRoute(route(destination, via, link)))
            .with_context(|| format!("putting a route to {destination}"))
    }

    fn set(&mut self, message: LinkMessage) -> Result<()> {
        self.change(RouteNetlinkMessage::SetLink(message))
    }
}

fn route(destination: IpNet, via: Via, link: IfIndex) -> RouteMessage {
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
    message
}

fn neighbour(link: IfIndex, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(address);
    message.header.ifindex = link.0;
    message.header.kind = RouteType::Unicast;
    let address = match address {
        IpAddr::V4(address) => NeighbourAddress::Inet(address),
        IpAddr::V6(address) => NeighbourAddress::Inet6(address),
    };
    message.attributes = vec![NeighbourAttribute::Destination(address)];
    message
}

fn proxy(link: IfIndex, address: IpAddr) -> NeighbourMessage {
    let mut message = neighbour(link, address);
    message.header.flags = NeighbourFlags::Proxy;
    message
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}
