//! Services that nobody is behind: refused at once, as by a host without that port.

use anyhow::Result;
use lab::manifests::{ServicePort, ServiceSpec};
use lab::packet::{Body, Packet, TcpFlags};
use lab::{Keep, PodSpec, Probe, ProbeResult, Protocol, Site};

use crate::opt_out::opted_out;
use crate::world::{LIMIT, NAMESPACE, PORT, World, cluster_ip};

const EMPTY: usize = 20;
const NODE_PORT: u16 = 30_200;

fn empty_service() -> ServiceSpec {
    ServiceSpec::cluster_ip(NAMESPACE, "empty", cluster_ip(EMPTY))
        .port(ServicePort::tcp("tcp", 80, PORT).node_port(NODE_PORT))
        .port(ServicePort::udp("udp", 80, PORT).node_port(NODE_PORT))
}

#[test]
fn a_node_port_without_endpoints_refuses_clients_outside() -> Result<()> {
    let world = World::without_daemons()?;
    world.serve(&empty_service(), &[])?;
    world.lab.start_ferrule(LIMIT)?;
    for node in world.lab.nodes() {
        refuses(&world.outside.site(), &World::probes(node.address(), NODE_PORT))?;
    }
    Ok(())
}

#[test]
fn a_cluster_ip_refuses_an_opted_out_pod_without_endpoints_and_on_other_ports() -> Result<()> {
    let world = World::without_daemons()?;
    world.serve(&empty_service(), &[])?;
    let clients = world.each_node(|node| {
        let client = node.add_pod(PodSpec::idle(NAMESPACE, &format!("client-{}", node.name())))?;
        world.lab.manifests().apply(&opted_out(&client))?;
        Ok(client)
    })?;
    world.lab.start_ferrule(LIMIT)?;
    for client in &clients {
        refuses(&client.site(), &World::probes(cluster_ip(EMPTY), 80))?;
        refuses(&client.site(), &World::probes(cluster_ip(0), 81))?;
        refuses(&client.site(), &World::probes(client.node().address(), NODE_PORT))?;
    }
    Ok(())
}

/// Every probe is refused, and TCP by the answer to its first packet: nothing is sent twice.
fn refuses(client: &Site, probes: &[Probe]) -> Result<()> {
    let seen = client.capture(Keep::All)?;
    let results = client.probe(probes, LIMIT)?;
    for (probe, result) in probes.iter().zip(&results) {
        assert_eq!(*result, ProbeResult::Failed("ECONNREFUSED".into()), "{probe:?} of {}", client.name());
        let asked =
            seen.count(|packet| packet.to() == Some(probe.to) && protocol(packet) == Some(probe.protocol))?;
        assert_eq!(asked, 1, "{probe:?} of {} was sent again", client.name());
    }
    let resets =
        seen.count(|packet| is_reset(packet) && probes.iter().any(|p| packet.from() == Some(p.to)))?;
    assert_eq!(resets, probes.len() / 2, "{}", client.name());
    Ok(())
}

fn protocol(packet: &Packet) -> Option<Protocol> {
    match packet.body {
        Body::Tcp { .. } => Some(Protocol::Tcp),
        Body::Udp { .. } => Some(Protocol::Udp),
        Body::Icmp { .. } | Body::Fragment { .. } | Body::Other { .. } => None,
    }
}

fn is_reset(packet: &Packet) -> bool {
    matches!(packet.body, Body::Tcp { flags, .. } if flags.has(TcpFlags::RST))
}
