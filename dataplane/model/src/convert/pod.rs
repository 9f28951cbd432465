//! Pods.

use super::addr::Origin;
use super::warnings::Warnings;
use crate::{Kind, Pod, Warning, api};

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
    let pod = Pod {
        uid: object.metadata.uid.clone().unwrap_or_default(),
        node: object.spec.node_name.clone().filter(|node| !node.is_empty()),
        addrs,
        is_host_network: object.spec.host_network,
        is_finished: matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")),
        name,
    };
    (pod, warnings.into_vec())
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
