//! Addresses of devices.

use std::net::IpAddr;

use ipnet::IpNet;
use model::{DeviceAddr, IfIndex};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};

/// The device and the address of a message, unless it cannot be used: IPv6's duplicate detection has not ended (RFC 4862,
/// 5.4; a message follows when it has; optimistic addresses, RFC 4429, are used meanwhile) or found another owner.
pub(super) fn from_message(message: &AddressMessage) -> Option<(IfIndex, DeviceAddr)> {
    let mut local = None;
    let mut address = None;
    // The header has the lower eight bits only, and they are in the attribute too.
    let mut flags = AddressFlags::empty();
    for attribute in &message.attributes {
        // On point-to-point links `Address` is the other end's.
        if let AddressAttribute::Local(addr) = attribute {
            local = Some(*addr);
        } else if let AddressAttribute::Address(addr) = attribute {
            address = Some(*addr);
        } else if let AddressAttribute::Flags(found) = attribute {
            flags = *found;
        }
    }
    let is_waiting = message.header.family == AddressFamily::Inet6
        && flags.contains(AddressFlags::Tentative)
        && !flags.contains(AddressFlags::Optimistic);
    if is_waiting || flags.contains(AddressFlags::Dadfailed) {
        return None;
    }
    let addr: IpAddr = local.or(address)?;
    let net = IpNet::new(addr, message.header.prefix_len).ok()?;
    // Of IPv6 the bit of secondary addresses is that of temporary ones (RFC 8981).
    let is_source = message.header.scope == AddressScope::Universe
        && !flags.intersects(AddressFlags::Secondary | AddressFlags::Deprecated);
    Some((IfIndex(message.header.index), DeviceAddr { net, is_source }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(
        family: AddressFamily,
        flags: AddressFlags,
        attributes: &[AddressAttribute],
    ) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.family = family;
        message.header.index = 7;
        message.header.prefix_len = 24;
        message.attributes = attributes.to_vec();
        message.attributes.push(AddressAttribute::Flags(flags));
        message
    }

    fn v6(flags: AddressFlags) -> Option<DeviceAddr> {
        let addr = AddressAttribute::Address("fd00::1".parse().unwrap());
        from_message(&message(AddressFamily::Inet6, flags, &[addr])).map(|(_, addr)| addr)
    }

    #[test]
    fn an_address_counts_when_it_can_be_used() {
        assert!(v6(AddressFlags::Permanent).is_some());
        assert!(v6(AddressFlags::Permanent | AddressFlags::Deprecated).is_some());
        assert!(v6(AddressFlags::Tentative).is_none());
        assert!(v6(AddressFlags::Tentative | AddressFlags::Optimistic).is_some());
        assert!(v6(AddressFlags::Permanent | AddressFlags::Tentative | AddressFlags::Dadfailed).is_none());
    }

    #[test]
    fn of_a_point_to_point_link_our_own_end_counts() {
        let [ours, theirs]: [IpAddr; 2] = ["10.0.0.1", "10.0.0.2"].map(|a| a.parse().unwrap());
        let ends = [AddressAttribute::Address(theirs), AddressAttribute::Local(ours)];
        let found = from_message(&message(AddressFamily::Inet, AddressFlags::Permanent, &ends));
        let addr = DeviceAddr { net: "10.0.0.1/24".parse().unwrap(), is_source: true };
        assert_eq!(found, Some((IfIndex(7), addr)));
    }

    #[test]
    fn secondary_temporary_and_deprecated_addresses_and_those_of_the_link_are_no_sources() {
        assert!(v6(AddressFlags::Permanent).unwrap().is_source);
        assert!(!v6(AddressFlags::Secondary).unwrap().is_source);
        assert!(!v6(AddressFlags::Deprecated).unwrap().is_source);
        let addr = AddressAttribute::Address("fe80::1".parse().unwrap());
        let mut message = message(AddressFamily::Inet6, AddressFlags::Permanent, &[addr]);
        message.header.scope = AddressScope::Link;
        assert!(!from_message(&message).unwrap().1.is_source);
    }
}
