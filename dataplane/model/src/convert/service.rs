//! Services.

mod names;

use std::net::IpAddr;
use std::sync::Arc;

use self::names::fault_of_name;
pub use self::names::is_dns_label;
use super::addr::Origin;
use super::warnings::Warnings;
use crate::{Kind, Service, ServicePort, ServiceType, TrafficPolicy, Warning, WarningKind, api};

/// What a headless Service says in place of a ClusterIP.
const HEADLESS: &str = "None";

/// Converts a Service.
#[must_use]
pub fn from_object(object: &api::Service) -> (Service, Vec<Warning>) {
    let name = object.metadata.object_name(Kind::Service);
    let mut warnings = Warnings::new(Kind::Service, name.clone());
    let spec = &object.spec;
    for (field, text) in [("metadata.name", &name.name), ("metadata.namespace", &name.namespace)] {
        if !is_dns_label(text) {
            let detail = format!("{field} is not a DNS label: the name of the Service does not resolve");
            warnings.add(WarningKind::BadField, detail);
        }
    }
    let service_type = service_type(spec, &mut warnings);
    let has_foreign_proxy = object.metadata.labels.service_proxy_name.is_some();
    let written = written_cluster_ips(spec, &mut warnings);
    let is_headless = written.first().is_some_and(|first| &***first == HEADLESS);
    let cluster_ips = if is_headless || service_type == ServiceType::ExternalName {
        Vec::new()
    } else {
        if written.is_empty() && !has_foreign_proxy {
            let detail = "spec.clusterIP is missing: the Service is not balanced".to_owned();
            warnings.add(WarningKind::NoClusterIp, detail);
        }
        cluster_ips(&written, spec, &mut warnings)
    };
    let external_ips = (0..).zip(&spec.external_ips).filter_map(|(i, text): (usize, _)| {
        warnings.addr(format_args!("spec.externalIPs[{i}]"), text, Origin::Written)
    });
    let service = Service {
        created: object.metadata.creation_timestamp.clone().unwrap_or_default(),
        service_type,
        cluster_ips,
        is_headless,
        external_ips: external_ips.collect(),
        load_balancer_vips: load_balancer_vips(&object.status.load_balancer, &mut warnings),
        external_name: external_name(spec, service_type, &mut warnings),
        publishes_not_ready: spec.publish_not_ready_addresses.unwrap_or(false),
        ports: ports(spec, service_type, &mut warnings),
        internal_policy: policy(
            "spec.internalTrafficPolicy",
            spec.internal_traffic_policy.as_deref(),
            &mut warnings,
        ),
        external_policy: policy(
            "spec.externalTrafficPolicy",
            spec.external_traffic_policy.as_deref(),
            &mut warnings,
        ),
        has_foreign_proxy,
        name,
    };
    if service.is_balanced() {
        warn_of_what_is_not_supported(spec, &mut warnings);
    }
    (service, warnings.into_vec())
}

/// What a user may rely on and this version does not do.
fn warn_of_what_is_not_supported(spec: &api::ServiceSpec, warnings: &mut Warnings) {
    if spec.session_affinity.as_deref() == Some("ClientIP") {
        let detail = "spec.sessionAffinity: ClientIP is not supported yet: each connection is balanced anew";
        warnings.add(WarningKind::NotSupported, detail.to_owned());
    }
    if !spec.load_balancer_source_ranges.is_empty() {
        let detail = "spec.loadBalancerSourceRanges is not supported yet: every socket of the node reaches the address";
        warnings.add(WarningKind::NotSupported, detail.to_owned());
    }
}

fn service_type(spec: &api::ServiceSpec, warnings: &mut Warnings) -> ServiceType {
    match spec.service_type.as_deref() {
        None | Some("" | "ClusterIP") => ServiceType::ClusterIp,
        Some("NodePort") => ServiceType::NodePort,
        Some("LoadBalancer") => ServiceType::LoadBalancer,
        Some("ExternalName") => ServiceType::ExternalName,
        Some(other) => {
            warnings.unknown("spec.type", other, "taken for ClusterIP");
            ServiceType::ClusterIp
        }
    }
}

/// `clusterIPs`, or `clusterIP` where the list is absent: the API server copies one to the other, a file need not.
fn written_cluster_ips<'a>(spec: &'a api::ServiceSpec, warnings: &mut Warnings) -> Vec<&'a Arc<str>> {
    let single = spec.cluster_ip.as_ref().filter(|ip| !ip.is_empty());
    let Some(first) = spec.cluster_ips.first() else {
        return single.into_iter().collect();
    };
    if let Some(single) = single.filter(|single| *single != first) {
        warnings.bad("spec.clusterIP", single, "not the first of spec.clusterIPs");
    }
    spec.cluster_ips.iter().collect()
}

