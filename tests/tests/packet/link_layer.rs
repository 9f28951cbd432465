//! Interfaces whose packets have no link header (WireGuard, ipip): the network header comes first.
//!
//! A test run takes the first 14 bytes for Ethernet, whatever the interface is, and the family from bytes 12 and 13. Those
//! are in the source address here: 8.0.x.y reads as IPv4, and 86dd in the third group as IPv6.

use std::net::{IpAddr, SocketAddr};

use abi::{DeviceEntry, DeviceFlags, DeviceKind, DropReason, Hook, Protocol};
use lab::packet::TcpFlags;
use tests::Counters;
use tests::packet::craft::{readdressed, tcp, udp, with_hops};
use tests::packet::{LINK_MTU, Net, PacketNode, Verdict, Where};

use crate::scene::{ends, local, remote, serve};

fn client(net: Net) -> SocketAddr {
    let text = net.pick("8.0.113.1", "2001:db8:86dd::1");
    SocketAddr::new(text.parse::<IpAddr>().expect("an address"), 45_678)
}

fn tunnel(node: &PacketNode, net: Net) {
    let device = DeviceEntry::new(DeviceKind::Overlay, DeviceFlags::L3, LINK_MTU);
    node.packet().put_device(node.links.outer, device.with_snat(net.node().into()));
}

#[test]
fn packets_without_a_link_header_are_translated() {
    PacketNode::run_each(|node, net| {
        tunnel(node, net);
        let (client, (_, dialled)) = (client(net), ends(net));
        let (service, id) = serve(node, Protocol::TCP, local(net), Where::Here);
        let request = tcp(client, dialled, TcpFlags::SYN, b"");
        let outcome = node.send_frame(Hook::FromNet, node.links.outer, &request, 0);
        assert_eq!(outcome.verdict, Verdict::Next);
        assert_eq!(outcome.counted, Counters::none().sent(service, id, 1));
        tests::packet::assert_packet(&outcome.frame, &readdressed(&request, client, local(net)));
    });
}

/// There is nothing to answer through: refusals are silent there, and counted.
#[test]
fn refusals_are_silent_without_a_link_header() {
    PacketNode::run_each(|node, net| {
        tunnel(node, net);
        let (client, (_, dialled)) = (client(net), ends(net));
        let service = node.service(abi::ServiceFlags::default());
        node.node_port(30_080, Protocol::TCP, service);
        let request = tcp(client, dialled, TcpFlags::SYN, b"");
        let outcome = node.send_frame(Hook::FromNet, node.links.outer, &request, 0);
        let refused = Counters::none().refused(service, 1).drops(DropReason::NoEndpoints, 1);
        assert_eq!((outcome.verdict, &outcome.counted), (Verdict::Shot, &refused));
        assert_eq!(outcome.frame, request);

        serve(node, Protocol::UDP, remote(net), Where::Elsewhere);
        let last = with_hops(&udp(client, dialled, &[7; 32]), 1);
        let outcome = node.send_frame(Hook::FromNet, node.links.outer, &last, 0);
        assert_eq!((outcome.verdict, outcome.frame), (Verdict::Shot, last));
    });
}
