//! Pods whose sockets are not translated: their packets leave for the Service's own address and are balanced one by one.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, ensure};
use lab::manifests::{self, Condition, Object, ServicePort, ServiceSpec};
use lab::{Captured, Dial, Keep, Node, Pod, PodSpec, ProbeResult, Workload, until};

use crate::world::{LIMIT, NAMESPACE, PORT, World, answer, cluster_ip};

/// See `model::SocketLb::ANNOTATION`.
const ANNOTATION: &str = "ferrule.io/socket-lb";

#[test]
fn an_opted_out_pod_reaches_every_cluster_ip_packet_by_packet() -> Result<()> {
    let world = World::without_daemons()?;
    let clients = world.each_node(|node| {
        let client = node.add_pod(PodSpec::idle(NAMESPACE, &format!("client-{}", node.name())))?;
        world.lab.manifests().apply(&opted_out(&client))?;
        Ok(client)
    })?;
    world.lab.start_ferrule(LIMIT)?;
    let fabric = world.each_node(|node| node.site().capture(Keep::Bad))?;
    for (n, client) in clients.iter().enumerate() {
        let sent = client.site().capture(Keep::All)?;
        for (m, server) in world.servers.iter().enumerate() {
            let probes = World::probes(cluster_ip(m), 80);
            let results = client.site().probe(&probes, LIMIT)?;
            for (probe, result) in probes.iter().zip(&results) {
                let (by, seen) = answer(result);
                assert_eq!(by, server.place(), "{probe:?} from {n}");
                assert!(client.address().both().contains(&seen), "{probe:?} from {n}: the server saw {seen}");
                assert!(is_to(&sent.kept()?, probe.to), "{probe:?} from {n} left for another address");
            }
            let replies = sent.count(|packet| is_from(packet.from(), server))?;
            assert_eq!(replies, 0, "replies of {m} to {n} came as the backend's own");
        }
    }
    fabric.iter().try_for_each(|seen| seen.ensure_clean().map(drop))
}

#[test]
fn an_opted_out_socket_sees_nothing_but_the_address_that_it_dialled() -> Result<()> {
    let world = World::without_daemons()?;
    let service = ServiceSpec::cluster_ip(NAMESPACE, "web", cluster_ip(7))
        .port(ServicePort::tcp("tcp", 80, PORT + 1))
        .port(ServicePort::udp("udp", 80, PORT + 1));
    let server = world.node(1).add_pod(PodSpec::server(NAMESPACE, "web", PORT + 1))?;
    world.serve(&service, &[&server])?;
    let client = world.node(0).add_pod(PodSpec::idle(NAMESPACE, "client"))?;
    world.lab.manifests().apply(&opted_out(&client))?;
    world.lab.start_ferrule(LIMIT)?;
    for vip in cluster_ip(7).both().map(|ip| SocketAddr::new(ip, 80)) {
        for dial in [Dial::Tcp, Dial::UdpConnected, Dial::UdpUnconnected, Dial::UdpOneSocket] {
            let tally = client.client().run(Workload::new(dial, vip), 20)?;
            assert_eq!(tally.failures(), 0, "{dial:?} to {vip}: {tally:?}");
            assert!(tally.saw_only(vip), "{dial:?} to {vip}: {tally:?}");
        }
    }
    Ok(())
}

#[test]
fn an_opted_out_pod_reaches_itself_by_its_service() -> Result<()> {
    let world = World::without_daemons()?;
    let pods = world.each_node(|node| {
        let pod = node.add_pod(PodSpec::idle(NAMESPACE, &format!("self-{}", node.name())))?;
        pod.site().echo(&[PORT])?;
        world.lab.manifests().apply(&opted_out(&pod))?;
        Ok(pod)
    })?;
    for (n, pod) in pods.iter().enumerate() {
        let service = ServiceSpec::cluster_ip(NAMESPACE, pod.name(), cluster_ip(10 + n))
            .port(ServicePort::tcp("tcp", 80, PORT))
            .port(ServicePort::udp("udp", 80, PORT));
        world.serve(&service, &[pod])?;
    }
    world.lab.start_ferrule(LIMIT)?;
    for (n, pod) in pods.iter().enumerate() {
        let probes = World::probes(cluster_ip(10 + n), 80);
        let results = pod.site().probe(&probes, LIMIT)?;
        for (probe, result) in probes.iter().zip(&results) {
            let (by, seen) = answer(result);
            assert_eq!(by, pod.place(), "{probe:?}");
            // A pod takes no packet from itself that comes in from outside.
            assert!(is_of_node(pod.node(), seen), "{probe:?}: the pod saw {seen}");
        }
    }
    Ok(())
}

