//! ICMP errors about translated packets: each reaches whoever sent the packet, with that packet in it as it was sent.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use lab::manifests::{ServicePort, ServiceSpec};
use lab::packet::{Body, Build, Packet};
use lab::{Capture, Keep, Node, Outside, OutsideSpec, Pod, PodSpec, Probe, ProbeResult, Site};

use crate::opt_out::opted_out;
use crate::world::{LIMIT, NAMESPACE, World, cluster_ip, node_port};

/// The small MTU between the client and the cluster, which neither sees.
const HOP_BYTES: u32 = 1400;
/// A question that fits through the hop, and whose answer, which names who gave it and to whom, does not.
const ANSWER_TOO_BIG: u32 = 1340;

/// A Service whose pods do not listen on its port.
const DEAF: usize = 30;
const DEAF_PORT: u16 = 4999;

#[test]
fn path_mtu_discovery_works_through_node_ports() -> Result<()> {
    let world = World::new()?;
    let far = world.lab.add_outside(OutsideSpec::new("far").behind_hop(HOP_BYTES).without_pods())?;
    let bad = far.site().capture(Keep::Bad)?;
    for (n, node) in world.lab.nodes().iter().enumerate() {
        for (m, server) in world.servers.iter().enumerate() {
            let what = format!("by {} to {}", node.name(), server.place());
            // The backend knows the client itself, or the node that stands for it.
            let peer = if n == m { far.address() } else { node.address() };
            for (to, peer) in node.address().both().into_iter().zip(peer.both()) {
                let to = SocketAddr::new(to, node_port(m));
                for probe in [
                    Probe::udp(to).payload_bytes(ANSWER_TOO_BIG),
                    Probe::tcp(to).payload_bytes(300_000),
                    // Larger than any link: in fragments both ways.
                    Probe::udp(to).payload_bytes(9_000),
                ] {
                    let mut result = ask(&far.site(), probe)?;
                    if result == ProbeResult::Failed("EMSGSIZE".into()) {
                        // The client's own question was too long for the hop: it knows now.
                        result = ask(&far.site(), probe)?;
                    }
                    let by = result.answer().with_context(|| format!("{probe:?} {what}"))?.0;
                    assert_eq!(by, server.place(), "{probe:?} {what}");
                }
                assert_eq!(path_mtu(server, peer)?, Some(HOP_BYTES), "of {peer} at {what}");
            }
        }
    }
    bad.ensure_clean().map(drop)
}

fn ask(client: &Site, probe: Probe) -> Result<ProbeResult> {
    // What is lost to tell the sender is sent again after a quarter of it.
    client.probe(&[probe], LIMIT / 2)?.pop().context("a result")
}

/// What a pod learnt of the way to a peer.
fn path_mtu(pod: &Pod, peer: IpAddr) -> Result<Option<u32>> {
    let route = pod.command(&["ip", "route", "get", &peer.to_string()])?;
    let words: Vec<_> = route.stdout.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "mtu");
    at.map(|at| words.get(at + 1).context("an MTU")?.parse().context("an MTU")).transpose()
}

#[test]
fn a_datagram_that_runs_out_of_hops_is_answered_by_the_hop_where_it_did() -> Result<()> {
    let world = World::new()?;
    for (n, node) in world.lab.nodes().iter().enumerate() {
        for (m, server) in world.servers.iter().enumerate() {
            for family in 0..2 {
                // The node that is dialled is the first hop, and the backend's, if it is another one, the second.
                let hops = if n == m { vec![node] } else { vec![node, server.node()] };
                for (hop, at) in (1..).zip(&hops) {
                    let told = send(&world.outside, node, family, (m, hop))?;
                    let reporter = told.source;
                    assert!(is_of(at, reporter), "hop {hop} by {} to {m}: told by {reporter}", node.name());
                }
                let told = send(&world.outside, node, family, (m, hops.len() as u8 + 1))?;
                assert!(matches!(told.body, Body::Udp { .. }), "{} answers, not {told}", server.place());
            }
        }
    }
    Ok(())
}

