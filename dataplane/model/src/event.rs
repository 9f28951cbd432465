//! What sources say.

use std::fmt;
use std::sync::Arc;

use crate::{ObjectName, api};

/// A kind of object that we use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// v1 Service.
    Service,
    /// discovery.k8s.io/v1 EndpointSlice.
    EndpointSlice,
    /// v1 Pod.
    Pod,
    /// v1 Namespace.
    Namespace,
    /// v1 Node.
    Node,
    /// networking.k8s.io/v1 ServiceCIDR.
    ServiceCidr,
    /// networking.k8s.io/v1 NetworkPolicy.
    NetworkPolicy,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Service,
        Self::EndpointSlice,
        Self::Pod,
        Self::Namespace,
        Self::Node,
        Self::ServiceCidr,
        Self::NetworkPolicy,
    ];

    /// The API's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Pod => "Pod",
            Self::Namespace => "Namespace",
            Self::Node => "Node",
            Self::ServiceCidr => "ServiceCIDR",
            Self::NetworkPolicy => "NetworkPolicy",
        }
    }

    /// Whether objects of the kind live in a namespace.
    #[must_use]
    pub const fn is_namespaced(self) -> bool {
        match self {
            Self::Service | Self::EndpointSlice | Self::Pod | Self::NetworkPolicy => true,
            Self::Namespace | Self::Node | Self::ServiceCidr => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Kind and name of an object; the namespace is empty for cluster-scoped kinds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Kind.
    pub kind: Kind,
    /// Name.
    pub name: ObjectName,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind.is_namespaced() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}", self.kind, self.name.name)
        }
    }
}

/// One thing that a source says. A first list, or a list after a lost watch, is `Init`, `InitApply`…, `InitDone`: its
/// objects become visible together at `InitDone`, and what was not listed is gone.
#[derive(Clone, Debug)]
pub enum Event {
    /// A list of the kind begins.
    Init(Kind),
    /// An object of the list that began.
    InitApply(Arc<api::Object>),
    /// The list is complete.
    InitDone(Kind),
    /// An object was added or changed.
    Apply(Arc<api::Object>),
    /// An object was deleted.
    Delete(ObjectKey),
    /// The first list cannot be completed for now (a broken file): what was applied so far is to be used, without
    /// [`crate::Synced`].
    Incomplete,
}
