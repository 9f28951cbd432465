//! Services.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use crate::{ObjectName, Protocol};

/// `spec.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceType {
    /// ClusterIP (also when the field is absent).
    ClusterIp,
    /// NodePort.
    NodePort,
    /// LoadBalancer.
    LoadBalancer,
    /// ExternalName: a DNS alias, never balanced.
    ExternalName,
}

/// `internalTrafficPolicy` (KEP-2086) or `externalTrafficPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrafficPolicy {
    /// Endpoints of the whole cluster.
    Cluster,
    /// Endpoints of the node that the traffic reaches only.
    Local,
}

/// One entry of `spec.ports`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Name, empty if the Service has a single unnamed port.
    pub name: Arc<str>,
    /// Protocol.
    pub protocol: Protocol,
    /// Port of ClusterIP, externalIP and LoadBalancer frontends.
    pub port: NonZeroU16,
    /// NodePort, if one is allocated.
    pub node_port: Option<NonZeroU16>,
}

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Namespace and name.
    pub name: ObjectName,
    /// `metadata.creationTimestamp` as written (RFC 3339 in UTC sorts by text), empty if absent. Of two Services that
    /// claim one frontend the older one has it.
    pub created: Arc<str>,
    /// Type.
    pub service_type: ServiceType,
    /// ClusterIPs, at most one a family; empty for headless and ExternalName Services.
    pub cluster_ips: Vec<IpAddr>,
    /// `clusterIP: None`.
    pub is_headless: bool,
    /// `spec.externalIPs`.
    pub external_ips: Vec<IpAddr>,
    /// Addresses of `status.loadBalancer.ingress` that are captured on every node: ipMode absent or VIP (KEP-1860).
    pub load_balancer_vips: Vec<IpAddr>,
    /// `spec.externalName` as written, for type ExternalName; else empty.
    pub external_name: Arc<str>,
    /// `spec.publishNotReadyAddresses`: DNS names endpoints whatever their conditions say.
    pub publishes_not_ready: bool,
    /// Ports.
    pub ports: Vec<ServicePort>,
    /// Policy for ClusterIP frontends.
    pub internal_policy: TrafficPolicy,
    /// Policy for NodePort, externalIP and LoadBalancer frontends.
    pub external_policy: TrafficPolicy,
    /// The label `service.kubernetes.io/service-proxy-name` is present: another proxy serves it.
    pub has_foreign_proxy: bool,
}

impl Service {
    /// Whether a service proxy balances it: it has a ClusterIP, is no ExternalName and is not another proxy's.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        !self.cluster_ips.is_empty()
            && self.service_type != ServiceType::ExternalName
            && !self.has_foreign_proxy
    }
}
