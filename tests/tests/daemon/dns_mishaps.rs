//! Cluster DNS after what should not happen: addresses taken away, processes that hang or are left behind.

use std::path::Path;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};

use crate::dns::{NAME, VIP, VIP6, World};
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
    assert!(!Path::new(&format!("/proc/{old}")).exists());
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
    lab::until("the child to end", LIMIT, || Ok(!Path::new(&format!("/proc/{child}")).exists()))?;
    Ok(())
}
