//! Devices.

use model::{Device, DeviceType, IfIndex, Mac};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkLayerType, LinkMessage};

/// The device of a message, without addresses. `None` for one without a name, which the kernel does not send.
pub(super) fn from_message(message: &LinkMessage) -> Option<(IfIndex, Device)> {
    let mut name = None;
    let mut kind = None;
    let mut mac = None;
    let mut mtu = 0;
    let mut master = None;
    let mut is_peer_elsewhere = false;
    for attribute in &message.attributes {
        if let LinkAttribute::IfName(found) = attribute {
            name = Some(found.as_str().into());
        } else if let LinkAttribute::Address(bytes) = attribute {
            mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(Mac);
        } else if let LinkAttribute::Mtu(found) = attribute {
            mtu = *found;
        } else if let LinkAttribute::Controller(index) = attribute {
            master = (*index != 0).then_some(IfIndex(*index));
        } else if let LinkAttribute::LinkNetNsId(_) = attribute {
            is_peer_elsewhere = true;
        } else if let LinkAttribute::LinkInfo(infos) = attribute {
            kind =
                infos.iter().find_map(|info| if let LinkInfo::Kind(kind) = info { Some(kind) } else { None });
        }
    }
    let layer = message.header.link_layer_type;
    let device = Device {
        name: name?,
        device_type: device_type(kind, layer),
        mac: mac.filter(|_| layer == LinkLayerType::Ether),
        mtu,
        master,
        is_peer_elsewhere,
        addrs: Vec::new(),
    };
    Some((IfIndex(message.header.index), device))
}

/// Hardware has no kind. A kind that is not listed leads nowhere.
fn device_type(kind: Option<&InfoKind>, layer: LinkLayerType) -> DeviceType {
    let Some(kind) = kind else {
        return if layer == LinkLayerType::Loopback { DeviceType::Other } else { DeviceType::Hardware };
    };
    #[expect(clippy::wildcard_enum_match_arm, reason = "the kernel's list grows")]
    match kind {
        InfoKind::Veth | InfoKind::Netkit => DeviceType::Pair,
        InfoKind::Bridge => DeviceType::Bridge,
        InfoKind::Bond | InfoKind::Team => DeviceType::Bond,
        // Devices on a device, with a network of their own.
        InfoKind::Vlan | InfoKind::MacVlan | InfoKind::IpVlan | InfoKind::MacSec => DeviceType::Vlan,
        InfoKind::Vrf => DeviceType::Vrf,
        InfoKind::Vxlan
        | InfoKind::Geneve
        | InfoKind::Wireguard
        | InfoKind::IpIp
        | InfoKind::Ip6Tnl
        | InfoKind::SitTun
        | InfoKind::GreTun
        | InfoKind::GreTun6
        | InfoKind::GreTap
        | InfoKind::GreTap6
        | InfoKind::Vti
        | InfoKind::Vti6
        | InfoKind::Xfrm
        | InfoKind::BareUdp => DeviceType::Tunnel,
        // A VPN's end; with an Ethernet header it is a virtual machine's.
        InfoKind::Tun if layer != LinkLayerType::Ether => DeviceType::Tunnel,
        InfoKind::Wwan | InfoKind::Ipoib | InfoKind::Hsr | InfoKind::Dsa => DeviceType::Hardware,
        _ => DeviceType::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(layer: LinkLayerType, kind: Option<InfoKind>) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = 9;
        message.header.link_layer_type = layer;
        message.attributes = vec![
            LinkAttribute::IfName("dev0".into()),
            LinkAttribute::Mtu(1420),
            LinkAttribute::Address(vec![2, 0, 0, 0, 0, 9]),
        ];
        message.attributes.extend(kind.map(|kind| LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)])));
        message
    }

    #[test]
    fn a_port_of_a_pair_whose_other_end_is_elsewhere_says_all_of_it() {
        let mut message = link(LinkLayerType::Ether, Some(InfoKind::Veth));
        message.attributes.push(LinkAttribute::Controller(4));
        message.attributes.push(LinkAttribute::LinkNetNsId(0));
        let device = Device {
            name: "dev0".into(),
            device_type: DeviceType::Pair,
            mac: Some(Mac([2, 0, 0, 0, 0, 9])),
            mtu: 1420,
            master: Some(IfIndex(4)),
            is_peer_elsewhere: true,
            addrs: Vec::new(),
        };
        assert_eq!(from_message(&message), Some((IfIndex(9), device)));
    }

    #[test]
    fn devices_are_what_their_kind_and_their_layer_say() {
        use LinkLayerType::{Ether, Loopback, None as Bare, Tunnel};
        for (layer, kind, device_type, has_mac) in [
            (Ether, None, DeviceType::Hardware, true),
            (Loopback, None, DeviceType::Other, false),
            (Ether, Some(InfoKind::Dummy), DeviceType::Other, true),
            (Ether, Some(InfoKind::Bridge), DeviceType::Bridge, true),
            (Ether, Some(InfoKind::Bond), DeviceType::Bond, true),
            (Ether, Some(InfoKind::Vlan), DeviceType::Vlan, true),
            (Ether, Some(InfoKind::Vxlan), DeviceType::Tunnel, true),
            (Bare, Some(InfoKind::Wireguard), DeviceType::Tunnel, false),
            (Tunnel, Some(InfoKind::IpIp), DeviceType::Tunnel, false),
            (Bare, Some(InfoKind::Tun), DeviceType::Tunnel, false),
            (Ether, Some(InfoKind::Tun), DeviceType::Other, true),
            (Ether, Some(InfoKind::Other("new".into())), DeviceType::Other, true),
        ] {
            let (_, device) = from_message(&link(layer, kind.clone())).unwrap();
            assert_eq!((device.device_type, device.mac.is_some()), (device_type, has_mac), "{kind:?}");
        }
    }
}
