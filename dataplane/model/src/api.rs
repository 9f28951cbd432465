//! API objects as serde types: only the fields that we use, everything else is skipped while decoding.
//!
//! The types are as forgiving as the API server: a field that is `null` is absent, a number without a fraction is an
//! integer. They hold what the object says, valid or not; [`crate::convert`] judges it. A value of another type than
//! the field's is an error of [`decode()`].

mod decode;
mod endpoint_slice;
mod lenient;
mod metadata;
mod namespace;
mod network_policy;
mod node;
mod pod;
mod service;
mod service_cidr;

pub use decode::{DecodeError, Decoded, decode};
pub use endpoint_slice::{
    Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, EndpointSliceLabels, Hint,
    TargetRef,
};
pub use metadata::{AllLabels, Annotations, Metadata, NoLabels};
pub use namespace::Namespace;
pub use network_policy::{
    IpBlock, LabelSelector, LabelSelectorRequirement, NetworkPolicy, NetworkPolicyEgressRule,
    NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
pub use node::{Node, NodeAddress, NodeLabels, NodeSpec, NodeStatus, Taint};
pub use pod::{Container, ContainerPort, Pod, PodIp, PodSpec, PodStatus};
pub use service::{
    Ingress, LoadBalancerStatus, Service, ServiceLabels, ServicePort, ServiceSpec, ServiceStatus,
};
pub use service_cidr::{ServiceCidr, ServiceCidrSpec};

use crate::{Kind, ObjectKey, ObjectName};

/// An integer, or a float without a fraction, where a field may hold something else too.
#[must_use]
pub fn integer(value: &serde_json::Value) -> Option<i64> {
    lenient::integer_of(value)
}

/// An API object of a kind that we use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// v1 Service.
    Service(Box<Service>),
    /// discovery.k8s.io/v1 EndpointSlice.
    EndpointSlice(Box<EndpointSlice>),
    /// v1 Pod.
    Pod(Box<Pod>),
    /// v1 Namespace.
    Namespace(Box<Namespace>),
    /// v1 Node.
    Node(Box<Node>),
    /// networking.k8s.io/v1 ServiceCIDR.
    ServiceCidr(Box<ServiceCidr>),
    /// networking.k8s.io/v1 NetworkPolicy.
    NetworkPolicy(Box<NetworkPolicy>),
}

impl Object {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Service(_) => Kind::Service,
            Self::EndpointSlice(_) => Kind::EndpointSlice,
            Self::Pod(_) => Kind::Pod,
            Self::Namespace(_) => Kind::Namespace,
            Self::Node(_) => Kind::Node,
            Self::ServiceCidr(_) => Kind::ServiceCidr,
            Self::NetworkPolicy(_) => Kind::NetworkPolicy,
        }
    }

    /// Its kind and name. A namespaced object that names no namespace is in `default`.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        let kind = self.kind();
        ObjectKey { kind, name: self.name(kind) }
    }

    fn name(&self, kind: Kind) -> ObjectName {
        match self {
            Self::Service(object) => object.metadata.object_name(kind),
            Self::EndpointSlice(object) => object.metadata.object_name(kind),
            Self::Pod(object) => object.metadata.object_name(kind),
            Self::Namespace(object) => object.metadata.object_name(kind),
            Self::Node(object) => object.metadata.object_name(kind),
            Self::ServiceCidr(object) => object.metadata.object_name(kind),
            Self::NetworkPolicy(object) => object.metadata.object_name(kind),
        }
    }
}
