//! The daemon dies, comes back, and finds things changed.

use anyhow::{Context, Result};

use crate::world::{World, service};

#[test]
fn ids_and_counters_survive_a_crash() -> Result<()> {
    let world = World::new()?;
    world.write("web.yaml", &world.service_yaml("web", "10.96.0.1"))?;
    world.write("shop.yaml", &world.service_yaml("shop", "10.96.0.2"))?;
    world.start_and_wait(&[])?;
    assert_eq!(world.answers("10.96.0.1")?, 5);
    let before = world.report("services")?;
    world.node()?.kill_ferrule()?;
    assert_eq!(world.answers("10.96.0.1")?, 5, "nobody at home, and nobody needed");
    world.start_and_wait(&[])?;
    let after = world.report("services")?;
    assert_eq!(world.report("status")?["maps_at_start"], "adopted");
    let of = |report: &serde_json::Value, name: &str, field: &str| {
        let all = report.as_array().cloned().unwrap_or_default();
        all.iter().find(|s| s["name"] == name).map(|s| s[field].as_u64()).context("not there")
    };
    for name in ["web", "shop"] {
        assert_eq!(of(&before, name, "id")?, of(&after, name, "id")?, "{name}");
    }
    assert_eq!(of(&after, "web", "connections")?, Some(10));
    Ok(())
}

#[test]
fn what_went_while_nobody_was_at_home_goes_after_the_start() -> Result<()> {
    let world = World::new()?;
    world.write("web.yaml", &world.service_yaml("web", "10.96.0.1"))?;
    world.write("shop.yaml", &world.service_yaml("shop", "10.96.0.2"))?;
    world.start_and_wait(&[])?;
    world.node()?.kill_ferrule()?;
    world.lab.manifests().remove("shop.yaml")?;
    assert_eq!(world.answers("10.96.0.2")?, 5);
    world.start_and_wait(&[])?;
    assert_eq!(world.answers("10.96.0.2")?, 0);
    assert_eq!(world.answers("10.96.0.1")?, 5);
    Ok(())
}

#[test]
fn a_file_that_is_broken_at_a_restart_costs_nothing_that_was_in_force() -> Result<()> {
    let world = World::new()?;
    world.write("web.yaml", &world.service_yaml("web", "10.96.0.1"))?;
    world.write("shop.yaml", &world.service_yaml("shop", "10.96.0.2"))?;
    world.start_and_wait(&[])?;
    world.node()?.kill_ferrule()?;
    world.write("shop.yaml", "oops: [")?;
    world.start(&[])?;
    world.write("new.yaml", &world.service_yaml("new", "10.96.0.3"))?;
    world.wait_for_answers("10.96.0.3")?;
    assert_eq!(world.answers("10.96.0.1")?, 5);
    assert_eq!(world.answers("10.96.0.2")?, 5, "its file is broken, not gone");
    let (code, body) = world.health("/readyz")?;
    assert!(code == 503 && body.contains("shop.yaml"), "{code} {body}");
    world.write("shop.yaml", &service("shop", "10.96.0.2"))?;
    world.node()?.wait_ready(crate::world::LIMIT)?;
    lab::until("no endpoints to be refused", crate::world::LIMIT, || {
        Ok(world.answers("10.96.0.2")? == 0 && world.errno("10.96.0.2", 80)? == "ECONNREFUSED")
    })?;
    Ok(())
}

#[test]
fn a_link_that_somebody_removes_is_made_again() -> Result<()> {
    let world = World::new()?;
    world.write("web.yaml", &world.service_yaml("web", "10.96.0.1"))?;
    world.start_and_wait(&["--audit-period-secs", "1"])?;
    let pin = world.node()?.bpf_root().join("ferrule/1/connect4");
    std::fs::remove_file(&pin)?;
    lab::until("the link to be made again", crate::world::LIMIT, || Ok(pin.exists()))?;
    assert_eq!(world.answers("10.96.0.1")?, 5);
    assert_eq!(world.report("status")?["programs"].as_array().map(Vec::len), Some(9));
    Ok(())
}

#[test]
fn termination_leaves_everything_in_force_and_cleanup_takes_it_out() -> Result<()> {
    let world = World::new()?;
    world.write("web.yaml", &world.service_yaml("web", "10.96.0.1"))?;
    world.start_and_wait(&[])?;
    assert_eq!(world.node()?.terminate_ferrule()?, 0);
    assert_eq!(world.answers("10.96.0.1")?, 5);
    let out = world.node()?.cleanup_ferrule()?;
    assert_eq!(
        (out.code, out.stdout.as_str()),
        (Some(0), "links and maps, DNS process and its addresses removed\n"),
        "{out:?}"
    );
    assert_eq!(world.answers("10.96.0.1")?, 0);
    assert!(!world.node()?.bpf_root().join("ferrule").exists());
    let again = world.node()?.cleanup_ferrule()?;
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), "nothing to remove\n"), "{again:?}");
    Ok(())
}

#[test]
fn maps_of_another_layout_are_replaced_without_a_moment_without_the_service() -> Result<()> {
    let world = World::new()?;
    world.write("web.yaml", &world.service_yaml("web", "10.96.0.1"))?;
    world.start_and_wait(&[])?;
    world.node()?.kill_ferrule()?;
    // A part of the pins is what another build's layout looks like.
    std::fs::remove_file(world.node()?.bpf_root().join("ferrule/1/SOCK_UDP"))?;
    let load = world.load("10.96.0.1")?;
    world.start_and_wait(&[])?;
    lab::until("more answers", crate::world::LIMIT, || Ok(load.sample()?.requests > 200))?;
    let tally = load.stop()?;
    assert_eq!(tally.failures(), 0, "{tally:?}");
    assert_eq!(world.report("status")?["maps_at_start"], "replaced");
    Ok(())
}

#[test]
fn a_changed_maximum_is_named_and_the_adopted_maps_go_on() -> Result<()> {
    let world = World::new()?;
    world.write("web.yaml", &world.service_yaml("web", "10.96.0.1"))?;
    world.start_and_wait(&["--max-frontends", "1000"])?;
    world.node()?.terminate_ferrule()?;
    world.start_and_wait(&["--max-frontends", "2000"])?;
    assert_eq!(world.answers("10.96.0.1")?, 5);
    let maps = world.report("maps")?;
    let all = maps.as_array().cloned().unwrap_or_default();
    let frontends = all.iter().find(|m| m["name"] == "FRONTENDS").context("FRONTENDS")?;
    assert_eq!(frontends["max"], 1000, "{maps:#}");
    assert!(world.node()?.log_tail().contains("keep their maxima"), "{}", world.node()?.log_tail());
    Ok(())
}

#[test]
fn replaced_maps_take_over_only_when_everything_is_known() -> Result<()> {
    let world = World::new()?;
    world.write("web.yaml", &world.service_yaml("web", "10.96.0.1"))?;
    world.start_and_wait(&[])?;
    world.node()?.kill_ferrule()?;
    std::fs::remove_file(world.node()?.bpf_root().join("ferrule/1/SOCK_UDP"))?;
    world.write("web.yaml", "oops: [")?;
    world.start(&[])?;
    world.wait_for_status("the broken file", |s| s["source"]["problems"]["web.yaml"].is_string())?;
    assert_eq!(world.answers("10.96.0.1")?, 5, "the old programs go on with the old maps");
    world.write("web.yaml", &world.service_yaml("web", "10.96.0.1"))?;
    world.node()?.wait_ready(crate::world::LIMIT)?;
    assert_eq!(world.answers("10.96.0.1")?, 5);
    Ok(())
}