/// The usable addresses, one a family. Where `ipFamilies` is given it says which families the Service has, in the same
/// order.
fn cluster_ips(written: &[&Arc<str>], spec: &api::ServiceSpec, warnings: &mut Warnings) -> Vec<IpAddr> {
    let field = if spec.cluster_ips.is_empty() { "spec.clusterIP" } else { "spec.clusterIPs" };
    let mut kept: Vec<IpAddr> = Vec::new();
    for (i, text) in written.iter().enumerate() {
        let Some(addr) = warnings.addr(field, text, Origin::Assigned) else { continue };
        let family = if addr.is_ipv4() { "IPv4" } else { "IPv6" };
        if !spec.ip_families.is_empty() && spec.ip_families.get(i).map(|family| &**family) != Some(family) {
            warnings.bad(field, text, format_args!("{family}, which is not at its place in spec.ipFamilies"));
        } else if kept.iter().any(|other| other.is_ipv4() == addr.is_ipv4()) {
            warnings.bad(field, text, "a second address of its family");
        } else {
            kept.push(addr);
        }
    }
    kept
}

/// Addresses that nodes capture. A load balancer in mode `Proxy`, or one that is known by a hostname only, gets its
/// traffic itself.
fn load_balancer_vips(status: &api::LoadBalancerStatus, warnings: &mut Warnings) -> Vec<IpAddr> {
    let mut vips = Vec::new();
    for (i, ingress) in status.ingress.iter().enumerate() {
        let field = |name| format!("status.loadBalancer.ingress[{i}].{name}");
        let Some(ip) = ingress.ip.as_deref().filter(|ip| !ip.is_empty()) else { continue };
        match ingress.ip_mode.as_deref() {
            None | Some("VIP") => vips.extend(warnings.addr(field("ip"), ip, Origin::Assigned)),
            Some("Proxy") => {}
            // Left to the load balancer, as kube-proxy leaves every mode but VIP.
            Some(other) => warnings.unknown(field("ipMode"), other, "the address is not captured"),
        }
    }
    vips
}

fn ports(spec: &api::ServiceSpec, service_type: ServiceType, warnings: &mut Warnings) -> Vec<ServicePort> {
    let mut ports: Vec<ServicePort> = Vec::with_capacity(spec.ports.len());
    for (i, object) in spec.ports.iter().enumerate() {
        let field = |name| format!("spec.ports[{i}].{name}");
        let name = object.name.clone().unwrap_or_default();
        let protocol = warnings.protocol(field("protocol"), object.protocol.as_deref());
        let Some(number) = object.port else {
            warnings
                .add(WarningKind::BadField, format!("{} is missing: the entry is left out", field("port")));
            continue;
        };
        let (Some(protocol), Some(port)) = (protocol, warnings.port(field("port"), number)) else { continue };
        if ports.iter().any(|other| other.name == name) {
            warnings.bad(field("name"), &name, "the name of another port");
            continue;
        }
        if ports.iter().any(|other| (other.port, other.protocol) == (port, protocol)) {
            let why = format_args!("another port's number for {protocol}");
            warnings.bad(field("port"), &port.to_string(), why);
            continue;
        }
        let mut node_port = match object.node_port {
            None | Some(0) => None,
            Some(number) => warnings.port(field("nodePort"), number),
        };
        if let Some(number) = node_port {
            let is_taken =
                ports.iter().any(|other| (other.node_port, other.protocol) == (node_port, protocol));
            let why = match service_type {
                ServiceType::ClusterIp => Some("not for a Service of type ClusterIP"),
                ServiceType::NodePort | ServiceType::LoadBalancer | ServiceType::ExternalName => {
                    is_taken.then_some("another port's nodePort")
                }
            };
            if let Some(why) = why {
                warnings.bad(field("nodePort"), &number.to_string(), why);
                node_port = None;
            }
        }
        ports.push(ServicePort { name, protocol, port, node_port });
    }
    ports
}

fn external_name(spec: &api::ServiceSpec, service_type: ServiceType, warnings: &mut Warnings) -> Arc<str> {
    if service_type != ServiceType::ExternalName {
        return Arc::default();
    }
    let name = spec.external_name.clone().unwrap_or_default();
    if name.is_empty() {
        let detail = "spec.externalName is missing: the name does not resolve".to_owned();
        warnings.add(WarningKind::BadField, detail);
        return name;
    }
    if let Some(fault) = fault_of_name(&name) {
        warnings.bad("spec.externalName", &name, fault);
        return Arc::default();
    }
    name
}

fn policy(field: &str, value: Option<&str>, warnings: &mut Warnings) -> TrafficPolicy {
    match value {
        None | Some("" | "Cluster") => TrafficPolicy::Cluster,
        Some("Local") => TrafficPolicy::Local,
        Some(other) => {
            warnings.unknown(field, other, "taken for Cluster");
            TrafficPolicy::Cluster
        }
    }
}

#[cfg(test)]
mod tests;
