//! NetworkPolicies. Whatever cannot be read fails closed: the policy isolates what it may be meant to isolate, and the
//! part that cannot be read allows nothing.

mod block;
mod ports;
mod selector;

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use self::selector::Target;
use super::warnings::Warnings;
use crate::{
    Direction, Kind, NetworkPolicy, Peer, PeerNamespaces, PolicyRule, Selector, Warning, WarningKind, api,
};

/// Converts a NetworkPolicy.
#[must_use]
pub fn from_object(object: &api::NetworkPolicy) -> (NetworkPolicy, Vec<Warning>) {
    let name = object.metadata.object_name(Kind::NetworkPolicy);
    let mut reader = Reader { warnings: Warnings::new(Kind::NetworkPolicy, name.clone()) };
    let policy = match reader.part::<api::NetworkPolicySpec>("spec", &object.spec, CLOSED) {
        Some(spec) => {
            let Target { pods, is_whole } = reader.target(&spec.pod_selector);
            let ingress = reader.rules(Direction::Ingress, &spec.ingress, is_whole);
            let egress = reader.rules(Direction::Egress, &spec.egress, is_whole);
            let (isolates_ingress, isolates_egress) =
                reader.types(&spec.policy_types, !egress.is_empty() || is_bad_list(&spec.egress));
            NetworkPolicy {
                name,
                pods,
                ingress: isolates_ingress.then(|| ingress.into()),
                egress: isolates_egress.then(|| egress.into()),
            }
        }
        None => {
            let nothing = || Some(Arc::from([]));
            NetworkPolicy { name, pods: Selector::default(), ingress: nothing(), egress: nothing() }
        }
    };
    (policy, reader.warnings.into_vec())
}

const CLOSED: &str = "every pod of the namespace is isolated and nothing is allowed";
const NO_RULE: &str = "the rule allows nothing";
const NO_PEER: &str = "the peer matches nothing";
const NO_PORT: &str = "the port is left out";

/// Reads the parts of one policy, collecting warnings.
struct Reader {
    warnings: Warnings,
}

