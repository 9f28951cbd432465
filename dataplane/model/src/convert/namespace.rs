//! Namespaces.

use std::sync::Arc;

use crate::{Namespace, api};

/// Converts a Namespace. Nothing in it can be wrong.
#[must_use]
pub fn from_object(object: &api::Namespace) -> Namespace {
    let metadata = &object.metadata;
    Namespace { name: Arc::clone(&metadata.name), labels: metadata.labels.0.clone() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_namespace_keeps_all_labels() {
        let fields = json!({"metadata": {"name": "production", "labels": {"team": "web", "empty": null}}});
        let object: api::Namespace = serde_json::from_value(fields).unwrap();
        let namespace = from_object(&object);
        let labels: Vec<_> = namespace.labels.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!((&*namespace.name, labels), ("production", vec![("empty", ""), ("team", "web")]));
    }
}
