//! NetworkPolicies, as users write them.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::objects::Object;

/// A NetworkPolicy: for all pods of its namespace unless it selects some, and without effect until it has a rule or
/// isolates.
#[derive(Clone, Debug)]
pub struct PolicySpec {
    namespace: String,
    name: String,
    pods: Selector,
    ingress: Option<Vec<Value>>,
    egress: Option<Vec<Value>>,
}

/// A label selector; the default one selects everything.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    labels: Map<String, Value>,
    expressions: Vec<Value>,
}

/// One rule of a policy: without peers it is about everybody, without ports about every port.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    peers: Vec<Value>,
    ports: Vec<Value>,
}

impl PolicySpec {
    /// A policy without rules.
    pub fn new(namespace: &str, name: &str) -> Self {
        let (namespace, name) = (namespace.into(), name.into());
        Self { namespace, name, pods: Selector::default(), ingress: None, egress: None }
    }

    /// The same for the pods that the selector selects.
    #[must_use]
    pub fn pods(self, pods: Selector) -> Self {
        Self { pods, ..self }
    }

    /// The same, isolating for ingress.
    #[must_use]
    pub fn isolate_ingress(mut self) -> Self {
        self.ingress.get_or_insert_default();
        self
    }

    /// The same, isolating for egress.
    #[must_use]
    pub fn isolate_egress(mut self) -> Self {
        self.egress.get_or_insert_default();
        self
    }

    /// The same with an ingress rule more.
    #[must_use]
    pub fn ingress(mut self, rule: Rule) -> Self {
        self.ingress.get_or_insert_default().push(rule.into_json("from"));
        self
    }

    /// The same with an egress rule more.
    #[must_use]
    pub fn egress(mut self, rule: Rule) -> Self {
        self.egress.get_or_insert_default().push(rule.into_json("to"));
        self
    }

    /// The object.
    pub fn object(&self) -> Object {
        let types = [("Ingress", &self.ingress), ("Egress", &self.egress)];
        let types: Vec<_> =
            types.iter().filter(|(_, rules)| rules.is_some()).map(|(name, _)| *name).collect();
        let rest = json!({
            "spec": {
                "podSelector": self.pods.json(),
                "policyTypes": types,
                "ingress": self.ingress,
                "egress": self.egress,
            },
        });
        let metadata = json!({ "name": self.name, "namespace": self.namespace });
        Object::new("networking.k8s.io/v1", "NetworkPolicy", metadata, rest)
    }
}

impl Selector {
    /// What has this label.
    pub fn label(key: &str, value: &str) -> Self {
        let mut selector = Self::default();
        selector.labels.insert(key.into(), value.into());
        selector
    }

    /// What also has one of these values of a label.
    #[must_use]
    pub fn is_in(self, key: &str, values: &[&str]) -> Self {
        self.expression(json!({ "key": key, "operator": "In", "values": values }))
    }

    /// What also has none of these values of a label, or no such label.
    #[must_use]
    pub fn is_not_in(self, key: &str, values: &[&str]) -> Self {
        self.expression(json!({ "key": key, "operator": "NotIn", "values": values }))
    }

    /// What also has the label.
    #[must_use]
    pub fn exists(self, key: &str) -> Self {
        self.expression(json!({ "key": key, "operator": "Exists" }))
    }

    /// What also lacks the label.
    #[must_use]
    pub fn does_not_exist(self, key: &str) -> Self {
        self.expression(json!({ "key": key, "operator": "DoesNotExist" }))
    }

    fn expression(mut self, expression: Value) -> Self {
        self.expressions.push(expression);
        self
    }

    fn json(&self) -> Value {
        let labels = (!self.labels.is_empty()).then_some(&self.labels);
        let expressions = (!self.expressions.is_empty()).then_some(&self.expressions);
        json!({ "matchLabels": labels, "matchExpressions": expressions })
    }
}

impl Rule {
    /// A rule about everybody and every port.
    pub fn all() -> Self {
        Self::default()
    }

    /// Or about these pods of the policy's namespace.
    #[must_use]
    pub fn pods(self, pods: Selector) -> Self {
        self.peer(json!({ "podSelector": pods.json() }))
    }

    /// Or about all pods of these namespaces.
    #[must_use]
    pub fn namespaces(self, namespaces: Selector) -> Self {
        self.peer(json!({ "namespaceSelector": namespaces.json() }))
    }

    /// Or about these pods of these namespaces.
    #[must_use]
    pub fn pods_in(self, namespaces: Selector, pods: Selector) -> Self {
        self.peer(json!({ "namespaceSelector": namespaces.json(), "podSelector": pods.json() }))
    }

    /// Or about the addresses of a block, exceptions aside; written as it is, wrong ones too.
    #[must_use]
    pub fn block(self, cidr: &str, except: &[&str]) -> Self {
        let except = (!except.is_empty()).then_some(except);
        self.peer(json!({ "ipBlock": { "cidr": cidr, "except": except } }))
    }

    /// Or about these addresses.
    #[must_use]
    pub fn addresses(self, addresses: [IpAddr; 2]) -> Self {
        addresses.into_iter().fold(self, |rule, address| rule.block(&IpNet::from(address).to_string(), &[]))
    }

    /// Only about this port, a number or a name, `"TCP"` or `"UDP"`.
    #[must_use]
    pub fn port(self, protocol: &str, port: impl Into<Value>) -> Self {
        self.port_item(json!({ "protocol": protocol, "port": port.into() }))
    }

    /// Only about these ports.
    #[must_use]
    pub fn ports(self, protocol: &str, first: u16, last: u16) -> Self {
        self.port_item(json!({ "protocol": protocol, "port": first, "endPort": last }))
    }

    /// Only about this protocol.
    #[must_use]
    pub fn protocol(self, protocol: &str) -> Self {
        self.port_item(json!({ "protocol": protocol }))
    }

    fn peer(mut self, peer: Value) -> Self {
        self.peers.push(peer);
        self
    }

    fn port_item(mut self, port: Value) -> Self {
        self.ports.push(port);
        self
    }

    fn into_json(self, peers: &str) -> Value {
        let mut rule = Map::new();
        if !self.peers.is_empty() {
            rule.insert(peers.into(), self.peers.into());
        }
        if !self.ports.is_empty() {
            rule.insert("ports".into(), self.ports.into());
        }
        Value::Object(rule)
    }
}
