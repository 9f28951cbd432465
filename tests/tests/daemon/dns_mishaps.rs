//! Cluster DNS after what should not happen: addresses taken away, processes that hang or are left behind.

use anyhow::{Context, Result};
use lab::Node;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::dns::{NAME, VIP, VIP6, World, answered};
use crate::world::LIMIT;

/// Where the server listens unless told otherwise.
const LISTEN: [&str; 2] = ["169.254.20.53", "fd46:6572:7275:6c65::53"];

#[test]
fn an_address_that_somebody_takes_from_lo_is_put_back() -> Result<()> {
    let world = World::new(&[])?;
    let node = world.node()?;
    for (listen, vip) in LISTEN.iter().zip([VIP, VIP6]) {
        let out = node.command(&["ip", "addr", "del", listen, "dev", "lo"])?;
        assert!(out.is_success(), "{out:?}");
        lab::until("the address", LIMIT, || {
            Ok(node.command(&["ip", "addr", "show", "dev", "lo"])?.stdout.contains(listen))
        })?;
        let at = format!("@{vip}");
        lab::until("an answer", LIMIT, || Ok(world.dig(&[&at, NAME])? == "10.96.44.10"))?;
        assert!(node.log_tail().contains("it is put back"), "{}", node.log_tail());
    }
    // They are still ours to take away.
    node.terminate_ferrule()?;
    node.cleanup_ferrule()?;
    let left = node.command(&["ip", "addr", "show", "dev", "lo"])?.stdout;
    assert!(!LISTEN.iter().any(|listen| left.contains(listen)), "{left}");
    Ok(())
}

#[test]
fn a_dns_process_that_no_state_directory_leads_to_is_named_and_its_port_not_shared() -> Result<()> {
    let world = World::new(&[])?;
    let node = world.node()?;
    let old = world.child()?;
    node.kill_ferrule()?;
    for name in ["dns.sock", "dns.sock.pid"] {
        std::fs::remove_file(node.state_dir().join(name)).with_context(|| name.to_owned())?;
    }
    node.start_ferrule(world.lab.manifests().dir(), &["--cluster-dns", VIP])?;
    let report = world.wait_for_dns("the problem", |report| report["problem"].is_string())?;
    let problem = report["problem"].as_str().unwrap_or_default();
    assert!(problem.contains(&format!("end it (kill {old})")), "{problem}");
    assert_eq!(report["healthy"], false);
    kill(old, Signal::SIGTERM)?;
    world.wait_for_dns("a server of its own", |report| report["healthy"] == true)?;
    assert!(!is_alive(old));
    Ok(())
}

#[test]
fn where_no_later_daemon_can_find_the_child_names_resolve_and_it_ends_with_its_daemon() -> Result<()> {
    let world = World::new(&[])?;
    let node = world.node()?;
    node.terminate_ferrule()?;
    // Nothing can listen under this name.
    std::fs::create_dir(node.state_dir().join("dns.sock.next"))?;
    world.start(&[])?;
    assert_eq!(world.dig(&[&format!("@{VIP}"), NAME])?, "10.96.44.10");
    assert!(node.log_tail().contains("it ends with this one"), "{}", node.log_tail());
    let child = world.child()?;
    node.terminate_ferrule()?;
    lab::until("the child to end", LIMIT, || Ok(!is_alive(child)))?;
    Ok(())
}

#[test]
fn an_upstream_that_turns_out_to_be_the_cluster_dns_address_is_not_asked_and_named() -> Result<()> {
    let world = World::new(&[])?;
    let node = world.node()?;
    node.terminate_ferrule()?;
    // Found by itself: 10.96.0.10 until there is a Service.
    let args = ["--dns-upstream", "10.96.3.10,172.31.0.100:53"];
    node.start_ferrule(world.lab.manifests().dir(), &args)?;
    world.wait_for_dns("both upstreams", |report| report["upstreams"].as_array().map(Vec::len) == Some(2))?;
    let kube_dns = "apiVersion: v1\nkind: Service\nmetadata: {name: kube-dns, namespace: kube-system}\n\
                    spec: {clusterIP: 10.96.3.10, ports: [{name: dns, port: 53, protocol: UDP}]}\n";
    world.lab.manifests().write("kube-dns.yaml", kube_dns)?;
    let report = world.wait_for_dns("the problem", |report| report["problem"].is_string())?;
    assert!(
        report["problem"].as_str().is_some_and(|line| line.contains("upstream 10.96.3.10:53")),
        "{report}"
    );
    assert_eq!(report["upstreams"], serde_json::json!(["172.31.0.100:53"]));
    let at = "@10.96.3.10";
    for _ in 0..8 {
        assert_eq!(world.dig(&[at, "www.example.org"])?, "192.0.2.1");
    }
    std::fs::remove_file(world.lab.manifests().dir().join("kube-dns.yaml"))?;
    world.wait_for_dns("no problem", |report| {
        report["problem"].is_null() && report["upstreams"].as_array().map(Vec::len) == Some(2)
    })?;
    Ok(())
}

