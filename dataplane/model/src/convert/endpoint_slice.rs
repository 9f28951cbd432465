//! EndpointSlices.

use std::sync::Arc;

use super::addr::Origin;
use super::warnings::Warnings;
use crate::{
    AddressFamily, Endpoint, EndpointPort, EndpointSlice, Kind, ObjectName, Warning, WarningKind, api,
};

/// Converts an EndpointSlice. There is no value if its endpoints are names (`addressType: FQDN`, which nobody balances)
/// or if it does not say what they are, which is a warning.
#[must_use]
pub fn from_object(object: &api::EndpointSlice) -> (Option<EndpointSlice>, Vec<Warning>) {
    let name = object.metadata.object_name(Kind::EndpointSlice);
    let mut warnings = Warnings::new(Kind::EndpointSlice, name.clone());
    let Some(family) = family(object, &mut warnings) else {
        return (None, warnings.into_vec());
    };
    let labels = &object.metadata.labels;
    let service = labels.service_name.as_ref().filter(|service| !service.is_empty());
    let slice = EndpointSlice {
        service: service
            .map(|service| ObjectName { namespace: Arc::clone(&name.namespace), name: Arc::clone(service) }),
        family,
        is_headless: labels.headless.is_some(),
        endpoints: endpoints(object, family, &mut warnings),
        ports: ports(object, &mut warnings),
        trigger_time: object.metadata.annotations.last_change_trigger_time.clone(),
        name,
    };
    (Some(slice), warnings.into_vec())
}

fn family(object: &api::EndpointSlice, warnings: &mut Warnings) -> Option<AddressFamily> {
    match object.address_type.as_deref() {
        Some("IPv4") => Some(AddressFamily::V4),
        Some("IPv6") => Some(AddressFamily::V6),
        Some("FQDN") => None,
        None | Some("") => {
            let detail = "addressType is missing: the slice is left out".to_owned();
            warnings.add(WarningKind::BadField, detail);
            None
        }
        Some(other) => {
            warnings.unknown("addressType", other, "the slice is left out");
            None
        }
    }
}

fn endpoints(object: &api::EndpointSlice, family: AddressFamily, warnings: &mut Warnings) -> Vec<Endpoint> {
    let mut endpoints = Vec::with_capacity(object.endpoints.len());
    for (i, endpoint) in object.endpoints.iter().enumerate() {
        // The further addresses are of no meaning: kube-proxy and DNS use the first one.
        let Some(text) = endpoint.addresses.first() else {
            let detail = format!("endpoints[{i}].addresses is empty: the endpoint is left out");
            warnings.add(WarningKind::BadField, detail);
            continue;
        };
        let field = format_args!("endpoints[{i}].addresses[0]");
        let Some(addr) = warnings.addr(field, text, Origin::Written) else { continue };
        if addr.is_ipv4() != (family == AddressFamily::V4) {
            warnings.bad(format_args!("endpoints[{i}].addresses[0]"), text, "not of the slice's addressType");
            continue;
        }
        endpoints.push(Endpoint {
            addr,
            is_ready: endpoint.conditions.ready.unwrap_or(true),
            is_serving: endpoint.conditions.serving.unwrap_or(true),
            is_terminating: endpoint.conditions.terminating.unwrap_or(false),
            hostname: hostname(i, endpoint, warnings),
            pod: pod(&endpoint.target_ref),
            node: endpoint.node_name.clone(),
            zone: endpoint.zone.clone(),
            zone_hints: names(&endpoint.hints.for_zones),
            node_hints: names(&endpoint.hints.for_nodes),
        });
    }
    endpoints
}

/// A hostname is one DNS label. Another would be a name that nobody can ask for.
fn hostname(i: usize, endpoint: &api::Endpoint, warnings: &mut Warnings) -> Arc<str> {
    match &endpoint.hostname {
        Some(hostname) if !hostname.is_empty() => {
            if is_label(hostname) {
                return Arc::clone(hostname);
            }
            warnings.bad(format_args!("endpoints[{i}].hostname"), hostname, "not a DNS label");
            Arc::default()
        }
        Some(_) | None => Arc::default(),
    }
}

/// RFC 1123, 2.1, as the API validates it: 1 to 63 letters of lower case, digits and inner dashes.
fn is_label(text: &str) -> bool {
    let is_inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn pod(target: &api::TargetRef) -> Arc<str> {
    match (target.kind.as_deref(), &target.name) {
        (Some("Pod"), Some(name)) => Arc::clone(name),
        _ => Arc::default(),
    }
}

fn names(hints: &[api::Hint]) -> Vec<Arc<str>> {
    hints.iter().map(|hint| Arc::clone(&hint.name)).collect()
}

/// An entry without a number stands for all ports, which is nothing to balance. An absent name is the empty name, as the
/// API defaults it.
fn ports(object: &api::EndpointSlice, warnings: &mut Warnings) -> Vec<EndpointPort> {
    let mut ports: Vec<EndpointPort> = Vec::with_capacity(object.ports.len());
    for (i, object) in object.ports.iter().enumerate() {
        let Some(number) = object.port.filter(|number| *number != 0) else { continue };
        let name = object.name.clone().unwrap_or_default();
        let protocol = warnings.protocol(format_args!("ports[{i}].protocol"), object.protocol.as_deref());
        let port = warnings.port(format_args!("ports[{i}].port"), number);
        let (Some(protocol), Some(port)) = (protocol, port) else { continue };
        if ports.iter().any(|other| other.name == name) {
            warnings.bad(format_args!("ports[{i}].name"), &name, "the name of another port");
            continue;
        }
        ports.push(EndpointPort { name, protocol, port });
    }
    ports
}

#[cfg(test)]
mod tests;
