//! The lab's address plan. Namespaces isolate labs, so all labs have the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// An address of each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dual {
    /// IPv4.
    pub v4: Ipv4Addr,
    /// IPv6.
    pub v6: Ipv6Addr,
}

/// A prefix of each family, or an address with its prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DualNet {
    /// IPv4.
    pub v4: Ipv4Net,
    /// IPv6.
    pub v6: Ipv6Net,
}

impl Dual {
    /// Both, IPv4 first.
    pub fn both(self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }

    /// The same addresses with prefix lengths.
    pub(crate) fn net(self, v4_prefix: u8, v6_prefix: u8) -> DualNet {
        DualNet { v4: Ipv4Net::new_assert(self.v4, v4_prefix), v6: Ipv6Net::new_assert(self.v6, v6_prefix) }
    }
}

impl DualNet {
    /// Both, IPv4 first.
    pub fn both(self) -> [IpNet; 2] {
        [self.v4.into(), self.v6.into()]
    }

    /// The addresses without their lengths.
    pub fn addresses(self) -> Dual {
        Dual { v4: self.v4.addr(), v6: self.v6.addr() }
    }

    /// The networks without the hosts' parts.
    pub fn networks(self) -> Self {
        Self { v4: self.v4.trunc(), v6: self.v6.trunc() }
    }
}

/// Address number `host` of the network between the nodes, 172.31.0.0/24 and fd00:172:31::/64.
pub(crate) fn fabric(host: u8) -> DualNet {
    let v6 = Ipv6Addr::new(0xfd00, 0x172, 0x31, 0, 0, 0, 0, decimal(host));
    Dual { v4: Ipv4Addr::new(172, 31, 0, host), v6 }.net(24, 64)
}

/// Address of the node of that index, which counts from 1.
pub(crate) fn node(index: u8) -> DualNet {
    fabric(10 + index)
}

/// Address number `host` of the link between the two routers before the outside host of that index, with the smaller
/// MTU: 172.31.100.0/24 and fd00:172:31:100::/64 for the first.
pub(crate) fn transit(index: u8, host: u8) -> DualNet {
    behind_fabric(100 + index, host)
}

/// Address number `host` of the network behind those routers, 172.31.200.0/24 and fd00:172:31:200::/64 for the first.
pub(crate) fn beyond(index: u8, host: u8) -> DualNet {
    behind_fabric(200 + index, host)
}

fn behind_fabric(network: u8, host: u8) -> DualNet {
    let v6 = Ipv6Addr::new(0xfd00, 0x172, 0x31, decimal(network), 0, 0, 0, decimal(host));
    Dual { v4: Ipv4Addr::new(172, 31, network, host), v6 }.net(24, 64)
}

/// Address number `host` of a node's pods, 10.244.N.0/24 and fd00:10:244:N::/64; number 1 is the gateway.
pub(crate) fn pod(index: u8, host: u8) -> Dual {
    let v6 = Ipv6Addr::new(0xfd00, 0x10, 0x244, decimal(index), 0, 0, 0, decimal(host));
    Dual { v4: Ipv4Addr::new(10, 244, index, host), v6 }
}

/// The gateway of a node's pods, with the length of the range.
pub(crate) fn gateway(index: u8) -> DualNet {
    pod(index, 1).net(24, 64)
}

/// The range of a node's pods.
pub(crate) fn pod_range(index: u8) -> DualNet {
    gateway(index).networks()
}

/// The address alone, as a prefix.
pub(crate) fn host_net(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

/// A number whose hexadecimal digits look like its decimal ones, so that both families read alike: 12 is `::12`.
fn decimal(number: u8) -> u16 {
    let number = u16::from(number);
    number / 100 * 0x100 + number / 10 % 10 * 0x10 + number % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_of_an_address_read_alike() {
        assert_eq!(node(2).v4.to_string(), "172.31.0.12/24");
        assert_eq!(node(2).v6.to_string(), "fd00:172:31::12/64");
        assert_eq!(pod(2, 254).v4.to_string(), "10.244.2.254");
        assert_eq!(pod(2, 254).v6.to_string(), "fd00:10:244:2::254");
        assert_eq!(beyond(0, 10).v4.to_string(), "172.31.200.10/24");
        assert_eq!(transit(1, 2).v6.to_string(), "fd00:172:31:101::2/64");
        assert_eq!(pod_range(1).v6.to_string(), "fd00:10:244:1::/64");
    }
}
