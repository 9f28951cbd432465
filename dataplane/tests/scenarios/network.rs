//! A node's network as text, one fact a line:
//!
//! ```text
//! device 2 eth0 hardware 172.31.0.11/24 …      its networks become routes
//! device 7 vetha pair master=4 mac=02:00:00:00:00:07
//! device 9 wg0 tunnel bare                     without an Ethernet header
//! route 10.244.1.5/32 7 [via ADDRESS]
//! neighbour 4 10.244.1.5 02:00:00:00:00:05
//! seen 4 02:00:00:00:00:05 7                   behind port 7 of bridge 4
//! ```

use model::{Device, DeviceAddr, DeviceType, IfIndex, Mac, Network, Route};

pub(crate) fn parse(text: &str) -> Network {
    let mut network = Network::default();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            ["device", index, name, device_type, facts @ ..] => {
                add(&mut network, number(index), name, kind(device_type), facts);
            }
            ["route", to, device] => route(&mut network, to, number(device), None),
            ["route", to, device, "via", via] => route(&mut network, to, number(device), Some(via)),
            ["neighbour", device, addr, address] => {
                network.neighbours.insert((number(device), addr.parse().unwrap()), mac(address));
            }
            ["seen", bridge, address, port] => {
                network.bridge_ports.insert((number(bridge), mac(address)), number(port));
            }
            other => panic!("no fact {other:?}"),
        }
    }
    network
}

fn add(network: &mut Network, index: IfIndex, name: &str, device_type: DeviceType, facts: &[&str]) {
    let mut device = Device {
        name: name.into(),
        device_type,
        mac: Some(Mac([2, 0, 0, 0, 1, index.0 as u8])),
        mtu: 1500,
        master: None,
        is_peer_elsewhere: device_type == DeviceType::Pair,
        addrs: Vec::new(),
    };
    for fact in facts {
        if *fact == "bare" {
            device.mac = None;
        } else if let Some(master) = fact.strip_prefix("master=") {
            device.master = Some(number(master));
        } else if let Some(address) = fact.strip_prefix("mac=") {
            device.mac = Some(mac(address));
        } else {
            let net: ipnet::IpNet = fact.parse().unwrap();
            device.addrs.push(DeviceAddr { net, is_source: true });
            route(network, &net.trunc().to_string(), index, None);
        }
    }
    network.devices.insert(index, device);
}

fn route(network: &mut Network, to: &str, device: IfIndex, via: Option<&str>) {
    let via = via.map(|via| via.parse().unwrap());
    network.routes.insert(Route { to: to.parse().unwrap(), device, via, source: None });
}

fn kind(text: &str) -> DeviceType {
    match text {
        "hardware" => DeviceType::Hardware,
        "pair" => DeviceType::Pair,
        "bridge" => DeviceType::Bridge,
        "bond" => DeviceType::Bond,
        "vlan" => DeviceType::Vlan,
        "tunnel" => DeviceType::Tunnel,
        "other" => DeviceType::Other,
        other => panic!("no kind of device {other}"),
    }
}

fn number(text: &str) -> IfIndex {
    IfIndex(text.parse().unwrap())
}

fn mac(text: &str) -> Mac {
    let bytes: Vec<u8> = text.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    Mac(bytes.try_into().unwrap())
}
