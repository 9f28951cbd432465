//! Ports of rules.

use serde_json::Value;

use super::{NO_PORT, Reader};
use crate::{PolicyPort, PortMatch, WarningKind, api};

impl Reader {
    /// A port; `None`, with a warning, if the API would refuse it: a rule without good ports allows nothing.
    pub(super) fn port(&mut self, path: &str, value: &Value) -> Option<PolicyPort> {
        let port = self.part::<api::NetworkPolicyPort>(path, value, NO_PORT)?;
        let protocol = self.warnings.protocol(format_args!("{path}.protocol"), port.protocol.as_deref())?;
        let ports = match &port.port {
            Value::Null if port.end_port.is_none() => PortMatch::All,
            Value::Null => {
                self.bad(path, "endPort without port", NO_PORT);
                return None;
            }
            Value::String(name) => {
                if !is_port_name(name) {
                    self.warnings.bad(format_args!("{path}.port"), name, "not the name of a port");
                    return None;
                }
                if port.end_port.is_some() {
                    self.bad(path, "endPort beside a named port", NO_PORT);
                    return None;
                }
                PortMatch::Named(name.as_str().into())
            }
            number @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                self.range(path, number, port.end_port)?
            }
        };
        Some(PolicyPort { protocol, ports })
    }

    fn range(&mut self, path: &str, first: &Value, last: Option<i64>) -> Option<PortMatch> {
        let Some(first) = whole(first) else {
            self.bad(format_args!("{path}.port"), "neither a number nor a name", NO_PORT);
            return None;
        };
        let first = self.warnings.port(format_args!("{path}.port"), first)?.get();
        let Some(last) = last else { return Some(PortMatch::Range(first, first)) };
        let last = self.warnings.port(format_args!("{path}.endPort"), last)?.get();
        if last < first {
            let detail = format!("{path}.endPort: {last} is below port {first}: {NO_PORT}");
            self.warnings.add(WarningKind::BadField, detail);
            return None;
        }
        Some(PortMatch::Range(first, last))
    }
}

/// An integer, also one written as `80.0`.
fn whole(value: &Value) -> Option<i64> {
    api::integer(value)
}

/// What the API takes for the name of a port (`IsValidPortName`): at most 15 of lower-case letters, digits and `-`, a
/// letter among them, no `-` at an end or beside another.
fn is_port_name(name: &str) -> bool {
    name.len() <= 15
        && name.bytes().any(|b| b.is_ascii_lowercase())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && name.split('-').all(|part| !part.is_empty())
}
