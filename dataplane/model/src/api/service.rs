//! v1 Service.

use std::sync::Arc;

use serde::Deserialize;

use super::{Metadata, lenient};

/// v1 Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Service {
    /// `metadata`.
    #[serde(default, deserialize_with = "lenient::mapping")]
    pub metadata: Metadata<ServiceLabels>,
    /// `spec`.
    #[serde(default, deserialize_with = "lenient::mapping")]
    pub spec: ServiceSpec,
    /// `status`.
    #[serde(default, deserialize_with = "lenient::mapping")]
    pub status: ServiceStatus,
}

/// Labels that a Service is read for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ServiceLabels {
    /// Present: the proxy of this name serves it.
    #[serde(
        rename = "service.kubernetes.io/service-proxy-name",
        default,
        deserialize_with = "lenient::present"
    )]
    pub service_proxy_name: Option<Arc<str>>,
}

/// `spec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// `type`.
    #[serde(rename = "type", default)]
    pub service_type: Option<Arc<str>>,
    /// `clusterIP`.
    #[serde(rename = "clusterIP", default)]
    pub cluster_ip: Option<Arc<str>>,
    /// `clusterIPs`.
    #[serde(rename = "clusterIPs", default, deserialize_with = "lenient::or_default")]
    pub cluster_ips: Vec<Arc<str>>,
    /// `ipFamilies`.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub ip_families: Vec<Arc<str>>,
    /// `externalIPs`.
    #[serde(rename = "externalIPs", default, deserialize_with = "lenient::or_default")]
    pub external_ips: Vec<Arc<str>>,
    /// `externalName`.
    #[serde(default)]
    pub external_name: Option<Arc<str>>,
    /// `publishNotReadyAddresses`.
    #[serde(default)]
    pub publish_not_ready_addresses: Option<bool>,
    /// `ports`.
    #[serde(default, deserialize_with = "lenient::mappings")]
    pub ports: Vec<ServicePort>,
    /// `internalTrafficPolicy`.
    #[serde(default)]
    pub internal_traffic_policy: Option<Arc<str>>,
    /// `externalTrafficPolicy`.
    #[serde(default)]
    pub external_traffic_policy: Option<Arc<str>>,
    /// `sessionAffinity`.
    #[serde(default)]
    pub session_affinity: Option<Arc<str>>,
    /// `loadBalancerSourceRanges`.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub load_balancer_source_ranges: Vec<Arc<str>>,
}

/// An entry of `spec.ports`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// `name`.
    #[serde(default)]
    pub name: Option<Arc<str>>,
    /// `protocol`.
    #[serde(default)]
    pub protocol: Option<Arc<str>>,
    /// `port`.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub port: Option<i64>,
    /// `nodePort`.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub node_port: Option<i64>,
}

/// `status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// `loadBalancer`.
    #[serde(default, deserialize_with = "lenient::mapping")]
    pub load_balancer: LoadBalancerStatus,
}

/// `status.loadBalancer`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct LoadBalancerStatus {
    /// `ingress`.
    #[serde(default, deserialize_with = "lenient::mappings")]
    pub ingress: Vec<Ingress>,
}

/// An entry of `status.loadBalancer.ingress`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    /// `ip`.
    #[serde(default)]
    pub ip: Option<Arc<str>>,
    /// `ipMode`.
    #[serde(default)]
    pub ip_mode: Option<Arc<str>>,
}
