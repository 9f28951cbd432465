//! v1 Node.

use std::sync::Arc;

use serde::Deserialize;

use super::{Metadata, lenient};

/// v1 Node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Node {
    /// `metadata`.
    #[serde(default, deserialize_with = "lenient::mapping")]
    pub metadata: Metadata<NodeLabels>,
    /// `spec`.
    #[serde(default, deserialize_with = "lenient::mapping")]
    pub spec: NodeSpec,
    /// `status`.
    #[serde(default, deserialize_with = "lenient::mapping")]
    pub status: NodeStatus,
}

/// Labels that a Node is read for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct NodeLabels {
    /// Its zone.
    #[serde(rename = "topology.kubernetes.io/zone", default)]
    pub zone: Option<Arc<str>>,
}

/// `spec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct NodeSpec {
    /// `taints`.
    #[serde(default, deserialize_with = "lenient::mappings")]
    pub taints: Vec<Taint>,
}

/// An entry of `spec.taints`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Taint {
    /// `key`.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub key: Arc<str>,
}

/// `status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct NodeStatus {
    /// `addresses`.
    #[serde(default, deserialize_with = "lenient::mappings")]
    pub addresses: Vec<NodeAddress>,
}

/// An entry of `status.addresses`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct NodeAddress {
    /// `type`.
    #[serde(rename = "type", default, deserialize_with = "lenient::or_default")]
    pub address_type: Arc<str>,
    /// `address`.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub address: Arc<str>,
}
