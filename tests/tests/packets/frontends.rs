//! What clients outside dial: externalIPs, addresses of load balancers, NodePorts; with endpoints of all nodes or of the
//! node that they come by.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::manifests::{ServicePort, ServiceSpec};
use lab::{Dual, Keep, METRICS_PORT, Node, PodSpec, Probe, ProbeResult};

use crate::opt_out::opted_out;
use crate::world::{LIMIT, NAMESPACE, PORT, World, answer, cluster_ip, node_port};

/// Number of the Service.
const WEB: usize = 40;
/// After it, silence is silence: an answer takes milliseconds.
const SILENCE: Duration = Duration::from_secs(3);

fn external_ip() -> Dual {
    Dual { v4: [192, 0, 2, 7].into(), v6: [0x2001, 0xdb8, 0, 0, 0, 0, 0, 7].into() }
}

fn balancer() -> Dual {
    Dual { v4: [198, 51, 100, 1].into(), v6: [0x2001, 0xdb8, 1, 0, 0, 0, 0, 1].into() }
}

/// A Service with everything that clients outside can dial.
fn web() -> ServiceSpec {
    ServiceSpec::cluster_ip(NAMESPACE, "web", cluster_ip(WEB))
        .port(ServicePort::tcp("tcp", 80, PORT).node_port(node_port(WEB)))
        .port(ServicePort::udp("udp", 80, PORT).node_port(node_port(WEB)))
        .external_ip(external_ip())
        .load_balancer(balancer())
}

/// What a client outside dials to reach it by a node.
fn probes(world: &World, node: &Node) -> Result<Vec<Probe>> {
    let mut probes = World::probes(node.address(), node_port(WEB));
    for vip in [external_ip(), balancer()] {
        vip.both().into_iter().try_for_each(|ip| world.outside.route(ip.into(), node))?;
        probes.extend(World::probes(vip, 80));
    }
    Ok(probes)
}

#[test]
fn clients_outside_reach_a_service_by_all_its_addresses_and_every_node() -> Result<()> {
    let world = World::without_daemons()?;
    world.serve(&web(), &[&world.servers[0]])?;
    world.lab.start_ferrule(LIMIT)?;
    let bad = world.outside.site().capture(Keep::Bad)?;
    for (n, node) in world.lab.nodes().iter().enumerate() {
        let probes = probes(&world, node)?;
        let results = world.outside.site().probe(&probes, LIMIT)?;
        for (probe, result) in probes.iter().zip(&results) {
            let (by, seen) = answer(result);
            assert_eq!(by, world.servers[0].place(), "{probe:?} by {}", node.name());
            let client = if n == 0 { world.outside.address() } else { node.address() };
            assert!(client.both().contains(&seen), "{probe:?} by {}: saw {seen}", node.name());
        }
        // A port that no Service has on such an address is not the node's to answer.
        let other = SocketAddr::new(balancer().v4.into(), 81);
        let silent = world.outside.site().probe(&[Probe::tcp(other)], SILENCE)?;
        assert!(!matches!(silent[0], ProbeResult::Answered { .. }), "{other} answers");
    }
    bad.ensure_clean().map(drop)
}

#[test]
fn with_the_policy_local_the_client_is_seen_and_a_node_without_endpoint_drops() -> Result<()> {
    let world = World::without_daemons()?;
    world.serve(&web().external_local(), &[&world.servers[0]])?;
    let inside = world.node(1).add_pod(PodSpec::idle(NAMESPACE, "inside"))?;
    world.lab.manifests().apply(&opted_out(&inside))?;
    world.lab.start_ferrule(LIMIT)?;

    let by_here = probes(&world, world.node(0))?;
    for (probe, result) in by_here.iter().zip(world.outside.site().probe(&by_here, LIMIT)?) {
        let (by, seen) = answer(&result);
        assert_eq!(by, world.servers[0].place(), "{probe:?}");
        assert!(world.outside.address().both().contains(&seen), "{probe:?}: saw {seen}");
    }

    let by_elsewhere = probes(&world, world.node(1))?;
    assert_eq!(dropped(world.node(1))?, 0);
    let results = world.outside.site().probe(&by_elsewhere, SILENCE)?;
    for (probe, result) in by_elsewhere.iter().zip(&results) {
        assert_eq!(*result, ProbeResult::Silent, "{probe:?}");
    }
    assert!(dropped(world.node(1))? >= by_elsewhere.len() as u64);

    // The node's own pods reach endpoints everywhere all the same.
    for (probe, result) in by_elsewhere.iter().zip(inside.site().probe(&by_elsewhere, LIMIT)?) {
        assert_eq!(answer(&result).0, world.servers[0].place(), "{probe:?} from inside");
    }
    Ok(())
}

/// Packets that a node dropped for want of an endpoint of its own.
fn dropped(node: &Node) -> Result<u64> {
    let (_, metrics) = node.http_get(METRICS_PORT, "/metrics")?;
    let line = "ferrule_drops_total{reason=\"no_local_endpoint\"} ";
    let count = metrics.lines().find_map(|text| text.strip_prefix(line)).context("the counter")?;
    Ok(count.parse()?)
}
