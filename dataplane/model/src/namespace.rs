//! Namespaces.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A Namespace, as far as we use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Name.
    pub name: Arc<str>,
    /// Labels.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
}
