//! v1 Namespace.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};

use super::{Metadata, lenient};

/// v1 Namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Namespace {
    /// `metadata`.
    #[serde(default, deserialize_with = "lenient::mapping")]
    pub metadata: Metadata<NamespaceLabels>,
}

/// All labels of a Namespace: policies select by any of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceLabels(pub BTreeMap<Arc<str>, Arc<str>>);

impl<'de> Deserialize<'de> for NamespaceLabels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let labels = BTreeMap::<Arc<str>, Option<Arc<str>>>::deserialize(deserializer)?;
        Ok(Self(labels.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect()))
    }
}
