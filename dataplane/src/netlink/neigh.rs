//! Neighbours, and behind which port of a bridge an address was seen: both come as messages of one type.

use std::net::IpAddr;

use model::{IfIndex, Mac};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A neighbour of a device, and its MAC address if that is known.
    Neighbour(IfIndex, IpAddr, Option<Mac>),
    /// A MAC address seen behind a port of a bridge.
    BridgePort {
        /// The bridge.
        bridge: IfIndex,
        /// The address.
        mac: Mac,
        /// The port.
        port: IfIndex,
    },
}

/// The entry of a message; `None` if it is neither.
pub(super) fn from_message(message: &NeighbourMessage) -> Option<Entry> {
    let header = &message.header;
    let device = IfIndex(header.ifindex);
    let mut mac = None;
    let mut addr = None;
    let mut master = None;
    for attribute in &message.attributes {
        if let NeighbourAttribute::LinkLayerAddress(bytes) = attribute {
            mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(Mac);
        } else if let NeighbourAttribute::Destination(NeighbourAddress::Inet(found)) = attribute {
            addr = Some(IpAddr::from(*found));
        } else if let NeighbourAttribute::Destination(NeighbourAddress::Inet6(found)) = attribute {
            addr = Some(IpAddr::from(*found));
        } else if let NeighbourAttribute::Controller(index) = attribute {
            master = Some(IfIndex(*index));
        }
    }
    if header.family == AddressFamily::Bridge {
        return Some(Entry::BridgePort { bridge: master?, mac: mac?, port: device });
    }
    let is_failed = matches!(header.state, NeighbourState::Failed | NeighbourState::Incomplete);
    Some(Entry::Neighbour(device, addr?, mac.filter(|_| !is_failed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 5]);

    fn message(family: AddressFamily, attributes: Vec<NeighbourAttribute>) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        message.header.family = family;
        message.header.ifindex = 7;
        message.attributes = attributes;
        message.attributes.push(NeighbourAttribute::LinkLayerAddress(MAC.0.to_vec()));
        message
    }

    #[test]
    fn a_neighbour_is_known_by_its_address_unless_it_does_not_answer() {
        for addr in ["10.244.1.5", "fd00:244::5"] {
            let addr: IpAddr = addr.parse().unwrap();
            let destination = NeighbourAttribute::Destination(addr.into());
            let mut message = message(AddressFamily::Inet, vec![destination]);
            for (state, mac) in [
                (NeighbourState::Stale, Some(MAC)),
                (NeighbourState::Permanent, Some(MAC)),
                (NeighbourState::Failed, None),
                (NeighbourState::Incomplete, None),
            ] {
                message.header.state = state;
                assert_eq!(
                    from_message(&message),
                    Some(Entry::Neighbour(IfIndex(7), addr, mac)),
                    "{state:?}"
                );
            }
        }
    }

    #[test]
    fn a_forwarding_entry_of_a_bridge_names_its_port() {
        let master = NeighbourAttribute::Controller(4);
        let found = from_message(&message(AddressFamily::Bridge, vec![master]));
        assert_eq!(found, Some(Entry::BridgePort { bridge: IfIndex(4), mac: MAC, port: IfIndex(7) }));
        assert_eq!(from_message(&message(AddressFamily::Bridge, Vec::new())), None, "a tunnel's own entry");
    }
}
