//! Namespaces.

use std::sync::Arc;

use super::warnings::Warnings;
use crate::{Kind, Namespace, Warning, api};

/// Converts a Namespace. The label with its name is not a user's to set.
#[must_use]
pub fn from_object(object: &api::Namespace) -> (Namespace, Vec<Warning>) {
    let metadata = &object.metadata;
    let mut warnings = Warnings::new(Kind::Namespace, metadata.object_name(Kind::Namespace));
    let mut namespace = Namespace::unknown(&metadata.name);
    for (name, value) in &metadata.labels.0 {
        namespace.labels.entry(Arc::clone(name)).or_insert_with(|| Arc::clone(value));
    }
    namespace.socket_lb = warnings.socket_lb(&metadata.annotations);
    (namespace, warnings.into_vec())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_namespace_keeps_all_labels_and_has_its_name_as_one() {
        let labels = json!({"team": "web", "empty": null, "kubernetes.io/metadata.name": "another"});
        let fields = json!({"metadata": {"name": "production", "labels": labels}});
        let object: api::Namespace = serde_json::from_value(fields).unwrap();
        let (namespace, warnings) = from_object(&object);
        let labels: Vec<_> = namespace.labels.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(
            (&*namespace.name, labels),
            ("production", vec![("empty", ""), (Namespace::NAME_LABEL, "production"), ("team", "web")])
        );
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn an_annotation_that_says_neither_word_is_named() {
        let annotations = json!({"ferrule.io/socket-lb": "off"});
        let fields = json!({"metadata": {"name": "production", "annotations": annotations}});
        let object: api::Namespace = serde_json::from_value(fields).unwrap();
        let (namespace, warnings) = from_object(&object);
        assert_eq!(namespace.socket_lb, None);
        let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [r#"Namespace production: annotation ferrule.io/socket-lb: "off" is unknown: treated as absent"#]
        );
    }
}
