//! Nodes.

use std::sync::Arc;

use super::addr::Origin;
use super::warnings::Warnings;
use crate::{Kind, Node, Warning, api};

/// Taint of a node that the cluster autoscaler is about to remove (KEP-3836).
const LEAVING: &str = "ToBeDeletedByClusterAutoscaler";

/// Converts a Node.
#[must_use]
pub fn from_object(object: &api::Node) -> (Node, Vec<Warning>) {
    let metadata = &object.metadata;
    let mut warnings = Warnings::new(Kind::Node, metadata.object_name(Kind::Node));
    let mut addrs = Vec::new();
    for (i, address) in object.status.addresses.iter().enumerate() {
        // The other types are names.
        if matches!(&*address.address_type, "InternalIP" | "ExternalIP") {
            let field = format_args!("status.addresses[{i}].address");
            addrs.extend(warnings.addr(field, &address.address, Origin::Assigned));
        }
    }
    let node = Node {
        name: Arc::clone(&metadata.name),
        zone: metadata.labels.zone.clone().filter(|zone| !zone.is_empty()),
        addrs,
        is_deleting: metadata.deletion_timestamp.is_some(),
        is_leaving: object.spec.taints.iter().any(|taint| &*taint.key == LEAVING),
    };
    (node, warnings.into_vec())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use serde_json::{Value, json};

    use super::*;

    fn convert(fields: Value) -> (Node, Vec<String>) {
        let object: api::Node = serde_json::from_value(fields).unwrap();
        let (node, warnings) = from_object(&object);
        (node, warnings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_node_has_its_zone_and_those_addresses_that_are_ip_addresses() {
        let (node, warnings) = convert(json!({
            "metadata": {"name": "node-1", "labels": {"topology.kubernetes.io/zone": "a"}},
            "status": {"addresses": [
                {"type": "Hostname", "address": "node-1"},
                {"type": "InternalIP", "address": "172.31.0.11"},
                {"type": "InternalIP", "address": "172.31.0"},
                {"type": "ExternalIP", "address": "2001:db8::11"},
                {"type": "InternalDNS", "address": "172.31.0.12"},
            ]},
        }));
        assert_eq!(node.zone.as_deref(), Some("a"));
        assert_eq!(node.addrs, ["172.31.0.11", "2001:db8::11"].map(|ip| ip.parse::<IpAddr>().unwrap()));
        assert!(!node.is_deleting && !node.is_leaving);
        assert_eq!(
            warnings,
            [r#"Node node-1: status.addresses[2].address: "172.31.0" is not an IP address: left out"#]
        );
    }

    #[test]
    fn an_empty_zone_is_none() {
        let labels = json!({"topology.kubernetes.io/zone": ""});
        let (node, _) = convert(json!({"metadata": {"name": "node-1", "labels": labels}}));
        assert_eq!(node.zone, None);
    }

    #[test]
    fn the_autoscalers_taint_and_the_deletion_timestamp_are_signs_of_leaving() {
        let (node, _) = convert(json!({
            "metadata": {"name": "node-1", "deletionTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"taints": [{"key": "node.kubernetes.io/unreachable"}]},
        }));
        assert!(node.is_deleting && !node.is_leaving);
        let (node, _) = convert(json!({
            "metadata": {"name": "node-1"},
            "spec": {"taints": [{"key": "a"}, {"key": "ToBeDeletedByClusterAutoscaler", "value": "1"}]},
        }));
        assert!(!node.is_deleting && node.is_leaving);
    }
}
