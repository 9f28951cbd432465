//! Namespaces.

use std::sync::Arc;

use crate::{Labels, SocketLb};

/// A Namespace, as far as we use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Name.
    pub name: Arc<str>,
    /// Labels. `kubernetes.io/metadata.name` is always there and always the name.
    pub labels: Labels,
    /// What its annotation says of translation at the sockets of its pods.
    pub socket_lb: Option<SocketLb>,
}

impl Namespace {
    /// The label that the API server gives to every namespace (KEP-2161).
    pub const NAME_LABEL: &str = "kubernetes.io/metadata.name";

    /// A namespace of which nothing but its name is known: pods may be there before it.
    #[must_use]
    pub fn unknown(name: &Arc<str>) -> Self {
        let labels = Labels::from([(Arc::from(Self::NAME_LABEL), Arc::clone(name))]);
        Self { name: Arc::clone(name), labels, socket_lb: None }
    }
}