impl Reader {
    /// A mapping of known fields; absent and `null` are the empty one. `None`, with a warning, if it cannot be read.
    fn part<T: DeserializeOwned + Default>(
        &mut self,
        path: impl fmt::Display,
        value: &Value,
        effect: &str,
    ) -> Option<T> {
        match value {
            Value::Null => return Some(T::default()),
            Value::Object(_) => {}
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                self.bad(path, "not a mapping", effect);
                return None;
            }
        }
        match serde_path_to_error::deserialize(value) {
            Ok(part) => Some(part),
            Err(error) => {
                let field = match error.path().iter().next() {
                    Some(_) => format!("{path}.{}", error.path().to_string().escape_debug()),
                    None => path.to_string(),
                };
                let why = error.into_inner().to_string().escape_debug().to_string();
                self.bad(field, &why, effect);
                None
            }
        }
    }

    /// A list; absent and `null` are the empty one. `None`, with a warning, if it is none.
    fn list<'a>(&mut self, path: &str, value: &'a Value, effect: &str) -> Option<&'a [Value]> {
        match value {
            Value::Null => Some(&[]),
            Value::Array(items) => Some(items),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                self.bad(path, "not a list", effect);
                None
            }
        }
    }

    fn bad(&mut self, field: impl fmt::Display, why: &str, effect: &str) {
        self.warnings.add(WarningKind::BadField, format!("{field}: {why}: {effect}"));
    }

    /// The directions in which the policy isolates. Without a list those that the API server fills in: ingress, and
    /// egress if there is a rule for it.
    fn types(&mut self, value: &Value, has_egress: bool) -> (bool, bool) {
        const BOTH: &str = "both directions are isolated";
        let Some(types) = self.list("spec.policyTypes", value, BOTH) else { return (true, true) };
        if types.is_empty() {
            return (true, has_egress);
        }
        let (mut ingress, mut egress) = (false, false);
        for (i, policy_type) in types.iter().enumerate() {
            match policy_type.as_str() {
                Some("Ingress") => ingress = true,
                Some("Egress") => egress = true,
                Some(other) => {
                    self.warnings.unknown(format_args!("spec.policyTypes[{i}]"), other, BOTH);
                    (ingress, egress) = (true, true);
                }
                None => {
                    self.bad(format_args!("spec.policyTypes[{i}]"), "not a string", BOTH);
                    (ingress, egress) = (true, true);
                }
            }
        }
        (ingress, egress)
    }

    /// The rules of a direction. Where the policy's pods are not known for certain, no rule allows anything: it would be
    /// allowed for pods that another policy isolates.
    fn rules(&mut self, direction: Direction, value: &Value, is_whole: bool) -> Vec<PolicyRule> {
        let path = format!("spec.{direction}");
        let Some(items) = self.list(&path, value, "no rule allows anything") else { return Vec::new() };
        let rules = items.iter().enumerate().map(|(i, item)| {
            let path = format!("{path}[{i}]");
            let closed = || PolicyRule { peers: Some(Vec::new()), ports: Some(Vec::new()) };
            let rule = self.rule(direction, &path, item).unwrap_or_else(closed);
            if is_whole { rule } else { closed() }
        });
        rules.collect()
    }

    fn rule(&mut self, direction: Direction, path: &str, value: &Value) -> Option<PolicyRule> {
        let (peers, peers_field, ports) = match direction {
            Direction::Ingress => {
                let rule = self.part::<api::NetworkPolicyIngressRule>(path, value, NO_RULE)?;
                (rule.from, "from", rule.ports)
            }
            Direction::Egress => {
                let rule = self.part::<api::NetworkPolicyEgressRule>(path, value, NO_RULE)?;
                (rule.to, "to", rule.ports)
            }
        };
        let peers_path = format!("{path}.{peers_field}");
        let peers = self.list(&peers_path, &peers, NO_RULE)?;
        let peers = (!peers.is_empty()).then(|| {
            let each = peers.iter().enumerate();
            each.filter_map(|(i, peer)| self.peer(&format!("{peers_path}[{i}]"), peer)).collect()
        });
        let ports_path = format!("{path}.ports");
        let ports = self.list(&ports_path, &ports, NO_RULE)?;
        let ports = (!ports.is_empty()).then(|| {
            let each = ports.iter().enumerate();
            each.filter_map(|(i, port)| self.port(&format!("{ports_path}[{i}]"), port)).collect()
        });
        Some(PolicyRule { peers, ports })
    }

    fn peer(&mut self, path: &str, value: &Value) -> Option<Peer> {
        let peer = self.part::<api::NetworkPolicyPeer>(path, value, NO_PEER)?;
        match (&peer.ip_block, &peer.pod_selector, &peer.namespace_selector) {
            (Some(block), None, None) => self.block(&format!("{path}.ipBlock"), block).map(Peer::Block),
            (Some(_), _, _) => {
                self.bad(path, "ipBlock beside a selector", NO_PEER);
                None
            }
            (None, None, None) => {
                self.bad(path, "has no field", NO_PEER);
                None
            }
            (None, pods, namespaces) => {
                let pods = match pods {
                    Some(pods) => self.selector(&format!("{path}.podSelector"), pods)?,
                    None => Selector::default(),
                };
                let namespaces = match namespaces {
                    Some(namespaces) => PeerNamespaces::Matching(
                        self.selector(&format!("{path}.namespaceSelector"), namespaces)?,
                    ),
                    None => PeerNamespaces::Own,
                };
                Some(Peer::Pods { namespaces, pods })
            }
        }
    }
}

/// Whether a list of rules is there and cannot be read: it may have held one.
fn is_bad_list(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Array(_))
}

#[cfg(test)]
mod tests;
