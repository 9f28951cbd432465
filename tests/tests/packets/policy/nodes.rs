//! Nodes and pods: a pod's own node always reaches it; what only has the node's address does not.

use anyhow::{Result, ensure};
use lab::manifests::{self, PolicySpec};
use lab::packet::Build;
use lab::{Keep, Pod, Protocol, RawLink};

use super::town::{Town, ensure_reach};
use crate::world::LIMIT;

fn deny() -> PolicySpec {
    PolicySpec::new("x", "deny").isolate_ingress()
}

fn ports_of(pod: &Pod) -> Vec<(Protocol, std::net::SocketAddr)> {
    let to = pod.address().both().map(|ip| (ip, 80).into());
    to.into_iter().flat_map(|to| [(Protocol::Tcp, to), (Protocol::Udp, to)]).collect()
}

#[test]
fn a_node_reaches_its_own_isolated_pods_and_no_other_nodes() -> Result<()> {
    let town = Town::new()?;
    town.apply(&deny().object())?;
    // The table has the nodes among those that ask: own pods are reached, others are not.
    town.expect("all of x for ingress", &[80], |p| !p.to.starts_with("x."))?;
    ensure_reach(&town.node(0).site(), &ports_of(town.pod("x.a")), true)?;
    ensure_reach(&town.node(1).site(), &ports_of(town.pod("x.a")), false)?;
    ensure_reach(&town.node(1).site(), &ports_of(town.pod("x.b")), true)?;
    ensure_reach(&town.node(0).site(), &ports_of(town.pod("x.b")), false)
}

#[test]
fn a_forwarded_packet_with_the_nodes_address_is_not_the_node() -> Result<()> {
    const PORTS: (u16, u16) = (40_123, 80);
    let town = Town::new()?;
    for (n, name) in [(0, "x.a"), (1, "x.b")] {
        let (node, pod) = (town.node(n), town.pod(name));
        // A kernel drops what comes in with an address of its own; what it masquerades for others looks like this.
        node.netns().run(|| {
            for (file, value) in [
                ("all/accept_local", "1"),
                ("eth0/accept_local", "1"),
                ("all/rp_filter", "0"),
                ("eth0/rp_filter", "0"),
            ] {
                std::fs::write(format!("/proc/sys/net/ipv4/conf/{file}"), value)?;
            }
            Ok(())
        })?;
        let outside = town.outside.site().raw()?;
        let to = RawLink::open(node.netns(), "eth0")?.mac();
        let send = |tag: &[u8]| -> Result<()> {
            for (source, destination) in node.address().both().into_iter().zip(pod.address().both()) {
                outside.send(to, &Build::new(source, destination).udp(PORTS, tag))?;
            }
            Ok(())
        };
        let is_of_node = |packet: &lab::packet::Packet| {
            node.address().both().contains(&packet.source) && packet.ports() == Some(PORTS)
        };
        // Without a policy they arrive: the road is open.
        let capture = pod.site().capture(Keep::All)?;
        lab::until("forged packets of both families", LIMIT, || {
            send(b"before")?;
            let of = |is_v4: bool| capture.count(|p| is_of_node(p) && p.source.is_ipv4() == is_v4);
            Ok(of(true)? > 0 && of(false)? > 0)
        })?;
        town.apply(&deny().object())?;
        town.expect("all of x for ingress", &[80], |p| !p.to.starts_with("x."))?;
        capture.forget()?;
        (0..20).try_for_each(|_| send(b"after"))?;
        // What comes after them has arrived, so they have not.
        ensure_reach(&node.site(), &ports_of(pod), true)?;
        ensure!(capture.count(is_of_node)? == 0, "the node's address alone opened {name}");
        town.delete(&deny().object())?;
        town.expect("open again", &[80], |_| true)?;
    }
    Ok(())
}

#[test]
fn a_finished_pod_is_nobody_and_a_pod_in_the_hosts_network_its_node() -> Result<()> {
    use lab::manifests::{Rule, Selector};
    let town = Town::new()?;
    let from_b = PolicySpec::new("x", "from-b").ingress(Rule::all().pods(Selector::label("app", "b")));
    town.apply(&from_b.object())?;
    let is_open = |from: &str, to: &str| !to.starts_with("x.") || from == "x.b";
    town.expect("pods of x from x.b", &[80], |p| is_open(p.from, p.to))?;
    // As a peer it is nobody, and as a target: its policy is gone.
    let finished = town.object_of(town.pod("x.b")).with("/status/phase", "Succeeded");
    town.apply(&finished)?;
    town.expect("x.b has finished", &[80], |p| !p.to.starts_with("x.") || p.to == "x.b")?;
    town.apply(&town.object_of(town.pod("x.b")))?;
    town.expect("x.b again", &[80], |p| is_open(p.from, p.to))?;
    // A pod in the host's network has its node's addresses; its labels are no peer's and no target's.
    let node = town.node(1).address();
    let host = manifests::pod(town.pod("x.b"), manifests::Condition::Ready)
        .with("/metadata/name", "host")
        .with("/metadata/uid", "0f3c1b9e-6f0e-4c55-9a57-1d2f3a4b5c6d")
        .with("/spec/hostNetwork", true)
        .with("/status/podIP", node.v4.to_string())
        .with("/status/podIPs", serde_json::json!([{ "ip": node.v4 }, { "ip": node.v6 }]));
    town.apply(&host)?;
    let deny = PolicySpec::new("x", "out").pods(Selector::label("app", "b")).isolate_egress();
    town.apply(&deny.object())?;
    town.expect("a host-network pod is its node", &[80], |p| is_open(p.from, p.to) && p.from != "x.b")
}

#[test]
fn packets_with_another_source_are_dropped_and_counted() -> Result<()> {
    const PORTS: (u16, u16) = (40_124, 80);
    let town = Town::new()?;
    town.expect("open", &[80], |_| true)?;
    let others =
        [town.pod("y.a").address(), town.outside.address(), town.node(0).address(), town.node(1).address()];
    for (n, name) in [(0, "x.a"), (1, "x.b")] {
        let pod = town.pod(name);
        let captures = ["y.a", "y.b"].map(|to| (town.pod(to), town.pod(to).site().capture(Keep::All)));
        let link = pod.site().raw()?;
        let mut sent = 0;
        for (to, _) in &captures {
            for other in others {
                for (source, destination) in other.both().into_iter().zip(to.address().both()) {
                    link.send(pod.gateway_mac(), &Build::new(source, destination).udp(PORTS, b"spoofed"))?;
                    sent += 1;
                }
            }
            // Its own source passes.
            for (source, destination) in pod.address().both().into_iter().zip(to.address().both()) {
                link.send(pod.gateway_mac(), &Build::new(source, destination).udp(PORTS, b"own"))?;
            }
        }
        for (to, capture) in captures {
            let capture = capture?;
            for (source, destination) in pod.address().both().into_iter().zip(to.address().both()) {
                let what = format!("datagram of {source} to {destination}");
                capture.wait_for(&what, LIMIT, |p| p.source == source && p.ports() == Some(PORTS))?;
            }
            let strangers =
                capture.count(|p| p.ports() == Some(PORTS) && !pod.address().both().contains(&p.source))?;
            ensure!(strangers == 0, "{strangers} spoofed packets of {name} reached {}", to.place());
        }
        town.wait_for_status(n, &[&format!("spoofed_source {sent}")])?;
    }
    Ok(())
}
