//! `metadata` of all kinds.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};

use super::lenient;
use crate::{Kind, Labels, ObjectName};

/// `metadata`; `L` are the labels that the kind is read for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "L: Deserialize<'de> + Default"))]
pub struct Metadata<L> {
    /// `name`.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub name: Arc<str>,
    /// `namespace`.
    #[serde(default)]
    pub namespace: Option<Arc<str>>,
    /// `uid`.
    #[serde(default)]
    pub uid: Option<Arc<str>>,
    /// `creationTimestamp`, as written.
    #[serde(default)]
    pub creation_timestamp: Option<Arc<str>>,
    /// `deletionTimestamp`, as written.
    #[serde(default)]
    pub deletion_timestamp: Option<Arc<str>>,
    /// `labels`.
    #[serde(default, deserialize_with = "lenient::mapping")]
    pub labels: L,
    /// `annotations`.
    #[serde(default, deserialize_with = "lenient::mapping")]
    pub annotations: Annotations,
}

impl<L> Metadata<L> {
    /// Namespace and name as keys use them: `default` where a namespaced object names none, empty for cluster-scoped
    /// kinds.
    #[must_use]
    pub fn object_name(&self, kind: Kind) -> ObjectName {
        let namespace = match &self.namespace {
            _ if !kind.is_namespaced() => Arc::default(),
            Some(namespace) if !namespace.is_empty() => Arc::clone(namespace),
            Some(_) | None => Arc::from("default"),
        };
        ObjectName { namespace, name: Arc::clone(&self.name) }
    }
}

/// The annotations that we read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Annotations {
    /// On EndpointSlices: when the change that made this version happened.
    #[serde(rename = "endpoints.kubernetes.io/last-change-trigger-time", default)]
    pub last_change_trigger_time: Option<Arc<str>>,
    /// On Pods that a kubelet reads from a file or URL: the UID that it gave them, unlike that of the object, which
    /// mirrors the pod.
    #[serde(rename = "kubernetes.io/config.hash", default)]
    pub config_hash: Option<Arc<str>>,
    /// On Pods and Namespaces: `enabled` or `disabled`, see [`crate::SocketLb`].
    #[serde(rename = "ferrule.io/socket-lb", default)]
    pub socket_lb: Option<Arc<str>>,
}

/// Labels of a kind of which we read none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct NoLabels {}

/// All labels, of kinds that policies select by any of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllLabels(pub Labels);

impl<'de> Deserialize<'de> for AllLabels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let labels = BTreeMap::<Arc<str>, Option<Arc<str>>>::deserialize(deserializer)?;
        Ok(Self(labels.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect()))
    }
}