#[test]
fn a_child_that_hangs_while_its_daemon_is_replaced_is_ended_and_followed() -> Result<()> {
    let world = World::new(&[])?;
    let old = world.child()?;
    kill(old, Signal::SIGSTOP)?;
    world.node()?.kill_ferrule()?;
    world.start(&[])?;
    assert_ne!(world.child()?, old);
    assert!(!is_alive(old), "it holds the port");
    assert_eq!(world.dig(&[&format!("@{VIP}"), NAME])?, "10.96.44.10");
    Ok(())
}

#[test]
fn children_that_die_before_they_serve_cost_nothing_and_the_next_one_follows() -> Result<()> {
    let world = World::new(&[])?;
    let node = world.node()?;
    let load = world.client.client().start_dns(world.load(NAME))?;
    answered(&load, 500)?;
    let old = world.child()?;
    node.kill_ferrule()?;
    // The next daemon does not know everything: its child waits while the old one answers.
    let manifests = world.lab.manifests();
    manifests.write("broken.yaml", "oops: [")?;
    node.start_ferrule(manifests.dir(), &["--cluster-dns", VIP, "--dns-upstream", "172.31.0.100:53"])?;
    let next_but = |not: &[Pid]| {
        lab::until("a child that waits", LIMIT, || {
            Ok(world.child().is_ok_and(|child| !not.contains(&child)) && is_listening(node, "dns.sock.next"))
        })?;
        world.child()
    };
    let first = next_but(&[old])?;
    kill(first, Signal::SIGKILL)?;
    let second = next_but(&[old, first])?;
    kill(second, Signal::SIGKILL)?;
    let third = next_but(&[old, first, second])?;
    assert!(is_alive(old));
    answered(&load, 200)?;
    manifests.write("broken.yaml", "")?;
    lab::until("the old one to end", LIMIT, || Ok(!is_alive(old)))?;
    assert_eq!(world.child()?, third);
    // The next daemon finds it.
    node.kill_ferrule()?;
    answered(&load, 200)?;
    world.start(&[])?;
    lab::until("the third one to end", LIMIT, || Ok(!is_alive(third)))?;
    answered(&load, 200)?;
    let tally = load.stop()?;
    assert!(tally.failures() == 0 && tally.with_code("NOERROR") == tally.answers(), "{tally:?}");
    Ok(())
}

/// Whether a process is there and has not ended.
fn is_alive(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

/// Whether somebody accepts connections under this name in the state directory.
fn is_listening(node: &Node, name: &str) -> bool {
    std::os::unix::net::UnixStream::connect(node.state_dir().join(name)).is_ok()
}

#[test]
fn with_ipv6_switched_off_the_other_family_is_served() -> Result<()> {
    let world = World::new(&[])?;
    let node = world.node()?;
    let at = format!("@{VIP}");
    let switch_off = "for c in all default lo; do echo 1 > /proc/sys/net/ipv6/conf/$c/disable_ipv6; done";
    let out = node.command(&["sh", "-c", switch_off])?;
    assert!(out.is_success(), "{out:?}");
    // While it runs: told, and the same child goes on.
    let child = world.child()?;
    let report = world.wait_for_dns("the loss", |report| report["problem"].is_string())?;
    let problem = report["problem"].as_str().unwrap_or_default();
    assert!(problem.contains("no answer at [fd46:6572:7275:6c65::53]:53"), "{problem}");
    assert_eq!(report["healthy"], true);
    assert_eq!(world.dig(&[&at, NAME])?, "10.96.44.10");
    assert_eq!(world.child()?, child);
    // From the start: it serves what can be had.
    node.terminate_ferrule()?;
    node.cleanup_ferrule()?;
    world.start(&[])?;
    assert_eq!(world.dns()?["listen"], serde_json::json!(["169.254.20.53:53"]));
    assert_eq!(world.dig(&[&at, NAME])?, "10.96.44.10");
    assert_eq!(world.dig(&[&at, NAME, "AAAA"])?, "fd00:10:96::2c0a");
    Ok(())
}
