//! The objects of a small cluster, as a user and the controllers would write them.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{without_nulls, yaml};
use crate::node::Node;
use crate::pod::{Pod, PodSpec, Role};

/// A Kubernetes object, its fields in the order in which people write them.
#[derive(Clone, Debug, Serialize)]
pub struct Object {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    kind: &'static str,
    metadata: Value,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Object {
    /// Makes an object; `rest` is a JSON object of its fields other than `metadata`. Fields that are null are left out.
    pub(super) fn new(api_version: &'static str, kind: &'static str, metadata: Value, rest: Value) -> Self {
        let rest = without_nulls(rest).as_object().cloned().unwrap_or_default();
        Self { api_version, kind, metadata: without_nulls(metadata), rest }
    }

    /// The same with another value at a path of fields, `"/status/phase"` for one; missing objects on the way are made.
    /// Null takes the field away.
    #[must_use]
    pub fn with(mut self, path: &str, value: impl Into<Value>) -> Self {
        let mut path = path.trim_start_matches('/').split('/');
        let first = path.next().unwrap_or_default();
        let mut at = match first {
            "metadata" => &mut self.metadata,
            _ => self.rest.entry(first).or_insert(Value::Null),
        };
        for field in path {
            at = match at {
                Value::Array(items) => {
                    let index: usize = field.parse().expect("an index of a list");
                    &mut items[index]
                }
                other @ (Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Object(_)) => &mut other[field],
            };
        }
        *at = value.into();
        let rest = without_nulls(Value::Object(std::mem::take(&mut self.rest)));
        Self {
            metadata: without_nulls(self.metadata),
            rest: rest.as_object().cloned().unwrap_or_default(),
            ..self
        }
    }

    /// The same with an annotation.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.metadata["annotations"][key] = value.into();
        self
    }

    /// The same Pod with a container more, as what injects a proxy does.
    #[must_use]
    pub fn container(mut self, name: &str) -> Self {
        let container = json!({ "name": name, "image": format!("registry.example/{name}:1") });
        let spec = self.rest.get_mut("spec");
        if let Some(containers) = spec.and_then(|spec| spec["containers"].as_array_mut()) {
            containers.push(container);
        }
        self
    }

    /// Kind, namespace and name make the file's name: an object is in one file.
    pub(crate) fn file_name(&self) -> String {
        let part = |field: &str| self.metadata[field].as_str().unwrap_or_default();
        let parts = [&*self.kind.to_lowercase(), part("namespace"), part("name")];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        format!("{}.yaml", parts.join("-"))
    }

    pub(crate) fn to_yaml(&self) -> Result<String> {
        yaml(self)
    }
}

/// The states in which an endpoint is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Ready and serving.
    Ready,
    /// Its readiness probe fails.
    Unready,
    /// It will end, and serves until then.
    Terminating,
}

/// A Namespace.
pub fn namespace(name: &str) -> Object {
    let labels = json!({ "kubernetes.io/metadata.name": name });
    Object::new("v1", "Namespace", json!({ "name": name, "labels": labels }), json!({}))
}

/// A Node as its kubelet reports it.
pub fn node(node: &Node) -> Object {
    let ranges = node.pod_range().both().map(|range| range.to_string());
    let internal = node.address().both().map(|ip| json!({ "type": "InternalIP", "address": ip }));
    let hostname = json!({ "type": "Hostname", "address": node.name() });
    let labels = json!({
        "kubernetes.io/hostname": node.name(),
        "kubernetes.io/os": "linux",
        "topology.kubernetes.io/zone": node.zone(),
    });
    let rest = json!({
        "spec": { "podCIDR": ranges[0], "podCIDRs": ranges },
        "status": {
            "addresses": [internal[0], internal[1], hostname],
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    });
    Object::new("v1", "Node", json!({ "name": node.name(), "labels": labels }), rest)
}

/// A Pod that runs, as its kubelet reports it.
pub fn pod(pod: &Pod, condition: Condition) -> Object {
    let ready = if condition == Condition::Unready { "False" } else { "True" };
    let deleted = (condition == Condition::Terminating).then(now);
    let ports = match pod.role() {
        Role::Idle => Value::Null,
        Role::Upstream => json!([{ "containerPort": 53, "protocol": "UDP" }]),
        Role::Server { port, grace: _ } => json!([{ "containerPort": port }]),
    };
    let addresses = pod.address().both();
    let metadata = json!({
        "name": pod.name(),
        "namespace": pod.namespace(),
        "uid": pod.uid(),
        "labels": (!pod.labels().is_empty()).then_some(pod.labels()),
        "deletionTimestamp": deleted,
    });
    let rest = json!({
        "spec": {
            "nodeName": pod.node().name(),
            "containers": [{ "name": "main", "image": "registry.example/backend-api:1", "ports": ports }],
        },
        "status": {
            "phase": "Running",
            "conditions": [{ "type": "Ready", "status": ready }],
            "hostIP": pod.node().address().v4,
            "podIP": addresses[0],
            "podIPs": addresses.map(|ip| json!({ "ip": ip })),
        },
    });
    Object::new("v1", "Pod", metadata, rest)
}

/// A Pod that a scheduler has given to a node and a kubelet has not reported yet: it has no address.
pub fn bound_pod(node: &Node, spec: &PodSpec, uid: &str) -> Object {
    let metadata = json!({
        "name": spec.name,
        "namespace": spec.namespace,
        "uid": uid,
        "labels": (!spec.labels.is_empty()).then_some(&spec.labels),
    });
    let rest = json!({
        "spec": {
            "nodeName": node.name(),
            "containers": [{ "name": "main", "image": "registry.example/backend-api:1" }],
        },
        "status": { "phase": "Pending" },
    });
    Object::new("v1", "Pod", metadata, rest)
}

/// A Deployment, which a data plane has no use for and must pass over.
pub fn deployment(namespace: &str, name: &str, labels: &BTreeMap<String, String>, replicas: usize) -> Object {
    let container = json!({
        "name": "main",
        "image": "registry.example/backend-api:1",
        "ports": [{ "containerPort": 3000 }],
    });
    let rest = json!({
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } },
        },
    });
    Object::new("apps/v1", "Deployment", json!({ "name": name, "namespace": namespace }), rest)
}

/// The time in UTC, as Kubernetes writes it.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    timestamp(since.as_secs())
}

/// RFC 3339 of seconds since 1970, in UTC.
fn timestamp(seconds: u64) -> String {
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March put the leap day last; 719,468 days lie between 0000-03-01 and 1970-01-01.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_right_on_both_sides_of_a_leap_day() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(timestamp(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(timestamp(951_868_800), "2000-03-01T00:00:00Z");
        assert_eq!(timestamp(1_798_761_599), "2026-12-31T23:59:59Z");
    }
}