#[test]
fn namespaces_and_proxies_opt_pods_out_too() -> Result<()> {
    let world = World::without_daemons()?;
    let node = world.node(0);
    let meshed = node.add_pod(PodSpec::idle("meshed", "a"))?;
    let namespace = manifests::namespace("meshed").annotation(ANNOTATION, "disabled");
    let plain = node.add_pod(PodSpec::idle(NAMESPACE, "plain"))?;
    let proxied = node.add_pod(PodSpec::idle(NAMESPACE, "proxied"))?;
    let objects = [
        namespace,
        manifests::pod(&meshed, Condition::Ready),
        manifests::pod(&plain, Condition::Ready),
        manifests::pod(&proxied, Condition::Ready).container("istio-proxy"),
    ];
    objects.iter().try_for_each(|object| world.lab.manifests().apply(object))?;
    world.lab.start_ferrule(LIMIT)?;
    for (pod, is_opted_out) in [(&meshed, true), (&plain, false), (&proxied, true)] {
        for m in 0..2 {
            for is_per_packet in ways(pod, m)? {
                assert_eq!(is_per_packet, is_opted_out, "{} to {m}", pod.place());
            }
        }
    }
    Ok(())
}

#[test]
fn a_pod_changes_its_mind_while_it_runs_and_its_connections_go_on() -> Result<()> {
    let world = World::new()?;
    let client = world.node(0).add_pod(PodSpec::idle(NAMESPACE, "client"))?;
    let vips = cluster_ip(1).both().map(|ip| SocketAddr::new(ip, 80));
    let mut connections = Vec::new();
    for annotation in ["enabled", "disabled", "enabled"] {
        let object = manifests::pod(&client, Condition::Ready).annotation(ANNOTATION, annotation);
        world.lab.manifests().apply(&object)?;
        until("the pod's new way to a Service", LIMIT, || {
            Ok(ways(&client, 1)? == [annotation == "disabled"; 4])
        })?;
        for connection in &connections {
            more_lines(connection)?;
        }
        for vip in vips {
            connections.push(client.site().steady(vip, std::time::Duration::from_millis(5))?);
        }
        for connection in &connections {
            more_lines(connection)?;
        }
    }
    for connection in connections {
        let facts = connection.stop()?;
        assert_eq!((facts.ended, facts.wrong, facts.sent - facts.received), (None, 0, 0));
    }
    Ok(())
}

fn more_lines(connection: &lab::Steady) -> Result<()> {
    let facts = connection.wait_for_more(20, LIMIT)?;
    ensure!(facts.wrong == 0, "{facts:?}");
    Ok(())
}

/// Whether packets of the pod to the Service of this number leave for its address, for each probe; all are answered.
fn ways(pod: &Pod, server: usize) -> Result<Vec<bool>> {
    let sent = pod.site().capture(Keep::All)?;
    let probes = World::probes(cluster_ip(server), 80);
    let results = pod.site().probe(&probes, LIMIT)?;
    let kept = sent.kept()?;
    for (probe, result) in probes.iter().zip(&results) {
        ensure!(matches!(result, ProbeResult::Answered { .. }), "{probe:?} of {}: {result:?}", pod.place());
    }
    Ok(probes.iter().map(|probe| is_to(&kept, probe.to)).collect())
}

pub(crate) fn opted_out(pod: &Pod) -> Object {
    manifests::pod(pod, Condition::Ready).annotation(ANNOTATION, "disabled")
}

fn is_to(kept: &[Captured], to: SocketAddr) -> bool {
    kept.iter().filter_map(|seen| seen.packet().ok()).any(|packet| packet.to() == Some(to))
}

fn is_from(from: Option<SocketAddr>, pod: &Pod) -> bool {
    from.is_some_and(|from| pod.address().both().contains(&from.ip()))
}

fn is_of_node(node: &Node, addr: IpAddr) -> bool {
    node.address().both().contains(&addr) || node.gateway().both().contains(&addr)
}
