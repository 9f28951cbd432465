//! Objects that cannot be honoured: named, while everything else is served.

use anyhow::{Context, Result};

use crate::world::{World, service, slice, warnings_of};

#[test]
fn a_file_that_breaks_keeps_what_it_held_and_the_node_ready() -> Result<()> {
    let world = World::new()?;
    world.write("web.yaml", &world.service_yaml("web", "10.96.0.1"))?;
    world.start_and_wait(&[])?;
    world.write("web.yaml", "this is: [not, Kubernetes\n")?;
    let status = world.wait_for_status("the problem", |s| s["source"]["problems"]["web.yaml"].is_string())?;
    assert_eq!(status["ready"], true, "{status:#}");
    world.write("shop.yaml", &world.service_yaml("shop", "10.96.0.2"))?;
    world.wait_for_answers("10.96.0.2")?;
    assert_eq!(world.answers("10.96.0.1")?, 5, "what the file held stays in force");
    world.write("web.yaml", &world.service_yaml("web", "10.96.0.3"))?;
    world.wait_for_answers("10.96.0.3")?;
    world.wait_for_status("no problem", |s| {
        s["source"]["problems"].as_object().is_some_and(|p| p.is_empty())
    })?;
    Ok(())
}

#[test]
fn a_file_that_is_broken_at_the_start_is_named_by_readyz_and_the_rest_is_served() -> Result<()> {
    let world = World::new()?;
    world.write("bad.yaml", "kind: Service\n")?;
    world.write("web.yaml", &world.service_yaml("web", "10.96.0.1"))?;
    world.start(&[])?;
    world.wait_for_answers("10.96.0.1")?;
    // The sockets' programs are in force a moment before the daemon says so.
    let mut last = (0, String::new());
    lab::until("readyz to name the file", crate::world::LIMIT, || {
        last = world.health("/readyz")?;
        Ok(last.0 == 503 && last.1.contains("bad.yaml"))
    })
    .with_context(|| format!("{last:?}"))?;
    let (code, _) = world.health("/healthz")?;
    assert_eq!(code, 200, "kube-proxy's rule: nothing is stuck");
    world.write("bad.yaml", &service("bad", "10.96.0.9"))?;
    world.node()?.wait_ready(crate::world::LIMIT)?;
    Ok(())
}

#[test]
fn objects_with_mistakes_are_named_and_the_rest_is_served() -> Result<()> {
    let world = World::new()?;
    world.write("a-web.yaml", &world.service_yaml("web", "10.96.0.1"))?;
    world.write("b-bad-address.yaml", &service("bad-address", "10.96.0.300"))?;
    world.write("c-no-address.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: no-address, namespace: production}\nspec: {ports: [{port: 80}]}\n")?;
    world.write("d-same-address.yaml", &service("zz-same-address", "10.96.0.1"))?;
    world.write("e-bad-endpoint.yaml", &slice("web2", "not-an-address"))?;
    world.write("f-deployment.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n")?;
    world.start_and_wait(&[])?;
    assert_eq!(world.answers("10.96.0.1")?, 5);
    let status = world.report("status")?;
    let named = |object: &str, word: &str| {
        let warnings = warnings_of(&status, object);
        assert!(warnings.iter().any(|w| w.contains(word)), "{object} {word}: {status:#}");
    };
    named("Service production/bad-address", "10.96.0.300");
    named("Service production/no-address", "clusterIP");
    named("Service production/zz-same-address", "Service production/web");
    named("EndpointSlice production/web2-1", "not-an-address");
    assert_eq!(status["source"]["passed_over"]["apps/v1/Deployment"], 1, "{status:#}");
    assert_eq!(status["ready"], true);
    Ok(())
}

#[test]
fn one_object_in_two_files_names_both() -> Result<()> {
    let world = World::new()?;
    world.write("a.yaml", &world.service_yaml("web", "10.96.0.1"))?;
    world.write("b.yaml", &service("web", "10.96.0.2"))?;
    world.start_and_wait(&[])?;
    let status = world.report("status")?;
    let problem = status["source"]["problems"]["b.yaml"].as_str().unwrap_or_default().to_owned();
    assert!(problem.contains("production/web") && problem.contains("a.yaml"), "{status:#}");
    assert_eq!(world.answers("10.96.0.1")?, 5);
    Ok(())
}

#[test]
fn services_that_do_not_fit_are_named_and_the_others_served() -> Result<()> {
    let world = World::new()?;
    world.write("a.yaml", &world.service_yaml("a", "10.96.0.1"))?;
    world.start_and_wait(&["--max-services", "2"])?;
    for (name, ip) in [("b", "10.96.0.2"), ("c", "10.96.0.3")] {
        world.write(&format!("{name}.yaml"), &world.service_yaml(name, ip))?;
    }
    let status =
        world.wait_for_status("the refusal", |s| !warnings_of(s, "Service production/c").is_empty())?;
    let warnings = warnings_of(&status, "Service production/c");
    assert!(warnings[0].contains("SERVICES is full"), "{warnings:?}");
    assert_eq!(world.answers("10.96.0.1")?, 5);
    assert_eq!(world.answers("10.96.0.2")?, 5);
    world.lab.manifests().remove("a.yaml")?;
    world.wait_for_answers("10.96.0.3")?;
    Ok(())
}