/// Sends a datagram with so many hops to a NodePort, and returns what comes back: an answer, or an error that must be
/// about the datagram as it was sent.
fn send(outside: &Outside, node: &Node, family: usize, (server, hops): (usize, u8)) -> Result<Packet> {
    let (from, to) = (outside.address().both()[family], node.address().both()[family]);
    // A port for each number of hops: an answer that comes late is not taken for another's.
    let ports = (20_000 + u16::from(hops) + 10 * server as u16, node_port(server));
    let sent = Build::new(from, to).hop_limit(hops).udp(ports, b"how far");
    let site = outside.site();
    let seen = site.capture(Keep::All)?;
    site.raw()?.send(node.site().mac()?, &sent)?;
    let captured = seen.wait_for("answer", LIMIT, |packet| {
        packet.from() == Some((to, ports.1).into())
            || packet.quoted().is_ok_and(|q| q.from() == Some((from, ports.0).into()))
    })?;
    assert!(captured.bad.is_empty(), "{captured}");
    let told = captured.packet()?;
    if let Ok(quoted) = told.quoted() {
        let sent = Packet::parse(&sent)?;
        assert_eq!((quoted.from(), quoted.to()), (sent.from(), sent.to()), "{told}");
        let (Body::Udp { payload, .. }, Body::Udp { payload: whole, .. }) = (&quoted.body, &sent.body) else {
            panic!("{told} is about {quoted}");
        };
        assert!(whole.starts_with(payload), "{told} is about {quoted}");
    }
    Ok(told)
}

fn is_of(node: &Node, addr: IpAddr) -> bool {
    node.address().both().contains(&addr)
}

#[test]
fn a_backend_that_does_not_listen_refuses_the_client() -> Result<()> {
    let world = World::without_daemons()?;
    let mut clients = vec![world.outside.site()];
    for node in world.lab.nodes() {
        let client = node.add_pod(PodSpec::idle(NAMESPACE, &format!("client-{}", node.name())))?;
        world.lab.manifests().apply(&opted_out(&client))?;
        clients.push(client.site());
    }
    for (m, server) in world.servers.iter().enumerate() {
        let port = node_port(DEAF + m);
        let service = ServiceSpec::cluster_ip(NAMESPACE, &format!("deaf-{m}"), cluster_ip(DEAF + m))
            .port(ServicePort::tcp("tcp", 80, DEAF_PORT).node_port(port))
            .port(ServicePort::udp("udp", 80, DEAF_PORT).node_port(port));
        world.serve(&service, &[server])?;
    }
    world.lab.start_ferrule(LIMIT)?;
    for m in 0..world.servers.len() {
        let mut probes: Vec<Probe> = Vec::new();
        for node in world.lab.nodes() {
            probes.extend(World::probes(node.address(), node_port(DEAF + m)));
        }
        is_refused(&clients[0], &probes)?;
        probes.extend(World::probes(cluster_ip(DEAF + m), 80));
        clients[1..].iter().try_for_each(|client| is_refused(client, &probes))?;
    }
    Ok(())
}

fn is_refused(client: &Site, probes: &[Probe]) -> Result<()> {
    let seen: Capture = client.capture(Keep::All)?;
    let results = client.probe(probes, LIMIT)?;
    for (probe, result) in probes.iter().zip(&results) {
        assert_eq!(*result, ProbeResult::Failed("ECONNREFUSED".into()), "{probe:?} of {}", client.name());
        let about = seen.count(|packet| packet.quoted().is_ok_and(|quoted| quoted.to() == Some(probe.to)))?;
        let wanted = usize::from(probe.protocol == lab::Protocol::Udp);
        assert!(about >= wanted, "{probe:?} of {}: no error is about it", client.name());
    }
    Ok(())
}
