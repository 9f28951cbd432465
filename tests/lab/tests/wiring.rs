//! Pods of all wirings side by side reach each other, come and go, and have their cgroup from the first. Needs root.

use std::net::SocketAddr;
use std::time::Duration;

use lab::packet::{Body, Packet, TcpFlags};
use lab::{Keep, Lab, LabSpec, Node, Pod, PodSpec, Probe, Reach, Site, Target, TruthTable, Wiring};

const PORT: u16 = 7000;
const LIMIT: Duration = Duration::from_secs(5);
const WIRINGS: [Wiring; 3] = [Wiring::Ptp, Wiring::Routed, Wiring::Bridge];

/// A pod with an echo server.
fn server(node: &Node, name: &str, wiring: Wiring) -> Pod {
    let pod = node.add_pod(PodSpec::idle("default", name).wired(wiring)).unwrap();
    assert_eq!(pod.wiring(), wiring);
    pod.site().echo(&[PORT]).unwrap();
    pod
}

fn everybody_reaches(sources: &[Site], pods: &[Pod]) {
    let targets: Vec<_> = pods.iter().flat_map(|pod| Target::of_pod(pod, PORT)).collect();
    let found = TruthTable::probe(sources, &targets, LIMIT).unwrap();
    found.ensure_is(&TruthTable::expected(sources, &targets, |_, _| Reach::Yes)).unwrap();
}

#[test]
fn pods_of_every_wiring_reach_each_other_on_one_node_and_across() {
    let lab = Lab::new(LabSpec::default()).unwrap();
    let mut pods = Vec::new();
    for node in lab.nodes() {
        for wiring in WIRINGS {
            pods.push(server(node, &format!("{wiring:?}-{}", node.name()).to_lowercase(), wiring));
        }
    }
    let mut sites: Vec<_> = pods.iter().map(Pod::site).collect();
    sites.extend(lab.nodes().iter().map(Node::site));
    sites.push(lab.outside().unwrap().site());
    everybody_reaches(&sites, &pods);
}

#[test]
fn a_node_is_its_gateway_s_address_to_pods_or_that_of_its_uplink() {
    let lab = Lab::new(LabSpec::default()).unwrap();
    let node = lab.node("node-1").unwrap();
    // The bridge and its addresses stay, so it comes last.
    for (wiring, address) in [
        (Wiring::Routed, node.address()),
        (Wiring::Ptp, node.gateway()),
        (Wiring::Routed, node.address()),
        (Wiring::Bridge, node.gateway()),
    ] {
        let pod = server(node, "pod", wiring);
        for (to, expected) in pod.address().both().into_iter().zip(address.both()) {
            let results = node.site().probe(&[Probe::tcp((to, PORT))], LIMIT).unwrap();
            let (_, seen) = results[0].answer().unwrap();
            assert_eq!(seen.ip(), expected, "{wiring:?}");
        }
        pod.delete().unwrap();
    }
}

#[test]
fn pods_come_and_go_under_traffic_of_others() {
    let lab = Lab::new(LabSpec::default()).unwrap();
    for node in lab.nodes() {
        let stays = server(node, &format!("stays-{}", node.name()), Wiring::Bridge);
        let client = node.add_pod(PodSpec::idle("default", &format!("client-{}", node.name()))).unwrap();
        let lines: Vec<_> = stays
            .address()
            .both()
            .map(|to| client.site().steady((to, PORT).into(), Duration::from_millis(2)).unwrap())
            .into_iter()
            .collect();
        for round in 0..4 {
            for wiring in WIRINGS {
                let name = format!("guest-{round}-{}", node.name());
                let guest = server(node, &name, wiring);
                everybody_reaches(&[stays.site(), client.site()], std::slice::from_ref(&guest));
                everybody_reaches(&[guest.site()], std::slice::from_ref(&stays));
                guest.delete().unwrap();
            }
        }
        for line in lines {
            let facts = line.stop().unwrap();
            assert!(facts.ended.is_none() && facts.wrong == 0 && facts.received == facts.sent, "{facts:?}");
            assert!(facts.sent > 50 && facts.longest_pause < Duration::from_secs(1), "{facts:?}");
        }
    }
}

#[test]
fn a_pod_s_processes_are_in_its_cgroup_of_the_node_from_the_first() {
    let lab = Lab::new(LabSpec::default()).unwrap();
    let [node, other] = lab.nodes() else { panic!("not two nodes") };
    let pod = node.add_pod(PodSpec::idle("default", "pod").sending_early(&early_targets(other))).unwrap();
    let path = pod.cgroup().path().to_owned();
    assert!(path.starts_with(node.cgroup().path()) && !path.starts_with(other.cgroup().path()));
    assert!(path.to_str().unwrap().contains(&format!("/pod{}/", pod.uid())), "{path:?}");
    pod.early().unwrap().wait_for(1, LIMIT).unwrap();
    let processes = std::fs::read_to_string(path.join("cgroup.procs")).unwrap();
    assert_eq!(processes.lines().count(), 1, "the early process alone: {processes:?}");
}

fn is_udp(packet: &Packet) -> bool {
    matches!(packet.body, Body::Udp { .. })
}

fn is_syn(packet: &Packet) -> bool {
    matches!(packet.body, Body::Tcp { flags: TcpFlags::SYN, .. })
}

/// Nobody listens there; what arrives is captured.
fn early_targets(node: &Node) -> Vec<SocketAddr> {
    node.address().both().map(|address| SocketAddr::new(address, 9)).to_vec()
}

#[test]
fn a_pod_sends_before_it_has_a_network_and_its_first_packets_are_seen() {
    let lab = Lab::new(LabSpec::default()).unwrap();
    let [node, other] = lab.nodes() else { panic!("not two nodes") };
    for (wiring, node, sink) in
        [(Wiring::Ptp, node, other), (Wiring::Routed, node, other), (Wiring::Bridge, other, node)]
    {
        let capture = sink.site().capture(Keep::All).unwrap();
        let name = format!("{wiring:?}").to_lowercase();
        let spec = PodSpec::idle("default", &name).wired(wiring).sending_early(&early_targets(sink));
        let pod = node.add_pod(spec).unwrap();
        let early = pod.early().unwrap();
        early.wait_for(20, LIMIT).unwrap();
        for address in pod.address().both() {
            for (what, is_it) in [("datagram", is_udp as fn(&Packet) -> bool), ("SYN", is_syn)] {
                capture.wait_for(what, LIMIT, |packet| packet.source == address && is_it(packet)).unwrap();
            }
        }
        let tally = early.stop().unwrap();
        assert!(tally.failed["ENETUNREACH"] >= 4, "each target and protocol once before the wire: {tally:?}");
        assert!(tally.first_taken_ns > 0 && tally.syns.len() == 2, "{tally:?}");
        assert!(pod.delete().is_ok() && capture.report().unwrap().bad.is_empty());
        assert!(node.add_pod(PodSpec::idle("default", &name)).unwrap().early().is_err());
    }
}
