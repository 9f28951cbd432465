//! The objects of a small cluster, as a user and the controllers would write them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{without_nulls, yaml};
use crate::address::Dual;
use crate::node::Node;
use crate::pod::{Pod, Role};

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
    fn new(api_version: &'static str, kind: &'static str, metadata: Value, rest: Value) -> Self {
        let rest = without_nulls(rest).as_object().cloned().unwrap_or_default();
        Self { api_version, kind, metadata: without_nulls(metadata), rest }
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

/// A Service of type NodePort when one of its ports has a node port, else ClusterIP.
#[derive(Clone, Debug)]
pub struct ServiceSpec {
    /// Kubernetes namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Labels of its pods.
    pub selector: BTreeMap<String, String>,
    /// Its addresses.
    pub cluster_ip: Dual,
    /// Its ports.
    pub ports: Vec<ServicePort>,
}

/// A port of a Service.
#[derive(Clone, Debug)]
pub struct ServicePort {
    /// Name.
    pub name: String,
    /// `TCP` or `UDP`.
    pub protocol: &'static str,
    /// Port that clients dial.
    pub port: u16,
    /// Port that pods listen on.
    pub target_port: u16,
    /// Port on every node, if any.
    pub node_port: Option<u16>,
}

/// A pod behind a Service.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The pod.
    pub pod: Pod,
    /// What its conditions say.
    pub condition: Condition,
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

/// A dual-stack Service.
pub fn service(spec: &ServiceSpec) -> Object {
    let ports: Vec<_> = spec
        .ports
        .iter()
        .map(|port| {
            json!({
                "name": port.name,
                "protocol": port.protocol,
                "port": port.port,
                "targetPort": port.target_port,
                "nodePort": port.node_port,
            })
        })
        .collect();
    let has_node_port = spec.ports.iter().any(|port| port.node_port.is_some());
    let rest = json!({
        "spec": {
            "type": if has_node_port { "NodePort" } else { "ClusterIP" },
            "selector": spec.selector,
            "ipFamilyPolicy": "RequireDualStack",
            "ipFamilies": ["IPv4", "IPv6"],
            "clusterIP": spec.cluster_ip.v4,
            "clusterIPs": spec.cluster_ip.both(),
            "ports": ports,
        },
    });
    Object::new("v1", "Service", json!({ "name": spec.name, "namespace": spec.namespace }), rest)
}

/// The EndpointSlices of a dual-stack Service, one for each family, as the controller writes them.
pub fn endpoint_slices(service: &ServiceSpec, endpoints: &[Endpoint]) -> [Object; 2] {
    let ports: Vec<_> = service
        .ports
        .iter()
        .map(|port| json!({ "name": port.name, "protocol": port.protocol, "port": port.target_port }))
        .collect();
    let slice = |kind: &str, address: fn(Dual) -> IpAddr| {
        let metadata = json!({
            "name": format!("{}-{}", service.name, kind.to_lowercase()),
            "namespace": service.namespace,
            "labels": {
                "kubernetes.io/service-name": service.name,
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
        });
        let endpoints: Vec<_> = endpoints.iter().map(|endpoint| endpoint.entry(address)).collect();
        let rest = json!({ "addressType": kind, "ports": ports, "endpoints": endpoints });
        Object::new("discovery.k8s.io/v1", "EndpointSlice", metadata, rest)
    };
    [slice("IPv4", |address| address.v4.into()), slice("IPv6", |address| address.v6.into())]
}

impl Endpoint {
    fn entry(&self, address: fn(Dual) -> IpAddr) -> Value {
        let (ready, serving, terminating) = match self.condition {
            Condition::Ready => (true, true, false),
            Condition::Unready => (false, false, false),
            Condition::Terminating => (false, true, true),
        };
        let pod = &self.pod;
        let reference = json!({
            "kind": "Pod",
            "namespace": pod.namespace(),
            "name": pod.name(),
            "uid": pod.uid(),
        });
        json!({
            "addresses": [address(pod.address())],
            "conditions": { "ready": ready, "serving": serving, "terminating": terminating },
            "nodeName": pod.node().name(),
            "zone": pod.node().zone(),
            "targetRef": reference,
        })
    }
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

    #[test]
    fn an_object_is_written_as_people_write_it() {
        let spec = ServiceSpec {
            namespace: "production".into(),
            name: "backend-api-svc".into(),
            selector: BTreeMap::from([("app".into(), "backend-api".into())]),
            cluster_ip: Dual { v4: [10, 96, 44, 10].into(), v6: "fd00:10:96::2c0a".parse().unwrap() },
            ports: vec![ServicePort {
                name: "http".into(),
                protocol: "TCP",
                port: 80,
                target_port: 3000,
                node_port: Some(30080),
            }],
        };
        let object = service(&spec);
        assert_eq!(object.file_name(), "service-production-backend-api-svc.yaml");
        let text = object.to_yaml().unwrap();
        assert!(
            text.starts_with("apiVersion: v1\nkind: Service\nmetadata:\n  name: backend-api-svc\n"),
            "{text}"
        );
        let read: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read["spec"]["clusterIPs"], json!(["10.96.44.10", "fd00:10:96::2c0a"]));
        assert_eq!(read["spec"]["type"], "NodePort");
        assert_eq!(read["spec"]["ports"][0]["nodePort"], 30080);
    }

    #[test]
    fn a_slice_without_endpoints_is_an_empty_list() {
        let spec = ServiceSpec {
            namespace: "production".into(),
            name: "none".into(),
            selector: BTreeMap::new(),
            cluster_ip: Dual { v4: [10, 96, 0, 2].into(), v6: "fd00:10:96::2".parse().unwrap() },
            ports: Vec::new(),
        };
        for slice in endpoint_slices(&spec, &[]) {
            let read: Value = serde_saphyr::from_str(&slice.to_yaml().unwrap()).unwrap();
            assert_eq!(read["endpoints"], json!([]));
        }
    }
}
