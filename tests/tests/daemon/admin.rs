//! What the daemon tells: commands, health, metrics.

use anyhow::Result;

use crate::world::World;

const RANGE: &str = "apiVersion: networking.k8s.io/v1\nkind: ServiceCIDR\nmetadata: {name: kubernetes}\nspec: {cidrs: [10.96.0.0/16]}\n";

#[test]
fn commands_show_tables_for_people_and_json_for_programs() -> Result<()> {
    let world = World::new()?;
    world.write("web.yaml", &world.service_yaml("web", "10.96.0.1"))?;
    world.start_and_wait(&[])?;
    assert_eq!(world.answers("10.96.0.1")?, 5);
    let node = world.node()?;
    let services = node.ferrule(&["services"])?;
    assert!(
        services.stdout.contains("10.96.0.1:80/TCP") && services.stdout.contains("ClusterIP"),
        "{services:?}"
    );
    let endpoints = node.ferrule(&["endpoints", "production/web"])?;
    let backend = format!("{}:3000", world.server.address().v4);
    assert!(endpoints.stdout.contains(&backend) && endpoints.stdout.contains("(here)"), "{endpoints:?}");
    let maps = node.ferrule(&["maps"])?;
    for spec in abi::maps::MAPS {
        assert!(maps.stdout.contains(spec.name), "{}: {maps:?}", spec.name);
    }
    let sizes = world.report("maps")?;
    for name in ["SOCKETS", "SOCK_UDP", "SOCK_UDP_FWD"] {
        let map = sizes.as_array().into_iter().flatten().find(|map| map["name"] == name);
        assert_eq!(map.map(|map| &map["max"]), Some(&serde_json::json!(131_072)), "{name}: {sizes:#}");
    }
    let status = node.ferrule(&["status"])?;
    assert!(status.stdout.contains("Ready:") && status.stdout.contains("yes"), "{status:?}");
    let all = world.report("endpoints")?;
    let web =
        all.as_array().into_iter().flatten().find(|row| row["service"] == "web" || row["name"] == "web");
    assert_eq!(web.map(|row| &row["connections"]), Some(&serde_json::json!(5)), "{all:#}");
    assert_eq!(world.report("status")?["programs"].as_array().map(Vec::len), Some(9));
    let unknown = node.ferrule(&["services", "production/nothing"])?;
    assert_eq!(unknown.code, Some(1));
    assert_eq!(unknown.stderr, "error: no Service production/nothing\n");
    Ok(())
}

#[test]
fn a_command_without_a_daemon_says_so_in_one_line() -> Result<()> {
    let world = World::new()?;
    let out = world.node()?.ferrule(&["status"])?;
    assert_eq!(out.code, Some(1), "{out:?}");
    assert!(out.stderr.lines().count() == 1 && out.stderr.contains("ferrule.sock"), "{out:?}");
    Ok(())
}

#[test]
fn drops_are_counted_by_reason_and_shown() -> Result<()> {
    let world = World::new()?;
    world.write("web.yaml", &world.service_yaml("web", "10.96.0.1"))?;
    world.write("range.yaml", RANGE)?;
    world.start_and_wait(&[])?;
    assert_eq!(world.errno("10.96.0.1", 81)?, "ECONNREFUSED");
    assert_eq!(world.errno("10.96.99.99", 80)?, "EHOSTUNREACH");
    let drops = world.report("status")?["drops"].clone();
    assert_eq!(drops["unknown_service_port"], 1, "{drops}");
    assert_eq!(drops["unallocated_service_address"], 1, "{drops}");
    let metrics = world.metrics()?;
    assert!(metrics.contains("ferrule_drops_total{reason=\"unknown_service_port\"} 1"), "{metrics}");
    Ok(())
}

#[test]
fn health_and_metrics_answer_as_kube_proxys_do() -> Result<()> {
    let world = World::new()?;
    world.write("web.yaml", &world.service_yaml("web", "10.96.0.1"))?;
    world.start_and_wait(&[])?;
    let (code, body) = world.health("/healthz")?;
    let body: serde_json::Value = serde_json::from_str(&body)?;
    assert_eq!(code, 200, "{body:#}");
    for key in ["lastUpdated", "currentTime", "nodeEligible", "healthy", "status"] {
        assert!(body.get(key).is_some(), "{key}: {body:#}");
    }
    let (code, body) = world.health("/livez")?;
    let body: serde_json::Value = serde_json::from_str(&body)?;
    assert!(code == 200 && body.get("nodeEligible").is_none(), "{body:#}");
    let metrics = world.metrics()?;
    for name in [
        "kubeproxy_sync_proxy_rules_duration_seconds_bucket",
        "kubeproxy_network_programming_duration_seconds_bucket",
        "kubeproxy_proxy_healthz_total{code=\"200\"}",
        "ferrule_map_entries{map=\"FRONTENDS\"}",
        "ferrule_objects{kind=\"Service\"} 1",
        "ferrule_service_connections_total{namespace=\"production\",name=\"web\"",
    ] {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }
    assert_eq!(metrics.matches("# EOF").count(), 1);
    assert!(metrics.ends_with("# EOF\n"));
    Ok(())
}

#[test]
fn a_node_that_leaves_fails_healthz_and_not_livez() -> Result<()> {
    let world = World::new()?;
    world.start_and_wait(&[])?;
    assert_eq!(world.health("/healthz")?.0, 200);
    let file = "node-node-1.yaml";
    world.write(
        file,
        "apiVersion: v1\nkind: Node\nmetadata: {name: node-1}\nspec: {taints: [{key: ToBeDeletedByClusterAutoscaler, effect: NoSchedule}]}\n",
    )?;
    lab::until("healthz to fail", crate::world::LIMIT, || Ok(world.health("/healthz")?.0 == 503))?;
    assert_eq!(world.health("/livez")?.0, 200);
    Ok(())
}
