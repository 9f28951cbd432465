//! v1 Pod.

use std::sync::Arc;

use serde::Deserialize;

use super::{AllLabels, Metadata, lenient};

/// v1 Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Pod {
    /// `metadata`.
    #[serde(default, deserialize_with = "lenient::mapping")]
    pub metadata: Metadata<AllLabels>,
    /// `spec`.
    #[serde(default, deserialize_with = "lenient::mapping")]
    pub spec: PodSpec,
    /// `status`.
    #[serde(default, deserialize_with = "lenient::mapping")]
    pub status: PodStatus,
}

/// `spec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSpec {
    /// `nodeName`.
    #[serde(default)]
    pub node_name: Option<Arc<str>>,
    /// `hostNetwork`.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub host_network: bool,
    /// `runtimeClassName`.
    #[serde(default)]
    pub runtime_class_name: Option<Arc<str>>,
    /// `containers`.
    #[serde(default, deserialize_with = "lenient::mappings")]
    pub containers: Vec<Container>,
    /// `initContainers`.
    #[serde(default, deserialize_with = "lenient::mappings")]
    pub init_containers: Vec<Container>,
}

/// An entry of `spec.containers` or `spec.initContainers`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// `name`.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub name: Arc<str>,
    /// `ports`.
    #[serde(default, deserialize_with = "lenient::mappings")]
    pub ports: Vec<ContainerPort>,
    /// `restartPolicy`: an init container with `Always` runs as long as the pod.
    #[serde(default)]
    pub restart_policy: Option<Arc<str>>,
}

/// An entry of a container's `ports`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerPort {
    /// `name`.
    #[serde(default)]
    pub name: Option<Arc<str>>,
    /// `containerPort`.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub container_port: Option<i64>,
    /// `protocol`.
    #[serde(default)]
    pub protocol: Option<Arc<str>>,
}

/// `status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct PodStatus {
    /// `phase`.
    #[serde(default)]
    pub phase: Option<Arc<str>>,
    /// `podIP`.
    #[serde(rename = "podIP", default)]
    pub pod_ip: Option<Arc<str>>,
    /// `podIPs`.
    #[serde(rename = "podIPs", default, deserialize_with = "lenient::mappings")]
    pub pod_ips: Vec<PodIp>,
}

/// An entry of `status.podIPs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct PodIp {
    /// `ip`.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub ip: Arc<str>,
}
