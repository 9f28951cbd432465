//! EndpointSlices (KEP-752) and their endpoints.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use crate::{ObjectName, Protocol};

/// `addressType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// One entry of `endpoints`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `addresses[0]`.
    pub addr: IpAddr,
    /// Condition `ready`; absent means true.
    pub is_ready: bool,
    /// Condition `serving` (KEP-1669); absent means true.
    pub is_serving: bool,
    /// Condition `terminating` (KEP-1669); absent means false.
    pub is_terminating: bool,
    /// `hostname`, empty if absent: its label in the DNS names of headless Services.
    pub hostname: Arc<str>,
    /// `targetRef.name` if that is a Pod, else empty.
    pub pod: Arc<str>,
    /// `nodeName`.
    pub node: Option<Arc<str>>,
    /// `zone`.
    pub zone: Option<Arc<str>>,
    /// `hints.forZones[].name` (KEP-2433, KEP-3015).
    pub zone_hints: Vec<Arc<str>>,
    /// `hints.forNodes[].name` (KEP-3015).
    pub node_hints: Vec<Arc<str>>,
}

/// One entry of `ports`. Entries without a number are left out (kube-proxy does the same).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointPort {
    /// Name, empty if absent: matched with the Service port's name.
    pub name: Arc<str>,
    /// Protocol.
    pub protocol: Protocol,
    /// Port of the endpoints.
    pub port: NonZeroU16,
}

/// An EndpointSlice of addresses (`addressType: FQDN` is not one of ours).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSlice {
    /// Namespace and name of the slice.
    pub name: ObjectName,
    /// The Service: label `kubernetes.io/service-name`, in the slice's namespace. Slices without it are nobody's.
    pub service: Option<ObjectName>,
    /// Family of all its endpoints.
    pub family: AddressFamily,
    /// Label `service.kubernetes.io/headless` is present: not for load balancing.
    pub is_headless: bool,
    /// Endpoints, in the order of the object.
    pub endpoints: Vec<Endpoint>,
    /// Ports.
    pub ports: Vec<EndpointPort>,
    /// Annotation `endpoints.kubernetes.io/last-change-trigger-time` as written: when the change that made this
    /// version happened.
    pub trigger_time: Option<Arc<str>>,
}
