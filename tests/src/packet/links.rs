//! The interfaces of a packet test's node. Nothing is sent on them: routing looks at them.

use std::net::IpAddr;

use abi::IfIndex;
use lab::packet::Mac;
use lab::{LOOPBACK, Netlink, PrefixRoute, Via};
use nix::sched::{CloneFlags, unshare};

use super::net::{NARROW_MTU, Net};

/// Interfaces by what they lead to.
#[derive(Clone, Copy, Debug)]
pub struct Links {
    /// The uplink toward clients.
    pub outer: IfIndex,
    /// The uplink toward the pods of other nodes.
    pub inner: IfIndex,
    /// The host's sides of the pods' interfaces: of pod 1, pod 2, and a third that nobody has yet.
    pub pods: [IfIndex; 3],
}

/// Moves the calling thread to a new network namespace with these interfaces.
///
/// The next hop outside is a known neighbour, the one inside is not: programs must go on in both cases.
pub(super) fn enter_new() -> Links {
    unshare(CloneFlags::CLONE_NEWNET).expect("a new network namespace");
    for family in ["ipv4", "ipv6"] {
        let path = format!("/proc/sys/net/{family}/conf/all/forwarding");
        std::fs::write(&path, "1").unwrap_or_else(|e| panic!("{path}: {e}"));
    }
    let mut netlink = Netlink::open().expect("a netlink socket");
    netlink.set_up(LOOPBACK).expect("loopback");
    let mut veth = |name: &str| netlink.add_veth_pair(name, &format!("{name}-peer")).expect("a veth pair");
    let (outer, inner) = (veth("outer"), veth("inner"));
    let pods = [veth("pod1"), veth("pod2"), veth("pod3")];
    for net in Net::ALL {
        let near = net.pick(24, 64);
        let mut address = |link, address: IpAddr| {
            netlink.add_address(link, prefix(address, near), PrefixRoute::Yes).expect("an address");
        };
        address(outer, net.node());
        address(inner, net.inner_node());
        netlink.add_neighbour(outer, net.router(), Mac([2, 0, 0, 0, 0, 9])).expect("a neighbour");
        let by = |router| Via::Gateway(router);
        netlink.add_route(prefix(net.client(0), near), by(net.router()), outer).expect("a route");
        netlink.add_route(prefix(net.remote(0), near), by(net.inner_router()), inner).expect("a route");
        netlink
            .add_narrow_route(prefix(net.narrow(0), near), by(net.inner_router()), inner, NARROW_MTU)
            .expect("a route");
        for (i, pod) in (1..).zip(pods) {
            let whole = net.pick(32, 128);
            netlink.add_route(prefix(net.pod(i), whole), Via::Link, pod).expect("a route");
        }
    }
    let of = |link: lab::IfIndex| IfIndex(link.number());
    Links { outer: of(outer), inner: of(inner), pods: pods.map(of) }
}

fn prefix(address: IpAddr, bits: u8) -> ipnet::IpNet {
    ipnet::IpNet::new(address, bits).expect("a prefix length of the family")
}
