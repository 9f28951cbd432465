//! networking.k8s.io/v1 NetworkPolicy.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::{Metadata, NoLabels, lenient};

/// networking.k8s.io/v1 NetworkPolicy.
///
/// Its spec is kept as it came: where it has a field that we do not know, or a value of another type, a policy is not
/// refused (its pods would be open) but read as far as it can be and closed for the rest. So every part is a type of its
/// own here, read one by one, and none skips a field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct NetworkPolicy {
    /// `metadata`.
    #[serde(default, deserialize_with = "lenient::mapping")]
    pub metadata: Metadata<NoLabels>,
    /// `spec`, see [`NetworkPolicySpec`].
    #[serde(default)]
    pub spec: Value,
}

/// `spec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkPolicySpec {
    /// `podSelector`, see [`LabelSelector`].
    #[serde(default)]
    pub pod_selector: Value,
    /// `ingress`: a list of [`NetworkPolicyIngressRule`].
    #[serde(default)]
    pub ingress: Value,
    /// `egress`: a list of [`NetworkPolicyEgressRule`].
    #[serde(default)]
    pub egress: Value,
    /// `policyTypes`: a list of strings.
    #[serde(default)]
    pub policy_types: Value,
}

/// An entry of `ingress`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkPolicyIngressRule {
    /// `ports`: a list of [`NetworkPolicyPort`].
    #[serde(default)]
    pub ports: Value,
    /// `from`: a list of [`NetworkPolicyPeer`].
    #[serde(default)]
    pub from: Value,
}

/// An entry of `egress`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkPolicyEgressRule {
    /// `ports`: a list of [`NetworkPolicyPort`].
    #[serde(default)]
    pub ports: Value,
    /// `to`: a list of [`NetworkPolicyPeer`].
    #[serde(default)]
    pub to: Value,
}

/// An entry of `ports`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkPolicyPort {
    /// `protocol`.
    #[serde(default)]
    pub protocol: Option<Arc<str>>,
    /// `port`: a number or a name.
    #[serde(default)]
    pub port: Value,
    /// `endPort`.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub end_port: Option<i64>,
}

/// An entry of `from` or `to`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkPolicyPeer {
    /// `podSelector`.
    #[serde(default, deserialize_with = "lenient::optional_mapping")]
    pub pod_selector: Option<LabelSelector>,
    /// `namespaceSelector`.
    #[serde(default, deserialize_with = "lenient::optional_mapping")]
    pub namespace_selector: Option<LabelSelector>,
    /// `ipBlock`.
    #[serde(default, deserialize_with = "lenient::optional_mapping")]
    pub ip_block: Option<IpBlock>,
}

/// `ipBlock`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IpBlock {
    /// `cidr`.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub cidr: Arc<str>,
    /// `except`.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub except: Vec<Arc<str>>,
}

/// A label selector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    /// `matchLabels`; `null` is the empty value, as in the API server's map of strings.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub match_labels: BTreeMap<Arc<str>, Option<Arc<str>>>,
    /// `matchExpressions`.
    #[serde(default, deserialize_with = "lenient::mappings")]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// An entry of `matchExpressions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelSelectorRequirement {
    /// `key`.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub key: Arc<str>,
    /// `operator`.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub operator: Arc<str>,
    /// `values`.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub values: Vec<Arc<str>>,
}
