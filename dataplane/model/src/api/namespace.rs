//! v1 Namespace.

use serde::Deserialize;

use super::{AllLabels, Metadata, lenient};

/// v1 Namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Namespace {
    /// `metadata`.
    #[serde(default, deserialize_with = "lenient::mapping")]
    pub metadata: Metadata<AllLabels>,
}
