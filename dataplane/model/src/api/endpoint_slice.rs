//! discovery.k8s.io/v1 EndpointSlice.

use std::sync::Arc;

use serde::Deserialize;

use super::{Metadata, lenient};

/// discovery.k8s.io/v1 EndpointSlice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSlice {
    /// `metadata`.
    #[serde(default, deserialize_with = "lenient::mapping")]
    pub metadata: Metadata<EndpointSliceLabels>,
    /// `addressType`.
    #[serde(default)]
    pub address_type: Option<Arc<str>>,
    /// `endpoints`.
    #[serde(default, deserialize_with = "lenient::mappings")]
    pub endpoints: Vec<Endpoint>,
    /// `ports`.
    #[serde(default, deserialize_with = "lenient::mappings")]
    pub ports: Vec<EndpointPort>,
}

/// Labels that an EndpointSlice is read for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct EndpointSliceLabels {
    /// Name of its Service.
    #[serde(rename = "kubernetes.io/service-name", default)]
    pub service_name: Option<Arc<str>>,
    /// Present: of a headless Service.
    #[serde(rename = "service.kubernetes.io/headless", default, deserialize_with = "lenient::present")]
    pub headless: Option<Arc<str>>,
}

/// An entry of `endpoints`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// `addresses`.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub addresses: Vec<Arc<str>>,
    /// `conditions`.
    #[serde(default, deserialize_with = "lenient::mapping")]
    pub conditions: EndpointConditions,
    /// `hostname`.
    #[serde(default)]
    pub hostname: Option<Arc<str>>,
    /// `targetRef`.
    #[serde(default, deserialize_with = "lenient::mapping")]
    pub target_ref: TargetRef,
    /// `nodeName`.
    #[serde(default)]
    pub node_name: Option<Arc<str>>,
    /// `zone`.
    #[serde(default)]
    pub zone: Option<Arc<str>>,
    /// `hints`.
    #[serde(default, deserialize_with = "lenient::mapping")]
    pub hints: EndpointHints,
}

/// `endpoints[].conditions`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct EndpointConditions {
    /// `ready`.
    #[serde(default)]
    pub ready: Option<bool>,
    /// `serving`.
    #[serde(default)]
    pub serving: Option<bool>,
    /// `terminating`.
    #[serde(default)]
    pub terminating: Option<bool>,
}

/// `endpoints[].targetRef`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct TargetRef {
    /// `kind`.
    #[serde(default)]
    pub kind: Option<Arc<str>>,
    /// `name`.
    #[serde(default)]
    pub name: Option<Arc<str>>,
}

/// `endpoints[].hints`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointHints {
    /// `forZones`.
    #[serde(default, deserialize_with = "lenient::mappings")]
    pub for_zones: Vec<Hint>,
    /// `forNodes`.
    #[serde(default, deserialize_with = "lenient::mappings")]
    pub for_nodes: Vec<Hint>,
}

/// An entry of `forZones` or `forNodes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Hint {
    /// `name`.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub name: Arc<str>,
}

/// An entry of `ports`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct EndpointPort {
    /// `name`.
    #[serde(default)]
    pub name: Option<Arc<str>>,
    /// `protocol`.
    #[serde(default)]
    pub protocol: Option<Arc<str>>,
    /// `port`.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub port: Option<i64>,
}
