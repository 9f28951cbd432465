//! v1 Pod.

use std::sync::Arc;

use serde::Deserialize;

use super::{Metadata, NoLabels, lenient};

/// v1 Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Pod {
    /// `metadata`.
    #[serde(default, deserialize_with = "lenient::mapping")]
    pub metadata: Metadata<NoLabels>,
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
