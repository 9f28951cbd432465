//! networking.k8s.io/v1 ServiceCIDR.

use std::sync::Arc;

use serde::Deserialize;

use super::{Metadata, NoLabels, lenient};

/// networking.k8s.io/v1 ServiceCIDR.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ServiceCidr {
    /// `metadata`.
    #[serde(default, deserialize_with = "lenient::mapping")]
    pub metadata: Metadata<NoLabels>,
    /// `spec`.
    #[serde(default, deserialize_with = "lenient::mapping")]
    pub spec: ServiceCidrSpec,
}

/// `spec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ServiceCidrSpec {
    /// `cidrs`.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub cidrs: Vec<Arc<str>>,
}
