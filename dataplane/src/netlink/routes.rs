//! Routes.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use model::{IfIndex, Route};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteType, RouteVia,
};

/// `RT_TABLE_LOCAL` (linux/rtnetlink.h): the kernel's own list of the node's addresses.
const LOCAL: u32 = 255;

/// The routes of a message, one a next hop. None if it is no unicast route of IPv4 or IPv6 (linux/rtnetlink.h,
/// `RTN_UNICAST`), is of the table `local`, or is a cached exception.
pub(super) fn from_message(message: &RouteMessage) -> Vec<Route> {
    let header = &message.header;
    let any = if header.address_family == AddressFamily::Inet {
        IpNet::V4(Ipv4Net::default())
    } else if header.address_family == AddressFamily::Inet6 {
        IpNet::V6(Ipv6Net::default())
    } else {
        return Vec::new();
    };
    let mut table = u32::from(header.table);
    let mut to = any.addr();
    let mut source = None;
    let mut hops = Vec::new();
    for attribute in &message.attributes {
        if let RouteAttribute::Table(found) = attribute {
            table = *found;
        } else if let RouteAttribute::Destination(found) = attribute {
            let Some(found) = addr(found) else { return Vec::new() };
            to = found;
        } else if let RouteAttribute::PrefSource(found) = attribute {
            source = addr(found);
        } else if let RouteAttribute::MultiPath(found) = attribute {
            hops.extend(found.iter().map(|hop| (Some(hop.interface_index), via(&hop.attributes))));
        }
    }
    if hops.is_empty() {
        hops.push((device(&message.attributes), via(&message.attributes)));
    }
    let Ok(to) = IpNet::new(to, header.destination_prefix_length) else { return Vec::new() };
    let is_route = header.kind == RouteType::Unicast && !header.flags.contains(RouteFlags::Cloned);
    if !is_route || table == LOCAL {
        return Vec::new();
    }
    let route = |(device, via): (Option<u32>, _)| Some(Route { to, device: IfIndex(device?), via, source });
    hops.into_iter().filter_map(route).collect()
}

fn device(attributes: &[RouteAttribute]) -> Option<u32> {
    attributes.iter().find_map(|a| if let RouteAttribute::Oif(index) = a { Some(*index) } else { None })
}

fn via(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| {
        if let RouteAttribute::Gateway(gateway) = attribute {
            addr(gateway)
        } else if let RouteAttribute::Via(RouteVia::Inet6(gateway)) = attribute {
            // An IPv4 route over an IPv6 next hop (RFC 8950).
            Some((*gateway).into())
        } else {
            None
        }
    })
}

fn addr(address: &RouteAddress) -> Option<IpAddr> {
    if let RouteAddress::Inet(addr) = address {
        Some((*addr).into())
    } else if let RouteAddress::Inet6(addr) = address {
        Some((*addr).into())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::route::RouteNextHop;

    use super::*;

    fn message(to: &str, attributes: Vec<RouteAttribute>) -> RouteMessage {
        let to: IpNet = to.parse().unwrap();
        let mut message = RouteMessage::default();
        message.header.address_family =
            if to.addr().is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        message.header.destination_prefix_length = to.prefix_len();
        message.header.table = 254;
        message.header.kind = RouteType::Unicast;
        message.attributes = attributes;
        if to.prefix_len() != 0 {
            message.attributes.push(RouteAttribute::Destination(to.addr().into()));
        }
        message
    }

    fn route(to: &str, device: u32, via: Option<&str>) -> Route {
        let via = via.map(|via| via.parse().unwrap());
        Route { to: to.parse().unwrap(), device: IfIndex(device), via, source: None }
    }

    fn gateway(addr: &str) -> RouteAttribute {
        RouteAttribute::Gateway(addr.parse::<IpAddr>().unwrap().into())
    }

    #[test]
    fn a_route_has_its_destination_device_next_hop_and_source() {
        let source = RouteAttribute::PrefSource("10.0.0.2".parse::<IpAddr>().unwrap().into());
        let found =
            from_message(&message("0.0.0.0/0", vec![RouteAttribute::Oif(2), gateway("10.0.0.1"), source]));
        let mut wanted = route("0.0.0.0/0", 2, Some("10.0.0.1"));
        wanted.source = Some("10.0.0.2".parse().unwrap());
        assert_eq!(found, [wanted]);
        let found = from_message(&message("fd00:244::5/128", vec![RouteAttribute::Oif(7)]));
        assert_eq!(found, [route("fd00:244::5/128", 7, None)]);
    }

    #[test]
    fn a_route_with_several_next_hops_is_several_routes() {
        let hop = |index, via| {
            let mut hop = RouteNextHop::default();
            (hop.interface_index, hop.attributes) = (index, vec![via]);
            hop
        };
        let over_v6 = RouteAttribute::Via(RouteVia::Inet6("fe80::1".parse().unwrap()));
        let hops = vec![hop(2, gateway("10.0.0.1")), hop(3, over_v6)];
        let found = from_message(&message("10.1.0.0/16", vec![RouteAttribute::MultiPath(hops)]));
        assert_eq!(
            found,
            [route("10.1.0.0/16", 2, Some("10.0.0.1")), route("10.1.0.0/16", 3, Some("fe80::1"))]
        );
    }

    #[test]
    fn what_leads_nowhere_is_no_route() {
        let unicast = || message("10.1.0.0/16", vec![RouteAttribute::Oif(2)]);
        assert_eq!(from_message(&unicast()).len(), 1);
        let mut blackhole = unicast();
        blackhole.header.kind = RouteType::BlackHole;
        let mut local = unicast();
        local.header.table = 255;
        let mut numbered = unicast();
        numbered.attributes.push(RouteAttribute::Table(255));
        let mut cached = unicast();
        cached.header.flags |= RouteFlags::Cloned;
        let mut label = unicast();
        label.header.address_family = AddressFamily::Mpls;
        for message in [blackhole, local, numbered, cached, label, message("10.1.0.0/16", Vec::new())] {
            assert_eq!(from_message(&message), [], "{message:?}");
        }
    }
}
