//! Immutable views of the store.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::OrdMap;

use crate::{
    EndpointSlice, Namespace, NetworkPolicy, Node, ObjectKey, ObjectName, Pod, Service, ServiceCidr, Warning,
};

/// Number of a snapshot: goes up by one with every event that changed anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotRevision(pub u64);

/// Proof that every source finished its first list. Only the store makes it; whatever deletes needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synced(pub(crate) ());

/// The cluster at one moment. Cloning is O(1).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Its number.
    pub revision: SnapshotRevision,
    /// Present once every kind's first list is done.
    pub synced: Option<Synced>,
    /// Services by name.
    pub services: OrdMap<ObjectName, Arc<Service>>,
    /// Slices of addresses by (Service, slice): all slices of one Service are neighbours. Headless ones included.
    pub slices: OrdMap<(ObjectName, ObjectName), Arc<EndpointSlice>>,
    /// Pods by name.
    pub pods: OrdMap<ObjectName, Arc<Pod>>,
    /// Namespaces by name.
    pub namespaces: OrdMap<Arc<str>, Arc<Namespace>>,
    /// Nodes by name.
    pub nodes: OrdMap<Arc<str>, Arc<Node>>,
    /// ServiceCIDRs by name.
    pub service_cidrs: OrdMap<Arc<str>, Arc<ServiceCidr>>,
    /// NetworkPolicies by name.
    pub network_policies: OrdMap<ObjectName, Arc<NetworkPolicy>>,
    /// Warnings of conversion, by object.
    pub warnings: OrdMap<ObjectKey, Arc<[Warning]>>,
}

impl Snapshot {
    /// The slices of one Service, in the order of their names.
    pub fn slices_of<'a>(
        &'a self,
        service: &ObjectName,
    ) -> impl Iterator<Item = &'a Arc<EndpointSlice>> + use<'a> {
        let first = (service.clone(), ObjectName::new("", ""));
        let service = service.clone();
        self.slices.range(first..).take_while(move |((s, _), _)| *s == service).map(|(_, slice)| slice)
    }

    /// The pods of one namespace, in the order of their names.
    pub fn pods_in<'a>(&'a self, namespace: &Arc<str>) -> impl Iterator<Item = &'a Arc<Pod>> + use<'a> {
        in_namespace(&self.pods, namespace)
    }

    /// The NetworkPolicies of one namespace, in the order of their names.
    pub fn policies_in<'a>(
        &'a self,
        namespace: &Arc<str>,
    ) -> impl Iterator<Item = &'a Arc<NetworkPolicy>> + use<'a> {
        in_namespace(&self.network_policies, namespace)
    }
}

fn in_namespace<'a, T>(
    objects: &'a OrdMap<ObjectName, Arc<T>>,
    namespace: &Arc<str>,
) -> impl Iterator<Item = &'a Arc<T>> + use<'a, T> {
    let namespace = Arc::clone(namespace);
    let first = ObjectName { namespace: Arc::clone(&namespace), name: Arc::default() };
    objects.range(first..).take_while(move |(name, _)| name.namespace == namespace).map(|(_, object)| object)
}

/// What changed between two snapshots, in the units that are compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Services whose object or slices changed.
    pub services: BTreeSet<ObjectName>,
    /// Nodes whose object changed.
    pub nodes: BTreeSet<Arc<str>>,
    /// Namespaces that came or went, or whose labels changed.
    pub namespaces: BTreeSet<Arc<str>>,
    /// Pods that changed.
    pub pods: BTreeSet<ObjectName>,
    /// NetworkPolicies that changed.
    pub network_policies: BTreeSet<ObjectName>,
    /// A ServiceCIDR changed.
    pub service_cidrs: bool,
    /// The snapshot became synced.
    pub synced: bool,
}

impl Changes {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { services, nodes, namespaces, pods, network_policies, service_cidrs, synced } = self;
        services.is_empty()
            && nodes.is_empty()
            && namespaces.is_empty()
            && pods.is_empty()
            && network_policies.is_empty()
            && !service_cidrs
            && !synced
    }
}
