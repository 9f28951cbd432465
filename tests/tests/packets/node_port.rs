//! NodePorts from outside: the backend here or on the other node, TCP and UDP, both families, both wirings of pods.

use anyhow::Result;
use lab::Keep;

use crate::world::{LIMIT, World, answer, node_port};

#[test]
fn a_node_port_leads_to_its_backend_by_every_node() -> Result<()> {
    let world = World::new()?;
    let bad = world.outside.site().capture(Keep::Bad)?;
    for (n, node) in world.lab.nodes().iter().enumerate() {
        for (m, server) in world.servers.iter().enumerate() {
            let probes = World::probes(node.address(), node_port(m));
            let results = world.outside.site().probe(&probes, LIMIT)?;
            for (probe, result) in probes.iter().zip(&results) {
                let (by, seen) = answer(result);
                assert_eq!(by, server.place(), "{probe:?}");
                // A backend here sees the client itself, one elsewhere the node that the client dialled.
                let client = if n == m { world.outside.address() } else { node.address() };
                assert!(client.both().contains(&seen), "{probe:?} by {} saw {seen}", node.name());
            }
        }
    }
    bad.ensure_clean().map(drop)
}
