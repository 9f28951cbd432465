//! Pods.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::addr::Origin;
use super::warnings::Warnings;
use crate::{Kind, PerPacket, Pod, Protocol, Warning, api};

/// Converts a Pod.
#[must_use]
pub fn from_object(object: &api::Pod) -> (Pod, Vec<Warning>) {
    let name = object.metadata.object_name(Kind::Pod);
    let mut warnings = Warnings::new(Kind::Pod, name.clone());
    let status = &object.status;
    let mut addrs = Vec::new();
    if status.pod_ips.is_empty() {
        let single = status.pod_ip.as_deref().filter(|ip| !ip.is_empty());
        addrs.extend(single.and_then(|ip| warnings.addr("status.podIP", ip, Origin::Assigned)));
    } else {
        for (i, pod_ip) in status.pod_ips.iter().enumerate() {
            let field = format_args!("status.podIPs[{i}].ip");
            addrs.extend(warnings.addr(field, &pod_ip.ip, Origin::Assigned));
        }
    }
    let uid = object.metadata.uid.clone().unwrap_or_default();
    let config_hash = object.metadata.annotations.config_hash.clone().filter(|hash| !hash.is_empty());
    let pod = Pod {
        cgroup_uid: config_hash.unwrap_or_else(|| uid.clone()),
        uid,
        node: object.spec.node_name.clone().filter(|node| !node.is_empty()),
        addrs,
        is_host_network: object.spec.host_network,
        is_finished: matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")),
        labels: object.metadata.labels.0.clone(),
        named_ports: named_ports(object, &mut warnings),
        socket_lb: warnings.socket_lb(&object.metadata.annotations),
        per_packet: PerPacket::by_spec(
            object.spec.containers.iter().chain(&object.spec.init_containers).map(|c| &*c.name),
            object.spec.runtime_class_name.as_deref(),
        ),
        name,
    };
    (pod, warnings.into_vec())
}

fn named_ports(object: &api::Pod, warnings: &mut Warnings) -> BTreeMap<(Arc<str>, Protocol), u16> {
    let mut named = BTreeMap::new();
    let sidecars = |c: &&api::Container| c.restart_policy.as_deref() == Some("Always");
    let containers = object.spec.containers.iter().chain(object.spec.init_containers.iter().filter(sidecars));
    for port in containers.flat_map(|container| &container.ports) {
        let Some(name) = port.name.as_ref().filter(|name| !name.is_empty()) else { continue };
        let field = format_args!("containerPort of {name:?}");
        let number = port.container_port.and_then(|number| warnings.port(field, number));
        let protocol = warnings.protocol(format_args!("protocol of {name:?}"), port.protocol.as_deref());
        if let (Some(number), Some(protocol)) = (number, protocol) {
            named.entry((Arc::clone(name), protocol)).or_insert(number.get());
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use serde_json::{Value, json};

    use super::*;

    fn convert(fields: Value) -> (Pod, Vec<String>) {
        let object: api::Pod = serde_json::from_value(fields).unwrap();
        let (pod, warnings) = from_object(&object);
        (pod, warnings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_pod_has_its_node_uid_and_addresses() {
        let (pod, warnings) = convert(json!({
            "metadata": {"name": "web-1", "namespace": "production", "uid": "7a0c"},
            "spec": {"nodeName": "node-1", "hostNetwork": true},
            "status": {"phase": "Running", "podIP": "10.244.1.5",
                       "podIPs": [{"ip": "10.244.1.5"}, {"ip": "fd00:244::5"}]},
        }));
        assert_eq!(pod.name.to_string(), "production/web-1");
        assert_eq!((&*pod.uid, pod.node.as_deref()), ("7a0c", Some("node-1")));
        assert_eq!(pod.addrs, ["10.244.1.5", "fd00:244::5"].map(|ip| ip.parse::<IpAddr>().unwrap()));
        assert!(pod.is_host_network && !pod.is_finished);
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn the_cgroup_of_a_static_pod_has_the_uid_that_its_kubelet_chose() {
        let (pod, _) = convert(json!({"metadata": {
            "name": "a", "uid": "7a0c", "annotations": {"kubernetes.io/config.hash": "5f2b"},
        }}));
        assert_eq!((&*pod.uid, &*pod.cgroup_uid), ("7a0c", "5f2b"));
        let (pod, _) = convert(json!({"metadata": {"name": "a", "uid": "7a0c"}}));
        assert_eq!(&*pod.cgroup_uid, "7a0c");
    }

    #[test]
    fn pod_ip_counts_only_without_pod_ips() {
        let (pod, warnings) = convert(json!({"metadata": {"name": "a"}, "status": {"podIP": "10.244.1.5"}}));
        assert_eq!(pod.addrs, ["10.244.1.5".parse::<IpAddr>().unwrap()]);
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn a_pod_that_is_not_bound_yet_has_nothing() {
        let (pod, warnings) = convert(json!({"metadata": {"name": "a"}, "status": {"podIP": ""}}));
        assert_eq!((pod.node, pod.addrs, &*pod.uid), (None, Vec::new(), ""));
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn pods_that_ran_to_their_end_are_finished() {
        for (phase, is_finished) in [
            ("Pending", false),
            ("Running", false),
            ("Succeeded", true),
            ("Failed", true),
            ("Unknown", false),
        ] {
            let (pod, _) = convert(json!({"metadata": {"name": "a"}, "status": {"phase": phase}}));
            assert_eq!(pod.is_finished, is_finished, "{phase}");
        }
    }

    #[test]
    fn named_ports_are_the_first_containers_and_those_of_sidecars_and_not_of_other_init_containers() {
        let http = |number: i32| json!({"name": "http", "containerPort": number});
        let (pod, warnings) = convert(json!({
            "metadata": {"name": "a", "labels": {"app": "web", "empty": null}},
            "spec": {
                "containers": [
                    {"ports": [{"containerPort": 1}, http(8080), {"name": "dns", "containerPort": 53, "protocol": "UDP"}]},
                    {"ports": [http(9090), {"name": "dns", "containerPort": 54.0}]},
                ],
                "initContainers": [
                    {"ports": [{"name": "setup", "containerPort": 7}]},
                    {"restartPolicy": "Always", "ports": [http(7070), {"name": "proxy", "containerPort": 15001}]},
                ],
            },
        }));
        let ports: Vec<String> =
            pod.named_ports.iter().map(|((name, protocol), n)| format!("{name}/{protocol}={n}")).collect();
        assert_eq!(ports, ["dns/TCP=54", "dns/UDP=53", "http/TCP=8080", "proxy/TCP=15001"]);
        assert_eq!(
            pod.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(),
            ["app=web", "empty="]
        );
        assert!(warnings.is_empty(), "{warnings:?}");
        let port = json!({"name": "far", "containerPort": 70000});
        let (pod, warnings) =
            convert(json!({"metadata": {"name": "a"}, "spec": {"containers": [{"ports": [port]}]}}));
        assert!(pod.named_ports.is_empty());
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }

    #[test]
    fn a_bad_address_is_named_and_the_others_are_kept() {
        let (pod, warnings) = convert(json!({
            "metadata": {"name": "a"}, "status": {"podIPs": [{"ip": "10.244.1"}, {"ip": "10.244.1.5"}]},
        }));
        assert_eq!(pod.addrs.len(), 1);
        assert_eq!(
            warnings,
            [r#"Pod default/a: status.podIPs[0].ip: "10.244.1" is not an IP address: left out"#]
        );
    }
}
