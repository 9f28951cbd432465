//! `metadata` of all kinds.

use std::sync::Arc;

use serde::Deserialize;

use super::lenient;
use crate::{Kind, ObjectName};

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
}

/// Labels of a kind of which we read none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct NoLabels {}
